# SPDX-License-Identifier: GPL-2.0-or-later
"""Section A of threats.md: every way to send that a hook might not see."""
import socket

from technique import technique


@technique("A1", "sendto4")
def sendto4(t):
    """sendto() of a datagram, IPv4"""
    t.udp().sendto(t.marker, (t.host4, t.port))


@technique("A1", "connect4")
def connect4(t):
    """connect() and send(), TCP over IPv4"""
    t.connect().sendall(t.marker)


@technique("A1", "mapped-udp")
def mapped_udp(t):
    """sendto() to a v4-mapped IPv6 address"""
    t.udp(socket.AF_INET6).sendto(t.marker, (f"::ffff:{t.host4}", t.port))
