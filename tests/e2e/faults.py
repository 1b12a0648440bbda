#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Starts `sallyport run` again and again, with a fault (strace's injection) in another system call each
time, and says what was not as it must be. Run in a lab by 98-faults.bats.

Usage: faults.py [--share S] [--jobs N] [--seed N] [--one SET] SALLYPORT PROBE EVIL-ADDRESS DIR SET...

  errors    each system call of the start in the parent fails once; the threads that install maps
            cannot be started, so that their bpf() calls are among them
  child     each of those that the child makes between fork and exec fails
  cold      errors, in starts that load the programs
  kill      SIGKILL of the parent at each step of start and end
  killchild SIGKILL of the child at each step before exec
  stop      SIGSTOP of the parent at each step, then SIGCONT
  eintr     each call that can be interrupted is, once
  memory    each allocation of the parent fails
  coldmemory  the same, in starts that load the programs
  ends      each of the last bpf() calls fails, in a slot that the next start does not take
  crowd     20 at once, twice; every other one is killed at some moment

--share S: of each set this share, drawn by the seed. --one 'INJECT...': only that injection, which
a failure names.

Left out: calls of the dynamic loader; brk(), which cannot fail as strace would have it; munmap(), on
whose failure glibc aborts when it frees the stack of a thread; close(), which always closes, but not as
strace would have it.

