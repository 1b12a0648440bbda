# SPDX-License-Identifier: GPL-2.0-or-later
"""Section G of THREATS.md, as far as a command can try it: policies that are none, and the start."""
import os
import subprocess

from technique import technique

PYTHON = "/usr/bin/python3"
HUGE = 100 << 20


def policy(text):
    """A beside: `sallyport run` with a policy of this text (or a function that writes it), and a command that sends."""
    def beside(harness, t):
        path = f"{harness.directory}/policy-{t.port}.json"
        if callable(text) and not t.allowed:
            text(path)
        else:
            with open(path, "w") as file:
                file.write(OPEN if t.allowed else text)
        command = harness.sandboxed(t, ["bash", "-c", f"echo {t.marker.decode()} >/dev/udp/{t.host4}/{t.port}"])
        if t.phase != "outside":
            command[[word.startswith("--policy=") for word in command].index(True)] = f"--policy={path}"
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       timeout=30 * t.wait, check=False)
        yield
        if os.path.isdir(path):
            os.rmdir(path)
        elif os.path.exists(path):
            os.unlink(path)

    return beside


def sparse(path):
    with open(path, "w") as file:
        file.write('{ "version": 1, "default": "allow", "rules": [] }')
        file.truncate(HUGE)


OPEN = '{ "version": 1, "default": "allow", "rules": [] }'
POLICIES = {
    "empty": ("an empty file", ""),
    "no-rules": ("no rules at all", '{ "version": 1 }'),
    "empty-allow": ("a rule that allows an empty list", '{ "version": 1, "rules": [ { "allow": [] } ] }'),
    "half": ("half of a document that allows all", OPEN[:-4]),
    "twice": ("a key that is there twice, the second time open", '{ "version": 1, "default": "deny", ' + OPEN[2:]),
    "behind": ("an open document behind a closed one", '{ "version": 1, "rules": [] } ' + OPEN),
    "unknown-key": ("a key that is nearly one", '{ "version": 1, "default": "allow", "rule": [] }'),
    "deep": ("100,000 brackets", '{ "version": 1, "rules": ' + "[" * 100000),
    "huge": ("100 MiB, open at their start", sparse),
    "directory": ("a directory", os.mkdir),
    "missing": ("no file", lambda path: None),
}

for _name, (_what, _text) in POLICIES.items():
    def nothing(_):
        pass

    nothing.__doc__ = f"a policy that is {_what}" if not _what.startswith("no rules") else "a policy without rules"
    # allowed: the same command under an open policy that is whole
    technique("G1", _name, allow=_name == "half", users=("root",), beside=policy(_text))(nothing)


def at_once(harness, t):
    for _ in range(5):
        command = harness.sandboxed(t, ["bash", "-c", f"echo {t.marker.decode()} >/dev/udp/{t.host4}/{t.port}; echo tried"])
        harness.run_sandboxed(t, command, "tried")
    yield


@technique("G3", "first-instant", allow=False, beside=at_once)
def first_instant(_):
    """five sandboxes whose command sends as the first thing it does"""


def forked(harness, t):
    program = f"""if 1:
        import os, socket
        for i in range(64):
            if os.fork() == 0:
                try: socket.socket(2, 2).sendto({t.marker!r}, ({t.host4!r}, {t.port}))
                finally: os._exit(0)
        print("tried", flush=True)
    """
    harness.run_sandboxed(t, harness.sandboxed(t, [PYTHON, "-c", program]), "tried")
    yield


@technique("G3", "fork-storm", allow=False, beside=forked)
def fork_storm(_):
    """64 children at once, each of which sends"""
