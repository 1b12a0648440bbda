# SPDX-License-Identifier: GPL-2.0-or-later
"""Section C of THREATS.md: DNS.

A query that must not get out carries the marker: in its name (t.name, which is denied in phase "deny"), or, where
the name has to be an allowed one for the technique, elsewhere. An answer that must teach nothing comes from R3
(tests/e2e/servers/odd_dns.py, a trusted resolver of policies/odd.json) and is about the target's address, which is
then dialled.
"""
import ctypes
import errno
import fcntl
import ipaddress
import os
import select
import socket
import ssl
import struct
import threading
import time

from technique import (CDN4, CDN6, EVIL4, EVIL_RESOLVER4, EVIL_RESOLVER6, GOOD4, GOOD6, RESOLVER4, RESOLVER6, SELF4,
                       SLOW, NotHere, resolve, technique)

A, NS, PTR, MX, TXT, AAAA, SRV, OPT, SVCB, HTTPS = 1, 2, 12, 15, 16, 28, 33, 41, 64, 65
IN, CHAOS, HESIOD, NONE, ANY = 1, 3, 4, 254, 255
ODD_RESOLVER4 = "198.18.0.55"
SAFE = "good.test"
OPTIONS_STATED = "EDNS options of an allowed query reach the resolver"


# ---- messages ------------------------------------------------------------------------------------

def label(data):
    return bytes([len(data)]) + data


def wire(name):
    return b"".join(label(part.encode()) for part in name.split(".")) + b"\0"


def question(name, qtype=A, qclass=IN):
    return (wire(name) if isinstance(name, str) else name) + struct.pack("!HH", qtype, qclass)


def header(flags=0x0100, counts=(1, 0, 0, 0), query_id=0x5350):
    return struct.pack("!6H", query_id, flags, *counts)


def query(name, qtype=A, qclass=IN, tail=b"", **more):
    return header(**more) + question(name, qtype, qclass) + tail


def record(owner, rtype, data, ttl=0, rclass=IN):
    return owner + struct.pack("!HHIH", rtype, rclass, ttl, len(data)) + data


def option(code, data):
    return struct.pack("!HH", code, len(data)) + data


def opt(*options, size=1232):
    return record(b"\0", OPT, b"".join(options), rclass=size)


def with_opt(name, *options, qtype=A):
    return query(name, qtype, tail=opt(*options), counts=(1, 0, 0, 1))


def prefixed(*messages):
    return b"".join(struct.pack("!H", len(message)) + message for message in messages)


def wild(t):
    """A name that is allowed in every phase, and has the marker in it."""
    return f"{t.marker.decode()}.wild.test"


# ---- ways to the resolver ------------------------------------------------------------------------

def family(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def ask(t, message, host=RESOLVER4, port=53):
    sock = t.udp(family(host))
    try:
        sock.bind(("", t.port))  # by which events about what has no name are known as this technique's
    except OSError:
        pass  # a technique that asks twice
    sock.sendto(message, (host, port))
    stay(t, sock)
    return sock


def stay(t, *socks):
    """Keeps sockets until sallyport's answer is there: what a closed one does is C18."""
    if t.phase != "outside":
        select.select(socks, [], [], 0.1 * SLOW)


def tcp(t, host=RESOLVER4, port=53):
    sock = t.tcp(family(host))
    sock.connect((host, port))
    return sock


def tell(t, data, host=RESOLVER4, port=53):
    sock = tcp(t, host, port)
    sock.sendall(data)
    return sock


def read(sock, count):
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        if not more:
            raise OSError(errno.ECONNRESET, "closed")
        data += more
    return data


def reply(sock):
    return read(sock, struct.unpack("!H", read(sock, 2))[0])


def dial(t, host=None):
    """Sends to the target's port, by UDP and by TCP, and waits for nothing."""
    for host in [host] if host else [t.host4]:
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            sock = t.sock(family(host), kind)
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            try:
                if kind == socket.SOCK_DGRAM:
                    sock.sendto(t.marker, (host, t.port))
                else:
                    sock.connect((host, t.port))
            except OSError:
                pass
            if kind == socket.SOCK_STREAM:
                select.select([], [sock], [], 0.02)


# ---- C1: TCP -------------------------------------------------------------------------------------

@technique("C1", "tcp", oracle="marker")
def tcp_query(t):
    """a query over TCP"""
    tell(t, prefixed(query(t.name)))


@technique("C1", "tcp-fallback", policy="odd", oracle="marker", to_the_end=True)
def tcp_fallback(t):
    """a truncated answer (TC=1) to an allowed name, then another name over TCP"""
    sock = ask(t, query(f"tc.{hexadecimal(t.host4)}.odd.test"), ODD_RESOLVER4)
    truncated = sock.recv(512)[2] & 2
    tell(t, prefixed(query(t.name)), ODD_RESOLVER4)
    return truncated


@technique("C1", "tcp-use-vc", oracle="marker")
def use_vc(t):
    """the C library's resolver told to use TCP (RES_OPTIONS=use-vc)"""
    os.environ["RES_OPTIONS"] = "use-vc"
    resolve(t.name)


@technique("C1", "tcp-tls", oracle="marker", allow=False)
def tcp_tls(t):
    """TLS to port 53 of the resolver"""
    tell(t, hello(t.name))


@technique("C1", "tcp-http", oracle="marker", allow=False)
def tcp_http(t):
    """HTTP to port 53 of the resolver"""
    tell(t, f"GET /{t.marker.decode()} HTTP/1.1\r\nHost: {SAFE}\r\n\r\n".encode())


@technique("C1", "fastopen", oracle="marker")
def fastopen(t):
    """TCP Fast Open: the query in the SYN"""
    sock = t.tcp()
    sock.sendto(prefixed(query(t.name)), socket.MSG_FASTOPEN, (RESOLVER4, 53))


@technique("C1", "urgent", oracle="marker", allow=False)
def urgent(t):
    """an urgent byte that makes two queries of what is inspected as one"""
    inner = query(t.name)
    sock = tcp(t)
    sock.send(prefixed(query(SAFE)) + prefixed(inner)[:1], socket.MSG_OOB)
    sock.sendall(prefixed(inner)[1:])


# ---- C2: several messages, pieces of messages ----------------------------------------------------

@technique("C2", "pipelined", oracle="marker")
def pipelined(t):
    """an allowed query, and one behind it in the same segment"""
    tell(t, prefixed(query(SAFE), query(t.name)))


@technique("C2", "pipelined-first", oracle="marker")
def pipelined_first(t):
    """a query, and an allowed one behind it in the same segment"""
    tell(t, prefixed(query(t.name), query(SAFE)))


@technique("C2", "pipelined-later", oracle="marker", to_the_end=True)
def pipelined_later(t):
    """a query on a connection on which one was answered"""
    sock = tell(t, prefixed(query(SAFE)))
    answered = reply(sock)
    sock.sendall(prefixed(query(t.name)))
    return answered


@technique("C2", "pipelined-128", oracle="marker")
def pipelined_128(t):
    """the 129th query of one segment"""
    if t.allowed:
        tell(t, prefixed(*[query(SAFE)] * 127, query(t.name)))
    else:
        tell(t, prefixed(*[query(SAFE)] * 128, query(t.name)))


@technique("C2", "pipelined-128-allowed", oracle="marker", allow=False)
def pipelined_128_allowed(t):
    """bytes that are no query behind 128 allowed ones"""
    tell(t, prefixed(*[query(SAFE)] * 128) + t.marker)


@technique("C2", "split-prefix", oracle="marker", allow=False)
def split_prefix(t):
    """a segment that ends within the length prefix"""
    data = prefixed(query(t.name))
    sock = tell(t, data[:1])
    sock.sendall(data[1:])


@technique("C2", "split-after-prefix", oracle="marker", allow=False)
def split_after_prefix(t):
    """the length prefix in a segment of its own"""
    data = prefixed(query(t.name))
    sock = tell(t, data[:2])
    sock.sendall(data[2:])


@technique("C2", "split-second", oracle="marker", allow=False, to_the_end=True)
def split_second(t):
    """a second query of which the first half comes with a whole one"""
    data = prefixed(query(t.name))
    sock = tell(t, prefixed(query(SAFE)))
    reply(sock)
    try:
        sock.sendall(prefixed(query(SAFE)) + data[:9])
        sock.sendall(data[9:])
    except OSError:
        pass
    return True


@technique("C2", "bytes", oracle="marker", allow=False)
def byte_writes(t):
    """a query in segments of one byte"""
    sock = tcp(t)
    for byte in prefixed(query(t.name)):
        sock.send(bytes([byte]))


@technique("C2", "length-larger", oracle="marker", allow=False)
def length_larger(t):
    """a length prefix that is larger than the query: the rest comes later"""
    message = query(SAFE)
    sock = tell(t, struct.pack("!H", len(message) + 20) + message)
    sock.sendall(t.marker + b"12345678")


@technique("C2", "length-smaller", oracle="marker", allow=False)
def length_smaller(t):
    """a length prefix that covers only the allowed part"""
    message = query(SAFE)
    tell(t, struct.pack("!H", len(message)) + message + t.marker)


@technique("C2", "length-half", oracle="marker", allow=False)
def length_half(t):
    """a length prefix that ends within the name"""
    message = query(t.name)
    tell(t, struct.pack("!H", 20) + message)


@technique("C2", "length-0", oracle="marker", allow=False)
def length_0(t):
    """an empty message in front of the query"""
    tell(t, b"\0\0" + prefixed(query(t.name)))


@technique("C2", "length-65535", oracle="marker", allow=False)
def length_65535(t):
    """a message of 64 KB with one allowed question"""
    message = query(SAFE)
    tell(t, b"\xff\xff" + message + t.marker.ljust(0xffff - len(message), b"."))


@technique("C2", "cork", oracle="marker", to_the_end=True)
def tcp_cork(t):
    """TCP_CORK: one segment out of an allowed query and another one"""
    sock = tcp(t)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    sock.sendall(prefixed(query(SAFE)))
    sock.sendall(prefixed(query(t.name)))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
    return True


@technique("C2", "fin", oracle="marker")
def fin(t):
    """a query in the segment that ends the connection"""
    sock = tcp(t)
    sock.sendmsg([prefixed(query(t.name))], [], socket.MSG_MORE)
    sock.shutdown(socket.SHUT_WR)


# ---- C3: fragments -------------------------------------------------------------------------------

def huge(name, marker, size=3000):
    return with_opt(name, option(12, bytes(size)), option(65001, marker))


@technique("C3", "fragments", oracle="marker", allow=False)
def fragments(t):
    """a query in fragments, the marker in the last"""
    sock = t.udp()
    sock.setsockopt(socket.IPPROTO_IP, 10, 0)  # IP_MTU_DISCOVER, IP_PMTUDISC_DONT
    sock.sendto(huge(SAFE, t.marker), (RESOLVER4, 53))


@technique("C3", "fragments-name", oracle="marker", allow=False)
def fragments_name(t):
    """a query in fragments, the marker in the first"""
    sock = t.udp()
    sock.setsockopt(socket.IPPROTO_IP, 10, 0)
    sock.sendto(huge(t.name, b""), (RESOLVER4, 53))


@technique("C3", "long", oracle="marker")
def long_query(t):
    """a query of more than 1,232 bytes that needs no fragments"""
    ask(t, with_opt(wild(t), option(12, bytes(100 if t.allowed else 1300))))


@technique("C3", "64k", oracle="marker", allow=False)
def datagram_64k(t):
    """a query of 64 KB"""
    sock = t.udp()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    sock.setsockopt(socket.IPPROTO_IP, 10, 0)
    sock.sendto(huge(SAFE, t.marker, 64000), (RESOLVER4, 53))


# ---- C4: one send, many datagrams ----------------------------------------------------------------

def batch(t):
    """Ten queries of one length, the first of an allowed name."""
    allowed = query("a" * len(t.marker) + ".wild.test")
    return allowed + query(t.name) * 9, len(allowed)


@technique("C4", "option", oracle="marker", allow=False)
def segment_option(t):
    """UDP_SEGMENT by socket option: one allowed query and nine others in one send"""
    data, size = batch(t)
    sock = t.udp()
    sock.setsockopt(socket.IPPROTO_UDP, 103, size)
    sock.sendto(data, (RESOLVER4, 53))


@technique("C4", "cmsg", oracle="marker", allow=False)
def segment_cmsg(t):
    """UDP_SEGMENT with the send: one allowed query and nine others"""
    data, size = batch(t)
    t.udp().sendmsg([data], [(socket.IPPROTO_UDP, 103, struct.pack("H", size))], 0, (RESOLVER4, 53))


@technique("C4", "cmsg-connected", oracle="marker", allow=False)
def segment_cmsg_connected(t):
    """UDP_SEGMENT with the send, of a connected socket"""
    data, size = batch(t)
    sock = t.udp()
    sock.connect((RESOLVER4, 53))
    sock.sendmsg([data], [(socket.IPPROTO_UDP, 103, struct.pack("H", size))])


@technique("C4", "cmsg-one", oracle="marker", allow=False)
def segment_cmsg_one(t):
    """UDP_SEGMENT of exactly the allowed query, and a shorter second datagram"""
    message = query(SAFE)
    data = message + t.marker
    t.udp().sendmsg([data], [(socket.IPPROTO_UDP, 103, struct.pack("H", len(message)))], 0, (RESOLVER4, 53))


class Message(ctypes.Structure):
    """struct mmsghdr"""
    _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint32), ("iov", ctypes.c_void_p),
                ("iovlen", ctypes.c_size_t), ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t),
                ("flags", ctypes.c_int), ("gap", ctypes.c_int), ("len", ctypes.c_uint), ("end", ctypes.c_int)]


