# SPDX-License-Identifier: GPL-2.0-or-later
"""A proxy for CONNECT that asks for a password first, and goes on with the connection: asking_proxy.py ADDRESS PORT."""
import socket
import sys
import threading


def head(sock):
    data = b""
    while b"\r\n\r\n" not in data and (more := sock.recv(4096)):
        data += more
    return data.partition(b"\r\n\r\n")[0]


def copy(source, to):
    try:
        while data := source.recv(65536):
            to.sendall(data)
        to.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def serve(sock):
    sock.settimeout(20)
    first = head(sock)
    if b"proxy-authorization:" not in first.lower():
        sock.sendall(b'HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic realm="lab"\r\nContent-Length: 0\r\n\r\n')
        first = head(sock)
    if not first.startswith(b"CONNECT ") or b"proxy-authorization:" not in first.lower():
        sock.close()
        return
    host, _, port = first.split()[1].decode().rpartition(":")
    peer = socket.create_connection((host.strip("[]"), int(port)), 10)
    sock.sendall(b"HTTP/1.1 200 Go on\r\n\r\n")
    threading.Thread(target=copy, args=(peer, sock), daemon=True).start()
    copy(sock, peer)


listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
