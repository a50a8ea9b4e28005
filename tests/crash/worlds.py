"""Where faults are injected: a project with tags, and a stage of it that is this machine or a fleet of lab hosts.

`fab` runs as its user runs it, in a process of its own; nothing of tagship is imported here.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from contract.projects import free_port
from contract.sshd import Sshd, run_sshd
from crash import seen
from crash.matrix import Violated
from crash.oracles import (
    Standing,
    current,
    o1_old_or_new,
    o2_answers,
    o3_nothing_stray,
    o3_processes,
    tag_of,
)
from crash.running import LONG, Ended, Running, eventually, is_step
from verbs.project import Project

from lab.fleet import Lab
from lab.host import Host

__all__ = ["LONG", "Ended", "Fleet", "Running", "World", "embedded", "eventually", "fleet", "is_step", "loopback"]
SETTINGS = {"drain": "3s"}


@dataclass
class World:
    """A project and one stage of it."""

    project: Project
    stage: str
    hosts: list[Standing] = field(default_factory=list)

    def tag(self, version: str, behaviour: str = "well", **files: str) -> str:
        """A tag whose application answers with its own name."""
        self.project.tag(version, {"version.txt": version, "behaviour.txt": behaviour, **files})
        return version

    def start(self, *words: str) -> Running:
        """`fab WORDS --stage STAGE`, under way."""
        return Running(("fab", *words, "--stage", self.stage), self.project.folder, self.project.env)

    def fab(self, *words: str) -> Ended:
        """`fab WORDS --stage STAGE`, to its end."""
        return self.start(*words).ended()

    def must(self, *words: str) -> Ended:
        """`fab`, which has to succeed."""
        ended = self.fab(*words)
        if ended.exit:
            raise Violated(f"O3: `fab {' '.join(words)}` must succeed: {ended.words}")
        return ended

    def currents(self) -> dict[str, str | None]:
        """What each host stands on."""
        return {host.name: current(host) for host in self.hosts}

    def steps(self, *words: str) -> int:
        """How many step events a clean run of `fab WORDS` tells: the points at which it can be cut."""
        return sum(is_step(event) for event in self.must(*words).events)

    def whole(self, allowed: Sequence[str | None], *, patience: float = 0.0) -> None:
        """O1 and O2 on every host."""
        for host in self.hosts:
            o1_old_or_new(host, allowed)
            o2_answers(host, patience=patience)

    def converges(self, tag: str) -> None:
        """O3: the next plain `fab deploy` succeeds with no manual step, is live everywhere, leaves nothing."""
        self.must("deploy", "--tag", tag)
        self.whole([tag])
        ids = set(self.currents().values())
        if len(ids) != 1:
            raise Violated(f"O3: after a deploy the fleet stands on {self.currents()}")
        for host in self.hosts:
            o3_nothing_stray(host)
        self.only_current_runs()

    def only_current_runs(self) -> None:
        """O3: every process of the application is of what `current` names."""
        for host in self.hosts:
            o3_processes(host, seen.application(host.root))

    def live(self, tag: str) -> None:
        """Have `tag` live, by a deploy where it isn't."""
        if {tag_of(release) for release in self.currents().values()} != {tag}:
            self.must("deploy", "--tag", tag)

    def settled(self, patience: float = 45.0) -> float:
        """Return once nobody is at work: no agent, no lock. Gives the seconds that it took; raises `Violated`."""
        began = time.monotonic()
        eventually(lambda: not self.at_work(), patience, "no agent is at work and no lock is held")
        return time.monotonic() - began

    def at_work(self) -> list[int]:
        """Pids of the agents that this world's commands started here, and of whoever holds a lock."""
        holders = [seen.holder(host.root) for host in self.hosts]
        return [*seen.agents(self.project.home), *(pid for pid in holders if pid is not None)]

    def raze(self) -> None:
        """Have hosts on which nothing was ever deployed."""
        self.kill()
        for host in self.hosts:
            shutil.rmtree(host.root, ignore_errors=True)

    def kill(self) -> None:
        """End every process of the stage."""
        roots = [pid for host in self.hosts for pid in seen.application(host.root)]
        for pid in {*roots, *seen.commands(self.project.home)}:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@dataclass