class Vector(ctypes.Structure):
    """struct iovec"""
    _fields_ = [("base", ctypes.c_char_p), ("len", ctypes.c_size_t)]


def address4(host, port, af=socket.AF_INET):
    return struct.pack("=H", af) + struct.pack("!H4s8x", port, socket.inet_aton(host))


def sendmmsg(sock, parts):
    """parts: (data, sockaddr or None); stops where the kernel stops, and goes on behind it."""
    libc = ctypes.CDLL(None, use_errno=True)
    messages, keep = (Message * len(parts))(), []
    for message, (data, to) in zip(messages, parts):
        vector = Vector(data, len(data))
        name = ctypes.create_string_buffer(to, len(to)) if to else None
        keep += [vector, name]
        message.iov, message.iovlen = ctypes.addressof(vector), 1
        if to:
            message.name, message.namelen = ctypes.addressof(name), len(to)
    at, sent = 0, 0
    while at < len(parts):
        count = libc.sendmmsg(sock.fileno(), ctypes.byref(messages[at]), len(parts) - at, 0)
        sent += max(count, 0)
        at += count if count > 0 else 1
    return sent


@technique("C4", "sendmmsg", oracle="marker", to_the_end=True)
def sendmmsg_mixed(t):
    """sendmmsg: allowed queries and others in turn"""
    to = address4(RESOLVER4, 53)
    sock = t.udp()
    sent = sendmmsg(sock, [(query(SAFE), to), (query(t.name), to)] * 4)
    time.sleep(0.1 * SLOW if t.phase != "outside" else 0)  # several answers
    return sent >= 4


@technique("C4", "sendmmsg-connected", oracle="marker")
def sendmmsg_connected(t):
    """sendmmsg on a connected socket: an allowed query, then another"""
    sock = t.udp()
    sock.connect((RESOLVER4, 53))
    sendmmsg(sock, [(query(SAFE), None), (query(t.name), None)])
    stay(t, sock)


@technique("C4", "sendmmsg-elsewhere", oracle="marker")
def sendmmsg_elsewhere(t):
    """sendmmsg: an allowed query to the resolver, then one to another resolver"""
    sock = t.udp()
    sendmmsg(sock, [(query(SAFE), address4(RESOLVER4, 53)),
                    (query(wild(t)), address4(RESOLVER4 if t.allowed else EVIL_RESOLVER4, 53))])


# ---- C5: more than one question, records, trailing bytes -----------------------------------------

def malformed(row, name, build, what, over_tcp=False, **options):
    """A message about a name that is allowed in every phase: only its form is what is denied."""
    def run(t):
        ask(t, build(t))
    run.__doc__ = what
    options.setdefault("allow", False)
    technique(row, name, oracle="marker", **options)(run)

    def run_tcp(t):
        tell(t, prefixed(build(t)))
    run_tcp.__doc__ = what + ", over TCP"
    if over_tcp:
        technique(row, name + "-tcp", oracle="marker", **options)(run_tcp)


def txt(t):
    return record(b"\0", TXT, label(t.marker))


malformed("C5", "qd0", lambda t: header(counts=(0, 0, 0, 0)) + question(wild(t)), "QDCOUNT 0, with a question")
malformed("C5", "qd0-bare", lambda t: header(counts=(0, 0, 0, 0)) + t.marker, "QDCOUNT 0, with data")
malformed("C5", "qd2", lambda t: header(counts=(2, 0, 0, 0)) + question(SAFE) + question(t.name),
          "QDCOUNT 2, the second question another name")
malformed("C5", "qd2-first", lambda t: header(counts=(2, 0, 0, 0)) + question(t.name) + question(SAFE),
          "QDCOUNT 2, the first question another name")
malformed("C5", "qd2-hidden", lambda t: query(SAFE) + question(t.name), "QDCOUNT 1, and two questions")
malformed("C5", "qd2-opt", lambda t: query(SAFE, counts=(1, 0, 0, 1), tail=question(t.name) + opt()),
          "QDCOUNT 1, two questions and an OPT record")
malformed("C5", "qd65535", lambda t: header(counts=(65535, 0, 0, 0)) + question(wild(t)), "QDCOUNT 65535")
malformed("C5", "qd257", lambda t: header(counts=(0x0101, 0, 0, 0)) + question(wild(t)), "QDCOUNT 257")
malformed("C5", "answer", lambda t: query(SAFE, counts=(1, 1, 0, 0), tail=txt(t)), "a TXT record in the answer section")
malformed("C5", "authority", lambda t: query(SAFE, counts=(1, 0, 1, 0), tail=txt(t)),
          "a TXT record in the authority section")
