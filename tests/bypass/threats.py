# SPDX-License-Identifier: GPL-2.0-or-later
"""The rows of the threat list (sections A to G), and which of them this suite does not try.

A row that has no technique must be in NOT_HERE with its reason and the files that try it, or `run` fails.
What was found later has the next free number of its section and is in FOUND.
"""
SECTIONS = {
    "A": ("Hook coverage", 15),
    "B": ("Socket identity and lifetime", 15),
    "C": ("DNS", 14),
    "D": ("TLS and HTTP", 14),
    "E": ("QUIC", 4),
    "F": ("IP", 3),
    "G": ("Control plane and failure", 6),
}
ROWS = [f"{letter}{number}" for letter, (_, last) in SECTIONS.items() for number in range(1, last + 1)]

NOT_HERE = {
    "G2": ("killing and stopping sallyport is no technique of a command's", ["tests/e2e/40-survive.bats", "tests/e2e/98-faults.bats"]),
    "G4": ("full rings, maps and memory are no technique of one packet", ["tests/e2e/98-faults.bats"]),
    "G5": ("overlapping rules are compared with a naive evaluator, on random policies",
           ["tests/unit/test_property.c", "tests/bpf/test_walk.c"]),
    "G6": ("a flood is measured on a neighbour", ["tests/e2e/99-isolation.bats"]),
    "B15": ("what it costs others is a time, no byte", ["tests/e2e/41-hosts.bats"]),
}

# Rows that the suite has found, and that the threat list does not have yet.
FOUND = {
    "A16": "traffic that the kernel sends by itself: multicast reports (IGMP, MLD) carry addresses of one's choosing",
    "B16": "undoing what enforces: bpf(), pinned programs, perf events, sallyport's own files",
    "B17": "programs that the kernel starts outside: core_pattern, modprobe, uevent_helper, key upcalls, network mounts",
    "B18": "the terminal, set-uid programs, and files that others run",
    "C15": "reverse names: digits as data",
    "C16": "header bits, operations and classes of a query",
    "C17": "a query from or by an unusual socket: connected, corked, from port 53, with other addresses beside it",
    "C18": "the answer to a denied query, when nobody is there to take it: ICMP quotes it to the resolver",
}


def uncovered(techniques, top, exists):
    """What is wrong with the coverage, one line each."""
    tried = {item.row for item in techniques}
    for row in ROWS:
        if row not in tried and row not in NOT_HERE:
            yield f"row {row} has no technique, and is not in NOT_HERE of threats.py"
        if row in tried and row in NOT_HERE:
            yield f"row {row} has a technique, and is in NOT_HERE of threats.py"
    for row in sorted(tried - set(ROWS) - set(FOUND)):
        yield f"row {row} is neither in ROWS nor in FOUND of threats.py"
    for row, (_, files) in NOT_HERE.items():
        for file in files:
            if not exists(f"{top}/{file}"):
                yield f"row {row}: {file}, which is said to try it, is not there"
