# SPDX-License-Identifier: GPL-2.0-or-later
"""What is compared: the set-ups, each with a shell that runs in it."""

import json
import os

from lab import DNS, HOST, SALLYPORT, WILD, Agent, Failed


def policy(mode="enforce", names=()):
    """The policy of all sandboxes here; `names` are more of them, which nobody asks for."""
    return {"version": 1, "mode": mode,
            "rules": [{"allow": [HOST], "ports": [443, 7000, 7001, 7002]}, {"allow": [f"**.{WILD}"]},
                      *([{"allow": list(names)}] if names else [])],
            "dns": {"resolvers": [DNS]}}


class Setup:
    """`agent` is the shell, None with `why` where the set-up does not work here. `cannot` says of a measure why
    it is not taken; `lacks` what the set-up does not check; `dns` is the resolver that its clients ask."""

    name = what = ""
    dns = None
    lacks = ""

    def __init__(self, lab):
        self.lab, self.agent, self.why, self.cannot = lab, None, "", {}

    def open(self):
        raise NotImplementedError

    def close(self):
        if self.agent:
            self.agent.close()


class Unenforced(Setup):
    name, what = "unenforced", "no enforcement"

    def open(self):
        prefix, env = self.lab.client()
        self.agent = Agent(prefix, env)


class Again(Unenforced):
    name, what = "again", "no enforcement, a second time: the noise"


class Sallyport(Setup):
    mode = "enforce"
    name, what = "enforce", "Sallyport, enforce"
    names = ()

    def open(self):
        path = f"{self.lab.dir}/policy-{self.name}.json"
        with open(path, "w", encoding="ascii") as f:
            json.dump(policy(self.mode, self.names), f)
        prefix, env = self.lab.client(SALLYPORT, "run", "-q", "-p", path, "--")
        self.agent = Agent(prefix, env)


class Audit(Sallyport):
    mode = "audit_only"
    name, what = "audit_only", "Sallyport, audit_only"


CORE = [Unenforced, Sallyport, Audit, Again]


class Opened:
    """Opens set-ups, closes them all. One that does not open stays, and says why."""

    def __init__(self, lab, kinds):
        self.setups = [kind(lab) for kind in kinds]

    def __enter__(self):
        try:
            for setup in self.setups:
                try:
                    setup.open()
                except (Failed, OSError) as error:
                    setup.why = str(error)
                    if setup.agent:
                        setup.agent.close()
                        setup.agent = None
        except BaseException:
            self.__exit__()
            raise
        return self.setups

    def __exit__(self, *_):
        for setup in reversed(self.setups):
            setup.close()
