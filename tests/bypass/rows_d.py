# SPDX-License-Identifier: GPL-2.0-or-later
"""Section D of THREATS.md: TLS and HTTP.

one.cdn.test, which is allowed, and two.cdn.test, which is not, have one address; so the SYN may arrive, and what
counts is the marker. It is the tail of the hello, or the body of the request, and so arrives only if the whole
message does: pieces before the one that completes a handshake do go out (SECURITY.md). A technique in an ill-formed
message names one.cdn.test where a reader would look first, so that it is the form that is denied.
"""
import ctypes
import mmap
import os
import socket
import ssl
import struct
import subprocess
import time

import hello as h
from hello import OURS, THEIRS, at, get, hello, pieces, post, record, settle, who
from technique import CDN4, CDN6, GOOD4, SLOW, NotHere, resolve, technique


def case(row, name, what, make, port=443, **options):
    """A technique that sends the segments that make(t) returns to an address that both names share."""
    host = options.pop("host", CDN4)

    def function(t):
        pieces(at(t, port, host), *make(t))
    function.__doc__ = what
    options.setdefault("oracle", "marker")
    technique(row, name, **options)(function)


def whole(t, **more):
    """A hello that names who it is not to, and ends with the marker."""
    return hello(who(t), t.marker, **more)


# ---- D1: split over segments

def splits(name, what, cutter):
    case("D1", name, f"a ClientHello in segments: {what}", lambda t: cutter(record(whole(t))))


splits("record-header", "cut within the record header", lambda data: h.cut(data, 3))
splits("after-record-header", "cut behind the record header", lambda data: h.cut(data, 5))
splits("handshake-header", "cut within the handshake header", lambda data: h.cut(data, 7))
splits("random", "cut within the random", lambda data: h.cut(data, 20))
splits("first-byte", "one byte, then the rest", lambda data: h.cut(data, 1))
splits("last-byte", "all but the last byte, then that", lambda data: h.cut(data, -1))
splits("in-name", "cut within the name", lambda data: h.cut(data, data.index(b".cdn.test")))
splits("name-length", "cut within the length of the name", lambda data: h.cut(data, data.index(b".cdn.test") - 4))
splits("extension-header", "cut within the header of an extension",
       lambda data: h.cut(data, data.index(b".cdn.test") - 10))
splits("twenties", "20 bytes each", lambda data: h.every(data, 20))


@technique("D1", "one-byte", oracle="marker", timeout=6)
def one_byte(t):
    """a ClientHello a byte at a time"""
    sock = at(t, 443)
    for byte in record(whole(t)):
        sock.sendall(bytes([byte]))
    settle(sock, 2)


@technique("D1", "maxseg", oracle="marker")
def maxseg(t):
    """a ClientHello in segments that TCP_MAXSEG makes small"""
    resolve(OURS)
    sock = h.unconnected(t)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 88)
    sock.connect((h.CDN4, 443))
    pieces(sock, record(whole(t)))


@technique("D1", "sndbuf", oracle="marker")
def sndbuf(t):
    """a ClientHello from the smallest send buffer"""
    sock = at(t, 443)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    pieces(sock, record(whole(t)))


@technique("D1", "more", oracle="marker")
def msg_more(t):
    """a ClientHello by MSG_MORE, a few bytes a call"""
    sock = at(t, 443)
    parts = h.every(record(whole(t)), 50)
    for part in parts[:-1]:
        sock.send(part, socket.MSG_MORE)
    pieces(sock, parts[-1])


@technique("D1", "cork", oracle="marker")
def cork(t):
    """a ClientHello under TCP_CORK, the last bytes after the cork is pulled"""
    sock = at(t, 443)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    data = record(whole(t))
    sock.sendall(data[:-8])
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
    pieces(sock, data[-8:])


@technique("D1", "iovec", oracle="marker")
def iovec(t):
    """a ClientHello by sendmsg() with a vector of single bytes"""
    sock = at(t, 443)
    sock.sendmsg([bytes([byte]) for byte in record(whole(t))])
    settle(sock)


def piped(data, size=65536):
    ready, out = os.pipe()
    for part in h.every(data, size):
        os.write(out, part)
    return ready


@technique("D1", "splice", oracle="marker", allow=False)
def splice(t):
    """a ClientHello spliced from a pipe, piece by piece"""
    sock = at(t, 443)
    data = record(whole(t))
    ready = piped(data, 40)
    for part in h.every(data, 40):
        os.splice(ready, sock.fileno(), len(part))
    settle(sock)


@technique("D1", "fast-open", oracle="marker")
def fast_open(t):
    """a ClientHello in a SYN (TCP Fast Open), and its rest behind"""
    resolve(OURS)
    data = record(whole(t))
    for _ in range(2):  # the first connection fetches the cookie, the second has data in its SYN
        sock = h.unconnected(t)
        sock.sendto(data[:60], socket.MSG_FASTOPEN, (h.CDN4, 443))
        pieces(sock, data[60:])
        sock.close()


@technique("D1", "fast-open-connect", oracle="marker")
def fast_open_connect(t):
    """a whole ClientHello in a SYN, by TCP_FASTOPEN_CONNECT"""
    resolve(OURS)
    for _ in range(2):
        sock = h.unconnected(t)
        sock.setsockopt(socket.IPPROTO_TCP, 30, 1)
        sock.connect((h.CDN4, 443))
        pieces(sock, record(whole(t)))
        sock.close()


@technique("D1", "urgent", oracle="marker", allow=False)
def urgent(t):
    """a byte of urgent data within the ClientHello"""
    sock = at(t, 443)
    data = record(hello(OURS, t.marker))
    pieces(sock, data[:40])
    sock.send(data[40:41], socket.MSG_OOB)
    pieces(sock, data[41:])


@technique("D1", "urgent-first", oracle="marker", allow=False)
def urgent_first(t):
    """urgent data before the ClientHello"""
    sock = at(t, 443)
    sock.send(b"!", socket.MSG_OOB)
    pieces(sock, record(hello(OURS, t.marker)))


@technique("D1", "half-close", oracle="marker")
def half_close(t):
    """a ClientHello whose end comes with the FIN"""
    sock = at(t, 443)
    data = record(whole(t))
    pieces(sock, data[:-30])
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    sock.send(data[-30:], socket.MSG_MORE)
    sock.shutdown(socket.SHUT_WR)
    settle(sock)


def in_child(function, *arguments):
    pid = os.fork()
    if pid == 0:
        try:
            function(*arguments)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


@technique("D1", "threads", oracle="marker", allow=False)
def two_senders(t):
    """an allowed and a denied ClientHello, their pieces in turns from two processes"""
    sock = at(t, 443)
    ours, theirs = record(hello(OURS, b"x" * 12)), record(hello(THEIRS, t.marker))
    pieces(sock, ours[:50])
    in_child(pieces, sock, theirs[50:])
    settle(sock)


@technique("D1", "reconnect", oracle="marker")
def reconnect(t):
    """a second connection on a socket whose first was allowed"""
    sock = at(t, 443)
    pieces(sock, record(hello(OURS)))
    if ctypes.CDLL(None).connect(sock.fileno(), struct.pack("H14x", socket.AF_UNSPEC), 16):
        raise OSError("connect(AF_UNSPEC)")
    sock.connect((h.CDN4, 443))
    pieces(sock, record(whole(t)))


@technique("D1", "accepted", oracle="marker")
def accepted(t):
    """a connection from a socket that was accepted before"""
    resolve(OURS)
    listener = t.tcp()
    listener.bind(("0.0.0.0", 0))
    listener.listen()
    client = t.tcp()
    client.connect(("127.0.0.1", listener.getsockname()[1]))
    sock, _ = listener.accept()
    sock.settimeout(t.wait)
    if ctypes.CDLL(None).connect(sock.fileno(), struct.pack("H14x", socket.AF_UNSPEC), 16):
        raise OSError("connect(AF_UNSPEC)")
    sock.connect((h.CDN4, 443))
    pieces(sock, record(whole(t)))


@technique("D1", "inherited", oracle="marker")
def inherited(t):
    """a connection that a child process goes on with, after its first segment"""
    sock = at(t, 443)
    data = record(whole(t))
    pieces(sock, data[:30])
    in_child(pieces, sock, data[30:])


@technique("D1", "ktls", oracle="marker")
def ktls(t):
    """a connection given to the kernel's TLS before it has said anything"""
    sock = at(t, 443)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, 31, b"tls")
        # TLS 1.2, AES-GCM-128: from here on the kernel makes records of type 23 of what is sent
        sock.setsockopt(282, 1, struct.pack("=HH", 0x0303, 51) + b"\0" * 36)
    except OSError as error:
        raise NotHere(f"no TLS in this kernel: {error.strerror}")
    sock.sendmsg([b"x" + t.marker])  # ciphered: the marker does not count
    raise NotHere("the kernel's TLS is there: its records are of type 23")


@technique("D1", "v6", oracle="marker")
def v6(t):
    """a ClientHello in two segments over IPv6"""
    pieces(at(t, 443, CDN6), *h.cut(record(whole(t)), 100))


# ---- D2: records

def record_case(name, what, make, allow=True, row="D2"):
    case(row, name, what, make, allow=allow)