class Fleet(World):
    """A stage of lab hosts, made ready by `fab setup`: units behind nginx."""

    lab: Lab | None = None
    machines: dict[str, Host] = field(default_factory=dict)

    def only_current_runs(self) -> None:
        """O3, by the units that systemd knows on each host."""
        for host in self.hosts:
            now = current(host)
            argv = ["systemctl", "list-units", "--plain", "--no-legend", "--state=active,activating,deactivating"]
            lines = self.machines[host.name].run(*argv, f"blog-{self.stage}@*", user="root").stdout.split()
            units = {word for word in lines if word.startswith(f"blog-{self.stage}@")}
            serials = {unit.partition("@")[2].split(".")[0] for unit in units}
            wanted = set() if now is None else {now.partition("-")[0]}
            if not serials <= wanted:
                raise Violated(f"O3 {host.name}: {now} is current, and these units run: {sorted(units)}")


@contextmanager
def embedded(folder: Path) -> Iterator[World]:
    """A project in `folder` with its embedded stage; what runs is ended afterwards."""
    project = _project(folder)
    try:
        yield World(project, "local", [Standing("local", project.root, f"http://{project.front}", "/version")])
    finally:
        project.end()


@contextmanager
def loopback(folder: Path, count: int) -> Iterator[World]:
    """A project in `folder` whose stage `far` is `count` hosts behind one sshd of this machine: plain processes."""
    project = _project(folder)
    with run_sshd(folder / "sshd", home=project.home) as server:
        try:
            yield World(project, "far", _behind(server, project, folder, count))
        finally:
            project.end()


def _behind(server: Sshd, project: Project, folder: Path, count: int) -> list[Standing]:
    way = {
        "host": "127.0.0.1",
        "port": server.port,
        "user": server.user,
        "identity": str(server.identity),
        "known_hosts": str(server.known_hosts),
    }
    hosts = [
        Standing(f"web{n}", folder / f"w{n}", f"http://127.0.0.1:{free_port()}", "/version") for n in range(count)
    ]
    entries = [
        {"name": host.name, **way, "root": str(host.root), "front": host.url.removeprefix("http://")}
        for host in hosts
    ]
    _add_stage(project, "far", {"hosts": entries, "service": {"kind": "process"}, **SETTINGS})
    return hosts


def _project(folder: Path) -> Project:
    home = folder / "h"
    home.mkdir(parents=True)
    project = Project(folder / "p", home)
    project.stages = []  # at its end all that lives with its home is killed, which costs nothing
    project.begin()
    project.lighten()
    project.edit("tagship.yml", r"(?m)^  name: .*", "  name: blog")
    return project


def _add_stage(project: Project, name: str, settings: dict[str, Any]) -> None:
    path = project.folder / "tagship.yml"
    document = yaml.safe_load(path.read_text())
    document.setdefault("stages", {})[name] = settings
    path.write_text(yaml.safe_dump(document))


@contextmanager
def fleet(folder: Path, count: int, *, name: str = "faults") -> Iterator[Fleet]:
    """A project in `folder` whose stage `lab` is `count` fresh lab hosts, ready for units; nothing is live."""
    lab = Lab(f"{name}-{os.getpid()}")
    try:
        yield _fleet(folder, lab, lab.up(count))
    finally:
        lab.down()


def _fleet(folder: Path, lab: Lab, hosts: Sequence[Host]) -> Fleet:
    project = _project(folder)
    entries = [
        {
            "host": host.address,
            "name": f"web{number}",
            "user": "deploy",
            "identity": str(host.identity),
            "known_hosts": str(host.known_hosts),
        }
        for number, host in enumerate(hosts, 1)
    ]
    _add_stage(project, "lab", {"hosts": entries, "root": "/srv/blog", **SETTINGS})
    machines = {f"web{number}": host for number, host in enumerate(hosts, 1)}
    standing = [
        Standing(name, host.folder / "root" / "srv" / "blog", f"http://{host.address}", "/version")
        for name, host in machines.items()
    ]
    made = Fleet(project, "lab", standing, lab, machines)
    ended = subprocess.run(
        ["fab", "setup", "--stage", "lab", "--admin", "root", "--json"],
        cwd=project.folder,
        env=project.env,
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return made
