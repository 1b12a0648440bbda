# SPDX-License-Identifier: GPL-2.0-or-later
"""Section C of threats.md: DNS."""
from technique import resolve, technique


@technique("C7", "getaddrinfo", oracle="marker")
def getaddrinfo(t):
    """data in a name that is looked up"""
    resolve(t.name)
