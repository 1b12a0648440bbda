# SPDX-License-Identifier: GPL-2.0-or-later
"""Row A13: pages that change between the packet hook and the wire.

A page is handed to a socket, and says something else as soon as the call has returned. What a server reads is then
what the page says when it reads, and what it sends back (an echo, an answer with the question in it) shows it. This
is a race that the sandbox wins most times, so it is tried some times over. Outside and inside it says what is allowed
first. The pair: what is handed over behind the verdict (the body of a request, records of TLS) arrives.
"""
import errno
import mmap
import os
import socket
import ssl
import struct

import calls
from hello import OURS, THEIRS, hello, post, record, unconnected
from rows_c import query
from technique import CDN4, CDN6, GOOD4, GOOD6, RESOLVER4, RESOLVER6, resolve, technique

TRIES = 60
AHEAD = 80  # queries that the resolver has to read first
TRUSTED = (f"--resolver={RESOLVER4}", f"--resolver={RESOLVER6}")


def by_sendfile(sock, memory, page, length):
    os.sendfile(sock.fileno(), memory, 0, length)
    return ()


def by_splice(sock, memory, page, length):
    ready, out = os.pipe()
    os.splice(memory, out, length, offset_src=0)
    os.splice(ready, sock.fileno(), length)
    return ready, out


def gift(page, length):
    """A pipe with the page itself, which stays ours."""
    ready, out = os.pipe()
    vector = calls.iovec(calls.ctypes.addressof(calls.ctypes.c_char.from_buffer(page)), length)
    calls.syscall(calls.SYS_VMSPLICE, out, calls.ctypes.byref(vector), 1, 0)
    return ready, out


def by_vmsplice(sock, memory, page, length):
    ready, out = gift(page, length)
    calls.splice(ready, sock)
    return ready, out


def by_tee(sock, memory, page, length):
    ready, out = gift(page, length)
    ready2, out2 = os.pipe()
    calls.checked(calls.LIBC.tee(ready, out2, calls.ctypes.c_size_t(length), 0))
    calls.splice(ready2, sock)
    return ready, out, ready2, out2


CALLS = {"sendfile": by_sendfile, "splice": by_splice, "vmsplice": by_vmsplice, "tee": by_tee}