malformed("C5", "additional", lambda t: query(SAFE, counts=(1, 0, 0, 1), tail=txt(t)),
          "a TXT record in the additional section")
malformed("C5", "additional-a", lambda t: query(SAFE, counts=(1, 0, 0, 1), tail=record(wire(t.name), A, b"\1\2\3\4")),
          "an A record in the additional section")
malformed("C5", "tsig", lambda t: query(SAFE, counts=(1, 0, 0, 1),
                                        tail=record(wire(t.name), 250, t.marker, rclass=ANY)),
          "a TSIG record")
malformed("C5", "tsig-opt", lambda t: query(SAFE, counts=(1, 0, 0, 2),
                                            tail=opt() + record(wire(t.name), 250, t.marker, rclass=ANY)),
          "a TSIG record behind the OPT record")
malformed("C5", "counted-not-there", lambda t: query(wild(t), counts=(1, 0, 0, 1)), "ARCOUNT 1 without a record")
malformed("C5", "counts-65535", lambda t: query(wild(t), counts=(1, 65535, 65535, 65535)), "all other counts 65535")
malformed("C5", "opt2", lambda t: query(SAFE, counts=(1, 0, 0, 2), tail=opt() + opt(option(65001, t.marker))),
          "two OPT records")
malformed("C5", "opt-hidden", lambda t: query(SAFE, counts=(1, 0, 0, 0), tail=opt(option(65001, t.marker))),
          "an OPT record that is not counted")
malformed("C5", "opt-owner", lambda t: query(SAFE, counts=(1, 0, 0, 1),
                                             tail=record(wire(t.name), OPT, b"", rclass=1232)),
          "an OPT record with a name")
malformed("C5", "opt-answer", lambda t: query(SAFE, counts=(1, 1, 0, 0), tail=opt(option(65001, t.marker))),
          "an OPT record in the answer section")
malformed("C5", "opt-short", lambda t: query(SAFE, counts=(1, 0, 0, 1), tail=opt()[:-2] + b"\0\4" + t.marker),
          "an OPT record that is longer than it says")
malformed("C5", "opt-long", lambda t: query(SAFE, counts=(1, 0, 0, 1), tail=opt()[:-2] + b"\xff\xff" + t.marker),
          "an OPT record that says it is longer than the message")
malformed("C5", "trailing", lambda t: query(SAFE, tail=t.marker), "bytes behind the question", over_tcp=True)
malformed("C5", "trailing-opt", lambda t: with_opt(SAFE) + t.marker, "bytes behind the OPT record")
malformed("C5", "trailing-qd0", lambda t: query(SAFE, tail=b"\0" + t.marker),
          "bytes behind the question, the first zero")
malformed("C5", "short", lambda t: header()[:11] + t.marker, "data in place of the end of the header")
malformed("C5", "no-dns", lambda t: t.marker, "a datagram that is shorter than a header")
malformed("C5", "cut", lambda t: header() + label(t.marker), "a question that ends within its name")
malformed("C5", "cut-type", lambda t: header() + wire(wild(t)) + b"\0\1", "a question that ends before its class")

for code, name in ((65001, "unassigned"), (3, "nsid"), (10, "cookie"), (12, "padding"), (8, "client-subnet"),
                   (11, "keepalive"), (15, "extended error"), (26946, "device id")):
    malformed("C5", "option-" + name.replace(" ", "-"),
              lambda t, code=code: with_opt(SAFE, option(code, t.marker)), f"data in the EDNS option {name}",
              stated=OPTIONS_STATED)
malformed("C5", "option-1k", lambda t: with_opt(SAFE, option(65001, bytes(1100) + t.marker)),
          "a kilobyte of data in an EDNS option", stated=OPTIONS_STATED, over_tcp=True)
malformed("C5", "option-overrun", lambda t: with_opt(SAFE, struct.pack("!HH", 12, 0xffff) + t.marker),
          "an EDNS option that is longer than its record", stated=OPTIONS_STATED)


# ---- C6: names -----------------------------------------------------------------------------------

def name_form(name, build, what, **options):
    malformed("C6", name, lambda t: query(build(t)), what, **options)


name_form("pointer-back", lambda t: label(t.marker) + b"\xc0\x0c", "a pointer back to the question itself")
name_form("pointer-forward", lambda t: b"\xc0\x12" + bytes(4) + wire(wild(t)),
          "a pointer to a name behind the question")
name_form("pointer-tail", lambda t: label(t.marker) + b"\xc0\x22\0\1\0\1" + wire("wild.test"),
          "a label, then a pointer to a name behind the question")
name_form("pointer-self", lambda t: b"\xc0\x0c" + t.marker, "a pointer to itself")
name_form("pointer-header", lambda t: label(t.marker) + b"\xc0\x00", "a pointer into the header")
name_form("pointer-14-bits", lambda t: label(t.marker) + b"\xff\xff", "a pointer of 14 one bits")
name_form("pointer-after", lambda t: wire(wild(t))[:-1] + b"\xc0\x0b", "a pointer in place of the root")
for first in (0x40, 0x41, 0x7f, 0x80, 0xbf):
    name_form(f"type-{first:02x}", lambda t, first=first: bytes([first]) + t.marker.ljust(first & 0x3f, b"x") +
              wire("wild.test"), f"a label of the type {first:#x}")
name_form("long-label", lambda t: b"\x40" + t.marker.ljust(64, b"x") + wire("wild.test"), "a label of 64 bytes")
name_form("long-name", lambda t: label(b"x" * 63) * 3 + label(t.marker.ljust(55, b"x")) + wire("wild.test"),
          "a name of 258 bytes")
name_form("many-labels", lambda t: b"\1x" * 60 + wire(wild(t)), "a name of 63 labels")
for code, word in ((0, "NUL"), (0x2e, "dot"), (0x5c, "backslash"), (0x20, "space"), (0x0a, "line feed"), (0x7f, "DEL"),
                   (0x80, "byte 0x80"), (0xff, "byte 0xff"), (0x2a, "star"), (0x40, "@"), (0x2f, "slash"),
                   (0x22, "quote"), (0x25, "percent"), (0x3a, "colon"), (0x7b, "brace"), (0x5b, "bracket"),
                   (0x60, "backquote")):
    name_form("byte-" + f"{code:02x}", lambda t, code=code: label(t.marker + bytes([code])) + wire("wild.test"),
              f"a {word} in a label")
name_form("first-byte", lambda t: label(b"\0" + t.marker) + wire("wild.test"), "a NUL at the start of a label")
name_form("eighth-byte", lambda t: label(b"x" * 62 + b"\0") + wire(wild(t)), "a NUL at the end of the longest label")
name_form("nul-suffix", lambda t: label(t.marker) + label(b"evil") + label(b"test\0") + wire(SAFE),
          "a NUL behind the denied name, in front of an allowed one")
name_form("dots", lambda t: label(t.marker + b".evil.test") + wire("wild.test"), "a denied name with dots as one label")
name_form("dots-suffix", lambda t: label(t.marker + b".wild") + wire("test"),
          "an allowed suffix with its dot in a label")
name_form("dots-all", lambda t: label(t.marker + b".wild.test") + b"\0", "an allowed name as one label")
name_form("early-root", lambda t: wire(SAFE) + wire(t.name), "the root inside the name")
name_form("empty-label", lambda t: b"\0" + wire(wild(t)), "an empty label at the start")
name_form("digits", lambda t: label(t.marker) + wire("198.18.0.2"), "a name that ends in digits")
name_form("hexadecimal", lambda t: label(t.marker) + wire("0xc6120002"), "a name that ends in a hexadecimal number")


@technique("C6", "root", oracle="marker", allow=False)
def root_query(t):
    """the root itself, with data in an option"""
    ask(t, query(b"\0", NS, tail=opt(option(65001, t.marker)), counts=(1, 0, 0, 1)))


@technique("C6", "top", oracle="marker", allow=False)
def top_query(t):
    """the top-level domain alone, with data in an option"""
    ask(t, with_opt("test", option(65001, t.marker), qtype=NS))


@technique("C6", "parent", oracle="marker", allow=False)
def parent_query(t):
    """the name above a wildcard, with data in an option"""
    ask(t, with_opt("wild.test", option(65001, t.marker)))


@technique("C6", "case", oracle="marker")
def mixed_case(t):
    """a name in mixed case (0x20)"""
    name = "".join(c.upper() if i % 2 else c for i, c in enumerate(t.name))
    ask(t, query(name))


@technique("C6", "case-allowed", oracle="word", stated="a bit a letter of an allowed name reaches the resolver",
           allow=False)
def case_bits(t):
    """data in the case of an allowed name's letters: the resolver's answer repeats them"""
    asked = query("gOoD.TeSt")
    return ask(t, asked).recv(512)[12:22] == asked[12:22]


@technique("C6", "ids", oracle="word", stated="two bytes of id and two of port of an allowed query reach the resolver",
           allow=False)
