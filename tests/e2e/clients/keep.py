#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Sockets that outlive the sandbox they were made in: another sandbox keeps them.

  keep PATH NUMBER   takes NUMBER sockets at the UNIX socket PATH, writes PATH.kept, holds them until PATH.go is there
  give PATH          makes a TCP socket, and passes it there
"""
import os
import socket
import sys
import time


def keep(path, number):
    kept = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        os.chmod(path, 0o777)
        server.listen(64)
        while len(kept) < int(number):
            peer, _ = server.accept()
            kept += socket.recv_fds(peer, 1, 1)[1]
            peer.sendall(b"k")
    with open(f"{path}.kept", "w", encoding="ascii") as file:
        file.write("kept\n")
    while not os.path.exists(f"{path}.go"):
        time.sleep(0.05)


def give(path):
    with socket.socket(socket.AF_UNIX) as peer, socket.socket(socket.AF_INET, socket.SOCK_STREAM) as mine:
        peer.connect(path)
        socket.send_fds(peer, [b"s"], [mine.fileno()])
        assert peer.recv(1) == b"k"


{"keep": keep, "give": give}[sys.argv[1]](*sys.argv[2:])