def hurry(on):
    """Outside, where it must be seen to work: whoever is woken by what is sent waits until the page has changed."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO if on else os.SCHED_OTHER, os.sched_param(1 if on else 0))
    except PermissionError:
        pass


def swapped(sock, before, after, send):
    """Hands over a page that says `before`, and says `after` in it."""
    assert len(before) == len(after)
    memory = os.memfd_create("page")
    os.ftruncate(memory, 4096)
    page = mmap.mmap(memory, 4096)
    page[:len(before)] = before
    end, opened = len(after), ()
    hurry(True)
    try:
        opened = send(sock, memory, page, end)
        page[:end] = after
    finally:
        hurry(False)
        for fd in (memory, *opened):
            os.close(fd)


def handed(sock, data, send):
    """Hands a page over, as it is; where that is refused goes on as programs do."""
    memory = os.memfd_create("page")
    os.ftruncate(memory, 4096)
    page = mmap.mmap(memory, 4096)
    page[:len(data)] = data
    try:
        send(sock, memory, page, len(data))
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        sock.sendall(data)


def again(t, sock, attempt):
    """Until the marker has come back, each time on a socket of its own. The last failure is the word."""
    failure = None
    for _ in range(TRIES):
        with sock() as one:
            try:
                attempt(one)
                if t.marker in one.recv(4096):
                    return
                failure = None
            except OSError as error:
                failure = error
    if failure:
        raise failure


def connected(t, host, port):
    sock = unconnected(t, socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.settimeout(0.3)
    sock.connect((host, port))
    return sock


def names(t):
    """An allowed and a denied name of one length."""
    denied = t.name
    return "x" * (len(denied) - len(".wild.test")) + ".wild.test", denied


def dns_udp(t, six, send):
    resolver = RESOLVER6 if six else RESOLVER4

    def sock():
        one = t.udp(socket.AF_INET6 if six else socket.AF_INET)
        one.settimeout(0.3)
        one.connect((resolver, 53))
        return one
    ours, theirs = map(query, names(t))

    def attempt(one):
        with sock() as other:
            for _ in range(AHEAD):
                other.send(ours)
            swapped(one, ours, theirs, send)
    again(t, sock, attempt)


def dns_tcp(t, six, send):
    ours, theirs = (struct.pack("!H", len(data)) + data for data in map(query, names(t)))
    again(t, lambda: connected(t, RESOLVER6 if six else RESOLVER4, 53),
          lambda one: swapped(one, ours, theirs, send))


def tls(t, six, send):
    if t.allowed:
        return tls_records(t, GOOD6 if six else GOOD4, send)
    resolve(OURS)
    again(t, lambda: connected(t, CDN6 if six else CDN4, t.port),
          lambda one: swapped(one, record(hello(OURS, b"x" * len(t.marker))), record(hello(THEIRS, t.marker)), send))


def tls_records(t, host, send):
    """A handshake with the server, and then a record by the call."""
    resolve("good.test")
    context = ssl._create_unverified_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    shake = context.wrap_bio(incoming, outgoing, server_hostname="good.test")
    with t.connect(443, host) as sock:
        while True:
            try:
                shake.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
                incoming.write(sock.recv(65536))
        # what TLS has still to say, and a record that makes no sense, on whole pages
        handed(sock, outgoing.read() + struct.pack("!BHH", 23, 0x0303, len(t.marker)) + t.marker, send)
        sock.recv(10)


def http(t, six, send):
    if t.allowed:
        resolve("good.test")
        sock = t.connect(80, GOOD6 if six else GOOD4)
        head = post("good.test", t.marker)
        sock.sendall(head[:-len(t.marker)])
        handed(sock, t.marker, send)
        sock.recv(4096)
        return
    resolve(OURS)
    again(t, lambda: connected(t, CDN6 if six else CDN4, t.port),
          lambda one: swapped(one, post(OURS, b"x" * len(t.marker)), post(THEIRS, t.marker), send))


for label, what, function in (("dns-udp", "a query", dns_udp), ("dns-tcp", "a query over TCP", dns_tcp),
                              ("tls", "a ClientHello", tls), ("http", "a request", http)):
    for call, send in CALLS.items():
        for six in (False, True):
            def page(t, function=function, six=six, send=send):
                function(t, six, send)
            page.__doc__ = (f"{what} by {call}(), its page changed before it has left, "
                            f"{'IPv6' if six else 'IPv4'}")
            technique("A13", f"{label}-{call}-{'6' if six else '4'}", oracle="marker", timeout=8,
                      options=TRUSTED if six and "dns" in label else (), allow=function in (tls, http))(page)


@technique("A13", "http-second", oracle="marker", allow=False, timeout=8)
def http_second(t):
    """the head of a second request by sendfile(), its page changed before it has left"""
    resolve(OURS)

    def attempt(one):
        one.sendall(post(OURS, b"first"))
        one.recv(4096)
        swapped(one, post(OURS, b"x" * len(t.marker)), post(THEIRS, t.marker), by_sendfile)
    again(t, lambda: connected(t, CDN4, t.port), attempt)


@technique("A13", "http-behind-body", oracle="marker", allow=False, timeout=8)
def http_behind_body(t):
    """a body by sendfile(), and the next request in the same page"""
    resolve(OURS)
    body = b"b" * 100

    def attempt(one):
        one.sendall(post(OURS, body)[:-len(body)])
        swapped(one, body + post(OURS, b"x" * len(t.marker)), body + post(THEIRS, t.marker), by_sendfile)
        one.recv(4096)
    again(t, lambda: connected(t, CDN4, t.port), attempt)


@technique("A13", "corked", oracle="marker", allow=False, timeout=8)
def corked(t):
    """a ClientHello of which the first half is sent and the second, with the name, is a page, in one segment"""
    resolve(OURS)
    before, after = record(hello(OURS, b"x" * len(t.marker))), record(hello(THEIRS, t.marker))

    def attempt(one):
        one.send(before[:40], socket.MSG_MORE)
        swapped(one, before[40:], after[40:], by_sendfile)
    again(t, lambda: connected(t, CDN4, t.port), attempt)


@technique("A13", "uncorked", oracle="marker", allow=False, timeout=8)
def uncorked(t):
    """the same under TCP_CORK, and sent by the end of the cork after the page has changed once"""
    resolve(OURS)
    before, after = record(hello(OURS, b"x" * len(t.marker))), record(hello(THEIRS, t.marker))

    def attempt(one):
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)

        def send(sock, memory, page, length):
            by_sendfile(sock, memory, page, length)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
            return ()
        swapped(one, before, after, send)
    again(t, lambda: connected(t, CDN4, t.port), attempt)


@technique("A13", "udp-cork", oracle="marker", allow=False, timeout=8)
def udp_cork(t):
    """a query of which the header is sent and the rest spliced, in one datagram (UDP_CORK)"""
    ours, theirs = map(query, names(t))

    def sock():
        one = t.udp()
        one.settimeout(0.3)
        one.connect((RESOLVER4, 53))
        return one

    def attempt(one):
        one.send(ours[:12], socket.MSG_MORE)
        swapped(one, ours[12:], theirs[12:], by_sendfile)
    again(t, sock, attempt)
