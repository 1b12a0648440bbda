#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A DNS server (UDP and TCP, port 53) for answers that dnsmasq does not give.

Usage: odd_dns.py DIR ADDRESS

  tc.test       UDP: truncated (TC=1, no answers); TCP: 198.18.0.2
  many.test     30 A records, 198.18.0.2 the last; the others 198.18.1.1 to 198.18.1.29
  wrongid.test  first an answer with another id and 198.18.0.66, then the right one, 198.18.0.2
  extra.test    198.18.0.2, and beside it A records for evil.test in the answer and the additional part
  widen.test    CNAME good.test, A of good.test, and an A of a name that is not in the chain
  ttl0.test     198.18.0.2 with TTL 0
  mixed.test    198.18.0.2 and 10.0.0.1 in one answer
  mapped.test   AAAA ::ffff:10.0.0.1
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


def answer(query, tcp):
    """Returns the messages to send."""
    query_id = struct.unpack("!H", query[:2])[0]
    name, rtype, question = parse(query)
    print("query", "tcp" if tcp else "udp", name, rtype, file=log_file)
    good = "198.18.0.2"
    if name == "mapped.test" and rtype == AAAA:
        data = socket.inet_pton(socket.AF_INET6, "::ffff:10.0.0.1")
        return [message(query_id, question, [record(name, AAAA, data)])]
    known = ("tc.test", "many.test", "wrongid.test", "extra.test", "widen.test", "ttl0.test",
             "mixed.test", "mapped.test")
    if name not in known:
        return [message(query_id, question, [], flags=0x8183)]
    if rtype != A:
        return [message(query_id, question, [])]
    if name == "tc.test":
        if not tcp:
            return [message(query_id, question, [], flags=0x8380)]
        return [message(query_id, question, [a(name, good)])]
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
                self.wfile.write(struct.pack("!H", len(reply)) + reply)


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
                udp.sendto(reply, peer)
        except (IndexError, struct.error):
            print("malformed", len(query), file=log_file)


main()
