#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A DNS server (UDP and TCP, port 53) that knows any number of names below wide.test, and a TCP
echo server on port 8080 of every address of the host: for tests that fill maps, flood, and soak.

Usage: wide.py DIR DNS-ADDRESS

  aN-ANYTHING.wide.test     A 198.19.0.0 + N (N modulo 65536)
  mN-ANYTHING.wide.test     64 A records, 198.19.0.0 + 64 * N and on (N modulo 1024)
  sANYTHING.wide.test       no answer at all

The label may be followed by others before wide.test. Any other name: NXDOMAIN; any type but A: no
records. TTL 30. 198.19.0.0/16 must be local to the host: `ip route add local 198.19.0.0/16 dev lo`.
Writes DIR/wide.ready. Keeps no log: a soak asks a million questions.
"""
import os
import re
import selectors
import socket
import struct
import sys

directory, address = sys.argv[1:3]
LABEL = re.compile(rb"^([ams])([0-9]*)")
NET = struct.unpack("!I", socket.inet_aton("198.19.0.0"))[0]
FLAGS = struct.Struct("!HHHHH")
A = 1


def answer(query):
    """The answer to a query, or None."""
    at = 12
    labels = []
    while at < len(query) and query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].lower())
        at += query[at] + 1
    question = query[12:at + 5]
    if len(question) < 5:
        return None
    match = LABEL.match(labels[0]) if labels[-2:] == [b"wide", b"test"] else None
    if not match:
        return query[:2] + FLAGS.pack(0x8183, 1, 0, 0, 0) + question
    kind, number = match.group(1), int(match.group(2) or 0)
    if kind == b"s":
        return None
    addresses = []
    if struct.unpack("!H", question[-4:-2])[0] == A:
        addresses = [number] if kind == b"a" else range(64 * number, 64 * number + 64)
    records = b"".join(b"\xc0\x0c" + struct.pack("!HHIHI", A, 1, 30, 4, NET | (n & 0xffff))
                       for n in addresses)
    return query[:2] + FLAGS.pack(0x8180, 1, len(addresses), 0, 0) + question + records


selector = selectors.DefaultSelector()


def on_udp(sock):
    for _ in range(64):
        try:
            query, peer = sock.recvfrom(4096)
        except BlockingIOError:
            return
        message = answer(query)
        if message:
            try:
                sock.sendto(message, peer)
            except OSError:
                pass


def on_listener(sock, serve):
    for _ in range(64):
        try:
            connection, _ = sock.accept()
        except (BlockingIOError, ConnectionError):
            return
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_READ, serve)


def close(sock):
    selector.unregister(sock)
    sock.close()


def echo(sock):
    try:
        data = sock.recv(65536)
        if data and sock.send(data) == len(data):
            return
    except BlockingIOError:
        return
    except OSError:
        pass
    close(sock)


def tcp_dns(sock):
    # One whole query a segment: all that a sandbox is allowed to send.
    try:
        data = sock.recv(65536)
        message = answer(data[2:]) if data else None
        if message:
            sock.send(struct.pack("!H", len(message)) + message)
        if data:
            return
    except BlockingIOError:
        return
    except OSError:
        pass
    close(sock)


udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
udp.bind((address, 53))
udp.setblocking(False)
selector.register(udp, selectors.EVENT_READ, on_udp)
for where, server in (((address, 53), tcp_dns), (("0.0.0.0", 8080), echo)):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(where)
    listener.listen(1024)
    listener.setblocking(False)
    selector.register(listener, selectors.EVENT_READ, lambda s, server=server: on_listener(s, server))
with open(os.path.join(directory, "wide.ready"), "w") as ready:
    ready.write("ready\n")
while True:
    for key, _ in selector.select():
        key.data(key.fileobj)
