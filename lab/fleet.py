"""A lab: hosts on one switch, known by a name; another process that knows the name can go on with it, or end it.

Below `HOME`, `base-.../` are kept; `run/NAME/` is a lab: `lab.json`, `known_hosts`, `hosts/NUMBER/`. What runs is in
the control group `tagship-lab-DIGEST/NAME`, DIGEST being that of the folder, so that labs of two folders can't meet.
Every change of what runs is made under one lock; the folder is there before, and goes after, all that runs.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import base as bases
from lab import cell
from lab.base import RECIPE, Base, Recipe
from lab.cgroup import Cgroup
from lab.errors import LabError
from lab.host import Host
from lab.network import HOSTS, Subnet, free_subnet, plug_in, switch_steps, unplug

HOME = Path("/var/cache/tagship-lab")
"""Root's, as everything here: the same wherever a sudo says that home is."""


def silent(_words: str) -> None:
    """For those who have nobody to tell."""


@dataclass(frozen=True)
class Lab:
    """The lab called `name`. `kept` ones stay until `down`; others end, at the latest, when the next one comes up."""

    name: str
    kept: bool = False
    home: Path = HOME
    """Where the bases are."""
    runs: Path = HOME / "run"
    """Where what belongs to the labs is; a disk that an overlay can lie on."""
    say: Callable[[str], None] = silent
    recipe: Recipe = RECIPE
    """What its hosts have installed."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", self.name):
            raise LabError(f"{self.name!r} is no name of a lab: letters, digits and dashes")

    @property
    def folder(self) -> Path:
        return self.runs / self.name

    @property
    def group(self) -> Cgroup:
        return self._groups.child(self.name)

    @property
    def _groups(self) -> Cgroup:
        return _group(self.runs)

    @property
    def _switch(self) -> Cgroup:
        return self.group.child("switch")

    def up(self, count: int) -> list[Host]:
        """Hosts 1 to `count`, all of them answering; those that run already stay as they are. Raises `LabError`."""
        if not 0 < count < HOSTS.stop:
            raise LabError(f"a lab has 1 to {HOSTS.stop - 1} hosts, not {count}")
        base = self._base()
        with self._locked():
            self._sweep()
            if not self._switch.alive():
                self._clear(self.name)
                self._lay_out(base)
            hosts = [self.host(number) for number in range(1, count + 1)]
            for host in hosts:
                if not host.installed():
                    host.install()
            self._write_known_hosts()
            for host in hosts:
                if not host.alive():
                    host.boot()
        for host in hosts:
            host.wait()
        return hosts

    def host(self, number: int) -> Host:
        """Host `number`, whether or not it was installed. Raises `LabError` if there is no such lab."""
        record = _read(self.folder)
        if record is None:
            raise LabError(f"there is no lab {self.name!r}: inv lab up 1")
        if number not in HOSTS:
            raise LabError(f"there is no host {number}")
        folder, group = self.folder / "hosts" / str(number), self.group.child(str(number))
        return Host(number, folder, group, self._switch, Subnet(record["subnet"]), Base(Path(record["base"])))

    def hosts(self) -> list[Host]:
        """All that were installed; none if there is no such lab."""
        folder = self.folder / "hosts"
        numbers = sorted(int(entry.name) for entry in folder.iterdir()) if folder.is_dir() else []
        return [host for number in numbers if (host := self.host(number)).installed()]

    def boot(self, number: int) -> Host:
        """Power host `number` on, with the disk that it has, and wait until it answers."""
        host = self._installed(number)
        with self._locked():
            if not host.alive():
                host.boot()
        host.wait()
        return host

    def reset(self, number: int) -> Host:
        """Install host `number` anew: off, a new disk with new keys, on. Returns when it answers."""
        host = self._installed(number)
        with self._locked():
            host.kill()
            host.install()
            self._write_known_hosts()
            host.boot()
        host.wait()
        return host

    def down(self) -> None:
        """End the lab and remove all of it; safe if there is none, or what is left of one."""
        with self._locked():
            self._sweep()
            self._clear(self.name)

    def _installed(self, number: int) -> Host:
        host = self.host(number)
        if not host.installed():
            raise LabError(f"lab {self.name!r} has no host {number}: inv lab up {number}")
        return host

    def _base(self) -> Base:
        if found := bases.find(self.home, self.recipe):
            return found
        with _lock(self.home / "lock"):
            found = bases.find(self.home, self.recipe)
            return found or bases.build(self.home, _group(self.home), self.say, self.recipe)

    def _lay_out(self, base: Base) -> None:
        """Record what is going to be, then make the switch and the way to it."""
        subnet = free_subnet()
        (self.folder / "hosts").mkdir(parents=True)
        owner = None if self.kept else _identity(os.getpid())
        _write(self.folder / "lab.json", {"subnet": subnet.prefix, "base": str(base.folder), "owner": owner})
        for name in (cell.KEEPER, cell.INSIDE):
            self._switch.child(name).make()
        log = self.folder / "switch"
        if said := cell.start(self._switch.folder, switch_steps(subnet), ["sleep", "infinity"], log):
            raise LabError(f"the lab's network can't be made: {said}")
        plug_in(subnet)

    def _write_known_hosts(self) -> None:
        temporary = self.folder / "known_hosts.new"
        temporary.write_text("".join(host.known_key for host in self.hosts()))
        temporary.rename(self.folder / "known_hosts")

    def _sweep(self) -> None:
        """Clear away the labs of processes that have ended without doing so."""
        for folder in self.runs.iterdir():
            if folder.is_dir():
                record = _read(folder)
                if record is None or _abandoned(record):
                    self._clear(folder.name)

    def _clear(self, name: str) -> None:
        record, group = _read(self.runs / name), self._groups.child(name)
        plugged = group.alive()  # if nothing of it lives, its subnet may be another lab's by now
        group.remove()
        if record and plugged:
            unplug(Subnet(record["subnet"]))
        if (self.runs / name).exists():
            shutil.rmtree(self.runs / name)
        if self._groups.folder.is_dir() and not any(entry.is_dir() for entry in self._groups.folder.iterdir()):
            self._groups.remove()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with _lock(self.runs / "lock"):
            yield


def _group(folder: Path) -> Cgroup:
    """The control group of all that belongs to `folder`."""
    return Cgroup(Path(f"tagship-lab-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]}"))


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """The kernel's lock on `path`, which it frees when we end, however that comes about."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _identity(pid: int) -> str:
    """`PID START` of a process, START in clock ticks since the boot, so that a later one isn't taken for it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # proc_pid_stat(5): the name, in parentheses, can contain anything; the state is field 3, the start field 22.
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else f"{pid} {fields[19]}"


def _abandoned(record: dict[str, Any]) -> bool:
    """Whether the lab had an owner, and it has ended."""
    owner = record["owner"]
    return owner is not None and _identity(int(owner.split()[0])) != owner


def _read(folder: Path) -> dict[str, Any] | None:
    """What is recorded of a lab; nothing if it was still, or no longer, being recorded when something ended that."""
    try:
        found: dict[str, Any] = json.loads((folder / "lab.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return found


def _write(path: Path, record: dict[str, Any]) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(record))
    temporary.rename(path)
