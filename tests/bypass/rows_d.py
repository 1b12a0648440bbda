# SPDX-License-Identifier: GPL-2.0-or-later
"""Section D of threats.md: TLS and HTTP."""
from technique import GOOD4, resolve, technique


@technique("D12", "host", oracle="marker")
def http_host(t):
    """HTTP: the Host of somebody else at an allowed address"""
    resolve(t.name if t.allowed else "good.test")
    t.connect(80, GOOD4).sendall(f"GET / HTTP/1.1\r\nHost: {t.name}\r\n\r\n".encode())
