"""The agent dies by SIGKILL before one of the system calls by which it changes its host; strace sees to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from crash.carousel import TAGS, Carousel, carousel
from crash.matrix import Trial, fault
from crash.needs import programs
from crash.syscalls import Point

HOLDS = "put back or live, and told so; no request failed; the next deploy goes through: O1-O3, O5, O6"


@fault("agent-killed-at-each-syscall-of-a-deploy", holds=HOLDS, needs=programs("strace"))
def deploy(trial: Trial) -> None:
    """SIGKILL before each call that changes anything, one run a call; then the same tag again, or another."""
    with carousel(trial.scratch) as turns:
        turns.begin()
        tag = turns.after(turns.current)
        found = turns.counted("deploy", "--tag", tag, tag=tag)
        _each(trial, turns, trial.choose(found, quick=5), turns.deploying)


@fault("agent-killed-at-each-syscall-of-a-rollback", holds=HOLDS, needs=programs("strace"))
def rollback(trial: Trial) -> None:
    """The same of a rollback; then a tag that is neither of the two."""
    with carousel(trial.scratch) as turns:
        turns.begin()
        current = turns.current
        earlier = turns.after(current, turns.after(current))
        found = turns.counted("rollback", tag=earlier)
        turns.world.converges(turns.after(current, earlier))
        _each(trial, turns, trial.choose(found, quick=4), turns.going_back)


def _each(trial: Trial, turns: Carousel, points: Sequence[Point], turn: Callable[[], tuple[str, ...]]) -> None:
    for point in points:
        with trial.at(point):
            _, met = turns.struck(point, "signal=KILL", turn)
            if not met:
                trial.notes.append(f"{point} did not come again")
            turns.world.converges(trial.dice(point).choice(TAGS))
