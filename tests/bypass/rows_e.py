# SPDX-License-Identifier: GPL-2.0-or-later
"""Section E of THREATS.md: QUIC, under "quic": "deny", which is the default.

To port 443 of a host that a name allows, no datagram leaves. On another port, what looks like an Initial is refused:
a long header with a version, in a datagram of at least 1,200 bytes. Anything else there is somebody's protocol.
"""
import base64
import ctypes
import os
import socket
import struct

from hello import OURS
from technique import CDN4, CDN6, resolve, technique

# Initials with a ClientHello for two.cdn.test, connection id 8394c8f03e515708, protected as RFC 9001 5 and RFC 9369 3
# say (made with python3-cryptography; the keys were checked against the appendices of both).
V1 = base64.b64decode("ywAAAAEIg5TI8D5RVwgAAEDKdXrRscnI12if5ewRnB/u0IgXRKZE2SlOcGdUwhZtF4PaoIaW2302/45VHnAcJgjExh8VspqE6RVq"
                      "s0USjKo31NhwLqR5Eh3mqPxaeY+xUprEw5BA7RbuAMm9+7R8cQ45fsgNg2gu6/+62mISOM4xELGhQ/cCre5he5Zv+XUL+Cc3Gqum"
                      "ZsHq/d4Amb2/CwiLzLyivluXfvCdoBI+RoHrzAUvnSG28LAT3tXBDnfMJPifDtjtNtDXIsjpmG27csNvrE3N8B0e1NiMWw==")
V2 = base64.b64decode("02szQ88Ig5TI8D5RVwgAAEDKadX/5nsvvNtCxbSFk1mBczT9Ix8hASKSgGw8wovD4a22392EVBtW9wBVQO2fmjvUQkjm0RwsP/Gf"
                      "zxDbVIhZdX4mUPhkgBR2Me4RqCQJLUsOFQKoB4i3i2+OLk2lnsU47mF4sZhKPldfRs8aGoVIPiaoeN6VwdWRSVXwdG5rr+18Hc4e"
                      "2p4KS2TnlHgx4Nf1tRCCJSoG6+7MCPD1HGNWGm4RxupQr7jrUVbObiL0Y1n466PW9bpQSV2WWJLTzqrvyYgG4TQGNgbttg==")
LEAST = 1200


def padded(packet, t, size=LEAST):
    """A datagram that starts with the packet and ends with the marker; a server passes over what it cannot read."""
    return packet + b"\0" * (size - len(packet) - len(t.marker)) + t.marker


def version(number):
    return V1[:1] + struct.pack("!I", number) + V1[5:]


def long_header(kind, fixed=0x40):
    return bytes([0x80 | fixed | kind << 4]) + V1[1:]


SHORT = b"\x41" + V1[6:14] + b"\x11" * 40


def udp(t, family=socket.AF_INET):
    resolve(OURS)
    sock = t.udp(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("", t.port))
    return sock


def send(row, name, what, make, port=443, allow=False, host=CDN4, **options):
    """Datagrams to port 443, or (port None) to one that nobody knows, of an allowed host."""
    def function(t):
        sock = udp(t, socket.AF_INET6 if ":" in host else socket.AF_INET)
        for data in make(t):
            try:
                sock.sendto(data, (host, t.port if port is None else port))
            except OSError as error:
                refused = error
            else:
                refused = None
        if refused:
            raise refused
    function.__doc__ = what
    technique(row, name, oracle="marker", allow=allow, **options)(function)


def other(row, name, what, make, **options):
    """On another port; its pair is a datagram of the same size that is no QUIC."""
    send(row, name, f"{what}, on another port",
         lambda t: [b"\x17" * (len(data) - len(t.marker)) + t.marker for data in make(t)] if t.allowed else make(t),
         port=None, allow=True, **options)


# ---- E1