record_case("two", "a ClientHello over two records", lambda t: [h.records(whole(t), 200, 400)])
# the name must lie in the first record
record_case("tiny", "a ClientHello over records of one byte", lambda t: [h.records(hello(OURS, t.marker), 1)], allow=False)
record_case("header", "a record that ends within the handshake header", lambda t: [h.records(hello(OURS, t.marker), 2, 999)], allow=False)
record_case("in-name", "a record that ends within the name",
            lambda t: [h.records(hello(OURS, t.marker), hello(OURS, t.marker).index(b"cdn.test"), 999)], allow=False)
record_case("and-segments", "a ClientHello over records of 7 bytes and segments of 50",
            lambda t: h.every(h.records(hello(OURS, t.marker), 7), 50), allow=False)
record_case("segments-across", "each record's header in two segments",
            lambda t: h.every(h.records(whole(t), 150), 152))
record_case("odd-version", "records of versions 3.0 and 3.255",
            lambda t: [record(whole(t)[:150], version=0x0300) + record(whole(t)[150:], version=0x03ff)])
record_case("zero-first", "an empty record, then a ClientHello", lambda t: [record(b"") + record(hello(OURS, t.marker))],
            allow=False)
record_case("zero-between", "an empty record between two pieces",
            lambda t: [record(hello(OURS, t.marker)[:30]) + record(b"") + record(hello(OURS, t.marker)[30:])],
            allow=False)
record_case("zero-segment", "an empty record in a segment of its own",
            lambda t: [record(b""), record(hello(OURS, t.marker))], allow=False)
record_case("ccs-first", "ChangeCipherSpec before the ClientHello",
            lambda t: [record(b"\1", h.CCS) + record(whole(t))])
record_case("ccs-first-segment", "ChangeCipherSpec in a segment before the ClientHello",
            lambda t: [record(b"\1", h.CCS), record(whole(t))])
record_case("alert-first", "a warning before the ClientHello",
            lambda t: [record(b"\1\x5a", h.ALERT) + record(whole(t))])
record_case("data-first", "application data before the ClientHello",
            lambda t: [record(b"x" * 20, h.DATA) + record(hello(OURS, t.marker))], allow=False)
record_case("ccs-between", "ChangeCipherSpec between two pieces of the ClientHello",
            lambda t: [record(hello(OURS, t.marker)[:30]) + record(b"\1", h.CCS) +
                       record(hello(OURS, t.marker)[30:])], allow=False)
record_case("request-first", "HelloRequest before the ClientHello, in one record",
            lambda t: [record(h.message(b"", kind=0) + hello(OURS, t.marker))], allow=False)
record_case("finished-first", "another handshake message before the ClientHello",
            lambda t: [record(h.message(b"\0" * 12, kind=20)) + record(hello(OURS, t.marker))], allow=False)
record_case("unknown-type", "a record of an unknown type", lambda t: [record(hello(OURS, t.marker), 99)], allow=False)
record_case("heartbeat-first", "a heartbeat before the ClientHello",
            lambda t: [record(b"\1\0\0" + b"\0" * 16, 24) + record(hello(OURS, t.marker))], allow=False)
record_case("major-2", "a record of version 2.0", lambda t: [record(whole(t), version=0x0200)])
record_case("long", "a record that says it is longer than 16,384 bytes",
            lambda t: [struct.pack("!BHH", 22, 0x0301, 20000) + hello(OURS, t.marker)], allow=False)
record_case("second-in-record", "a denied ClientHello behind an allowed one, in one record",
            lambda t: [record(hello(OURS) + hello(THEIRS, t.marker))], allow=False)
record_case("second-in-segment", "a denied ClientHello behind an allowed one, in one segment",
            lambda t: [record(hello(OURS)) + record(hello(THEIRS, t.marker))], allow=False)


# ---- D3: size

POST_QUANTUM = b"\x77" * 1184  # an ML-KEM-768 key
record_case("post-quantum", "a ClientHello of over 1,500 bytes, the name behind the key",
            lambda t: [record(whole(t, before=[h.extension(0x6399, POST_QUANTUM)]))], row="D3")
record_case("post-quantum-after", "a ClientHello of over 1,500 bytes, the name before the key",
            lambda t: [record(whole(t, after=[h.extension(0x6399, POST_QUANTUM)]))], row="D3")
record_case("16k", "a ClientHello of 16 KB",
            lambda t: [record(whole(t, before=[h.extension(h.PADDING, b"\0" * 15500)]))], row="D3")
record_case("records-16k", "a ClientHello of 16 KB over records of 1,000 bytes",
            lambda t: [h.records(whole(t, after=[h.extension(h.PADDING, b"\0" * 15500)]), 1000)], row="D3")
record_case("records-16k-name-last", "a ClientHello of 16 KB over records of 1,000 bytes, the name in the last",
            lambda t: [h.records(hello(OURS, t.marker, before=[h.extension(h.PADDING, b"\0" * 15500)]), 1000)], allow=False, row="D3")
record_case("over", "a ClientHello of more than the bound, the name behind it",
            lambda t: [h.records(hello(OURS, t.marker, before=[h.extension(h.PADDING, b"\0" * 17000)]), 16000)],
            allow=False, row="D3")
record_case("over-after", "a ClientHello of more than the bound, the name before it",
            lambda t: [h.records(hello(OURS, t.marker, after=[h.extension(h.PADDING, b"\0" * 17000)]), 16000)],
            allow=False, row="D3")
record_case("over-records", "a ClientHello whose records alone pass the bound",
            lambda t: [h.records(hello(OURS, t.marker, before=[h.extension(h.PADDING, b"\0" * 3000)]), 1)],
            allow=False, row="D3")
record_case("extensions", "100 extensions before the name",
            lambda t: [record(hello(OURS, t.marker, before=[h.extension(0x7000 + i) for i in range(100)]))],
            allow=False, row="D3")
record_case("claims-16m", "a ClientHello that says it has 16 MB",
            lambda t: [record(h.message(hello(OURS, t.marker)[4:], length=0xffffff))], allow=False, row="D3")


# ---- D4: the name

def name_case(name, what, sni, allow=False, **more):
    case("D4", name, f"server name: {what}",
         lambda t: [record(hello(None, t.marker, sni=sni(t) if callable(sni) else sni, **more))], allow=allow)


name_case("upper", "upper case", lambda t: h.server_name(who(t).upper()), allow=True)
name_case("dot", "a trailing dot", lambda t: h.server_name(who(t) + "."), allow=True)
name_case("dots", "two trailing dots", h.server_name("one.cdn.test.."))
name_case("leading-dot", "a leading dot", h.server_name(".one.cdn.test"))
name_case("empty-label", "an empty label", h.server_name("one..cdn.test"))
name_case("nul", "NUL behind the allowed name", h.server_name(b"one.cdn.test\0.evil.test"))
name_case("nul-before", "NUL before the allowed name", h.server_name(b"evil.test\0.one.cdn.test"))
name_case("nul-end", "NUL at the end", h.server_name(b"one.cdn.test\0"))
name_case("percent-nul", "%00 in it", h.server_name("one.cdn.test%00.evil.test"))
name_case("space", "a space at the end", h.server_name("one.cdn.test "))
name_case("newline", "a line feed at the end", h.server_name("one.cdn.test\n"))
name_case("port", "a port behind it", h.server_name("one.cdn.test:443"))
name_case("path", "a path behind it", h.server_name("one.cdn.test/.."))
name_case("user", "user information before it", h.server_name("evil.test@one.cdn.test"))
name_case("v4", "an IPv4 literal", h.server_name("198.18.0.3"))
name_case("v4-hex", "an IPv4 literal in hexadecimal", h.server_name("0xc6120003"))
name_case("v6", "an IPv6 literal", h.server_name("2001:db8:5a11::3"))
name_case("empty", "an empty name", h.server_name(""))
name_case("empty-list", "an empty list", h.extension(0, b"\0\0"))
name_case("empty-extension", "an empty extension, as servers send it", h.extension(0))
name_case("two", "two names in the list, the allowed one first", h.server_name(OURS, THEIRS))
name_case("two-after", "two names in the list, the allowed one second", h.server_name(THEIRS, OURS))
name_case("same-twice", "the allowed name twice in the list", h.server_name(OURS, OURS))
name_case("other-type", "a name of type 1", h.server_name(OURS, kind=1))
name_case("other-type-first", "a name of type 1, then the allowed one",
          h.extension(0, h.p16(b"\1" + h.p16(b"two.cdn.test") + b"\0" + h.p16(b"one.cdn.test"))))
name_case("two-extensions", "two extensions, the allowed one first", h.server_name(OURS) + h.server_name(THEIRS))
name_case("two-extensions-after", "two extensions, the allowed one second", h.server_name(THEIRS) + h.server_name(OURS))
name_case("list-short", "a list that is shorter than its extension", h.extension(0, h.p16(b"\0" + h.p16(b"one.cdn.test")) + b"\0"))
name_case("list-long", "a list that is longer than its extension",
          h.extension(0, struct.pack("!H", 40) + b"\0" + h.p16(b"one.cdn.test")))
name_case("name-short", "a name that is shorter than its list",
          h.extension(0, h.p16(b"\0" + struct.pack("!H", 12) + b"one.cdn.test.evil.test")))
name_case("name-long", "a name that is longer than its list",
          h.extension(0, h.p16(b"\0" + struct.pack("!H", 22) + b"one.cdn.test")))
