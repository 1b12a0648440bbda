# SPDX-License-Identifier: GPL-2.0-or-later
"""Row D13 of THREATS.md: segments in the server's name, from a friend who does not see the connection.

The server here never agrees to anything. The friend knows the ports, sends a SYN and then what the server would
have to say, and TCP rejects both.
"""
import time

from hello import OURS, at, get, hello, pieces, post, record
from rows_d import BESIDE, server
from technique import SLOW, technique

FRIEND = r"""
import socket, struct, sys, threading, time

def total(b):
    b += b"\0" * (len(b) & 1)
    s = sum(struct.unpack(">%dH" % (len(b) // 2), b))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff

def segment(source, target, sequence, flags, data=b""):
    ends = socket.inet_aton(source[0]) + socket.inet_aton(target[0])
    tcp = struct.pack(">HHIIBBHHH", source[1], target[1], sequence, 1, 5 << 4, flags, 1000, 0, 0) + data
    check = total(ends + struct.pack(">BBH", 0, 6, len(tcp)) + tcp)
    tcp = tcp[:16] + struct.pack(">H", check) + tcp[18:]
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0) + ends + tcp

def friend(here, there):
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    while True:
        for flags in (2, 18):
            raw.sendto(segment(here, there, 0x11111111, flags), (there[0], 0))
            raw.sendto(segment(here, there, 0x11111112, 0x18, SAYS), (there[0], 0))
        time.sleep(0.05)

listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("198.18.0.3", int(sys.argv[2])))
listener.listen(4)
open(sys.argv[1], "w").close()
while True:
    sock, there = listener.accept()
    threading.Thread(target=friend, args=(sock.getsockname(), there), daemon=True).start()
    try:
        while sock.recv(65536):
            pass
    except OSError:
        pass
"""


def spoofed(name, what, says, first, second):
    def function(t):
        sock = at(t, BESIDE + t.item.index)
        sock.sendall(first(t))
        time.sleep(0.4 * SLOW)
        pieces(sock, second(t))
    function.__doc__ = what
    technique("D13", name, oracle="marker", allow=False, timeout=4,
              beside=server(f"SAYS = {says!r}\n" + FRIEND))(function)


HELLO = b"\x16\3\3\0\x5a\2\0\0\x56\3\3"
RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n"

spoofed("101", "a spoofed answer that agrees to another protocol, then a request that names another host",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        lambda t: get(OURS, UPGRADE), lambda t: post("two.cdn.test", t.marker))
spoofed("server-hello", "a spoofed ServerHello, then a second hello that names another host",
        HELLO + b"r" * 32 + bytes(47), lambda t: record(hello(OURS, b"x" * 12)),
        lambda t: record(hello("two.cdn.test", t.marker)))
spoofed("retry", "a spoofed HelloRetryRequest, then a second hello that names another host",
        HELLO + RETRY + bytes(47), lambda t: record(hello(OURS, b"x" * 12)),
        lambda t: record(hello("two.cdn.test", t.marker)))
