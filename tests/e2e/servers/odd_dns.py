#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A DNS server (UDP and TCP, port 53) for answers that dnsmasq does not give.

Usage: odd_dns.py DIR ADDRESS

  tc.test       UDP: truncated (TC=1, no answers); TCP: 198.18.0.2
  many.test     30 A records, 198.18.0.2 the last; the others 198.18.1.1 to 198.18.1.29
  lots.test     100 A and 100 AAAA records, the last of them 198.18.0.2 and 2001:db8:5a11::2
  lots-N.test   the same with N of each
  brief.test    198.18.0.2 and 2001:db8:5a11::2, with a TTL of 1
  flat.test     one address, under the name edge.cdn.test, to which nothing leads
  wrongid.test  first an answer with another id and 198.18.0.66, then the right one, 198.18.0.2
  extra.test    198.18.0.2, and beside it A records for evil.test in the answer and the additional part
  widen.test    CNAME good.test, A of good.test, and an A of a name that is not in the chain
  ttl0.test     198.18.0.2 with TTL 0
  mixed.test    198.18.0.2 and 10.0.0.1 in one answer
  mapped.test   AAAA ::ffff:10.0.0.1
  OP.HEX.odd.test   an answer that is odd in the way OP says (see odd()), about the address HEX (8 or 32 digits);
                OP may end in "-then": the right answer, 198.18.0.2, comes behind it
