# SPDX-License-Identifier: GPL-2.0-or-later
"""Row A12: the interface that allowed traffic leaves by.

The client has a second link, to a neighbour that says it has every address of the servers. What is allowed (a
datagram to good.test, a query, a connection) is sent to that neighbour. The pair sends it by the first link with the
same option.
"""
import socket
import struct

from calls import disconnect
from rows_c import query
from technique import (GOOD4, GOOD6, LINK, LINK_SELF4, LINK_SELF6, RESOLVER4, RESOLVER6, SELF4, SELF6, NotHere, resolve,
                       technique)

IP_PKTINFO, IPV6_PKTINFO, SO_DONTROUTE = 8, 50, 5
TRUSTED = (f"--resolver={RESOLVER4}", f"--resolver={RESOLVER6}")


def link(t):
    return socket.if_nametoindex("eth0" if t.allowed else LINK)


def info4(t, source="0.0.0.0"):
    return [(socket.IPPROTO_IP, IP_PKTINFO, struct.pack("=I4s4s", link(t), socket.inet_aton(source), bytes(4)))]


def info6(t, source="::"):
    return [(socket.IPPROTO_IPV6, IPV6_PKTINFO, socket.inet_pton(socket.AF_INET6, source) + struct.pack("=I", link(t)))]


def by(t, family, **more):
    return info6(t, **more) if family == socket.AF_INET6 else info4(t, **more)


def datagrams(name, what, send, families=("4", "6"), **options):
    """A datagram to good.test, which was looked up, over IPv4 and over IPv6."""
    for family, label, host in ((socket.AF_INET, "4", GOOD4), (socket.AF_INET6, "6", GOOD6)):
        if label not in families:
            continue

        def function(t, family=family, host=host):
            resolve("good.test")
            send(t, t.udp(family), family, host)
        function.__doc__ = f"{what}, IPv{label}"
        technique("A12", f"{name}-{label}", oracle="far", **options)(function)


def to_address(t, sock, family, host):
    sock.sendmsg([t.marker], by(t, family), 0, (host, t.port))


def to_peer(t, sock, family, host):
    sock.connect((host, t.port))
    sock.sendmsg([t.marker], by(t, family))


def later(t, sock, family, host):
    for _ in range(3):
        sock.sendto(b"first", (host, t.port))
    sock.sendmsg([t.marker], by(t, family), 0, (host, t.port))


def later_connected(t, sock, family, host):
    sock.connect((host, t.port))
    for _ in range(3):
        sock.send(b"first")
    sock.sendmsg([t.marker], by(t, family))


def with_source(t, sock, family, host):
    if t.allowed:
        source = SELF6 if family == socket.AF_INET6 else SELF4
    else:
        source = LINK_SELF6 if family == socket.AF_INET6 else LINK_SELF4
    sock.sendmsg([t.marker], by(t, family, source=source), 0, (host, t.port))


def dont_route(t, sock, family, host):
    sock.setsockopt(socket.SOL_SOCKET, SO_DONTROUTE, 1)
    sock.sendmsg([t.marker], by(t, family), 0, (host, t.port))


def msg_dont_route(t, sock, family, host):
    sock.sendmsg([t.marker], by(t, family), socket.MSG_DONTROUTE, (host, t.port))


# of IPv6 a connected socket, and one that names its source, go by the route all the same
datagrams("pktinfo", "a datagram to an allowed address by another link (control message)", to_address)
datagrams("pktinfo-connected", "the same on a connected socket", to_peer, "4")
datagrams("pktinfo-later", "the same behind three that left by the right link", later)
datagrams("pktinfo-later-connected", "the same behind three, connected", later_connected, "4")
datagrams("pktinfo-source", "the same with the address of that link as its source", with_source, "4")
datagrams("pktinfo-dontroute", "the same with SO_DONTROUTE", dont_route)
datagrams("pktinfo-msg-dontroute", "the same with MSG_DONTROUTE", msg_dont_route)


@technique("A12", "pktinfo-mapped", oracle="far")
def mapped(t):
    """a datagram to an allowed IPv4 address on an IPv6 socket, by another link"""
    resolve("good.test")
    t.udp(socket.AF_INET6).sendmsg([t.marker], info4(t), 0, (f"::ffff:{GOOD4}", t.port))


