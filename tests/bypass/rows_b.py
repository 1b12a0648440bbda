# SPDX-License-Identifier: GPL-2.0-or-later
"""Section B of THREATS.md: whose socket it is, what acts for the sandbox, and what undoes it."""
import ctypes
import os
import signal
import socket
import struct
import subprocess
import threading
import time

import calls
from calls import AF_INET, AF_INET6
from technique import (
    EVIL4, GOOD4, INHERITED_CGROUP, INHERITED_SOCKET, RESOLVER4, SELF4, SELF6, NotHere, heard, resolve, technique)

PYTHON = "/usr/bin/python3"
SCOPES = calls.landlock_abi() >= 6
HELPER = "a process outside that acts for the command over a UNIX socket, and is in no table of helpers, is no network traffic"
FOREIGN = "a socket belongs to the cgroup that made it: give a sandbox no UNIX socket of who has the network"


def send(t, sock=None):
    (sock or t.udp()).sendto(t.marker, (t.host4, t.port))


# ---- B1: made before -----------------------------------------------------------------------------


@technique("B1", "inherited", allow=False)
def inherited(t):
    """a socket that the caller of sallyport had open"""
    send(t, socket.socket(fileno=os.dup(INHERITED_SOCKET)))


def standard(name):
    """`sallyport run` with a network socket as one of its standard files."""
    def beside(harness, t):
        number = ("stdin", "stdout").index(name)
        program = (f"import socket; socket.socket(fileno={number}).sendto({t.marker!r}, "
                   f"({t.host4!r}, {t.port}))")
        with harness.socket_in_client() as sock:
            harness.run_sandboxed(t, harness.sandboxed(t, [PYTHON, "-c", program]), "is a network socket",
                                  **{"stderr": subprocess.PIPE, name: sock.fileno()})
        yield

    return beside


@technique("B1", "stdin", allow=False, beside=standard("stdin"))
def stdin(_):
    """a network socket as standard input"""


@technique("B1", "stdout", allow=False, beside=standard("stdout"))
def stdout(_):
    """a network socket as standard output"""


# ---- B2: from outside ----------------------------------------------------------------------------


def unix_path(t):
    return f"{t.directory}/unix-{t.port}"


def listen_unix(harness, address):
    sock = harness.socket_in_client(socket.AF_UNIX, socket.SOCK_STREAM, address)
    if not address.startswith("\0"):
        os.chmod(address, 0o777)
    return sock


def serving(address, action):
    """A beside: accepts connections of a UNIX socket, and does action(harness, t, connection) for each."""
    def beside(harness, t):
        where = address(t)
        listener = listen_unix(harness, where)

        def serve():
            while True:
                try:
                    connection = listener.accept()[0]
                    action(harness, t, connection)
                    connection.close()
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        if not where.startswith("\0"):
            os.unlink(where)

    return beside


def give_socket(harness, _, connection):
    with harness.socket_in_client() as sock:
        socket.send_fds(connection, [b"."], [sock.fileno()])


def forward(harness, t, connection):
    with harness.socket_in_client() as sock:
        sock.sendto(connection.recv(1000), (t.host4, t.port))
    connection.send(b".")


