"""The agent dies by SIGKILL before one of the system calls by which it changes its host; strace sees to it."""

from __future__ import annotations

from crash.carousel import Carousel, carousel
from crash.matrix import Trial, Violated, fault
from crash.needs import programs
from crash.oracles import tag_of
from crash.syscalls import Point

HOLDS = "put back or live, and told so; no request failed; the next deploy goes through: O1-O3, O5, O6"


@fault("agent-killed-at-each-syscall-of-a-deploy", holds=HOLDS, needs=programs("strace"))
def deploy(trial: Trial) -> None:
    """SIGKILL before each call that changes anything, one run a call; then the same tag again, or another."""
    with carousel(trial.scratch) as turns:
        turns.begin()
        tag = turns.after(turns.current)
        found = turns.counted("deploy", "--tag", tag, tag=tag)
        for point in trial.choose(found, quick=5):
            with trial.at(point):
                old = turns.current
                new = turns.after(old)
                _killed(trial, turns, point, "deploy", "--tag", new, tag=new)
                turns.world.converges(trial.dice(point).choice((new, turns.after(old, new))))


@fault("agent-killed-at-each-syscall-of-a-rollback", holds=HOLDS, needs=programs("strace"))
def rollback(trial: Trial) -> None:
    """The same of a rollback; then a tag that is neither of the two."""
    with carousel(trial.scratch) as turns:
        turns.begin()
        current = turns.current
        earlier = turns.after(current, turns.after(current))
        found = turns.counted("rollback", tag=earlier)
        turns.world.converges(turns.after(current, earlier))
        for point in trial.choose(found, quick=4):
            with trial.at(point):
                new = turns.current
                old = tag_of(turns.before)
                assert old is not None
                _killed(trial, turns, point, "rollback", tag=old)
                turns.world.converges(turns.after(old, new))


def _killed(trial: Trial, turns: Carousel, point: Point, *words: str, tag: str) -> None:
    ended, met = turns.struck(point, "signal=KILL", *words, tag=tag)
    if not met:
        trial.notes.append(f"{point} did not come again")
        if ended.exit:
            raise Violated(f"O5: nothing happened to it, and it ended so: {ended.words}")