for label, what, packet in (
        ("v1", "an Initial of version 1", V1), ("v2", "an Initial of version 2", V2),
        ("draft", "an Initial of draft 29", version(0xff00001d)), ("q046", "an Initial of Google's Q046", version(0x51303436)),
        ("token", "an Initial with the token of a Retry", V1[:15] + b"\x20" + b"T" * 32 + V1[16:]),
        ("coalesced", "an Initial and a 0-RTT packet in one datagram", V1 + long_header(1)),
        ("coalesced-after", "a 0-RTT packet and then an Initial in one datagram", long_header(1) + V1),
        ("long-id", "an Initial with connection ids of 255 bytes", V1[:5] + b"\xff" + b"i" * 255 + b"\xff" + b"j" * 255 + V1[15:])):
    send("E1", label, what, lambda t, packet=packet: [padded(packet, t)])
    other("E1", f"{label}-port", what, lambda t, packet=packet: [padded(packet, t)])
send("E1", "v6", "an Initial over IPv6", lambda t: [padded(V1, t)], host=CDN6)
other("E1", "v6-port", "an Initial over IPv6", lambda t: [padded(V1, t)], host=CDN6)
send("E1", "pieces", "a ClientHello over two Initials, in two datagrams", lambda t: [padded(V1[:100], t), padded(V2, t)])
send("E1", "small", "an Initial of less than 1,200 bytes", lambda t: [V1 + t.marker])
send("E1", "large", "an Initial in a datagram of 8,000 bytes, which is sent in fragments", lambda t: [padded(V1, t, 8000)])
other("E1", "large-port", "an Initial in a datagram of 8,000 bytes, which is sent in fragments",
      lambda t: [padded(V1, t, 8000)])
HEURISTIC = ("on a port other than 443 only a long header with a version, in a datagram of at least 1,200 bytes, is taken "
             "for QUIC, as RFC 9000 demands of a first datagram")
send("E1", "small-port", "an Initial of less than 1,200 bytes, on another port", lambda t: [V1 + t.marker], port=None,
     stated=HEURISTIC)
send("E1", "fixed-bit-port", "an Initial without the fixed bit (RFC 9287), on another port",
     lambda t: [padded(long_header(0, fixed=0), t)], port=None, stated=HEURISTIC)


# where a rule for UDP alone opens 443 to something else
WIREGUARD = b"\1\0\0\0" + bytes(range(132))
for label, what, make in (
        ("v1", "an Initial of version 1", lambda t: padded(V1, t)), ("v2", "an Initial of version 2", lambda t: padded(V2, t)),
        ("draft", "an Initial of draft 29", lambda t: padded(version(0xff00001d), t)),
        ("q046", "an Initial of Google's Q046", lambda t: padded(version(0x51303436), t)),
        ("grease", "a version that asks for others", lambda t: padded(version(0x1a2a3a4a), t)),
        ("small", "an Initial of less than 1,200 bytes", lambda t: V1 + t.marker),
        ("fixed-bit", "an Initial without the fixed bit", lambda t: padded(long_header(0, fixed=0), t)),
        ("0rtt", "a 0-RTT packet first", lambda t: padded(long_header(1) + V1, t))):
    send("E1", f"{label}-udp-443", f"{what}, to port 443 by a rule for UDP",
         lambda t, make=make: [WIREGUARD + t.marker] if t.allowed else [make(t)], allow=True, policy="datagrams")
send("E1", "second-udp-443", "an Initial behind a datagram of something else, to port 443 by a rule for UDP",
     lambda t: [WIREGUARD, WIREGUARD + t.marker] if t.allowed else [WIREGUARD, padded(V1, t)], allow=True, policy="datagrams")
send("E1", "v6-udp-443", "an Initial over IPv6, to port 443 by a rule for UDP",
     lambda t: [WIREGUARD + t.marker] if t.allowed else [padded(V1, t)], allow=True, policy="datagrams", host=CDN6)