name_case("below", "a name below the allowed one", h.server_name("two.one.cdn.test"))
name_case("suffix", "the allowed name with more before it", h.server_name("xone.cdn.test"))
name_case("prefix", "the allowed name with more behind it", h.server_name("one.cdn.test.evil.test"))
name_case("as-suffix", "a denied name with the allowed one as its end, without a dot", h.server_name("evil-one.cdn.test"))
name_case("parent", "the parent of the allowed name", h.server_name("cdn.test"))
name_case("wildcard", "an asterisk", h.server_name("*.cdn.test"))
name_case("long-label", "a label of 64 bytes", h.server_name("x" * 64 + ".wild.test"))
name_case("long", "a name of 300 bytes", h.server_name(("x" * 49 + ".") * 6 + "wild.test"))
name_case("labels", "100 labels", h.server_name("a." * 100 + "wild.test"))
name_case("utf-8", "UTF-8 in place of an A-label", h.server_name("bücher.wild.test"))
name_case("dot-utf-8", "an ideographic full stop for a dot", h.server_name("one\u3002cdn.test"))
name_case("wide", "full-width letters, which IDNA maps to the allowed name", h.server_name("ｏｎｅ.cdn.test"))
name_case("kelvin", "a long s, which case folding maps to an s", h.server_name("one.cdn.te\u017ft"))
name_case("backslash", "an escaped dot", h.server_name("one\\.cdn.test"))
name_case("wire-form", "wire form in place of text", h.server_name(b"\3one\3cdn\4test\0"))
name_case("bom", "a byte order mark before it", h.server_name("\ufeffone.cdn.test"))


# ---- D4: parser differences around the name

def shape(name, what, make, allow=False):
    case("D4", name, what, lambda t: [record(make(t))], allow=allow)


shape("second-block", "a second block of extensions behind the first",
      lambda t: h.message(hello(OURS)[4:] + h.p16(h.server_name(THEIRS) + h.extension(0xfafa, t.marker))))
shape("extensions-short", "extensions that end before the hello does",
      lambda t: hello(OURS, t.marker, total=60))
shape("extensions-long", "extensions that go on behind the hello", lambda t: hello(OURS, t.marker, total=2000))
shape("after-psk", "the name behind pre_shared_key",
      lambda t: hello(who(t), t.marker, before=[h.extension(h.PRE_SHARED_KEY, b"\0\6\0\0\0\0\0\0\0\x21\x20" + b"x" * 32)]),
      allow=True)
shape("in-padding", "a denied name within the padding, the lengths shifted by one",
      lambda t: hello(OURS, t.marker, before=[struct.pack("!HH", h.PADDING, 40) + h.server_name(THEIRS)]))
shape("session-33", "a session id of 33 bytes", lambda t: hello(OURS, t.marker, session=b"s" * 33))
shape("session-255", "a session id that hides a name",
      lambda t: hello(OURS, t.marker, session=(h.server_name(THEIRS) + b"\0" * 255)[:255]))
shape("session-empty", "no session id", lambda t: whole(t, session=b""), allow=True)
shape("ciphers-odd", "cipher suites of odd length", lambda t: hello(OURS, t.marker, ciphers=b"\x13\1\x13"))
shape("ciphers-none", "no cipher suites", lambda t: hello(OURS, t.marker, ciphers=b""))
shape("ciphers-name", "an extension block within the cipher suites",
      lambda t: whole(t, ciphers=b"\x13\1\x13\2\0" + b"\0\0" + h.p16(h.server_name(OURS))), allow=True)
shape("compression-none", "no compression methods", lambda t: hello(OURS, t.marker, compression=b""))
shape("compression-many", "200 compression methods with a name among them",
      lambda t: whole(t, compression=b"\0" + h.p16(h.server_name(OURS)) + b"\0" * 150), allow=True)
shape("version-2", "a ClientHello of version 2.0", lambda t: hello(THEIRS, t.marker, version=b"\2\0"))
shape("version-0", "SSL 3.0, denied name", lambda t: hello(THEIRS, t.marker, version=b"\3\0"))
shape("length-short", "a handshake length that ends before the name does",
      lambda t: h.message(hello(OURS, t.marker)[4:], length=100))
shape("truncated", "a hello of a version and a random", lambda t: h.message(b"\3\3" + t.marker + b"\0" * 20))


# ---- D5: no name, other protocols on port 443

case("D5", "no-name", "a ClientHello without a name", lambda t: [record(hello(None, t.marker))], allow=False)
case("D5", "no-extensions", "a ClientHello without extensions",
     lambda t: [record(h.message(b"\3\3" + t.marker + b"\0" * 20 + b"\0\0\2\0\x2f\1\0"))], allow=False)
case("D5", "ssl2", "a ClientHello of SSL 2.0, which has no name",
     lambda t: [b"\x80\x32\1\3\1\0\x0c\0\0\0\x1a\0\0\x2f\0\0\x35\0\0\x0a\0\0\xff" + t.marker + b"\0" * 20], allow=False)
