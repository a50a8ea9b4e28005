"""Changes of a fleet that are disturbed at one of their steps: which moments there are, and an attempt at one."""

from __future__ import annotations

import queue
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from crash.fleets import Fleet
from crash.matrix import Violated
from crash.oracles import o5_told, tag_of
from crash.running import LONG, Ended, is_step

T = TypeVar("T")

TAGS = ("v1", "v2")
ERROR = 45.0
"""Seconds, at most, between a cut and the typed error that tells of it."""


@dataclass(frozen=True)
class Moment:
    """The step event `number` (from 0) of `fab VERB`, as a clean run told it."""

    verb: str
    number: int
    host: str
    step: str
    state: str

    @property
    def name(self) -> str:
        """How a point is called: `deploy-17`."""
        return f"{self.verb}-{self.number}"

    @property
    def kind(self) -> str:
        """What the step does, whatever it does it to: `flip`, `mark`."""
        return self.step.split()[0]


@dataclass(frozen=True)
class Attempt:
    """How a change ended that was disturbed."""

    ended: Ended
    seconds: float
    """Between the disturbance and the end."""
    old: Mapping[str, str | None]
    """What each host stood on before."""


def prepare(fleet: Fleet) -> list[Moment]:
    """Have two good releases on every host, and count what a deploy and a rollback of them tell in a clean run."""
    for tag in TAGS:
        fleet.tag(tag)
        fleet.must("deploy", "--tag", tag)
    up = moments("deploy", fleet.must("deploy", "--tag", TAGS[0]))
    return up + moments("rollback", fleet.must("rollback"))


def moments(verb: str, ended: Ended) -> list[Moment]:
    """All moments of a `fab VERB` that has ended."""
    events = [event for event in ended.events if is_step(event)]
    return [Moment(verb, n, event["host"], event["step"], event["state"]) for n, event in enumerate(events)]


def one_of_each(found: Sequence[Moment], host: str) -> list[Moment]:
    """The first beginning of each kind of step on `host`, of each verb, in their order."""
    firsts: dict[tuple[str, str], Moment] = {}
    for moment in found:
        if moment.host == host and moment.state == "begin":
            firsts.setdefault((moment.verb, moment.kind), moment)
    return list(firsts.values())


def change(fleet: Fleet, verb: str) -> tuple[tuple[str, ...], str]:
    """Make ready for `verb`; the words of the command, and the tag that it leads to."""
    if len(set(fleet.currents().values())) != 1:  # the attempt before was a violation: it isn't to become two
        fleet.must("deploy", "--tag", TAGS[0], "--wait", f"{ERROR:.0f}s")
    (now,) = {tag_of(release) for release in fleet.currents().values()}
    other = TAGS[now == TAGS[0]]
    if verb == "deploy":
        return ("deploy", "--tag", other), other
    fleet.must("deploy", "--tag", other)
    assert now is not None
    return ("rollback",), now


def disturb(fleet: Fleet, words: Sequence[str], tag: str, moment: Moment, act: Callable[[], object]) -> Attempt:
    """Run `fab WORDS`, which leads to `tag`, `act` at that moment, and hold what was told at its end to O5."""
    old = fleet.currents()
    running = fleet.start(*words)
    try:
        if running.until(moment.number) is None:
            raise Violated(f"it ended before its step {moment.number}: {running.ended().words}")
        running.kill(signal.SIGSTOP)  # lest it be past the moment when all that `act` takes has been started
        began = time.monotonic()
        try:
            act()
        finally:
            running.kill(signal.SIGCONT)
        ended = running.ended()
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.communicate(timeout=LONG)
    seconds = time.monotonic() - began
    o5_told(fleet.hosts, ended.exit, ended.result, old=old, new=tag)
    return Attempt(ended, seconds, old)


def once_free(fleet: Fleet, tag: str, since: float, *, within: float) -> float:
    """Deploy `tag` again and again while the lock is held; the seconds from `since` to the try that went on."""
    while True:
        began = time.monotonic()
        ended = fleet.fab("deploy", "--tag", tag)
        if ended.exit == 0:
            return began - since
        if ended.exit != 6 or began - since > within:
            raise Violated(f"O3: {began - since:.0f} s after the fault, a plain deploy must succeed: {ended.words}")


def prepare_all(fleets: Sequence[Fleet]) -> list[Moment]:
    """`prepare` each, side by side; what the first one told."""
    with ThreadPoolExecutor(len(fleets)) as crew:
        return next(iter(list(crew.map(prepare, fleets))))


def in_lanes(fleets: Sequence[Fleet], points: Sequence[T], work: Callable[[Fleet, T], None]) -> None:
    """`work` at each point, on as many fleets at a time as there are: most of it is waiting."""
    todo: queue.SimpleQueue[T] = queue.SimpleQueue()
    for point in points:
        todo.put(point)

    def lane(fleet: Fleet) -> None:
        while True:
            try:
                point = todo.get_nowait()
            except queue.Empty:
                return
            work(fleet, point)

    with ThreadPoolExecutor(len(fleets)) as crew:
        list(crew.map(lane, fleets))
