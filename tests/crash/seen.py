"""What can be seen of a stage on this machine without asking anybody: processes, agents, who holds the lock."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

AGENT = b"f=sys.stdin.buffer"
"""What only the command line of an agent, and of a front door, holds."""


def application(root: Path) -> dict[int, str]:
    """The application's processes of the stage at `root`, pid to the release that their environment names."""
    found = {}
    mark = os.fsencode(root / "run")
    for pid, settings in _environments():
        public = settings.get(b"TAGSHIP_PUBLIC", b"")
        if settings.get(b"TAGSHIP_SOCKET", b"").startswith(mark) or public.startswith(os.fsencode(root)):
            found[pid] = settings.get(b"TAGSHIP_RELEASE", b"?").decode()
    return found


def agents(home: Path) -> list[int]:
    """Agents, front doors left out, that live with `home`: those that a client with that home started here."""
    return [pid for pid, line in _commands(home) if AGENT in line and b"\0front\0" not in line]


def commands(home: Path) -> dict[int, str]:
    """Every process that lives with `home`, pid to command line."""
    return {pid: line.replace(b"\0", b" ").decode(errors="replace") for pid, line in _commands(home)}


def holder(root: Path) -> int | None:
    """The pid that holds the lock of the stage at `root`, as the kernel tells; looking takes it from nobody."""
    try:
        wanted = (root / "state" / "lock").stat()
    except FileNotFoundError:
        return None
    for line in Path("/proc/locks").read_text().splitlines():
        words = line.split()  # `12: FLOCK  ADVISORY  WRITE 714 fe:00:2621 0 EOF`; with `->` one that waits
        if words[1] == "FLOCK" and words[5].rpartition(":")[2] == str(wanted.st_ino):
            return int(words[4])
    return None


def _commands(home: Path) -> Iterator[tuple[int, bytes]]:
    for pid, settings in _environments():
        if settings.get(b"HOME") == os.fsencode(home):
            try:
                yield pid, Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue


def _environments() -> Iterator[tuple[int, dict[bytes, bytes]]]:
    """Pid and environment of each process that lives and may be looked at."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            items = (entry / "environ").read_bytes().split(b"\0")
            state = (entry / "stat").read_text().rpartition(") ")[2][:1]
        except OSError:
            continue
        if state not in "ZX":
            yield int(entry.name), dict(item.partition(b"=")[::2] for item in items)
