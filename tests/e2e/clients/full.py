#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Fills what a sandbox may hold, to the bound and over it, and looks what happens there and afterwards.

Usage: full.py MODE RESOLVER [ARGUMENT]...

  addresses   more addresses than can be learned; then, when they have expired, a new one
  pairs       more (address, name) pairs
  names       more names: connections go on, their events lack the name
  per_address a ninth name of one address
  messages    a seventeenth query in one segment of DNS over TCP
  waiting     queries of a socket that waits for two answers already
  pending     more unanswered queries; then, 20 s later, a new one
  streams     more handshakes in pieces than there are buffers; then one less
  memory      a socket that has used up the memory it may have for options
  requests N  N denied look-ups at once
  datagrams N N denied datagrams at once

Exit 0: it was as it must be. The policy of addresses, pairs and pending is
{"min_ttl": 1, "max_ttl": MAX}; what is learned lives MAX seconds.
"""
import errno
import os
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wide  # noqa: E402

mode, where = sys.argv[1:3]
arguments = sys.argv[3:]
ADDRESSES, PAIRS, NAMES, PENDING, STREAMS, STREAM = 8192, 16384, 4096, 2 + 4096, 256, 16896
GOOD = "198.18.0.2"
resolver = wide.Resolver(where, timeout=5)


def check(what, as_it_must):
    print(f"{'ok' if as_it_must else 'NOT OK'}: {what}", flush=True)
    if not as_it_must:
        sys.exit(1)


def connects(address, port=8080):
    with socket.socket() as sock:
        sock.settimeout(5)
        return sock.connect_ex((address, port)) == 0


def address(n):
    return f"198.19.{n >> 8}.{n & 255}"


def again_when_expired(seconds):
    """Another name, with another address, until it is learned; within `seconds`."""
    end = time.monotonic() + seconds
    n = 0
    while time.monotonic() < end:
        found = wide.addresses(resolver.ask(f"a{60000 + n}-again.wide.test"))[0]
        if connects(found):
            return True
        n += 1
        time.sleep(0.5)
    return False


def addresses():
    for n in range(ADDRESSES // 64):
        resolver.ask(f"m{n}-first.wide.test")
    check("the first is learned", connects(address(0)))
    check("the last is learned", connects(address(ADDRESSES - 1)))
    over = wide.addresses(resolver.ask("a50000.wide.test"))[0]
    check("one more is answered, but not learned", not connects(over))
    check("what was learned stays", connects(address(0)) and connects(address(4711)))
    check("after they have expired there is room again", again_when_expired(30))


def pairs():
    for n in range(PAIRS // 64):
        resolver.ask(f"m0-{n}.wide.test")
    check("the address is learned", connects(address(0)))
    over = wide.addresses(resolver.ask("a50000.wide.test"))[0]
    check("one more pair is not learned", not connects(over))
    check("what was learned stays", connects(address(1)))
    check("after they have expired there is room again", again_when_expired(30))


def names():
    for n in range(NAMES):
        resolver.ask(f"a{n % 1000}-{n}.wide.test")
    over = wide.addresses(resolver.ask("a50000.wide.test"))[0]
    check("an address whose name has no room is reached", connects(over))


def per_address():
    """Port 8080 is open to a7-0 alone."""
    for n in range(8):
        resolver.ask(f"a7-{n}.wide.test")
    check("one of eight names opens the port", connects(address(7)))
    resolver.ask("a7-8.wide.test")
    check("the first of nine does not", not connects(address(7)))
    resolver.ask("a7-0.wide.test")
    check("asked for again, it does", connects(address(7)))


def messages():
    """Queries in one segment of DNS over TCP."""
    for count, allowed in ((128, True), (129, False)):
        data = b""
        for n in range(count):
            question = wide.query(f"a{n}-{count}.wide.test", qid=n)
            data += struct.pack("!H", len(question)) + question
        with socket.create_connection((where, 53), timeout=5) as sock:
            check(f"{count} in a segment: {'answered' if allowed else 'refused'}", alive(sock, data) == allowed)


def waiting():
    def teaches(numbers):
        return all(connects(wide.addresses(resolver.ask(f"a{n}-waiting.wide.test"))[0]) for n in numbers)

    check("answers teach", teaches(range(8)))
    for _ in range(3):  # which nobody answers: two wait in the socket's own places, one in the map
        resolver.sock.send(wide.query("s.wide.test"))
    check("answers beside them do too", teaches(range(8, 16)))


def pending():
    question = wide.query("s.wide.test", qid=0)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect((where, 53))
    for n in range(PENDING):
        # another message each: the same id and name would be the same query
        sock.send(struct.pack("!H", n) + question[2:])
    time.sleep(1)  # until the reader of events has made room in their ring
    refused = 0
    for n in range(PENDING, PENDING + 10):
        try:
            sock.send(struct.pack("!H", n) + question[2:])
        except PermissionError:
            refused += 1
    check("what is over the bound is not sent", refused == 10)
    began = time.monotonic()
    while time.monotonic() < began + 40:
        time.sleep(1)
        try:
            sock.send(struct.pack("!H", PENDING + 10) + question[2:])
        except PermissionError:
            continue
        check("after 20 s there is room again", time.monotonic() > began + 15)
        return
    check("after 20 s there is room again", False)


def half(hello):
    sock = socket.create_connection((GOOD, 443), timeout=5)
    sock.sendall(hello[:-10])
    return sock


def alive(sock, rest):
    """Does the server answer when the rest is sent?"""
    try:
        sock.sendall(rest)
        return bool(sock.recv(100))
    except OSError:
        return False


def streams():
    hello = wide.hello("good.test")
    held = [half(hello) for _ in range(STREAMS)]
    time.sleep(0.2)
    over = half(hello)
    check("one over the bound is refused", not alive(over, hello[-10:]))
    with socket.create_connection((GOOD, 443), timeout=5) as whole:
        check("a handshake in one piece needs no buffer", alive(whole, hello))
    # over SP_RETAIN_MAX: it is kept in a buffer until it is acknowledged
    large = wide.hello("good.test", ["x" * 200 + str(n) for n in range(12)])
    with socket.create_connection((GOOD, 443), timeout=5) as whole:
        check(f"unless it has {len(large)} bytes", not alive(whole, large))
    check("those that have a buffer go on", alive(held[0], hello[-10:]) and alive(held[-1], hello[-10:]))
    for sock in held:
        sock.close()
    # until the server has closed its ends too, which takes a slow guest a while
    end = time.monotonic() + 30
    while not alive(half(hello), hello[-10:]) and time.monotonic() < end:
        time.sleep(0.2)
    check("there is room again", alive(half(hello), hello[-10:]))
    with socket.create_connection((GOOD, 443), timeout=5) as whole:
        check("for the large one too", alive(whole, large))


def memory():
    """TCP_MD5SIG keys are counted as memory for options, and so is what BPF keeps of a socket."""
    hello = wide.hello("good.test")
    sock = socket.socket()
    sock.settimeout(5)
    n = 0
    while n < 60000:
        peer = struct.pack("=HH4s120x", socket.AF_INET, 0, struct.pack("!I", 0x0a000000 + n))
        try:
            sock.setsockopt(socket.IPPROTO_TCP, 14, peer + struct.pack("=BBHi80s", 0, 0, 3, 0, b"key"))
        except OSError as error:
            if error.errno != errno.ENOMEM:
                print(f"# no TCP_MD5SIG: {error}")
                sys.exit(77)
            break
        n += 1
    print(f"# {n} keys")
    try:
        sock.connect((GOOD, 443))
        sock.sendall(hello[:-10])
        time.sleep(0.1)
        check("a handshake that nothing can be kept of is refused", not alive(sock, hello[-10:]))
    except OSError as error:
        check(f"a handshake that nothing can be kept of is refused ({error})", True)
    other = half(hello)
    check("another socket is not concerned", alive(other, hello[-10:]))


def requests(count):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect((where, 53))
    accepted = refused = 0
    for n in range(int(count)):
        try:
            sock.send(wide.query("x.evil.test", qid=n))
            accepted += 1
        except PermissionError:
            refused += 1
    print(f"# {accepted} to be answered, {refused} refused")
    check("some are to be answered, the rest is refused at once", accepted and refused)


def datagrams(count):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    passed = 0
    for n in range(int(count)):
        try:
            sock.sendto(b"hello", ("198.18.0.66", 5000))
            passed += 1
        except PermissionError:
            pass
    check("every datagram is refused", not passed)


{f.__name__: f for f in (addresses, pairs, names, per_address, messages, waiting, pending, streams, memory,
                         requests, datagrams)}[mode](*arguments)