send("E1", "other-443", "something else than QUIC, to port 443 without such a rule", lambda t: [WIREGUARD + t.marker])


def sender(row, name, what, function, port=None):
    """A way to send one datagram with an Initial; its pair sends another, where its first bytes cannot change any more."""
    def attempt(t):
        data = b"\x17" * (LEAST - 12) + t.marker if t.allowed else padded(V1, t)
        function(t, udp(t), data, (CDN4, t.port if port is None else port))
    attempt.__doc__ = what
    technique(row, name, oracle="marker", allow=port is None and function not in (corked, spliced))(attempt)


def connected(t, sock, data, to):
    sock.connect(to)
    sock.send(data)


def vectored(t, sock, data, to):
    sock.sendmsg([data[:1], data[1:3], data[3:]], [], 0, to)


def corked(t, sock, data, to):
    """The first byte is written before the rest."""
    sock.sendto(data[:1], socket.MSG_MORE, to)
    sock.sendto(data[1:], to)


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_char_p), ("length", ctypes.c_size_t)]


class Header(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint32), ("iov", ctypes.POINTER(Iovec)),
                ("iovlen", ctypes.c_size_t), ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t),
                ("flags", ctypes.c_int)]


class Message(ctypes.Structure):
    _fields_ = [("header", Header), ("sent", ctypes.c_uint32)]


def many(t, sock, data, to):
    """sendmmsg(): junk, and then the datagram."""
    sock.connect(to)
    messages = (Message * 2)()
    for message, part in zip(messages, (b"junk", data)):
        message.header.iov, message.header.iovlen = ctypes.pointer(Iovec(part, len(part))), 1
    sent = ctypes.CDLL(None, use_errno=True).sendmmsg(sock.fileno(), messages, 2, 0)
    if sent != 2:
        raise OSError(ctypes.get_errno() or 1, f"{sent} of 2 were sent")


def segmented(t, sock, data, to):
    """UDP_SEGMENT in a control message: two datagrams in one call, the first of which is junk."""
    sock.sendmsg([b"\x17" * len(data) + data], [(socket.IPPROTO_UDP, 103, struct.pack("=H", len(data)))], 0, to)


def segmented_last(t, sock, data, to):
    sock.sendmsg([b"\x17" * len(data) * 39 + data], [(socket.IPPROTO_UDP, 103, struct.pack("=H", len(data)))], 0, to)


def spliced(t, sock, data, to):
    ready, out = os.pipe()
    os.write(out, data)
    sock.connect(to)
    try:
        os.splice(ready, sock.fileno(), len(data))
    except OSError as error:
        if error.errno != 22:  # EINVAL: refused before Linux 6.2, and programs go on without
            raise
        sock.send(data)


for label, what, function in (
        ("connected", "an Initial on a connected socket", connected), ("vectored", "an Initial from three buffers", vectored),
        ("corked", "an Initial whose first byte is written before the rest (MSG_MORE)", corked),
        ("sendmmsg", "an Initial behind junk, by sendmmsg()", many),
        ("segment", "an Initial behind junk in one call, by UDP_SEGMENT in a control message", segmented),
        ("segment-last", "an Initial as the last of 40 segments", segmented_last),
        ("splice", "an Initial from a pipe, by splice()", spliced)):
    sender("E1", label, what, function, port=443)
    sender("E1", f"{label}-port", f"{what}, on another port", function)


# ---- E2

