#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Servers that the real clients of this layer talk to, each on every address that is given.

Usage: servers.py DIR NAME=ADDRESS,ADDRESS... dns=ADDRESS

  80, 2375  HTTP: /git/ (git http-backend on DIR/git), PUT and POST in chunks or not, GET with a body,
            Upgrade: tcp and what `docker attach` asks of an engine, Upgrade: h2c; /files/ (DIR/files)
  443       HTTPS, certificate and key in DIR/NAME.pem
  25, 143   SMTP and IMAP, as much as smtplib and imaplib need
  51820, 443/udp  sends datagrams back
  dns=ADDRESS     a resolver whose answers most resolvers do not give, and every client takes:
                  last.odd.test   the address, and behind it the CNAME that leads to it
                  star.odd.test   a CNAME to *.odd.test, whose address it gives
                  flat.odd.test   asked for, an address of its target alone

Writes DIR/clients.log, "NAME WHAT PEER-PORT ...", a line per request, and DIR/clients.ready when all listen.
"""
import http.server
import json
import os
import socket
import socketserver
import ssl
import struct
import subprocess
import sys
import threading

directory = sys.argv[1]
log_lock = threading.Lock()
log_file = open(os.path.join(directory, "clients.log"), "a", buffering=1)


def log(*words):
    with log_lock:
        print(*words, file=log_file)


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class Web(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 400  # longer than any client of the tests is idle

    def body(self):
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            yield self.rfile.read(int(self.headers.get("Content-Length", "0")))
            return
        while True:
            size = int(self.rfile.readline().split(b";")[0], 16)
            if size == 0:
                while self.rfile.readline().strip():
                    pass
                return
            yield self.rfile.read(size)
            self.rfile.readline()

    def answer(self, text, kind="text/plain", status=200):
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Api-Version", "1.41")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def git(self):
        path, _, query = self.path.partition("?")
        length = self.headers.get("Content-Length")
        env = dict(os.environ, GIT_PROJECT_ROOT=os.path.join(directory, "git"), GIT_HTTP_EXPORT_ALL="1",
                   PATH_INFO=path[len("/git"):], QUERY_STRING=query, REQUEST_METHOD=self.command,
                   CONTENT_TYPE=self.headers.get("Content-Type", ""), REMOTE_USER="lab",
                   HTTP_CONTENT_ENCODING=self.headers.get("Content-Encoding", ""),
                   GIT_PROTOCOL=self.headers.get("Git-Protocol", ""),
                   **({"CONTENT_LENGTH": length} if length else {}))
        data = b"".join(self.body())
        log(self.server.name, "git", self.client_address[1], self.command, path, len(data),
            self.headers.get("Transfer-Encoding", "-"))
        out = subprocess.run(["git", "http-backend"], input=data, stdout=subprocess.PIPE, env=env).stdout
        head, _, rest = out.partition(b"\r\n\r\n")
        fields = [line.split(": ", 1) for line in head.decode().split("\r\n")]
        status = [value for name, value in fields if name == "Status"]
        self.send_response(int(status[0].split()[0]) if status else 200)
        for name, value in fields:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest)

    def file(self):
        path = os.path.normpath(os.path.join(directory, self.path.split("?")[0].lstrip("/")))
        if os.path.isdir(path):
            path = os.path.join(path, "index.html")
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError:
            self.answer("no such file\n", status=404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if path.endswith(".html") else "application/octet-stream")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def upgraded(self):
        """Docker's attach: frames of a stream each way, in the connection of the request."""
        self.wfile.write(b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n"
                         b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        said = b""
        while True:
            more = self.connection.recv(65536)
            said += more
            if not more or b"\n" in said:
                break
        text = b"container says: " + said
        self.connection.sendall(struct.pack(">BxxxI", 1, len(text)) + text)
        self.server.attached.set()
        self.close_connection = True

    def h2c(self):
        """RFC 7540, 3.2: the request is stream 1 of the HTTP/2 connection."""
        try:
            import h2.config
            import h2.connection
        except ImportError:
            self.answer("h2 is not here\n")
            return
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        http2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        http2.initiate_upgrade_connection(self.headers["HTTP2-Settings"])
        text = b"hello by h2c\n"
        http2.send_headers(1, [(":status", "200"), ("content-length", str(len(text)))])
        http2.send_data(1, text, end_stream=True)
        self.connection.sendall(http2.data_to_send())
        while True:
            data = self.connection.recv(65536)
            if not data:
                break
            http2.receive_data(data)
            self.connection.sendall(http2.data_to_send())
        self.close_connection = True

    def any(self):
        host = self.headers.get("Host", "-")
        upgrade = self.headers.get("Upgrade", "")
        if self.path.startswith("/git/"):
            self.git()
            return
        if upgrade == "tcp":
            log(self.server.name, "attach", self.client_address[1], self.path, host)
            self.upgraded()
            return
        if upgrade == "h2c":
            log(self.server.name, "h2c", self.client_address[1], self.path, host)
            self.h2c()
            return
        got = sum(map(len, self.body()))
        log(self.server.name, "http", self.client_address[1], self.command, self.path, host, got,
            self.headers.get("Transfer-Encoding", "-"), self.request_version)
        path = self.path.split("?")[0]
        if path.startswith("/files/"):
            self.file()
        elif path.endswith("/_ping"):
            self.answer("OK")
        elif path.endswith("/json"):
            self.answer(json.dumps({
                "Id": "box", "Name": "/box", "State": {"Running": True, "Status": "running"}, "HostConfig": {},
                "Config": {"Tty": False, "OpenStdin": True, "AttachStdin": True}}), "application/json")
        elif path.endswith("/wait"):
            # an engine sends the head at once, and the rest when the container has ended
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.server.attached.wait(20)
            self.wfile.write(b"10\r\n{\"StatusCode\":0}\r\n0\r\n\r\n")
        elif path.endswith("/_search"):
            self.answer(json.dumps({"took": got, "hits": []}), "application/json")
        else:
            self.answer("hello from %s at %d, got %d bytes\n" % (self.server.name, self.client_address[1], got),
                        "text/html")

    do_GET = do_HEAD = do_PUT = do_POST = any

    def log_message(self, *args):
        pass


class Lines(socketserver.StreamRequestHandler):
    """SMTP or IMAP, by the port."""
    timeout = 60

    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def handle(self):
        if self.server.server_address[1] == 25:
            self.smtp()
        else:
            self.imap()

    def smtp(self):
        self.say("220 lab ESMTP")
        while True:
            line = self.rfile.readline().decode(errors="replace").strip()
            word = line.split(" ")[0].upper()
            if not line:
                return
            if word == "EHLO":
                self.say("250-lab\r\n250-8BITMIME\r\n250 SIZE 10000000")
            elif word == "DATA":
                self.say("354 go on")
                size = 0
                while True:
                    data = self.rfile.readline()
                    if data in (b".\r\n", b""):
                        break
                    size += len(data)
                log(self.server.name, "mail", self.client_address[1], size)
                self.say("250 taken")
            elif word == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")

    def imap(self):
        self.say("* OK lab IMAP4rev1")
        while True:
            line = self.rfile.readline().decode(errors="replace").strip()
            if not line:
                return
            tag, _, rest = line.partition(" ")
            word = rest.split(" ")[0].upper()
            if word == "CAPABILITY":
                self.say("* CAPABILITY IMAP4rev1")
            elif word == "SELECT":
                self.say("* 3 EXISTS")
                log(self.server.name, "imap", self.client_address[1], rest)
            elif word == "LOGOUT":
                self.say("* BYE")
            self.say("%s OK done" % tag)
            if word == "LOGOUT":
                return


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, name, address, port, handler, context=None):
        self.address_family = family(address)
        self.name = name
        self.context = context
        self.attached = threading.Event()
        super().__init__((address, port), handler)

    def finish_request(self, request, client_address):
        request.settimeout(400)
        if self.context:
            request = self.context.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        log(self.name, "error", client_address[1], repr(sys.exc_info()[1]))


