#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Echo servers, TCP and UDP, on port 7777 (with --self: 7778).

  listen.py BASE ADDRESS...        serves; writes BASE.self (pid), BASE.ready and BASE.log
  listen.py --self BIND [TARGET]   serves and is its own client, TCP and UDP; exit 0 if both echo
  listen.py --group BIND           the same with SO_REUSEPORT, UDP only
  listen.py --reuse BIND PEER      two UDP sockets on one port: only once the first is connected to PEER,
                                   and then both are out of one's own reach; exit 0 if so
  listen.py --each BIND COUNT      a UDP server that connects its socket to each client, and binds another
                                   for the next (as iperf3 does, and ncat); exit 0 after COUNT
  listen.py --again BIND           400 connections to itself, which the server closes first; exit 0 if all pass
"""
import os
import selectors
import socket
import sys
import threading

PORT = 7778 if sys.argv[1].startswith("--") else 7777


def make(kind, address):
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sys.argv[1] == "--group":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((address, PORT))
    if kind == socket.SOCK_STREAM:
        sock.listen()
    return sock


def serve(addresses, log):
    selector = selectors.DefaultSelector()
    for address in addresses:
        selector.register(make(socket.SOCK_STREAM, address), selectors.EVENT_READ, "tcp")
        selector.register(make(socket.SOCK_DGRAM, address), selectors.EVENT_READ, "udp")
    yield
    while True:
        for key, _ in selector.select():
            if key.data == "udp":
                data, peer = key.fileobj.recvfrom(1000)
                log("udp", peer)
                key.fileobj.sendto(data, peer)
            else:
                sock, peer = key.fileobj.accept()
                log("tcp", peer)
                sock.settimeout(5)
                try:
                    sock.sendall(sock.recv(1000))
                except OSError:
                    pass
                sock.close()


def again(bind):
    listener = make(socket.SOCK_STREAM, bind)
    for count in range(400):
        sock = socket.socket(listener.family, socket.SOCK_STREAM)
        sock.settimeout(5)
        try:
            sock.connect((bind, PORT))
        except OSError as error:
            print(f"connection {count}: {error}")
            return 1
        peer, _ = listener.accept()
        peer.sendall(b"hello")
        peer.close()
        if sock.recv(10) != b"hello" or sock.recv(10) != b"":
            return 1
        sock.close()
    return 0


def own(bind, target):
    server = serve([bind], lambda *_: None)
    next(server)
    threading.Thread(target=lambda: next(server), daemon=True).start()
    kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM) if sys.argv[1] == "--self" else (socket.SOCK_DGRAM,)
    for kind in kinds:
        sock = socket.socket(socket.AF_INET6 if ":" in target else socket.AF_INET, kind)
        sock.settimeout(5)
        try:
            sock.connect((target, PORT))
            sock.send(b"hello")
            if sock.recv(100) != b"hello":
                return 1
        except OSError as error:
            print(f"{kind} {error}")
            return 1
    return 0


def reuse(bind, peer):
    first = make(socket.SOCK_DGRAM, bind)
    try:
        make(socket.SOCK_DGRAM, bind)
        print("two share a port that nobody needs to share")
        return 1
    except OSError:
        pass
    first.connect((peer, 5000))
    second = make(socket.SOCK_DGRAM, bind)
    second.settimeout(1)
    client = socket.socket(second.family, socket.SOCK_DGRAM)
    try:
        client.sendto(b"hello", ("::1" if ":" in bind else "127.0.0.1", PORT))
        print("heard:", second.recv(100))
        return 1
    except PermissionError:
        return 0


def each(bind, count):
    clients = []
    listener = make(socket.SOCK_DGRAM, bind)
    for _ in range(int(count)):
        data, peer = listener.recvfrom(1000)
        listener.connect(peer)
        clients.append(listener)
        listener = make(socket.SOCK_DGRAM, bind)
        clients[-1].send(data)
    return 0


if sys.argv[1] == "--again":
    sys.exit(again(sys.argv[2]))
if sys.argv[1] in ("--self", "--group"):
    sys.exit(own(sys.argv[2], sys.argv[-1]))
if sys.argv[1] == "--each":
    sys.exit(each(*sys.argv[2:]))
if sys.argv[1] == "--reuse":
    sys.exit(reuse(*sys.argv[2:]))
base = sys.argv[1]
with open(base + ".self", "w") as file:
    file.write(str(os.getpid()))
log_file = open(base + ".log", "a", buffering=1)
server = serve(sys.argv[2:], lambda *words: print(*words, file=log_file))
next(server)
with open(base + ".ready", "w") as file:
    file.write("ready\n")
next(server)
