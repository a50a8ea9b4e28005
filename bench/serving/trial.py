"""One trial: a host that serves, load and visitors on it, and releases that come and go meanwhile, or none."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.serving import clients
from bench.serving.clients import Tally, Visitors
from bench.serving.load import Answers, Load
from bench.serving.projects import DOWNLOAD, PAGE, Project

FAB = str(Path(sys.executable).with_name("fab"))
SETTLED = 2.0
"""Seconds of load before the first deploy and after the last, so that their edges are seen too."""
BETWEEN_LONG = 20.0
"""Seconds between a long request and the next; those flips wait for it, the others needn't."""


@dataclass(frozen=True)
class Trial:
    """What the load and the visitors met while something was done."""

    name: str
    keep_alive: bool
    answers: Answers
    tallies: list[Tally]
    changes: int = 0
    seconds: list[float] = field(default_factory=list)
    """Of each deploy and rollback, in turn."""

    @property
    def failed(self) -> int:
        return self.answers.failed + sum(tally.failed for tally in self.tallies)


def observe(name: str, project: Project, address: str, work: Callable[[], list[float]], *, keep_alive: bool) -> Trial:
    """Load and visitors on `address` while `work` is done; it gives the seconds of each of its changes."""
    visits: list[tuple[str, Callable[[], int], float]] = [
        ("pages and their assets", lambda: clients.read_page(address, PAGE), 0.2)
    ]
    if project.kind == "static":
        digest = project.download_digest
        visits.append(("10 s downloads", lambda: clients.download(address, DOWNLOAD, digest), BETWEEN_LONG))
    else:
        visits.append(("10 s requests", lambda: clients.ask_long(address), BETWEEN_LONG))
        visits.append(("10 s uploads", lambda: clients.upload(address), BETWEEN_LONG))
    load = Load(address, project.paths, keep_alive=keep_alive)
    visitors = Visitors(visits)
    try:
        time.sleep(SETTLED)
        seconds = work()
        time.sleep(SETTLED)
    finally:
        tallies = visitors.stop()
        answers = load.stop()
    trial = Trial(name, keep_alive, answers, tallies, len(seconds), seconds)
    print(f"  {told(trial)}", file=sys.stderr, flush=True)
    return trial


def told(trial: Trial) -> str:
    """A trial in one line, for who waits."""
    parts = [f"{tally.name} {tally.done}/{tally.failed} failed" for tally in trial.tallies]
    answers = trial.answers
    return (
        f"{trial.name}, {'keep-alive' if trial.keep_alive else 'close'}: {trial.changes} changes in "
        f"{answers.seconds:.0f} s, {answers.requests} requests, {answers.failed} failed, p50 {answers.p50:.1f} "
        f"p99 {answers.p99:.1f} worst {answers.worst:.0f} ms, {', '.join(parts)}; "
        f"{sorted({failure for tally in trial.tallies for failure in tally.failures})[:3]} {answers}"
    )


def fab(project: Project, *words: str) -> tuple[int, float, str]:
    """Run `fab` there: its exit code, wall seconds, and all that it said, as JSON lines."""
    argv = [FAB, *words, "--stage", project.name, "--json"]
    began = time.perf_counter()
    done = subprocess.run(argv, cwd=project.home, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    return done.returncode, seconds, done.stdout + done.stderr


def well(project: Project, *words: str) -> float:
    """As `fab`, and ends the run if that doesn't go well."""
    code, seconds, said = fab(project, *words)
    if code:
        raise SystemExit(f"fab {' '.join(words)} exited {code}:\n{said}")
    return seconds
