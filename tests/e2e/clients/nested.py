#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Two processes of one sandbox, in cgroups of their own below it.

  nested.py BASE ADDRESS COUNT

Writes BASE.ready once there are a server and its parent, the client (whoever moves them finds them), waits for BASE.go, and
then the client connects to the server COUNT times over TCP and sends at once, from a second thread, so that bytes come while the
connection is being made; and a datagram each. Both try what listens at port 7777 outside. Exit 0 if all of their own
passed and nothing of the others' did.
"""
import os
import signal
import socket
import sys
import threading
import time

base, address, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ":" in address else socket.AF_INET


def foreign():
    for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
        sock = socket.socket(family, kind)
        sock.settimeout(5)
        try:
            sock.connect((address, 7777))
            sock.send(b"foreign")
            print("sent to what is outside")
            os._exit(1)
        except OSError:
            pass


def wait():
    signal.alarm(100)  # of server and client each: nobody is left for ever when a test fails
    while not os.path.exists(base + ".go"):
        time.sleep(0.01)


def serve(ready):
    wait()
    foreign()
    dgram = socket.socket(family, socket.SOCK_DGRAM)
    dgram.bind((address, 7778))
    stream = socket.socket(family, socket.SOCK_STREAM)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    stream.bind((address, 7778))
    stream.listen(64)
    os.write(ready, b".")
    for _ in range(count):
        sock, _ = stream.accept()
        sock.sendall(sock.recv(10))
        sock.close()
        data, peer = dgram.recvfrom(10)
        dgram.sendto(data, peer)


def one(dgram):
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.settimeout(10)
    sent = threading.Event()

    def send():
        while not sent.is_set():
            try:
                sock.send(b"hello")
                return
            except (BrokenPipeError, BlockingIOError):
                pass

    thread = threading.Thread(target=send)
    thread.start()
    try:
        sock.connect((address, 7778))
        thread.join(10)
        assert sock.recv(10) == b"hello"
        dgram.send(b"hello")
        assert dgram.recv(10) == b"hello"
    finally:
        sent.set()
        sock.close()


reader, writer = os.pipe()
server = os.fork()
if server == 0:
    serve(writer)
    os._exit(0)
with open(base + ".ready", "w") as file:
    file.write("ready\n")
wait()
foreign()
os.read(reader, 1)
client = socket.socket(family, socket.SOCK_DGRAM)
client.settimeout(10)
client.connect((address, 7778))
for number in range(count):
    try:
        one(client)
    except (OSError, AssertionError) as error:
        print(f"connection {number}: {error!r}")
        os.kill(server, 9)
        sys.exit(1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(server, 0)[1]))
