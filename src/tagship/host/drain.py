"""Waiting until nobody is connected to a socket any more, as /proc/net/unix shows it."""

from __future__ import annotations

import os
import time

from tagship.host import files
from tagship.host.lifeline import Lifeline

_APART = 0.05  # seconds between two looks
_TWICE = 2  # looks in a row that must find nobody
_LISTENS = 0x10000  # __SO_ACCEPTCON in the column Flags


def connections(path: str) -> int:
    """How many connections there are to the unix socket at `path`: accepted ones and those still queued.

    A connection's server end carries the listener's path, also before it is accepted (then its state is 02, and 03
    afterwards); the listener itself has the flag of a socket that accepts.
    """
    name = os.fsencode(path)
    count = 0
    for line in (files.read("/proc/net/unix") or b"").splitlines()[1:]:
        fields = line.split(None, 7)
        if len(fields) == 8 and fields[7] == name and not int(fields[3], 16) & _LISTENS and fields[5] != b"01":
            count += 1
    return count


def wait(lifeline: Lifeline, path: str, patience: float) -> bool:
    """Wait until nobody is connected, twice in a row; gives False where that took longer than `patience` seconds."""
    deadline = time.monotonic() + patience
    empty = 0
    while True:
        empty = 0 if connections(path) else empty + 1
        if empty >= _TWICE:
            return True
        if time.monotonic() + _APART > deadline and not empty:
            return False
        lifeline.wait(_APART)
