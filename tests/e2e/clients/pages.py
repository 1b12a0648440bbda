#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""sendfile() as programs use it.

pages.py upload HOST BYTES     POST whose body is a file, by socket.sendfile(); prints the status and how it was sent
pages.py heads HOST            two requests on one connection, the second head by sendfile()
pages.py words                 what each call says of a pipe or a file and a socket
pages.py copy                  shutil.copyfile() of 1 MB, which uses sendfile() where it can
"""
import ctypes
import errno
import os
import shutil
import socket
import sys
import tempfile


def upload(host, size):
    size = int(size)
    with socket.create_connection((host, 80), 10) as sock, tempfile.TemporaryFile() as file:
        file.write(os.urandom(size))
        file.seek(0)
        sock.sendall(f"POST /upload HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
                     f"Content-Length: {size}\r\n\r\n".encode())
        sent = sock.sendfile(file)  # falls back to send() where the kernel refuses
        assert sent == size, sent
        answer = b""
        while more := sock.recv(65536):
            answer += more
    print(answer.split(b"\r\n")[0].decode())


def heads(host):
    request = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    with socket.create_connection((host, 80), 10) as sock, tempfile.TemporaryFile() as file:
        file.write(request)
        file.flush()
        sock.sendall(request)
        first = b""
        while not first.endswith(f"asked for {host}\n".encode()):
            first += sock.recv(65536)
        os.sendfile(sock.fileno(), file.fileno(), 0, len(request))
        answer = sock.recv(65536)
    print(answer.split(b"\r\n")[0].decode())


def words():
    """Each call between descriptors that it works on."""
    libc = ctypes.CDLL(None, use_errno=True)
    ready, out = os.pipe()
    out2 = os.pipe()[1]
    ours, _theirs = socket.socketpair()
    file = tempfile.TemporaryFile()
    file.write(b"x" * 8)
    file.flush()
    os.write(out, b"x" * 8)
    vector = (ctypes.c_void_p * 2)(ctypes.cast(ctypes.create_string_buffer(8), ctypes.c_void_p), 8)
    for name, call in (("tee", lambda: libc.tee(ready, out2, ctypes.c_size_t(8), 0)),
                       ("vmsplice", lambda: libc.vmsplice(out2, vector, ctypes.c_size_t(1), 0)),
                       ("splice", lambda: libc.splice(ready, None, ours.fileno(), None, ctypes.c_size_t(8), 0)),
                       ("sendfile", lambda: libc.sendfile(ours.fileno(), file.fileno(), None, ctypes.c_size_t(8)))):
        print(name, "ok" if call() >= 0 else errno.errorcode[ctypes.get_errno()])


def copy():
    with tempfile.TemporaryDirectory() as directory:
        with open(f"{directory}/a", "wb") as file:
            file.write(os.urandom(1 << 20))
        shutil.copyfile(f"{directory}/a", f"{directory}/b")
        with open(f"{directory}/a", "rb") as a, open(f"{directory}/b", "rb") as b:
            assert a.read() == b.read()
    print("copied")


{"upload": upload, "heads": heads, "words": words, "copy": copy}[sys.argv[1]](*sys.argv[2:])
