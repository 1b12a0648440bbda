# SPDX-License-Identifier: GPL-2.0-or-later
"""ClientHellos, records and request heads, byte by byte, and how they are sent."""
import fcntl
import os
import select
import socket
import struct
import termios
import time

from technique import CDN4, SLOW, resolve

OURS, THEIRS = "one.cdn.test", "two.cdn.test"  # one address; only the first is allowed
CCS, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
PADDING, EARLY_DATA, PRE_SHARED_KEY, ECH = 21, 42, 41, 0xfe0d


def who(t):
    return OURS if t.allowed else THEIRS


# ---- TLS

def p16(data):
    return struct.pack("!H", len(data)) + data


def extension(kind, data=b""):
    return struct.pack("!H", kind) + p16(data)


def server_name(*names, kind=0):
    """The server name extension with a list of these (text or bytes)."""
    return extension(0, p16(b"".join(bytes([kind]) + p16(text(name)) for name in names)))


def text(name):
    return name.encode() if isinstance(name, str) else name


def usual(share=True, groups=(29, 23)):
    """What a client of TLS 1.3 and 1.2 sends besides the name. Without a share the server asks for another hello."""
    key = struct.pack("!H", 29) + p16(b"\x09" + b"\0" * 31)
    return [extension(10, p16(b"".join(struct.pack("!H", group) for group in groups))),
            extension(11, b"\1\0"),
            extension(13, p16(bytes.fromhex("040308040401050308050501080606010201"))),
            extension(43, b"\4\3\4\3\3"),
            extension(45, b"\1\1"),
            extension(51, p16(key if share else b""))]


def hello(name=OURS, tail=b"", before=(), after=(), sni=None, share=True, session=b"\x5a" * 32,
          ciphers=bytes.fromhex("130113021303c02bc02fc02cc030"), compression=b"\0", version=b"\3\3",
          random=b"\xa5" * 32, total=None):
    """A ClientHello. `tail` ends it, in an extension of its own, so that it arrives only with the last byte."""
    names = sni if sni is not None else (server_name(name) if name is not None else b"")
    extensions = b"".join(before) + names + b"".join(usual(share)) + b"".join(after)
    if tail:
        extensions += extension(0xfafa, tail)
    body = version + random + bytes([len(session)]) + session + p16(ciphers)
    body += bytes([len(compression)]) + compression
    body += p16(extensions) if total is None else struct.pack("!H", total) + extensions
    return message(body)


def message(body, kind=1, length=None):
    return bytes([kind]) + struct.pack("!I", len(body) if length is None else length)[1:] + body


def record(data, kind=HANDSHAKE, version=0x0301):
    return struct.pack("!BH", kind, version) + p16(data)


def records(data, *sizes):
    """As records of these sizes; the last size goes on, but for the end, where the marker stays in one piece."""
    found, at, end = [], 0, len(data) - 16
    for size in list(sizes) + [sizes[-1]] * end:
        if at >= end:
            break
        found.append(record(data[at:min(at + size, end)]))
        at += size
    return b"".join(found) + record(data[end:])


def cut(data, *places):
    """In pieces, cut at these places (negative: from the end)."""
    edges = [0] + sorted(place % len(data) for place in places) + [len(data)]
    return [data[a:b] for a, b in zip(edges, edges[1:])]


def every(data, size):
    return [data[at:at + size] for at in range(0, len(data), size)]


# ---- HTTP

def post(host, body, more=""):
    """A request whose body is the marker: it arrives only behind a whole head."""
    return (f"POST / HTTP/1.1\r\nHost: {host}\r\n{more}Content-Length: {len(body)}\r\n\r\n").encode() + body


def get(host, more="", path="/"):
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode()


# ---- sending

def at(t, port, host=CDN4):
    """A connection to an address that both names share, from a port that events can be told by."""
    resolve(OURS)
    sock = unconnected(t, socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.connect((host, port))
    return sock


def unconnected(t, family=socket.AF_INET):
    sock = t.tcp(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.bind(("", t.port))
    return sock


def unsent(sock):
    """Bytes that the peer has not acknowledged yet."""
    return struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0" * 4))[0]


def settle(sock, seconds=0.5):
    """Until all is acknowledged, or the connection is gone, or it takes too long."""
    end = time.monotonic() + seconds * SLOW
    poll = select.poll()
    poll.register(sock, select.POLLERR | select.POLLHUP)
    while time.monotonic() < end and unsent(sock):
        if poll.poll(2):
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                raise OSError(error, os.strerror(error))
            return


def pieces(sock, *parts):
    """Each part in a segment of its own."""
    for part in parts:
        sock.sendall(part)
        settle(sock)
