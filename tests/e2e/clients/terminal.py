#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a command on a new terminal, types a line into it (or Ctrl-C once it printed "ready"), and
prints what it printed. Exit status: the command's. Usage: terminal.py [--interrupt] COMMAND..."""
import os
import pty
import select
import sys
import time

command = sys.argv[1:]
interrupt = command[0] == "--interrupt"
if interrupt:
    command = command[1:]
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(command[0], command)
output, typed, until = b"", False, time.monotonic() + 30 * int(os.environ.get("SP_SLOW", "1"))
while time.monotonic() < until:
    if select.select([terminal], [], [], 0.1)[0]:
        try:
            data = os.read(terminal, 65536)
        except OSError:
            break
        if not data:
            break
        output += data
    if not typed and (b"ready" in output if interrupt else True):
        os.write(terminal, b"\x03" if interrupt else b"typed\n")
        typed = True
sys.stdout.write(output.decode("latin-1"))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
