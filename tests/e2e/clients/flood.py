#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Does one thing as fast as it can. Usage: flood.py WHAT SECONDS RESOLVER

  names        asks for new allowed names with 64 addresses each
  denied       sends queries for denied names, and reads no answer
  connections  connects and sends half a ClientHello, keeps 300 such connections; and whole connections
"""
import collections
import os
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wide  # noqa: E402

what, seconds, where = sys.argv[1], float(sys.argv[2]), sys.argv[3]
end = time.monotonic() + seconds
count = refused = 0
resolver = wide.Resolver(where)


def names(n):
    resolver.ask(f"m{n}-{n}.wide.test")


def denied(n):
    resolver.sock.send(wide.query(f"x{n}.evil.test", qid=n & 0xffff))


held = collections.deque()


def connections(n):
    with socket.create_connection((address, 8080), timeout=2) as sock:
        sock.send(b"hello")
    half = socket.create_connection((good, 443), timeout=2)
    half.send(hello[:-10])
    held.append(half)
    if len(held) > 300:
        held.popleft().close()


if what == "connections":
    good = socket.gethostbyname("good.test")
    address = wide.addresses(resolver.ask("a77.wide.test"))[0]
    hello = wide.hello("good.test")
step = {f.__name__: f for f in (names, denied, connections)}[what]
while time.monotonic() < end:
    try:
        step(count)
    except OSError:
        refused += 1
    count += 1
print(f"{count} {what} in {seconds:.0f} s, {refused} refused")