Any other name: NXDOMAIN. Writes DIR/odd_dns.log ("query PROTOCOL NAME TYPE") and DIR/odd_dns.ready.
"""
import os
import socket
import socketserver
import struct
import sys
import threading

directory, address = sys.argv[1:3]
log_file = open(os.path.join(directory, "odd_dns.log"), "a", buffering=1)
A, CNAME, AAAA = 1, 5, 28


def wire(name):
    return b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\0"


def record(name, rtype, data, ttl=30):
    return wire(name) + struct.pack("!HHIH", rtype, 1, ttl, len(data)) + data


def a(name, text, ttl=30):
    return record(name, A, socket.inet_aton(text), ttl)


def parse(query):
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1"))
        at += query[at] + 1
    rtype = struct.unpack("!H", query[at + 1:at + 3])[0]
    return ".".join(labels).lower(), rtype, query[12:at + 5]


def message(query_id, question, answers, extra=(), flags=0x8180):
    return struct.pack("!6H", query_id, flags, 1, len(answers), 0, len(extra)) + question + \
        b"".join(answers) + b"".join(extra)


def at(pointer):
    return struct.pack("!H", 0xc000 | pointer)


def odd(op, query_id, question, rtype, name, data):
    """Messages for OP.HEX.odd.test; a tuple is (message, another source, another target port)."""
    kind = A if len(data) == 4 else AAAA

    def rr(owner=name, **more):
        return record(owner, more.pop("rtype", kind), more.pop("data", data), **more)

    def usual(answers, extra=(), **more):
        return message(more.pop("id", query_id), more.pop("question", question), answers, extra, **more)

    def raw(counts, rest, flags=0x8180):
        return struct.pack("!6H", query_id, flags, *counts) + rest

    third, fourth = "third.test", "fourth.test"
    other = wire("x.odd.test") + question[-4:]
    right = usual([a(name, "198.18.0.2")])
    if op.startswith("ttl"):
        return [usual([rr(ttl=int(op[3:]))])]
    if op.startswith("to"):
        return [(usual([rr()]), None, int(op[2:]))]
    if op.startswith("alias"):  # a chain of so many CNAMEs
        names = [name] + [f"c{i}.test" for i in range(int(op[5:]))]
        return [usual([record(one, CNAME, wire(two)) for one, two in zip(names, names[1:])] + [rr(names[-1])])]
    if op.startswith("late"):  # behind so many other records
        return [usual([at(12) + struct.pack("!HHIH", 16, 1, 30, 2) + b"\x01x"] * int(op[4:]) + [rr()])]
    return {
        "a": lambda: [usual([rr()])],
        "tc": lambda: [usual([], flags=0x8380)],
        "id": lambda: [usual([rr()], id=query_id ^ 0x5555)],
        "port": lambda: [(usual([rr()]), address, None)],
        "src": lambda: [(usual([rr()]), "198.18.0.66", None)],
        "name": lambda: [usual([rr("x.odd.test")], question=other)],
        "names": lambda: [usual([rr()], question=other)],
        "type": lambda: [usual([rr()], question=question[:-4] + struct.pack("!HH", AAAA + A - rtype, 1))],
        "class": lambda: [usual([rr()], question=question[:-2] + b"\0\3")],
        "noq": lambda: [raw((0, 1, 0, 0), rr())],
        "twoq": lambda: [raw((2, 1, 0, 0), other + question + rr()), raw((2, 1, 0, 0), question * 2 + rr())],
        "query": lambda: [usual([rr()], flags=0x0100)],
        "opcode": lambda: [usual([rr()], flags=0xa180)],
        "error": lambda: [usual([rr()], flags=0x8183)],
        "twice": lambda: [usual([]), usual([rr()])],
        "refused": lambda: [usual([], flags=0x8185), usual([rr()])],
        "extra": lambda: [message(query_id, question, [], [rr()])],
        "authority": lambda: [raw((1, 0, 1, 0), question + rr())],
        "other": lambda: [usual([rr(third), a(name, "198.18.0.2"), rr(third)])],
        "parent": lambda: [usual([rr("odd.test"), rr("test"), rr("x." + name)])],
        "before": lambda: [usual([rr(third), record(name, CNAME, wire(third))])],
        "aside": lambda: [usual([record(name, CNAME, wire(third)), record(fourth, CNAME, wire("x.test")),
                                 rr("x.test")])],
        "left": lambda: [usual([record(name, CNAME, wire(third)), rr()])],
        "loop": lambda: [usual([record(name, CNAME, wire(third)), record(third, CNAME, wire(name)),
                                record(name, CNAME, wire(third)), rr(fourth)])],
        "dname": lambda: [usual([record("odd.test", 39, wire(third)), rr(third)])],
        "chaos": lambda: [usual([wire(name) + struct.pack("!HHIH", kind, 3, 30, len(data)) + data])],
        "hint": lambda: [usual([rr(rtype=65, data=b"\0\1\0" + struct.pack("!HH", 4 if kind == A else 6, len(data)) +
                                   data), rr(third)])],
        "svcb": lambda: [usual([rr(rtype=64, data=b"\0\1\0" + struct.pack("!HH", 4 if kind == A else 6, len(data)) +
                                   data), rr(third)])],
        "srv": lambda: [usual([rr(rtype=33, data=struct.pack("!HHH", 0, 0, 80) + wire(third))], [rr(third)])],
        "mx": lambda: [usual([rr(rtype=15, data=b"\0\1" + wire(third))], [rr(third)])],
        "glue": lambda: [raw((1, 0, 1, 1), question + record(name, 2, wire(third)) + rr(third))],
        "unknown": lambda: [usual([rr(rtype=65280)])],
        "long": lambda: [usual([rr(data=data + b"\0")])],
        "short": lambda: [usual([rr(data=data[:-1])])],
        "forward": lambda: [raw((1, 2, 0, 0), question + at(28 + len(question)) + struct.pack("!HHIH", 16, 1, 30, 0) +
                                b"\0\0\0\0" + rr())],
        "self": lambda: [raw((1, 2, 0, 0), question + at(12 + len(question)) + struct.pack("!HHIH", 16, 1, 30, 0) +
                             rr())],
        "header": lambda: [raw((1, 2, 0, 0), question + at(0) + struct.pack("!HHIH", 16, 1, 30, 0) + rr())],
        "behind": lambda: [raw((1, 0, 0, 0), question + rr())],
        "cut": lambda: [usual([rr()])[:-1]],
        "early": lambda: [usual([rr("silent" + name[5:])], question=wire("silent" + name[5:]) + question[-4:])],
        "silent": lambda: [],
        "then": lambda: [right],
    }[op]()


def odd_messages(query_id, question, rtype, name):
    op, digits = name.split(".")[:2]
    then = op.endswith("-then")
    messages = odd(op[:-5] if then else op, query_id, question, rtype, name, bytes.fromhex(digits))
    return messages + (odd("then", query_id, question, rtype, name, b"") if then else [])


def lots(query, query_id, question, rtype, count, tcp):
    good = "198.18.0.2" if rtype == A else "2001:db8:5a11::2"
    one, data = (b"", b"") if rtype not in (A, AAAA) else (
        at(12) + struct.pack("!HHIH", rtype, 1, 30, 4 if rtype == A else 16),
        [socket.inet_pton(socket.AF_INET, f"198.19.{i >> 8}.{i & 255}") if rtype == A else
         socket.inet_pton(socket.AF_INET6, f"2001:db8:5a11:1::{i:x}") for i in range(1, count)])
    answers = [one + each for each in data]
    if answers:
        answers.append(one + socket.inet_pton(socket.AF_INET if rtype == A else socket.AF_INET6, good))
    whole = message(query_id, question, answers)
    room = 512
    if query[11] == 1:  # the size that an OPT record gives
        room = struct.unpack("!H", query[12 + len(question) + 3:12 + len(question) + 5])[0]
    return [whole if tcp or len(whole) <= room else message(query_id, question, [], flags=0x8380)]


def answer(query, tcp):
    """Returns the messages to send."""
    query_id = struct.unpack("!H", query[:2])[0]
    name, rtype, question = parse(query)
    print("query", "tcp" if tcp else "udp", name, rtype, file=log_file)
    good = "198.18.0.2"
    if name.endswith(".odd.test"):
        return odd_messages(query_id, question, rtype, name)
    if name == "mapped.test" and rtype == AAAA:
        data = socket.inet_pton(socket.AF_INET6, "::ffff:10.0.0.1")
        return [message(query_id, question, [record(name, AAAA, data)])]
    if name.startswith("lots"):
        return lots(query, query_id, question, rtype, int(name[5:-5] or 100), tcp)
    if name == "brief.test" and rtype in (A, AAAA):
        return [message(query_id, question, [a(name, good, 1) if rtype == A else record(
            name, AAAA, socket.inet_pton(socket.AF_INET6, "2001:db8:5a11::2"), 1)])]
    known = ("flat.test", "tc.test", "many.test", "wrongid.test", "extra.test", "widen.test", "ttl0.test",
             "mixed.test", "mapped.test")
    if name not in known:
        return [message(query_id, question, [], flags=0x8183)]
    if rtype != A:
        return [message(query_id, question, [])]
    if name == "tc.test":
        if not tcp:
            return [message(query_id, question, [], flags=0x8380)]
        return [message(query_id, question, [a(name, good)])]
    if name == "flat.test":
        return [message(query_id, question, [a("edge.cdn.test", good)])]
    if name == "many.test":
        answers = [a(name, f"198.18.1.{i}") for i in range(1, 30)] + [a(name, good)]
        return [message(query_id, question, answers)]
    if name == "wrongid.test":
        return [message(query_id ^ 0x5555, question, [a(name, "198.18.0.66")]),
                message(query_id, question, [a(name, good)])]
    if name == "extra.test":
        other = a("evil.test", "198.18.0.66")
        return [message(query_id, question, [a(name, good), other], [other])]
    if name == "widen.test":
        return [message(query_id, question, [record(name, CNAME, wire("good.test")),
                                             a("good.test", good), a("other.test", "198.18.0.66")])]
    if name == "ttl0.test":
        return [message(query_id, question, [a(name, good, 0)])]
    if name == "mixed.test":
        return [message(query_id, question, [a(name, good), a(name, "10.0.0.1")])]
    return [message(query_id, question, [])]


class Tcp(socketserver.StreamRequestHandler):
    def handle(self):
        while True:
            head = self.rfile.read(2)
            if len(head) < 2:
                return
            for reply in answer(self.rfile.read(struct.unpack("!H", head)[0]), True):
                reply = reply[0] if isinstance(reply, tuple) else reply
                self.wfile.write(struct.pack("!H", len(reply)) + reply)


def send(udp, reply, peer):
    if not isinstance(reply, tuple):
        udp.sendto(reply, peer)
        return
    reply, source, port = reply
    if source is None:
        udp.sendto(reply, (peer[0], port))
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((source, 53) if source != address else (address, 0))
        sock.sendto(reply, peer)


def main():
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    socketserver.ThreadingTCPServer.daemon_threads = True
    tcp = socketserver.ThreadingTCPServer((address, 53), Tcp)
    threading.Thread(target=tcp.serve_forever, daemon=True).start()
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((address, 53))
    with open(os.path.join(directory, "odd_dns.ready"), "w") as ready:
        ready.write("ready\n")
    while True:
        query, peer = udp.recvfrom(65536)
        try:
            for reply in answer(query, False):
                send(udp, reply, peer)
        except (IndexError, KeyError, ValueError, struct.error):
            print("malformed", len(query), file=log_file)


main()
