# SPDX-License-Identifier: GPL-2.0-or-later
"""System calls that Python does not have, or that it would not let an attacker make."""
import ctypes
import os
import socket
import struct

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long

SYS_SENDMMSG, SYS_VMSPLICE, SYS_PIDFD_OPEN, SYS_PIDFD_GETFD, SYS_CLONE3 = 307, 278, 434, 438, 435
SYS_ADD_KEY, SYS_BPF, SYS_PERF_EVENT_OPEN, SYS_PTRACE, SYS_PROCESS_VM_WRITEV = 248, 321, 298, 101, 311
SYS_LANDLOCK_CREATE_RULESET = 444
SYS_SETNS, SYS_OPEN_BY_HANDLE_AT, SYS_MOUNT = 308, 304, 165
CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = (
    0x20000, 0x2000000, 0x10000000, 0x20000000, 0x40000000)
AF_UNSPEC, AF_INET, AF_INET6 = 0, socket.AF_INET, socket.AF_INET6


def checked(result, what=""):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


def syscall(number, *arguments):
    return checked(LIBC.syscall(ctypes.c_long(number), *[
        ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments]))


def sockaddr(host, port, family=None, scope=0):
    """struct sockaddr_in or sockaddr_in6; family: another word in its first field."""
    if ":" in host:
        return struct.pack("=H", AF_INET6 if family is None else family) + struct.pack("!HI", port, 0) + \
            socket.inet_pton(AF_INET6, host) + struct.pack("=I", scope)
    return struct.pack("=H", AF_INET if family is None else family) + struct.pack("!H", port) + \
        socket.inet_aton(host) + bytes(8)


def sendto(sock, data, address, flags=0):
    return checked(LIBC.sendto(sock.fileno(), data, len(data), flags, address, len(address)))


def connect(sock, address):
    return checked(LIBC.connect(sock.fileno(), address, len(address)))


def disconnect(sock):
    connect(sock, struct.pack("=H14x", AF_UNSPEC))


class iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


class msghdr(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint32), ("iov", ctypes.POINTER(iovec)),
                ("iovlen", ctypes.c_size_t), ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t),
                ("flags", ctypes.c_int), ("len", ctypes.c_uint32), ("pad", ctypes.c_uint32)]


def sendmmsg(sock, messages):
    """messages: (data, sockaddr or None)..."""
    keep, vector = [], (msghdr * len(messages))()
    for message, (data, address) in zip(vector, messages):
        data = ctypes.create_string_buffer(data, len(data))
        message.iov = ctypes.pointer(iovec(ctypes.cast(data, ctypes.c_void_p), len(data)))
        message.iovlen = 1
        keep.append(data)
        if address:
            address = ctypes.create_string_buffer(address, len(address))
            message.name, message.namelen = ctypes.cast(address, ctypes.c_void_p), len(address)
            keep.append(address)
    return syscall(SYS_SENDMMSG, sock.fileno(), vector, len(messages), 0)


def splice(source, sock):
    """What is in a pipe, to a socket."""
    return checked(LIBC.splice(source, None, sock.fileno(), None, ctypes.c_size_t(65536), 0))


def vmsplice(data, sock):
    """Pages of our own, by a pipe, to a socket. Returns the buffer, which is still ours."""
    reader, writer = os.pipe()
    data = ctypes.create_string_buffer(data, len(data))
    syscall(SYS_VMSPLICE, writer, ctypes.byref(iovec(ctypes.cast(data, ctypes.c_void_p), len(data))), 1, 0)
    splice(reader, sock)
    return data


def new_user(flags):
    """A user namespace where we are who we are, and more namespaces that it owns."""
    uid, gid = os.geteuid(), os.getegid()
    checked(LIBC.unshare(CLONE_NEWUSER | flags))
    for file, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{file}", "w") as out:
            out.write(text)


def landlock_abi():
    """What this kernel's Landlock can do; 0 if it has none. 6 has scopes."""
    try:
        return syscall(SYS_LANDLOCK_CREATE_RULESET, 0, 0, 1)
    except OSError:
        return 0