@technique("A12", "sticky", oracle="far")
def sticky(t):
    """IPV6_PKTINFO as an option of the socket"""
    resolve("good.test")
    sock = t.udp(socket.AF_INET6)
    sock.setsockopt(socket.IPPROTO_IPV6, IPV6_PKTINFO, bytes(16) + struct.pack("=I", link(t)))
    sock.sendto(t.marker, (GOOD6, t.port))


@technique("A12", "multicast-if", oracle="far", allow=False)
def multicast_if(t):
    """the scope of an address of another link in the destination's, then an allowed one (connect, connect)"""
    resolve("good.test")
    sock = t.udp(socket.AF_INET6)
    sock.connect(("fe80::53", t.port, 0, link(t)))  # binds the socket to the link
    sock.connect((GOOD6, t.port))
    sock.send(t.marker)


def own_link_local(t):
    if not t.allowed:
        return "fe80::11"
    with open("/proc/net/if_inet6") as lines:
        for words in map(str.split, lines):
            if words[5] == "eth0" and words[0].startswith("fe80"):
                return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(words[0]))
    raise NotHere("no link-local address at eth0")


@technique("A12", "bind-link-local", oracle="far")
def bind_link_local(t):
    """a datagram from a socket that is bound to the link-local address of another link"""
    resolve("good.test")
    sock = t.udp(socket.AF_INET6)
    sock.bind((own_link_local(t), 0, 0, link(t)))
    sock.sendto(t.marker, (GOOD6, t.port))


@technique("A12", "bind-link-local-tcp", oracle="far", far_port=True, allow=False)
def bind_link_local_tcp(t):
    """a connection from the link-local address of another link"""
    resolve("good.test")
    sock = t.tcp(socket.AF_INET6)
    sock.bind((own_link_local(t), 0, 0, link(t)))
    sock.connect((GOOD6, t.port))


@technique("A12", "accepted-link-local-tcp", oracle="far", far_port=True, allow=False)
def accepted_link_local_tcp(t):
    """the same by a socket that was accepted, disconnected and bound: it was not made by socket()"""
    resolve("good.test")
    listener = t.tcp(socket.AF_INET6)
    listener.bind(("::1", 0))
    listener.listen(1)
    ours = t.tcp(socket.AF_INET6)
    ours.connect(listener.getsockname())
    sock, _ = listener.accept()
    disconnect(sock)
    sock.bind((own_link_local(t), 0, 0, link(t)))
    sock.settimeout(2)
    sock.connect((GOOD6, t.port))
    sock.send(t.marker)


def asks(name, what, ask, families=("4", "6")):
    for family, label, host in ((socket.AF_INET, "4", RESOLVER4), (socket.AF_INET6, "6", RESOLVER6)):
        if label not in families:
            continue

        def function(t, family=family, host=host):
            ask(t, t.udp(family), family, host)
        function.__doc__ = f"{what}, IPv{label}"
        technique("A12", f"{name}-{label}", oracle="far", options=TRUSTED)(function)


def wild(t):
    """An allowed name: who hears it is what matters."""
    return f"{t.marker.decode()}.wild.test"


def ask_address(t, sock, family, host):
    sock.sendmsg([query(wild(t))], by(t, family), 0, (host, 53))


def ask_peer(t, sock, family, host):
    sock.connect((host, 53))
    sock.sendmsg([query(wild(t))], by(t, family))


asks("query", "an allowed query to a trusted resolver's address by another link", ask_address)
asks("query-connected", "the same on a connected socket", ask_peer, "4")


@technique("A12", "link-local", oracle="far", allow=False, options=("--resolver=fe80::53%eth0",))
def link_local_resolver(t):
    """a query to the link-local address of a trusted resolver, on another link"""
    t.udp(socket.AF_INET6).sendto(query(wild(t)), ("fe80::53", 53, 0, link(t)))


@technique("A12", "unicast-if", oracle="far", allow=False)
def unicast_if(t):
    """IP_UNICAST_IF"""
    resolve("good.test")
    sock = t.udp()
    sock.setsockopt(socket.IPPROTO_IP, 50, struct.pack("!I", link(t)))
    sock.sendto(t.marker, (GOOD4, t.port))


@technique("A12", "bindtodevice", oracle="far", allow=False)
def bind_to_device(t):
    """SO_BINDTODEVICE"""
    resolve("good.test")
    sock = t.udp()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0" if t.allowed else LINK.encode())
    sock.sendto(t.marker, (GOOD4, t.port))
