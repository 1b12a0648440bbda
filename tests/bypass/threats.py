# SPDX-License-Identifier: GPL-2.0-or-later
"""The rows of THREATS.md, and which of them this suite does not try.

A row that has no technique must be in NOT_HERE with its reason and the files that try it, or `run` fails.
"""
import os
import re


def read_sections(text):
    """{letter: (title, [row])}; rows are numbered from 1 without a gap."""
    sections = {}
    for letter, title, body in re.findall(r"^## ([A-Z])\. (.+)\n((?:(?!^## ).*\n?)*)", text, re.M):
        rows = re.findall(r"^\| (%s\d+) \|" % letter, body, re.M)
        if rows != [f"{letter}{number + 1}" for number in range(len(rows))]:
            raise ValueError(f"THREATS.md: the rows of section {letter} are not numbered from 1 in order: {rows}")
        sections[letter] = (title, rows)
    return sections


with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "THREATS.md"), encoding="utf-8") as threat_list:
    SECTIONS = read_sections(threat_list.read())
ROWS = [row for _, rows in SECTIONS.values() for row in rows]

NOT_HERE = {
    "G2": ("killing and stopping sallyport is no technique of a command's", ["tests/e2e/40-survive.bats", "tests/e2e/98-faults.bats"]),
    "G4": ("full rings, maps and memory are no technique of one packet", ["tests/e2e/98-faults.bats"]),
    "G5": ("overlapping rules are compared with a naive evaluator, on random policies",
           ["tests/unit/test_property.c", "tests/bpf/test_walk.c"]),
    "G6": ("a flood is measured on a neighbour", ["tests/e2e/99-isolation.bats"]),
    "B15": ("what it costs others is a time, no byte", ["tests/e2e/41-hosts.bats"]),
}


def uncovered(techniques, top, exists):
    """What is wrong with the coverage, one line each."""
    tried = {item.row for item in techniques}
    for row in ROWS:
        if row not in tried and row not in NOT_HERE:
            yield f"row {row} has no technique, and is not in NOT_HERE of threats.py"
        if row in tried and row in NOT_HERE:
            yield f"row {row} has a technique, and is in NOT_HERE of threats.py"
    for row in sorted(tried - set(ROWS)):
        yield f"row {row} is not in THREATS.md"
    for row, (_, files) in NOT_HERE.items():
        for file in files:
            if not exists(f"{top}/{file}"):
                yield f"row {row}: {file}, which is said to try it, is not there"