def id_bits(t):
    """data in the id of an allowed query: the resolver's answer repeats it"""
    return ask(t, query(SAFE, query_id=0x5e5e)).recv(512)[:2] == b"\x5e\x5e"


# ---- C7: data in names ---------------------------------------------------------------------------

@technique("C7", "getaddrinfo", oracle="marker")
def getaddrinfo(t):
    """data in a name that is looked up"""
    resolve(t.name)


@technique("C7", "udp", oracle="marker")
def udp_query(t):
    """data in a name, by a socket of one's own"""
    ask(t, query(t.name))


@technique("C7", "wildcard", oracle="marker", stated="names below a ** pattern reach the resolver", allow=False)
def wildcard(t):
    """data in names below a pattern that allows all of them"""
    ask(t, query(wild(t)))


@technique("C7", "wildcard-long", oracle="marker", stated="names below a ** pattern reach the resolver", allow=False)
def wildcard_long(t):
    """the most data that fits in such a name"""
    ask(t, query(label(b"x" * 63) * 3 + label(t.marker.ljust(51, b"x")) + wire("wild.test")))


for what, suffix in (("below", ".good.test"), ("joined", "good.test"), ("dash", "-good.test"),
                     ("around", ".wild.test.evil.test"),
                     ("twice", ".good.test.good.test"), ("cdn", ".one.cdn.test"), ("other", ".wildx.test"),
                     ("short", ".ild.test"), ("top", ".test"), ("alone", ""), ("longer", ".wild.testx")):
    def run(t, suffix=suffix):
        ask(t, query(t.marker.decode() + suffix))
    run.__doc__ = f"data in a name that looks like an allowed one: MARKER{suffix}"
    technique("C7", f"like-{what}", oracle="marker", allow=False)(run)


@technique("C7", "search", oracle="marker")
def search_list(t):
    """data in a search list (LOCALDOMAIN)"""
    os.environ["LOCALDOMAIN"] = t.name
    resolve("printer" if not t.allowed else t.name)


@technique("C7", "query-types", oracle="marker")
def every_type(t):
    """data in a name, asked for as every usual type"""
    sock = t.udp()
    for qtype in (NS, 6, MX, TXT, AAAA, SRV, HTTPS, SVCB, 257):
        try:
            sock.sendto(query(t.name, qtype), (RESOLVER4, 53))
            stay(t, sock)
            sock.recv(512)
        except OSError:
            pass


# ---- C8: other ways to a resolver ----------------------------------------------------------------

def hello(name):
    """The ClientHello of this Python for a server name."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    try:
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def elsewhere(name, what, host, port, stream=False, allow=False, tls=False):
    """An allowed query, with the marker in its name, to where no trusted resolver is."""
    def run(t):
        data = query(wild(t))
        target = host if not t.allowed else RESOLVER4
        if stream:
            # in the SYN: nobody listens at some of these
            t.tcp(family(target)).sendto(hello(wild(t)) if tls else prefixed(data), socket.MSG_FASTOPEN, (target, port))
        else:
            sock = t.udp(family(target))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sock.sendto(data, (target, port))
    run.__doc__ = what
    technique("C8", name, oracle="marker", allow=allow)(run)


elsewhere("resolver-853", "DNS over TLS to the trusted resolver's address", RESOLVER4, 853, True, tls=True)
elsewhere("resolver-443", "DNS over HTTPS to the trusted resolver's address", RESOLVER4, 443, True, tls=True)
elsewhere("resolver-853-udp", "DNS over QUIC to the trusted resolver's address", RESOLVER4, 853)
elsewhere("resolver-443-udp", "HTTP/3 to the trusted resolver's address", RESOLVER4, 443)
elsewhere("resolver-5353", "DNS on another port of the trusted resolver", RESOLVER4, 5353)
elsewhere("resolver-54", "the port beside DNS of the trusted resolver", RESOLVER4, 54)
elsewhere("doh-evil", "DNS over HTTPS to somebody", EVIL4, 443, True, tls=True)
elsewhere("dot-evil", "DNS over TLS to somebody", EVIL4, 853, True, tls=True)
elsewhere("doq-evil", "DNS over QUIC to somebody", EVIL4, 853)
elsewhere("doh-evil-resolver", "DNS over TLS to another resolver", EVIL_RESOLVER4, 853, True, tls=True)
elsewhere("evil-resolver", "another resolver", EVIL_RESOLVER4, 53, allow=True)
elsewhere("evil-resolver-6", "another resolver, IPv6", EVIL_RESOLVER6, 53)
elsewhere("evil-resolver-tcp", "another resolver, TCP", EVIL_RESOLVER4, 53, True, allow=True)
elsewhere("evil-resolver-6-tcp", "another resolver, TCP over IPv6", EVIL_RESOLVER6, 53, True)
elsewhere("resolver-6", "the trusted resolver's other address, which is not configured", RESOLVER6, 53)
elsewhere("resolver-6-tcp", "the same over TCP", RESOLVER6, 53, True)
elsewhere("good-53", "port 53 of an allowed host that is no resolver", GOOD4, 53)
elsewhere("good-53-tcp", "the same over TCP", GOOD4, 53, True)
elsewhere("evil-53", "port 53 of anybody", EVIL4, 53)
elsewhere("mdns", "multicast DNS", "224.0.0.251", 5353)
elsewhere("mdns-53", "a multicast group at port 53", "224.0.0.251", 53)
elsewhere("mdns-6", "multicast DNS over IPv6", "ff02::fb%eth0", 5353)
elsewhere("llmnr", "LLMNR", "224.0.0.252", 5355)
elsewhere("llmnr-6", "LLMNR over IPv6", "ff02::1:3%eth0", 5355)
elsewhere("netbios", "NetBIOS name service, broadcast", "198.18.0.255", 137)
elsewhere("netbios-evil", "NetBIOS name service of somebody", EVIL4, 137)
elsewhere("broadcast", "the network's broadcast address at port 53", "198.18.0.255", 53)
elsewhere("broadcast-all", "255.255.255.255 at port 53", "255.255.255.255", 53)
elsewhere("any", "0.0.0.0 at port 53", "0.0.0.0", 53)
elsewhere("any-6", ":: at port 53", "::", 53)
elsewhere("loopback", "127.0.0.53 at port 53", "127.0.0.53", 53)
elsewhere("nat64", "the trusted resolver's NAT64 form", "64:ff9b::c612:35", 53)
elsewhere("6to4", "the trusted resolver's 6to4 form", "2002:c612:35::", 53)
elsewhere("compatible", "the trusted resolver's 6to4 form over TCP", "2002:c612:35::", 53, True)


@technique("C8", "mapped", oracle="marker")
def mapped(t):
    """a query to the resolver's v4-mapped address"""
    ask(t, query(t.name), f"::ffff:{RESOLVER4}")


@technique("C8", "mapped-tcp", oracle="marker")
def mapped_tcp(t):
    """the same over TCP"""
    tell(t, prefixed(query(t.name)), f"::ffff:{RESOLVER4}")


# ---- C14: types ----------------------------------------------------------------------------------

for number, word in ((255, "ANY"), (10, "NULL"), (252, "AXFR"), (251, "IXFR"), (OPT, "OPT"), (249, "TKEY"),
                     (250, "TSIG"),
                     (35, "NAPTR"), (44, "SSHFP"), (48, "DNSKEY"), (39, "DNAME"), (13, "HINFO"), (99, "SPF"), (0, "0"),
                     (256, "URI"), (321, "321"), (65281, "65281"), (0x101c, "0x101C"), (65535, "65535")):
    malformed("C14", f"type-{word.lower()}", lambda t, number=number: query(wild(t), number),
              f"a query of type {word}", over_tcp=word in ("AXFR", "IXFR"))


# ---- C15 reverse names, C16 header, C17 sockets, C18 the answer to a denial ----

def reverse4(host):
    return ".".join(reversed(host.split("."))) + ".in-addr.arpa"


def reverse6(host, zone="ip6.arpa"):
    return ".".join(reversed(socket.inet_pton(socket.AF_INET6, host).hex())) + "." + zone


def reverse(name, what, build, allow=True):
    """The marker is in an option: reverse names have no room for it."""
    def run(t):
        resolve(SAFE)
        ask(t, with_opt(build(t), option(65001, t.marker), qtype=PTR))
        return True
    run.__doc__ = what
    technique("C15", name, oracle="marker", allow=allow, to_the_end=allow)(run)


# outside and in phase "deny" the host is evil, whose address no answer gave
reverse("unlearned-4", "the reverse name of an address that was not learned", lambda t: reverse4(t.host4))
reverse("unlearned-6", "the reverse name of an IPv6 address that was not learned", lambda t: reverse6(t.host6))
reverse("upper-case", "the same in upper case", lambda t: reverse6(t.host6).upper())
reverse("zone-6", "a learned address under ip6.arpX, a top-level domain of anybody's",
        lambda t: reverse6(GOOD6, "ip6.arpa" if t.allowed else "ip6.arpx"))
