# SPDX-License-Identifier: GPL-2.0-or-later
"""Row B13: the bpffs that holds the pins. What enforces must not rest on it, whoever reaches it."""
import ctypes
import os
import time

import calls
from technique import technique

NEWNS, NEWUSER, DETACH = 0x20000, 0x10000000, 2
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}[os.uname().machine]
libc = ctypes.CDLL(None, use_errno=True)


def own_slot(slot):
    """Is this the slot of the sandbox that this process is in? Others' are left alone."""
    try:
        with open("/proc/self/cgroup", encoding="ascii") as file:
            own = next(line[3:].strip() for line in file if line.startswith("0::"))
        return own.startswith(os.readlink(f"{slot}/path"))
    except (OSError, StopIteration):
        return False


def remove_own(bpffs):
    """Removes the pins of this sandbox from what may be a bpffs."""
    try:
        builds = os.listdir(f"{bpffs}/sallyport")
    except OSError:
        return
    for build in builds:
        boxes = f"{bpffs}/sallyport/{build}/boxes"
        for slot in os.listdir(boxes) if os.path.isdir(boxes) else ():
            if own_slot(f"{boxes}/{slot}"):
                for name in os.listdir(f"{boxes}/{slot}"):
                    os.unlink(f"{boxes}/{slot}/{name}")
                os.rmdir(f"{boxes}/{slot}")


def mounted(kind, table="/proc/self/mountinfo"):
    with open(table, encoding="utf-8") as file:
        return [line.split()[4] for line in file if f" - {kind} " in line]


@technique("B13", "own-mounts", allow=False)
def own_mounts(t):
    """the pins, through any bpffs that is mounted here, uncovered where that goes; then what they held back"""
    for point in mounted("bpf"):
        for _ in range(3):
            remove_own(point)
            if t.phase != "outside":
                libc.umount2(point.encode(), DETACH)
    t.udp().sendto(t.marker, (t.host4, t.port))


@technique("B13", "others-root", allow=False)
def others_root(t):
    """the pins, through /proc/PID/root and /proc/PID/cwd of every process; then what they held back"""
    for pid in (name for name in os.listdir("/proc") if name.isdigit()):
        for way in ("root", "cwd"):
            remove_own(f"/proc/{pid}/{way}/sys/fs/bpf")
            remove_own(f"/proc/{pid}/{way}/run/sallyport/bpf")
    t.udp().sendto(t.marker, (t.host4, t.port))


@technique("B13", "new-mount", allow=False)
def new_mount(t):
    """the pins, through a bpffs that is mounted in a user namespace of its own"""
    calls.new_user(NEWUSER | NEWNS)
    if libc.mount(b"bpf", b"/tmp", b"bpf", 0, None) == 0:
        remove_own("/tmp")
    t.udp().sendto(t.marker, (t.host4, t.port))


@technique("B13", "last-mount", allow=False)
def last_mount(t):
    """every mount of the sandbox given up (user namespace, pivot_root, lazy umount): what only they kept goes"""
    sock = t.udp()  # of which the address family is loaded
    calls.new_user(NEWUSER | NEWNS)
    if libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, None) == 0:
        os.chdir("/tmp")
        if libc.syscall(SYS_PIVOT_ROOT, b".", b".") == 0:
            libc.umount2(b".", DETACH)
            os.chdir("/")
            time.sleep(0.2)  # the kernel takes its time to destroy them
    sock.sendto(t.marker, (t.host4, t.port))
