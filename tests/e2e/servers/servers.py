#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab's servers: HTTP on 80, HTTPS on 443 and 8443, TCP echo on 22, 53 (of hosts that are no
resolver), 853 and 5432, UDP echo on 443, 5000 and 5353, each on every address that is given.

Usage: servers.py DIR NAME=ADDRESS,ADDRESS...

DIR holds NAME.pem (certificate and key) and www/ (static files). Writes DIR/servers.log, one line
per request or datagram ("served NAME PROTOCOL PEER LENGTH"), and DIR/servers.ready when all listen.
"""
import http.server
import os
import selectors
import socket
import socketserver
import ssl
import sys
import threading

directory = sys.argv[1]
log_lock = threading.Lock()
log_file = open(os.path.join(directory, "servers.log"), "a", buffering=1)


def log(*words):
    with log_lock:
        print("served", *words, file=log_file)


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def __init__(self, *args, **kwargs):
        super().__init__(*args, directory=os.path.join(directory, "www"), **kwargs)

    def do_GET(self):
        host = self.headers.get("Host", "")
        log(self.server.name, "http", self.client_address[0], self.path, host)
        if self.path != "/":
            super().do_GET()
            return
        body = f"hello from {self.server.name}, you asked for {host}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        log(self.server.name, "post", self.client_address[0], len(body))
        answer = f"got {len(body)} bytes\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        pass


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.settimeout(30)
        if self.server.server_address[1] == 22:
            self.request.sendall(b"SSH-2.0-lab\r\n")
        while True:
            data = self.request.recv(65536)
            if not data:
                return
            log(self.server.name, "tcp", self.client_address[0], len(data))
            self.request.sendall(data)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, name, address, port, handler, context=None):
        self.address_family = family(address)
        self.name = name
        self.context = context
        super().__init__((address, port), handler)

    def server_bind(self):
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        super().server_bind()

    def finish_request(self, request, client_address):
        # In the connection's own thread: a client that stalls its handshake stalls nobody else.
        request.settimeout(30)
        context = self.context
        if context and request.recv(1, socket.MSG_PEEK) != b"\x16":
            # Not TLS: an echo, so that "did a byte arrive" has an answer that a client can see.
            Echo(request, client_address, self)
            return
        if context:
            request = context.wrap_socket(request, server_side=True)
        try:
            super().finish_request(request, client_address)
        finally:
            if context:
                request.close()

    def handle_error(self, request, client_address):
        log(self.name, "error", client_address[0], repr(sys.exc_info()[1]))


def main():
    selector = selectors.DefaultSelector()
    for argument in sys.argv[2:]:
        name, addresses = argument.split("=")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.path.join(directory, name + ".pem"))
        for address in addresses.split(","):
            servers = [Server(name, address, 80, Handler)]
            servers += [Server(name, address, port, Handler, context) for port in (443, 8443)]
            servers += [Server(name, address, port, Echo) for port in (22, 53, 853, 5432)]
            for server in servers:
                threading.Thread(target=server.serve_forever, daemon=True).start()
            for port in (443, 5000, 5353):
                udp = socket.socket(family(address), socket.SOCK_DGRAM)
                udp.bind((address, port))
                selector.register(udp, selectors.EVENT_READ, name)
    with open(os.path.join(directory, "servers.ready"), "w") as ready:
        ready.write("ready\n")
    while True:
        for key, _ in selector.select():
            data, peer = key.fileobj.recvfrom(65536)
            log(key.data, "udp", peer[0], len(data))
            try:
                key.fileobj.sendto(data, peer)
            except OSError:
                pass


main()