What must hold. The command (probe, which tries EVIL-ADDRESS) never gets out: it says so, and the
caller's capture too. If it did not run, the status is neither 0 nor the probe's, and something is
said. If it ran, status and all are as without a fault, unless the fault was a kill. SIGSTOP changes
nothing, nor does EINTR of a call that waits; of others (of a file, which no signal interrupts) it is an
error like others. After the next start nothing is left of any of them.
"""
import argparse
import collections
import concurrent.futures
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import held  # noqa: E402

SLOW = int(os.environ.get("SP_SLOW", "1"))
SHUT, OPEN = 7, 8  # exit status of the probe
ENDS = {1, 2, 126, 127}  # of sallyport (and of the dynamic loader)

parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1][7:], add_help=False)
parser.add_argument("--share", type=float, default=1)
parser.add_argument("--jobs", type=int, default=4)
parser.add_argument("--seed", type=int, default=3)
parser.add_argument("--one", action="append", default=[])
parser.add_argument("sallyport")
parser.add_argument("probe")
parser.add_argument("evil")
parser.add_argument("dir")
parser.add_argument("sets", nargs="*")
options = parser.parse_args()

PARENT_ERRORS = {
    "bpf": "ENOMEM", "mkdir": "ENOSPC", "openat": "EMFILE", "newfstatat": "EIO", "read": "EIO",
    "write": "ENOSPC", "flock": "ENOLCK", "socket": "EMFILE", "getsockopt": "EINVAL",
    "setsockopt": "ENOMEM", "bind": "ENOMEM", "epoll_create1": "EMFILE", "epoll_ctl": "ENOMEM",
    "signalfd4": "EMFILE", "pipe2": "EMFILE", "getrandom": "EIO", "unlink": "EACCES", "rmdir": "EBUSY",
    "getdents64": "EIO", "mmap": "ENOMEM", "mprotect": "ENOMEM",
    "rename": "EACCES", "access": "EACCES", "prlimit64": "EPERM", "fstatfs": "EIO",
    "clone": "EAGAIN",
    "mkdirat": "ENOSPC", "symlinkat": "ENOSPC", "unlinkat": "EBUSY", "readlinkat": "EACCES",
    "epoll_wait": "EBADF", "lseek": "EINVAL", "getsockname": "ENOBUFS", "prctl": "EINVAL",
}
CHILD_ERRORS = {
    "unshare": "EPERM", "mount": "EPERM", "fsopen": "EPERM", "fsconfig": "EINVAL", "fsmount": "ENOMEM",
    "move_mount": "EINVAL", "prctl": "EPERM", "capset": "EPERM", "capget": "EPERM",
    "setgroups": "EPERM", "setresgid": "EPERM", "setresuid": "EAGAIN", "seccomp": "ENOMEM",
    "close_range": "EIO", "statfs": "EIO", "execve": "EACCES", "umount2": "EBUSY", "chdir": "EACCES",
    "fchdir": "EACCES", "mount_setattr": "EINVAL", "dup3": "EMFILE", "dup2": "EMFILE",
    "read": "EIO", "openat": "EMFILE", "rt_sigaction": "EINVAL",
}
KILLED_AT = ("bpf", "mkdir", "openat", "write", "flock", "clone3", "clone", "unlink", "rmdir", "wait4",
             "pipe2", "epoll_ctl", "epoll_wait", "socket", "rename", "getdents64", "mkdirat",
             "symlinkat", "unlinkat")
INTERRUPTED = ("read", "write", "epoll_wait", "wait4", "flock", "clock_nanosleep", "futex", "poll",
               "recvmsg", "sendto")
WAITING = ("epoll_wait", "wait4", "clock_nanosleep", "futex", "poll", "recvmsg", "sendto")
NOMEM = os.path.join(os.path.dirname(options.probe), "nomem.so")
ENDING = len(held.OUTERS) + 3  # bpf() calls at the end: the maps', the policy's, the link's state
NO_THREADS = "clone3:error=EAGAIN"
lock = threading.Lock()
problems = []
outcomes = collections.Counter()


def command(strace, mark, *more):
    return strace + [options.sallyport, "run", *more, "--allow", "good.test", "--", options.probe, mark,
                     options.evil]


def loader_calls():
    """{system call: how many of it come before main()}: up to the last library that is opened."""
    trace = os.path.join(options.dir, "trace")
    subprocess.run(["strace", "-o", trace, options.sallyport, "--version"], stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, check=True)
    with open(trace) as file:
        lines = file.read().splitlines()
    main = next(i for i, line in enumerate(lines) if "/dev/null" in line)
    return collections.Counter(line.split("(")[0] for line in lines[:main])


def calls(follow, *injections, user=False):
    """{system call: the most that one task makes of it in a start without faults}"""
    trace = os.path.join(options.dir, "trace")
    mark = os.path.join(options.dir, "mark-trace")
    strace = ["strace", *(["-f"] if follow else []), "-o", trace]
    for injection in injections:
        strace += ["-e", f"inject={injection}"]
    subprocess.run(command(strace, mark, *user_options(user)), stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    os.unlink(mark)
    by_task = collections.defaultdict(collections.Counter)
    with open(trace) as lines:
        for line in lines:
            match = re.match(r"(?:(\d+) +)?(\w+)\(", line)
            if match:
                by_task[match.group(1)][match.group(2)] += 1
    most = collections.Counter()
    for counts in by_task.values():
        for name, count in counts.items():
            most[name] = max(most[name], count)
    return most


def user_options(user):
    return ["--user", "65534:65534"] if user else []


def no_programs(words):
    """The command with a bpffs without programs, which goes with its namespaces."""
    return ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--mount-proc", "sh", "-c",
            f"mount -t bpf bpf {held.BPFFS} && exec \"$@\"", "sh", *words]


class Job:
    """One start with faults. `kind` says what may come of it."""

    def __init__(self, kind, injections, follow=False, cold=False, user=False):
        self.kind, self.injections, self.follow, self.cold = kind, injections, follow, cold
        self.user = user
        self.limit = (20 if cold else 8) * SLOW

    def __str__(self):
        return f"{'cold' if self.cold else self.kind}: {' '.join(self.injections)}{' -f' if self.follow else ''}"

    def run(self, number):
        mark = os.path.join(options.dir, f"mark-{number}")
        strace = ["strace", "-qq", "-o", "/dev/null", *(["-f"] if self.follow else [])]
        for injection in self.injections:
            strace += ["-e", f"inject={injection}"]
        words = command(strace, mark, *user_options(self.user))
        if self.injections[0].startswith("SP_NOMEM="):
            words = command(["env", f"LD_PRELOAD={NOMEM}", self.injections[0]], mark)
        if self.cold:
            words = no_programs(words)
        child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, start_new_session=True)
        if self.kind == "stop":
            threading.Thread(target=continue_stopped, args=(child,), daemon=True).start()
        try:
            # Until the last process that has the pipe is gone, the command with them.
            said = child.communicate(timeout=self.limit)[0].decode("utf-8", "replace")
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, 9)
            said = child.communicate()[0].decode("utf-8", "replace")
            return self.judge("hung", said, mark)
        # strace sometimes does not expect the end of what it has stopped: then it says how that ended, and ends with 1
        ended = re.search(r"^strace: Unexpected wait status 0x([0-9a-f]+)00$", said, re.M)
        return self.judge(int(ended.group(1), 16) if ended else child.returncode, said, mark)

    def judge(self, status, said, mark):
        result = None
        if os.path.exists(mark):
            with open(mark) as file:
                result = file.read() or "cut off"
            os.unlink(mark)
        killed = self.kind.startswith("kill") and status in (-9, 137)
        with lock:
            outcomes["killed" if killed else "as ever" if status == SHUT else "refused"] += 1
        if result not in (None, "shut") and not (killed and result == "cut off"):
            return f"the command got out ({result})"
        if killed:
            return None
        if result and status != SHUT and not (self.kind == "errors" and status in ENDS | {137} and said):
            return f"the command ran, but the status is {status}: {said}"
        if result:
            return None
        waits = self.kind == "eintr" and self.injections[0].split(":")[0] in WAITING
        if self.kind == "stop" or waits:
            return f"status {status}: {said}"
        if status not in ENDS | {137 if self.follow else 1}:
            return f"the command did not run, and the status is {status}: {said}"
        if not said.strip() and status != 137:
            return f"status {status}, and nothing is said"
        return None


def continue_stopped(strace):
    """Sends SIGCONT to what strace runs, when it has stopped."""
    while strace.poll() is None:
        try:
            with open(f"/proc/{strace.pid}/task/{strace.pid}/children") as children:
                pids = [int(pid) for pid in children.read().split()]
            for pid in pids:
                with open(f"/proc/{pid}/stat") as stat:
                    stopped = stat.read().rsplit(")", 1)[1].split()[0] in "Tt"
                if stopped:
                    time.sleep(0.05)  # of that syscall-stops are over, a group-stop is not
                    with open(f"/proc/{pid}/stat") as stat:
                        if stat.read().rsplit(")", 1)[1].split()[0] in "Tt":
                            os.kill(pid, 18)
        except (OSError, ValueError):
            pass
        time.sleep(0.01)


def jobs_of(name):
    before = loader_calls()
    if name in ("errors", "cold"):
        # bpf() where the threads cannot be started: then what they do is in the parent's count.
        counts, threadless = calls(False), calls(False, NO_THREADS)
        for call, error in PARENT_ERRORS.items():
            extra = [NO_THREADS] if call == "bpf" else []
            many = (threadless if extra else counts)[call]
            # A cold start makes more of them: as many again are enough, the rest is the same.
            for n in range(before[call] + 1, many + (60 if name == "cold" and extra else 0) + 1):
                yield Job("errors", extra + [f"{call}:error={error}:when={n}"], cold=name == "cold")
        if name == "errors":
            yield Job("errors", [NO_THREADS, "clone:error=EAGAIN"])
        yield Job("errors", ["clone3:error=EAGAIN", "clone:error=EAGAIN"])
    elif name == "child":
        counts = calls(True, user=True)
        for call, error in CHILD_ERRORS.items():
            for n in range(1, min(counts[call], 90) + 1):
                yield Job("errors", [f"{call}:error={error}:when={n}"], follow=True, user=True)
    elif name == "kill":
        counts = calls(False)
        for call in KILLED_AT:
            for n in range(1, counts[call] + 1):
                yield Job("kill", [f"{call}:signal=KILL:when={n}"])
    elif name == "killchild":
        counts = calls(True, user=True)
        for call in ("unshare", "mount", "prctl", "capset", "setresuid", "seccomp", "close_range",
                     "execve", "move_mount", "fsmount"):
            for n in range(1, min(counts[call], 90) + 1):
                yield Job("killchild", [f"{call}:signal=KILL:when={n}"], follow=True, user=True)
    elif name == "stop":
        counts = calls(False)
        for call in KILLED_AT:
            for n in range(1, counts[call] + 1):
                yield Job("stop", [f"{call}:signal=STOP:when={n}"])
    elif name == "eintr":
        counts = calls(False)
        for call in INTERRUPTED:
            for n in range(1, counts[call] + 1):
                if n > before[call]:
                    yield Job("eintr", [f"{call}:error=EINTR:when={n}"])
    elif name in ("memory", "coldmemory"):
        count, mark = os.path.join(options.dir, "count"), os.path.join(options.dir, "mark-count")
        words = command(["env", f"LD_PRELOAD={NOMEM}", f"SP_NOMEM_COUNT={count}"], mark)
        subprocess.run(no_programs(words) if name == "coldmemory" else words, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        os.unlink(mark)
        with open(count) as file:
            for n in range(1, int(file.read()) + 1):
                yield Job("errors", [f"SP_NOMEM={n}"], cold=name == "coldmemory")
    else:
        sys.exit(f"faults: no set {name}")


def one_by_one(jobs):
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for job, problem in zip(jobs, pool.map(lambda pair: pair[1].run(pair[0]), enumerate(jobs))):
            if problem:
                problems.append(f"{job}: {problem.strip()}")
    return time.monotonic() - began


def crowd():
    """Twenty starts and ends at the same moment; SIGKILL of every other sallyport, then of its command."""
    chance = random.Random(options.seed)
    for turn in range(2):
        running = []
        for n in range(20):
            mark = os.path.join(options.dir, f"mark-{turn}-{n}")
            child = subprocess.Popen(
                [options.sallyport, "run", "--allow", "good.test", "--", "sh", "-c",
                 f"{options.probe} {mark} {options.evil}; result=$?; sleep 0.{chance.randrange(1, 9)}; exit $result"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            delay = chance.random() * 0.8 * SLOW if n % 2 else None
            running.append((child, mark, delay))
        began = time.monotonic()
        for child, _, delay in sorted((r for r in running if r[2] is not None), key=lambda r: r[2]):
            time.sleep(max(0, delay - (time.monotonic() - began)))
            child.kill()
        for child, mark, delay in running:
            said = child.communicate(timeout=30 * SLOW)[0].decode("utf-8", "replace")
            result = None
            if os.path.exists(mark):
                with open(mark) as file:
                    result = file.read()
                os.unlink(mark)
            killed = delay is not None and child.returncode == -9
            outcomes["killed" if killed else "as ever" if child.returncode == SHUT else "refused"] += 1
            if result == "open" or (not killed and (result, child.returncode) != ("shut", SHUT)):
                problems.append(f"crowd: {result}, status {child.returncode}: {said}")


def reap():
    """This is the first process: commands of killed sallyports are its children, and nobody else waits for them."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def left_after_starts():
    """What is left although others have started since. A start does not wait for what the kernel lets go of meanwhile, nor
    for the init of a PID namespace whose sallyport was killed: that is for one a moment later."""
    end = time.monotonic() + 5
    while True:
        reap()
        subprocess.run(clean, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        left = held.leftovers(cgroup)
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.2)