for label, what, packet in (
        ("short", "a short header first", SHORT), ("0-rtt", "a 0-RTT packet first", long_header(1)),
        ("handshake", "a Handshake packet first", long_header(2)), ("retry", "a Retry first", long_header(3)),
        ("unknown", "an unknown version", version(0x1a2a3a4a)), ("negotiation", "Version Negotiation", version(0)),
        ("no-fixed-bit", "a long header without the fixed bit", long_header(0, fixed=0)),
        ("google", "Google QUIC, whose header is of another form", b"\x0d" + V1[6:14] + b"Q043" + b"\1" + V1[14:]),
        ("text", "no QUIC", b"text"), ("dns", "a DNS query", b"\0\1\1\0\0\1\0\0\0\0\0\0\3one\3cdn\4test\0\0\1\0\1")):
    send("E2", label, f"{what}, to port 443", lambda t, packet=packet: [packet + t.marker])
    send("E2", f"{label}-large", f"{what}, to port 443, 1,200 bytes", lambda t, packet=packet: [padded(packet, t)])
for label, what, packet in (("0-rtt", "a 0-RTT packet", long_header(1)), ("unknown", "an unknown version", version(0x1a2a3a4a)),
                            ("handshake", "a Handshake packet", long_header(2))):
    other("E2", f"{label}-port", f"{what} of 1,200 bytes first", lambda t, packet=packet: [padded(packet, t)])
send("E2", "short-port", "a short header, on another port", lambda t: [SHORT + t.marker], port=None, stated=HEURISTIC)


# ---- E3

send("E3", "junk", "junk, then an Initial", lambda t: [b"junk", padded(V1, t)])
send("E3", "junk-many", "100 datagrams of junk, then an Initial", lambda t: [b"junk"] * 100 + [padded(V1, t)])
send("E3", "empty", "an empty datagram, then an Initial", lambda t: [b"", padded(V1, t)])
other("E3", "junk-port", "junk, then an Initial", lambda t: [b"junk" + b"\0" * 20, padded(V1, t)])
other("E3", "large-junk-port", "junk of 1,200 bytes, then an Initial", lambda t: [b"\0" * LEAST, padded(V1, t)])
other("E3", "short-first-port", "a short header, then an Initial", lambda t: [SHORT, padded(V1, t)])


@technique("E3", "two-ports", oracle="marker", allow=False)
def two_ports(t):
    """junk to a port that is open, then an Initial to port 443 from the same socket"""
    sock = udp(t)
    sock.sendto(b"junk", (CDN4, t.port))
    sock.sendto(padded(V1, t), (CDN4, 443))


@technique("E3", "connect-later", oracle="marker", allow=False)
def connect_later(t):
    """a socket connected to an open port, used, and then connected to port 443"""
    sock = udp(t)
    sock.connect((CDN4, t.port))
    sock.send(b"junk")
    sock.connect((CDN4, 443))
    sock.send(padded(V1, t))


# ---- E4

@technique("E4", "new-socket", oracle="marker", allow=False)
def new_socket(t):
    """a short header from a new port, to port 443, as after a migration"""
    resolve(OURS)
    for _ in range(2):
        t.udp().sendto(SHORT + t.marker, (CDN4, 443))


@technique("E4", "new-peer")
def new_peer(t):
    """a short header to another address, from a socket that has talked to an allowed one"""
    sock = udp(t)
    sock.sendto(b"junk", (CDN4, t.port))
    sock.sendto(SHORT + t.marker, (t.host4, t.port))


@technique("E4", "preferred")
def preferred(t):
    """a short header to an address that the server prefers (RFC 9000 9.6), connected"""
    sock = udp(t)
    sock.connect((CDN4, t.port))
    sock.send(b"junk")
    sock.connect((t.host4, t.port))
    sock.send(SHORT + t.marker)


@technique("E4", "family", oracle="marker", allow=False)
def family(t):
    """a short header to the same host over the other family, to port 443"""
    resolve(OURS)
    t.udp(socket.AF_INET6).sendto(SHORT + t.marker, (CDN6, 443))


@technique("E4", "mapped", oracle="marker", allow=False)
def mapped(t):
    """an Initial to port 443 of a v4-mapped address"""
    resolve(OURS)
    t.udp(socket.AF_INET6).sendto(padded(V1, t), (f"::ffff:{CDN4}", 443))