case("D5", "dtls", "a DTLS ClientHello", lambda t: [b"\x16\xfe\xfd" + b"\0" * 8 + h.p16(hello(OURS, t.marker))], allow=False)
for label, what, data in (
        ("http", "HTTP", b"GET / HTTP/1.1\r\nHost: one.cdn.test\r\nX: "), ("ssh", "SSH", b"SSH-2.0-"),
        ("socks4", "SOCKS4", b"\4\1\0\x50\xc6\x12\0\x42"), ("socks5", "SOCKS5", b"\5\1\0"),
        ("connect", "CONNECT", b"CONNECT two.cdn.test:443 HTTP/1.1\r\nHost: one.cdn.test\r\nX: "),
        ("smtp", "STARTTLS of SMTP", b"EHLO x\r\nSTARTTLS\r\n"), ("imap", "STARTTLS of IMAP", b"a STARTTLS\r\n"),
        ("postgres", "the SSLRequest of PostgreSQL", b"\0\0\0\x08\x04\xd2\x16\x2f"),
        ("proxy", "the PROXY protocol", b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n"),
        ("h2", "HTTP/2 without TLS", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), ("zeros", "zeros", b"\0" * 16),
        ("openvpn", "OpenVPN", b"\0\x36\x38"), ("raw", "anything", b"")):
    case("D9", f"{label}-443", f"{what} on port 443", lambda t, data=data: [data + t.marker + b"\r\n\r\n"], allow=False)
case("D9", "blank-443", "an empty line before a ClientHello", lambda t: [b"\r\n" + record(hello(OURS, t.marker))], allow=False)
case("D9", "proxy-hello", "the PROXY protocol before a ClientHello",
     lambda t: [b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n" + record(hello(OURS, t.marker))], allow=False)
case("D9", "tls-80", "TLS on port 80", lambda t: [record(hello(OURS, t.marker))], port=80, allow=False)
case("D9", "tls-8443", "a denied name in a ClientHello on another port", lambda t: [record(whole(t))], port=8443)
case("D9", "tls-8443-pieces", "a denied name in a ClientHello on another port, a cut behind the first byte",
     lambda t: h.cut(record(whole(t)), 1), port=8443)
case("D9", "tls-8443-records", "a denied name in a ClientHello on another port, over records",
     lambda t: [h.records(whole(t), 150)], port=8443)
case("D9", "http-8443", "a denied Host on another port", lambda t: [post(who(t), t.marker)], port=8443)
case("D9", "http-8443-pieces", "a denied Host on another port, a cut behind the first byte",
     lambda t: h.cut(post(who(t), t.marker), 1, -13), port=8443)
case("D9", "http-8443-blank", "a denied Host on another port, behind an empty line",
     lambda t: [b"\r\n" + post(who(t), t.marker)], port=8443, allow=False)
OTHER = ("another protocol on a port other than 80 and 443 is not told from its first bytes, and passes to an address "
         "that the policy allows")
case("D9", "connect-8443", "CONNECT on another port", lambda t: [b"CONNECT two.cdn.test:443 HTTP/1.1\r\n\r\n" + t.marker],
     port=8443, allow=False)
case("D9", "connect-ip-8443", "CONNECT to an address, on another port",
     lambda t: [b"CONNECT 198.18.0.66:443 HTTP/1.1\r\n\r\n" + t.marker], port=8443, allow=False)
case("D9", "connect-host-8443", "CONNECT with an allowed Host, on another port",
     lambda t: [b"CONNECT two.cdn.test:443 HTTP/1.1\r\nHost: one.cdn.test:443\r\n\r\n" + t.marker], port=8443, allow=False)
case("D9", "connect-early-8443", "CONNECT to an allowed name, and more before the proxy has answered",
     lambda t: [b"CONNECT one.cdn.test:443 HTTP/1.1\r\n\r\n\x16\3\1" + t.marker], port=8443, allow=False)
case("D9", "socks-8443", "SOCKS5 on another port", lambda t: [b"\5\1\0" + t.marker], port=8443, stated=OTHER)
case("D9", "h2-8443", "HTTP/2 without TLS on another port", lambda t: [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + t.marker],
     port=8443, stated=OTHER)
case("D9", "starttls", "STARTTLS and then a denied name, on another port",
     lambda t: [b"STARTTLS\r\n" + record(whole(t))], port=8443, stated=OTHER)
case("D9", "space-8443", "a space before a request with a denied Host, on another port (Python's server skips it)",
     lambda t: [b" " + post(THEIRS, t.marker)], port=8443, allow=False)


# ---- D14: what a lenient server reads

def lenient_hello(name, what, make):
    """A hello that a server may read: on a port that promises nothing, and on 443 where the policy says "verify"."""
    case("D14", f"{name}-8443", f"{what}, on another port", make, port=8443)
    case("D14", f"{name}-verify", f"{what}, under \"sni\": \"verify\"", make, policy="verify")


ALERT = record(b"\1\x5a", h.ALERT)
lenient_hello("alert", "a warning before the ClientHello (Go, OpenSSL)", lambda t: [ALERT + record(whole(t))])
lenient_hello("alert-segment", "a warning in a segment before the ClientHello", lambda t: [ALERT, record(whole(t))])
lenient_hello("alert-cut", "a warning, cut, before the ClientHello", lambda t: h.cut(ALERT + record(whole(t)), 1, 4, 6, 9))
lenient_hello("alerts", "30 warnings before the ClientHello", lambda t: [ALERT * 30 + record(whole(t))])
lenient_hello("alert-long", "a warning of 40 bytes (GnuTLS reads two)",
              lambda t: [record(b"\1\x5a" + b"x" * 38, h.ALERT) + record(whole(t))])
lenient_hello("alert-records", "a warning, and the ClientHello over records", lambda t: [ALERT + h.records(whole(t), 150)])
lenient_hello("ccs", "ChangeCipherSpec before the ClientHello", lambda t: [record(b"\1", h.CCS) + record(whole(t))])
for major in (0, 2, 4, 15, 16, 255):
    lenient_hello(f"major-{major}", f"a record of version {major}.1 (Go, JSSE)",
                  lambda t, major=major: [record(whole(t), version=major << 8 | 1)])
lenient_hello("alert-major-16", "a warning of version 16.0 before the ClientHello (JSSE)",
              lambda t: [record(b"\1\x5a", h.ALERT, version=0x1000) + record(whole(t))])
lenient_hello("unfinished", "a ClientHello without its last bytes (HAProxy does not wait for them)",
              lambda t: [record(hello(who(t), before=[h.extension(0xfafa, t.marker)]))[:-4]])
lenient_hello("unfinished-records", "the same over records",
              lambda t: [h.records(hello(who(t), before=[h.extension(0xfafa, t.marker)]), 150)[:-4]])


def two_readings(t):
    """The name of the one who joins records is allowed; who does not (HAProxy) reads another, across their headers."""
    inside = h.extension(0xfafb, bytes(60))
    data = hello(OURS, t.marker, before=[h.extension(0xfafa, bytes(5))], after=[inside])
    at_name = data.index(h.server_name(OURS))
    trap = h.server_name(THEIRS)
    # the first record ends in the extension before the name, whose length counts the header for whoever reads on
    data = data.replace(bytes(60), trap + bytes(60 - len(trap)))
    return [record(data[:at_name - 5]) + record(data[at_name - 5:])]


for ports in ({"port": 8443}, {"policy": "verify"}, {}):
    case("D14", "two-readings" + "".join(f"-{value}" for value in ports.values()),
         "a ClientHello over records whose name is not in the first (HAProxy does not join them)", two_readings, allow=False, **ports)
case("D14", "alert-v6", "a warning before the ClientHello, over IPv6, on another port",
     lambda t: [ALERT + record(whole(t))], port=8443, host=CDN6)
case("D14", "http-verify", "HTTP on port 443, under \"sni\": \"verify\"", lambda t: [post(who(t), t.marker)], policy="verify")


def lenient_head(name, what, make):
    """A head that some server reads; its pair is a request that all do."""
    def segments(t):
        return [post(OURS, t.marker)] if t.allowed else make(t)
    case("D14", f"http-{name}", f"HTTP on another port: {what}", segments, port=8443)


def headed(text, end="\r\n"):
    return lambda t: [f"{text}{end}Host: {THEIRS}{end}X: ".encode("latin-1") + t.marker + (end * 2).encode()]


for label, what, text in (
        ("method-33", "a method of 33 bytes", "A" * 33 + " / HTTP/1.1"), ("method-2000", "a method of 2,000 bytes", "A" * 2000 + " / HTTP/1.1"),
        ("method-digits", "a method of digits", "123 / HTTP/1.1"), ("method-odd", "a method that is no token", "G(T / HTTP/1.1"),
        ("lower", "http/1.1", "GET / http/1.1"), ("tabs", "tabs for spaces", "GET\t/\tHTTP/1.1"),
        ("nbsp", "spaces of Latin-1 (Python)", "GET\xa0/\xa0HTTP/1.1"), ("vt", "vertical tabs (Python)", "GET\x0b/\x0bHTTP/1.1"),
        ("spaces", "spaces around the words", "  GET  /  HTTP/1.1  "), ("crlf", "empty lines first", "\r\n\r\nGET / HTTP/1.1"),
        ("lf-first", "line feeds first", "\n\nGET / HTTP/1.1"), ("09", "no version, and fields (Python, Node)", "GET /"),
        ("09-post", "no version, and another method", "POST /"), ("rtsp", "RTSP/1.0 (Node)", "GET / RTSP/1.0"),
        ("ice", "ICE/1.0 (Node)", "SOURCE / ICE/1.0"), ("2", "HTTP/2.0 as text", "GET / HTTP/2.0"),
        ("nul", "NUL in the path (Python)", "GET /\0 HTTP/1.1"), ("words", "more words (Python)", "GET / a b HTTP/1.1"),
        ("long", "a target of 8,000 bytes", "GET /" + "t" * 8000 + " HTTP/1.1"),
        ("too-long", "a target of 40,000 bytes (Go)", "GET /" + "t" * 40000 + " HTTP/1.1"),
        ("absolute", "absolute-form", f"GET http://{THEIRS}/ HTTP/1.1"), ("absolute-09", "absolute-form without version (nginx)", f"GET http://{THEIRS}/"),
        ("high", "a method of bytes over 127 (Apache, if told so)", "\x80GET / HTTP/1.1"), ("bom", "behind a byte order mark", "\xef\xbb\xbfGET / HTTP/1.1"),
        ("proxied-unknown", "behind a header of the PROXY protocol of 400 bytes (nginx)", "PROXY UNKNOWN " + "x" * 400 + "\r\nGET / HTTP/1.1"),
        ("proxied-lf", "behind one with a LF in it (nginx)", "PROXY UNKNOWN\nx y\r\nGET / HTTP/1.1"),
        ("proxied", "behind a header of the PROXY protocol", "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\nGET / HTTP/1.1")):
    lenient_head(label, what, headed(text))
lenient_head("lf", "lines that end with LF alone", headed("GET / HTTP/1.1", "\n"))
lenient_head("09-lf", "the same without version", headed("GET /", "\n"))
lenient_head("pieces", "a method of 33 bytes, a byte at a time", lambda t: h.every(headed("A" * 33 + " / HTTP/1.1")(t)[0][:60], 1) +
             [headed("A" * 33 + " / HTTP/1.1")(t)[0][60:]])
lenient_head("proxied-2", "behind a header of version 2 of the PROXY protocol",
             lambda t: [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + b"\1" * 12 + post(THEIRS, t.marker)])
lenient_head("proxied-segment", "behind a header of the PROXY protocol in a segment of its own",
             lambda t: [b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n", post(THEIRS, t.marker)])
case("D14", "proxied-hello", "a ClientHello behind a header of the PROXY protocol",
     lambda t: [b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n" + record(whole(t))], port=8443)
case("D14", "proxied-hello-cut", "the same, cut", lambda t: h.cut(b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n" + record(whole(t)), 10, 60),
     port=8443)


# ---- D6, D7, D8

@technique("D6", "evil-address")
def evil_address(t):
    """an allowed server name to an address that was not learned"""
    resolve("good.test")
    pieces(t.connect(), record(hello("good.test", t.marker)))


@technique("D6", "other-address", oracle="marker", allow=False)
def other_address(t):
    """an allowed server name to an address that was learned for another"""
    resolve(OURS)
    resolve("good.test")
    pieces(at(t, 443, GOOD4), record(hello(OURS, t.marker)))


@technique("D6", "never-asked", oracle="marker", allow=False)
def never_asked(t):
    """a server name that the policy allows and that was never looked up, to a learned address"""
    resolve("good.test")
    pieces(at(t, 443, GOOD4), record(hello(f"{t.marker.decode()}.wild.test", t.marker)))


@technique("D6", "other-address-http", oracle="marker", allow=False)
def other_address_http(t):
    """an allowed Host to an address that was learned for another"""
    resolve("good.test")
    pieces(at(t, 80, GOOD4), post(OURS, t.marker))


@technique("D7", "inside", oracle="word", allow=False,
           stated="the Host inside TLS cannot be seen: fronting within what an allowed address serves")
def inside(t):
    """another Host inside TLS than its server name"""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    sock = context.wrap_socket(at(t, 443), server_hostname=OURS)
    sock.sendall(get(THEIRS))
    answer = b""
    while b"asked for" not in answer:
        data = sock.recv(4096)
        if not data:
            return False
        answer += data
    return THEIRS.encode() in answer


@technique("D7", "header", oracle="marker", allow=False,
           stated="what a server makes of the other fields of a request for an allowed host is its own affair")
def other_header(t):
    """HTTP: X-Forwarded-Host, which some servers go by"""
    pieces(at(t, 80), get(OURS, f"X-Forwarded-Host: {THEIRS}\r\nX: {t.marker.decode()}\r\n"))


GREASE_ECH = h.extension(h.ECH, b"\0\0\1\0\1\x2a\0\x20" + b"e" * 32 + h.p16(b"p" * 144))
case("D8", "outer", "a denied outer name on an encrypted hello", lambda t: [record(whole(t, after=[GREASE_ECH]))])
case("D8", "inner", "an inner name under an allowed outer one", lambda t: [record(hello(OURS, t.marker, after=[GREASE_ECH]))],
     allow=False, stated="what is inside an encrypted hello cannot be seen; the policy may deny such hellos")
case("D8", "denied", "an encrypted hello, in a policy that denies those",
     lambda t: [record(hello(OURS, t.marker, after=[] if t.allowed else [GREASE_ECH]))], policy="ech-deny")
case("D8", "denied-before", "an encrypted hello, its extension before the name, over records",
     lambda t: [h.records(hello(OURS, t.marker, before=[] if t.allowed else [GREASE_ECH]), 400)], policy="ech-deny")
case("D8", "verify", "a denied name where hellos without one pass", lambda t: [record(whole(t))], policy="ech-deny")
case("D8", "verify-pieces", "the same in two segments", lambda t: h.cut(record(whole(t)), -1), policy="ech-deny")


# ---- D9: a second hello

HRR_RANDOM = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")


def server_hellos(sock):
    """The randoms of the ServerHellos that come."""
    data = b""
    while True:
        while len(data) >= 5 and len(data) >= 5 + (size := struct.unpack_from("!H", data, 3)[0]):
            if data[0] == h.ALERT:
                raise OSError(f"alert {data[6]}")
            if data[0] == h.HANDSHAKE and data[5] == 2:
                yield data[11:43]
            data = data[5 + size:]
        more = sock.recv(16384)
        if not more:
            raise ConnectionError("closed")
        data += more


def retry(name, what, first, second=lambda t: [], allow=True):
    """Two hellos; the marker goes behind the server's answer to the second, so that has been read."""
    def function(t):
        sock = at(t, 443)
        for part in first(t):
            sock.sendall(part)  # without waiting
        answers = server_hellos(sock)
        if next(answers) != HRR_RANDOM:
            raise OSError("the server did not ask for a second hello")
        pieces(sock, *second(t))
        if next(answers) == HRR_RANDOM:
            raise OSError("the server asked again")
        pieces(sock, record(t.marker + b"x" * 20, h.DATA))
    function.__doc__ = f"second hello with another name: {what}"
    technique("D9", name, oracle="marker", allow=allow)(function)


def one(after=()):
    """A hello without a key share: a real server then asks for another."""
    return record(hello(OURS, share=False, after=after))


def two(t, **more):
    return record(hello(who(t), **more))


EARLY = [h.extension(h.EARLY_DATA)]
WARNING = record(b"\1\x5a", h.ALERT)  # user_canceled, which TLS 1.3 passes over
SPEC = record(b"\1", h.CCS, 0x0303)
retry("retry", "after HelloRetryRequest", lambda t: [one()], lambda t: [two(t)])
retry("retry-ccs", "behind ChangeCipherSpec", lambda t: [one()], lambda t: [SPEC + two(t)])
retry("retry-ccs-segment", "ChangeCipherSpec in a segment before it", lambda t: [one()], lambda t: [SPEC, two(t)])
retry("retry-ccs-cut", "behind a ChangeCipherSpec in two segments", lambda t: [one()],
      lambda t: [SPEC[:3], SPEC[3:] + two(t)], allow=False)
retry("retry-ccs-twice", "behind two ChangeCipherSpecs", lambda t: [one()], lambda t: [SPEC + SPEC + two(t)], allow=False)
retry("retry-ccs-cut-behind", "a ChangeCipherSpec and the first bytes of it in one segment", lambda t: [one()],
      lambda t: h.cut(SPEC + two(t), 8))
retry("retry-pieces", "in segments of 40 bytes", lambda t: [one()], lambda t: h.every(two(t), 40))
retry("retry-one", "its first byte, then the rest", lambda t: [one()], lambda t: h.cut(two(t), 1))
retry("retry-records", "over records", lambda t: [one()], lambda t: [h.records(hello(who(t)), 150)])
retry("retry-warning", "behind a warning", lambda t: [one()], lambda t: [WARNING + two(t)], allow=False)
retry("retry-warning-segment", "a warning in a segment before it", lambda t: [one()], lambda t: [WARNING, two(t)],
      allow=False)
retry("early", "in the next segment, before the server has answered", lambda t: [one(), two(t)], allow=False)
retry("early-segment", "in the segment of the first", lambda t: [one() + two(t)], allow=False)
retry("early-ccs", "behind ChangeCipherSpec, before the server has answered", lambda t: [one() + SPEC + two(t)],
      allow=False)
retry("early-pieces", "its first bytes in the segment of the first", lambda t: h.cut(one() + two(t), len(one()) + 2),
      allow=False)
retry("early-data", "behind early data that the server passes over", lambda t: [one(after=EARLY)],
      lambda t: [record(b"x" * 40, h.DATA) + two(t)], allow=False)
retry("early-data-segment", "early data in a segment before it", lambda t: [one(after=EARLY)],
      lambda t: [record(b"x" * 40, h.DATA), two(t)], allow=False)
retry("early-data-first", "behind early data in the segment of the first",
      lambda t: [one(after=EARLY) + record(b"x" * 40, h.DATA) + two(t)], allow=False)
retry("early-data-next", "behind early data, before the server has answered",
      lambda t: [one(after=EARLY), record(b"x" * 40, h.DATA) + two(t)], allow=False)
retry("retry-share", "without a retry asked for: a first hello with a key, early data, and another hello",
      lambda t: [record(hello(OURS, share=False, after=EARLY), ), SPEC, two(t)], allow=False)


# ---- D10, D11: other bytes than were judged

DROP_FIRST = """
import socket, struct, sys, time
from ctypes import addressof, create_string_buffer
# A listener whose connections lose segments with payload, by a socket filter, until the client has changed them.
# The filter sees the packet from its TCP header on: what is longer than header and options is dropped.
ready, port, slow = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("198.18.0.3", port))
listener.listen(4)
code = [(0x80, 0, 0, 0), (0x25, 0, 1, 80), (0x06, 0, 0, 0), (0x06, 0, 0, 0xffff)]
filters = create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
program = struct.pack("HL", len(code), addressof(filters))
listener.setsockopt(socket.SOL_SOCKET, 26, program)
open(ready, "w").close()
while True:
    sock, _ = listener.accept()
    sock.settimeout(0.15 * slow)
    time.sleep(0.15 * slow)
    sock.setsockopt(socket.SOL_SOCKET, 27, 0)
    try:
        while sock.recv(65536):
            pass
    except OSError:
        pass
    sock.close()
"""
BESIDE = 24000  # and the attempt's index: the port of a server of its own


def server(script):
    """A server in the lab, of Python text that is given READY-FILE PORT SLOW."""
    def beside(harness, t):
        ready = f"{t.directory}/beside-{t.item.index}.ready"
        process = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{harness.server}", "/usr/bin/python3", "-c", script, ready,
             str(BESIDE + t.item.index), str(SLOW)], start_new_session=True)
        end = time.monotonic() + 10 * SLOW
        while not os.path.exists(ready) and process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        yield
        process.kill()
        process.wait()
        if os.path.exists(ready):
            os.unlink(ready)
    return beside


lossy = server(DROP_FIRST)


def changed(t, before, after, send):
    """Sends a page that says `before`, and makes it say `after` while the server has not got it."""
    memory = os.memfd_create("page")
    os.write(memory, before)
    page = mmap.mmap(memory, len(before))
    sock = at(t, BESIDE + t.item.index)
    send(sock, memory, page, len(before))
    time.sleep(0.02)
    page[:] = after
    settle(sock, 2)


def by_sendfile(sock, memory, page, length):
    os.sendfile(sock.fileno(), memory, 0, length)


def by_splice(sock, memory, page, length):
    ready, out = os.pipe()
    os.splice(memory, out, length, offset_src=0)
    os.splice(ready, sock.fileno(), length)


def by_vmsplice(sock, memory, page, length):
    """The page itself, as a gift."""
    ready, out = os.pipe()
    address = (ctypes.c_char * length).from_buffer(page)
    vector = struct.pack("PN", ctypes.addressof(address), length)
    if ctypes.CDLL(None, use_errno=True).vmsplice(out, vector, 1, 8) != length:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    os.splice(ready, sock.fileno(), length)


def by_send(sock, memory, page, length):
    sock.sendall(page[:])


def by_zerocopy(sock, memory, page, length):
    sock.setsockopt(socket.SOL_SOCKET, 60, 1)  # SO_ZEROCOPY
    sock.sendmsg([page], [], 0x4000000)


for label, what, send in (("sendfile", "sendfile()", by_sendfile), ("splice", "splice() from a file", by_splice),
                          ("vmsplice", "vmsplice() and splice()", by_vmsplice)):
    def tls_page(t, send=send):
        before, after = record(hello(OURS, b"x" * 12)), record(hello(THEIRS, t.marker))
        changed(t, before, after, send)

    def http_page(t, send=send):
        before, after = post(OURS, b"x" * 12), post(THEIRS, t.marker)
        changed(t, before, after, send)
    tls_page.__doc__ = f"a ClientHello sent by {what}, its page changed before it is sent again"
    http_page.__doc__ = f"a request sent by {what}, its page changed before it is sent again"
    technique("D10", f"tls-{label}", oracle="marker", allow=False, beside=lossy, timeout=6)(tls_page)
    technique("D10", f"http-{label}", oracle="marker", allow=False, beside=lossy, timeout=6)(http_page)


@technique("D10", "zerocopy", oracle="marker", allow=False, beside=lossy, timeout=6)
def zerocopy(t):
    """a request sent by MSG_ZEROCOPY, its page changed before it is sent again"""
    changed(t, post(OURS, b"x" * 12), post(THEIRS, t.marker), by_zerocopy)


@technique("D10", "zerocopy-flag", oracle="word", allow=False)
def zerocopy_flag(t):
    """SO_ZEROCOPY can be set"""
    t.tcp().setsockopt(socket.SOL_SOCKET, 60, 1)
    return True


def low(name, what, level, option, value, row="D11"):
    def function(t):
        resolve(OURS)
        v6 = level == socket.IPPROTO_IPV6
        sock = h.unconnected(t, socket.AF_INET6 if v6 else socket.AF_INET)
        sock.setsockopt(level, option, value)
        sock.connect((CDN6 if v6 else h.CDN4, 443))
        pieces(sock, record(hello(OURS, t.marker)))
    function.__doc__ = what
    technique(row, name, oracle="marker", allow=False)(function)


low("ttl", "a ClientHello with TTL 1", socket.IPPROTO_IP, socket.IP_TTL, 1)
low("ttl-byte", "a ClientHello with TTL 1, given as one byte", socket.IPPROTO_IP, socket.IP_TTL, b"\1")
low("ttl-31", "a ClientHello with TTL 31", socket.IPPROTO_IP, socket.IP_TTL, 31)
low("hops", "a ClientHello with hop limit 1", socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 1)


@technique("D11", "ttl-later", oracle="marker", allow=False)
def ttl_later(t):
    """a connection, then TTL 1, then a ClientHello"""
    sock = at(t, 443)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
    pieces(sock, record(hello(OURS, t.marker)))


@technique("D11", "ttl-between", oracle="marker", allow=False)
def ttl_between(t):
    """an allowed ClientHello's first half with TTL 1, then the same bytes of a denied one"""
    sock = at(t, 443)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
    pieces(sock, record(hello(OURS))[:60])
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 64)
    pieces(sock, record(whole(t)))


@technique("D11", "route", oracle="marker", allow=False)
def ttl_route(t):
    """a ClientHello whose TTL a route gives (RTAX_HOPLIMIT needs CAP_NET_ADMIN)"""
    resolve(OURS)
    subprocess.run(["ip", "route", "add", "198.18.0.3/32", "dev", "eth0", "hoplimit", "1"], check=True,
                   stderr=subprocess.DEVNULL)
    try:
        pieces(at(t, 443), record(hello(OURS, t.marker)))
    finally:
        subprocess.run(["ip", "route", "del", "198.18.0.3/32", "dev", "eth0"], check=False)


# ---- D12: HTTP

def http(name, what, make, port=80, row="D12", **options):
    case(row, name, f"HTTP: {what}", make, port=port, **options)


def bad(name, what, make, **options):
    """A form that is not passed whatever the name."""
    http(name, what, lambda t: [data if isinstance(data := make(t), bytes) else data.encode()], allow=False, **options)


def request(line="POST / HTTP/1.1", fields="", marker=b""):
    return (f"{line}\r\n{fields}Content-Length: {len(marker)}\r\n\r\n").encode() + marker


http("name", "the Host of somebody else at an allowed address", lambda t: [post(who(t), t.marker)])
http("upper", "the same in upper case", lambda t: [post(who(t).upper(), t.marker)])
http("dot", "the same with a trailing dot", lambda t: [post(who(t) + ".", t.marker)])
http("port", "the same with a port", lambda t: [post(who(t) + ":80", t.marker)])
http("field-case", "the same as hOST", lambda t: [post(who(t), t.marker).replace(b"Host", b"hOST")])
http("tabs", "the same between tabs", lambda t: [post(f"\t {who(t)}\t ", t.marker)])
http("last", "the same behind 90 other fields",
     lambda t: [post(who(t), t.marker).replace(b"Host", b"".join(b"X-%d: x\r\n" % i for i in range(90)) + b"Host")])
http("big", "the same behind a field of 15 KB",
     lambda t: [post(who(t), t.marker).replace(b"Host", b"X: " + b"x" * 15000 + b"\r\nHost")])
http("one-byte", "the same a byte at a time", lambda t: h.every(post(who(t), t.marker)[:-12], 1) + [t.marker], timeout=8)
http("first-byte", "the same, cut behind the first byte", lambda t: h.cut(post(who(t), t.marker), 1))
http("in-name", "the same, cut within the name", lambda t: h.cut(post(who(t), t.marker), 25, -13))
http("last-byte", "the same, cut before the last line feed", lambda t: h.cut(post(who(t), t.marker), -13))
http("in-line-end", "the same, cut between each CR and LF",
     lambda t: h.cut(post(who(t), t.marker), 16, 36, -14, -13))
http("absolute", "absolute-form with the same Host",
     lambda t: [post(who(t), t.marker).replace(b"POST /", f"POST http://{who(t)}/".encode())])
http("http10", "HTTP/1.0", lambda t: [post(who(t), t.marker).replace(b"1.1", b"1.0")])
http("options", "OPTIONS *", lambda t: [post(who(t), t.marker).replace(b"POST /", b"OPTIONS *")])
http("odd-method", "a method of its own", lambda t: [post(who(t), t.marker).replace(b"POST", b"M-SEARCH")])
http("trace", "TRACE", lambda t: [post(who(t), t.marker).replace(b"POST", b"TRACE")])
http("expect", "Expect: 100-continue", lambda t: [post(who(t), t.marker, "Expect: 100-continue\r\n")])
http("query", "a name in the path and the query", lambda t: [post(who(t), t.marker).replace(b"POST /", b"POST //two.cdn.test/?http://two.cdn.test/")])
http("two-cookies", "other fields twice", lambda t: [post(who(t), t.marker, "X: 1\r\nX: 2\r\n")])

bad("absent", "no Host", lambda t: request(marker=t.marker))
bad("absent-10", "no Host, HTTP/1.0", lambda t: request("POST / HTTP/1.0", marker=t.marker))
bad("empty", "an empty Host", lambda t: request(fields="Host:\r\n", marker=t.marker))
bad("blank", "a Host of blanks", lambda t: request(fields="Host: \t \r\n", marker=t.marker))
bad("twice", "two Hosts, the allowed one first", lambda t: request(fields=f"Host: {OURS}\r\nHost: {THEIRS}\r\n", marker=t.marker))
bad("twice-after", "two Hosts, the allowed one second",
    lambda t: request(fields=f"Host: {THEIRS}\r\nHost: {OURS}\r\n", marker=t.marker))
bad("twice-same", "the allowed Host twice", lambda t: request(fields=f"Host: {OURS}\r\nhost: {OURS}\r\n", marker=t.marker))
bad("twice-far", "two Hosts, 60 fields between them",
    lambda t: request(fields=f"Host: {OURS}\r\n" + "X: x\r\n" * 60 + f"Host: {THEIRS}\r\n", marker=t.marker))
bad("empty-and", "an empty Host, then the allowed one", lambda t: request(fields=f"Host:\r\nHost: {OURS}\r\n", marker=t.marker))
for label, what, value in (
        ("comma", "a list", f"{OURS}, {THEIRS}"), ("user", "user information", f"{THEIRS}@{OURS}"),
        ("user-after", "the allowed name as user information", f"{OURS}@{THEIRS}"), ("path", "a path", f"{OURS}/x"),
        ("hash", "a fragment", f"{OURS}#{THEIRS}"), ("backslash", "a backslash", f"{OURS}\\{THEIRS}"),
        ("space", "a space in it", f"{OURS} {THEIRS}"), ("tab", "a tab in it", f"{OURS}\t{THEIRS}"),
        ("nul", "NUL in it", f"{OURS}\0.{THEIRS}"), ("delete", "a control character", f"{OURS}\x7f{THEIRS}"),
        ("port-text", "a port that is none", f"{OURS}:{THEIRS}"), ("port-big", "port 65536", f"{OURS}:65536"),
        ("port-two", "two ports", f"{OURS}:80:80"), ("v4", "an IPv4 literal", "198.18.0.3"),
        ("v4-dot", "an IPv4 literal with a dot", "198.18.0.3."), ("v4-hex", "an IPv4 literal in hexadecimal", "0xc6.0x12.0.3"),
        ("v6", "an IPv6 literal", "[2001:db8:5a11::3]"), ("v6-name", "an allowed name behind an IPv6 literal", "[::1].wild.test"),
        ("quotes", "quotes", f'"{OURS}"'), ("scheme", "a scheme", f"http://{OURS}"),
        ("percent", "a percent sign", "one%2ecdn.test"), ("dots", "two trailing dots", f"{OURS}.."),
        ("below", "a name below the allowed one", f"two.{OURS}"), ("before", "more before the allowed one", f"x{OURS}"),
        ("behind", "more behind the allowed one", f"{OURS}.evil.test"), ("long", "300 bytes", "x." * 150 + OURS)):
    bad(f"host-{label}", f"Host: {what}", lambda t, value=value: post(value, t.marker))
bad("utf-8", "Host: UTF-8", lambda t: post("bücher.wild.test", t.marker))
for label, what, make in (
        ("fold", "folded", lambda: f"Host:\r\n {OURS}\r\n"),
        ("fold-more", "folded, with more behind", lambda: f"Host: {OURS}\r\n .evil.test\r\n"),
        ("fold-first", "white space before the first field", lambda: f" Host: {THEIRS}\r\nHost: {OURS}\r\n"),
        ("space-colon", "a space before the colon", lambda: f"Host : {THEIRS}\r\nHost: {OURS}\r\n"),
        ("tab-colon", "a tab before the colon", lambda: f"Host: {OURS}\r\nHost\t: {THEIRS}\r\n"),
        ("no-colon", "a line without a colon", lambda: f"Host: {OURS}\r\nx\r\n"),
        ("no-name", "a field without a name", lambda: f"Host: {OURS}\r\n: x\r\n"),
        ("bare-lf", "lines that end with LF alone", lambda: f"Host: {OURS}\nHost: {THEIRS}\r\n"),
        ("bare-cr", "a CR within a line", lambda: f"Host: {OURS}\r\nX: x\rHost: {THEIRS}\r\n"),
        ("crcrlf", "CR CR LF", lambda: f"Host: {OURS}\r\r\nHost: {THEIRS}\r\n"),
        ("nul-name", "NUL in a field name", lambda: f"Host: {OURS}\r\nHo\0st: {THEIRS}\r\n"),
        ("quoted-name", "a field name in parentheses", lambda: f"Host: {OURS}\r\n(Host): {THEIRS}\r\n"),
        ("chunked", "chunked, and a length", lambda: f"Host: {OURS}\r\nTransfer-Encoding: chunked\r\n"),
        ("chunked-list", "a list of transfer codings", lambda: f"Host: {OURS}\r\nTRANSFER-ENCODING: x, chunked\r\n"),
        ("length-twice", "two lengths", lambda: f"Host: {OURS}\r\nContent-Length: 5\r\n"),
        ("length-same", "the same length twice", lambda: f"Host: {OURS}\r\nContent-Length: 12\r\n"),
        ("many", "more fields than the bound", lambda: f"Host: {OURS}\r\n" + "X: x\r\n" * 100)):
    bad(f"field-{label}", f"fields: {what}", lambda t, make=make: request(fields=make(), marker=t.marker))
for label, what, value in (
        ("negative", "negative", "-12"), ("plus", "with a sign", "+12"), ("hex", "in hexadecimal", "0xc"),
        ("list", "a list", "12, 12"), ("empty", "empty", ""), ("space", "with a space in it", "1 2"),
        ("float", "with a point", "12.0"), ("under", "with an underscore, which Python reads", "1_2"),
        ("53", "2^53 and 1", str(2 ** 53 + 1)), ("64", "2^64 and 12", str(2 ** 64 + 12)),
        ("zeros", "with 20 zeros before it", "0" * 20 + "12")):
    bad(f"length-{label}", f"a length {what}",
        lambda t, value=value: f"POST / HTTP/1.1\r\nHost: {OURS}\r\nContent-Length: {value}\r\n\r\n".encode() + t.marker)
for label, what, line in (
        ("spaces", "two spaces", "POST  / HTTP/1.1"), ("space-after", "a space at its end", "POST / HTTP/1.1 "),
        ("tab", "a tab for a space", "POST\t/ HTTP/1.1"), ("path-space", "a space in the path", "POST /a b HTTP/1.1"),
        ("leading", "a leading space", " POST / HTTP/1.1"), ("09", "HTTP/0.9", "POST /"),
        ("20", "HTTP/2.0", "POST / HTTP/2.0"), ("12", "HTTP/1.2", "POST / HTTP/1.2"), ("lower", "http/1.1", "POST / http/1.1"),
        ("absolute", "absolute-form with another name", f"POST http://{THEIRS}/ HTTP/1.1"),
        ("absolute-user", "absolute-form with user information", f"POST http://{OURS}@{THEIRS}/ HTTP/1.1"),
        ("absolute-port", "absolute-form with a port that the Host has not", f"POST http://{OURS}:81/ HTTP/1.1"),
        ("absolute-https", "absolute-form of https", f"POST https://{OURS}/ HTTP/1.1"),
        ("absolute-ftp", "absolute-form of another scheme", f"POST ftp://{THEIRS}/ HTTP/1.1"),
        ("absolute-empty", "absolute-form without a name", "POST http:/// HTTP/1.1"),
        ("absolute-query", "absolute-form, the name ended by a question mark", f"POST http://{THEIRS}?{OURS}/ HTTP/1.1"),
        ("absolute-back", "absolute-form, the name ended by a backslash", f"POST http://{OURS}\\@{THEIRS}/ HTTP/1.1"),
        ("absolute-case", "absolute-form as HTTP://", f"POST HTTP://{THEIRS}/ HTTP/1.1"),
        ("authority", "authority-form", f"POST {THEIRS}:80 HTTP/1.1"), ("asterisk", "asterisk-form", "POST * HTTP/1.1"),
        ("bare", "a path without a slash", "POST x HTTP/1.1"), ("connect", "CONNECT", f"CONNECT {THEIRS}:443 HTTP/1.1"),
        ("connect-ours", "CONNECT to the allowed name", f"CONNECT {OURS}:443 HTTP/1.1"),
        ("long-method", "a method of 40 letters", "M" * 40 + " / HTTP/1.1"),
        ("odd-method", "a method that is no token", "PO(ST / HTTP/1.1"), ("nul", "NUL in the path", "POST /\0 HTTP/1.1"),
        ("pri", "HTTP/2 without TLS", "PRI * HTTP/2.0\r\n\r\nSM\r\n")):
    bad(f"line-{label}", f"request line: {what}", lambda t, line=line: request(line, f"Host: {OURS}\r\n", t.marker))
bad("lf", "lines that end with LF alone",
    lambda t: f"POST / HTTP/1.1\nHost: {OURS}\nContent-Length: 12\n\n".encode() + t.marker)
bad("cr", "lines that end with CR alone",
    lambda t: f"POST / HTTP/1.1\rHost: {OURS}\rContent-Length: 12\r\r".encode() + t.marker)
bad("blank-first", "an empty line before the request", lambda t: b"\r\n" + post(OURS, t.marker))
bad("blank-lf", "a line feed before the request", lambda t: b"\n" + post(OURS, t.marker))
bad("over", "a head of 20 KB", lambda t: post(OURS, t.marker, "X: " + "x" * 20000 + "\r\n"))
bad("simple", "HTTP/0.9", lambda t: b"GET /" + t.marker + b"\r\n")
bad("ssh", "another protocol on port 80", lambda t: b"SSH-2.0-" + t.marker + b"\r\n")
bad("socks", "SOCKS5 on port 80", lambda t: b"\5\1\0" + t.marker)
bad("get-body", "GET with a body, in which a server may read a request",
    lambda t: post(OURS, get(THEIRS, f"X: {t.marker.decode()}\r\n")).replace(b"POST", b"GET"))
bad("head-body", "HEAD with a body", lambda t: post(OURS, get(THEIRS, f"X: {t.marker.decode()}\r\n")).replace(b"POST", b"HEAD"))
for label in ("DELETE", "OPTIONS", "PROPFIND"):
    bad(f"{label.lower()}-body", f"{label} with a body",
        lambda t, label=label: post(OURS, get(THEIRS, f"X: {t.marker.decode()}\r\n")).replace(b"POST", label.encode()))
for label, what, space in (("nbsp", "a no-break space", b"\xa0"), ("nel", "a next line (U+0085)", b"\x85"), ("fs", "a file separator", b"\x1c")):
    bad(f"get-body-{label}", f"GET with a body, in which Python reads a request: {what} for a space",
        lambda t, space=space: post(OURS, b"GET" + space + b"/" + space + f"HTTP/1.1\r\nHost: {THEIRS}\r\nX: ".encode() + t.marker).replace(b"POST", b"GET"))


def later(name, what, make, **options):
    http(f"next-{name}", f"a second request to somebody else: {what}", make, **options)


def second(t):
    return post(who(t), t.marker)


later("segment", "in the next segment", lambda t: [get(OURS), second(t)])
later("same", "in the segment of the first", lambda t: [get(OURS) + second(t)])
later("body", "behind a body, in the same segment", lambda t: [post(OURS, b"x" * 100) + second(t)])
later("body-segment", "behind a body, in the next segment", lambda t: [post(OURS, b"x" * 100), second(t)])
later("body-cut", "behind a body that comes in pieces", lambda t: h.every(post(OURS, b"x" * 100), 30) + [second(t)])
later("body-end", "its first bytes in the segment of the body's end",
      lambda t: h.cut(post(OURS, b"x" * 100) + second(t), 70, -len(second(t)) + 5))
later("body-none", "behind a body of no bytes", lambda t: [post(OURS, b"") + second(t)])
later("body-big", "behind a body of 200,000 bytes", lambda t: [post(OURS, b"x" * 200000), second(t)])
later("zeros", "behind a length with zeros before it",
      lambda t: [post(OURS, b"x" * 12).replace(b": 12", b": 0000000000012") + second(t)])
later("last-of-10", "the last of ten in a segment", lambda t: [get(OURS) * 9 + second(t)])
later("last-of-128", "the last of 128 in a segment, of which each but the last is a head alone",
      lambda t: [get(OURS) * 126 + second(t)])
later("pieces", "in pieces", lambda t: [get(OURS)] + h.every(second(t)[:-12], 9) + [t.marker])
later("close", "behind one that says Connection: close", lambda t: [get(OURS, "Connection: close\r\n") + second(t)])
later("expect", "in place of a body that was announced by Expect: 100-continue and a length of 0",
      lambda t: [post(OURS, b"", "Expect: 100-continue\r\n"), second(t)])
later("websocket", "behind an upgrade that the server does not agree to",
      lambda t: [get(OURS, "Connection: Upgrade\r\nUpgrade: websocket\r\n"), second(t)])
later("h2c", "behind an upgrade to HTTP/2",
      lambda t: [get(OURS, "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"), second(t)])
later("many", "the last of 140 in a segment", lambda t: [get(OURS) * 139 + post(OURS, t.marker)], allow=False)
CHUNKED = f"POST / HTTP/1.1\r\nHost: {OURS}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
later("chunked", "behind a chunked body", lambda t: [CHUNKED + b"5\r\nhello\r\n0\r\n\r\n" + second(t)])
later("chunked-pieces", "behind a chunked body, a byte at a time",
      lambda t: h.every(CHUNKED + b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n", 1) + [second(t)], timeout=8, port=8443)
later("chunked-big", "behind a chunked body of 300,000 bytes",
      lambda t: [CHUNKED + b"493e0\r\n" + b"x" * 300000 + b"\r\n", b"0\r\n\r\n" + second(t)], port=8443)
later("chunked-many", "behind 5,000 chunks of a byte", lambda t: [CHUNKED + b"1\r\nx\r\n" * 5000 + b"0\r\n\r\n", second(t)], port=8443)
for label, what, text in (("lf", "a size that ends with LF", "5\nhello\r\n0\r\n\r\n"), ("space", "a space behind a size", "5 \r\nhello\r\n0\r\n\r\n"),
                          ("hex", "a size with 0x", "0x5\r\nhello\r\n0\r\n\r\n"), ("sign", "a size with a sign", "+5\r\nhello\r\n0\r\n\r\n"),
                          ("extension-lf", "LF in an extension", "5;a\nb\r\nhello\r\n0\r\n\r\n"), ("long", "a size of 17 digits", "0" * 16 + "5\r\nhello\r\n0\r\n\r\n"),
                          ("wrap", "a size of 2^64 and 5", "10000000000000005\r\nhello\r\n0\r\n\r\n"), ("data", "more data than its size", "5\r\nhello!\r\n0\r\n\r\n"),
                          ("trailer", "a request as a trailer", f"0\r\nGET / HTTP/1.1\r\nHost: {THEIRS}\r\n\r\n"),
                          ("trailer-lf", "a trailer that ends with LF", "0\r\nX: y\n\r\n"), ("end-lf", "an end of LF", "0\r\n\n")):
    later(f"chunked-{label}", f"behind a chunked body with {what}", lambda t, text=text: [CHUNKED + text.encode() + post(OURS, t.marker)],
          allow=False)
later("get-body", "behind a GET with a body", lambda t: [post(OURS, b'{"query": 1}').replace(b"POST", b"GET") + second(t)])
later("garbage", "not a request", lambda t: [get(OURS), b"\x16\3\1" + t.marker], allow=False)
later("blank", "behind an empty line", lambda t: [get(OURS), b"\r\n" + post(OURS, t.marker)], allow=False)
later("connect", "CONNECT", lambda t: [get(OURS), b"CONNECT two.cdn.test:443 HTTP/1.1\r\n\r\n" + t.marker], allow=False)
later("8443", "on another port", lambda t: [get(OURS), second(t)], port=8443)
later("8443-garbage", "not a request, on another port", lambda t: [get(OURS), b"\x16\3\1" + t.marker], port=8443, allow=False)


# ---- D12: a protocol that the server agrees to

SWITCH = """
import socket, sys
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("198.18.0.3", int(sys.argv[2])))
listener.listen(4)
open(sys.argv[1], "w").close()
while True:
    sock, _ = listener.accept()
    try:
        asked = sock.recv(65536)
        # the first that was offered, as servers of HTTP/2 choose
        chosen = b"h2c" if b"h2c" in asked else b"websocket"
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: " + chosen + b"\\r\\n\\r\\n")
        while sock.recv(65536):
            pass
    except OSError:
        pass
    sock.close()
"""


def upgrade(name, what, fields, beside=SWITCH):
    """A request for another protocol, and what that is then used for. Its pair asks for WebSocket alone."""
    def function(t):
        sock = at(t, BESIDE + t.item.index)
        chosen = "Upgrade: websocket\r\n" if t.allowed else fields
        sock.sendall(get(OURS, "Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n" + chosen))
        if not sock.recv(4096).startswith(b"HTTP/1.1 101"):
            raise OSError("not agreed to")
        pieces(sock, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + t.marker)
    function.__doc__ = f"HTTP: a server agrees to HTTP/2, whose requests name others: {what}"
    technique("D12", f"upgrade-{name}", oracle="marker", beside=server(beside), stated=AGREED)(function)


AGREED = ("what a server has agreed to (101) is the protocol that it named, and is not read: HTTP/2 can name other hosts of "
          "the same server")
upgrade("h2c", "h2c", "Upgrade: h2c\r\n")
upgrade("h2c-websocket", "h2c, and WebSocket in a field of its own", "Upgrade: h2c\r\nUpgrade: websocket\r\n")
upgrade("websocket-h2c", "WebSocket, and h2c in a field of its own", "Upgrade: websocket\r\nUpgrade: h2c\r\n")
upgrade("list", "a list of both", "Upgrade: h2c, websocket\r\n")
upgrade("list-after", "a list of both, WebSocket first", "Upgrade: websocket, h2c\r\n")


ANSWERS = """
import socket, sys, threading


def serve(sock):
    try:
        while sock.recv(65536):
            sock.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
    except OSError:
        pass
    sock.close()


listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("198.18.0.3", int(sys.argv[2])))
listener.listen(4)
open(sys.argv[1], "w").close()
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],)).start()
"""


def connected(name, what, *segments, cutter=lambda data: [data]):
    """Go's servers hand CONNECT to whoever takes any request: it is answered with 200, and the next request is read."""
    def function(t):
        sock = at(t, BESIDE + t.item.index)
        for segment in segments:
            sock.sendall(segment)
            if not sock.recv(4096).startswith(b"HTTP/1.1 200"):
                raise OSError("not answered")
        pieces(sock, *cutter(post(who(t), t.marker)))
    function.__doc__ = f"HTTP: a server that is no proxy agrees to CONNECT, and then reads a denied Host: {what}"
    technique("D12", f"connect-{name}", oracle="marker", beside=server(ANSWERS))(function)


TUNNEL = f"CONNECT {OURS}:443 HTTP/1.1\r\nHost: {OURS}:443\r\n\r\n".encode()
SWITCHING = get(OURS, "Connection: Upgrade\r\nUpgrade: websocket\r\n")
connected("answered", "as the next request", TUNNEL)
connected("pieces", "in pieces", TUNNEL, cutter=lambda data: h.every(data[:-12], 9) + [data[-12:]])
connected("twice", "behind another CONNECT", TUNNEL, TUNNEL)
connected("later", "behind a CONNECT that comes second", get(OURS), TUNNEL)
connected("between", "behind a request that names an allowed host", TUNNEL, get(OURS))
connected("upgrade", "behind an upgrade", TUNNEL, SWITCHING)


def ended(name, what, data, port=80, corked=False):
    """A head without its end, and then the end of the stream: the lab's server, which is Python's, answers it."""
    def function(t):
        sock = at(t, port)
        if corked:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            sock.sendall(data)
        else:
            pieces(sock, data)
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        while more := sock.recv(4096):
            answer += more
        return b"asked for" in answer.replace(f"asked for {OURS}".encode(), b"")
    function.__doc__ = f"HTTP: a head that ends with the stream, answered by the server: {what}"
    technique("D12", f"end-{name}", oracle="word", allow=False)(function)


ended("host", "behind the Host", f"GET / HTTP/1.1\r\nHost: {THEIRS}\r\n".encode())
ended("corked", "in one segment with the FIN", f"GET / HTTP/1.1\r\nHost: {THEIRS}\r\n".encode(), corked=True)
ended("name", "within the Host's line", f"GET / HTTP/1.1\r\nHost: {THEIRS}".encode())
ended("cr", "before the last line feed", f"GET / HTTP/1.1\r\nHost: {THEIRS}\r\n\r".encode())
ended("line", "a request line alone", b"GET / HTTP/1.1\r\n")
ended("09", "HTTP/0.9", b"GET /")
ended("second", "a second request", get(OURS) + f"GET / HTTP/1.1\r\nHost: {THEIRS}\r\n".encode())
