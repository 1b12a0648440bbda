#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Exit 0 if a line of FILE (NDJSON) has all these values. Every line must be JSON (else exit 2).

Usage: event.py FILE KEY=VALUE...     KEY may be a path (dst.port); VALUE ~TEXT is "contains".
"""
import json
import sys


def value(event, path):
    for key in path.split("."):
        event = event.get(key) if isinstance(event, dict) else None
    if event is None:
        return "null"
    return event if isinstance(event, str) else json.dumps(event)


def matches(event):
    for argument in sys.argv[2:]:
        key, wanted = argument.split("=", 1)
        have = value(event, key)
        if not (wanted[1:] in have if wanted.startswith("~") else wanted == have):
            return False
    return True


found = False
with open(sys.argv[1], encoding="utf-8") as lines:
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            print("not JSON:", line, file=sys.stderr)
            sys.exit(2)
        if matches(event):
            found = True
            print(line, end="")
sys.exit(0 if found else 1)