def ask_unix(t, path):
    sock = t.sock(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(path)
    sock.send(t.marker)
    sock.recv(1)


@technique("B2", "scm-rights", allow=False, stated=FOREIGN, beside=serving(unix_path, give_socket))
def scm_rights(t):
    """a socket received over a UNIX socket (SCM_RIGHTS) from a process outside"""
    sock = t.sock(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(unix_path(t))
    send(t, socket.socket(fileno=socket.recv_fds(sock, 1, 1)[1][0]))


def neighbour(program, full=False, user=None):
    """A process outside, of the technique's user (or another), with the capabilities that it has (or, full, all)."""
    def beside(harness, t):
        who = user or t.user
        command = ["nsenter", f"--net=/run/netns/{harness.client}"]
        if who != "root":
            command += ["setpriv", "--reuid", who, "--regid", who, "--clear-groups"]
        elif not full:
            # what root has left in a sandbox, or less: or it could not be traced
            command += ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
        file = f"{harness.directory}/neighbour-{t.port}"
        process = subprocess.Popen([*command, PYTHON, "-c", program, t.host4, str(t.port)], stdout=subprocess.PIPE,
                                   text=True)
        with open(file, "w") as out:
            out.write(f"{process.pid} {process.stdout.readline()}")
        yield
        process.kill()
        process.wait()
        os.unlink(file)

    return beside


def neighbour_of(t):
    """Its pid, and what it said."""
    with open(f"{t.directory}/neighbour-{t.port}") as file:
        pid, said = file.read().split()
    return int(pid), int(said)


HAS_SOCKET = "import socket, time; s = socket.socket(2, 2); print(s.fileno(), flush=True); time.sleep(9999)"
# sends what is in its buffer, as soon as that changes
SENDS_BUFFER = """if 1:
    import ctypes, socket, sys, time
    b = ctypes.create_string_buffer(64); s = socket.socket(2, 2); print(ctypes.addressof(b), flush=True)
    while not b.value: time.sleep(0.01)
    s.sendto(b.value, (sys.argv[1], int(sys.argv[2]))); time.sleep(9999)
"""


def take_socket(t):
    pid, number = neighbour_of(t)
    pidfd = calls.syscall(calls.SYS_PIDFD_OPEN, pid, 0)
    send(t, socket.socket(fileno=calls.syscall(calls.SYS_PIDFD_GETFD, pidfd, number, 0)))


@technique("B2", "pidfd-getfd", allow=False, beside=neighbour(HAS_SOCKET))
def pidfd_getfd(t):
    """the socket of a process outside, of the same user and capabilities, by pidfd_getfd()"""
    take_socket(t)


@technique("B2", "pidfd-getfd-root", allow=False, users=("root",), beside=neighbour(HAS_SOCKET, full=True))
def pidfd_getfd_root(t):
    """the socket of root's process outside, by pidfd_getfd()"""
    take_socket(t)


@technique("B2", "vm-writev", allow=False, beside=neighbour(SENDS_BUFFER))
def vm_writev(t):
    """the memory of such a process, by process_vm_writev(): what it sends is ours"""
    pid, address = neighbour_of(t)
    data = ctypes.create_string_buffer(t.marker)
    ours = calls.iovec(ctypes.addressof(data), len(t.marker))
    theirs = calls.iovec(address, len(t.marker))
    calls.syscall(calls.SYS_PROCESS_VM_WRITEV, pid, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0)
    time.sleep(0.1 * t.wait)


@technique("B2", "proc-mem", allow=False, beside=neighbour(SENDS_BUFFER))
def proc_mem(t):
    """the same through /proc/PID/mem"""
    pid, address = neighbour_of(t)
    with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
        memory.seek(address)
        memory.write(t.marker)
    time.sleep(0.1 * t.wait)


@technique("B2", "proc-mem-root", allow=False, users=("root",), beside=neighbour(SENDS_BUFFER, full=True))
def proc_mem_root(t):
    """the memory of root's process outside, through /proc/PID/mem"""
    proc_mem(t)


@technique("B2", "proc-root", allow=False, oracle="word", users=("root",), beside=neighbour(HAS_SOCKET, full=True))
def proc_root(t):
    """what is mounted for root's process outside, through /proc/PID/root"""
    pid, _ = neighbour_of(t)
    return bool(os.listdir(f"/proc/{pid}/root"))


# ---- B3: out of the cgroup -----------------------------------------------------------------------


def cgroup_mount():
    with open("/proc/mounts") as mounts:
        return next(words[1] for words in map(str.split, mounts) if words[2] == "cgroup2")


def own_cgroup():
    with open("/proc/self/cgroup") as file:
        return next(line[3:].strip() for line in file if line.startswith("0::"))


@technique("B3", "procs", allow=False)
def cgroup_procs(t):
    """its pid written to the root's cgroup.procs"""
    with open(f"{cgroup_mount()}/cgroup.procs", "w") as file:
        file.write(str(os.getpid()))
    send(t)


@technique("B3", "parent", allow=False)
def cgroup_parent(t):
    """its pid written to the parent's cgroup.procs"""
    with open(f"{cgroup_mount()}{os.path.dirname(own_cgroup())}/cgroup.procs", "w") as file:
        file.write(str(os.getpid()))
    send(t)


@technique("B3", "threads", allow=False)
def cgroup_threads(t):
    """a thread of its own, moved by cgroup.threads"""
    fd = os.open(f"{cgroup_mount()}/cgroup.threads", os.O_WRONLY)
    try:
        os.write(fd, str(os.getpid()).encode())
    except OSError as error:
        raise NotHere(f"the root takes no threads of this cgroup: {error}") from error
    send(t)


@technique("B3", "into-cgroup", allow=False)
def clone_into_cgroup(t):
    """a child born in the root cgroup (CLONE_INTO_CGROUP)"""
    fd = os.open(cgroup_mount(), os.O_RDONLY | os.O_DIRECTORY)
    clone_into(t, fd)


def clone_into(t, fd):
    arguments = struct.pack("=11Q", 0x200000000, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, fd)
    pid = calls.syscall(calls.SYS_CLONE3, arguments, len(arguments))
    if pid == 0:
        try:
            send(t)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


@technique("B3", "inherited-directory", allow=False)
def inherited_directory(t):
    """the same, by a descriptor of the root cgroup that the caller had open"""
    clone_into(t, INHERITED_CGROUP)


@technique("B3", "remount", allow=False, oracle="word")
def remount(_):
    """the cgroup mount made writable again, in a user namespace of its own"""
    user_namespace(calls.CLONE_NEWNS)
    where = cgroup_mount()
    mount(b"none", where.encode(), None, 0x20 | 0x1000)  # MS_REMOUNT, MS_BIND
    with open(f"{where}/cgroup.procs", "w"):
        return True


def user_namespace(flags):
    try:
        calls.new_user(flags)
    except OSError as error:
        raise NotHere(f"no user namespaces: {error}") from error


def mount(source, target, kind, flags, data=None):
    calls.checked(calls.LIBC.mount(source, target, kind, ctypes.c_ulong(flags), data))


@technique("B3", "mount-another", allow=False)
def mount_another(t):
    """another mount of cgroup2, in a user and cgroup namespace of its own; from there to the parent"""
    before = own_cgroup()
    if t.phase != "outside":
        user_namespace(calls.CLONE_NEWNS | calls.CLONE_NEWCGROUP)
    directory = f"/tmp/sp-{t.marker.decode()}-{os.getpid()}"
    os.mkdir(directory)
    try:
        if t.phase == "outside":
            calls.checked(calls.LIBC.unshare(calls.CLONE_NEWNS))
            mount(None, b"/", None, 0x44000)  # MS_REC, MS_PRIVATE
        mount(b"none", directory.encode(), b"cgroup2", 0)
        # with a cgroup namespace the root of the mount is our own cgroup: its parent is not there
        for path in (os.path.dirname(before), ""):
            try:
                with open(f"{directory}{path}/cgroup.procs", "w") as file:
                    file.write(str(os.getpid()))
                break
            except OSError:
                if not path:
                    raise
    finally:
        calls.LIBC.umount2(directory.encode(), 2)
        os.rmdir(directory)
    send(t)


def below(harness, t):
    """A sandbox whose process somebody moves to a cgroup two levels below the sandbox's."""
    file = f"{harness.directory}/below-{t.port}"
    program = f"""if 1:
        import os, socket, time
        print([line[3:].strip() for line in open("/proc/self/cgroup") if line.startswith("0::")][0], flush=True)
        while not os.path.exists({file!r}): time.sleep(0.02)
        for host in {t.host4!r}, {t.host6!r}, "127.0.0.1":
            for kind in 2, 1:
                try:
                    s = socket.socket(10 if ":" in host else 2, kind)
                    s.settimeout({t.wait})
                    s.connect((host, {t.port}))
                    s.send({t.marker!r})
                except OSError:
                    pass
        print("tried", flush=True)
    """
    said = ""
    with harness.socket_in_client(bind=("127.0.0.1", t.port)):
        process = subprocess.Popen(harness.sandboxed(t, [PYTHON, "-c", program]), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        cgroup = process.stdout.readline().strip()
        if t.phase != "outside" and cgroup:
            cgroup = cgroup_mount() + cgroup
            os.makedirs(f"{cgroup}/a/b", exist_ok=True)
            with open(f"{cgroup}/cgroup.procs") as procs:
                for pid in procs.read().split():
                    with open(f"{cgroup}/a/b/cgroup.procs", "w") as there:
                        there.write(pid)
        with open(file, "w"):
            pass
        said = process.stdout.read()
        process.wait()
        if "tried" not in said:
            harness.untried[t.item.id] = "nothing was moved"
        yield
    os.unlink(file)


@technique("B3", "below", allow=False, oracle="marker", beside=below)
def moved_below(_):
    """what makes its sockets in a cgroup below the sandbox's: to addresses outside, and to the host's service on loopback"""


@technique("B3", "nested", allow=False, users=("root",))
def nested(t):
    """a cgroup of its own below the sandbox's, by a mount of its own"""
    directory = f"/tmp/sp-{t.marker.decode()}-{os.getpid()}"
    if t.phase == "outside":
        calls.checked(calls.LIBC.unshare(calls.CLONE_NEWNS))
        mount(None, b"/", None, 0x44000)
    else:
        user_namespace(calls.CLONE_NEWNS | calls.CLONE_NEWCGROUP)
    os.mkdir(directory)
    below = None
    try:
        mount(b"none", directory.encode(), b"cgroup2", 0)
        below = f"{directory}{own_cgroup()}/below"
        os.mkdir(below)
        pid = os.fork()
        if pid == 0:
            try:
                with open(f"{below}/cgroup.procs", "w") as file:
                    file.write(str(os.getpid()))
                send(t)
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
    finally:
        if below:
            os.rmdir(below)
        calls.LIBC.umount2(directory.encode(), 2)
        os.rmdir(directory)


@technique("B3", "setns", allow=False, oracle="word", beside=neighbour(HAS_SOCKET))
def setns(t):
    """into the namespaces of a process outside, of the same user: mounts, cgroups, network"""
    pid, _ = neighbour_of(t)
    for kind, flag in (("cgroup", calls.CLONE_NEWCGROUP), ("net", calls.CLONE_NEWNET), ("mnt", calls.CLONE_NEWNS)):
        with open(f"/proc/{pid}/ns/{kind}") as namespace:
            calls.syscall(calls.SYS_SETNS, namespace.fileno(), flag)
    return True


@technique("B3", "handle", allow=False, oracle="word")
def handle(_):
    """a file opened by its handle, around what is mounted over it (open_by_handle_at)"""
    mount_fd = os.open("/dev/shm", os.O_RDONLY)
    data = ctypes.create_string_buffer(struct.pack("=Ii", 128, 0) + bytes(128))
    mount_id = ctypes.c_int()
    try:
        calls.checked(calls.LIBC.name_to_handle_at(-100, b"/dev/shm", data, ctypes.byref(mount_id), 0))
    except OSError as error:
        raise NotHere(f"/dev/shm has no handles: {error}") from error
    os.close(calls.syscall(calls.SYS_OPEN_BY_HANDLE_AT, mount_fd, data, os.O_RDONLY))
    return True


# ---- B4, B5: who acts for it ---------------------------------------------------------------------

def docker_path(t):
    return f"{t.directory}/docker.sock"


@technique("B4", "docker", allow=False, beside=serving(docker_path, forward))
def docker(t):
    """the container engine's socket ($DOCKER_HOST)"""
    ask_unix(t, docker_path(t))


@technique("B4", "unix", allow=False, stated=HELPER, beside=serving(unix_path, forward))
def unix(t):
    """a helper outside that sends what it is told, at a UNIX socket in the file system"""
    ask_unix(t, unix_path(t))


@technique("B4", "abstract", allow=False, stated=None if SCOPES else HELPER + "; abstract sockets cannot be hidden",
           beside=serving(lambda t: f"\0sp-bypass-{t.marker.decode()}", forward))
def abstract(t):
    """the same at an abstract UNIX socket"""
    ask_unix(t, f"\0sp-bypass-{t.marker.decode()}")


def private_run(path, directory=None, more="", ask=None):
    """A beside: `run` started where `path` is a daemon's directory with a socket; that is asked for the marker.

    `path` may depend on t. directory(harness, t): the directory, and what ends it; else a new one. `more` is done
    before `run`, in its mount namespace, where $daemon is that directory; `ask`: the socket is asked by this path.
    """
    def beside(harness, t):
        where = path(t) if callable(path) else path
        daemon, ended = directory(harness, t) if directory else (f"{harness.directory}/daemon-{t.port}", None)
        os.makedirs(daemon, exist_ok=True)
        server = serving(lambda t: f"{daemon}/socket", forward)(harness, t)
        next(server)
        asked = ask.replace("$daemon", daemon) if ask else f"{where}/socket"
        program = (f"import socket; print('tried', flush=True); s = socket.socket(1, 1); s.connect('{asked}'); "
                   f"s.send({t.marker!r}); s.recv(1)")
        command = harness.sandboxed(t, [PYTHON, "-c", program])
        # a /run with that directory in it: everything that is there, and it
        script = (f'daemon={daemon}; new=$(mktemp -d) && mount -t tmpfs tmpfs "$new" && for d in /run/*; do '
                  f'if [ -d "$d" ] && [ ! -L "$d" ]; then mkdir "$new/${{d#/run/}}"; '
                  f'mount --rbind "$d" "$new/${{d#/run/}}"; fi; done; '
                  f'mkdir -p "$new{where[4:]}" && mount --bind "$daemon" "$new{where[4:]}" && '
                  f'mount --rbind "$new" /run && {more or ":"} && exec "$@"')
        command[3:3] = ["sh", "-c", script, "sh"]
        harness.run_sandboxed(t, command, "tried")
        yield
        next(server, None)
        if ended:
            ended()

    return beside


# by marker: sallyport itself, which is outside, looks users up there
@technique("B5", "nscd", oracle="marker", allow=False, beside=private_run("/run/nscd"))
def ask_nscd(_):
    """nscd's socket, which resolves names outside"""


@technique("B5", "resolved", oracle="marker", allow=False, beside=private_run("/run/systemd/resolve"))
def ask_resolved(_):
    """systemd-resolved's varlink socket"""


@technique("B5", "avahi", oracle="marker", allow=False, beside=private_run("/run/avahi-daemon"))
def ask_avahi(_):
    """avahi's socket, which asks the local network"""


# ---- B12: what starts programs, or opens connections, for others --------------------------------


@technique("B12", "system-bus", oracle="marker", allow=False, beside=private_run("/run/dbus"))
def system_bus(_):
    """the system bus"""


@technique("B12", "user-manager", oracle="marker", allow=False,
           beside=private_run(lambda t: f"/run/user/{'0' if t.user == 'root' else t.user}/systemd"))
def user_manager(_):
    """the private socket of the user's systemd, which starts units"""


@technique("B12", "containerd", oracle="marker", allow=False, beside=private_run("/run/containerd"))
def containerd(_):
    """containerd, which starts containers"""


@technique("B12", "libvirt", oracle="marker", allow=False, beside=private_run("/run/libvirt"))
def libvirt(_):
    """libvirt, which starts machines"""


ELSEWHERE = 'mkdir -p /run/elsewhere && mount --bind "$daemon" /run/elsewhere'
ALONE = ': >/run/alone && mount --bind "$daemon/socket" /run/alone'


@technique("B12", "other-mount", oracle="marker", allow=False,
           beside=private_run("/run/dbus", more=ELSEWHERE, ask="/run/elsewhere/socket"))
def other_mount(_):
    """the system bus, by a bind mount of its directory elsewhere"""


@technique("B12", "socket-mount", oracle="marker", allow=False,
           beside=private_run("/run/dbus", more=ALONE, ask="/run/alone"))
def socket_mount(_):
    """the system bus, by a bind mount of the socket itself"""


@technique("B12", "as-it-was", oracle="marker", allow=False, beside=private_run("/run/dbus", ask="$daemon/socket"))
def as_it_was(_):
    """the system bus, by the path that was mounted at /run/dbus"""


def with_link(harness, t):
    """A file system with a daemon's directory, and a second name of its socket beside that."""
    top = f"{harness.directory}/links-{t.port}"
    os.makedirs(top, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", top], check=True)
    for name in ("daemon", "beside"):
        os.mkdir(f"{top}/{name}")

    def ended():
        subprocess.run(["umount", "-l", top], check=True)

    return f"{top}/daemon", ended


@technique("B12", "hard-link", oracle="marker", allow=False,
           beside=private_run("/run/dbus", directory=with_link, more='ln "$daemon/socket" "$daemon/../beside/linked"',
                              ask="$daemon/../beside/linked"))
def hard_link(_):
    """the system bus, by another name of its socket (a hard link)"""


HOLD = """
import ctypes, sys, time
ctypes.CDLL(None).prctl(15, sys.argv[1].encode())
print("named", flush=True)
time.sleep(600)
"""


def held_by(comm, linked):
    """A beside: a socket in no known place, which a process of that name holds, bound by another name if `linked`."""
    def beside(harness, t):
        where = f"{t.directory}/held-{t.port}"
        bound = f"{where}.nDJPoj4083H8mK7k" if linked else where
        listener = listen_unix(harness, bound)
        if linked:
            os.link(bound, where)
            os.unlink(bound)
        holder = subprocess.Popen([PYTHON, "-c", HOLD, comm], pass_fds=[listener.fileno()], stdout=subprocess.PIPE)
        holder.stdout.readline()

        def serve():
            while True:
                try:
                    connection = listener.accept()[0]
                    forward(harness, t, connection)
                    connection.close()
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield
        holder.kill()
        holder.wait()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        os.unlink(where)

    return beside


def held(name, comm, what, linked=False):
    def ask(t):
        ask_unix(t, f"{t.directory}/held-{t.port}")
    ask.__doc__ = f"{what}, wherever its socket is: held by a process that is called {comm}"
    technique("B12", name, allow=False, beside=held_by(comm, linked))(ask)


held("bus-anywhere", "dbus-daemon", "a bus")
held("engine-anywhere", "dockerd", "a container engine")
held("tmux", "tmux: server", "tmux, which types into other terminals")
held("display", "Xwayland", "a display, where a client types into other windows")
held("forwarded-agent", "sshd-session", "an ssh agent that sshd forwards to another machine")
held("ssh-master", "ssh", "the master connection of ssh, which forwards ports")
held("ssh-master-linked", "ssh", "the same, bound and linked as ssh does it", linked=True)


# ---- B14: files that root writes -----------------------------------------------------------------


def events_by_link(harness, t):
    """What root appends to by a link of the command's hand, something outside sends on (or runs)."""
    directory, target = f"{harness.directory}/events-{t.port}-{t.user}-{t.phase}", f"{harness.directory}/target-{t.port}"
    with open(target, "w") as file:
        os.chmod(target, 0o600)
        file.write("")
    os.makedirs(directory, exist_ok=True)
    os.symlink(target, f"{directory}/link")
    if t.user != "root":
        os.chown(directory, int(t.user), int(t.user))
    program = (f"import ctypes, socket; ctypes.CDLL(None).prctl(15, {t.marker!r}); "
               f"socket.socket(2, 2).sendto(b'x', ({t.host4!r}, 9))")
    if t.phase == "outside":
        command = ["sh", "-c", 'echo "$1" >>"$2"', "sh", t.marker.decode(), f"{directory}/link"]
    else:
        command = harness.sandboxed(t, [PYTHON, "-c", program], "--events", f"{directory}/link")
    harness.run_sandboxed(t, command, "is a link")
    with open(target, "rb") as file, harness.socket_in_client() as sock:
        content = file.read()
        if t.marker in content:
            sock.sendto(t.marker, (t.host4, t.port))
    os.unlink(f"{directory}/link")
    yield


@technique("B14", "events-link", allow=False, oracle="marker", beside=events_by_link)
def events_link(_):
    """`--events FILE`, where the command has put a link to a file of root's in place of FILE"""


# ---- B6: services of the host --------------------------------------------------------------------


def host_service(bind, reuseport=False):
    def beside(harness, t):
        if t.allowed:
            yield
            return
        family = AF_INET6 if ":" in bind else AF_INET
        with harness.socket_in_client(family, socket.SOCK_STREAM, (bind, t.port), reuseport) as stream, \
                harness.socket_in_client(family, socket.SOCK_DGRAM, (bind, t.port), reuseport) as dgram:
            dgram.fileno(), stream.fileno()
            yield

    return beside


def loopback(name, bind, target, what, **more):
    family = AF_INET6 if ":" in target else AF_INET

    def tcp(t):
        if t.allowed:
            listener = t.tcp(AF_INET6 if ":" in bind else AF_INET)
            listener.bind((bind, t.port))
            listener.listen()
        sock = t.tcp(family)
        sock.connect((target, t.port))
        sock.send(t.marker)

    def udp(t):
        if t.allowed:
            listener = t.udp(AF_INET6 if ":" in bind else AF_INET)
            listener.bind((bind, t.port))
        t.udp(family).sendto(t.marker, (target, t.port))

    more.setdefault("allow", True)
    tcp.__doc__ = f"a service of the host, TCP, {what}"
    udp.__doc__ = f"a service of the host, UDP, {what}"
    for kind, function in (("tcp", tcp), ("udp", udp)):
        technique("B6", f"{name}-{kind}", oracle="marker", beside=host_service(bind), **more)(function)


loopback("127.0.0.1", "127.0.0.1", "127.0.0.1", "on 127.0.0.1")
loopback("127.0.0.9", "127.0.0.9", "127.0.0.9", "on another address of 127/8")
loopback("0.0.0.0", "0.0.0.0", "0.0.0.0", "on 0.0.0.0, by that address")
loopback("loopback6", "::1", "::1", "on ::1")
loopback("mapped", "127.0.0.1", "::ffff:127.0.0.1", "on 127.0.0.1, by its v4-mapped form")
loopback("any6", "::", "::", "on ::, by that address")
loopback("interface", "0.0.0.0", SELF4, "at the address of the host's interface")
loopback("interface6", "::", SELF6, "at the IPv6 address of the host's interface")
for _target in ("127.0.0.1", "::1", SELF4, SELF6):
    loopback(f"wide-{_target}", "::" if ":" in _target else "0.0.0.0", _target,
             f"at {_target}, where 0.0.0.0/0 and ::/0 are allowed", policy="forms", allow=False)


def program(sock, index):
    """SO_ATTACH_REUSEPORT_CBPF: who of a group gets what comes"""
    code = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, index))  # BPF_RET | BPF_K
    sock.setsockopt(socket.SOL_SOCKET, 51, struct.pack("@HP", 1, ctypes.addressof(code)))


def group(t, kind):
    """Sockets of the host's service and of its own share the port: of root alone, since one user must have them."""
    members = []
    for _ in range(32):
        sock = t.sock(AF_INET, kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(("127.0.0.1", t.port))
        if kind == socket.SOCK_STREAM:
            sock.listen()
        members.append(sock)
    return members


@technique("B6", "group-tcp", oracle="marker", allow=False, users=("root",),
           beside=host_service("127.0.0.1", reuseport=True))
def group_tcp(t):
    """a listener of its own in a group with the host's service, for which a program chooses, TCP"""
    members = group(t, socket.SOCK_STREAM)
    program(members[0], 0)
    error = None
    for _ in range(8):  # the program applies to delivery; where it is looked up, one of the group at random
        sock = t.tcp()
        try:
            sock.connect(("127.0.0.1", t.port))
            sock.send(t.marker)
        except OSError as why:
            error = why
        sock.close()
    if error:
        raise error


@technique("B6", "group-udp", oracle="marker", allow=False, users=("root",),
           beside=host_service("127.0.0.1", reuseport=True))
def group_udp(t):
    """the same, UDP"""
    members = group(t, socket.SOCK_DGRAM)
    program(members[0], 0)
    error = None
    for _ in range(8):
        try:
            t.udp().sendto(t.marker, ("127.0.0.1", t.port))
        except OSError as why:
            error = why
    if error:
        raise error


@technique("B6", "syn-again", oracle="marker", allow=False, users=("root",), timeout=5,
           beside=host_service("0.0.0.0", reuseport=True))
def syn_again(t):
    """a SYN to a full listener of its own, which is gone when the SYN is sent again"""
    listener = t.tcp()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", t.port))
    listener.listen(0)
    full = t.connect(t.port, "127.0.0.1")
    sock = t.tcp()
    sock.settimeout(3)
    threading.Timer(0.3, listener.close).start()
    sock.connect(("127.0.0.1", t.port))
    full.close()
    sock.send(t.marker)


def race(t):
    """Datagrams to the port, beside a listener there that comes and goes."""
    fallow = [t.udp() for _ in range(800)]  # the port's list is long: a look-up takes longer
    for sock in fallow:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.3", t.port))
    over = time.monotonic() + t.wait
    stop = threading.Event()

    def flicker():
        while not stop.is_set():
            listener = t.udp()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", t.port))
            except OSError:
                return
            listener.close()

    thread = threading.Thread(target=flicker)
    thread.start()
    error = None
    sock = t.udp()
    while time.monotonic() < over:
        try:
            sock.sendto(t.marker, ("127.0.0.1", t.port))
        except OSError as why:
            error = why
    stop.set()
    thread.join()
    if error:
        raise error


@technique("B6", "listener-race", oracle="marker", allow=False, timeout=6, beside=host_service("0.0.0.0"))
def listener_race(t):
    """datagrams to a listener of its own beside the host's service, closed between the look-up and the delivery"""
    race(t)


@technique("B6", "listener-race-shared", oracle="marker", allow=False, timeout=6, beside=host_service("0.0.0.0"))
def listener_race_shared(t):
    """the same, from a process that gets SO_REUSEADDR for UDP, since it has connected such a socket"""
    server = t.udp()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("0.0.0.0", 0))
    server.connect((GOOD4, t.port))
    race(t)


@technique("B6", "gateway", oracle="marker", allow=False)
def gateway(t):
    """a service at the gateway's address"""
    t.connect(host="198.18.0.254").send(t.marker)


@technique("B6", "shared-port", oracle="marker", allow=False, beside=host_service("127.0.0.1"))
def shared_port(t):
    """a datagram to the host's service, from a socket that has the same port on another loopback address"""
    sock = t.udp()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.2", t.port))
    sock.sendto(t.marker, ("127.0.0.1", t.port))


@technique("B6", "listener-gone", oracle="marker", allow=False, beside=host_service("0.0.0.0"))
def listener_gone(t):
    """a datagram to the host's service, after a listener of its own had that address"""
    listener, sock = t.udp(), t.udp()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", t.port))
    sock.sendto(b"first", ("127.0.0.1", t.port))
    listener.recv(10)
    listener.close()
    sock.sendto(t.marker, ("127.0.0.1", t.port))


@technique("B6", "loopback-broadcast", allow=False, beside=heard)
def loopback_broadcast(t):
    """a broadcast on loopback, which a listener of its own and the host's service both get"""
    listener, sock = t.udp(), t.udp()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.255.255.255", t.port))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sock.sendto(t.marker[::-1], ("127.255.255.255", t.port))


# ---- B7, B9: network namespaces of its own -------------------------------------------------------

KEEP = ("--keep-caps",)


@technique("B7", "nested-netns", allow=False, users=("root",), options=KEEP)
def nested_netns(t):
    """a network namespace of its own, wired to the host's, with all capabilities kept"""
    name = f"spn{os.getpid() % 100000}"
    steps = f"""set -e
        ip link add {name}a type veth peer name {name}b
        ip link set {name}b netns $1
        ip addr add 203.0.113.1/24 dev {name}a
        ip link set {name}a up
        nsenter --net=/proc/$1/ns/net sh -c 'ip link set {name}b up && ip addr add 203.0.113.2/24 dev {name}b &&
            ip route add default via 203.0.113.1'"""
    ready, go = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            calls.checked(calls.LIBC.unshare(calls.CLONE_NEWNET))
            os.write(ready[1], b".")
            os.read(go[0], 1)
            send(t)
            time.sleep(0.1)  # for the neighbours to be found
            send(t)
        except OSError as error:
            os.write(ready[1], str(error).encode())
        finally:
            os._exit(0)
    try:
        os.read(ready[0], 1)
        subprocess.run(["sh", "-c", steps, "sh", str(pid)], check=True, stderr=subprocess.DEVNULL)
        os.write(go[1], b".")
        os.waitpid(pid, 0)
    finally:
        subprocess.run(["ip", "link", "del", f"{name}a"], check=False,
                       stderr=subprocess.DEVNULL)
    os.close(ready[1])
    return os.read(ready[0], 1000).decode()


LIE = """if 1:
    import fcntl, os, struct, sys
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", b"lie", 0x1001))
    os.system("ip link set lie up && ip addr add 198.18.0.1/32 dev lie && ip route add 198.18.0.53/32 dev lie")
    print("ready", flush=True)
    while True:
        p = os.read(fd, 2000)
        if p[0] != 0x45 or p[9] != 17: continue
        q = p[28:]
        a = q[:2] + b"\\x81\\x80\\0\\1\\0\\1\\0\\0\\0\\0" + q[12:] + b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\2\\0\\0\\4" + bytes([198,18,0,66])
        u = p[22:24] + p[20:22] + struct.pack("!HH", 8 + len(a), 0) + a
        h = bytearray(b"\\x45\\0" + struct.pack("!H", 20 + len(u)) + b"\\0\\1\\0\\0\\x40\\x11\\0\\0" + p[16:20] + p[12:16])
        s = sum(struct.unpack("!10H", h)); s = (s & 0xffff) + (s >> 16)
        h[10:12] = struct.pack("!H", ~(s + (s >> 16)) & 0xffff)
        os.write(fd, bytes(h) + u)
"""


@technique("B9", "own-resolver", allow=False)
def own_resolver(t):
    """a network namespace of its own where the trusted resolver's address is ours, and says what we like"""
    answered, teller = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            calls.new_user(calls.CLONE_NEWNET)
            server = subprocess.Popen([PYTHON, "-c", LIE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            if not server.stdout.readline():
                os.write(teller, b"no TUN device")
                os._exit(0)
            sock = t.udp()
            sock.sendto(b"\0\7\1\0\0\1\0\0\0\0\0\0\4good\4test\0\0\1\0\1", (RESOLVER4, 53))
            answer = sock.recv(1000)
            os.write(teller, b"." if answer.endswith(socket.inet_aton(EVIL4)) else b"no answer")
            server.kill()
        except OSError as error:
            os.write(teller, str(error).encode())
        finally:
            os._exit(0)
    os.close(teller)
    said = os.read(answered, 1000).decode()
    os.waitpid(pid, 0)
    if said != "." and t.phase == "outside":
        raise NotHere(f"user and network namespaces: {said}")
    send(t)
    return said


# ---- B8: 5-tuples --------------------------------------------------------------------------------


@technique("B8", "same-tuple", oracle="marker")
def same_tuple(t):
    """a new connection of the same five-tuple as an allowed one: another Host"""
    host = resolve("one.cdn.test", 80, AF_INET)[0]

    def connect(port):
        sock = t.tcp()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.bind(("", port))
        sock.connect(host)
        return sock

    first = connect(0)
    port = first.getsockname()[1]
    first.send(b"GET / HTTP/1.1\r\nHost: one.cdn.test\r\n\r\n")
    first.recv(10)
    first.close()
    name = "one.cdn.test" if t.allowed else "two.cdn.test"
    connect(port).send(f"GET /{t.marker.decode()} HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())


@technique("B8", "same-socket", oracle="marker")
def same_socket(t):
    """a second connection on the same socket: another Host"""
    host = resolve("one.cdn.test", 80, AF_INET)[0]
    sock = t.tcp()
    sock.connect(host)
    sock.send(b"GET / HTTP/1.1\r\nHost: one.cdn.test\r\n\r\n")
    sock.recv(1000)
    calls.disconnect(sock)
    sock.connect(host)
    name = "one.cdn.test" if t.allowed else "two.cdn.test"
    sock.send(f"GET /{t.marker.decode()} HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())


def orphan(harness, t):
    """A sandbox whose command ends at once, and leaves a process that sends afterwards."""
    file = f"{harness.directory}/orphan-{t.port}"
    program = f"""if 1:
        import os, socket, time
        s = socket.socket(2, 2)
        print("tried", flush=True)
        if os.fork(): os._exit(0)
        os.setsid()
        while not os.path.exists({file!r}): time.sleep(0.02)
        s.sendto({t.marker!r}, ({t.host4!r}, {t.port}))
        socket.socket(2, 2).sendto({t.marker!r}, ({t.host4!r}, {t.port}))
    """
    for _ in range(3):
        process = subprocess.Popen(harness.sandboxed(t, [PYTHON, "-c", program]), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                   start_new_session=True)
        if process.stdout.readline() == "tried\n":
            break
    else:
        harness.untried[t.item.id] = "no sandbox"
    time.sleep(0.05 * t.wait)
    if t.phase != "outside":
        process.kill()  # SIGKILL: nobody is left who could clean up, or hold up, anything
    process.wait()
    with open(file, "w"):
        pass
    time.sleep(0.2 * t.wait)
    yield
    os.unlink(file)


@technique("B8", "orphan", allow=False, beside=orphan)
def orphaned(_):
    """what the command leaves behind sends after `sallyport run` was killed"""


# ---- B10: serving DNS ----------------------------------------------------------------------------


def bind53(name, family, kind, address, reuse=False):
    def run(t):
        sock = t.sock(family, kind)
        if reuse:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((address, 53))
        return True

    run.__doc__ = f"bind to port 53 of {address}, {'UDP' if kind == socket.SOCK_DGRAM else 'TCP'}" + \
        (", SO_REUSEPORT" if reuse else "")
    technique("B10", name, allow=False, oracle="word")(run)


bind53("bind-udp", AF_INET, socket.SOCK_DGRAM, "127.0.0.7")
bind53("bind-udp-reuseport", AF_INET, socket.SOCK_DGRAM, "127.0.0.7", True)
bind53("bind-tcp", AF_INET, socket.SOCK_STREAM, "127.0.0.7")
bind53("bind-udp6", AF_INET6, socket.SOCK_DGRAM, "::1")
bind53("bind-tcp6", AF_INET6, socket.SOCK_STREAM, "::1")
bind53("bind-mapped", AF_INET6, socket.SOCK_DGRAM, "::ffff:127.0.0.7")
bind53("bind-interface", AF_INET, socket.SOCK_DGRAM, SELF4)


@technique("B10", "ask", allow=False, oracle="marker")
def ask_other(t):
    """a query to a resolver on loopback that is not trusted"""
    t.udp().sendto(b"\0\7\1\0\0\1\0\0\0\0\0\0" + bytes([len(t.marker)]) + t.marker + b"\4evil\4test\0\0\1\0\1",
                   ("127.0.0.8", 53))


# ---- B11: through processes outside --------------------------------------------------------------

OTHER = "1234"  # a uid that nobody has: root can take it on
SETS = {"setfsuid": (122, 123), "setresuid": (117, 119)}


def become(how, uid):
    """Takes a uid and its gid on, for what is opened; and back with 0."""
    user, group = SETS[how]
    for number in (group, user) if uid else (user, group):
        if how == "setfsuid":
            calls.LIBC.syscall(ctypes.c_long(number), ctypes.c_long(uid))
        else:
            calls.syscall(number, -1, uid, -1)


def leave_through(t, how, link):
    """Out of the cgroup, by the file system as that process sees it."""
    pid, _ = neighbour_of(t)
    os.setgroups([])
    become(how, int(OTHER))
    try:
        fd = os.open(f"/proc/{pid}/{link}", os.O_PATH | os.O_DIRECTORY)
    finally:
        become(how, 0)
    procs = os.open(f"{'../' * 20}{cgroup_mount()}/cgroup.procs".replace("//", "/"), os.O_WRONLY, dir_fd=fd)
    os.write(procs, b"0")
    send(t)


def through(name, how, link, **options):
    def run(t):
        leave_through(t, how, link)

    run.__doc__ = f"{how}() to the uid of a process outside, and /proc/PID/{link}: from there to cgroup.procs"
    technique("B11", name, allow=False, users=("root",), beside=neighbour(HAS_SOCKET, user=OTHER), **options)(run)


through("root-setfsuid", "setfsuid", "root")
through("root-setresuid", "setresuid", "root")
through("cwd-setfsuid", "setfsuid", "cwd")
through("task-root", "setfsuid", "task/../root")
through("share-pids", "setfsuid", "root", options=("--share=pids",),
        stated=None if SCOPES else "--share pids gives the processes outside back, and this kernel has no Landlock scopes")


def looks(name, what, full=False, users=("65534", "root")):
    """A way to a process outside of the same user, as a word."""
    def register(function):
        function.__doc__ = what
        technique("B11", name, allow=False, oracle="word", users=users,
                  beside=neighbour(HAS_SOCKET, full=full))(function)
        return function
    return register


@looks("proc-root", "what is mounted for a process outside of the same user, through /proc/PID/root")
def same_root(t):
    return bool(os.listdir(f"/proc/{neighbour_of(t)[0]}/root"))


@looks("proc-fd", "what such a process has open, through /proc/PID/fd")
def same_fd(t):
    return bool(os.close(os.open(f"/proc/{neighbour_of(t)[0]}/fd/1", os.O_WRONLY)) is None)


@looks("ptrace", "such a process, by ptrace(PTRACE_SEIZE)")
def seize(t):
    return calls.syscall(calls.SYS_PTRACE, 0x4206, neighbour_of(t)[0], 0, 0) == 0


@looks("signal", "such a process, stopped and made to go on: kill()")
def stop(t):
    pid = neighbour_of(t)[0]
    os.kill(pid, signal.SIGSTOP)
    os.kill(pid, signal.SIGCONT)
    return True


@looks("pidfd-signal", "the same by pidfd_send_signal()")
def stop_by_pidfd(t):
    fd = os.pidfd_open(neighbour_of(t)[0])
    signal.pidfd_send_signal(fd, signal.SIGCONT)
    return True


def elsewhere(harness, t):
    """A sandbox where /proc is mounted a second time, and a process outside of the same user."""
    directory = f"{harness.directory}/proc-{t.port}"
    os.makedirs(directory, exist_ok=True)
    with_neighbour = neighbour(HAS_SOCKET)(harness, t)
    next(with_neighbour)
    pid, _ = neighbour_of(t)
    program = (f"import os; print('tried', flush=True); os.listdir('{directory}/{pid}/root'); "
               f"open('{harness.directory}/sent-{t.port}', 'w')")
    command = harness.sandboxed(t, [PYTHON, "-c", program])
    command[3:3] = ["sh", "-c", f'mount -t proc proc {directory} && exec "$@"', "sh"]
    harness.run_sandboxed(t, command, "tried")
    yield
    next(with_neighbour, None)


@technique("B11", "second-proc", allow=False, oracle="word", users=("root",), beside=elsewhere)
def through_second_proc(t):
    """the same through a /proc that is mounted a second time, as for a chroot"""
    path = f"{t.directory}/sent-{t.port}"
    if not os.path.exists(path):
        raise PermissionError(13, "nothing there")
    os.unlink(path)
    return True


LEAVE_CHROOT = """
import os, sys
print("tried", flush=True)
top = os.open("/", os.O_RDONLY)
os.chroot("/tmp")
os.fchdir(top)
for _ in range(64):
    os.chdir("..")
os.chroot(".")
os.close(os.open(sys.argv[1] + "/cgroup.procs", os.O_WRONLY))
open(sys.argv[2], "w").close()
"""


def jailed(harness, t):
    """`run` in a chroot: what is mounted outside is in no table that it can read."""
    top = f"{harness.directory}/jail-{t.port}"
    said = f"{harness.directory}/left-{t.port}"
    for directory in (f"{top}/root", f"{top}/cgroup"):
        os.makedirs(directory, exist_ok=True)
    command = harness.sandboxed(t, [PYTHON, "-c", LEAVE_CHROOT, f"{top}/cgroup", said])
    command[3:3] = ["sh", "-c", f'mount --make-rprivate / && mount --rbind / {top}/root && '
                    f'mount -t cgroup2 none {top}/cgroup && exec chroot {top}/root "$@"', "sh"]
    harness.run_sandboxed(t, command, "tried")
    yield


@technique("B3", "chroot", allow=False, oracle="word", users=("root",), beside=jailed)
def left_chroot(t):
    """out of a chroot that `run` was started in, to a cgroup mount that nobody made read-only"""
    path = f"{t.directory}/left-{t.port}"
    if not os.path.exists(path):
        raise PermissionError(1, "not out")
    os.unlink(path)
    return True


# ---- B16: undoing what enforces ------------------------------------------------------------------


@technique("B16", "bpf", allow=False, oracle="word")
def bpf(_):
    """the bpf() system call: programs, links and maps by their numbers"""
    try:
        calls.syscall(calls.SYS_BPF, 11, struct.pack("=III", 0, 0, 0) + bytes(100), 112)  # BPF_PROG_GET_NEXT_ID
    except FileNotFoundError:
        pass  # none loaded
    return True


@technique("B16", "pins", allow=False, oracle="word")
def pins(t):
    """the pinned programs: a file system where they can be removed"""
    path = f"/sys/fs/bpf/sp-{t.marker.decode()}"
    os.mkdir(path)
    os.rmdir(path)
    return True


@technique("B16", "perf", allow=False, oracle="word")
def perf(_):
    """perf_event_open(): programs and probes in the kernel"""
    attributes = struct.pack("=IIQ", 1, 120, 0) + bytes(104)
    try:
        fd = calls.syscall(calls.SYS_PERF_EVENT_OPEN, attributes, -1, 0, -1, 0)  # all processes of a processor
    except FileNotFoundError as error:
        raise NotHere("no software events here") from error
    os.close(fd)
    return True


@technique("B16", "state", allow=False, oracle="word")
def state(t):
    """sallyport's own files in /run: which sandbox is whose"""
    path = f"/run/sallyport/sp-{t.marker.decode()}"
    os.makedirs("/run/sallyport", exist_ok=True)
    with open(path, "w"):
        pass
    os.unlink(path)
    return True


# ---- B17: programs that the kernel starts, outside -----------------------------------------------


def writable(name, path, what):
    def run(_):
        if not os.path.exists(path):
            raise NotHere(f"no {path}")
        os.close(os.open(path, os.O_WRONLY))
        return True

    run.__doc__ = what
    technique("B17", name, allow=False, oracle="word")(run)


writable("core-pattern", "/proc/sys/kernel/core_pattern", "core_pattern: the program that gets core dumps")
writable("modprobe", "/proc/sys/kernel/modprobe", "modprobe: the program that loads modules")
writable("sysrq", "/proc/sysrq-trigger", "sysrq: to stop the machine, or kill what enforces")
writable("uevent-helper", "/sys/kernel/uevent_helper", "uevent_helper: the program that hears of devices")


def second_proc(harness, t):
    """A sandbox where /proc is mounted a second time, as for a chroot."""
    directory = f"{harness.directory}/proc-{t.port}"
    os.makedirs(directory, exist_ok=True)
    program = (f"import os; print('tried', flush=True); os.open('{directory}/sys/kernel/core_pattern', os.O_WRONLY); "
               f"open('{directory}.open', 'w')")
    command = harness.sandboxed(t, [PYTHON, "-c", program])
    command[3:3] = ["sh", "-c", f'mount -t proc proc {directory} && exec "$@"', "sh"]
    harness.run_sandboxed(t, command, "tried")
    yield


@technique("B17", "second-proc", allow=False, oracle="word", users=("root",), beside=second_proc)
def second_proc_opened(t):
    """core_pattern through a /proc that is mounted a second time, as for a chroot"""
    path = f"{t.directory}/proc-{t.port}.open"
    if not os.path.exists(path):
        raise PermissionError(30, "read-only")
    os.unlink(path)
    return True


def kernel_mount(fs, program, module):
    """A sandbox where that file system is mounted; `program` gets its place as `at` and writes `done` if it got there."""
    def beside(harness, t):
        directory = f"{harness.directory}/{fs}-{t.port}"
        os.makedirs(directory, exist_ok=True)
        if module:
            subprocess.run(["modprobe", "-q", module], stderr=subprocess.DEVNULL, check=False)
        with open("/proc/filesystems") as file:
            missing = fs not in file.read().split()
        with open(f"{directory}.missing", "w") as file:
            file.write(fs if missing else "")
        if not missing:
            text = (f"import glob, os, time\nprint('tried', flush=True)\nat, done = '{directory}', '{directory}.open'\n"
                    f"host, port, marker = '{t.host4}', {t.port}, '{t.marker.decode()}'\n") + program
            command = harness.sandboxed(t, [PYTHON, "-c", text])
            command[3:3] = ["sh", "-c", f'mount -t {fs} {fs} {directory} && exec "$@"', "sh"]
            harness.run_sandboxed(t, command, "tried")
        yield
    return beside


def in_kernel_mount(name, fs, what, program, module=None, **options):
    def run(t):
        path = f"{t.directory}/{fs}-{t.port}"
        with open(f"{path}.missing") as file:
            if file.read():
                raise NotHere(f"no {fs} in this kernel")
        if not os.path.exists(f"{path}.open"):
            raise PermissionError(1, "not to be opened")
        with open(f"{path}.open") as file:
            said = file.read()
        os.unlink(f"{path}.open")
        if said and t.phase == "outside":
            raise NotHere(said)
        if said:
            raise PermissionError(1, said)
        return True

    run.__doc__ = what
    technique("B17", name, allow=False, users=("root",), beside=kernel_mount(fs, program, module), **options)(run)


in_kernel_mount("tracefs", "tracefs", "tracefs: probes that read the memory of all", """
os.close(os.open(f"{at}/trace_marker", os.O_WRONLY))
os.close(os.open(f"{at}/current_tracer", os.O_WRONLY))
open(done, "w")
""", oracle="word")
in_kernel_mount("debugfs", "debugfs", "debugfs: what drivers let root do", """
for path in glob.glob(f"{at}/*") + glob.glob(f"{at}/*/*"):
    try:
        if os.path.isfile(path) and os.stat(path).st_mode & 0o200:
            os.close(os.open(path, os.O_WRONLY))
            open(done, "w")
            break
    except OSError:
        pass
""", oracle="word")
in_kernel_mount("binfmt-misc", "binfmt_misc", "binfmt_misc: a program that is started in place of others, outside", """
os.close(os.open(f"{at}/register", os.O_WRONLY))
open(done, "w")
""", oracle="word")
# what is enabled is gone again when the kernel has sent what was written to its log meanwhile
in_kernel_mount("netconsole", "configfs", "configfs: netconsole, by which the kernel sends its log to any address", """
def put(name, value):
    with open(f"{at}/netconsole/sp/{name}", "w") as file:
        file.write(value)

if not os.path.isdir(f"{at}/netconsole"):
    with open(done, "w") as file:
        file.write("no netconsole")
else:
    os.mkdir(f"{at}/netconsole/sp")
    try:
        with open("/proc/net/arp") as file:
            macs = [line.split()[3] for line in file if line.split()[0] == host]
        put("dev_name", "eth0")
        put("remote_ip", host)
        put("local_ip", "198.18.0.1")
        put("remote_port", str(port))
        if macs:
            put("remote_mac", macs[0])
        put("enabled", "1")
        with open("/dev/kmsg", "w") as file:
            file.write("<1>" + marker)
        time.sleep(0.2)
        put("enabled", "0")
        open(done, "w")
    finally:
        os.rmdir(f"{at}/netconsole/sp")
""", module="netconsole")


@technique("B17", "fresh-proc", allow=False, oracle="word")
def fresh_proc(t):
    """core_pattern through another mount of /proc, in namespaces of its own"""
    directory = f"/tmp/sp-{t.marker.decode()}-{os.getpid()}"
    user_namespace(calls.CLONE_NEWNS | calls.CLONE_NEWPID)
    os.mkdir(directory)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = b"."
        try:
            mount(b"proc", directory.encode(), b"proc", 0)
            os.close(os.open(f"{directory}/sys/kernel/core_pattern", os.O_WRONLY))
        except OSError as error:
            said = str(error).encode()
        calls.LIBC.umount2(directory.encode(), 2)
        os.write(writer, said)
        os._exit(0)
    said = os.read(reader, 1000).decode()
    os.waitpid(pid, 0)
    os.rmdir(directory)
    if said != "." and t.phase == "outside":
        raise NotHere(f"/proc cannot be mounted again: {said}")
    if said != ".":
        raise PermissionError(1, said)
    return True


@technique("B17", "request-key", allow=False, oracle="word")
def request_key(_):
    """keys: request_key() of type dns_resolver has the kernel start a program of root's"""
    calls.syscall(calls.SYS_ADD_KEY, b"user", b"sp-bypass", b"x", 1, -1 & 0xffffffff)
    return True


@technique("B17", "network-mount", allow=False, oracle="word", timeout=10)
def network_mount(t):
    """a file system of the network's, which the kernel speaks for"""
    directory = f"/tmp/sp-{t.marker.decode()}-{os.getpid()}"
    os.mkdir(directory)
    errors = []
    try:
        for kind in (b"cifs", b"9p", b"ceph"):
            try:
                mount(b"198.18.0.66:/x", directory.encode(), kind, 0, b"")
            except OSError as error:
                if error.errno == 1:
                    errors.append(error)
    finally:
        os.rmdir(directory)
    if errors:
        raise errors[0]
    return True


# ---- B18: from the terminal, and from files ------------------------------------------------------


@technique("B18", "setuid", allow=False, oracle="word")
def setuid(t):
    """a set-uid program of root's: no_new_privs"""
    with open("/proc/self/status") as status:
        return "NoNewPrivs:\t0" in status.read()


@technique("B18", "tiocsti", allow=False, oracle="word")
def tiocsti(_):
    """typing into the terminal that sallyport was started from (TIOCSTI)"""
    import fcntl
    import pty
    import termios
    _, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    try:
        fcntl.ioctl(terminal, termios.TIOCSTI, b"x")
    except OSError as error:
        raise NotHere(f"dev.tty.legacy_tiocsti is off: {error}") from error
    return True


@technique("B18", "drop-file", allow=False, oracle="word", users=("root",),
           stated="root keeps what installing packages takes, so it can leave files that cron or systemd run: --user")
def drop_file(t):
    """a file where cron, systemd or a login shell runs it"""
    for directory in ("/etc/cron.d", "/etc/systemd/system", "/etc/profile.d", "/etc"):
        if os.path.isdir(directory):
            path = f"{directory}/.sp-{t.marker.decode()}"
            with open(path, "w"):
                pass
            os.unlink(path)
            return True
    raise NotHere("no such directory")
