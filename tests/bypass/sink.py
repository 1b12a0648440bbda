#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads what comes on TCP and UDP ports of every address, and sends it back. Usage: sink.py READY-FILE PORT,PORT,..."""
import selectors
import socket
import sys

ready, ports = sys.argv[1], [int(port) for port in sys.argv[2].split(",")]
selector = selectors.DefaultSelector()
for port in ports:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        sock = socket.socket(socket.AF_INET6, kind)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if kind == socket.SOCK_DGRAM:
            # the answer comes from the address that was asked
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        sock.bind(("::", port))
        sock.setblocking(False)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.IPPROTO_TCP, 23, 16)  # TCP_FASTOPEN
            sock.listen(16)
        selector.register(sock, selectors.EVENT_READ, kind)
with open(ready, "w") as file:
    file.write("ready\n")
while True:
    for key, _ in selector.select():
        sock = key.fileobj
        try:
            if key.data == socket.SOCK_STREAM:
                connection, _ = sock.accept()
                connection.setblocking(False)
                selector.register(connection, selectors.EVENT_READ, None)
            elif key.data == socket.SOCK_DGRAM:
                data, ancillary, _, peer = sock.recvmsg(65536, 1000)
                sock.sendmsg([data], ancillary, 0, peer)
            else:
                data = sock.recv(65536)
                if not data:
                    raise OSError
                sock.send(data)
        except OSError:
            if key.data is None:
                selector.unregister(sock)
                sock.close()
