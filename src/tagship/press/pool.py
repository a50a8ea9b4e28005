"""A build's processes: this one, and workers beside it that do the same steps for other texts and files.

A worker is `worker.py`, run as `python -P -m tagship.press.worker`: pickles over its standard streams. That is
less than `multiprocessing` asks of its caller (an importable `__main__`, no threads at a fork), so `build` may be
called from a script, a test or the server's threads alike. `-P` keeps a project's own files from being imported.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tagship.errors import TagshipError
from tagship.press.bodies import Body
from tagship.press.content import Text
from tagship.press.share import Made, Order, Problem, Share
from tagship.press.views import Model
from tagship.press.worker import receive, send

if TYPE_CHECKING:
    from tagship.press.planned import Planned

WORTH_A_WORKER = 60
"""Texts for each process below which one more costs more than it saves (its start is some 0.15 s)."""
MOST_WORKERS = 8

Step = TypeVar("Step")


def processes_for(texts: int) -> int:
    """How many processes pay for so many texts."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, texts // WORTH_A_WORKER, MOST_WORKERS))


class Pool:
    """All processes of one build; leaving the block ends them. `own` begins the names of their segments."""

    def __init__(self, order: Order, own: str, count: int) -> None:
        self.order = order
        self.share = Share(order, f"{own}-0")
        self.remotes = [_Remote(order, f"{own}-{number}") for number in range(1, count)]

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.share.close()
        for remote in self.remotes:
            remote.end()

    def parse(self, names: Sequence[tuple[str, str]]) -> list[Text]:
        """Read texts, given as (name, kind), in order; raises the `ContentError` of the first that has one."""
        return self.shared_out("parse", names)

    def know(self, model: Model) -> None:
        for remote in self.remotes:
            remote.say("know", model)
        self.share.know(model)

    def render(self, texts: Sequence[Text]) -> tuple[dict[str, Body], dict[str, float]]:
        """Render bodies; they, and the seconds that each took, by name. Raises `ContentError`."""
        done: list[tuple[Body, float]] = self.shared_out("render", texts)
        names = [text.name for text in texts]
        return dict(zip(names, (body for body, _ in done), strict=True)), dict(
            zip(names, (seconds for _, seconds in done), strict=True)
        )

    def learn(self, bodies: Mapping[str, Body]) -> None:
        for remote in self.remotes:
            remote.say("learn", bodies)
        self.share.learn(bodies)

    def make(self, root: Path, planned: Sequence[Planned]) -> list[Made]:
        """Make files below `root`, in order; raises `ContentError`."""
        return self.shared_out("make", planned, root)

    def make_here(self, root: Path, planned: Sequence[Planned]) -> list[Made]:
        """The same in this process alone."""
        return list(map(_good, self.share.make(root, planned)))

    def shared_out(self, step: str, items: Sequence[Any], *first: Any) -> list[Any]:
        count = 1 + len(self.remotes)
        shares = [items[number::count] for number in range(count)]
        for remote, share in zip(self.remotes, shares[1:], strict=True):
            remote.say(step, *first, share)
        results = [getattr(self.share, step)(*first, shares[0])]
        results += [remote.answer() for remote in self.remotes]
        ordered = []
        for index in range(len(items)):
            # A share ends at its first problem, so the first one met in order is the first of all.
            ordered.append(_good(results[index % count][index // count]))
        return ordered


def _good(done: Any) -> Any:
    """What a step gave; raises the error that it met instead."""
    if isinstance(done, Problem):
        raise done.error()
    return done


class _Remote:
    """One worker, seen from its parent."""

    def __init__(self, order: Order, own: str) -> None:
        argv = [sys.executable, "-P", "-m", "tagship.press.worker"]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.tell((order, own))

    def say(self, step: str, *args: Any) -> None:
        self.tell((step, *args))

    def tell(self, message: object) -> None:
        assert self.process.stdin is not None
        try:
            send(self.process.stdin, message)  # type: ignore[arg-type]
        except BrokenPipeError:
            pass  # it died; the missing answer says so

    def answer(self) -> Any:
        assert self.process.stdout is not None
        try:
            answer = receive(self.process.stdout)  # type: ignore[arg-type]
        except EOFError:
            status = self.process.wait()
            raise TagshipError(f"a rendering process ended with status {status}", where="press") from None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def end(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()
