"""Where faults are injected: a project with tags, and a stage of it that this machine is (crash.fleets has others).

`fab` runs as its user runs it, in a process of its own; nothing of tagship is imported here.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
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

__all__ = ["LONG", "Ended", "Running", "World", "embedded", "eventually", "is_step", "loopback"]
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

    def start(self, *words: str, owner: str = "") -> Running:
        """`fab WORDS --stage STAGE`, under way, by `owner` if that isn't we ourselves."""
        env = {**self.project.env, "TAGSHIP_OWNER": owner} if owner else self.project.env
        return Running(("fab", *words, "--stage", self.stage), self.project.folder, env)

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
        self.clean()

    def clean(self) -> None:
        """O3: no stray lock, link, staging or process."""
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


@contextmanager
def embedded(folder: Path) -> Iterator[World]:
    """A project in `folder` with its embedded stage; what runs is ended afterwards."""
    project = light_project(folder)
    try:
        yield World(project, "local", [Standing("local", project.root, f"http://{project.front}", "/version")])
    finally:
        project.end()


@contextmanager
def loopback(folder: Path, count: int) -> Iterator[World]:
    """A project in `folder` whose stage `far` is `count` hosts behind one sshd of this machine: plain processes."""
    project = light_project(folder)
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
    add_stage(project, "far", {"hosts": entries, "service": {"kind": "process"}, **SETTINGS})
    return hosts


def light_project(folder: Path) -> Project:
    """A project in `folder`, served by the standard library alone."""
    home = folder / "h"
    home.mkdir(parents=True)
    project = Project(folder / "p", home)
    project.stages = []  # at its end all that lives with its home is killed, which costs nothing
    project.begin()
    project.lighten()
    project.edit("tagship.yml", r"(?m)^  name: .*", "  name: blog")
    return project


def add_stage(project: Project, name: str, settings: Mapping[str, Any]) -> None:
    """Write the stage called `name` into tagship.yml, in place of one of that name."""
    path = project.folder / "tagship.yml"
    document = yaml.safe_load(path.read_text())
    document.setdefault("stages", {})[name] = settings
    path.write_text(yaml.safe_dump(document))
