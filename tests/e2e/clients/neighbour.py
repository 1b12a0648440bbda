#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A sandbox that minds its own business beside others: look-ups and connections, timed.

Usage: neighbour.py DIR SECONDS CPU RESOLVER

Learns a6-quiet.wide.test once, writes DIR/ready and waits for DIR/go; then for SECONDS asks for a new
name, connects to its address, and connects to the address learned before, which it does not ask for
again. CPU -1: any. Prints a line of JSON: how many of each, failures, milliseconds (median, p99).
"""
import json
import os
import socket
import statistics
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wide  # noqa: E402

directory, seconds, cpu, resolver = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
if cpu >= 0:
    os.sched_setaffinity(0, {cpu})
names = wide.Resolver(resolver, timeout=1)
times = {"look-up": [], "connection": [], "old address": []}
failed = {what: 0 for what in times}
errors = {}


def timed(what, step):
    began = time.monotonic()
    try:
        result = step()
    except OSError as error:
        failed[what] += 1
        errors[repr(error)] = errors.get(repr(error), 0) + 1
        return None
    times[what].append((time.monotonic() - began) * 1000)
    return result


def look_up(name):
    message = names.ask(name)
    if not message or not wide.addresses(message):
        raise TimeoutError("no answer")
    return wide.addresses(message)[0]


def connect(address):
    with socket.create_connection((address, 8080), timeout=2) as sock:
        sock.sendall(b"hello")
        if sock.recv(100) != b"hello":
            raise ConnectionError("no echo")


old = look_up("a6-quiet.wide.test")
with open(os.path.join(directory, "ready"), "w") as ready:
    ready.write("ready\n")
while not os.path.exists(os.path.join(directory, "go")):
    time.sleep(0.01)
end = time.monotonic() + seconds
i = 0
while time.monotonic() < end:
    address = timed("look-up", lambda: look_up(f"a{1000 + i}-{os.getpid()}.wide.test"))
    if address:
        timed("connection", lambda: connect(address))
    timed("old address", lambda: connect(old))
    i += 1
    time.sleep(0.002)


def summary(values):
    if not values:
        return {"median": None, "p99": None}
    values.sort()
    return {"median": round(statistics.median(values), 3),
            "p99": round(values[min(len(values) - 1, int(len(values) * 0.99))], 3)}


print(json.dumps({what: {"done": len(times[what]), "failed": failed[what], **summary(times[what])}
                  for what in times} | {"errors": errors}))
