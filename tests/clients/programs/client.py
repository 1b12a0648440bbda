#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients that are a few lines of a library. Usage: client.py WHAT ARGUMENT..."""
import socket
import struct
import sys
import time


def smtp(host):
    import smtplib
    with smtplib.SMTP(host, 25, timeout=10) as server:
        server.sendmail("a@lab.test", ["b@lab.test"], "Subject: x\r\n\r\nGET / HTTP/1.1\r\nHost: evil.test\r\n")
    print("mail was taken")


def imap(host):
    import imaplib
    server = imaplib.IMAP4(host, 143, timeout=10)
    server.login("user", "word")
    print("mailbox", server.select("INBOX")[1][0].decode())
    server.logout()


def idle(url, seconds):
    """One connection, idle between two requests."""
    import requests
    session = requests.Session()
    first = session.get(url, timeout=20).text
    time.sleep(float(seconds))
    second = session.get(url, timeout=20).text
    print("same connection" if first == second else "another connection", second)


def udp(host, port, data):
    """A datagram, and the same one back: WireGuard's initiation for "wireguard"."""
    if data == "wireguard":
        payload = struct.pack("<BxxxI", 1, 0x5a5a5a5a) + bytes(140)
    else:
        payload = data.encode()
    for kind, _, _, _, address in socket.getaddrinfo(host, int(port), 0, socket.SOCK_DGRAM):
        with socket.socket(kind, socket.SOCK_DGRAM) as sock:
            sock.settimeout(5)
            sock.connect(address)
            sock.send(payload)
            print("same" if sock.recv(2000) == payload else "another", len(payload))
            return


def dns_two_writes(server, name):
    """As hickory-dns does: the length in one write, the query in the next, without delay."""
    query = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + \
        b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0" + \
        struct.pack(">HH", 1, 1)
    with socket.create_connection((server, 53), 5) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.send(struct.pack(">H", len(query)))
        sock.send(query)
        answer = sock.recv(4096)
        count, = struct.unpack_from(">H", answer, 8)
        print("answers", count)
        sys.exit(0 if count else 1)


def loopback(count):
    """Connections one after the other to a listener of one's own, closed by the listener first."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(50)
    good, bad = 0, {}
    for _ in range(int(count)):
        sock = socket.socket()
        sock.settimeout(3)
        try:
            sock.connect(listener.getsockname())
        except OSError as error:
            bad[str(error)] = bad.get(str(error), 0) + 1
            sock.close()
            continue
        accepted, _ = listener.accept()
        accepted.close()
        sock.recv(10)
        sock.close()
        good += 1
    print("connected", good, bad or "")
    sys.exit(0 if good == int(count) else 1)


globals()[sys.argv[1]](*sys.argv[2:])
