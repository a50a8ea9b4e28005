"""Many texts through several processes, results in order; with one worker, none is started.

A worker is `worker.py`, run as `python -P -m tagship.press.worker`: pickles over its standard streams. That is
less than `multiprocessing` asks of its caller (an importable `__main__`, no threads at a fork), so `build` may be
called from a script, a test or the server's threads alike. `-P` keeps a project's own files from being imported.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tagship.errors import ContentError, TagshipError
from tagship.press.markup import Engine, Links, Rendered, Text

WORTH_A_WORKER = 60
"""Texts below which a second process costs more than it saves (its start is some 0.15 s)."""
MOST_WORKERS = 8


@dataclass(frozen=True)
class Problem:
    """A `ContentError` in transit: exceptions with keyword arguments don't pickle."""

    what: str
    name: str
    line: int | None
    cure: str

    def error(self) -> ContentError:
        return ContentError(self.what, path=self.name, line=self.line, cure=self.cure)


def render_all(texts: Sequence[Text], links: Links, workers: int | None = None) -> list[Rendered]:
    """Render `texts` in order; `workers` is the number of processes, None to let their number decide.

    Raises the `ContentError` of the first text that has one, whatever the number of workers.
    """
    count = workers if workers is not None else min(_cores(), len(texts) // WORTH_A_WORKER, MOST_WORKERS)
    if count < 2 or len(texts) < 2:
        engine = Engine(links)
        return [engine.render(text) for text in texts]
    shares = [list(texts[n::count]) for n in range(count)]
    with _Workers(shares, links) as running:
        results = running.results()
    ordered: list[Rendered] = []
    for index in range(len(texts)):
        share = results[index % count]
        # A share ends at its first problem, so the first one met in order is the first of all.
        done = share[index // count]
        if isinstance(done, Problem):
            raise done.error()
        ordered.append(done)
    return ordered


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Workers:
    """The running processes; leaving the block ends them, however it is left."""

    def __init__(self, shares: Sequence[list[Text]], links: Links) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []
        self.jobs = [pickle.dumps((share, links)) for share in shares]

    def __enter__(self) -> _Workers:
        argv = [sys.executable, "-P", "-m", "tagship.press.worker"]
        for _ in self.jobs:
            self.processes.append(subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        return self

    def results(self) -> list[list[Rendered | Problem]]:
        for process, job in zip(self.processes, self.jobs, strict=True):
            assert process.stdin is not None
            try:
                process.stdin.write(job)
                process.stdin.close()
            except BrokenPipeError:
                pass  # it died; the missing answer below says so
        answers = []
        for process in self.processes:
            assert process.stdout is not None
            answer = process.stdout.read()
            if process.wait() != 0:
                raise TagshipError(f"a rendering process ended with status {process.returncode}", where="press")
            answers.append(pickle.loads(answer))  # noqa: S301 - our own child's answer, over a private pipe
        return answers

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    try:
                        stream.close()
                    except BrokenPipeError:
                        pass
            process.wait()
