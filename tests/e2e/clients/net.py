#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Small network clients, one per command. Exit 0: bytes came back; 1: they did not.

  tcp ADDRESS PORT              connect, send 5 bytes, read them back
  udp ADDRESS PORT [connected]  the same over UDP
  http ADDRESS PORT HOST        an HTTP request, with "-" for no Host
  tls NAME ADDRESS PORT         prints the milliseconds from sending the ClientHello to the error
  split NAME ADDRESS PORT SIZE  TLS with the ClientHello in segments of SIZE bytes
  fastopen ADDRESS PORT         data in the SYN (MSG_FASTOPEN)
"""
import socket
import ssl
import struct
import sys
import time


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def connect(address, port):
    sock = socket.socket(family(address), socket.SOCK_STREAM)
    sock.settimeout(5)
    sock.connect((address, int(port)))
    return sock


def tcp(address, port):
    sock = connect(address, port)
    sock.sendall(b"hello")
    data = sock.recv(100)
    while data and b"hello" not in data:
        data = sock.recv(100)
    return bool(data)


def udp(address, port, connected=""):
    sock = socket.socket(family(address), socket.SOCK_DGRAM)
    sock.settimeout(2)
    if connected:
        sock.connect((address, int(port)))
        sock.send(b"hello")
    else:
        sock.sendto(b"hello", (address, int(port)))
    return sock.recv(100) == b"hello"


def http(address, port, host):
    sock = connect(address, port)
    head = "" if host == "-" else f"Host: {host}\r\n"
    sock.sendall(f"GET / HTTP/1.1\r\n{head}Connection: close\r\n\r\n".encode())
    data = sock.recv(1000)
    print(data.decode("latin-1"))
    return b"hello from" in data or b" 200 " in data


class Segments:
    """A TLS client whose records go through memory, so that it is known what is sent when."""

    def __init__(self, name, sock):
        self.sock, self.incoming, self.outgoing = sock, ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name or None)

    def handshake(self, size):
        sent = None
        while True:
            try:
                self.tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                done = False
            data = self.outgoing.read()
            if data:
                sent = time.monotonic()
                for at in range(0, len(data), size):
                    self.sock.sendall(data[at:at + size])
            if done:
                return True
            try:
                data = self.sock.recv(65536)
            except OSError as error:
                print(f"{(time.monotonic() - sent) * 1000:.2f} {error.__class__.__name__}")
                return False
            if not data:
                print(f"{(time.monotonic() - sent) * 1000:.2f} end")
                return False
            self.incoming.write(data)


def tls(name, address, port):
    sock = connect(address, port)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Segments(name, sock).handshake(1 << 20)


def split(name, address, port, size):
    sock = connect(address, port)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Segments(name, sock).handshake(int(size))


def fastopen(address, port):
    # Time-outs of the kernel: with those of Python the socket would not block, and EINPROGRESS.
    sock = socket.socket(family(address), socket.SOCK_STREAM)
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", 5, 0))
    sock.sendto(b"hello", socket.MSG_FASTOPEN, (address, int(port)))
    data = sock.recv(100)
    while data and b"hello" not in data:
        data = sock.recv(100)
    return bool(data)


commands = {f.__name__: f for f in (tcp, udp, http, tls, split, fastopen)}
try:
    sys.exit(0 if commands[sys.argv[1]](*sys.argv[2:]) else 1)
except OSError as error:
    print(f"{error.__class__.__name__} {error.errno} {error}")
    sys.exit(1)