reverse("zone-4", "a learned address under in-addr.arpX", lambda t: reverse4(GOOD4)[:-1] + ("a" if t.allowed else "x"))
reverse("zone-4-second", "a learned address under in-addx.arpa",
        lambda t: reverse4(GOOD4).replace("in-addr", "in-addr" if t.allowed else "in-addx"))
reverse("zone-4-as-6", "a learned address under ip6.arpa",
        lambda t: reverse4(GOOD4).replace("in-addr", "in-addr" if t.allowed else "ip6"))
reverse("zeros", "a learned address with leading zeros, which choose among many names",
        lambda t: reverse4(GOOD4).replace("2.0", "2.0" if t.allowed else "002.00"))
reverse("overflow", "a number over 255 that is a learned address in its low byte",
        lambda t: reverse4(GOOD4).replace("2.0", "2.0" if t.allowed else "258.0"))
reverse("longer", "a learned address with one label more",
        lambda t: reverse4(GOOD4) if t.allowed else "9." + reverse4(GOOD4))
reverse("shorter", "the network of a learned address",
        lambda t: reverse4(GOOD4) if t.allowed else "18.198.in-addr.arpa")


@technique("C15", "data-4", oracle="marker", allow=False)
def reverse_data(t):
    """data below in-addr.arpa"""
    ask(t, query(f"{t.marker.decode()}.2.0.18.198.in-addr.arpa", PTR))


@technique("C15", "data-6", oracle="marker", allow=False)
def reverse_data6(t):
    """data below ip6.arpa"""
    ask(t, query(f"{t.marker.decode()}.{reverse6(GOOD6)}", PTR))


@technique("C15", "not-ptr", oracle="marker", allow=False)
def reverse_not_ptr(t):
    """a reverse name asked for as another type"""
    resolve(SAFE)
    ask(t, with_opt(reverse4(GOOD4), option(65001, t.marker), qtype=TXT))


for opcode, word in ((1, "IQUERY"), (2, "STATUS"), (4, "NOTIFY"), (5, "UPDATE"), (6, "DSO"), (15, "15")):
    malformed("C16", f"opcode-{word.lower()}", lambda t, opcode=opcode: query(wild(t), flags=opcode << 11),
              f"opcode {word}", over_tcp=word in ("UPDATE", "DSO"))
malformed("C16", "update-data",
          lambda t: header(0x2800, (1, 0, 1, 0)) + question(SAFE, 6) + record(wire(SAFE), TXT, label(t.marker)),
          "UPDATE with a record", over_tcp=True)
malformed("C16", "notify-data",
          lambda t: header(0x2400, (1, 1, 0, 0)) + question(SAFE, 6) + record(wire(SAFE), TXT, label(t.marker)),
          "NOTIFY with a record")
malformed("C16", "dso-data", lambda t: header(0x3000, (0, 0, 0, 0)) + option(0xf901, t.marker),
          "DNS stateful operations with data", over_tcp=True)
malformed("C16", "response", lambda t: query(wild(t), flags=0x8180), "a response (QR=1) sent to the resolver")
malformed("C16", "response-data", lambda t: query(SAFE, flags=0x8180, counts=(1, 1, 0, 0), tail=txt(t)),
          "a response with a record", over_tcp=True)
for number, word in ((CHAOS, "CH"), (HESIOD, "HS"), (NONE, "NONE"), (ANY, "ANY"), (0, "0"),
                     (0x8001, "IN with mDNS's top bit"),
                     (0x0101, "257")):
    malformed("C16", f"class-{number:04x}", lambda t, number=number: query(wild(t), TXT, number), f"class {word}")
malformed("C16", "version-bind",
          lambda t: query("version.bind", TXT, CHAOS, tail=opt(option(65001, t.marker)), counts=(1, 0, 0, 1)),
          "version.bind, with data in an option")
malformed("C16", "flags", lambda t: query(wild(t), flags=0x07ff),
          "every flag that is not QR or opcode, the Z bit and RCODE among them",
          stated="11 flag bits of an allowed query reach the resolver")


@technique("C18", "closed-socket", oracle="marker", allow=False)
def closed_socket(t):
    """a denied query of a socket that is closed at once: the answer to it must not be quoted by ICMP"""
    for _ in range(20):
        try:
            with t.udp() as sock:
                sock.sendto(query(t.name), (RESOLVER4, 53))
        except OSError:
            pass


@technique("C18", "shut-socket", oracle="marker", allow=False)
def shut_socket(t):
    """the same of a socket that is connected elsewhere at once"""
    for _ in range(20):
        sock = t.udp()
        try:
            sock.sendto(query(t.name), (RESOLVER4, 53))
            sock.connect(("127.0.0.1", 9))
        except OSError:
            pass
    time.sleep(0.05 * SLOW)


def connected_elsewhere_first(t, elsewhere, resolver):
    """Nobody hears the answer: the socket takes datagrams from one peer only."""
    resolve(SAFE)
    sock = t.udp(family(resolver))
    sock.connect((elsewhere, 5000))
    sock.sendto(query(t.name), (resolver, 53))
    stay(t, sock)


@technique("C18", "unheard", oracle="marker")
def unheard(t):
    """a denied query of a socket that is connected elsewhere"""
    connected_elsewhere_first(t, GOOD4, RESOLVER4)


@technique("C18", "unheard-6", policy="odd", oracle="marker")
def unheard6(t):
    """the same over IPv6"""
    connected_elsewhere_first(t, GOOD6, RESOLVER6)


@technique("C17", "connected", oracle="marker")
def connected(t):
    """connect() to the resolver, then send()"""
    sock = t.udp()
    sock.connect((RESOLVER4, 53))
    sock.send(query(t.name))
    stay(t, sock)


@technique("C17", "connected-after", oracle="marker", to_the_end=True)
def connected_after(t):
    """a socket on which an allowed query was answered"""
    sock = t.udp()
    sock.connect((RESOLVER4, 53))
    sock.send(query(SAFE))
    answered = sock.recv(512)
    try:
        sock.send(query(t.name))
        stay(t, sock)
    except OSError:
        pass
    return answered


@technique("C17", "connected-good", oracle="marker")
def connected_good(t):
    """a socket that is connected to an allowed host and has sent there, then sends to the resolver"""
    resolve(SAFE)
    sock = t.udp()
    sock.connect((GOOD4, 5000))
    sock.send(b"x")
    sock.sendto(query(t.name), (RESOLVER4, 53))
    stay(t, sock)


@technique("C17", "connected-elsewhere", oracle="marker", to_the_end=True)
def connected_elsewhere(t):
    """a socket that is connected to the resolver sends elsewhere"""
    sock = t.udp()
    sock.connect((RESOLVER4, 53))
    sock.send(query(SAFE))
    answered = sock.recv(512)
    try:
        sock.sendto(t.marker, (t.host4, t.port))
    except OSError:
        pass
    return answered


@technique("C17", "reconnected", oracle="marker")
def reconnected(t):
    """a socket of a resolver query, connected again to another port of the target"""
    sock = t.udp()
    sock.connect((RESOLVER4, 53))
    sock.send(query(SAFE))
    sock.connect((t.host4, t.port))
    sock.send(t.marker)


@technique("C17", "reconnected-tcp", oracle="packet")
def reconnected_tcp(t):
    """a TCP socket of a resolver query, disconnected (AF_UNSPEC) and connected to the target"""
    sock = tell(t, prefixed(query(SAFE)))
    reply(sock)
    ctypes.CDLL(None).connect(sock.fileno(), bytes(16), 16)
    sock.connect((t.host4, t.port))
    sock.sendall(t.marker)


@technique("C17", "reconnected-fastopen")
def reconnected_fastopen(t):
    """the same, connected by TCP Fast Open"""
    sock = tell(t, prefixed(query(SAFE)))
    reply(sock)
    ctypes.CDLL(None).connect(sock.fileno(), bytes(16), 16)
    sock.sendto(t.marker, socket.MSG_FASTOPEN, (t.host4, t.port))


@technique("C17", "unspecified", oracle="marker")
def unspecified(t):
    """sendto() with the family AF_UNSPEC, on a connected socket"""
    sock = t.udp()
    sock.connect((RESOLVER4, 53))
    data, to = query(t.name), address4(RESOLVER4, 53, socket.AF_UNSPEC)
    ctypes.CDLL(None).sendto(sock.fileno(), data, len(data), 0, to, len(to))
    stay(t, sock)


@technique("C17", "family-4-on-6", oracle="marker")
def family_4_on_6(t):
    """sendto() with an IPv4 address on an IPv6 socket"""
    sock = t.udp(socket.AF_INET6)
    data, to = query(t.name), address4(RESOLVER4, 53)
    ctypes.CDLL(None).sendto(sock.fileno(), data, len(data), 0, to, len(to))
    stay(t, sock)


@technique("C17", "vectors", oracle="marker")
def vectors(t):
    """sendmsg of a query in pieces of one byte"""
    sock = t.udp()
    sock.sendmsg([bytes([byte]) for byte in query(t.name)], [], 0, (RESOLVER4, 53))
    stay(t, sock)