def echo(name, address, port):
    udp = socket.socket(family(address), socket.SOCK_DGRAM)
    udp.bind((address, port))
    while True:
        data, peer = udp.recvfrom(65536)
        log(name, "udp", peer[1], port, len(data))
        udp.sendto(data, peer)


def wire(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def odd_dns(address):
    def record(name, kind, data):
        return wire(name) + struct.pack(">HHIH", kind, 1, 30, len(data)) + data

    udp = socket.socket(family(address), socket.SOCK_DGRAM)
    udp.bind((address, 53))
    while True:
        query, peer = udp.recvfrom(4096)
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1").lower())
            at += query[at] + 1
        kind, = struct.unpack_from(">H", query, at + 1)
        name, target = ".".join(labels), "*.odd.test" if labels[0] == "star" else "x.cdn.example"
        answers = [record(target, 1, socket.inet_aton("198.18.0.20")), record(name, 5, wire(target))]
        if labels[0] == "star":
            answers.reverse()
        elif labels[0] == "flat":
            answers = [record(name, 1, socket.inet_aton("198.18.0.20"))]
        elif labels[0] != "last":
            answers = []
        answers = answers if kind == 1 else []
        udp.sendto(query[:2] + struct.pack(">HHHHH", 0x8180, 1, len(answers), 0, 0) + query[12:at + 5] +
                   b"".join(answers), peer)


def main():
    for argument in sys.argv[2:]:
        name, addresses = argument.split("=")
        if name == "dns":
            threading.Thread(target=odd_dns, args=(addresses,), daemon=True).start()
            continue
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.path.join(directory, name + ".pem"))
        for address in addresses.split(","):
            servers = [Server(name, address, port, Web) for port in (80, 2375)]
            servers += [Server(name, address, 443, Web, context)]
            servers += [Server(name, address, port, Lines) for port in (25, 143)]
            for server in servers:
                threading.Thread(target=server.serve_forever, daemon=True).start()
            for port in (443, 51820):
                threading.Thread(target=echo, args=(name, address, port), daemon=True).start()
    with open(os.path.join(directory, "clients.ready"), "w") as ready:
        ready.write("ready\n")
    threading.Event().wait()


main()
