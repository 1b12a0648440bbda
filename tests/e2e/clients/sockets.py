#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Sockets and options that a sandbox must not have. Prints "TECHNIQUE: works" or its error.

  sockets.py try TECHNIQUE...   exit 0 if all of them work, 1 if none does, 3 if some do
  sockets.py list               the techniques
  sockets.py families           every family but UNIX, INET, INET6, NETLINK: exit 1 if one opens
"""
import errno
import socket
import struct
import sys

EVIL, EVIL6 = "198.18.0.66", "2001:db8:5a11::66"
SOL_UDP, UDP_SEGMENT, SO_MARK, SO_ZEROCOPY = 17, 103, 36, 60
IPV6_RTHDR, IP_OPTIONS, IP_TRANSPARENT, IPV6_TRANSPARENT = 57, 4, 19, 75


def icmp_echo(proto6=False):
    # Type, code, checksum (filled in for IPv4), id, sequence, payload.
    head = struct.pack("!BBHHH", 128 if proto6 else 8, 0, 0, 1, 1) + b"payload!"
    if proto6:
        return head
    total = sum(struct.unpack(f"!{len(head) // 2}H", head))
    total = (total & 0xffff) + (total >> 16)
    return head[:2] + struct.pack("!H", ~total & 0xffff) + head[4:]


def raw_icmp():
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).sendto(icmp_echo(), (EVIL, 0))


def raw_udp():
    packet = struct.pack("!HHHH", 1234, 5000, 13, 0) + b"hello"
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP).sendto(packet, (EVIL, 0))


def raw_hdrincl():
    payload = struct.pack("!HHHH", 1234, 5000, 13, 0) + b"hello"
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64, 17, 0,
                         socket.inet_aton("198.18.0.1"), socket.inet_aton(EVIL))
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    sock.sendto(header + payload, (EVIL, 0))


def raw6_icmp():
    sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    sock.sendto(icmp_echo(True), (EVIL6, 0))


def ping():
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP).sendto(icmp_echo(), (EVIL, 0))


def ping6():
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6)
    sock.sendto(icmp_echo(True), (EVIL6, 0))


def packet():
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    payload = struct.pack("!HHHH", 1234, 5000, 13, 0) + b"hello"
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64, 17, 0,
                         socket.inet_aton("198.18.0.1"), socket.inet_aton(EVIL))
    sock.sendto(header + payload, ("eth0", 0x0800, 0, 0, b"\xff" * 6))


def udplite():
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 136).sendto(b"hello", (EVIL, 5000))


def bind53_udp():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.7", 53))


def bind53_tcp6():
    sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    sock.bind(("::1", 53))


def udp_segment():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(SOL_UDP, UDP_SEGMENT, 100)


def mark():
    socket.socket().setsockopt(socket.SOL_SOCKET, SO_MARK, 7)


def zerocopy():
    socket.socket().setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)


def ip_options():
    # A loose source route through EVIL; unprivileged.
    option = b"\x83\x07\x04" + socket.inet_aton(EVIL) + b"\x00"
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).setsockopt(socket.IPPROTO_IP, IP_OPTIONS, option)


def rthdr():
    # Type 4 (segment routing), one segment: EVIL6; unprivileged where seg6 is on.
    header = struct.pack("!BBBBBBH", 0, 2, 4, 0, 0, 0, 0) + socket.inet_pton(socket.AF_INET6, EVIL6)
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RTHDR, header)


def ttl():
    socket.socket().setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)


def hops6():
    sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 1)


def transparent():
    socket.socket().setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)


def ordinary():
    """What must go on working: these are not denied by mistake."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100000)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0x10)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 64)
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    sock6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock6.bind(("::", 0))
    socket.socketpair()
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)


techniques = {f.__name__: f for f in (
    raw_icmp, raw_udp, raw_hdrincl, raw6_icmp, ping, ping6, packet, udplite, bind53_udp, bind53_tcp6,
    udp_segment, mark, zerocopy, ip_options, rthdr, ttl, hops6, transparent, ordinary)}


def attempt(name):
    try:
        techniques[name]()
    except OSError as error:
        print(f"{name}: {errno.errorcode.get(error.errno, error.errno)}")
        return False
    print(f"{name}: works")
    return True


def families():
    open_ones = []
    keep = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
    for family in range(64):
        if family in keep:
            continue
        for kind in (1, 2, 3, 5):
            try:
                socket.socket(family, kind, 0).close()
                open_ones.append((family, kind))
            except OSError:
                pass
    for protocol in range(1, 32):  # NETLINK other than ROUTE
        try:
            socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol).close()
            open_ones.append(("netlink", protocol))
        except OSError:
            pass
    print("open:", open_ones)
    return 1 if open_ones else 0


if sys.argv[1] == "list":
    print("\n".join(techniques))
elif sys.argv[1] == "families":
    sys.exit(families())
else:
    results = [attempt(name) for name in sys.argv[2:]]
    sys.exit(0 if all(results) else 3 if any(results) else 1)
