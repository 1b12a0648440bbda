#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Leaves a process behind that gives up every mount of the sandbox when told to, and with them what only they
kept alive; then tries to get out.

Usage: lastmount.py DIR ADDRESS PORT

Writes DIR/left (its pid); waits for DIR/go; writes DIR/freed (how far it came) and DIR/out ("open" or an error).
"""
import ctypes
import os
import socket
import sys
import time

NEWNS, NEWUSER, DETACH, PIVOT_ROOT = 0x20000, 0x10000000, 2, {"x86_64": 155, "aarch64": 41}[os.uname().machine]
libc = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


def give_up():
    uid, gid = os.getuid(), os.getgid()
    call("unshare", NEWUSER | NEWNS)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    call("mount", b"tmpfs", b"/tmp", b"tmpfs", 0, None)
    os.chdir("/tmp")
    call("syscall", PIVOT_ROOT, b".", b".")
    call("umount2", b".", DETACH)
    os.chdir("/")


directory, address, port = sys.argv[1:]
"x".encode("idna")  # what Python loads late is loaded now
if os.fork():
    while not os.path.exists(f"{directory}/left"):
        time.sleep(0.02)
    sys.exit(0)
os.setsid()
with open("/dev/null", "r+", encoding="ascii") as null:
    for fd in range(3):
        os.dup2(null.fileno(), fd)
freed = open(f"{directory}/freed", "w", encoding="ascii")
out = open(f"{directory}/out", "w", encoding="ascii")
with open(f"{directory}/left.new", "w", encoding="ascii") as left:
    left.write(f"{os.getpid()}\n")
os.rename(f"{directory}/left.new", f"{directory}/left")
while not os.path.exists(f"{directory}/go"):
    time.sleep(0.02)
try:
    give_up()
    freed.write("all\n")
except OSError as error:
    freed.write(f"{error}\n")
freed.close()
time.sleep(1)  # the kernel takes its time to destroy a mount namespace
try:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.settimeout(3)
    sock.connect((address, int(port)))
    sock.sendall(b"free at last")
    out.write("open\n")
except OSError as error:
    out.write(f"{error}\n")
out.close()
