# SPDX-License-Identifier: GPL-2.0-or-later
"""Sends to a denied address from many ports, so that each packet would be a connection of its own.

Usage: probes.py MODE ADDRESS PORT COUNT

  connected   UDP: connect() and send()
  sendto      UDP: sendto(), with a listener of its own on that port: the address might be the host's
  tcp         connect(), with such a listener

Prints the seconds that it took, and how many were refused at the call and at the packet.
"""
import collections
import errno
import socket
import sys
import time

mode, address, port, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
kind = socket.SOCK_STREAM if mode == "tcp" else socket.SOCK_DGRAM
said = collections.Counter()

if mode != "connected":
    listener = socket.socket(family, kind)
    listener.bind(("", port))
    if mode == "tcp":
        listener.listen()

begin = time.monotonic()
for _ in range(count):
    sock = socket.socket(family, kind)
    sock.setblocking(False)
    try:
        if mode == "sendto":
            sock.sendto(b"denied", (address, port))
        else:
            sock.connect((address, port))
            sock.send(b"denied")
        said["sent"] += 1
    except OSError as error:
        said[errno.errorcode[error.errno]] += 1
    sock.close()
print(f"{time.monotonic() - begin:.3f}", *(f"{word}={n}" for word, n in sorted(said.items())))
