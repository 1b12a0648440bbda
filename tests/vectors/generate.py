#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
generate.py - makes every test vector of tests/vectors/{dns,tls,http,other}: NAME.bin and NAME.expect.

Usage: generate.py           write all vectors, remove files that are no longer made
       generate.py --check   write nothing; fail if the tree is not what would be written

What a parser must say is written here by hand next to each input, from the rules (README.md), never
by running a parser: a vector that a parser fails is a bug in one of the two, to be found by reading
the rule. "Random" bytes are SHA-256 in counter mode over a label, so that every run makes the same
files. Only the Python standard library is used.
"""
import base64
import hashlib
import ipaddress
import os
import struct
import sys

STREAM_MAX = 16896  # SP_STREAM_MAX
RRS_MAX = 1024  # SP_RRS_MAX
PASSES = 8  # SP_ANSWER_PASSES
CNAMES_MAX = 64  # SP_DNS_CNAMES_MAX
HOPS_MAX = 16  # compression pointers followed for one name
EXTENSIONS_MAX = 96  # SP_EXTENSIONS_MAX
HEADERS_MAX = 96  # SP_HEADERS_MAX

HOST = "api.github.com"
VECTORS = {}  # "dns/query-a" -> (bytes, [lines])


def add(name, data, lines):
    assert name not in VECTORS, name
    VECTORS[name] = (bytes(data), list(lines))


def noise(label, n):
    out = b""
    i = 0
    while len(out) < n:
        out += hashlib.sha256(b"%s/%d" % (label.encode(), i)).digest()
        i += 1
    return out[:n]


def u8(n):
    return struct.pack(">B", n)


def u16(n):
    return struct.pack(">H", n)


def u24(n):
    return struct.pack(">I", n)[1:]


def u32(n):
    return struct.pack(">I", n)


def long_name(length, tail="example.com"):
    """A text name of exactly `length` bytes, labels of at most 63, ending in `tail`."""
    left = length - len(tail)
    parts = []
    while left:
        n = min(64, left)
        if left - n == 1:  # a lone dot cannot be a label
            n -= 1
        parts.append("n" * (n - 1))
        left -= n
    name = ".".join(parts + [tail])
    assert len(name) == length and all(1 <= len(x) <= 63 for x in name.split("."))
    return name


def many_labels(n, tail="example.com"):
    name = ".".join(["a"] * (n - len(tail.split("."))) + [tail])
    assert len(name.split(".")) == n
    return name


def mixed_case(name):
    """0x20 encoding: every other letter upper case."""
    return "".join(c.upper() if i % 2 else c for i, c in enumerate(name))


# ---- DNS ---------------------------------------------------------------------------------------

A, NS, CNAME, SOA, NULL, PTR, MX, TXT, AAAA, SRV, DNAME, OPT, RRSIG = (
    1, 2, 5, 6, 10, 12, 15, 16, 28, 33, 39, 41, 46)
SVCB, HTTPS, TSIG, AXFR, ANY, CAA = 64, 65, 250, 252, 255, 257
IN, CH, HS, CLASS_ANY = 1, 3, 4, 255


def wire(name):
    if isinstance(name, bytes):
        return name  # given in wire form
    name = name.rstrip(".")
    out = b""
    for label in name.split(".") if name else []:
        assert 1 <= len(label) <= 63
        out += u8(len(label)) + label.encode("latin-1")
    return out + b"\0"


def labels(*parts):
    return b"".join(u8(len(p)) + p for p in parts) + b"\0"


def ptr(off):
    return u16(0xc000 | off)


def header(ident, flags, qd=1, an=0, ns=0, ar=0):
    return struct.pack(">HHHHHH", ident, flags, qd, an, ns, ar)


def question(name, qtype=A, qclass=IN):
    return wire(name) + u16(qtype) + u16(qclass)


def opt(size=1232, flags=0, options=b""):
    return b"\0" + u16(OPT) + u16(size) + u32(flags) + u16(len(options)) + options


def option(code, data):
    return u16(code) + u16(len(data)) + data


def rr(owner, rtype, rdata, ttl=300, rclass=IN, rdlength=None):
    return (wire(owner) + u16(rtype) + u16(rclass) + u32(ttl) +
            u16(len(rdata) if rdlength is None else rdlength) + rdata)


def query_ok(name, data, text, qtype, ident):
    add("dns/query-" + name, data,
        ["verdict: ok", "name: " + text, "type: %d" % qtype, "id: 0x%04x" % ident])


def query_bad(name, data, reason):
    add("dns/query-" + name, data, ["verdict: bad", "reason: " + reason])


def dns_queries():
    ident = 0x1234
    rd = 0x0100

    def q(name, qtype=A, flags=rd, ident=ident, tail=b"", **counts):
        return header(ident, flags, **counts) + question(name, qtype) + tail

    # what real resolvers send
    query_ok("glibc-a", q(HOST), HOST, A, ident)
    query_ok("glibc-aaaa", q(HOST, AAAA, ident=0xa55a), HOST, AAAA, 0xa55a)
    query_ok("glibc-edns0", q(HOST, AAAA, ar=1, tail=opt()), HOST, AAAA, ident)
    query_ok("glibc-trust-ad", q(HOST, flags=0x0120, ar=1, tail=opt()), HOST, A, ident)
    query_ok("resolved-do", q(HOST, ar=1, tail=opt(65494, 0x8000)), HOST, A, ident)
    query_ok("dig-cookie", q(HOST, flags=0x0120, ar=1,
                             tail=opt(1232, 0, option(10, noise("cookie", 8)))), HOST, A, ident)
    query_ok("dig-subnet", q(HOST, ar=1, tail=opt(1232, 0, option(8, bytes.fromhex(
        "00011800c00002")))), HOST, A, ident)
    pad = 128 - len(q(HOST)) - 11 - 4
    query_ok("padded-128", q(HOST, ar=1, tail=opt(1232, 0, option(12, bytes(pad)))), HOST, A, ident)
    query_ok("unbound-0x20", q(mixed_case(HOST), ident=0xbeef), HOST, A, 0xbeef)
    query_ok("upper-case", q(HOST.upper()), HOST, A, ident)
    query_ok("nodejs-cares", q("registry.npmjs.org", AAAA), "registry.npmjs.org", AAAA, ident)
    query_ok("search-list", q("api.github.com.default.svc.cluster.local"),
             "api.github.com.default.svc.cluster.local", A, ident)
    query_ok("https", q(HOST, HTTPS), HOST, HTTPS, ident)
    query_ok("svcb", q("_dns.resolver.arpa", SVCB), "_dns.resolver.arpa", SVCB, ident)
    query_ok("srv", q("_ldap._tcp.dc._msdcs.example.com", SRV), "_ldap._tcp.dc._msdcs.example.com",
             SRV, ident)
    query_ok("mx", q("example.com", MX), "example.com", MX, ident)
    query_ok("txt", q("_acme.example.com", TXT), "_acme.example.com", TXT, ident)
    query_ok("caa", q("example.com", CAA), "example.com", CAA, ident)
    query_ok("ptr-v4", q("1.2.0.192.in-addr.arpa", PTR), "1.2.0.192.in-addr.arpa", PTR, ident)
    v6 = ipaddress.ip_address("2001:db8::1").reverse_pointer
    query_ok("ptr-v6", q(v6, PTR), v6, PTR, ident)
    # which types may be asked is policy, not form
    query_ok("any", q("example.com", ANY), "example.com", ANY, ident)
    query_ok("null", q("example.com", NULL), "example.com", NULL, ident)
    query_ok("axfr", q("example.com", AXFR), "example.com", AXFR, ident)
    query_ok("type-0", q("example.com", 0), "example.com", 0, ident)
    query_ok("type-65535", q("example.com", 65535), "example.com", 65535, ident)
    query_ok("id-0", q(HOST, ident=0), HOST, A, 0)
    query_ok("id-ffff", q(HOST, ident=0xffff), HOST, A, 0xffff)
    # bits that do not matter in a query: AA, TC, RD, RA, Z, AD, CD and the RCODE
    query_ok("no-rd", q(HOST, flags=0), HOST, A, ident)
    query_ok("all-other-bits", q(HOST, flags=0x07ff), HOST, A, ident)
    query_ok("tc", q(HOST, flags=0x0300), HOST, A, ident)

    # names
    query_ok("single-label", q("localhost"), "localhost", A, ident)
    query_ok("one-byte", q("a"), "a", A, ident)
    query_ok("idn", q("xn--bcher-kva.example"), "xn--bcher-kva.example", A, ident)
    query_ok("hyphens", q("-a-.b--.example.com"), "-a-.b--.example.com", A, ident)
    query_ok("digits-not-last", q("1.2.3.4.example.com"), "1.2.3.4.example.com", A, ident)
    query_ok("last-label-mixed", q("a.4x"), "a.4x", A, ident)
    query_ok("evil-prefix", q("api.github.com.evil.com"), "api.github.com.evil.com", A, ident)
    query_ok("evil-glued", q("xapi.github.com"), "xapi.github.com", A, ident)
    query_ok("exfiltration", q(noise("exfil", 28).hex() + "." + noise("exfil2", 28).hex() +
                               ".evil.com", TXT),
             noise("exfil", 28).hex() + "." + noise("exfil2", 28).hex() + ".evil.com", TXT, ident)
    for n in (62, 63):
        query_ok("label-%d" % n, q("l" * n + ".example.com"), "l" * n + ".example.com", A, ident)
    # every length of a label, so that no word of a word-wise reader is left out
    for n in (7, 8, 9, 15, 16, 17):
        query_ok("label-%d" % n, q("L" * n + ".com"), "l" * n + ".com", A, ident)
    for n in (252, 253):  # text; the wire form has two bytes more
        query_ok("name-%d-wire-%d" % (n, n + 2), q(long_name(n)), long_name(n), A, ident)
    for n in (254, 255):
        query_bad("name-%d-wire-%d" % (n, n + 2), q(long_name(n)), "name_length")
    query_bad("name-endless", header(ident, rd) + (b"\x3f" + b"n" * 63) * 16 + b"\0" +
              u16(A) + u16(IN), "name_length")
    for n in (39, 40):
        query_ok("labels-%d" % n, q(many_labels(n)), many_labels(n), A, ident)
    query_bad("labels-41", q(many_labels(41)), "name_labels")
    query_bad("labels-127", q(b"\1a" * 127 + b"\0"), "name_labels")

    query_bad("root", q("", NS), "name_bad")
    for token, label in (("nul", b"api\0github"), ("dot", b"api.github"), ("backslash", b"a\\b"),
                         ("space", b"a b"), ("slash", b"a/b"), ("at", b"a@b"),
                         ("colon", b"a:b"), ("star", b"*"), ("high-bit", b"a\xe1b"),
                         ("utf8", "b\u00fccher".encode()), ("del", b"a\x7f"), ("newline", b"a\n"),
                         ("below-digits", b"a/"), ("below-upper", b"a@"), ("above-upper", b"a["),
                         ("below-lower", b"a`"), ("above-lower", b"a{"), ("comma", b"a,b"),
                         ("nul-last", b"aaaaaaa\0"), ("high-last", b"a" * 62 + b"\xff")):
        query_bad("byte-" + token, q(labels(label, b"com")), "name_bad")
    query_bad("byte-dot-whole-name", q(labels(b"api.github.com")), "name_bad")
    query_bad("byte-nul-in-tld", q(labels(b"github", b"com\0")), "name_bad")
    query_bad("ipv4-literal", q("192.0.2.1"), "name_bad")
    query_bad("last-label-digits", q("example.123"), "name_bad")
    query_bad("only-digits", q("2130706433"), "name_bad")
    query_bad("last-label-hex", q("example.0x7f000001"), "name_bad")
    query_ok("hex-not-last", q("0x7f.example.com"), "0x7f.example.com", A, ident)

    # label types and compression
    query_bad("pointer-only", header(ident, rd) + ptr(12) + u16(A) + u16(IN), "dns_pointer")
    query_bad("pointer-loop", header(ident, rd) + b"\3api" + ptr(12) + u16(A) + u16(IN),
              "dns_pointer")
    query_bad("pointer-forward", header(ident, rd) + b"\3api" + ptr(22) + u16(A) + u16(IN) +
              wire("github.com"), "dns_pointer")
    query_bad("pointer-to-header", header(ident, rd) + b"\3api" + ptr(4) + u16(A) + u16(IN),
              "dns_pointer")
    query_bad("pointer-max", header(ident, rd) + b"\3api" + u16(0xffff) + u16(A) + u16(IN),
              "dns_pointer")
    query_bad("label-64", header(ident, rd) + b"\x40" + b"l" * 64 + wire("com") + u16(A) + u16(IN),
              "name_length")
    query_bad("label-type-40", header(ident, rd) + b"\3api\x41\x01\0" + u16(A) + u16(IN),
              "name_length")
    query_bad("label-type-80", header(ident, rd) + b"\3api\x80\0" + u16(A) + u16(IN), "name_length")
    query_bad("label-type-bf", header(ident, rd) + b"\xbf" + b"a" * 191 + b"\0" + u16(A) + u16(IN),
              "name_length")

    # header
    query_bad("response", q(HOST, flags=0x8180), "dns_not_query")
    query_bad("response-with-answer", header(ident, 0x8180, an=1) + question(HOST) +
              rr(ptr(12), A, bytes([192, 0, 2, 1])), "dns_not_query")
    for opcode, token in ((1, "iquery"), (2, "status"), (4, "notify"), (5, "update"), (15, "15")):
        query_bad("opcode-" + token, q(HOST, flags=opcode << 11 | rd), "dns_not_query")
    query_bad("class-ch", header(ident, rd) + question("version.bind", TXT, CH), "dns_not_query")
    query_bad("class-any", header(ident, rd) + question(HOST, A, CLASS_ANY), "dns_not_query")
    query_bad("class-0", header(ident, rd) + question(HOST, A, 0), "dns_not_query")
    query_bad("class-mdns-unicast", header(ident, 0) + question("printer.local", A, 0x8001),
              "dns_not_query")
    query_bad("class-ch-with-opt-trailing", header(ident, rd, ar=1) + question(HOST, A, CH) +
              opt() + b"x", "dns_not_query")  # the class is looked at first

    # counts
    query_bad("qdcount-0", q(HOST, qd=0), "dns_counts")
    query_bad("qdcount-0-empty", header(ident, rd, qd=0), "dns_counts")
    query_bad("qdcount-2", q(HOST, qd=2, tail=question("evil.com")), "dns_counts")
    query_bad("qdcount-2-one-there", q(HOST, qd=2), "dns_counts")
    query_bad("qdcount-65535", q(HOST, qd=65535), "dns_counts")
    query_bad("qdcount-256", q(HOST, qd=256), "dns_counts")
    query_bad("ancount-1", q(HOST, an=1, tail=rr(ptr(12), A, bytes(4))), "dns_counts")
    query_bad("ancount-256", q(HOST, an=256), "dns_counts")
    query_bad("nscount-1", q(HOST, ns=1, tail=rr(ptr(12), NS, wire("ns.evil.com"))), "dns_counts")
    query_bad("arcount-2", q(HOST, ar=2, tail=opt() + opt()), "dns_counts")
    query_bad("arcount-65535", q(HOST, ar=65535, tail=opt()), "dns_counts")
    query_bad("arcount-257", q(HOST, ar=257, tail=opt()), "dns_counts")
    query_bad("counts-before-name", header(ident, rd, qd=2) + ptr(12) + u16(A) + u16(IN),
              "dns_counts")
    query_bad("opcode-before-counts", header(ident, 0x2900, qd=2) + question(HOST), "dns_not_query")
    query_bad("additional-a", q(HOST, ar=1, tail=rr(ptr(12), A, bytes([192, 0, 2, 1]))),
              "dns_counts")
    query_bad("additional-a-root-owner", q(HOST, ar=1, tail=rr("", A, bytes([192, 0, 2, 1]))),
              "dns_counts")
    query_bad("additional-txt", q(HOST, ar=1, tail=rr("evil.com", TXT, b"\5hello")), "dns_counts")
    query_bad("additional-tsig", q(HOST, ar=1, tail=rr("key.example", TSIG, bytes(16), 0,
                                                       CLASS_ANY)), "dns_counts")
    query_bad("opt-named-owner", q(HOST, ar=1, tail=rr("evil.com", OPT, b"", 0, 1232)),
              "dns_counts")
    query_bad("opt-pointer-owner", q(HOST, ar=1, tail=rr(ptr(12), OPT, b"", 0, 1232)),
              "dns_counts")

    # ends
    query_bad("trailing-1", q(HOST, tail=b"\0"), "dns_trailing")
    query_bad("trailing-exfil", q(HOST, tail=noise("trailing", 200)), "dns_trailing")
    query_bad("trailing-second-message", q(HOST, tail=q("evil.com")), "dns_trailing")
    query_bad("opt-not-counted", q(HOST, tail=opt()), "dns_trailing")
    query_bad("opt-trailing-1", q(HOST, ar=1, tail=opt() + b"\0"), "dns_trailing")
    query_bad("opt-second-not-counted", q(HOST, ar=1, tail=opt() + opt()), "dns_trailing")
    data = q(HOST, ar=1, tail=opt(1232, 0, option(10, noise("cookie", 8))))
    at = len(data) - 12 - 2  # of RDLENGTH
    query_bad("opt-rdlength-minus-1", data[:at] + u16(11) + data[at + 2:], "dns_trailing")
    query_bad("opt-rdlength-plus-1", data[:at] + u16(13) + data[at + 2:], "dns_malformed")
    query_bad("opt-rdlength-0", data[:at] + u16(0) + data[at + 2:], "dns_trailing")
    query_bad("opt-rdlength-ffff", data[:at] + u16(0xffff) + data[at + 2:], "dns_malformed")

    # cut at each boundary and beside it
    data = q(HOST)
    end = len(data)
    for n, token in ((0, "empty"), (1, "1"), (11, "header-minus-1"), (12, "header"),
                     (13, "label-length"), (15, "in-label"), (16, "first-label"),
                     (end - 5, "before-root"), (end - 4, "name"), (end - 3, "in-type"),
                     (end - 2, "type"), (end - 1, "in-class")):
        query_bad("cut-" + token, data[:n], "dns_malformed")
    data = q(HOST, ar=1, tail=opt(1232, 0, option(10, noise("cookie", 8))))
    for n, token in ((end, "no-opt"), (end + 1, "opt-owner"), (end + 10, "opt-in-rdlength"),
                     (end + 11, "opt-fixed-part"), (len(data) - 1, "opt-rdata-minus-1")):
        query_bad("cut-" + token, data[:n], "dns_malformed")
    query_bad("label-past-end", header(ident, rd) + b"\3api\x0agithub", "dns_malformed")


def answer(name, data, qname, qtype, learn, verdict="ok"):
    lines = []
    if qname is not None:
        lines += ["question: " + qname, "type: %d" % qtype]
    lines += ["learn: %s ttl=%d" % (a, ttl) for a, ttl in learn]  # as inet_ntop() writes it
    add("dns/answer-" + name, data, lines + ["verdict: " + verdict])


def addr(text):
    return ipaddress.ip_address(text).packed


def dns_answers():
    """`learn` is what the answer teaches before any range filter (rebinding) or TTL clamp."""
    ident = 0x1234
    q0 = ptr(12)  # the question's name

    def msg(*records, qname=HOST, qtype=A, flags=0x8180, an=None, ns=0, ar=0, tail=b""):
        an = len(records) if an is None else an
        return (header(ident, flags, 1, an, ns, ar) + question(qname, qtype) + b"".join(records) +
                tail)

    def offset(*records, qname=HOST):
        """Where the next record begins."""
        return 12 + len(question(qname)) + sum(map(len, records))

    a1 = rr(q0, A, addr("192.0.2.1"), 60)
    a2 = rr(q0, A, addr("192.0.2.2"), 60)
    one, two = ("192.0.2.1", 60), ("192.0.2.2", 60)

    # what resolvers answer
    answer("a", msg(a1), HOST, A, [one])
    answer("a-two", msg(a1, a2), HOST, A, [one, two])
    answer("a-edns", msg(a1, ar=1, tail=opt()), HOST, A, [one])
    answer("aaaa", msg(rr(q0, AAAA, addr("2001:db8::1"), 300), qtype=AAAA), HOST, AAAA,
           [("2001:db8::1", 300)])
    answer("a-rrsig", msg(a1, rr(q0, RRSIG, u16(A) + bytes(16) + wire("github.com") +
                                 noise("sig", 64), 60), a2), HOST, A, [one, two])
    answer("owner-spelled-out", msg(rr(HOST, A, addr("192.0.2.1"), 60)), HOST, A, [one])
    answer("owner-upper-case", msg(rr(HOST.upper(), A, addr("192.0.2.1"), 60)), HOST, A, [one])
    answer("owner-part-compressed", msg(rr(b"\3ApI" + ptr(16), A, addr("192.0.2.1"), 60)), HOST, A,
           [one])
    answer("question-0x20", msg(a1, qname=mixed_case(HOST)), HOST, A, [one])
    answer("question-0x20-owner-lower", msg(rr(HOST, A, addr("192.0.2.1"), 60),
                                            qname=mixed_case(HOST)), HOST, A, [one])
    answer("nodata", msg(qtype=AAAA, ns=1, tail=rr(
        ptr(16), SOA, wire("ns1.github.com") + wire("hostmaster.github.com") + bytes(20), 900)),
        HOST, AAAA, [])
    answer("nxdomain", msg(flags=0x8183), HOST, A, [])
    answer("servfail", msg(flags=0x8182), HOST, A, [])
    answer("refused", msg(flags=0x8185), HOST, A, [])
    answer("nxdomain-with-a", msg(a1, flags=0x8183), HOST, A, [])
    answer("servfail-with-a", msg(a1, flags=0x8182), HOST, A, [])
    answer("yxdomain-with-a", msg(a1, flags=0x8186), HOST, A, [])
    answer("rcode-15-with-a", msg(a1, flags=0x818f), HOST, A, [])
    answer("tc", msg(a1, flags=0x8380), HOST, A, [one])
    answer("tc-empty", msg(flags=0x8380), HOST, A, [])
    answer("no-ra-aa", msg(a1, flags=0x8500), HOST, A, [one])
    answer("name-253", msg(a1, qname=long_name(253)), long_name(253), A, [one])
    answer("name-253-owner-spelled-out", msg(
        rr(long_name(253), A, addr("192.0.2.1"), 60), qname=long_name(253)), long_name(253), A,
        [one])
    answer("labels-40", msg(a1, qname=many_labels(40)), many_labels(40), A, [one])

    # CNAME chains
    cname = rr(q0, CNAME, wire("cdn.example.net"), 30)
    at = offset() + 12  # of the target in the RDATA
    target = rr(ptr(at), A, addr("198.51.100.7"), 20)
    seven = ("198.51.100.7", 20)
    answer("cname", msg(cname, target), HOST, A, [seven])
    answer("cname-owner-spelled-out",
           msg(cname, rr("CDN.example.NET", A, addr("198.51.100.7"), 20)),
           HOST, A, [seven])
    answer("cname-two-addresses", msg(cname, target, rr(ptr(at), A, addr("198.51.100.8"), 20)),
           HOST, A, [seven, ("198.51.100.8", 20)])
    answer("cname-only", msg(cname), HOST, A, [])
    answer("cname-aaaa", msg(cname, rr(ptr(at), AAAA, addr("2001:db8::7"), 20), qtype=AAAA), HOST,
           AAAA, [("2001:db8::7", 20)])
    # the target shares its end with the question
    part = rr(q0, CNAME, b"\2lb" + ptr(16), 30)
    answer("cname-compressed-target", msg(part, rr(ptr(at), A, addr("198.51.100.7"), 20)), HOST, A,
           [seven])
    answer("cname-compressed-target-spelled-owner",
           msg(part, rr("lb.github.com", A, addr("198.51.100.7"), 20)), HOST, A, [seven])
    # ... and then the shared end itself, or the question, is not the current name
    answer("cname-compressed-target-parent-owner",
           msg(part, rr(ptr(16), A, addr("203.0.113.66"), 20)), HOST, A, [])
    below = rr(q0, CNAME, b"\2lb" + ptr(12), 30)
    answer("cname-below-question", msg(below, rr(ptr(at), A, addr("198.51.100.7"), 20)), HOST, A,
           [seven])
    answer("cname-below-question-question-owner", msg(below, a1), HOST, A, [])
    answer("cname-old-owner", msg(cname, a1), HOST, A, [])
    answer("cname-old-owner-between", msg(cname, a1, target), HOST, A, [seven])
    # a chain of three, each target pointing into the one before
    c1 = rr(q0, CNAME, b"\1a\4edge\7example\3net\0", 30)
    c1at = offset() + 12
    c2at = offset(c1) + 12
    c2 = rr(ptr(c1at), CNAME, b"\1b" + ptr(c1at + 2), 31)
    c3at = offset(c1, c2) + 12
    c3 = rr(ptr(c2at), CNAME, b"\1c" + ptr(c1at + 2), 32)
    answer("cname-three", msg(c1, c2, c3, rr(ptr(c3at), A, addr("198.51.100.7"), 20)), HOST, A,
           [seven])
    answer("cname-three-skips-one", msg(c1, c2, c3, rr(ptr(c2at), A, addr("203.0.113.66"), 20)),
           HOST, A, [])
    answer("cname-out-of-order", msg(
        rr("cdn.example.net", A, addr("198.51.100.7"), 20), cname), HOST, A, [seven])
    answer("cname-chain-out-of-order", msg(
        rr("b.example.net", CNAME, wire("c.example.net")), rr(q0, CNAME, wire("b.example.net")),
        rr("c.example.net", A, addr("198.51.100.7"), 20)), HOST, A, [seven])
    answer("cname-between-addresses", msg(
        rr("cdn.example.net", A, addr("198.51.100.7"), 20), cname,
        rr("cdn.example.net", A, addr("198.51.100.8"), 20)), HOST, A, [seven, ("198.51.100.8", 20)])
    answer("cname-out-of-order-old-owner", msg(
        rr("evil.com", A, addr("203.0.113.66"), 20), cname, a1), HOST, A, [])
    # each time that the section is gone through the chain gets on by one
    for n in (PASSES - 1, PASSES):
        names = [HOST] + ["c%d.example" % i for i in range(n)]
        links = [rr(one, CNAME, wire(two)) for one, two in zip(names, names[1:])]
        answer("cname-chain-reversed-%d" % n, msg(
            rr(names[-1], A, addr("198.51.100.7"), 20), *reversed(links)), HOST, A,
            [seven] if n < PASSES else [])
    answer("cname-of-another-name", msg(
        rr("evil.com", CNAME, q0), rr("evil.com", A, addr("203.0.113.66"), 20), a1), HOST, A, [one])
    answer("cname-second-of-same-owner", msg(
        cname, rr(q0, CNAME, wire("evil.com")), rr("evil.com", A, addr("203.0.113.66"), 20),
        target), HOST, A, [seven])
    answer("cname-self", msg(rr(q0, CNAME, q0), rr(q0, CNAME, q0)), HOST, A, [])
    answer("cname-loop", msg(cname, rr(ptr(at), CNAME, q0), cname, rr(ptr(at), CNAME, q0)), HOST, A,
           [])
    answer("cname-upper-case-target", msg(
        rr(q0, CNAME, wire("CDN.Example.NET"), 30), rr("cdn.example.net", A, addr("198.51.100.7"),
                                                       20)), HOST, A, [seven])
    answer("dname", msg(
        rr("github.com", DNAME, wire("github.example"), 30),
        rr(q0, CNAME, wire("api.github.example"), 30),
        rr("api.github.example", A, addr("198.51.100.7"), 20)), HOST, A, [seven])
    for n in (CNAMES_MAX, CNAMES_MAX + 1):
        chain, prev = [], q0
        for i in range(n):
            pos = offset(*chain) + len(wire(prev)) + 10
            chain.append(rr(prev, CNAME, wire("c%d.example" % i), 30))
            prev = ptr(pos)
        answer("cname-chain-%d" % n, msg(*chain, rr(prev, A, addr("198.51.100.7"), 20)), HOST, A,
               *([[seven]] if n <= CNAMES_MAX else [[], "bad"]))

    # what teaches nothing
    answer("other-owner", msg(rr("evil.com", A, addr("203.0.113.66"), 60)), HOST, A, [])
    answer("other-owner-then-own", msg(rr("evil.com", A, addr("203.0.113.66"), 60), a1), HOST, A,
           [one])
    answer("parent-owner", msg(rr(ptr(16), A, addr("203.0.113.66"), 60)), HOST, A, [])
    answer("child-owner", msg(rr(b"\1x" + ptr(12), A, addr("203.0.113.66"), 60)), HOST, A, [])
    answer("glued-owner", msg(rr("xapi.github.com", A, addr("203.0.113.66"), 60)), HOST, A, [])
    answer("authority-a", msg(ns=1, tail=a1), HOST, A, [])
    answer("additional-a", msg(ar=1, tail=a1), HOST, A, [])
    answer("additional-a-behind-answer", msg(a1, ar=1, tail=a2), HOST, A, [one])
    answer("class-ch", msg(rr(q0, A, addr("203.0.113.66"), 60, CH), a1), HOST, A, [one])
    answer("class-any", msg(rr(q0, A, addr("203.0.113.66"), 60, CLASS_ANY)), HOST, A, [])
    hints = (u16(1) + b"\0" + u16(1) + u16(3) + b"\2h2" + u16(4) + u16(4) + addr("203.0.113.66") +
             u16(5) + u16(8) + noise("ech", 8) + u16(6) + u16(16) + addr("2001:db8::66"))
    answer("https-hints", msg(rr(q0, HTTPS, hints), qtype=HTTPS), HOST, HTTPS, [])
    answer("svcb-hints", msg(rr(q0, SVCB, hints), qtype=SVCB), HOST, SVCB, [])
    answer("txt", msg(rr(q0, TXT, b"\x0b203.0.113.66"), qtype=TXT), HOST, TXT, [])
    answer("mx", msg(rr(q0, MX, u16(10) + wire("mail.evil.com")), qtype=MX, ar=1,
                     tail=rr("mail.evil.com", A, addr("203.0.113.66"))), HOST, MX, [])
    answer("null-64k-like", msg(rr(q0, NULL, noise("null", 900)), qtype=NULL), HOST, NULL, [])
    answer("unknown-type", msg(rr(q0, 65280, noise("unknown", 4)), a1), HOST, A, [one])
    answer("empty-rdata-unknown", msg(rr(q0, 65280, b""), a1), HOST, A, [one])

    # addresses that a filter behind this parser refuses (rebinding): the parser hands them on
    for token, text in (("private-10", "10.0.0.1"), ("metadata", "169.254.169.254"),
                        ("loopback", "127.0.0.1"), ("any", "0.0.0.0"), ("cgnat", "100.64.0.1")):
        answer("rebind-" + token, msg(rr(q0, A, addr(text), 60)), HOST, A, [(text, 60)])
    for token, text in (("loopback6", "::1"), ("mapped", "::ffff:10.0.0.1"), ("ula", "fd00::1"),
                        ("nat64", "64:ff9b::7f00:1"), ("6to4", "2002:7f00:1::"),
                        ("link-local", "fe80::1")):
        answer("rebind-" + token, msg(rr(q0, AAAA, addr(text), 60), qtype=AAAA), HOST, AAAA,
               [(text, 60)])
    # TTLs as they stand; RFC 2181 section 8: one with the top bit set is zero
    for token, ttl, say in (("0", 0, 0), ("1", 1, 1), ("2p31-1", 0x7fffffff, 0x7fffffff),
                            ("2p31", 0x80000000, 0), ("2p32-1", 0xffffffff, 0)):
        answer("ttl-" + token, msg(rr(q0, A, addr("192.0.2.1"), ttl)), HOST, A,
               [("192.0.2.1", say)])

    # how many records
    def lots(n):
        return [rr(q0, A, bytes([192, 0, 2 + i // 256, i % 256]), 60) for i in range(n)]

    def lots_learned(n):
        return [("192.0.%d.%d" % (2 + i // 256, i % 256), 60) for i in range(min(n, RRS_MAX))]

    for n in (65, 200, RRS_MAX - 1, RRS_MAX, RRS_MAX + 1):
        answer("records-%d" % n, msg(*lots(n)), HOST, A, lots_learned(n))
    far = rr(ptr(16), A, addr("203.0.113.66"))
    answer("records-%d-foreign-then-own" % RRS_MAX, msg(*[far] * RRS_MAX, a1), HOST, A, [])
    answer("records-%d-foreign-then-own" % (RRS_MAX - 1), msg(*[far] * (RRS_MAX - 1), a1), HOST, A, [one])
    answer("records-%d-bad-last" % (RRS_MAX + 1), msg(*lots(RRS_MAX), rr(q0, A, b"\1\2\3")), HOST, A,
           lots_learned(RRS_MAX))
    # records that are met again count again
    late = [rr("cdn.example.net", A, addr("198.51.100.7"), 20), cname]
    fill = (RRS_MAX - 1) // 2 - 2
    answer("records-again", msg(*late, *[rr(q0, TXT, b"")] * fill), HOST, A, [seven])

    # malformed: what stood before has been taught, nothing after
    answer("rdlength-3", msg(a1, rr(q0, A, b"\1\2\3"), a2), HOST, A, [one], "bad")
    answer("rdlength-5", msg(a1, rr(q0, A, b"\1\2\3\4\5"), a2), HOST, A, [one], "bad")
    answer("rdlength-0", msg(a1, rr(q0, A, b""), a2), HOST, A, [one], "bad")
    answer("rdlength-16-as-a", msg(rr(q0, A, addr("2001:db8::1"))), HOST, A, [], "bad")
    for n in (4, 15, 17):
        answer("aaaa-rdlength-%d" % n, msg(rr(q0, AAAA, bytes(n)), qtype=AAAA), HOST, AAAA, [],
               "bad")
    answer("rdlength-past-end", msg(a1, rr(q0, A, addr("192.0.2.2"), rdlength=5)), HOST, A, [one],
           "bad")
    answer("rdlength-ffff", msg(a1, rr(q0, TXT, b"\1x", rdlength=0xffff), a2), HOST, A, [one],
           "bad")
    answer("cname-rdlength-plus-1", msg(a1, rr(q0, CNAME, wire("cdn.example.net") + b"\0"), target),
           HOST, A, [one], "bad")
    answer("cname-rdlength-minus-1", msg(rr(q0, CNAME, wire("cdn.example.net"), rdlength=16), a1),
           HOST, A, [], "bad")
    answer("cname-rdlength-0", msg(rr(q0, CNAME, b"", rdlength=0), a1), HOST, A, [], "bad")
    answer("ancount-too-high", msg(a1, an=2), HOST, A, [one], "bad")
    answer("ancount-65535", msg(a1, a2, an=65535), HOST, A, [one, two], "bad")
    answer("ancount-too-low", msg(a1, a2, an=1), HOST, A, [one])
    full = msg(a1, a2)
    for back, token in ((1, "rdata-minus-1"), (4, "no-rdata"), (5, "in-rdlength"),
                        (6, "no-rdlength"),
                        (10, "no-ttl"), (14, "no-type"), (15, "in-pointer"), (16, "no-record")):
        answer("cut-" + token, full[:-back], HOST, A, [one], "bad")
    answer("cut-tc", msg(a1, an=2, flags=0x8380), HOST, A, [one], "bad")

    # compression: strictly backwards, at most 16 hops
    here = offset()
    answer("pointer-self", msg(a1, rr(ptr(offset(a1)), A, addr("203.0.113.66"))), HOST, A, [one],
           "bad")
    answer("pointer-forward", msg(rr(ptr(here + 16), A, addr("203.0.113.66")), a1), HOST, A, [],
           "bad")
    answer("pointer-one-forward", msg(rr(ptr(here + 1), A, addr("203.0.113.66"))), HOST, A, [],
           "bad")
    answer("pointer-past-end", msg(rr(ptr(0x3fff), A, addr("203.0.113.66"))), HOST, A, [], "bad")
    answer("pointer-own-label", msg(rr(b"\1a" + ptr(here), A, addr("203.0.113.66"))), HOST, A, [],
           "bad")
    answer("pointer-into-own-label", msg(rr(b"\3\1bc" + ptr(here + 1), A, addr("203.0.113.66"))),
           HOST, A, [], "bad")
    answer("pointer-to-header", msg(rr(ptr(5), A, addr("203.0.113.66"))), HOST, A, [], "bad")
    # each TXT record holds one more pointer to the pointer before
    for hops in (HOPS_MAX - 1, HOPS_MAX, HOPS_MAX + 1, 30):
        recs, back = [], 12
        for _ in range(hops - 1):
            pos = offset(*recs) + 12
            recs.append(rr(q0, TXT, ptr(back)))
            back = pos
        good = hops <= HOPS_MAX
        answer("pointer-hops-%d" % hops, msg(*recs, rr(ptr(back), A, addr("192.0.2.1"), 60)),
               HOST, A, [one] if good else [], "ok" if good else "bad")
    # two pointers that point at each other (the second is not backwards)
    p1 = rr(q0, TXT, ptr(offset() + 14 + 12))
    p2 = rr(q0, TXT, ptr(offset() + 12))
    answer("pointer-mutual", msg(p1, p2, rr(ptr(offset() + 12), A, addr("203.0.113.66"))), HOST, A,
           [], "bad")
    answer("cname-target-pointer-self", msg(rr(q0, CNAME, ptr(here + 12))), HOST, A, [], "bad")
    answer("cname-target-pointer-forward", msg(rr(q0, CNAME, ptr(here + 14)), a1), HOST, A, [],
           "bad")
    answer("pointer-middle-of-name", msg(rr(ptr(13), A, addr("203.0.113.66"))), HOST, A, [], "bad")
    answer("owner-label-type-40", msg(a1, rr(b"\x41\1\0", A, addr("203.0.113.66"))), HOST, A, [one],
           "bad")
    answer("owner-label-type-80", msg(a1, rr(b"\x80\0", A, addr("203.0.113.66"))), HOST, A, [one],
           "bad")
    # a name that only together with what it points to is longer than 255
    q253 = long_name(253)
    answer("owner-too-long-by-pointer", msg(a1, rr(b"\1x" + ptr(12), A, addr("203.0.113.66")),
                                            qname=q253), q253, A, [one], "bad")
    answer("owner-41-labels-by-pointer", msg(a1, rr(b"\1x" + ptr(12), A, addr("203.0.113.66")),
                                             qname=many_labels(40)), many_labels(40), A, [one],
           "bad")
    answer("cname-target-too-long", msg(rr(q0, CNAME, b"\1x" + ptr(12)), qname=q253), q253, A, [],
           "bad")

    # header and question
    answer("query-as-answer", msg(flags=0x0100), None, 0, [], "bad")
    answer("query-flags-with-a", msg(a1, flags=0x0100), None, 0, [], "bad")
    answer("opcode-update", msg(a1, flags=0xa980), None, 0, [], "bad")
    full = msg(a1)
    answer("qdcount-0", full[:4] + u16(0) + full[6:], None, 0, [], "bad")
    answer("qdcount-2", header(ident, 0x8180, 2, 1) + question(HOST) + question("evil.com") + a1,
           None, 0, [], "bad")
    answer("qdcount-65535", full[:4] + u16(65535) + full[6:], None, 0, [], "bad")
    answer("question-pointer", header(ident, 0x8180, 1, 1) + ptr(12) + u16(A) + u16(IN) +
           rr(ptr(12), A, addr("203.0.113.66")), None, 0, [], "bad")
    answer("cut-empty", b"", None, 0, [], "bad")
    answer("cut-header-minus-1", full[:11], None, 0, [], "bad")
    answer("cut-header", full[:12], None, 0, [], "bad")
    answer("cut-in-question-name", full[:20], None, 0, [], "bad")
    answer("cut-in-question-class", full[:offset() - 1], None, 0, [], "bad")
    answer("cut-question", full[:offset()], HOST, A, [], "bad")


# ---- TLS ---------------------------------------------------------------------------------------

# First flights captured on loopback (2026, Debian 12: OpenSSL 3.0.19, GnuTLS 3.7.9, curl 7.88.1,
# Node.js 20.20.2, Python 3.11.7), all for api.github.com unless the name says otherwise.
CAPTURED = {
    "openssl":
        "FgMBATsBAAE3AwPSp9rPt2eEnTpVoiWQeBnchL9iuyaGLwU+j5JoFa1JOiAbZmM+5FYv3ctwWAS5rU9auUH4nu9s"
        "5C8JzzLY1YV+kwA+EwITAxMBwCzAMACfzKnMqMyqwCvALwCewCTAKABrwCPAJwBnwArAFAA5wAnAEwAzAJ0AnAA9"
        "ADwANQAvAP8BAACwAAAAEwARAAAOYXBpLmdpdGh1Yi5jb20ACwAEAwABAgAKABYAFAAdABcAHgAZABgBAAEBAQIB"
        "AwEEACMAAAAWAAAAFwAAAA0AKgAoBAMFAwYDCAcICAgJCAoICwgECAUIBgQBBQEGAQMDAwEDAgQCBQIGAgArAAkI"
        "AwQDAwMCAwEALQACAQEAMwAmACQAHQAggh8vfe5zpL1q59bEqrtwFtT8H07O/CK0faSJyOyYqEk=",
    "openssl-12":
        "FgMBAN0BAADZAwPXJ5rikThXFYJ8JTfuCteJPWJFEEdnm2+n1y0kgvxbAwAAOMAswDAAn8ypzKjMqsArwC8AnsAk"
        "wCgAa8AjwCcAZ8AKwBQAOcAJwBMAMwCdAJwAPQA8ADUALwD/AQAAeAAAABMAEQAADmFwaS5naXRodWIuY29tAAsA"
        "BAMAAQIACgAMAAoAHQAXAB4AGQAYACMAAAAQAAsACQhodHRwLzEuMQAWAAAAFwAAAA0AKgAoBAMFAwYDCAcICAgJ"
        "CAoICwgECAUIBgQBBQEGAQMDAwEDAgQCBQIGAg==",
    "openssl-nosni":
        "FgMBASQBAAEgAwNu+Sm26WAfZGzDsqnN8Weow0ry/v1PxYiF8vqBDe0GnSA9rUzxJO8+4193n4+fWTlNWx7xem6X"
        "ocrqie30FIf6wAA+EwITAxMBwCzAMACfzKnMqMyqwCvALwCewCTAKABrwCPAJwBnwArAFAA5wAnAEwAzAJ0AnAA9"
        "ADwANQAvAP8BAACZAAsABAMAAQIACgAWABQAHQAXAB4AGQAYAQABAQECAQMBBAAjAAAAFgAAABcAAAANACoAKAQD"
        "BQMGAwgHCAgICQgKCAsIBAgFCAYEAQUBBgEDAwMBAwIEAgUCBgIAKwAJCAMEAwMDAgMBAC0AAgEBADMAJgAkAB0A"
        "IO0+234wWQZ1CB8gVjB0JmGaO0mZH0ICppqL8YB2iApO",
    "gnutls":
        "FgMBAYcBAAGDAwMlpoSFy2p/nVICwe8FeGcwysF1m11QxmdoQ2wXJh4fPCAp1BtaVbqyHAVMVo0R1bO0NnQnyzEl"
        "2ezzm1tgbenaywA6EwITAxMBEwTALMypwK3ACsArwKzACcAwzKjAFMAvwBMAncCdADUAnMCcAC8An8yqwJ8AOQCe"
        "wJ4AMwEAAQAABQAFAQAAAAAACgAWABQAFwAYABkAHQAeAQABAQECAQMBBAALAAIBAAANACIAIAQBCAkIBAQDCAcF"
        "AQgKCAUFAwgIBgEICwgGBgMCAQIDABYAAAAXAAAAIwAAADMAawBpABcAQQSQXJwyBPWw5cRHefOrEaybJ5rA7AFh"
        "ADcCFr/0n3eD0QW+OVOwrIoYClSStYdXIustGhA28wOb9V0W5uOV2K1CAB0AIBWw0sOWadHe+LQ9YRc0GpzAg3yC"
        "Teni+e+qaq5+aokoACsACQgDBAMDAwIDAf8BAAEAAAAAEwARAAAOYXBpLmdpdGh1Yi5jb20ALQADAgEAABwAAkAB",
    "gnutls-12":
        "FgMBANwBAADYAwMxRGLb4RJS9LdZ9je9MGcP3e4oRBuPUYdFXRIW+DFyPAAAMsAszKnArcAKwCvArMAJwDDMqMAU"
        "wC/AEwCdwJ0ANQCcwJwALwCfzKrAnwA5AJ7AngAzAQAAfQAFAAUBAAAAAAAKABYAFAAXABgAGQAdAB4BAAEBAQIB"
        "AwEEAAsAAgEAAA0AIgAgBAEICQgEBAMIBwUBCAoIBQUDCAgGAQgLCAYGAwIBAgMAFgAAABcAAAAjAAD/AQABAAAA"
        "ABMAEQAADmFwaS5naXRodWIuY29tABwAAkAA",
    "curl":
        "FgMBAgABAAH8AwNVrPYAHWqJzM8YNXlGEnaig/uP2MX2dAY1uO/dLYcaACA0lE0NS0Jydf7VvAZaNWT1OvA5Mh6y"
        "NipfDdsP6hxTtAA+EwITAxMBwCzAMACfzKnMqMyqwCvALwCewCTAKABrwCPAJwBnwArAFAA5wAnAEwAzAJ0AnAA9"
        "ADwANQAvAP8BAAF1AAAAEwARAAAOYXBpLmdpdGh1Yi5jb20ACwAEAwABAgAKABYAFAAdABcAHgAZABgBAAEBAQIB"
        "AwEEABAADgAMAmgyCGh0dHAvMS4xABYAAAAXAAAAMQAAAA0AKgAoBAMFAwYDCAcICAgJCAoICwgECAUIBgQBBQEG"
        "AQMDAwEDAgQCBQIGAgArAAkIAwQDAwMCAwEALQACAQEAMwAmACQAHQAg0GAAPjTp74g2G4j9rlvylNDRAWqn7muO"
        "uhdM+z0wLh0AFQCvAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
    "curl-ip":
        "FgMBAgABAAH8AwNptiE8T+haoo5I6UwcplWEDSHvrRa1NHCgGr1W/ATfVCBlXuNoubpGA8dzvblTk4Qp6zsCBb7J"
        "gGOFAZNNzl7v+QA+EwITAxMBwCzAMACfzKnMqMyqwCvALwCewCTAKABrwCPAJwBnwArAFAA5wAnAEwAzAJ0AnAA9"
        "ADwANQAvAP8BAAF1AAsABAMAAQIACgAWABQAHQAXAB4AGQAYAQABAQECAQMBBAAQAA4ADAJoMghodHRwLzEuMQAW"
        "AAAAFwAAADEAAAANACoAKAQDBQMGAwgHCAgICQgKCAsIBAgFCAYEAQUBBgEDAwMBAwIEAgUCBgIAKwAJCAMEAwMD"
        "AgMBAC0AAgEBADMAJgAkAB0AIPiB4m9kP10riAtS0830bJra3R8cP5BeS1hUiASIr0NXABUAxgAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
    "node":
        "FgMBAW8BAAFrAwNf79k9nIJRE+VofgX8ZfQzqQwhCP8EDjxIKtiHYoivJyBsK7W1kZJl3d/7XLZPYdr670fg6uiD"
        "U9F5rrsxG+5CNAB2EwITAxMBwC/AK8AwwCwAnsAnAGfAKABrAKMAn8ypzKjMqsCvwK3Ao8CfwF3AYcBXwFMAosCu"
        "wKzAosCewFzAYMBWwFLAJABqwCMAQMAKwBQAOQA4wAnAEwAzADIAncChwJ3AUQCcwKDAnMBQAD0APAA1AC8A/wEA"
        "AKwAAAATABEAAA5hcGkuZ2l0aHViLmNvbQALAAQDAAECAAoAFgAUAB0AFwAeABkAGAEAAQEBAgEDAQQAIwAAABYA"
        "AAAXAAAADQAqACgEAwUDBgMIBwgICAkICggLCAQIBQgGBAEFAQYBAwMDAQMCBAIFAgYCACsABQQDBAMDAC0AAgEB"
        "ADMAJgAkAB0AIG3JyLIM0cRf5OgOHIIKbXm/Mn+ncx3xYODRciW+cAAB",
    "python":
        "FgMBAgABAAH8AwOF5QRk3Ouyrrwi03HVWGPC6to9J2mWs/7jhcPUjWdl+iBdtrumFSEdhbOU1Bag7890yr/Ss09y"
        "7kJIp/MqGxuAZAAkEwITAxMBwCzAMMArwC/MqcyowCTAKMAjwCcAnwCeAGsAZwD/AQABjwAAABMAEQAADmFwaS5n"
        "aXRodWIuY29tAAsABAMAAQIACgAWABQAHQAXAB4AGQAYAQABAQECAQMBBAAjAAAAFgAAABcAAAANACoAKAQDBQMG"
        "AwgHCAgICQgKCAsIBAgFCAYEAQUBBgEDAwMBAwIEAgUCBgIAKwAFBAMEAwMALQACAQEAMwAmACQAHQAgdrmEjmCq"
        "xhFYh2PeF+Xb+qI+i3pZ/DieS85eJdRkuikAFQDfAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
}


GREASE = (0x0a0a, 0x1a1a, 0x2a2a, 0x3a3a, 0x4a4a, 0x5a5a, 0xcaca, 0xfafa)


def ext(etype, data=b"", length=None):
    return u16(etype) + u16(len(data) if length is None else length) + data


def vec8(data):
    return u8(len(data)) + data


def vec16(data):
    return u16(len(data)) + data


def latin(name):
    return name if isinstance(name, bytes) else name.encode("latin-1")


def sni(name):
    return ext(0, vec16(b"\0" + vec16(latin(name))))


def alpn(*protocols):
    return ext(16, vec16(b"".join(vec8(p.encode()) for p in protocols)))


SUITES = b"".join(map(u16, (0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030)))
BASIC = [ext(43, vec8(u16(0x0304) + u16(0x0303))), ext(13, vec16(u16(0x0403) + u16(0x0804))),
         ext(10, vec16(u16(29) + u16(23))),
         ext(51, vec16(u16(29) + vec16(noise("basic share", 32))))]


def body(extensions, version=0x0303, session=noise("session", 32), suites=SUITES,
         compression=b"\1\0", block=None):
    """`extensions`: a list; bytes that stand for the whole block; or None for no block at all."""
    out = u16(version) + noise("random", 32) + vec8(session) + vec16(suites) + compression
    if block is not None:
        return out + block
    if extensions is None:
        return out
    return out + vec16(b"".join(extensions))


def handshake(data, htype=1, length=None):
    return u8(htype) + u24(len(data) if length is None else length) + data


def record(data, rtype=22, version=0x0301, length=None):
    return u8(rtype) + u16(version) + u16(len(data) if length is None else length) + data


def records(data, size):
    return b"".join(record(data[i:i + size]) for i in range(0, len(data), size))


def hello(extensions, **kw):
    return record(handshake(body(extensions, **kw)))


def padded_body(total, name=HOST):
    """A body so that the handshake message with its header has `total` bytes (RFC 7685 padding)."""
    start = body([sni(name)] + BASIC)
    pad = total - 4 - len(start) - 4
    assert pad >= 0
    data = body([sni(name)] + BASIC + [ext(21, bytes(pad))])
    assert len(data) + 4 == total
    return data


def chrome(name, ech=True, kem=True, seed="chrome", extra=()):
    """As Chrome 131: GREASE, X25519MLKEM768, ECH GREASE; one of its orders of extensions."""
    share = ext(51, vec16(
        u16(GREASE[1]) + vec16(b"\0") +
        (u16(0x11ec) + vec16(noise(seed + " mlkem", 1184 + 32)) if kem else b"") +
        u16(29) + vec16(noise(seed + " x25519", 32))))
    ech_grease = ext(0xfe0d, b"\0" + u16(1) + u16(1) + b"\x5d" + vec16(noise(seed + " enc", 32)) +
                     vec16(noise(seed + " payload", 208)))
    groups = [GREASE[1]] + ([0x11ec] if kem else []) + [29, 23, 24]
    algorithms = (0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601)
    suites = (GREASE[0], 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8,
              0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035)
    exts = [ext(GREASE[2]), ext(27, b"\2" + u16(2)), share, ext(45, b"\1\1"),
            ext(18), alpn("h2", "http/1.1")]
    exts += [ech_grease] if ech else []
    exts += [ext(11, b"\1\0"), sni(name), ext(13, vec16(b"".join(map(u16, algorithms)))),
             ext(35), ext(0x44cd, vec16(vec8(b"h2"))), ext(23),
             ext(43, vec8(u16(GREASE[3]) + u16(0x0304) + u16(0x0303))), ext(0xff01, b"\0"),
             ext(10, vec16(b"".join(map(u16, groups)))), ext(5, b"\1\0\0\0\0"),
             ext(GREASE[4], b"\0")]
    exts += list(extra)
    return record(handshake(body(exts, session=noise(seed + " session", 32),
                                 suites=b"".join(map(u16, suites)))))


def firefox(name):
    """As Firefox 134: no GREASE, record_size_limit, delegated credentials, ECH GREASE."""
    suites = (0x1301, 0x1303, 0x1302, 0xc02b, 0xc02f, 0xcca9, 0xcca8, 0xc02c, 0xc030, 0xc00a,
              0xc009,
              0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035)
    algorithms = b"".join(map(u16, (0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501,
                                    0x0601, 0x0203, 0x0201)))
    exts = [sni(name), ext(23), ext(0xff01, b"\0"),
            ext(10, vec16(b"".join(map(u16, (0x11ec, 29, 23, 24, 25, 256, 257))))),
            ext(11, b"\1\0"),
            ext(35), alpn("h2", "http/1.1"), ext(5, b"\1\0\0\0\0"),
            ext(34, vec16(b"".join(map(u16, (0x0403, 0x0503, 0x0603, 0x0203))))),
            ext(18),
            ext(51, vec16(u16(0x11ec) + vec16(noise("ff mlkem", 1216)) + u16(29) +
                          vec16(noise("ff x25519", 32)) + u16(23) +
                          vec16(b"\4" + noise("ff p256", 64)))),
            ext(43, vec8(u16(0x0304) + u16(0x0303))), ext(13, vec16(algorithms)), ext(45, b"\1\1"),
            ext(28, u16(0x4001)), ext(27, b"\6" + u16(1) + u16(2) + u16(3)),
            ext(0xfe0d, b"\0" + u16(1) + u16(3) + b"\x1f" + vec16(noise("ff enc", 32)) +
                vec16(noise("ff payload", 239)))]
    return record(handshake(body(exts, session=noise("ff session", 32),
                                 suites=b"".join(map(u16, suites)))))


def golang(name):
    """As Go 1.22 crypto/tls: server_name comes after status_request, no padding."""
    exts = [ext(5, b"\1\0\0\0\0"), sni(name), ext(11, b"\1\0"), ext(35), ext(18),
            ext(0xff01, b"\0"),
            ext(23), ext(10, vec16(b"".join(map(u16, (29, 23, 24, 25))))),
            ext(13, vec16(b"".join(map(u16, (0x0804, 0x0403, 0x0807, 0x0805, 0x0806, 0x0401, 0x0501,
                                             0x0601, 0x0503, 0x0603, 0x0201, 0x0203))))),
            alpn("h2", "http/1.1"), ext(43, vec8(u16(0x0304) + u16(0x0303))),
            ext(51, vec16(u16(29) + vec16(noise("go x25519", 32))))]
    return record(handshake(body(exts, session=noise("go session", 32))))


def tls_ok(name, data, text=HOST, ech=False):
    add("tls/" + name, data, ["verdict: ok", "sni: " + text] + (["ech: yes"] if ech else []))


def tls_more(name, data):
    add("tls/" + name, data, ["verdict: more"])


def tls_bad(name, data, reason):
    add("tls/" + name, data, ["verdict: bad", "reason: " + reason])


def tls_clients():
    for name, text in CAPTURED.items():
        data = base64.b64decode(text)
        if name in ("openssl-nosni", "curl-ip"):
            tls_bad("client-" + name, data, "tls_no_sni")
        else:
            tls_ok("client-" + name, data)
    tls_ok("client-chrome", chrome(HOST), ech=True)
    tls_ok("client-chrome-no-kem", chrome(HOST, kem=False), ech=True)
    tls_ok("client-chrome-no-ech", chrome(HOST, ech=False))
    tls_ok("client-chrome-psk", chrome("www.example.com", seed="psk", extra=[
        ext(41,
            vec16(vec16(noise("ticket", 224)) + u32(0x12345678)) + vec16(vec8(noise("psk", 32))))]),
        "www.example.com", ech=True)
    tls_ok("client-firefox", firefox(HOST), ech=True)
    tls_ok("client-go", golang(HOST))
    tls_ok("client-tls10", record(handshake(body([sni(HOST), ext(11, b"\1\0")], version=0x0301,
                                                 session=b"", suites=u16(0x002f)))))
    early = [ext(42), ext(41, vec16(vec16(noise("ticket", 32)) + u32(1)) + vec16(vec8(bytes(32))))]
    data = hello([sni(HOST)] + BASIC + early)
    tls_ok("early-data", data + record(b"\1", 20, 0x0303) + record(noise("early", 120), 23, 0x0303))
    tls_ok("cookie-after-retry", hello([sni(HOST), ext(44, vec16(noise("cookie", 96)))] + BASIC))
    # a real ECH hello: the outer name is the public name, and is the one that is judged
    tls_ok("ech-outer",
           hello([sni("cloudflare-ech.com"), ext(0xfe0d, b"\0" + u16(1) + u16(1) + b"\7" +
           vec16(noise("ech enc", 32)) + vec16(noise("ech payload", 400)))] + BASIC),
           "cloudflare-ech.com", ech=True)
    tls_ok("ech-empty", hello([sni(HOST)] + BASIC + [ext(0xfe0d)]), ech=True)
    tls_ok("ech-before-sni", hello([ext(0xfe0d, b"\1"), sni(HOST)] + BASIC), ech=True)
    tls_ok("ech-draft-number-is-not-ech", hello([sni(HOST), ext(0xfe0a, bytes(8))] + BASIC))
    tls_bad("ech-without-sni", hello([ext(0xfe0d, bytes(200))] + BASIC), "tls_no_sni")


def tls_names():
    def one(name):
        return hello([sni(name)] + BASIC)

    tls_ok("sni-only-extension", hello([sni(HOST)]))
    tls_ok("sni-last-extension", hello(BASIC + [sni(HOST)]))
    tls_ok("sni-upper-case", one("API.GitHub.COM"))
    tls_ok("sni-trailing-dot", one(HOST + "."))
    tls_ok("sni-single-label", one("localhost"), "localhost")
    tls_ok("sni-one-byte", one("a"), "a")
    tls_ok("sni-underscore", one("my_bucket.s3.example.com"), "my_bucket.s3.example.com")
    tls_ok("sni-idn", one("xn--bcher-kva.example"), "xn--bcher-kva.example")
    tls_ok("sni-evil-prefix", one("evil.com.allowed.com"), "evil.com.allowed.com")
    tls_ok("sni-allowed-prefix", one("allowed.com.evil.com"), "allowed.com.evil.com")
    tls_ok("sni-glued", one("xallowed.com"), "xallowed.com")
    tls_ok("sni-digits-not-last", one("127.0.0.1.nip.io"), "127.0.0.1.nip.io")
    tls_ok("sni-label-63", one("l" * 63 + ".example.com"), "l" * 63 + ".example.com")
    tls_bad("sni-label-64", one("l" * 64 + ".example.com"), "name_length")
    tls_ok("sni-labels-40", one(many_labels(40)), many_labels(40))
    tls_ok("sni-labels-40-trailing-dot", one(many_labels(40) + "."), many_labels(40))
    tls_bad("sni-labels-41", one(many_labels(41)), "name_labels")
    tls_bad("sni-labels-42", one(many_labels(42)), "name_labels")
    tls_bad("sni-labels-127", one(".".join("a" * 127)), "name_labels")
    for n in (252, 253):
        tls_ok("sni-length-%d" % n, one(long_name(n)), long_name(n))
    tls_ok("sni-length-253-trailing-dot", one(long_name(253) + "."), long_name(253))
    tls_bad("sni-length-254-trailing-dot", one(long_name(254) + "."), "name_length")
    for n in (254, 255, 256, 300, 1024):
        tls_bad("sni-length-%d" % n, one(long_name(n)), "name_length")

    for token, name in (
            ("nul", b"api.github.com\0.evil.com"), ("nul-first", b"\0api.github.com"),
            ("nul-last", b"api.github.com\0"), ("only-nul", b"\0"), ("only-dot", b"."),
            ("two-trailing-dots", b"api.github.com.."), ("leading-dot", b".github.com"),
            ("empty-label", b"api..github.com"), ("backslash", b"api\\.github.com"),
            ("space", b"api github.com"), ("trailing-space", b"api.github.com "),
            ("slash", b"api.github.com/"), ("port", b"api.github.com:443"),
            ("star", b"*.github.com"),
            ("newline", b"api.github.com\n"), ("latin1", b"b\xfccher.example"),
            ("utf8", "b\u00fccher.example".encode()),
            ("fullwidth-dot", "api\uff0egithub.com".encode()),
            ("utf8-kelvin", "\u212aernel.org".encode()), ("wire-form", wire(HOST)),
            ("userinfo", b"a@github.com"),
            ("percent", b"api%2egithub.com"), ("del", b"api.github.com\x7f"),
            ("high-last", b"api.github.co\xed"),
            ("ipv4", b"192.0.2.1"), ("ipv4-trailing-dot", b"192.0.2.1."), ("ipv4-short", b"127.1"),
            ("ipv4-decimal", b"2130706433"), ("ipv6", b"2001:db8::1"), ("ipv6-brackets", b"[::1]"),
            ("ipv6-v4", b"::ffff:192.0.2.1"), ("last-label-digits", b"example.123")):
        tls_bad("sni-" + token, one(name), "name_bad")

    # the server_name extension: one list, one entry, type host_name, every length exact
    n = latin(HOST)
    entry = b"\0" + vec16(n)

    def shaped(data):
        return hello([ext(0, data)] + BASIC)

    bad = "tls_sni_malformed"
    tls_bad("sni-ext-empty", shaped(b""), bad)  # as a server answers
    for k in range(1, 5):
        tls_bad("sni-ext-%d-bytes" % k, shaped(vec16(entry)[:k]), bad)
    tls_bad("sni-list-empty", shaped(u16(0)), bad)
    tls_bad("sni-list-empty-then-name", shaped(u16(0) + entry), bad)
    tls_bad("sni-name-empty", shaped(vec16(b"\0" + vec16(b""))), bad)
    tls_bad("sni-type-1", shaped(vec16(b"\1" + vec16(n))), bad)
    tls_bad("sni-type-255", shaped(vec16(b"\xff" + vec16(n))), bad)
    tls_bad("sni-two-names", shaped(vec16(entry + b"\0" + vec16(b"evil.com"))), bad)
    tls_bad("sni-two-equal-names", shaped(vec16(entry + entry)), bad)
    tls_bad("sni-second-name-type-1", shaped(vec16(entry + b"\1" + vec16(b"evil.com"))), bad)
    tls_bad("sni-first-name-type-1", shaped(vec16(b"\1" + vec16(b"evil.com") + entry)), bad)
    tls_bad("sni-list-length-minus-1", shaped(u16(len(entry) - 1) + entry), bad)
    tls_bad("sni-list-length-plus-1", shaped(u16(len(entry) + 1) + entry), bad)
    tls_bad("sni-list-length-ffff", shaped(u16(0xffff) + entry), bad)
    tls_bad("sni-name-length-minus-1", shaped(vec16(b"\0" + u16(len(n) - 1) + n)), bad)
    tls_bad("sni-name-length-plus-1", shaped(vec16(b"\0" + u16(len(n) + 1) + n)), bad)
    tls_bad("sni-name-length-0", shaped(vec16(b"\0" + u16(0) + n)), bad)
    tls_bad("sni-name-length-ffff", shaped(vec16(b"\0" + u16(0xffff) + n)), bad)
    tls_bad("sni-byte-behind-list", shaped(vec16(entry) + b"\0"), bad)
    tls_bad("sni-list-behind-list", shaped(vec16(entry) + vec16(b"\0" + vec16(b"evil.com"))), bad)
    tls_bad("sni-one-byte-cut", shaped(vec16(entry)[:-1]), bad)
    tls_bad("sni-twice", hello([sni(HOST)] + BASIC + [sni("evil.com")]), bad)
    tls_bad("sni-twice-equal", hello([sni(HOST), sni(HOST)] + BASIC), bad)
    tls_bad("sni-twice-second-empty", hello([sni(HOST), ext(0)] + BASIC), bad)
    tls_bad("sni-twice-apart", chrome(HOST, extra=[sni("evil.com")]), bad)

    tls_bad("no-sni", hello(BASIC), "tls_no_sni")
    tls_bad("no-extensions", hello(None), "tls_no_sni")
    tls_bad("extensions-empty", hello([]), "tls_no_sni")
    # the name's bytes in places that are not a server_name extension
    tls_bad("sni-in-padding", hello(BASIC + [ext(21, sni(HOST))]), "tls_no_sni")
    tls_bad("sni-in-session-id", hello(BASIC, session=sni(HOST)), "tls_no_sni")
    tls_ok("other-name-in-padding", hello([sni(HOST)] + BASIC + [ext(21, sni("evil.com"))]))


def tls_body_lengths():
    base = [sni(HOST)] + BASIC
    for n in (0, 1, 31, 32):
        tls_ok("session-%d" % n, hello(base, session=noise("s", n)))
    for n in (33, 64, 255):
        tls_bad("session-%d" % n, hello(base, session=noise("s", n)), "tls_malformed")
    good = body(base)
    at_suites = 34 + 33  # the session id is at 34
    at_compression = at_suites + 2 + len(SUITES)
    at_exts = at_compression + 2

    def patched(at, data):
        return record(handshake(good[:at] + data + good[at + len(data):]))

    # one off: everything behind is read from the wrong place
    tls_bad("session-length-past-end", record(handshake(good[:34] + u8(32) + noise("s", 31))),
            "tls_malformed")
    tls_bad("suites-0", hello(base, suites=b""), "tls_malformed")
    tls_ok("suites-1", hello(base, suites=u16(0x1301)))
    tls_bad("suites-odd", hello(base, suites=SUITES + b"\x13"), "tls_malformed")
    tls_bad("suites-one-byte", hello(base, suites=b"\x13"), "tls_malformed")
    tls_bad("suites-length-minus-1", patched(at_suites, u16(len(SUITES) - 1)), "tls_malformed")
    tls_bad("suites-length-plus-1", patched(at_suites, u16(len(SUITES) + 1)), "tls_malformed")
    tls_bad("suites-length-past-end", patched(at_suites, u16(0xfffe)), "tls_malformed")
    tls_ok("suites-many", hello(base, suites=b"".join(u16(i) for i in range(1, 1200))))
    tls_bad("compression-0", hello(base, compression=b"\0"), "tls_malformed")
    tls_ok("compression-2", hello(base, compression=b"\2\1\0"))
    tls_ok("compression-255", hello(base, compression=b"\xff" + bytes(255)))
    tls_bad("compression-past-end", record(handshake(good[:at_compression] + b"\2\0")),
            "tls_malformed")
    total = len(good) - at_exts - 2
    tls_bad("extensions-length-minus-1", patched(at_exts, u16(total - 1)), "tls_malformed")
    tls_bad("extensions-length-plus-1", patched(at_exts, u16(total + 1)), "tls_malformed")
    tls_bad("extensions-length-0-with-bytes", patched(at_exts, u16(0)), "tls_malformed")
    tls_bad("extensions-length-ffff", patched(at_exts, u16(0xffff)), "tls_malformed")
    tls_bad("extensions-length-one-byte", record(handshake(good[:at_exts] + b"\0")),
            "tls_malformed")
    tls_bad("byte-behind-extensions", record(handshake(good + b"\0")), "tls_malformed")
    block = b"".join(base)
    for n in (1, 2, 3):
        tls_bad("extension-header-%d-bytes" % n,
                hello(None, block=vec16(block + ext(23)[:n])), "tls_malformed")
    tls_ok("extension-header-4-bytes", hello(None, block=vec16(block + ext(23))))
    tls_bad("extension-length-plus-1", hello(None, block=vec16(block + ext(21, bytes(8), 9))),
            "tls_malformed")
    tls_bad("extension-length-minus-1", hello(None, block=vec16(block + ext(21, bytes(8), 7))),
            "tls_malformed")
    tls_bad("extension-length-ffff", hello(None, block=vec16(block + ext(21, bytes(8), 0xffff))),
            "tls_malformed")
    # the body ends within, or right behind, each field; the handshake length says so too
    for n, token in ((0, "empty"), (1, "in-version"), (2, "version"), (33, "in-random"),
                     (34, "random"), (35, "session-length"), (at_suites - 1, "in-session"),
                     (at_suites, "session"), (at_suites + 1, "in-suites-length"),
                     (at_suites + 2, "suites-length"), (at_compression - 1, "in-suites"),
                     (at_compression, "suites"), (at_compression + 1, "compression-length"),
                     (at_exts + 1, "in-extensions-length"), (at_exts + 2, "extensions-length"),
                     (at_exts + 4, "in-extension-type"), (at_exts + 6, "extension-header"),
                     (len(good) - 1, "minus-1")):
        tls_bad("ends-" + token, record(handshake(good[:n])), "tls_malformed")
    tls_bad("ends-compression", record(handshake(good[:at_exts])), "tls_no_sni")

    for n in (EXTENSIONS_MAX - 1, EXTENSIONS_MAX, EXTENSIONS_MAX + 1, 400):
        exts = [ext(0x5000 + i) for i in range(n - 1)]
        for token, group in (("first", [sni(HOST)] + exts), ("last", exts + [sni(HOST)])):
            if n <= EXTENSIONS_MAX:
                tls_ok("extensions-%d-sni-%s" % (n, token), hello(group))
            else:
                tls_bad("extensions-%d-sni-%s" % (n, token), hello(group), "tls_too_long")
    tls_bad("extensions-96-no-sni", hello([ext(0x5000 + i) for i in range(96)]), "tls_no_sni")


def tls_records():
    base = [sni(HOST)] + BASIC
    whole = handshake(body(base))
    one = record(whole)
    name_end = whole.index(HOST.encode()) + len(HOST)  # the name must lie in the first record

    # not TLS at all
    for token, data in (("http", b"GET / HTTP/1.1\r\nHost: api.github.com\r\n\r\n"),
                        ("ssh", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"),
                        ("zeros", bytes(64)), ("random", b"\xa7" + noise("not tls", 63)),
                        ("sslv2",
                         bytes.fromhex("802e0103010015000000100100800300800700c0") + bytes(28)),
                        ("socks5", b"\x05\x01\x00" + bytes(16)),
                        ("smtp", b"EHLO mail.example.com\r\n"),
                        ("alert-only-data", record(b"\2\x28", 21) + record(b"x", 23)),
                        ("alert-version-2", record(b"\1\x5a\0", 21, version=0x0200) + one),
                        ("application-data", record(noise("app", 64), 23, 0x0303)),
                        ("heartbeat", record(b"\1" + u16(16) + bytes(32), 24)),
                        ("version-major-16-empty", record(b"", version=0x1000) + one),
                        ("dtls", bytes.fromhex("16feff0000000000000000") + vec16(whole)),
                        ("server-hello", record(handshake(body(base), 2))),
                        ("hello-request", record(handshake(b"", 0)) + one),
                        ("client-key-exchange", record(handshake(noise("cke", 66), 16)))):
        tls_bad("first-" + token, data, "tls_not_tls")
    # what servers read over
    for token, front in (("alert", record(b"\1\x5a", 21)), ("alert-fatal", record(b"\2\x28", 21)),
                         ("alert-long", record(bytes(40), 21)), ("alert-empty", record(b"", 21)),
                         ("alert-version-2", record(b"\1\0", 21, version=0x0200)),
                         ("alert-version-16", record(b"\1\0", 21, version=0x1000)),
                         ("alerts-64", record(b"\1\x5a", 21) * 63), ("ccs", record(b"\1", 20)),
                         ("ccs-alert", record(b"\1", 20) + record(b"\1\0", 21))):
        tls_ok("front-" + token, front + one)
        tls_ok("front-%s-records" % token, front + records(whole, name_end))
        tls_more("front-%s-cut" % token, front + one[:-1])
    tls_more("front-alert-alone", record(b"\1\x5a", 21))
    tls_bad("front-alerts-65", record(b"\1\x5a", 21) * 64 + one, "tls_too_long")
    tls_bad("front-alert-no-sni", record(b"\1\x5a", 21) + record(handshake(body(BASIC))), "tls_no_sni")
    tls_bad("front-alert-server-hello", record(b"\1\x5a", 21) + record(handshake(body(base), 2)), "tls_not_tls")
    for major in (0, 2, 4, 15, 16, 255):
        tls_ok("version-%d-0" % major, record(whole, version=major << 8))
    for minor in (0, 2, 3, 4, 255):
        tls_ok("version-3-%d" % minor, record(whole, version=0x0300 | minor))

    # record length
    tls_bad("record-length-0", record(b"") + one, "tls_malformed")
    tls_bad("record-length-16385", record(handshake(padded_body(16385))), "tls_malformed")
    tls_bad("record-length-16385-cut", record(whole, length=16385), "tls_malformed")
    tls_bad("record-length-65535", record(whole, length=65535), "tls_malformed")
    tls_ok("record-length-16384", record(handshake(padded_body(16384))))
    tls_ok("record-length-16383", record(handshake(padded_body(16383))))
    tls_more("record-length-16384-minus-1", record(handshake(padded_body(16384)))[:-1])
    # the record is longer than the hello: what follows in it is not judged, and need not be there
    tls_ok("bytes-behind-in-record", record(whole + noise("behind", 40)))
    tls_ok("bytes-behind-in-record-missing", record(whole + noise("behind", 40))[:-40])
    tls_ok("second-hello-behind", record(whole + handshake(body([sni("evil.com")] + BASIC))))
    tls_ok("second-record-behind", one + record(handshake(body([sni("evil.com")] + BASIC))))
    tls_ok("garbage-behind", one + noise("garbage", 100))
    tls_ok("zero-record-behind", one + record(b""))
    tls_ok("record-length-plus-1", record(whole, length=len(whole) + 1))  # the hello is all there
    # the record is one byte short: what follows is taken for the next record
    tls_bad("record-length-minus-1", record(whole, length=len(whole) - 1) + bytes(16),
            "tls_malformed")
    tls_bad("handshake-length-plus-1", record(handshake(body(base), length=len(whole) - 4 + 1)), "tls_malformed")
    tls_bad("handshake-length-minus-1", record(handshake(body(base), length=len(whole) - 4 - 1)),
            "tls_malformed")
    tls_bad("handshake-length-0", record(handshake(body(base), length=0)), "tls_malformed")
    tls_bad("handshake-length-plus-1-filled-by-record",
            record(handshake(body(base), length=len(whole) - 4 + 1)) + record(b"\0"),
            "tls_malformed")

    # spread over records
    for size in (1, 2, 3, 4, 5, 6, 7, 16, 37, 38, 39, 63, 64, 65, name_end - 1, name_end, 100, 128, 129, len(whole) - 1):
        if size >= name_end:
            tls_ok("records-of-%d" % size, records(whole, size))
        else:
            tls_bad("records-of-%d" % size, records(whole, size), "tls_sni_malformed")
    big = base64.b64decode(CAPTURED["openssl"])[5:]
    tls_bad("records-openssl-of-32", records(big, 32), "tls_sni_malformed")
    tls_ok("records-openssl-of-200", records(big, 200))
    tls_bad("records-chrome-of-512", records(chrome(HOST)[5:], 512), "tls_sni_malformed")
    tls_ok("records-chrome-of-1700", records(chrome(HOST)[5:], 1700), ech=True)
    tls_bad("records-chrome-of-1", records(chrome(HOST)[5:], 1), "tls_sni_malformed")
    tls_bad("records-1-then-rest", record(whole[:1]) + record(whole[1:]), "tls_sni_malformed")
    tls_bad("records-3-then-rest", record(whole[:3]) + record(whole[3:]), "tls_sni_malformed")
    tls_bad("records-4-then-rest", record(whole[:4]) + record(whole[4:]), "tls_sni_malformed")
    for i, token in ((whole.index(b"api.github"), "before-name"),
                     (whole.index(b"api.github") + 5, "in-name"),
                     (whole.index(b"api.github") - 1, "in-name-length")):
        tls_bad("records-split-" + token, record(whole[:i]) + record(whole[i:]), "tls_sni_malformed")
    tls_ok("records-versions-differ", record(whole[:name_end]) + record(whole[name_end:], version=0x0303))
    tls_ok("records-bytes-behind", record(whole[:name_end]) + record(whole[name_end:] + noise("behind", 70)) +
           record(b"\1", 20))
    tls_ok("records-last-not-whole", record(whole[:name_end]) + record(whole[name_end:] + bytes(50))[:-50])
    tls_bad("records-zero-between", record(whole[:name_end]) + record(b"") + record(whole[name_end:]),
            "tls_malformed")
    tls_bad("records-zero-many", record(whole[:name_end]) + record(b"") * 300 + record(whole[name_end:]),
            "tls_malformed")
    tls_bad("records-zero-after-first-byte", record(whole[:1]) + record(b"") + record(whole[1:]),
            "tls_malformed")
    tls_bad("records-ccs-between", record(whole[:name_end]) + record(b"\1", 20) + record(whole[name_end:]),
            "tls_malformed")
    tls_bad("records-alert-between", record(whole[:name_end]) + record(b"\1\0", 21) + record(whole[name_end:]),
            "tls_malformed")
    tls_bad("records-data-between", record(whole[:name_end]) + record(b"x" * 9, 23) + record(whole[name_end:]),
            "tls_malformed")
    tls_bad("records-second-major-2", record(whole[:name_end]) + record(whole[name_end:], version=0x0201),
            "tls_malformed")
    tls_bad("records-second-length-16385", record(whole[:name_end]) + record(whole[name_end:], length=16385),
            "tls_malformed")
    tls_bad("records-not-hello", record(b"\2") + record(whole[1:]), "tls_not_tls")
    tls_bad("records-sni-malformed", records(handshake(body([sni(HOST), sni(HOST)])), name_end),
            "tls_sni_malformed")
    tls_bad("records-no-sni", records(handshake(body(BASIC)), 40), "tls_sni_malformed")
    tls_bad("records-name-bad", records(handshake(body([sni(b"a\0b.com")] + BASIC)), name_end), "name_bad")
    tls_bad("records-body-malformed", records(handshake(body(base) + b"\0"), name_end), "tls_malformed")

    # who does not join records reads evil.com, across the header of the second
    inside = sni("evil.com")
    trap = ext(0x1234, bytes(40) + inside[:4])
    tls_bad("records-two-readings", records(handshake(body([trap, sni(HOST)])), len(handshake(body([trap, sni(HOST)]))) - 20),
            "tls_sni_malformed")
    tls_bad("records-no-extensions", records(handshake(body(None)), 40), "tls_sni_malformed")
    # the verdict on a name does not wait for the rest: there are readers that do not
    for n in (name_end, name_end + 1, len(whole) - 4, len(whole) - 1):
        tls_bad("cut-name-bad-%d" % n, record(handshake(body([sni("a b.com")] + BASIC)))[:n + 5], "name_bad")
        tls_more("cut-name-%d" % n, one[:n + 5])
    tls_bad("cut-sni-malformed", record(handshake(body([ext(0, vec16(b"\1\0\1a"))] + BASIC)))[:-1], "tls_sni_malformed")
    tls_bad("cut-records-late-name", record(whole[:name_end - 1]) + record(whole[name_end - 1:])[:6], "tls_sni_malformed")
    tls_more("cut-records", record(whole[:name_end]) + record(whole[name_end:])[:-1])

    # how much can be looked at: SP_STREAM_MAX bytes of the stream, record headers included
    tls_ok("long-two-records", records(handshake(padded_body(16500)), 16384))
    tls_ok("long-16000-in-1400", records(handshake(padded_body(16000)), 1400))
    tls_ok("long-stream-max", records(handshake(padded_body(STREAM_MAX - 10)), 16384))
    tls_more("long-stream-max-minus-1",
             records(handshake(padded_body(STREAM_MAX - 10)), 16384)[:-1])
    tls_bad("long-stream-max-plus-1", records(handshake(padded_body(STREAM_MAX - 9)),
                                              16384)[:STREAM_MAX], "tls_too_long")
    # 3,000 bytes in records of one byte are 18,000 bytes of stream
    tls_bad("long-one-byte-records", records(handshake(padded_body(3000)), 1)[:4000],
            "tls_sni_malformed")
    # said by the handshake length, long before the bytes are there
    for length in (STREAM_MAX, 65535, 65536, 0xffffff):
        tls_bad("long-handshake-%d" % length,
                record(handshake(body(base), length=length)), "tls_too_long")
    tls_bad("long-handshake-bare", record(handshake(b"", length=0x010000), length=512),
            "tls_too_long")
    tls_bad("long-handshake-in-records", records(handshake(body(base), length=20000), 3),
            "tls_too_long")

    # incomplete: never a right answer before the whole hello is there
    for n, token in ((0, "empty"), (1, "1"), (2, "2"), (3, "3"), (4, "4"), (5, "record-header"),
                     (6, "handshake-type"), (8, "in-handshake-length"), (9, "handshake-header"),
                     (43, "random"), (100, "100"), (len(one) - 1, "minus-1")):
        tls_more("cut-" + token, one[:n])
    at = one.index(b"api.github.com")
    tls_more("cut-before-name", one[:at])
    tls_more("cut-in-name", one[:at + 6])
    tls_more("cut-behind-name", one[:at + 14])
    tls_more("cut-chrome-1448", chrome(HOST)[:1448])  # the first segment of two
    tls_more("cut-records-first", record(whole[:50]))
    tls_more("cut-records-first-1-byte", record(whole[:1]))
    tls_more("cut-records-in-second-header", record(whole[:50]) + record(whole[50:])[:3])
    tls_more("cut-records-second-header", record(whole[:50]) + record(whole[50:])[:5])
    tls_more("cut-records-minus-1", records(whole, name_end)[:-1])


# ---- HTTP --------------------------------------------------------------------------------------


def request(*lines, start="GET / HTTP/1.1"):
    return "\r\n".join((start,) + lines + ("", "")).encode("latin-1")


def http_ok(name, data, host=HOST, port=None, length=None, head=None, ip=None, upgrade=False, chunked=False):
    if head is None:
        head = data.index(b"\r\n\r\n") + 4
    lines = ["verdict: ok", "host_ip: " + ip if ip else "host: " + host]
    if port is not None:
        lines.append("port: %d" % port)
    lines += ["head: %d" % head, "body: " + ("chunked" if chunked else "none" if length is None else str(length))]
    if upgrade:
        lines.append("upgrade: yes")
    add("http/" + name, data, lines)


def http_more(name, data):
    add("http/" + name, data, ["verdict: more"])


def http_bad(name, data, reason):
    add("http/" + name, data, ["verdict: bad", "reason: " + reason])


def http_clients():
    ua = "User-Agent: curl/7.88.1"
    # captured from curl 7.88.1, Node.js 20, Python 3.11
    http_ok("client-curl", request("Host: " + HOST, ua, "Accept: */*", start="GET /zen HTTP/1.1"))
    http_ok("client-curl-post", request(
        "Host: %s:8080" % HOST, ua, "Accept: */*", "Content-Type: application/json",
        "Content-Length: 7", start="POST /v1/x HTTP/1.1") + b'{"a":1}', port=8080, length=7)
    http_ok("client-curl-chunked", request(
        "Host: " + HOST, ua, "Accept: */*", "Transfer-Encoding: chunked",
        "Content-Type: application/x-www-form-urlencoded", start="POST /v1/x HTTP/1.1") +
        b"5\r\nhello\r\n0\r\n\r\n", chunked=True)
    http_ok("client-curl-h2c", request(
        "Host: " + HOST, ua, "Accept: */*", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"), upgrade=True)
    http_bad("client-curl-h2-prior", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex(
        "00001204000000000000030000006400040200000000020000000000000408000000000001ff0001"),
        "http_not_http")
    http_ok("client-curl-proxy", request("Host: " + HOST, ua, "Accept: */*",
                                         "Proxy-Connection: Keep-Alive",
                                         start="GET http://%s/zen HTTP/1.1" % HOST))
    http_ok("client-curl-connect", request("Host: %s:443" % HOST, ua,
                                            "Proxy-Connection: Keep-Alive",
                                            start="CONNECT %s:443 HTTP/1.1" % HOST), port=443)
    http_ok("client-node", request("host: " + HOST, "Connection: keep-alive",
                                   start="GET /x HTTP/1.1"))
    http_ok("client-python", request("Accept-Encoding: identity", "User-Agent: Python-urllib/3.11",
                                     "Host: " + HOST, "Connection: close",
                                     start="GET /simple/ HTTP/1.1"))
    http_ok("client-apt", request(
        "Host: deb.debian.org", "User-Agent: Debian APT-HTTP/1.3 (2.6.1)", "Accept: text/*",
        "Cache-Control: max-age=0", start="GET /debian/dists/bookworm/InRelease HTTP/1.1"),
        "deb.debian.org")
    browser = request(
        "Host: www.example.com", "Connection: keep-alive", "Cache-Control: max-age=0",
        "Upgrade-Insecure-Requests: 1",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/131.0.0.0 Safari/537.36",
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "Accept-Encoding: gzip, deflate", "Accept-Language: en-US,en;q=0.9,de;q=0.8",
        "Cookie: session=" + noise("cookie", 300).hex(), start="GET /a/b?c=d%20e&f=g HTTP/1.1")
    http_ok("client-chrome", browser, "www.example.com")
    http_ok("client-websocket", request(
        "Host: " + HOST, "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
        start="GET /chat HTTP/1.1"), upgrade=True)
    http_ok("client-wget-http10", request("User-Agent: Wget/1.9", "Host: " + HOST, "Accept: */*",
                                          start="GET / HTTP/1.0"))
    http_ok("client-dav", request("Host: dav.example.com", "Depth: 1", "Content-Length: 0",
                                  start="PROPFIND /remote.php/dav/ HTTP/1.1"), "dav.example.com",
            length=0)


def http_lines():
    h = "Host: " + HOST

    for method in ("HEAD", "OPTIONS", "DELETE", "PATCH", "get", "M-SEARCH", "!#$%&'*+-.^_`|~09Az",
                   "X"):
        token = "tchars" if method[0] == "!" else method.lower() if method != "get" else "lower-get"
        http_ok("method-" + token, request(h, start=method + " / HTTP/1.1"))
    http_ok("method-31", request(h, start="M" * 31 + " / HTTP/1.1"))
    http_ok("method-32", request(h, start="M" * 32 + " / HTTP/1.1"))
    http_bad("method-33", request(h, start="M" * 33 + " / HTTP/1.1"), "http_not_http")
    http_bad("method-33-no-end", b"M" * 33, "http_not_http")
    http_bad("method-endless", b"M" * 400, "http_not_http")
    # the host is that of the target
    http_ok("method-connect", request("Host: evil.com", start="CONNECT api.github.com:443 HTTP/1.1"), port=443)
    http_ok("connect-no-host", request(start="CONNECT api.github.com:443 HTTP/1.0"), port=443)
    http_ok("connect-ip", request(h, start="CONNECT 192.0.2.1:443 HTTP/1.1"), ip="192.0.2.1", port=443)
    for token, target in (("no-port", "api.github.com"), ("port-0", "api.github.com:0"), ("user", "a@api.github.com:443"),
                          ("slash", "api.github.com:443/"), ("url", "http://api.github.com/"), ("port-big", "api.github.com:70000"),
                          ("two", "evil.com:1:2"), ("long", "a" * 300 + ":443")):
        http_bad("connect-" + token, request(h, start="CONNECT %s HTTP/1.1" % target), "http_host")
    tunnel = "CONNECT api.github.com:443 HTTP/1.1"
    http_bad("connect-body", request(h, "Content-Length: 5", start=tunnel) + b"hello", "http_framing")
    http_bad("connect-chunked", request(h, "Transfer-Encoding: chunked", start=tunnel) + b"0\r\n\r\n", "http_framing")
    http_ok("connect-empty", request(h, "Content-Length: 0", start=tunnel), port=443, length=0)
    http_bad("connect-two-hosts", request(h, h, start="CONNECT api.github.com:443 HTTP/1.1"), "http_host")
    http_ok("method-connect-prefix", request(h, start="CONNECTX / HTTP/1.1"))
    http_ok("method-conne", request(h, start="CONNE / HTTP/1.1"))
    http_ok("method-prix", request(h, start="PRIX / HTTP/1.1"))
    for token, data in (("tls", record(handshake(body([sni(HOST)])))),
                        ("space", b" GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"),
                        ("crlf", b"\r\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\n"),
                        ("nul", b"\0GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"),
                        ("high-bit", b"\xefGET / HTTP/1.1\r\nHost: a.example\r\n\r\n"),
                        ("bracket", b"{\"jsonrpc\":\"2.0\"}\n"), ("socks5", b"\x05\x01\x00"),
                        ("socks4", b"\x04\x01\x00\x50\xc6\x33\x64\x07\x00"),
                        ("zeros", bytes(32)), ("colon", b": / HTTP/1.1\r\n\r\n")):
        http_bad("first-" + token, data, "http_not_http")

    # request line
    for token, start in (("http09", "GET /"), ("no-version", "GET / "),
                         ("http20", "GET / HTTP/2.0"),
                         ("http12", "GET / HTTP/1.2"), ("http11-lower", "GET / http/1.1"),
                         ("http11-tail", "GET / HTTP/1.10"), ("http1", "GET / HTTP/1"),
                         ("http-3", "GET / HTTP/3"), ("trailing-space", "GET / HTTP/1.1 "),
                         ("two-spaces-before-target", "GET  / HTTP/1.1"),
                         ("two-spaces-before-version", "GET /  HTTP/1.1"),
                         ("space-in-target", "GET /a b HTTP/1.1"),
                         ("tab-before-version", "GET /\tHTTP/1.1"),
                         ("no-target", "GET HTTP/1.1"), ("relative", "GET index.html HTTP/1.1"),
                         ("query-only", "GET ?a HTTP/1.1"), ("asterisk-get", "GET * HTTP/1.1"),
                         ("asterisk-options-lower", "options * HTTP/1.1"),
                         ("asterisk-more", "OPTIONS *a HTTP/1.1"),
                         ("asterisk-slash", "OPTIONS */ HTTP/1.1"),
                         ("authority-form", "GET api.github.com:80 HTTP/1.1"),
                         ("https-absolute", "GET https://api.github.com/ HTTP/1.1"),
                         ("ftp-absolute", "GET ftp://api.github.com/ HTTP/1.1"),
                         ("http-one-slash", "GET http:/api.github.com/ HTTP/1.1"),
                         ("smtp", "EHLO mail.example.com")):
        http_bad("line-" + token, request(h, start=start), "http_malformed")
    http_ok("line-asterisk-options", request(h, start="OPTIONS * HTTP/1.1"))
    http_ok("line-double-slash", request(h, start="GET //evil.com/ HTTP/1.1"))
    http_ok("line-url-in-query", request(h, start="GET /?u=http://evil.com/ HTTP/1.1"))
    http_ok("line-high-bytes", request(h, start="GET /\xe4\xf6 HTTP/1.1"))
    http_ok("line-long-target", request(h, start="GET /" + "t" * 8000 + " HTTP/1.1"))

    # absolute form: its authority and Host are the same text
    def absolute(target, host):
        return request("Host: " + host, start="GET %s HTTP/1.1" % target)

    http_ok("absolute", absolute("http://api.github.com/x", HOST))
    http_ok("absolute-no-path", absolute("http://api.github.com", HOST))
    http_ok("absolute-query", absolute("http://api.github.com?x=http://evil.com/", HOST))
    http_ok("absolute-case", absolute("HTTP://API.github.com/", "api.GitHub.com"))
    http_ok("absolute-port", absolute("http://api.github.com:8080/", HOST + ":8080"), port=8080)
    http_ok("absolute-ip", absolute("http://192.0.2.1/", "192.0.2.1"), ip="192.0.2.1")
    http_ok("absolute-name-253", absolute("http://%s/" % long_name(253), long_name(253)),
            long_name(253))
    for token, target, host in (("other", "http://evil.com/", HOST),
                                ("other-same-length", "http://api.github.con/", HOST),
                                ("longer", "http://api.github.com.evil.com/", HOST),
                                ("shorter", "http://api.github.co/", HOST),
                                ("port-in-target-only", "http://api.github.com:80/", HOST),
                                ("port-in-host-only", "http://api.github.com/", HOST + ":80"),
                                ("port-differs", "http://api.github.com:81/", HOST + ":80"),
                                ("port-leading-zero", "http://api.github.com:080/", HOST + ":80"),
                                ("userinfo", "http://api.github.com@evil.com/", HOST),
                                ("userinfo-before", "http://evil@api.github.com/", HOST),
                                ("trailing-dot", "http://api.github.com./", HOST),
                                ("empty-authority", "http:///x", HOST),
                                ("backslash", "http://api.github.com\\@evil.com/", HOST)):
        http_bad("absolute-" + token, absolute(target, host), "http_host")
    http_bad("absolute-no-host", request(start="GET http://api.github.com/ HTTP/1.1"),
             "http_no_host")

    # line ends and control bytes
    good = request(h, "Accept: */*")
    http_bad("bare-lf", good.replace(b"\r\n", b"\n"), "http_malformed")
    http_bad("bare-lf-first-line", good.replace(b"\r\n", b"\n", 1), "http_malformed")
    http_bad("bare-lf-header", request(h + "\nX: y"), "http_malformed")
    http_bad("bare-lf-end", good[:-2] + b"\n", "http_malformed")
    http_bad("bare-lf-smuggled-host", request(h, "X: y\nHost: evil.com"), "http_malformed")
    http_bad("bare-cr", request(h, "X: a\rb"), "http_malformed")
    http_bad("bare-cr-smuggled-host", request("X: a\rHost: evil.com", h), "http_malformed")
    http_bad("cr-cr-lf", good.replace(b"\r\n", b"\r\r\n", 2), "http_malformed")
    http_bad("fold-space", request(h, "X: a", " b"), "http_malformed")
    http_bad("fold-tab", request(h, "X: a", "\tb: c"), "http_malformed")
    http_bad("fold-host", request("Host: api.github.com", "\t.evil.com"), "http_malformed")
    http_bad("fold-first", request(" X: y", h), "http_malformed")
    http_bad("fold-first-host", request(" Host: evil.com", h), "http_malformed")
    for token, char in (("nul", "\0"), ("01", "\1"), ("vt", "\v"), ("ff", "\f"), ("esc", "\x1b"),
                        ("1f", "\x1f"), ("del", "\x7f"), ("bs", "\b")):
        http_bad("control-%s-value" % token, request(h, "X: a%sb" % char), "http_malformed")
    http_bad("control-nul-name", request(h, "X\0: b"), "http_malformed")
    http_bad("control-nul-target", request(h, start="GET /\0 HTTP/1.1"), "http_malformed")
    http_bad("control-del-target", request(h, start="GET /\x7f HTTP/1.1"), "http_malformed")
    http_bad("control-nul-host", request("Host: api.github.com\0.evil.com"), "http_malformed")
    http_ok("tab-in-value", request(h, "X: a\tb"))
    http_ok("high-bytes-in-value", request(h, "X: \xe4\xff\x80"))

    # field lines
    http_bad("space-before-colon", request("Host : " + HOST), "http_malformed")
    http_bad("tab-before-colon", request("Host\t: " + HOST), "http_malformed")
    http_bad("space-before-colon-other", request(h, "X : y"), "http_malformed")
    http_bad("space-in-name", request(h, "X Y: z"), "http_malformed")
    http_bad("no-colon", request(h, "nonsense"), "http_malformed")
    http_bad("empty-name", request(h, ": x"), "http_malformed")
    http_bad("name-high-bit", request(h, "X\xe4: y"), "http_malformed")
    http_bad("name-paren", request(h, "X(): y"), "http_malformed")
    http_bad("name-quote", request(h, '"X": y'), "http_malformed")
    http_ok("value-empty", request(h, "X:"))
    http_ok("value-colons", request(h, "X::a:b: c"))
    for n in (63, 64):
        http_ok("name-%d" % n, request(h, "N" * n + ": y"))

    # how many, how long
    for n in (HEADERS_MAX - 1, HEADERS_MAX):
        http_ok("headers-%d" % n, request(*["X-%d: y" % i for i in range(n - 1)], h))
    for n in (HEADERS_MAX + 1, 500):
        http_bad("headers-%d" % n, request(h, *["X-%d: y" % i for i in range(n - 1)]),
                 "http_too_long")
    http_bad("headers-97-host-last", request(*["X-%d: y" % i for i in range(96)], h),
             "http_too_long")

    def long_head(total):
        fixed = len(request(h, "X: "))
        data = request(h, "X: " + "v" * (total - fixed))
        assert len(data) == total
        return data

    for n in (STREAM_MAX - 1, STREAM_MAX):
        http_ok("head-%d" % n, long_head(n))
    http_more("head-%d-incomplete" % (STREAM_MAX - 1), long_head(STREAM_MAX)[:-1])
    http_bad("head-%d" % (STREAM_MAX + 1), long_head(STREAM_MAX + 1)[:STREAM_MAX], "http_too_long")
    http_bad("head-endless-target", (b"GET /" + b"t" * STREAM_MAX)[:STREAM_MAX], "http_too_long")
    http_ok("head-long-then-body", request(h, "X: " + "v" * 9000, "Content-Length: 4000",
                                           start="PUT / HTTP/1.1") + bytes(4000), length=4000)

    # incomplete
    for n, token in ((0, "empty"), (1, "1"), (3, "method"), (4, "method-space"), (5, "target"),
                     (14, "version"), (15, "cr"), (16, "first-line"), (18, "in-name"),
                     (22, "host-colon"), (30, "in-host")):
        http_more("cut-" + token, good[:n])
    end = len(good)
    for n in (4, 3, 2, 1):
        http_more("cut-minus-%d" % n, good[:end - n])
    http_more("cut-connection", b"CONNEC")
    http_more("cut-method-32", b"M" * 32)


def http_hosts():
    def host(value, *more):
        return request("Host:" + value, *more)

    http_bad("host-none", request("Accept: */*"), "http_no_host")
    http_bad("host-none-http10", request(start="GET / HTTP/1.0"), "http_no_host")
    http_bad("host-none-bare", b"GET / HTTP/1.1\r\n\r\n", "http_no_host")
    http_bad("host-like-name", request("X-Host: " + HOST, "Hosts: " + HOST, "Hos: " + HOST),
             "http_no_host")
    http_bad("host-in-body", request("Content-Length: 22") + b"Host: api.github.com\r\n",
             "http_no_host")
    http_bad("host-two", request("Host: " + HOST, "Host: evil.com"), "http_host")
    http_bad("host-two-equal", request("Host: " + HOST, "Host: " + HOST), "http_host")
    http_bad("host-two-apart", request("Host: " + HOST, "A: b", "hOsT: evil.com"), "http_host")
    http_bad("host-two-first-empty", request("Host:", "Host: " + HOST), "http_host")
    http_bad("host-two-ip", request("Host: 192.0.2.1", "Host: " + HOST), "http_host")
    http_bad("host-two-http10", request("Host: " + HOST, "Host: " + HOST, start="GET / HTTP/1.0"),
             "http_host")
    http_ok("host-no-space", host(HOST))
    http_ok("host-many-spaces", host("  \t " + HOST + " \t  "))
    http_ok("host-upper-case", request("HOST: API.GitHub.COM"))
    http_ok("host-lower-name", request("host: " + HOST))
    http_ok("host-last", request("A: b", "C: d", "Host: " + HOST))
    http_ok("host-trailing-dot", host(" " + HOST + "."))
    http_ok("host-single-label", host(" localhost"), "localhost")
    http_ok("host-underscore", host(" my_host.example"), "my_host.example")
    http_ok("host-idn", host(" xn--bcher-kva.example"), "xn--bcher-kva.example")
    http_ok("host-evil-prefix", host(" evil.com.allowed.com"), "evil.com.allowed.com")
    http_ok("host-port-80", host(" " + HOST + ":80"), port=80)
    http_ok("host-port-1", host(" " + HOST + ":1"), port=1)
    http_ok("host-port-65535", host(" " + HOST + ":65535"), port=65535)
    http_bad("host-port-65536", host(" " + HOST + ":65536"), "http_host")
    http_bad("host-port-99999", host(" " + HOST + ":99999"), "http_host")
    http_bad("host-port-long", host(" " + HOST + ":" + "4294967376"), "http_host")  # 2^32 + 80
    http_bad("host-port-letters", host(" " + HOST + ":http"), "http_host")
    http_bad("host-port-sign", host(" " + HOST + ":+80"), "http_host")
    http_bad("host-port-space", host(" " + HOST + ": 80"), "http_host")
    http_bad("host-port-twice", host(" " + HOST + ":80:80"), "http_host")
    http_bad("host-port-only", host(" :80"), "http_host")
    for n in (252, 253):
        http_ok("host-length-%d" % n, host(" " + long_name(n)), long_name(n))
    http_ok("host-length-253-port", host(" " + long_name(253) + ":65535"), long_name(253), 65535)
    http_ok("host-length-253-dot-port", host(" " + long_name(253) + ".:65535"), long_name(253),
            65535)
    for n in (254, 255, 261, 262, 300, 2000):
        http_bad("host-length-%d" % n, host(" " + long_name(n)), "http_host")
    http_ok("host-label-63", host(" " + "l" * 63 + ".example"), "l" * 63 + ".example")
    http_bad("host-label-64", host(" " + "l" * 64 + ".example"), "http_host")
    http_ok("host-labels-40", host(" " + many_labels(40)), many_labels(40))
    http_bad("host-labels-41", host(" " + many_labels(41)), "http_host")
    for token, value in (
            ("empty", ""), ("spaces-only", "   "), ("list", " api.github.com, evil.com"),
            ("two-words", " api.github.com evil.com"), ("space-inside", " api. github.com"),
            ("tab-inside", " api\tgithub.com"),
            ("userinfo", " evil@api.github.com"), ("url", " http://api.github.com"),
            ("slash", " api.github.com/"), ("backslash", " api.github.com\\evil"),
            ("question-mark", " api.github.com?x"), ("hash", " api.github.com#x"),
            ("percent", " api%2egithub.com"), ("star", " *.github.com"), ("dot", " ."),
            ("leading-dot", " .github.com"), ("empty-label", " api..github.com"),
            ("two-trailing-dots", " api.github.com.."), ("comma", " api.github.com,"),
            ("semicolon", " api.github.com;x"), ("quotes", ' "api.github.com"'),
            ("high-bit", " b\xfccher.example"), ("last-label-digits", " example.123"),
            ("ipv4-short", " 127.1"), ("ipv4-decimal", " 2130706433"), ("ipv4-256", " 192.0.2.256"),
            ("ipv4-five", " 1.2.3.4.5"), ("ipv4-empty-octet", " 1..2.3"),
            ("ipv6-bare", " 2001:db8::1"), ("ipv6-unclosed", " [2001:db8::1"),
            ("ipv6-junk-behind", " [2001:db8::1]x"), ("ipv6-name-inside", " [evil.com]"),
            ("ipv6-name-behind", " [::1]evil.com"), ("ipv6-empty", " []"),
            ("ipv6-double-elision", " [1::2::3]"), ("ipv6-nine-groups", " [1:2:3:4:5:6:7:8:9]"),
            ("ipv6-port-letters", " [2001:db8::1]:http"),
            ("ipv6-port-65536", " [2001:db8::1]:65536"),
            ("ipv6-future", " [v1.fe80]")):
        http_bad("host-" + token, host(value), "http_host")
    http_ok("host-ipv4", host(" 192.0.2.1"), ip="192.0.2.1")
    http_ok("host-ipv4-port", host(" 192.0.2.1:8080"), ip="192.0.2.1", port=8080)
    http_ok("host-ipv4-metadata", host(" 169.254.169.254"), ip="169.254.169.254")
    http_ok("host-ipv6", host(" [2001:db8::1]"), ip="2001:db8::1")
    http_ok("host-ipv6-port", host(" [2001:db8::1]:8080"), ip="2001:db8::1", port=8080)
    http_ok("host-ipv6-spelled-out", host(" [2001:0DB8:0:0:0:0:0:1]"), ip="2001:db8::1")
    http_ok("host-ipv6-loopback", host(" [::1]"), ip="::1")
    http_ok("host-ipv6-mapped", host(" [::ffff:192.0.2.1]"), ip="::ffff:192.0.2.1")


def http_bodies():
    h = "Host: " + HOST

    def sized(value, *more, data=b"", name="Content-Length"):
        return request(h, name + ":" + value, *more, start="POST / HTTP/1.1") + data

    http_ok("length-0", sized(" 0"), length=0)
    http_ok("length-1", sized(" 1", data=b"x"), length=1)
    http_ok("length-body-missing", sized(" 1000"), length=1000)
    http_ok("length-body-partly", sized(" 1000", data=bytes(10)), length=1000)
    http_ok("length-lower-case-name", sized(" 5", name="content-length", data=b"hello"), length=5)
    http_ok("length-no-space", sized("5", data=b"hello"), length=5)
    http_ok("length-spaces", sized(" \t 5 \t", data=b"hello"), length=5)
    http_ok("length-leading-zeros", sized(" 0005", data=b"hello"), length=5)
    http_ok("length-2p32", sized(" 4294967296"), length=2**32)
    http_ok("length-2p53-minus-1", sized(" %d" % (2**53 - 1)), length=2**53 - 1)
    http_ok("length-2p53", sized(" %d" % 2**53), length=2**53)
    http_ok("length-before-host", request("Content-Length: 3", h, start="PUT /x HTTP/1.0") + b"abc",
            length=3)
    http_ok("length-get", request(h, "Content-Length: 3") + b"abc", length=3)
    for token, value in (("2p53-plus-1", str(2**53 + 1)), ("9999999999999999", "9" * 16),
                         ("17-digits", "1" + "0" * 16), ("2p64", str(2**64)),
                         ("2p64-plus-5", str(2**64 + 5)), ("40-digits", "1" * 40), ("plus", "+5"),
                         ("minus", "-5"), ("hex", "0x5"), ("list", "5, 5"),
                         ("list-no-space", "5,5"),
                         ("list-differs", "5, 6"), ("words", "5 6"), ("float", "5.0"),
                         ("exponent", "5e0"), ("underscore", "1_0"), ("empty", ""),
                         ("letters", "five"),
                         ("trailing-letter", "5a"), ("semicolon", "5;"), ("quotes", '"5"'),
                         ("high-bit", "\xb2")):
        http_bad("length-" + token, sized(" " + value if value else value, data=b"hello"),
                 "http_framing")
    http_bad("length-two-equal", sized(" 5", "Content-Length: 5", data=b"hello"), "http_framing")
    http_bad("length-two-differ", sized(" 5", "Content-Length: 6", data=b"hello"), "http_framing")
    http_bad("length-two-case", sized(" 5", "CONTENT-LENGTH: 0", data=b"hello"), "http_framing")
    http_bad("length-two-zero", sized(" 0", "Content-Length: 0"), "http_framing")
    for token, line in (("chunked", "Transfer-Encoding: chunked"), ("upper-case", "TRANSFER-ENCODING: CHUNKED"),
                        ("tab", "Transfer-Encoding:\tchunked"), ("spaces", "Transfer-Encoding:  chunked \t")):
        http_ok("transfer-" + token, request(h, line, start="POST / HTTP/1.1") + b"0\r\n\r\n", chunked=True)
    http_ok("transfer-get", request(h, "Transfer-Encoding: chunked") + b"0\r\n\r\n", chunked=True)
    for token, line in (("twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
                        ("list-twice", "Transfer-Encoding: chunked, chunked"), ("quoted", 'Transfer-Encoding: "chunked"'),
                        ("parameter", "Transfer-Encoding: chunked;q=1"), ("vt", "Transfer-Encoding: chunked,"),
                        ("identity", "Transfer-Encoding: identity"),
                        ("gzip", "Transfer-Encoding: gzip, chunked"),
                        ("empty", "Transfer-Encoding:"),
                        ("junk", "Transfer-Encoding: xchunked")):
        http_bad("transfer-" + token, request(h, line, start="POST / HTTP/1.1") + b"0\r\n\r\n",
                 "http_framing")
    http_bad("transfer-and-length", sized(" 5", "Transfer-Encoding: chunked", data=b"0\r\n\r\n"),
             "http_framing")
    http_bad("length-and-transfer", request(h, "Transfer-Encoding: chunked", "Content-Length: 5",
                                            start="POST / HTTP/1.1") + b"0\r\n\r\n", "http_framing")
    http_bad("transfer-http10", request(h, "Transfer-Encoding: chunked", start="POST / HTTP/1.0"),
             "http_framing")
    http_bad("transfer-space-before-colon", request(h, "Transfer-Encoding : chunked"),
             "http_malformed")
    http_ok("transfer-like-names", request(h, "X-Transfer-Encoding: chunked", "TE: trailers",
                                           "Transfer-Encodin: chunked", "Transfer-Encodingx: a",
                                           "Transfer_Encoding: chunked"))
    http_ok("length-like-names", request(h, "X-Content-Length: 5", "Content-Lengt: 5",
                                         "Content-Lengthx: 5", "Content_Length: 5"))

    http_ok("upgrade-without-connection", request(h, "Upgrade: websocket"))
    http_ok("connection-without-upgrade", request(h, "Connection: Upgrade"))
    http_ok("upgrade-case", request(h, "UPGRADE: h2c", "CONNECTION: upgrade"), upgrade=True)
    http_ok("upgrade-with-length", request(h, "Connection: Upgrade", "Upgrade: h2c",
                                           "Content-Length: 2", start="POST / HTTP/1.1") + b"ok",
            length=2, upgrade=True)
    http_ok("upgrade-like-names", request(h, "Upgrade-Insecure-Requests: 1", "Connection: close",
                                          "Connections: a", "Upgrades: b"))
    # what stands behind the first head is judged as a head of its own, later
    second = request("Host: evil.com", start="GET /2 HTTP/1.1")
    http_ok("pipelined", request(h) + second)
    http_ok("pipelined-behind-body", sized(" 3", data=b"abc") + second, length=3)
    http_ok("pipelined-garbage", request(h) + noise("garbage", 64))
    http_ok("body-looks-like-head", sized(" %d" % len(second), data=second), length=len(second))


# ---- other: what a stream is on a port that promises nothing ------------------------------------


def other(name, data, verdict="other", head=None, reason=None):
    lines = ["verdict: " + verdict]
    if head is not None:
        lines.append("head: %d" % head)
    if reason:
        lines.append("reason: " + reason)
    add("other/" + name, data, lines)


def other_clients():
    """First flights as their clients sent them to a listener, some behind the server's greeting."""
    for name, data in (
            ("ssh", b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u6\r\n"),
            ("ssh-putty", b"SSH-2.0-PuTTY_Release_0.78\r\n"),
            ("ssh-1", b"SSH-1.99-OpenSSH_3.9p1\n"),
            ("ssh-go", b"SSH-2.0-Go\r\n"),
            ("git", b"0041git-upload-pack /project.git\0host=127.0.0.1:36999\0\0version=2\0" + b"0014command=ls-refs\n"),
            ("psql", bytes.fromhex("0000000804d2162f")),
            ("psql-plain", b"\0\0\0\x31\0\3\0\0user\0u\0database\0d\0application_name\0psql\0\0"),
            ("ftp", b"USER anonymous\r\n"), ("ftp-auth", b"AUTH TLS\r\n"), ("ftp-feat", b"FEAT\r\n"),
            ("smtp", b"EHLO mail.example.com\r\n"), ("smtp-helo", b"HELO mail.example.com\r\n"),
            ("smtp-python", b"ehlo [127.0.0.1]\r\n"), ("smtp-lmtp", b"LHLO mail.example.com\r\n"),
            ("imap-curl", b"A001 CAPABILITY\r\n"), ("imap-python", b"JHAB0 CAPABILITY\r\n"),
            ("imap-letters", b"a LOGIN user password\r\n"), ("imap-id", b'1 ID ("name" "Thunderbird")\r\n'),
            ("pop3", b"CAPA\r\n"), ("pop3-user", b"USER u\r\n"), ("pop3-apop", b"APOP u c4c9334bac560ecc979e58001b3e22fb\r\n"),
            ("nntp", b"CAPABILITIES\r\n"), ("nntp-mode", b"MODE READER\r\n"), ("nntp-group", b"GROUP comp.lang.c\r\n"),
            ("dict", b"CLIENT libcurl 7.88.1\r\nDEFINE ! word\r\nQUIT\r\n"),
            ("gopher", b"/x\r\n"), ("gopher-root", b"\r\n?"), ("finger", b"/W user\r\n"), ("whois", b"example.org\r\n"),
            ("whois-ripe", b"-r -T inetnum 198.18.0.0\r\n"), ("ident", b"6193, 23\r\n"),
            ("mqtt", b"\x10\x18\0\4MQTT\4\2\0<\0\x0ccurlda7bf24c"),
            ("ldap", bytes.fromhex("300c020101600702010304008000")),
            ("ldap-starttls", bytes.fromhex("301d02010177188016312e332e362e312e342e312e313436362e3230303337")),
            ("rtsp", b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: curl/7.88.1\r\n\r\n"),
            ("rtsp-describe", b"DESCRIBE rtsp://cam.example.com:554/1 RTSP/1.0\r\nCSeq: 2\r\nAccept: application/sdp\r\n\r\n"),
            ("sip", b"REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/TCP 10.0.0.2:5060\r\n\r\n"),
            ("icap", b"OPTIONS icap://icap.example.com/avscan ICAP/1.0\r\nHost: icap.example.com\r\n\r\n"),
            ("telnet-text", b"hello\n"),
            ("smb", bytes.fromhex("0000002fff534d4272000000001841") + bytes(36)),
            ("socks4", b"\4\1\0P\1\2\3\4\0"), ("socks5", b"\5\2\0\1"),
            ("irc", b"NICK somebody\r\nUSER somebody 0 * :Some Body\r\n"), ("irc-cap", b"CAP LS 302\r\n"),
            ("irc-pass", b"PASS secret\r\n"), ("xmpp", b"<?xml version='1.0'?><stream:stream to='example.com'>"),
            ("redis", b"*1\r\n$4\r\nPING\r\n"), ("redis-hello", b"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n"),
            ("redis-inline", b"PING\r\n"), ("redis-inline-set", b"SET /a 1\r\nGET /a\r\n", ),
            ("memcached", b"get /key\r\n"), ("memcached-stats", b"stats\r\n"), ("beanstalkd", b"put 0 0 60 5\r\nhello\r\n"),
            ("amqp", b"AMQP\0\0\x09\1"), ("kafka", bytes.fromhex("00000020001200030000000100") + b"\x0crdkafka"),
            ("zookeeper", b"ruok\n"), ("nats", b'CONNECT {"verbose":false,"lang":"go"}\r\nPING\r\n'),
            ("stomp", b"CONNECT\naccept-version:1.2\nhost:stomp.example.com\n\n\0"),
            ("mongodb", bytes.fromhex("3a000000410000000000000000d40700000000000061646d696e2e24636d6400")),
            ("mysql-login", bytes.fromhex("550000018da60f2000000001210000") + bytes(20)), ("cassandra", bytes.fromhex("0400000105000000 00")),
            ("rdp", bytes.fromhex("030000130ee000000000000100080003000000")), ("vnc", b"RFB 003.008\n"),
            ("rsync", b"@RSYNCD: 31.0\n"), ("svn", b"( 2 ( edit-pipeline svndiff1 ) 25:svn://127.0.0.1:3690/x ) "),
            ("cvs", b"BEGIN AUTH REQUEST\n/cvs\nanonymous\nA\nEND AUTH REQUEST\n"),
            ("spartan", b"example.com /path 0\r\n"), ("gearman", b"status\r\n"), ("graphite", b"servers.web1.load 0.42 1700000000\n"),
            ("syslog", b"<34>1 2003-10-11T22:14:15.003Z host su - ID47 - text\n"), ("fluentd", b"\x93\xa3tag\xce\x65\0\0\0\x81"),
            ("json-lines", b'{"id":1,"method":"mining.subscribe","params":[]}\n'), ("clickhouse", b"\0\x11ClickHouse client\x16\2"),
            ("bittorrent", b"\x13BitTorrent protocol" + bytes(8)), ("rtmp", b"\3" + noise("rtmp", 100)),
            ("openvpn", bytes.fromhex("000e38") + noise("openvpn", 13)), ("9p", bytes.fromhex("1500000064ffff00200000080039503230303000"[:38])),
            ("adb", b"CNXN\0\0\0\1\0\0\x10\0"), ("dlt", b"DLT\1"),
            ("log-line", b'198.18.0.1 - - [28/Nov/2026] "GET / HTTP/1.1" 200 5 "-" "curl/7.88"\n'),
            ("h2-prior", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000012040000000000")),
            ("blank-lines", b"\r\n\r\nhello world\r\n"), ("blank-binary", b"\n\0\1\2")):
        other(name, data)
    for name, data in (("git-length", b"0041"), ("cut-word", b"SSH-2.0-OpenSSH_9.2p1"), ("cut-space", b"SSH-2.0-x Deb"),
                       ("cut-empty", b""), ("gdb", b"+$qSupported:multiprocess+#c6"), ("tls-one-byte", b"\x16"),
                       ("cut-blank", b"\r\n"), ("cut-http", b"GET / HTTP/1.1"),
                       ("cut-preface", b"PRI * HTTP/2.0\r\n\r\nS"), ("redis-get", b"GET key\r\n"),
                       ("rtsp-cut", b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nUser-"), ("letters", b"A" * 5000), ("telnet", b"\xff\xfb\x1f\xff\xfb\x20"),
                       ("proxy-cut", b"PROXY TCP4 198.18.0.1 198.18."), ("proxy2-cut", b"\r\n\r\n\0\r\nQUI"),
                       ("proxy2-cut-addresses", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(11))):
        other(name, data, "more")
    line = b"PROXY TCP4 127.0.0.1 127.0.0.1 38280 37809\r\n"
    other("proxy", line + request("Host: " + HOST), "proxy", head=len(line))
    other("proxy-alone", line, "proxy", head=len(line))
    two = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12)
    other("proxy2", two + request("Host: " + HOST), "proxy", head=len(two))
    other("proxy2-local", two[:12] + b"\x20\0\0\0", "proxy", head=16)
    for name, line in (("proxy-long", b"PROXY " + b"x" * 110 + b"\r\n"), ("proxy-unknown", b"PROXY UNKNOWN\r\n"),
                       ("proxy-unknown-4000", b"PROXY UNKNOWN " + b"x" * 4000 + b"\r\n")):
        other(name, line + request("Host: " + HOST), "proxy", head=len(line))
    # nginx goes on to a CR LF
    other("proxy-lf", b"PROXY UNKNOWN\nx\r\n" + request("Host: evil.com"), "bad", reason="http_malformed")


def other_more_clients():
    """More first flights: of Debian 12's clients to a listener (in hexadecimal), and as the specifications of protocols have them."""
    for name, data in (
            ("mariadb", bytes.fromhex(
                "b800000184a2bf00000010000800000000000000000000000000000000000000050000007500006d7973716c5f6e61746976655f706173"
                "73776f7264007e035f6f73054c696e75780c5f636c69656e745f6e616d650a6c69626d617269616462045f70696404323236320f5f636c"
                "69656e745f76657273696f6e06332e332e3230095f706c6174666f726d067838365f36340c70726f6772616d5f6e616d65056d7973716c"
                "0c5f7365727665725f686f7374093132372e302e302e31")),
            ("psql-no-tls", bytes.fromhex(
                "0000000804d2162f00000031000300007573657200750064617461626173650064006170706c69636174696f6e5f6e616d65007073716c"
                "0000")),
            ("mqtt-3", bytes.fromhex(
                "100c00044d5154540402003c0000")),
            ("mqtt-5", bytes.fromhex(
                "101600044d51545405c2003c032100140000000175000170")),
            ("ldap-sasl", bytes.fromhex(
                "303e020101633904000a01000a0100020100020100010100870b6f626a656374636c61737330190417737570706f727465645341534c4d"
                "656368616e69736d73")),
            ("smb-2", bytes.fromhex(
                "000000e2fe534d42400000000000000000001f000000000000000000000000000000000000000000000000000000000000000000000000"
                "0000000000000000000000000024000500010000007f000000c0e96215d0114544918a2dca45d3a9fd7000000004000000020210020003"
                "0203110300000100260000000000010020000100dd056843313049e0a2bcf39edf6d3288ef4a08079b654b8f18e3153f2ec00683000002"
                "000a0000000000040002000100040003000000000000000800080000000000030002000100000005001200000000003100320037002e00"
                "30002e0030002e003100")),
            ("smb-1", bytes.fromhex(
                "0000003eff534d4272000000001843c80000000000000000000000000000feff00000000001b00024e54204c414e4d414e20312e300002"
                "4e54204c4d20302e313200")),
            ("svn-1.14", bytes.fromhex(
                "282032202820656469742d706970656c696e652073766e646966663120616363657074732d73766e646966663220616273656e742d656e"
                "7472696573206465707468206d65726765696e666f206c6f672d72657670726f707320292032333a73766e3a2f2f3132372e302e302e31"
                "3a34363236352f782033323a53564e2f312e31342e3220287838365f36342d70632d6c696e75782d676e752920282029202920")),
            ("rsync-32", bytes.fromhex(
                "405253594e43443a2033322e3020736861353132207368613235362073686131206d6435206d64340a0a")),
            ("lftp", bytes.fromhex(
                "464541540d0a5553455220750d0a5041535320700d0a")),
            ("kcat", bytes.fromhex(
                "000000240012000300000001000772646b61666b61000b6c696272646b61666b6106322e302e3200")),
            ("nbd", bytes.fromhex(
                "0000000349484156454f50540000000300000000")),
            ("rtmpdump", bytes.fromhex(
                "03010f71ca0000000067458b6bc6237b3269983c647348336651dcb074ff5c49194a94e82aec585562291f8e23cd7ce846ba581b3dabd7"
                "7e50f241b12efb1eb741e3a9e27946e145757c005f51c262d05b54082012f827b14d1b231602e8e9161fe7cd90118d43ef66760f0e145a"
                "2552332ef99c106372ed0d33c2dc7f9fd7ef1bc9c4a7419a07686b66fb6a4e325de4250d509b51b7d71b4331ba2d3f58e4837ca3307125"
                "5ad9bb6225616c435d898c6205b13a3317a31d7258a84324e95a1d2d5e846367d4a8a2")),
            ("tds", bytes.fromhex(
                "1201003a0000000000001a00060100200001020021000c03002d00040400310001ff090000000000004d5353514c53657276657200bd0e"
                "000000")),
            ("tds-5", bytes.fromhex(
                "0200020000000000766d000000000000000000000000000000000000000000000000000000000275000000000000000000000000000000"
                "00000000000000000000000000000170000000000000000000000000000000000000000000000000000000000001333737370000000000"
                "000000000000000000000000000000000000000000040301060a0901000000000000000000005453514c00000000000000000000000000"
                "00000000000000000000000000043132372e302e302e31000000000000000000000000")),
            ("iperf", bytes.fromhex(
                "400100780000000100008e170000000000000000ffffff9c00000000000000000000000000020001000800030000000000000000000000"
                "0000000000400100780000000100008e170000000000000000ffffff9c0000000000000000000000000002000100080003000000000000"
                "00000000000000000000")),
            ("iperf-reverse", bytes.fromhex(
                "440100780000000100008ea70000000000000000ffffff9c00000000000000000400000000020001000800030000000000000000000000"
                "0000000000")),
            ("iperf3", bytes.fromhex(
                "7a7373633465377178756662626135357a78676a677934627261796f66796b773469717400")),
            ("memcached-version", bytes.fromhex(
                "76657273696f6e0d0a")),
            ("sipsak", bytes.fromhex(
                "4f5054494f4e53207369703a75403132372e302e302e313a33323738205349502f322e300d0a5669613a205349502f322e302f54435020"
                "3132372e302e302e313a34393330313b6272616e63683d7a39684734624b2e33626163653765653b72706f72743b616c6961730d0a4672"
                "6f6d3a207369703a73697073616b403132372e302e302e313a34393330313b7461673d36626334353432340d0a546f3a207369703a7540"
                "3132372e302e302e313a333237380d0a43616c6c2d49443a2031383038303238373038403132372e302e302e310d0a435365713a203120"
                "4f5054494f4e530d0a436f6e746163743a207369703a73697073616b403132372e302e302e313a34393330310d0a436f6e74656e742d4c"
                "656e6774683a20300d0a4d61782d466f7277617264733a20300d0a557365722d4167656e743a2073697073616b20302e392e382e310d0a"
                "4163636570743a20746578742f706c61696e0d0a0d0a")),
            ("telnet-client", bytes.fromhex(
                "0d0afffb18fffb20fffc23fffb27")),
            ("telnet-curl", bytes.fromhex(
                "fffc18fffc27fffb00fffd00fffb03fffd03")),
            ("git-v0", bytes.fromhex(
                "303033306769742d75706c6f61642d7061636b202f782e67697400686f73743d3132372e302e302e313a333839373100")),
            ("git-push", bytes.fromhex(
                "303033316769742d726563656976652d7061636b202f782e67697400686f73743d3132372e302e302e313a333830383900")),
            ("ssh-kex", bytes.fromhex(
                "5353482d322e302d4f70656e5353485f392e3270312044656269616e2d322b646562313275360d0a0000061408146ae95d790ab2e534ff"
                "87aeb67412138f00000148736e747275703736317832353531392d7368613531322c736e747275703736317832353531392d7368613531"
                "32406f70656e7373682e636f6d2c637572766532353531392d7368613235362c637572766532353531392d736861323536406c69627373"
                "682e6f72672c656364682d736861322d6e697374703235362c656364682d736861322d")),
            ("ssh-keyscan", bytes.fromhex(
                "5353482d322e302d4f70656e5353482d6b65797363616e0d0a000004340814f2d9a341f31b6dcfe0aa21195c50a17900000120736e7472"
                "75703736317832353531392d7368613531322c736e747275703736317832353531392d736861353132406f70656e7373682e636f6d2c63"
                "7572766532353531392d7368613235362c637572766532353531392d736861323536406c69627373682e6f72672c656364682d73686132"
                "2d6e697374703235362c656364682d736861322d6e697374703338342c656364682d73")),
            ("smtp-starttls", bytes.fromhex(
                "45484c4f206d61696c2e6578616d706c652e636f6d0d0a5354415254544c530d0a1603010124010001200303328f5a965aee8720eee4ec"
                "39961f2e5458117e618ba7ed6bc85b13a4efaa6728200f0fc8a70177d9369a2458258458aa00aff8da9fac06ba325b6dedf3d4de965100"
                "3e130213031301c02cc030009fcca9cca8ccaac02bc02f009ec024c028006bc023c0270067c00ac0140039c009c0130033009d009c003d"
                "003c0035002f00ff01000099000b000403000102000a00160014001d0017001e001900")),
            ("xmpp-openssl", bytes.fromhex(
                "3c73747265616d3a73747265616d20786d6c6e733a73747265616d3d27687474703a2f2f6574686572782e6a61626265722e6f72672f73"
                "747265616d732720786d6c6e733d276a61626265723a636c69656e742720746f3d273132372e302e302e31272076657273696f6e3d2731"
                "2e30273e")),
            ("sieve", bytes.fromhex(
                "5354415254544c530d0a")),
            ("ftp-curl", bytes.fromhex(
                "5553455220616e6f6e796d6f75730d0a5041535320667470406578616d706c652e636f6d0d0a")),
            ("socks4a", bytes.fromhex(
                "040100500000000100782e7465737400")),
            ("smb-curl", bytes.fromhex(
                "0000002fff534d4272000000001841000000000000000000000000000000e51a00000000000c00024e54204c4d20302e313200")),
            ("gdb-14", bytes.fromhex(
                "2b2471537570706f727465643a6d756c746970726f636573732b3b7377627265616b2b3b6877627265616b2b3b7152656c6f63496e736e"
                "2b3b666f726b2d6576656e74732b3b76666f726b2d6576656e74732b3b657865632d6576656e74732b3b76436f6e74537570706f727465"
                "642b3b515468726561644576656e74732b3b6e6f2d726573756d65642b3b6d656d6f72792d74616767696e672b3b786d6c526567697374"
                "6572733d69333836233737")),
            ("redis-auth", bytes.fromhex(
                "2a320d0a24340d0a415554480d0a24360d0a7365637265740d0a")),
            ("valgrind", bytes.fromhex(
                "3d3d383835393d3d204d656d636865636b2c2061206d656d6f7279206572726f72206465746563746f720a3d3d383835393d3d20436f70"
                "7972696768742028432920323030322d323032322c20616e6420474e552047504c27642c206279204a756c69616e205365776172642065"
                "7420616c2e0a3d3d383835393d3d205573696e672056616c6772696e642d332e31392e3020616e64204c69625645583b20726572756e20"
                "77697468202d6820666f7220636f7079726967687420696e666f0a3d3d383835393d3d20436f6d6d616e643a20747275650a3d3d383835"
                "393d3d200a"))):
        other(name, data)
    for name, data in (
            ("psql-gss", bytes.fromhex("0000000804d21630")),
            ("psql-cancel", bytes.fromhex("0000001004d2162e") + bytes(8)),
            ("amqp-1.0", b"AMQP\0\1\0\0"),
            ("amqp-sasl", b"AMQP\3\1\0\0"),
            ("mongodb-msg", bytes.fromhex("2e0000000100000000000000dd0700000000000000") + b"\x19\0\0\0\x10hello\0\1\0\0\0\2$db\0"),
            ("minecraft", bytes.fromhex("1000f9050b") + b"example.org" + bytes.fromhex("63dd02")),
            ("bolt", bytes.fromhex("6060b017000004040000030400000204000000 03")),
            ("cassandra-5", bytes.fromhex("05000000050000 0000")),
            ("hadoop", b"hrpc\x09\0\0"),
            ("hbase", b"HBas\0\x50"),
            ("thrift", bytes.fromhex("000000118001000100000004") + b"ping" + bytes(5)),
            ("rethinkdb", bytes.fromhex("c3bdc234") + b'{"protocol_version":0,"authentication_method":"SCRAM-SHA-256"}\0'),
            ("rpc-nfs", bytes.fromhex("800000281f5e0a6b00000000000000020001 86a3000000030000000000000000000000000000000000000000")),
            ("x11", b"l\0\x0b\0\0\0\0\0\0\0\0\0"),
            ("bgp", b"\xff" * 16 + bytes.fromhex("001d0104fde800b4c633640100")),
            ("tns", bytes.fromhex("003a000001000000013801 2c00000800") + bytes(43)),
            ("diameter", bytes.fromhex("0100 0014 80000101 00000000 00000001 00000001")),
            ("rdp-cookie", bytes.fromhex("03000027 22e00000000000") + b"Cookie: mstshash=u\r\n" + bytes.fromhex("0100080003000000")),
            ("vnc-3.3", b"RFB 003.003\n"),
            ("bitcoin", bytes.fromhex("f9beb4d9") + b"version\0\0\0\0\0" + bytes.fromhex("66000000 358d4932")),
            ("zabbix", b"ZBXD\1\x15\0\0\0\0\0\0\0agent.ping"),
            ("ami", b"Action: Login\r\nUsername: u\r\nSecret: s\r\n\r\n"),
            ("teamspeak", b"login u p\nwhoami\n"),
            ("mpd", b"status\n"),
            ("dc-hub", b"$Supports UserCommand|$Key x|"),
            ("gelf", b'{"version":"1.1","host":"h","short_message":"GET / HTTP/1.1 200"}\0'),
            ("influx", b"cpu,host=a,region=b value=0.64 1434055562000000000\n"),
            ("opentsdb", b"put sys.cpu.user 1356998400 42.5 host=webserver01 cpu=0\n"),
            ("collectd", b"PUTVAL host/cpu-0/cpu-idle interval=10 N:50\n"),
            ("redis-reply", b"+OK\r\n"),
            ("clamd", b"zINSTREAM\0"),
            ("spamd", b"CHECK SPAMC/1.5\r\nUser: u\r\nContent-length: 5\r\n\r\nhello"),
            ("milter", bytes.fromhex("0000000d4f00000006000001ff001fffff")),
            ("sane", bytes.fromhex("00000000010000030000000575736572 00"[:40])),
            ("lpd", b"\2queue\n"),
            ("rexec", b"0\0u\0p\0id\0"),
            ("rlogin", b"\0u\0u\0xterm/38400\0"),
            ("printer-pjl", b"\x1b%-12345X@PJL INFO ID\r\n"),
            ("modbus", bytes.fromhex("000100000006010300000001")),
            ("s7", bytes.fromhex("0300001611e00000000100c0010ac1020100c2020102")),
            ("opcua", b"HELF" + bytes.fromhex("38000000") + bytes(4) + bytes.fromhex("ffff0000ffff0000") + bytes(8) + b"\x18\0\0\0opc.tcp://127.0.0.1:4840/"),
            ("dnp3", bytes.fromhex("0564 05c9 0100 0004 e921")),
            ("socks5-auth", b"\5\1\2"),
            ("jdwp", b"JDWP-Handshake" + bytes.fromhex("0000000b00000001000101")),
            ("rmi", b"JRMI\0\2\x4b"),
            ("t3", b"t3 12.2.1\nAS:255\nHL:19\n\n"),
            ("iiop", b"GIOP\1\2\0\0" + bytes(8)),
            ("ajp", bytes.fromhex("12340001 0a")),
            ("pgpool-pcp", b"R\0\0\0\x0c" + bytes(8)),
            ("erlang", bytes.fromhex("00106e 6e00") + b"a@127.0.0.1x"),
            ("epmd", b"\0\1n"),
            ("freeswitch", b"auth ClueCon\n\n"),
            ("ceph", b"ceph v2\n\x10\0" + bytes(16)),
            ("gluster", bytes.fromhex("80000040 00000001 00000000 00000002") + bytes(32)),
            ("drbd", bytes.fromhex("8374026b 00000000")),
            ("iscsi", bytes.fromhex("43870000 00000080") + bytes(40) + b"InitiatorName=iqn.1993-08.org.debian:01:x\0SessionType=Discovery\0")):
        # no line ends in these, and a letter, or a token and a space, could begin a request of some server's
        other(name, data, "more" if name in ("dc-hub", "hadoop", "iscsi") else "other")


def other_http():
    """What some server reads as a request."""
    evil = b"\r\nHost: evil.com\r\n\r\n"
    for name, line in (
            ("get", b"GET / HTTP/1.1"), ("method-33", b"A" * 33 + b" / HTTP/1.1"), ("method-300", b"A" * 300 + b" / HTTP/1.1"),
            ("method-lower", b"get / HTTP/1.1"), ("method-digits", b"123 / HTTP/1.1"), ("method-odd", b"G(T / HTTP/1.1"),
            ("version-lower", b"GET / http/1.1"), ("version-2", b"GET / HTTP/2.0"), ("version-none", b"GET / HTTP/"),
            ("version-long", b"GET / HTTP/1.10000"), ("tabs", b"GET\t/\tHTTP/1.1"), ("vt", b"GET\x0b/\x0bHTTP/1.1"),
            ("fs", b"GET\x1c/\x1dHTTP/1.1"), ("nbsp", b"GET\xa0/\xa0HTTP/1.1"), ("nel", b"GET\x85/\x85HTTP/1.1"),
            ("spaces", b"GET   /   HTTP/1.1   "), ("space-first", b" GET / HTTP/1.1"), ("crlf-first", b"\r\n\r\nGET / HTTP/1.1"),
            ("lf-first", b"\n\n\nGET / HTTP/1.1"), ("cr-first", b"\rGET / HTTP/1.1"), ("nul", b"GET /\0 HTTP/1.1"),
            ("control", b"GET /\1\2 HTTP/1.1"), ("absolute", b"GET http://evil.com/ HTTP/1.1"), ("connect", b"CONNECT evil.com:443 HTTP/1.1"),
            ("long-target", b"GET /" + b"t" * 9000 + b" HTTP/1.1"), ("words", b"GET / a b HTTP/1.1"), ("behind", b"GET / HTTP/1.1 x"),
            ("high", b"GET /\xe4\xf6 HTTP/1.1"), ("pri", b"PRI * HTTP/1.1"), ("slash", b"GET //HTTP/1.1"),
            ("first-high", b"\x80GET / HTTP/1.1"), ("first-bom", b"\xef\xbb\xbfGET / HTTP/1.1"), ("method-high", b"G\xc3\xa9T / HTTP/1.1")):
        other("http-" + name, line + evil, "http")
    other("http-lf", b"GET / HTTP/1.1\nHost: evil.com\n\n", "http")
    other("http-cr", b"GET / HTTP/1.1\rHost: evil.com\r\r", "http")
    for name, data in (
            ("http09-fields", b"GET /" + evil), ("http09-post", b"POST /x" + evil), ("http09-lf", b"GET /\nHost: evil.com\n\n"),
            ("http09-absolute", b"GET http://evil.com/\r\n"), ("http09-host-second", b"GET /\r\nA: b\r\nhOST : evil.com\r\n\r\n"),
            ("http09-relative", b"GET x" + evil), ("http09-connection", b"GET /\r\nConnection: keep-alive\r\n\r\n"),
            ("http09-nel", b"GET\x85/\nHost: evil.com\n\n"), ("http09-nbsp", b"GET\xa0/" + evil),
            ("rtsp-host", b"GET / RTSP/1.0" + evil), ("rtsp-describe-host", b"DESCRIBE rtsp://evil.com/ RTSP/1.0" + evil),
            ("ice-host", b"SOURCE / ICE/1.0" + evil),
            ("rtsp-connection", b"OPTIONS * RTSP/1.0\r\nConnection: keep-alive\r\n\r\n")):
        other(name, data, "bad", reason="http_malformed")
    for name, data in (("http09", b"GET /\r\n\r\n"), ("ice", b"SOURCE /mount ICE/1.0\r\ncontent-type: audio/mpeg\r\n\r\n"),
                       ("upper-alone", b"GET\r\n\r\n"), ("no-space", b"GET/ x\r\nHost: evil.com\r\n\r\n")):
        other(name, data)
    other("endless-method", b"A" * STREAM_MAX, "bad", reason="http_too_long")
    other("endless-target", (b"GET /" + b"t" * STREAM_MAX)[:STREAM_MAX], "bad", reason="http_too_long")
    other("endless-blank", b"\r\n" * 200, "bad", reason="http_too_long")
    other("endless-json", b'{"a":"' + b"x" * 8000)
    other("endless-base64", noise("base64", 12).hex().encode() + b"/" + b"A" * 8000)


def other_tls():
    base = [sni(HOST)] + BASIC
    one = record(handshake(body(base)))
    other("tls", one, "tls")
    other("tls-alert", record(b"\1\x5a", 21) + one, "tls")
    other("tls-ccs", record(b"\1", 20) + one, "tls")
    other("tls-major-2", record(handshake(body(base)), version=0x0200), "tls")
    other("gdb-later", b"+$qSupported:multiprocess+;swbreak+;hwbreak+;qRelocInsn+;fork-events+;vfork-events+#c9")
    other("tls-major-16", record(handshake(body(base)), version=0x1000), "tls")
    other("tls-alert-major-16", record(b"\1\x5a", 21, version=0x1000) + one, "tls")
    other("tls-major-16-other", b"\x16\x20\0\0\x10\2abcdefgh")
    other("tls-major-16-empty", b"\x16\x20\0\0\0\0\0\0\1")
    other("high-first", b"\xc3\x84rger\r\n")
    other("high-binary", b"\xde\xad\xbe\xef\xfe\xff\0\1")
    other("sslv2", bytes.fromhex("802e0103010015000000100100800300800700c0") + bytes(28))
    other("dtls", bytes.fromhex("16feff0000000000000000") + vec16(handshake(body(base))))


# ---- files -------------------------------------------------------------------------------------


def wanted():
    dns_queries()
    dns_answers()
    tls_clients()
    tls_names()
    tls_body_lengths()
    tls_records()
    http_clients()
    http_lines()
    http_hosts()
    http_bodies()
    other_clients()
    other_more_clients()
    other_http()
    other_tls()
    files = {}
    for name, (data, lines) in VECTORS.items():
        files[name + ".bin"] = data
        files[name + ".expect"] = "".join(line + "\n" for line in lines).encode("ascii")
    return files


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__.strip())
    here = os.path.dirname(os.path.abspath(__file__))
    files = wanted()
    stale = []
    for folder in ("dns", "tls", "http", "other"):
        os.makedirs(os.path.join(here, folder), exist_ok=True)
        for entry in os.listdir(os.path.join(here, folder)):
            path = folder + "/" + entry
            if path.endswith((".bin", ".expect")) and path not in files:
                stale.append(path)
    changed = []
    for path, data in files.items():
        try:
            with open(os.path.join(here, path), "rb") as f:
                if f.read() == data:
                    continue
        except FileNotFoundError:
            pass
        changed.append(path)
        if not check:
            with open(os.path.join(here, path), "wb") as f:
                f.write(data)
    if check:
        for path in sorted(changed) + sorted(stale):
            print("not as generated:", path)
        return 1 if changed or stale else 0
    for path in stale:
        os.unlink(os.path.join(here, path))
    for prefix in ("dns/query-", "dns/answer-", "tls/", "http/", "other/"):
        print("%-12s %d" % (prefix, sum(name.startswith(prefix) for name in VECTORS)))
    print("bytes        %d" % sum(map(len, files.values())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