def ends():
    """Each of the bpf() calls with which a sandbox's maps are removed fails. The next start must remove them; not
    by using the slot again, which a sandbox before it sees to."""
    count = calls(False, NO_THREADS)["bpf"]
    for n in range(count - ENDING, count + 1):
        before = subprocess.Popen([options.sallyport, "run", "--quiet", "--allow", "good.test", "--", "sh", "-c",
                                   "echo; cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        before.stdout.readline()
        job = Job("errors", [NO_THREADS, f"bpf:error=ENOMEM:when={n}"])
        problem = job.run(n)
        before.communicate()
        left = left_after_starts()
        if problem or left:
            problems.append(f"{job}: {problem or 'left after the next start: ' + ', '.join(left)}")


os.environ["LC_ALL"] = "C"
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
held.own_mounts()
cgroup = held.enter_cgroup("faults")
try:
    clean = command([], os.path.join(options.dir, "mark-clean"))
    first = subprocess.run(clean, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if first.returncode != SHUT:
        sys.exit(f"faults: without a fault the status is {first.returncode}: {first.stdout}{first.stderr}")
    for name in options.sets:
        jobs = [] if name in ("crowd", "ends") else list(jobs_of(name))
        whole = len(jobs)
        if jobs and options.share < 1:
            jobs = random.Random(options.seed).sample(jobs, max(1, int(whole * options.share)))
        outcomes.clear()
        if name == "crowd":
            crowd()
            jobs, whole = [None] * 40, 40
            took = 0
        elif name == "ends":
            ends()
            jobs, whole = [None] * (ENDING + 1), ENDING + 1
            took = 0
        else:
            took = one_by_one(jobs)
        last = subprocess.run(clean, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if last.returncode != SHUT:
            problems.append(f"{name}: the next start gives {last.returncode}: {last.stdout}{last.stderr}")
        problems += [f"{name}: left after the next start: {path}" for path in left_after_starts()]
        print(f"{name}: {len(jobs)} of {whole} starts in {took:.1f} s: "
              + ", ".join(f"{n} {what}" for what, n in sorted(outcomes.items())), flush=True)
    for text in options.one:
        kind, _, injections = text.partition(": ")
        words = injections.split()
        job = Job("errors" if kind == "cold" else kind, [w for w in words if w != "-f"], follow="-f" in words, user="-f" in words,
                  cold=kind == "cold")
        print(job, "->", job.run(0) or "as it must be", "left:", held.leftovers(cgroup))
        subprocess.run(clean, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        print("left after the next start:", held.leftovers(cgroup))
finally:
    held.leave_cgroup(cgroup)
for problem in problems:
    print("PROBLEM:", problem)
sys.exit(1 if problems else 0)