@technique("C17", "more", oracle="marker", allow=False)
def msg_more(t):
    """MSG_MORE: an allowed query's beginning, then another's end, in one datagram"""
    sock = t.udp()
    data = query(t.name)
    sock.sendto(data[:14], socket.MSG_MORE, (RESOLVER4, 53))
    sock.sendto(data[14:], (RESOLVER4, 53))
    stay(t, sock)


@technique("C17", "more-trailing", oracle="marker", allow=False)
def msg_more_trailing(t):
    """MSG_MORE: a whole allowed query, then data"""
    sock = t.udp()
    sock.sendto(query(SAFE), socket.MSG_MORE, (RESOLVER4, 53))
    sock.sendto(t.marker, (RESOLVER4, 53))


@technique("C17", "cork", oracle="marker", allow=False)
def udp_cork(t):
    """UDP_CORK: one datagram out of two sends"""
    sock = t.udp()
    sock.connect((RESOLVER4, 53))
    sock.setsockopt(socket.IPPROTO_UDP, 1, 1)
    data = query(t.name)
    sock.send(data[:20])
    sock.send(data[20:])
    sock.setsockopt(socket.IPPROTO_UDP, 1, 0)
    stay(t, sock)


@technique("C17", "cork-elsewhere", oracle="marker", allow=False)
def udp_cork_elsewhere(t):
    """UDP_CORK: begun to the resolver, ended to the target"""
    sock = t.udp()
    sock.setsockopt(socket.IPPROTO_UDP, 1, 1)
    data = query(t.name)
    sock.sendto(data[:20], (RESOLVER4, 53))
    sock.sendto(data[20:], (t.host4, t.port))
    sock.setsockopt(socket.IPPROTO_UDP, 1, 0)
    stay(t, sock)


@technique("C17", "splice", oracle="marker", allow=False)
def splice(t):
    """splice() of a query from a pipe"""
    sock = t.udp()
    sock.connect((RESOLVER4, 53))
    ready, out = os.pipe()
    data = query(t.name)
    os.write(out, data)
    os.splice(ready, sock.fileno(), len(data))
    stay(t, sock)


@technique("C17", "vmsplice-late", oracle="marker", allow=False)
def vmsplice_late(t):
    """vmsplice() and splice() of an allowed query whose page becomes another's before it is sent"""
    libc = ctypes.CDLL(None, use_errno=True)
    length = len(t.marker)
    first, second = query("a" * length + ".wild.test"), query(t.name)
    page = ctypes.create_string_buffer(first, 4096)
    sock = t.udp()
    sock.connect((RESOLVER4, 53))
    ready, out = os.pipe()
    vector = Vector(ctypes.cast(page, ctypes.c_char_p), len(first))
    if libc.vmsplice(out, ctypes.byref(vector), ctypes.c_size_t(1), 0) < 0:
        raise NotHere("vmsplice: " + os.strerror(ctypes.get_errno()))
    ctypes.memmove(page, second, len(second))
    os.splice(ready, sock.fileno(), len(first))
    stay(t, sock)


@technique("C17", "sendfile", oracle="marker", allow=False)
def sendfile(t):
    """sendfile() of a query over TCP"""
    file = os.memfd_create("query")
    data = prefixed(query(t.name))
    os.write(file, data)
    sock = tcp(t)
    os.sendfile(sock.fileno(), file, 0, len(data))


@technique("C17", "two-threads", oracle="marker", allow=False)
def two_threads(t):
    """another thread sends allowed queries with the same socket meanwhile"""
    sock, stop = t.udp(), []

    def allowed():
        for _ in range(300):
            if not stop:
                sock.sendto(query(SAFE), (RESOLVER4, 53))

    thread = threading.Thread(target=allowed)
    thread.start()
    for _ in range(30):
        try:
            sock.sendto(query(t.name), (RESOLVER4, 53))
            sock.sendto(t.marker, (t.host4, t.port))
        except OSError:
            pass
    stop.append(True)
    thread.join()
    time.sleep(0.1 * SLOW if t.phase != "outside" else 0)


@technique("C17", "pktinfo", oracle="marker")
def pktinfo(t):
    """IP_PKTINFO with the send"""
    info = struct.pack("=I4s4s", 0, socket.inet_aton(SELF4), bytes(4))
    sock = t.udp()
    sock.sendmsg([query(t.name)], [(socket.IPPROTO_IP, 8, info)], 0, (RESOLVER4, 53))
    stay(t, sock)


@technique("C17", "from-53", oracle="marker", allow=False)
def from_53(t):
    """a socket that is bound to port 53"""
    sock = t.udp()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("", 53))
    sock.sendto(query(wild(t)), (RESOLVER4, 53))
    stay(t, sock)


@technique("C17", "from-53-range", oracle="marker", allow=False)
def from_53_range(t):
    """port 53 by a range of automatic ports (/proc/sys/net/ipv4/ip_local_port_range)"""
    base = "/proc/sys/net/ipv4/"
    kept = {}
    try:
        for file, value in (("ip_unprivileged_port_start", "0"), ("ip_local_port_range", "53 53")):
            with open(base + file) as old:
                kept[file] = old.read()
            with open(base + file, "w") as new:
                new.write(value)
        sock = t.udp()
        sock.sendto(query(wild(t)), (RESOLVER4, 53))
        assert sock.getsockname()[1] == 53
    finally:
        for file in reversed(kept):
            try:
                with open(base + file, "w") as new:
                    new.write(kept[file])
            except OSError:
                pass


# ---- the same over IPv6 -------------------------------------------------------------------------

@technique("C7", "udp-6", policy="odd", oracle="marker")
def udp_query6(t):
    """data in a name, to a resolver over IPv6"""
    ask(t, query(t.name), RESOLVER6)


@technique("C1", "tcp-6", policy="odd", oracle="marker")
def tcp_query6(t):
    """a query over TCP over IPv6"""
    tell(t, prefixed(query(t.name)), RESOLVER6)


@technique("C2", "pipelined-6", policy="odd", oracle="marker")
def pipelined6(t):
    """an allowed query, and one behind it in the same segment, over IPv6"""
    tell(t, prefixed(query(SAFE), query(t.name)), RESOLVER6)


@technique("C3", "fragments-6", policy="odd", oracle="marker", allow=False)
def fragments6(t):
    """a query in fragments, over IPv6"""
    sock = t.udp(socket.AF_INET6)
    sock.sendto(huge(SAFE, t.marker), (RESOLVER6, 53))


@technique("C4", "cmsg-6", policy="odd", oracle="marker", allow=False)
def segment_cmsg6(t):
    """UDP_SEGMENT with the send, over IPv6"""
    data, size = batch(t)
    t.udp(socket.AF_INET6).sendmsg([data], [(socket.IPPROTO_UDP, 103, struct.pack("H", size))], 0, (RESOLVER6, 53))


@technique("C5", "trailing-6", policy="odd", oracle="marker", allow=False)
def trailing6(t):
    """bytes behind the question, over IPv6"""
    ask(t, query(SAFE, tail=t.marker), RESOLVER6)


@technique("C17", "more-6", policy="odd", oracle="marker", allow=False)
def msg_more6(t):
    """MSG_MORE: a whole allowed query, then data, over IPv6"""
    sock = t.udp(socket.AF_INET6)
    sock.sendto(query(SAFE), socket.MSG_MORE, (RESOLVER6, 53))
    sock.sendto(t.marker, (RESOLVER6, 53))
    stay(t, sock)


# ---- C9: rebinding -------------------------------------------------------------------------------

def hexadecimal(host):
    return socket.inet_pton(family(host), host).hex()


def learn(t, name, host=ODD_RESOLVER4, qtype=A, stream=False):
    """Asks, and returns all that the resolver says within a moment of its first answer."""
    sock = tell(t, prefixed(query(name, qtype)), host) if stream else ask(t, query(name, qtype), host)
    answers = reply(sock) if stream else sock.recv(65535)
    sock.settimeout(0.02 * SLOW)
    try:
        while True:
            answers += reply(sock) if stream else sock.recv(65535)
    except OSError:
        return answers


def answered_with(t, op, stream=False, host=None, qtype=None):
    """Has R3 answer about the target in the way OP, and dials it. True if such an answer came."""
    host = host or t.host4
    packed = socket.inet_pton(family(host), host)
    name = f"{op}.{hexadecimal(host)}.odd.test"
    came = packed[:-1] in learn(t, name, ODD_RESOLVER4, qtype or (A if len(packed) == 4 else AAAA), stream)
    if came or t.phase != "outside":
        dial(t, host)
    return came


PRIVATE4 = ("0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.254", "127.0.0.1",
            "127.255.255.254", "169.254.169.254", "169.254.1.1", "172.16.0.1", "172.31.255.254", "192.168.0.1",
            "192.168.255.254", "224.0.0.251", "239.255.255.250", "240.0.0.1", "255.255.255.255", "168.63.129.16",
            "192.0.0.192")
