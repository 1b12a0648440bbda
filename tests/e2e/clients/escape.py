#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Ways out that worked once. Each exits 0 if the server answered for a host that only the attacker asked for.

escape.py reconnect|accepted      a second connection on a socket that is trusted from the first
escape.py urgent                  bytes that the receiver takes out of the stream
escape.py race SECONDS            two threads and one datagram socket, to (198.18.0.2, 2000)
escape.py freebind                a denied query from an address of somebody else
escape.py query ADDR PORT         the same from ADDR, bound as it is
escape.py closed [6]              denied queries whose sockets are closed before anybody can answer
"""
import ctypes
import os
import socket
import ssl
import struct
import sys
import threading
import time

LIBC = ctypes.CDLL(None, use_errno=True)
# The server must have read one urgent byte before the next is sent: only the last one is taken out.
PAUSE = 0.2 * float(os.environ.get("SP_SLOW", "1"))
OURS, THEIRS = "one.cdn.test", "two.cdn.test"


def address(port):
    return socket.getaddrinfo(OURS, port, socket.AF_INET, socket.SOCK_STREAM)[0][4]


def disconnect(sock):
    if LIBC.connect(sock.fileno(), struct.pack("H14x", socket.AF_UNSPEC), 16):
        raise OSError(ctypes.get_errno(), "connect(AF_UNSPEC)")


def https(sock, host):
    """One request over TLS on a socket that stays ours; the answer's text."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=host)
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            sock.sendall(outgoing.read())
            data = sock.recv(65536)
            if not data:
                raise ConnectionError("closed")
            incoming.write(data)
    if outgoing.pending:
        sock.sendall(outgoing.read())
    tls.write(b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % host.encode())
    sock.sendall(outgoing.read())
    answer = b""
    while b"asked for" not in answer:
        data = sock.recv(65536)
        if not data:
            raise ConnectionError("closed")
        incoming.write(data)
        try:
            while True:
                answer += tls.read(65536)
        except ssl.SSLWantReadError:
            pass
    return answer.decode()


def reconnect():
    sock = socket.socket()
    sock.settimeout(5 * float(os.environ.get("SP_SLOW", "1")))
    sock.connect(address(443))
    assert OURS in https(sock, OURS)
    disconnect(sock)
    sock.connect(address(443))
    return THEIRS in https(sock, THEIRS)


def accepted():
    listener = socket.socket()
    listener.bind(("0.0.0.0", 0))
    listener.listen()
    client = socket.socket()
    client.connect(("127.0.0.1", listener.getsockname()[1]))
    sock, _ = listener.accept()
    sock.settimeout(5 * float(os.environ.get("SP_SLOW", "1")))
    disconnect(sock)
    sock.connect(address(443))
    return THEIRS in https(sock, THEIRS)


def urgent():
    sock = socket.socket()
    sock.settimeout(30)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.connect(address(80))
    sock.send(b"GET / HTTP/1.1\r\n")
    time.sleep(PAUSE)
    sock.send(b"H", socket.MSG_OOB)
    time.sleep(PAUSE)
    sock.send(b"ost: one.cdn.test\r\n")
    time.sleep(PAUSE)
    sock.send(b"X", socket.MSG_OOB)
    time.sleep(PAUSE)
    sock.send(b"Host: two.cdn.test\r\n\r\n")
    return THEIRS in sock.recv(4096).decode()


def race(seconds):
    """Policy: 198.18.0.2:1000 and 198.18.0.3:2000. Sends to 198.18.0.2:2000 that were accepted."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.connect(("198.18.0.2", 2000))
    except OSError:
        pass
    end = time.monotonic() + seconds
    won = [0]

    def to(address):
        while time.monotonic() < end:
            try:
                sock.sendto(b"allowed", address)
            except OSError:
                pass

    def bare():
        while time.monotonic() < end:
            try:
                sock.send(b"mixture")
                won[0] += 1
            except OSError:
                pass

    threads = [threading.Thread(target=to, args=(("198.18.0.2", 1000),)),
               threading.Thread(target=to, args=(("198.18.0.3", 2000),)),
               threading.Thread(target=bare)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return won[0] > 0


def query(family, source, port, freebind):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    if freebind:
        sock.setsockopt(41 if family == socket.AF_INET6 else 0,
                        78 if family == socket.AF_INET6 else 15, 1)
    sock.bind((source, port))
    name = b"".join(bytes([len(label)]) + label.encode()
                    for label in "stolen.nowhere.test".split("."))
    sock.sendto(b"\x12\x34\x01\0\0\1\0\0\0\0\0\0" + name + b"\0\0\1\0\1",
                ("2001:db8:5a11::53" if family == socket.AF_INET6 else "198.18.0.53", 53))
    return True


def closed(v6):
    name = b"".join(bytes([len(label)]) + label for label in (b"secret", b"nowhere", b"test"))
    for number in range(20):
        sock = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.sendto(b"\x12%c\x01\0\0\1\0\0\0\0\0\0" % number + name + b"\0\0\1\0\1",
                        ("2001:db8:5a11::53" if v6 else "198.18.0.53", 53))
        except PermissionError:
            pass  # nobody answered the last one in time: refused at once
        sock.close()
        time.sleep(0.01)
    return True


def main():
    how = sys.argv[1]
    try:
        if how == "race":
            won = race(float(sys.argv[2]))
        elif how == "closed":
            won = closed(len(sys.argv) > 2)
        elif how == "freebind":
            won = query(socket.AF_INET6, "2001:db8:5a11::66", 5000, True)
        elif how == "query":
            won = query(socket.AF_INET, sys.argv[2], int(sys.argv[3]), False)
        else:
            won = {"reconnect": reconnect, "accepted": accepted, "urgent": urgent}[how]()
    except (OSError, AssertionError) as error:
        print("%s: %s" % (how, error))
        return 1
    print("%s: %s" % (how, "works" if won else "does not work"))
    return 0 if won else 1


sys.exit(main())
