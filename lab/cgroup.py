"""Control groups: the kernel's own list of what we started, which no crash of ours can make wrong.

A host's systemd manages the group that it boots in as its own, so that each host needs one to itself.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError

PATIENCE = 30.0
"""Seconds that killed processes are given to be gone; they wait for their disk at most."""


def _mounts() -> list[tuple[str, Path]]:
    """Type and place of each mounted hierarchy of groups; the fields are those of proc_pid_mountinfo(5)."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if after.startswith(("cgroup ", "cgroup2 ")):
            found.append((after.split()[0], Path(before.split()[4])))
    return found


def hierarchy() -> Path:
    """Where version 2 of the control groups is mounted. Raises `LabError` if it isn't."""
    for kind, place in _mounts():
        if kind == "cgroup2":
            return place
    raise LabError("the lab needs control groups of version 2")


@dataclass(frozen=True)
class Cgroup:
    """One group, by its path below every hierarchy; it needs not exist."""

    path: Path

    @property
    def folder(self) -> Path:
        return hierarchy() / self.path

    def child(self, name: str) -> Cgroup:
        return Cgroup(self.path / name)

    def make(self) -> None:
        """Make it, and let it have whatever controllers there are, so that a unit in a host can have limits."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for above in [above for above in reversed(self.path.parents) if above.parts]:  # the topmost is the machine's
            group = hierarchy() / above
            for controller in (group / "cgroup.controllers").read_text().split():
                try:
                    (group / "cgroup.subtree_control").write_text(f"+{controller}")
                except OSError:
                    pass  # in use where processes stand beside groups: that one has no limits then

    def alive(self) -> bool:
        """Whether a process is in it, or in a group below it."""
        try:
            return "populated 1" in (self.folder / "cgroup.events").read_text()
        except OSError:  # not made, or removed meanwhile
            return False

    def pid(self) -> int:
        """Its first process. Raises `LabError` if there is none."""
        try:
            return int((self.folder / "cgroup.procs").read_text().split()[0])
        except (OSError, IndexError):
            raise LabError(f"no process in {self.path}") from None

    def kill(self) -> None:
        """Kill all processes in it at the same instant, as a power cut does, and return when they are gone."""
        deadline = time.monotonic() + PATIENCE
        while self.alive():
            try:
                (self.folder / "cgroup.kill").write_text("1")
            except FileNotFoundError:
                return
            if time.monotonic() > deadline:
                raise LabError(f"processes in {self.folder} don't end")
            time.sleep(0.005)

    def remove(self) -> None:
        """Kill what is in it and remove it, with the groups below it, from every hierarchy."""
        deadline = time.monotonic() + PATIENCE
        while True:
            self.kill()
            left = [place / self.path for _, place in _mounts() if (place / self.path).is_dir()]
            if not left:
                return
            for folder in left:
                _remove_tree(folder)
            if time.monotonic() > deadline:
                raise LabError(f"{left[0]} can't be removed")


def _remove_tree(folder: Path) -> None:
    """Remove a group and those below it; what is busy (a process joined late) or gone is left to the next try."""
    for here, _, _ in os.walk(folder, topdown=False):
        try:
            Path(here).rmdir()
        except OSError:
            time.sleep(0.005)
