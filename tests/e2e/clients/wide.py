# SPDX-License-Identifier: GPL-2.0-or-later
"""Questions and first bytes for clients that send many: to be imported."""
import os
import socket
import ssl
import struct

A = 1


def wire(name):
    return b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\0"


def query(name, qtype=A, qid=None):
    if qid is None:
        qid = struct.unpack("!H", os.urandom(2))[0]
    return struct.pack("!6H", qid, 0x0100, 1, 0, 0, 0) + wire(name) + struct.pack("!2H", qtype, 1)


def rcode(message):
    return message[3] & 15


def addresses(message):
    """The A records of an answer whose names are compressed to two bytes or written out."""
    count = struct.unpack("!H", message[6:8])[0]
    at = 12
    while message[at]:
        at += message[at] + 1
    at += 5
    found = []
    for _ in range(count):
        while message[at] and message[at] < 192:
            at += message[at] + 1
        at += 1 if not message[at] else 2
        rtype, length = struct.unpack("!H6xH", message[at:at + 10])
        if rtype == A:
            found.append(socket.inet_ntoa(message[at + 10:at + 14]))
        at += 10 + length
    return found


class Resolver:
    """A UDP socket to one resolver; ask() gives the answer, or None."""

    def __init__(self, address, timeout=2):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.settimeout(timeout)
        self.sock.connect((address, 53))

    def ask(self, name, qtype=A):
        question = query(name, qtype)
        self.sock.send(question)
        while True:
            try:
                message = self.sock.recv(4096)
            except TimeoutError:
                return None
            if message[:2] == question[:2]:
                return message

    def close(self):
        self.sock.close()


def hello(name, protocols=()):
    """A whole ClientHello that names `name`, and application protocols (which make it long)."""
    context = ssl.create_default_context()
    if protocols:
        context.set_alpn_protocols(list(protocols))
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()
