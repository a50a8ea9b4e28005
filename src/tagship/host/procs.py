"""Processes as /proc shows them: told apart by pid, start time and boot, so a reused pid is never mistaken."""

from __future__ import annotations

import functools
import os
import signal
from typing import Any, Optional

from tagship.host import files


@functools.lru_cache(maxsize=1)
def boot() -> str:
    """The id of this boot of the machine."""
    return (files.read("/proc/sys/kernel/random/boot_id") or b"").decode().strip()


class Stat:
    """A line of /proc/PID/stat: `state` (one letter), `group`, `session`, `start` (clock ticks since boot)."""

    def __init__(self, pid: int, text: bytes) -> None:
        fields = text[text.rindex(b")") + 2 :].split()  # the name before it may hold spaces and brackets
        self.pid = pid
        self.state = fields[0].decode()
        self.group = int(fields[2])
        self.session = int(fields[3])
        self.start = int(fields[19])

    @property
    def dead(self) -> bool:
        """A zombie still has a pid and does nothing any more."""
        return self.state in "ZX"


def read_stat(pid: int) -> Optional[Stat]:
    """What /proc says of a pid, or `None` where there is no such process."""
    text = files.read("/proc/{}/stat".format(pid))
    try:
        return Stat(pid, text) if text else None
    except (ValueError, IndexError):
        return None


class Process:
    """One process of one boot."""

    def __init__(self, pid: int, start: int, of_boot: str) -> None:
        self.pid = pid
        self.start = start
        self.of_boot = of_boot

    @staticmethod
    def now(pid: int) -> Optional["Process"]:
        """The process that has this pid now."""
        stat = read_stat(pid)
        return None if stat is None or stat.dead else Process(pid, stat.start, boot())

    @staticmethod
    def from_row(row: Any) -> Optional["Process"]:
        """The inverse of `row`; `None` for anything else."""
        if isinstance(row, list) and len(row) == 3 and isinstance(row[0], int) and isinstance(row[1], int):
            return Process(row[0], row[1], str(row[2]))
        return None

    def row(self) -> list[Any]:
        """The JSON form: `[pid, start, boot]`."""
        return [self.pid, self.start, self.of_boot]

    def alive(self) -> bool:
        """Whether it still runs; a child of ours that ended is reaped on the way."""
        if self.of_boot != boot():
            return False
        try:
            os.waitpid(self.pid, os.WNOHANG)
        except OSError:
            pass  # not our child, the usual case
        stat = read_stat(self.pid)
        return stat is not None and not stat.dead and stat.start == self.start


def me() -> Process:
    """This process."""
    return Process.now(os.getpid()) or Process(os.getpid(), 0, boot())


def environ(pid: int) -> dict[bytes, bytes]:
    """The environment a process was started with; empty where it can't be read."""
    found = {}
    for item in (files.read("/proc/{}/environ".format(pid)) or b"").split(b"\0"):
        name, equals, value = item.partition(b"=")
        if equals:
            found[name] = value
    return found


def pids() -> list[int]:
    """Every process there is now."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def leads(pid: int) -> bool:
    """Whether it leads a session, and so a process group too."""
    stat = read_stat(pid)
    return stat is not None and stat.session == pid


def group_lives(group: int) -> bool:
    """Whether any process of the group still does something."""
    for pid in pids():
        stat = read_stat(pid)
        if stat is not None and stat.group == group and not stat.dead:
            return True
    return False


def send_group(group: int, number: int = signal.SIGTERM) -> None:
    """Signal a process group, if there is one that we may signal."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        pass


def send(pid: int, number: int) -> None:
    """Signal a process, if there is one that we may signal."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass
