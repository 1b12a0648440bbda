#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""In the sandbox of a soak: everything a program can do on the network, again and again, each with
the outcome that it must have. Run by tests/soak/run.

Usage: churn.py REPORT SECONDS PAUSE CLIENTS-DIR

The policy allows good.test (also port 5000) and **.wide.test on port 8080. Writes REPORT (JSON:
rounds, what was done how often, and what came out otherwise than it must) every second. Exit 1 if
anything did.
"""
import collections
import errno
import json
import os
import socket
import ssl
import struct
import subprocess
import sys
import time

report, seconds, pause = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
sys.path.insert(0, sys.argv[4])
import wide  # noqa: E402

GOOD, EVIL, R, WIDE = "198.18.0.2", "198.18.0.66", "198.18.0.53", "198.18.0.56"
BURST = 70  # seconds; what was learned lives for 60
done, wrong, examples = collections.Counter(), collections.Counter(), {}
resolver, resolver_of_good = wide.Resolver(WIDE), wide.Resolver(R)
started = os.urandom(3).hex()  # names of this run are those of no other


def must(what, as_it_must, seen=None):
    done[what] += 1
    if not as_it_must:
        wrong[what] += 1
        examples.setdefault(what, repr(seen)[:200])


def name_then_connection(i):
    message = resolver.ask(f"a{50000 + i % 500}-{i}-{started}.wide.test")
    where = wide.addresses(message) if message else []
    must("allowed name", where, message)
    if not where:
        return
    with socket.create_connection((where[0], 8080), timeout=5) as sock:
        sock.sendall(b"hello")
        must("allowed connection", sock.recv(100) == b"hello")


def denied_name(i):
    message = resolver.ask(f"x{i}-{started}.evil.test")
    must("denied name", message and wide.rcode(message) == 3, message)


def unanswered(i):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((WIDE, 53))
        sock.send(wide.query(f"s{i}-{started}.wide.test"))
    must("unanswered name", True)


def burst(i):
    """Fills what the sandbox may learn: 7,040 of 8,192 addresses, all 4,096 names; so that what is
    old must be swept away again and again."""
    for n in range(110):
        must("name with 64 addresses", resolver.ask(f"m{n}-{i}-{started}.wide.test"))
    for n in range(4000):
        must("name of a burst", resolver.ask(f"a{n % 64}-{n}-{i}-{started}.wide.test"))


def allowed_over_tcp(i):
    over_tcp(i, f"a{i % 64}-{i}-tcp-{started}.wide.test", True)


def denied_over_tcp(i):
    over_tcp(i, f"x{i}-tcp-{started}.evil.test", False)


def over_tcp(i, name, allowed):
    question = wide.query(name, qid=i & 0xffff)
    data = b"?"
    with socket.create_connection((WIDE, 53), timeout=5) as sock:
        try:
            sock.sendall(struct.pack("!H", len(question)) + question)
            data = sock.recv(4096)
        except ConnectionError:
            data = b""
    must("allowed name over TCP" if allowed else "denied name over TCP", bool(data) == allowed, data)


def bare(_):
    with socket.socket() as sock:
        must("denied address", sock.connect_ex((EVIL, 443)) == errno.EHOSTUNREACH)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.sendto(b"hello", (EVIL, 5000))
            must("denied datagram", False)
        except PermissionError:
            must("denied datagram", True)


def datagram(_):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.sendto(b"hello", (GOOD, 5000))
        must("allowed datagram", sock.recv(100) == b"hello")


context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE


def tls(_):
    with socket.create_connection((GOOD, 443), timeout=5) as sock, \
            context.wrap_socket(sock, server_hostname="good.test") as secure:
        secure.sendall(b"GET / HTTP/1.1\r\nHost: good.test\r\nConnection: close\r\n\r\n")
        must("allowed handshake", b" 200 " in secure.recv(1000))


def refused(what, first, second=b""):
    with socket.create_connection((GOOD, 443), timeout=5) as sock:
        try:
            sock.sendall(first)
            if second:
                time.sleep(0.001)
                sock.sendall(second)
            data = sock.recv(1000)
        except OSError as error:
            data = b""
            must(what + ": at once", not isinstance(error, TimeoutError), error)
        must(what, not data, data)


def denied_handshake(i):
    hello = wide.hello(f"secret{i}-{started}.test")
    refused("denied handshake", hello)
    refused("denied handshake in pieces", hello[:100], hello[100:])


def half_handshake(_):
    with socket.create_connection((GOOD, 443), timeout=5) as sock:
        sock.sendall(wide.hello("good.test")[:200])
    must("half a handshake", True)


def http(_):
    with socket.create_connection((GOOD, 80), timeout=5) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: good.test\r\n\r\n")
        data = sock.recv(1000)
        while data and b"you asked for" not in data:
            more = sock.recv(1000)
            data = data + more if more else b""
        must("allowed request", b" 200 " in data)
        data = b"?"
        try:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: secret.test\r\n\r\n")
            data = sock.recv(1000)
        except OSError:
            data = b""
        must("denied second request", b" 200 " not in data, data)


def odd_sockets(_):
    for what, arguments in (("raw socket", (socket.AF_INET, socket.SOCK_RAW, 1)),
                            ("ping socket", (socket.AF_INET, socket.SOCK_DGRAM, 1))):
        try:
            socket.socket(*arguments).close()
            must(what, False)
        except OSError:
            must(what, True)
    with socket.socket() as sock:
        try:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
            must("low TTL", False)
        except PermissionError:
            must("low TTL", True)


def process(_):
    must("process", subprocess.run(["/bin/true"], check=False).returncode == 0)


# Each with how many rounds lie between two of it.
steps = (
    (1, name_then_connection), (1, denied_name), (2, bare), (2, datagram), (3, unanswered),
    (4, allowed_over_tcp), (4, denied_over_tcp),
    (8, tls), (8, denied_handshake), (8, half_handshake), (8, http), (10, odd_sockets), (40, process),
)


def write_report(rounds):
    with open(report + ".new", "w") as out:
        json.dump({"rounds": rounds, "done": done, "wrong": wrong, "examples": examples}, out)
    os.rename(report + ".new", report)


end = time.monotonic() + seconds
written = last_good = last_burst = 0.0
i = 0
while time.monotonic() < end:
    now = time.monotonic()
    if now - last_good > 20:
        message = resolver_of_good.ask("good.test")
        must("good.test", message and wide.addresses(message), message)
        last_good = now
    if now - last_burst > BURST:
        burst(i)
        last_burst = now
    for every, step in steps:
        if i % every == 0:
            try:
                step(i)
            except OSError as error:
                must(step.__name__, False, error)
    i += 1
    if now - written > 1:
        write_report(i)
        written = now
    time.sleep(pause)
write_report(i)
sys.exit(1 if wrong else 0)