PRIVATE6 = ("::1", "fd00:5a11::1", "fd00:ec2::254", "fc00::1", "fe80::1", "febf::1", "fec0::1", "ff02::1", "ff0e::1",
            "::ffff:10.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::10.0.0.1", "::ffff:0:10.0.0.1",
            "::ffff:0:169.254.169.254",
            "64:ff9b::10.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b::192.168.0.1",
            "64:ff9b:1::198.18.0.2", "64:ff9b:1:fffe::10.0.0.1", "2002:a00:1::1", "2002:7f00:1::", "2002:a9fe:a9fe::1",
            "2002:c0a8:1::", "2001:0:a00:1::", "2001:0:c612:42:0:ffff:f5ff:fffe", "64:ff9b:1:a00:0:100::")


def rebinding(host):
    def run(t):
        if t.allowed:
            return answered_with(t, "a", host=GOOD6 if ":" in host else GOOD4)
        return answered_with(t, "a", host=host)
    run.__doc__ = f"an allowed name that resolves to {host}"
    packed = socket.inet_pton(family(host), host)
    seen = socket.inet_ntop(socket.AF_INET6, packed) if ":" in host else host
    if seen.startswith("::ffff:") and "." in seen and packed[10:12] == b"\xff\xff":
        seen = seen[7:]
    seen = str(ipaddress.ip_address(seen))
    technique("C9", "to-" + host.replace("::", "--").replace(":", "-"), policy="odd", hosts=(seen, seen),
              to_the_end=True)(run)


for one in PRIVATE4 + PRIVATE6:
    rebinding(one)


def rebinding_by_name(name, host4, host6):
    def run(t):
        found = [entry[0] for entry in resolve(SAFE if t.allowed else name)]
        for host in (t.host4, t.host6):
            dial(t, host)
        return found
    run.__doc__ = f"an allowed name of another zone that resolves to {host4} and {host6}"
    technique("C9", name.split(".")[0], hosts=(host4, host6), to_the_end=True)(run)


rebinding_by_name("private.test", "10.0.0.1", "fd00:5a11::1")
# ---- C10 to C14: answers that teach nothing ------------------------------------------------------

ANSWERS = (
    ("C10", "additional", "extra", "an address in the additional section"),
    ("C10", "authority", "authority", "an address in the authority section"),
    ("C10", "other-name", "other", "an address of another name in the answer section"),
    ("C10", "parent", "parent", "an address of the name's parents and children"),
    ("C10", "cname-aside", "aside", "an address at the end of a CNAME chain that does not start at the question"),
    ("C10", "cname-left", "left", "an address of the question, behind the CNAME that leads away from it"),
    ("C10", "cname-loop", "loop", "a CNAME loop, and an address of another name"),
    ("C10", "dname", "dname", "a DNAME without its CNAME, and an address of its target"),
    ("C10", "chain-70", "alias70", "an address behind 70 CNAMEs"),
    ("C10", "class", "chaos", "an address of class CH"),
    ("C11", "query", "query", "an answer that says it is a query"),
    ("C11", "opcode", "opcode", "an answer with another opcode"),
    ("C11", "no-question", "noq", "an answer without a question"),
    ("C11", "two-questions", "twoq", "an answer with two questions"),
    ("C11", "error", "error", "an answer with an error code, and an address"),
    ("C11", "twice", "twice", "a second answer to a question that was answered"),
    ("C11", "refused", "refused", "a second answer to a question that was refused"),
    ("C11", "long-record", "long", "an A record of five bytes"),
    ("C11", "short-record", "short", "an A record of three bytes"),
    ("C11", "pointer-forward", "forward", "an answer with a pointer forward"),
    ("C11", "pointer-self", "self", "an answer with a pointer to itself"),
    ("C11", "pointer-header", "header", "an answer with a pointer into the header"),
    ("C11", "uncounted", "behind", "a record behind the counted ones"),
    ("C11", "cut", "cut", "an answer that ends within the record"),
    ("C13", "record-1025", "late1024", "the 1025th record of an answer"),
    ("C14", "srv", "srv", "an SRV record, and the address of its target"),
    ("C14", "mx", "mx", "an MX record, and the address of its target"),
    ("C14", "glue", "glue", "an NS record, and the address of its target"),
    ("C14", "unknown", "unknown", "a record of an unknown type that looks like an address"),
)
TYPES = {"srv": SRV, "mx": MX, "glue": NS, "unknown": A}
FORGED = (
    ("id", "an answer with another id"),
    ("port", "an answer from another port of the resolver"),
    ("src", "an answer from port 53 of somebody else"),
    ("name", "an answer to another question"),
    ("names", "an answer to another question, with an address of the name asked for"),
    ("type", "an answer to a question of another type"),
    ("class", "an answer to a question of another class"),
)


def teaches_nothing(row, name, op, what, stream=False, then=False):
    def run(t):
        usual = f"{op}-then" if then else "a"
        return answered_with(t, usual if t.allowed else op, stream, qtype=None if t.allowed else TYPES.get(op))
    run.__doc__ = what + (", over TCP" if stream else "")
    technique(row, name + ("-tcp" if stream else ""), policy="odd", to_the_end=True)(run)


for row, name, op, what in ANSWERS:
    teaches_nothing(row, name, op, what)
for op, what in FORGED:
    teaches_nothing("C11", op, op, what, then=True)
for op, what in FORGED:
    if op not in ("port", "src"):
        teaches_nothing("C11", op, op, what, stream=True, then=True)
for op in ("twice", "error", "query", "noq", "cut"):
    row, name, _, what = next(answer for answer in ANSWERS if answer[2] == op)
    teaches_nothing(row, name, op, what, stream=True)


def hint(name, op, qtype):
    def run(t):
        return answered_with(t, "a" if t.allowed else op, qtype=A if t.allowed else qtype)
    run.__doc__ = f"an address hint in an {name.upper()} record"
    technique("C14", f"hint-{name}", policy="odd", to_the_end=True)(run)

    def run6(t):
        host = t.host6
        return answered_with(t, "a" if t.allowed else op, host=host, qtype=AAAA if t.allowed else qtype)
    run6.__doc__ = f"an IPv6 address hint in an {name.upper()} record"
    technique("C14", f"hint-{name}-6", policy="odd", to_the_end=True)(run6)


hint("https", "hint", HTTPS)
hint("svcb", "svcb", SVCB)


