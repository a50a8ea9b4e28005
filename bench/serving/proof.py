"""The proof: every kind, with and without keep-alive, while releases come and go; and bad ones that must not come."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.serving.bad import bad_releases
from bench.serving.projects import MEMORY, Project
from bench.serving.trial import Trial, fab, observe, well
from bench.stages import describe, set_up
from lab.host import Host

PORTS = {"wsgi": 8101, "asgi": 8102, "static": 8103}
APPLICATIONS = ("wsgi", "asgi")
LEAST = 10.0
"""Seconds without a deploy, at least, that a trial with deploys is compared with."""


@dataclass(frozen=True)
class Pair:
    """The same load for the same time, with and without deploys."""

    kind: str
    changing: Trial
    quiet: Trial

    @property
    def ratio(self) -> float:
        return self.changing.answers.p99 / self.quiet.answers.p99


@dataclass(frozen=True)
class Attempt:
    """A bad release that somebody tried to deploy."""

    kind: str
    sort: str
    code: int
    """The exit code of `fab deploy`."""
    seconds: float
    answered: int
    """Public answers that came from it."""


def prepare(kind: str, host: Host, folder: Path) -> Project:
    """A project of that kind, and its first release on the host."""
    stage = describe(kind, [host], PORTS[kind], memory=MEMORY)
    project = Project(kind, folder / kind, stage)
    project.write()
    project.release("v1.0.0")
    set_up(project.home, kind)
    well(project, "deploy", "--tag", "v1.0.0")
    return project


def come_and_go(project: Project, host: Host, times: int, number: int, *, keep_alive: bool) -> Pair:
    """`times` deploys, each of a new tag v1.NUMBER.N and each rolled back; then the same time without."""
    address = f"{host.address}:{PORTS[project.kind]}"
    tags = [f"v1.{number}.{turn}" for turn in range(times)]
    for name in tags:
        project.release(name)

    def work() -> list[float]:
        seconds = []
        for name in tags:
            seconds += [well(project, "deploy", "--tag", name), well(project, "rollback")]
        return seconds

    def rest() -> list[float]:
        time.sleep(max(LEAST, sum(changing.seconds)))
        return []

    changing = observe(f"{project.kind}, coming and going", project, address, work, keep_alive=keep_alive)
    quiet = observe(f"{project.kind}, quiet", project, address, rest, keep_alive=keep_alive)
    return Pair(project.kind, changing, quiet)


def refuse_bad(project: Project, host: Host) -> tuple[Trial, Sequence[Attempt]]:
    """A bad release of each sort is deployed under load; none may answer, and no request may fail for it."""
    address = f"{host.address}:{PORTS[project.kind]}"
    bad = bad_releases(project.kind, project.root)
    for number, each in enumerate(bad):
        project.release(f"v6.6.{number}", change=each.change, start=each.start)
    tried: list[tuple[str, int, float]] = []

    def work() -> list[float]:
        for number, each in enumerate(bad):
            code, seconds, _ = fab(project, "deploy", "--tag", f"v6.6.{number}")
            tried.append((each.sort, code, seconds))
        return []

    trial = observe(f"{project.kind}, bad releases", project, address, work, keep_alive=False)
    seen = trial.answers.seen
    attempts = [
        Attempt(project.kind, sort, code, seconds, seen.get(f"v6.6.{number}", 0))
        for number, (sort, code, seconds) in enumerate(tried)
    ]
    return trial, attempts
