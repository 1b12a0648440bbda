# SPDX-License-Identifier: GPL-2.0-or-later
"""What sallyport holds on this host: maps, links, pins, cgroups, files. And a corner of the host to hold
it in, where no other sandbox is counted: to be imported, by root."""
import ctypes
import os
import struct
import subprocess

RUN_DIR, BPFFS = "/run/sallyport", "/sys/fs/bpf"
OUTERS = ("policy_buckets", "policy_nodes", "policy_acls", "policy_entries", "policy_cidr4",
          "policy_cidr6", "learned_addrs", "learned_pairs", "learned_names", "pending", "events",
          "requests")
SLOTS = 2048  # SP_SANDBOXES_MAX

libc = ctypes.CDLL(None, use_errno=True)
SYS_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
LOOKUP, OBJ_GET, PROG_NEXT, MAP_NEXT, MAP_FD, LINK_NEXT = 1, 7, 11, 12, 14, 31


def bpf(command, attributes):
    """The result (or -errno), and the attributes as the kernel left them."""
    buffer = ctypes.create_string_buffer(attributes, max(len(attributes), 128))
    result = libc.syscall(SYS_BPF, command, buffer, len(buffer))
    return (result if result >= 0 else -ctypes.get_errno()), buffer.raw


def ids(command):
    at, found = 0, []
    while True:
        result, after = bpf(command, struct.pack("IIII", at, 0, 0, 0))
        if result < 0:
            return found
        at = struct.unpack_from("I", after, 4)[0]
        found.append(at)


def open_id(command, number):
    return bpf(command, struct.pack("IIII", number, 0, 0, 0))[0]


def memory_of_map(number):
    fd = open_id(MAP_FD, number)
    if fd < 0:
        return 0
    with open(f"/proc/self/fdinfo/{fd}") as info:
        memory = sum(int(line.split()[1]) for line in info if line.startswith("memlock:"))
    os.close(fd)
    return memory


def slots_in_use():
    """{slot: [id of each of its inner maps]}"""
    found = {}
    key, value = ctypes.create_string_buffer(4), ctypes.create_string_buffer(8)
    for build in os.listdir(f"{BPFFS}/sallyport") if os.path.isdir(f"{BPFFS}/sallyport") else ():
        for name in OUTERS:
            path = ctypes.create_string_buffer(f"{BPFFS}/sallyport/{build}/map_{name}".encode())
            fd, _ = bpf(OBJ_GET, struct.pack("QII", ctypes.addressof(path), 0, 0))
            if fd < 0:
                continue
            attributes = struct.pack("IIQQQ", fd, 0, ctypes.addressof(key), ctypes.addressof(value), 0)
            for slot in range(SLOTS):
                struct.pack_into("I", key, 0, slot)
                if bpf(LOOKUP, attributes)[0] == 0:
                    found.setdefault(slot, []).append(struct.unpack_from("I", value, 0)[0])
            os.close(fd)
    return found


def below(directory):
    return [os.path.join(where, name) for where, dirs, files in os.walk(directory)
            for name in dirs + files]


def cgroups_below(directory):
    return [where for where, _, _ in os.walk(directory)][1:]


def leftovers(cgroup):
    """What is there of sandboxes, as words; nothing of what is kept for good is among it."""
    left = [f"maps of slot {slot}" for slot in slots_in_use()] + cgroups_below(cgroup)
    return left + [path for path in below(f"{BPFFS}/sallyport")
                   if "/boxes/" in path or "/sallyport/new" in path]


def host_memory():
    with open("/proc/meminfo") as info:
        fields = dict(line.split(":") for line in info)
    return tuple(int(fields[name].split()[0]) for name in ("Slab", "MemAvailable"))


def own_mounts():
    """For the first process of a PID namespace, with mounts of its own: bpffs and /run/sallyport of its own too."""
    assert os.getpid() == 1, "not the first process: pins would be with others'"
    subprocess.run(["mount", "-t", "bpf", "bpf", BPFFS], check=True)
    os.makedirs(RUN_DIR, mode=0o700, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0700", "tmpfs", RUN_DIR], check=True)


def enter_cgroup(name):
    """A new cgroup below the current one, which this process enters; its path."""
    with open("/proc/self/mountinfo") as mounts:
        root = next(line.split()[4] for line in mounts if " - cgroup2 " in line)
    with open("/proc/self/cgroup") as current:
        path = next(line.strip()[3:] for line in current if line.startswith("0::"))
    cgroup = f"{root}/{path}/{name}-{os.getpid()}"
    os.mkdir(cgroup)
    with open(f"{cgroup}/cgroup.procs", "w") as procs:
        procs.write("0")
    return cgroup


def leave_cgroup(cgroup):
    """Goes back to where enter_cgroup() was called, and removes the cgroup and what is empty in it."""
    with open(f"{os.path.dirname(cgroup)}/cgroup.procs", "w") as procs:
        procs.write("0")
    for path in reversed([cgroup] + cgroups_below(cgroup)):
        try:
            os.rmdir(path)
        except OSError:
            pass
