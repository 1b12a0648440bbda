#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""links.py watch ADDRESS FILE     sends a datagram to ADDRESS:9999 each 10 ms; when FILE appears, for 0.5 s more is given
                                to the change, then says "ok" or the error of each of 50 sends that differs
links.py by INTERFACE ADDRESS...   sends a datagram to each by IP_PKTINFO: "ok" or the error
"""
import errno
import os
import socket
import struct
import sys
import time

SLOW = float(os.environ.get("SP_SLOW", "1"))


def attempt(send):
    try:
        send()
        return "ok"
    except OSError as error:
        return errno.errorcode[error.errno]


def watch(address, file):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    end = time.monotonic() + 20 * SLOW
    print("before", attempt(lambda: sock.sendto(b"x", (address, 9999))), flush=True)
    while not os.path.exists(file) and time.monotonic() < end:
        attempt(lambda: sock.sendto(b"x", (address, 9999)))
        time.sleep(0.01)
    time.sleep(0.5 * SLOW)
    said = []
    for number in range(50):
        fresh = sock if number % 2 else socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        word = attempt(lambda: fresh.sendto(b"x", (address, 9999)))
        if word not in said:
            said.append(word)
        time.sleep(0.005)
    print("after", *said, flush=True)


def by(interface, *addresses):
    for address in addresses:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        info = struct.pack("=I4s4s", socket.if_nametoindex(interface), bytes(4), bytes(4))
        print(address, attempt(lambda: sock.sendmsg([b"x"], [(socket.IPPROTO_IP, 8, info)], 0, (address, 9999))))


{"watch": watch, "by": by}[sys.argv[1]](*sys.argv[2:])
