# SPDX-License-Identifier: GPL-2.0-or-later
"""Row A15 of THREATS.md: `run` answers a denied query in the resolver's name. Whom can that be made to reach?

Each has a victim outside, which tells the target when it hears a message with this attempt's name. Outside it is
the resolver's own answer that comes astray.
"""
import socket
import struct
import time

from technique import RESOLVER4, RESOLVER6, SELF4, SELF6, SLOW, technique

IP, IPV6 = socket.IPPROTO_IP, socket.IPPROTO_IPV6
PKTINFO, PKTINFO6 = 8, 50  # IP_PKTINFO, IPV6_PKTINFO


def query(t):
    """For a name that is denied. It holds the marker backwards: the query itself is no proof."""
    name = b"".join(bytes([len(label)]) + label for label in (t.marker[::-1], b"evil", b"test"))
    return b"\0\7\1\0\0\1\0\0\0\0\0\0" + name + b"\0\0\1\0\1"


def victim(bind, connected=None):
    """A beside: a socket of the host's at t.port, of a service or of a look-up under way."""
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET

    def beside(harness, t):
        with harness.socket_in_client(family, bind=(bind, t.port)) as sock:
            sock.settimeout(0.4 * SLOW)  # outside the resolver has to answer first
            if connected:
                sock.connect((connected, 53))
            yield
            try:
                while True:
                    if t.marker[::-1] in sock.recv(2000):
                        with harness.socket_in_client() as out:
                            out.sendto(t.marker, (t.host4, t.port))
            except OSError:
                pass  # nothing (more) is there
    return beside


def asks(t, bind, resolver, control=()):
    """Binds to t.port at `bind`, shared with whoever lets it be shared, and sends the query."""
    sock = t.udp(socket.AF_INET6 if ":" in bind else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((bind, t.port))
    sock.sendmsg([query(t)], list(control), 0, (resolver, 53))
    return sock


def hears(t, sock):
    """The answer to the asker itself, which may have to wait for it."""
    try:
        sock.recv(2000)
    except OSError:
        pass
    sock.close()


def case(name, what, bind, resolver, control=None, close=False, **options):
    def function(t):
        ancillary = [control] if control else []
        if t.phase == "outside":
            # An answer finds who is left when the asker was faster than the resolver: most times, so some times over.
            for _ in range(40):
                asks(t, bind, resolver, ancillary).close()
                time.sleep(0.002)
            return
        sock = asks(t, bind, resolver, ancillary)
        if close:
            for _ in range(20):  # the answer to the last one finds who is left
                try:
                    sock.sendmsg([query(t)], ancillary, 0, (resolver, 53))
                except PermissionError:
                    break
            sock.close()
        else:
            hears(t, sock)
    function.__doc__ = what
    if resolver == RESOLVER6:
        options["policy"] = "odd"  # which trusts it
    technique("A15", name, allow=False, sink=False, **options)(function)


AS_SELF4 = (IP, PKTINFO, struct.pack("=i4s4x", 0, socket.inet_aton(SELF4)))
AS_SELF6 = (IPV6, PKTINFO6, socket.inet_pton(socket.AF_INET6, SELF6) + struct.pack("=i", 0))
AS_MAPPED = (IPV6, PKTINFO6, socket.inet_pton(socket.AF_INET6, f"::ffff:{SELF4}") + struct.pack("=i", 0))

case("source", "the answer to a look-up under way: asked from its port, at another address, by IP_PKTINFO",
     "127.0.0.2", RESOLVER4, AS_SELF4, beside=victim(SELF4, RESOLVER4))
case("source6", "the same over IPv6", "::1", RESOLVER6, AS_SELF6, beside=victim(SELF6, RESOLVER6))
case("source-mapped", "the same by a dual-stack socket", "::ffff:127.0.0.2", f"::ffff:{RESOLVER4}", AS_MAPPED,
     beside=victim(SELF4, RESOLVER4))
case("source-any", "the same from no address of its own", "0.0.0.0", RESOLVER4, AS_SELF4,
     beside=victim(SELF4, RESOLVER4))
case("source-any6", "the same over IPv6", "::", RESOLVER6, AS_SELF6, beside=victim(SELF6, RESOLVER6))
case("service", "a datagram to a service of the host's: asked from its port, which it shares", "0.0.0.0", RESOLVER4,
     beside=victim(SELF4))
case("service6", "the same over IPv6", "::", RESOLVER6, beside=victim(SELF6))
case("service-mapped", "the same by a dual-stack socket", "::", f"::ffff:{RESOLVER4}", beside=victim(SELF4))
case("service-any", "the same: the service is at every address, the asker at one", SELF4, RESOLVER4,
     beside=victim("0.0.0.0"))
case("service-any6", "the same over IPv6", SELF6, RESOLVER6, beside=victim("::"))
case("service-any-dual", "the same: a dual-stack service", SELF4, RESOLVER4, beside=victim("::"))
case("gone", "the same: the asker is closed at once", SELF4, RESOLVER4, close=True, beside=victim("0.0.0.0"))
case("gone6", "the same over IPv6", SELF6, RESOLVER6, close=True, beside=victim("::"))
