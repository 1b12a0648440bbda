# SPDX-License-Identifier: GPL-2.0-or-later
"""What a technique of the bypass suite is, and what it gets to work with.

A technique is a function of a module rows_X.py, registered by @technique. It is run in a process of its own,
first outside the sandbox against the evil target (phase "outside"), then inside against the same ("deny", once
as uid 65534 and once as root without capabilities), and inside against an allowed target ("allow"). It sends
t.marker, or to t.port, and need not say whether that worked: the harness looks at what arrived on the
servers' side.

    @technique("A1", "sendto")
    def sendto(t):
        t.udp().sendto(t.marker, (t.host4, t.port))
"""
import os
import signal
import socket
import subprocess
import sys

SLOW = float(os.environ.get("SP_SLOW", "1"))
PHASES = ("outside", "deny", "allow")

GOOD4, GOOD6 = "198.18.0.2", "2001:db8:5a11::2"
CDN4, CDN6 = "198.18.0.3", "2001:db8:5a11::3"
EVIL4, EVIL6 = "198.18.0.66", "2001:db8:5a11::66"
RESOLVER4, RESOLVER6 = "198.18.0.53", "2001:db8:5a11::53"
EVIL_RESOLVER4, EVIL_RESOLVER6 = "198.18.0.54", "2001:db8:5a11::54"
# a second link of the client's, to who answers there for every address of the servers; its own addresses on it
LINK, LINK_SELF4, LINK_SELF6 = "eth1", "192.0.2.1", "2001:db8:11::1"
SELF4, SELF6 = "198.18.0.1", "2001:db8:5a11::1"
FIRST_PORT = 20000
# descriptors that every command inherits: made outside, in the client's network
INHERITED_SOCKET, INHERITED_CGROUP = 200, 201

TECHNIQUES = []


class NotHere(Exception):
    """This kernel cannot do it even outside: the test is skipped, and says why. Inside it is a denial like any."""


class Technique:
    def __init__(self, row, name, function, options):
        self.row, self.name, self.function = row, name, function
        self.id = f"{row}-{name}"
        self.index = len(TECHNIQUES)
        self.what = (function.__doc__ or name).strip().split("\n")[0]
        # marker: bytes of t.marker (case does not count); packet: those, or a frame to the target's address and
        # t.port; far: the bytes, on the second link (in phase "allow": on the first); with far_port=True also a frame
        # to good.test and t.port there; word: what the function returns (only where nothing can be seen on any wire)
        self.oracle = options.pop("oracle", "packet")
        self.far_port = options.pop("far_port", False)
        # False: there is no legitimate use to allow; "marker" and "word": the oracle of that phase
        self.allow = options.pop("allow", True)
        self.policy = options.pop("policy", "default")
        self.options = tuple(options.pop("options", ()))
        self.users = tuple(options.pop("users", ("65534", "root")))
        # it gets out, here is why, and SECURITY.md says so; {user: why} if not for each
        stated = options.pop("stated", None) or {}
        self.stated = stated if isinstance(stated, dict) else dict.fromkeys(self.users, stated)
        # False: nobody listens at t.port of the servers; `beside` does
        self.sink = options.pop("sink", True)
        self.timeout = options.pop("timeout", 3)
        # (harness, t) -> what has to be outside meanwhile: a generator function, gone on with after the phase. One
        # that starts a sandbox of its own (harness.start) may be the whole technique
        self.beside = options.pop("beside", None)
        # (IPv4, IPv6): the target in place of evil, outside and in phase "deny"
        self.hosts = options.pop("hosts", None)
        # True: what it returns in phase "deny" must be true too: it came to its last step, which was stopped
        self.to_the_end = options.pop("to_the_end", False)
        if options:
            raise TypeError(f"{self.id}: unknown options {sorted(options)}")


def technique(row, name, **options):
    def register(function):
        item = Technique(row, name, function, dict(options))
        if any(other.id == item.id for other in TECHNIQUES):
            raise ValueError(f"{item.id} is there twice")
        TECHNIQUES.append(item)
        return function
    return register


class Attempt:
    """One run of one technique.

    marker    12 bytes that nothing else sends: "sp", then hexadecimal digits; fit for a DNS label
    port      a port of the target's that is this technique's own; TCP and UDP are read there, and echoed
    host4/6   address of the target: evil, or in phase "allow" that of good.test, which was looked up before
    name      a name below the target's domain with the marker as a label, which resolves to host4
    user      for `beside`: who the technique runs as, "root" or "65534"
    """

    def __init__(self, item, phase, run, directory, user="root"):
        self.item, self.phase, self.directory, self.user = item, phase, directory, user
        self.port = FIRST_PORT + item.index
        self.marker = marker(item, phase, run)
        self.allowed = phase == "allow"
        self.host4, self.host6 = (GOOD4, GOOD6) if self.allowed else item.hosts or (EVIL4, EVIL6)
        self.domain = "wild.test" if self.allowed else "evil.test"
        self.name = f"{self.marker.decode()}.{self.domain}"

    def program(self, name):
        """Path of a program that tests/bypass/build made of NAME.c."""
        return os.path.join(self.directory, "bin", name)

    def run(self, name, *arguments):
        """Runs such a program: what it printed. Exit 77 is NotHere, and anything else but 0 an error."""
        command = [self.program(name), *[a.decode() if isinstance(a, bytes) else str(a) for a in arguments]]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said = " ".join(done.stdout.split())
        if done.returncode == 77:
            raise NotHere(said or "this kernel has no such call")
        if done.returncode < 0:
            raise ChildProcessError(f"killed by {signal.Signals(-done.returncode).name}")
        if done.returncode:
            raise ChildProcessError(said or f"exit {done.returncode}")
        return said

    def sock(self, family, kind, protocol=0):
        sock = socket.socket(family, kind, protocol)
        sock.settimeout(self.wait)
        return sock

    @property
    def wait(self):
        """Seconds that a technique waits for something that may not come."""
        return 1 * SLOW

    def udp(self, family=socket.AF_INET):
        return self.sock(family, socket.SOCK_DGRAM)

    def tcp(self, family=socket.AF_INET):
        sock = self.sock(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def connect(self, port=None, host=None):
        """A TCP connection to the target."""
        host = host or self.host4
        sock = self.tcp(socket.AF_INET6 if ":" in host else socket.AF_INET)
        sock.connect((host, self.port if port is None else port))
        return sock

    def at_cdn(self, port):
        """A connection to an address that one.cdn.test (allowed) and two.cdn.test (not) share."""
        resolve("one.cdn.test")
        return self.connect(port, CDN4)


def marker(item, phase, run):
    return f"sp{run:04x}{PHASES.index(phase):x}{item.index:04x}z".encode()


def resolve(name, port=None, family=socket.AF_UNSPEC):
    return [entry[4] for entry in socket.getaddrinfo(name, port, family, socket.SOCK_STREAM)]


def heard(harness, t, family=socket.AF_INET):
    """A beside: a datagram service of the host's on all addresses. What it hears, backwards, is sent on to the target."""
    any_address = "::" if family == socket.AF_INET6 else "0.0.0.0"
    with harness.socket_in_client(family, bind=(any_address, t.port)) as service:
        service.setblocking(False)
        yield
        try:
            while True:
                if service.recv(100) == t.marker[::-1]:
                    with harness.socket_in_client() as sock:
                        sock.sendto(t.marker, (t.host4, t.port))
        except BlockingIOError:
            pass


def load_rows():
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, here)
    for file in sorted(os.listdir(here)):
        if file.startswith("rows_") and file.endswith(".py"):
            __import__(file[:-3])
    return TECHNIQUES