@technique("C10", "cname-sni", policy="odd", oracle="marker", hosts=(CDN4, CDN6), to_the_end=True)
def cname_sni(t):
    """an allowed name whose CNAME is one that is not: the latter in the handshake, at the address learned"""
    learned = CDN4 if not t.allowed else GOOD4
    name = f"alias2.{hexadecimal(learned)}.odd.test"
    learn(t, name)
    sock = t.connect(80, learned)
    host = name if t.allowed else "c1.test"
    sock.sendall(f"GET /{t.marker.decode()} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    return True


@technique("C12", "host", oracle="marker")
def two_names_host(t):
    """two names of one address: the denied one in an HTTP request"""
    host = "one.cdn.test" if t.allowed else "two.cdn.test"
    t.at_cdn(80).sendall(f"GET /{t.marker.decode()} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())


@technique("C12", "sni", oracle="marker")
def two_names_sni(t):
    """two names of one address: the denied one in a ClientHello"""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.set_alpn_protocols([t.marker.decode()])
    try:
        name = "one.cdn.test" if t.allowed else "two.cdn.test"
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        pass
    t.at_cdn(443).sendall(outgoing.read())


# ---- C11: answers that the sandbox gives itself, or that go to another socket --------------------

@technique("C11", "other-socket", policy="odd", to_the_end=True)
def other_socket(t):
    """an answer to another socket than the one that asked"""
    other = t.udp()
    other.bind(("", 0))
    packed = socket.inet_aton(t.host4)
    op = "a" if t.allowed else f"to{other.getsockname()[1]}"
    asking = ask(t, query(f"{op}.{packed.hex()}.odd.test"), ODD_RESOLVER4)
    came = packed in (asking if t.allowed else other).recv(512)
    dial(t)
    return came


@technique("C11", "twin-socket", policy="odd", to_the_end=True)
def twin_socket(t):
    """an answer to the twin (SO_REUSEPORT) of the socket that asked"""
    asking, twin = t.udp(), t.udp()
    for sock in (asking, twin):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    asking.bind((SELF4, 0))
    twin.bind(asking.getsockname())
    if not t.allowed:
        twin.connect((ODD_RESOLVER4, 53))  # the better match
    packed = socket.inet_aton(t.host4)
    asking.sendto(query(f"a.{packed.hex()}.odd.test"), (ODD_RESOLVER4, 53))
    got = select.select([asking, twin], [], [], t.wait)[0]
    came = got and packed in got[0].recv(512)
    if not t.allowed and got[0] is not twin:
        raise RuntimeError("the twin did not get it")
    dial(t)
    return came


@technique("C11", "unasked", policy="odd", to_the_end=True)
def unasked(t):
    """an answer to the question of a socket that is closed, at a socket on its port"""
    sock = t.udp()
    sock.bind((SELF4, 0))
    name = sock.getsockname()
    later = t.udp()
    packed = socket.inet_aton(t.host4)
    if t.allowed:
        later = sock
        op = "a"
    else:
        later.bind((SELF4, 0))
        op = f"to{later.getsockname()[1]}"
    sock.sendto(query(f"{op}.{packed.hex()}.odd.test"), (ODD_RESOLVER4, 53))
    if not t.allowed:
        sock.close()
    came = packed in later.recv(512)
    dial(t)
    return came and name


def forged_answer(t):
    return query(SAFE, flags=0x8180, counts=(1, 1, 0, 0), tail=record(b"\xc0\x0c", A, socket.inet_aton(t.host4), 300))


def forge(t, bind):
    """Asks for an allowed name, and answers it from a socket that `bind` made the resolver's; then dials."""
    asking = t.udp()
    asking.bind((SELF4, 0))
    # where nobody answers but us: the resolver gets a query, and the true answer comes too
    asking.sendto(query(SAFE), (RESOLVER4, 53))
    try:
        forger = t.udp()
        bind(forger)
        forger.sendto(forged_answer(t), asking.getsockname())
        end = time.monotonic() + t.wait
        while time.monotonic() < end:
            data, peer = asking.recvfrom(512)
            if peer[0] == RESOLVER4 and socket.inet_aton(t.host4) in data:
                break
        else:
            raise RuntimeError("the forged answer did not come")
    finally:
        if t.phase != "outside":
            dial(t)
    dial(t)


@technique("C11", "own-transparent", allow=False)
def own_transparent(t):
    """an answer of one's own: a socket bound to the resolver's address by IP_TRANSPARENT"""
    def bind(sock):
        sock.setsockopt(socket.IPPROTO_IP, 19, 1)
        sock.bind((RESOLVER4, 53))
    forge(t, bind)


@technique("C11", "own-raw", allow=False)
def own_raw(t):
    """an answer of one's own: a raw socket with the resolver's address in the header"""
    asking = t.udp()
    asking.bind((SELF4, 0))
    asking.sendto(query(SAFE), (RESOLVER4, 53))
    data = forged_answer(t)
    udp = struct.pack("!4H", 53, asking.getsockname()[1], 8 + len(data), 0) + data
    packet = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, socket.inet_aton(RESOLVER4),
                         socket.inet_aton(SELF4)) + udp
    try:
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        raw.sendto(packet, (SELF4, 0))
        while socket.inet_aton(t.host4) not in asking.recv(512):
            pass
    finally:
        if t.phase != "outside":
            dial(t)
    dial(t)


@technique("C11", "own-loopback", allow=False)
def own_loopback(t):
    """an answer of one's own, from port 53 of loopback: the question goes there too"""
    server = t.udp()
    asking = t.udp()
    try:
        server.bind(("127.0.0.99", 53))
        asking.sendto(query(SAFE), ("127.0.0.99", 53))
        _, peer = server.recvfrom(512)
        server.sendto(forged_answer(t), peer)
        asking.recv(512)
    finally:
        if t.phase != "outside":
            dial(t)
    dial(t)


@technique("C11", "own-port", allow=False)
def own_port(t):
    """an answer of one's own, from another port of one's own address"""
    asking, forger = t.udp(), t.udp()
    asking.sendto(query(SAFE), (RESOLVER4, 53))
    asking.recv(512)
    asking.sendto(query(SAFE), (RESOLVER4, 53))
    forger.bind((SELF4, 0))
    forger.sendto(forged_answer(t), (SELF4, asking.getsockname()[1]))
    while socket.inet_aton(t.host4) not in asking.recv(512):
        pass
    dial(t)


@technique("C11", "own-netns", allow=False)
def own_netns(t):
    """an answer of one's own: the resolver's address in a network namespace of one's own"""
    libc = ctypes.CDLL(None, use_errno=True)
    asking = t.udp()  # born at home
    ready, out = os.pipe()
    if os.fork() == 0:
        said = b"no"
        try:
            if os.getuid() and libc.unshare(0x10000000):
                raise OSError("no user namespace")
            if libc.unshare(0x40000000):
                raise OSError("no network namespace")
            control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            request = struct.pack("16s", b"lo") + address4(RESOLVER4, 0) + bytes(8)
            fcntl.ioctl(control, 0x8916, request)  # SIOCSIFADDR
            fcntl.ioctl(control, 0x8914, struct.pack("16sH22x", b"lo", 1))  # SIOCSIFFLAGS, up
            server, inner = t.udp(), t.udp()
            server.bind((RESOLVER4, 53))
            inner.sendto(query(SAFE), (RESOLVER4, 53))
            _, peer = server.recvfrom(512)
            server.sendto(forged_answer(t), peer)
            inner.recv(512)
            said = b"answered"
        except Exception as error:
            said = str(error).encode()
        os.write(out, said)
        os._exit(0)
    os.close(out)
    said = os.read(ready, 200)
    asking.close()
    if t.phase != "outside" or said == b"answered":
        dial(t)
    return said.decode()


def early(name, stream):
    def run(t):
        packed = socket.inet_aton(t.host4)
        first, second = ("silent", "a") if t.allowed else ("early", "silent")
        names = [f"{op}.{packed.hex()}.odd.test" for op in (first, second)]
        if stream:
            sock = tell(t, prefixed(query(names[0])), ODD_RESOLVER4)
        else:
            sock = ask(t, query(names[0]), ODD_RESOLVER4)
        came = None if t.allowed else packed in (reply(sock) if stream else sock.recv(512))
        if stream:
            sock.sendall(prefixed(query(names[1])))
        else:
            sock.sendto(query(names[1]), (ODD_RESOLVER4, 53))
        if t.allowed:
            came = packed in (reply(sock) if stream else sock.recv(512))
        dial(t)
        return came
    run.__doc__ = "an answer that comes before its question" + (", over TCP" if stream else "")
    technique("C11", name, policy="odd", to_the_end=True)(run)


early("early", False)
early("early-tcp", True)


# ---- C13: lifetimes, numbers ---------------------------------------------------------------------

def expires(name, ttl, what):
    def run(t):
        host = t.host4
        name = f"ttl{ttl}.{hexadecimal(host)}.odd.test"
        came = socket.inet_aton(host) in learn(t, name)
        if not t.allowed:
            time.sleep(1.2)
        dial(t)
        return came
    run.__doc__ = what
    technique("C13", name, policy="odd", hosts=(host_of[name], host_of[name]), to_the_end=True)(run)


host_of = {"ttl-0": "203.0.113.101", "ttl-1": "203.0.113.102", "ttl-2-31": "203.0.113.103", "ttl-2-32": "203.0.113.104"}
expires("ttl-0", 0, "an address whose TTL of 0 is over (min_ttl is 1 second)")
expires("ttl-1", 1, "an address whose TTL of 1 second is over")
expires("ttl-2-31", 1 << 31, "a TTL with the top bit set is 0 (RFC 2181)")
expires("ttl-2-32", 0xffffffff, "a TTL of all ones is 0 (RFC 2181)")


def renewed(name, what, use):
    """An address whose lifetime is over is used where it may be: that does not open it for others."""
    def run(t):
        host = RENEWED[name]
        came = socket.inet_aton(host) in learn(t, f"ttl1.{hexadecimal(host)}.odd.test")
        sock = use(t, host)
        time.sleep(1.3)
        use(t, host, sock)
        time.sleep(0.1)
        dial(t, host)
        return came
    run.__doc__ = what
    technique("C13", f"renew-{name}", policy="odd", hosts=(RENEWED[name], RENEWED[name]), to_the_end=True, timeout=9,
              allow=False)(run)


RENEWED = {"udp": "203.0.113.105", "udp-live": "203.0.113.106", "syn": "203.0.113.107"}


def datagram(t, host, sock=None):
    sock = sock or t.udp()
    sock.sendto(b"used", (host, 9))  # no port that the oracle looks at
    return sock


def datagrams(t, host, sock=None):
    """While it is alive, each second, so that it never is over."""
    sock = sock or t.udp()
    for _ in range(3):
        sock.sendto(b"used", (host, 9))
        time.sleep(0.6)
    return sock


def unanswered(t, host, sock=None):
    """A connection that nobody accepts: its SYN is sent again after a second."""
    if sock:
        time.sleep(1)
        return sock
    sock = t.tcp()
    sock.setblocking(False)
    sock.connect_ex((host, 9))
    time.sleep(1.2)
    return sock


renewed("udp", "an address whose TTL is over, after a datagram to it from a socket that may", datagram)
renewed("udp-live", "the same, datagrams being sent before and after", datagrams)
renewed("syn", "an address whose TTL is over, after a SYN to it was sent again", unanswered)


@technique("C13", "churn", policy="odd", to_the_end=True)
def churn(t):
    """100 names are learned, and none of them opens another address"""
    sock = t.udp()
    sock.connect((ODD_RESOLVER4, 53))
    for i in range(100):
        sock.send(query(f"a.{0xc6134000 + i:08x}.odd.test"))
        sock.recv(512)
    if t.allowed:
        answered_with(t, "a")
    else:
        dial(t)
    return True


@technique("C13", "ninth-name", policy="odd", to_the_end=True)
def ninth_name(t):
    """nine names of one address, then its neighbour"""
    host = t.host4 if t.allowed else "198.18.0.65"
    for i in range(9):
        learn(t, f"ttl{300 + i}.{hexadecimal(host)}.odd.test")
    dial(t)
    return True
