# SPDX-License-Identifier: GPL-2.0-or-later
"""Row A13: pages that change between the packet hook and the wire.

A page is handed to a socket, and says something else as soon as the call has returned. What a server reads is then
what the page says when it reads, and what it sends back (an echo, an answer with the question in it) shows it. This
is a race that the sandbox wins most times, so it is tried some times over. Outside and inside it says what is allowed
first. The pair: what is handed over behind the verdict (the body of a request, records of TLS) arrives.
"""
import errno
import fcntl
import mmap
import os
import socket
import ssl
import struct
import time

import calls
from hello import OURS, THEIRS, hello, post, record, unconnected
from rows_c import query
from technique import CDN4, CDN6, GOOD4, GOOD6, RESOLVER4, RESOLVER6, NotHere, resolve, technique

TRIES = 30
AHEAD = 10  # queries that the resolver has to read first
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


class Hurry:
    """Outside, where it must be seen to work, nobody who reads runs until the page has changed: we and a busy process
    on each other CPU are real-time. Where that may not be set, all goes as it goes."""

    def __init__(self):
        self.pids, self.shared = [], mmap.mmap(-1, 4096)
        self.cpus = sorted(os.sched_getaffinity(0))
        try:
            self.real_time(True)
            self.real_time(False)
        except PermissionError:
            return
        for place, cpu in enumerate(self.cpus[1:], 1):
            pid = os.fork()
            if pid == 0:
                self.busy(place, cpu)
            self.pids.append(pid)
        os.sched_setaffinity(0, self.cpus[:1])

    @staticmethod
    def real_time(on):
        os.sched_setscheduler(0, os.SCHED_FIFO if on else os.SCHED_OTHER, os.sched_param(1 if on else 0))

    def busy(self, place, cpu):
        os.sched_setaffinity(0, [cpu])
        self.real_time(True)
        end = time.monotonic() + 60
        while self.shared[0] != 2 and time.monotonic() < end:
            if self.shared[0] == 0:
                time.sleep(0.0005)
                continue
            self.shared[place] = 1
            while self.shared[0] == 1 and time.monotonic() < end:
                pass
            self.shared[place] = 0
        os._exit(0)

    def __enter__(self):
        if self.pids or len(self.cpus) == 1:
            try:
                self.real_time(True)
            except PermissionError:
                return
        self.shared[0] = 1
        end = time.monotonic() + 0.3
        while not all(self.shared[1:1 + len(self.pids)]) and time.monotonic() < end:
            time.sleep(0.0002)

    def __exit__(self, *_):
        self.shared[0] = 0
        if self.pids or len(self.cpus) == 1:
            try:
                self.real_time(False)
            except PermissionError:
                pass

    def end(self):
        self.shared[0] = 2
        for pid in self.pids:
            os.waitpid(pid, 0)
        os.sched_setaffinity(0, self.cpus)


HURRY = []


def swapped(sock, before, after, send):
    """Hands over a page that says `before`, and says `after` in it."""
    assert len(before) == len(after)
    memory = os.memfd_create("page")
    os.ftruncate(memory, 4096)
    page = mmap.mmap(memory, 4096)
    page[:len(before)] = before
    end, opened = len(after), ()
    try:
        with HURRY[0]:
            opened = send(sock, memory, page, end)
            page[:end] = after
    finally:
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
    HURRY[:] = [Hurry()]
    try:
        for _ in range(TRIES):
            with sock() as one:
                try:
                    attempt(one)
                    if t.marker in one.recv(4096):
                        return
                    failure = None
                except OSError as error:
                    failure = error
    finally:
        HURRY[0].end()
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


def words(data):
    return sum(struct.unpack(f"!{len(data) // 2}H", data[:len(data) // 2 * 2])) + (data[-1] << 8 if len(data) % 2 else 0)


def same_sum(before, after):
    """`after` with an id that makes its checksum that of `before`: before Linux 6.5 it is made when a page is handed
    over."""
    new = (words(before) - words(b"\0\0" + after[2:])) % 0xffff
    return struct.pack("!H", new) + after[2:]


def late_checksum():
    if tuple(map(int, os.uname().release.split(".")[:2])) < (6, 5):
        raise NotHere("before Linux 6.5 the checksum of a datagram is made when its page is handed over: seldom seen to work")


def dns_udp(t, six, send):
    late_checksum()
    resolver = RESOLVER6 if six else RESOLVER4

    def sock():
        one = t.udp(socket.AF_INET6 if six else socket.AF_INET)
        one.settimeout(0.3)
        one.connect((resolver, 53))
        return one
    ours, theirs = map(query, names(t))
    theirs = same_sum(ours, theirs)

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
    late_checksum()
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


def unsent(sock):
    """Bytes that have not passed the packet hook (SIOCOUTQNSD)."""
    return struct.unpack("=i", fcntl.ioctl(sock.fileno(), 0x894B, bytes(4)))[0]


def replied(t, sock):
    """Has the marker come back?"""
    data = b""
    while len(data) < 1 << 20:
        more = sock.recv(65536)
        if not more:
            break
        data = data[-100:] + more
        if t.marker in data:
            return True
    return False


@technique("A13", "grown", oracle="marker", allow=False, timeout=20)
def grown(t):
    """a body that is copied and longer than the window, the next head a page: the kernel fills the last segment of the
    one up with the other (tcp_grow_skb()), and the page changes when all has been judged"""
    resolve(OURS)
    HURRY[:] = [Hurry()]
    failure = None
    try:
        for size in range(20000, 200000, 5000):
            before, after = post(OURS, b"x" * len(t.marker)), post(THEIRS, t.marker)
            with connected(t, CDN4, t.port) as one:
                try:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
                    one.sendall(post(OURS, b"b" * size))

                    def send(sock, memory, page, length):
                        by_sendfile(sock, memory, page, length)
                        end = time.monotonic() + 0.3
                        while unsent(sock) and time.monotonic() < end:
                            pass
                        return ()
                    swapped(one, before, after, send)
                    if replied(t, one):
                        return
                except OSError as error:
                    failure = error
    finally:
        HURRY[0].end()
    if failure:
        raise failure


@technique("A13", "quic", oracle="marker", allow=False, timeout=8)
def quic(t):
    """a datagram to a name on a port other than 443, its page a QUIC Initial when it has passed"""
    late_checksum()
    resolve(OURS)
    after = struct.pack("!BI", 0xc3, 1) + b"i" * 1195 + t.marker
    before = b"\x01" + after[1:-len(t.marker)] + b"x" * len(t.marker)

    def sock():
        one = t.udp()
        one.settimeout(0.3)
        one.connect((CDN4, t.port))
        return one
    again(t, sock, lambda one: swapped(one, before, after, by_sendfile))
