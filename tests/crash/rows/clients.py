"""The client dies by SIGKILL, which leaves all to the agents: HOUSE.md's EOF rules, then the next command."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from crash import seen
from crash.matrix import Trial, Violated, fault
from crash.oracles import Standing, Visitors, current, eof_rules, goes_back, good_before, journaled, releases, tag_of
from crash.worlds import World, embedded

HOLDS = "HOUSE.md's EOF rules to the letter; O1-O6; the next command goes on, or settles first"
RESUME, OTHER, BACK = "resume", "another", "rollback"
NEXT = (RESUME, OTHER, BACK)
"""What follows a client's death: the same command, a deploy of another tag, or a rollback."""


@fault("client-killed-at-each-step-of-a-deploy", holds=HOLDS)
def deploy(trial: Trial) -> None:
    """SIGKILL at step event k of N, for every k, of a deploy on the embedded stage; each before each of `NEXT`."""
    with _three(trial.scratch) as world:
        steps = world.steps("deploy", "--tag", "v3")
        for point in trial.choose(_points(steps), quick=7):
            with trial.at(point):
                _deploy(world, *_read(point))


@fault("client-killed-at-each-step-of-a-rollback", holds=HOLDS)
def rollback(trial: Trial) -> None:
    """The same of a rollback."""
    with _three(trial.scratch) as world:
        world.must("deploy", "--tag", "v3")
        steps = world.steps("rollback")
        for point in trial.choose(_points(steps), quick=5):
            with trial.at(point):
                _rollback(world, *_read(point))


@fault("client-killed-at-each-step-of-a-first-deploy", holds=HOLDS)
def first(trial: Trial) -> None:
    """Where nothing was live before: nothing is again, or the new release; the same or another tag then goes live."""
    with embedded(trial.scratch) as world:
        for tag in ("v1", "v2"):
            world.tag(tag)
        steps = world.steps("deploy", "--tag", "v1")
        points = [f"{step}-{branch}" for step in range(steps) for branch in (RESUME, OTHER)]
        for point in trial.choose(points, quick=4):
            with trial.at(point):
                world.raze()
                step, branch = _read(point)
                cut(world, step, ("deploy", "--tag", "v1"))
                world.converges("v1" if branch == RESUME else "v2")


@fault("client-killed-at-random-moments", holds=HOLDS)
def moments(trial: Trial) -> None:
    """SIGKILL somewhere in 0 to 1.1 times the run time of a deploy, and of a rollback."""
    with _three(trial.scratch) as world:
        took = {}
        for words in (("deploy", "--tag", "v3"), ("rollback",)):
            began = time.monotonic()
            world.must(*words)
            took[words[0]] = time.monotonic() - began
        for number in trial.times(full=300, quick=4):
            with trial.at(number):
                dice = trial.dice(number)
                branch = dice.choice(NEXT)
                if number % 2:
                    _deploy(world, dice.uniform(0, 1.1) * took["deploy"], branch)
                else:
                    _rollback(world, dice.uniform(0, 1.1) * took["rollback"], branch)


@contextmanager
def _three(folder: Path) -> Iterator[World]:
    """An embedded world with three tags, of which v1 and then v2 went live."""
    with embedded(folder) as world:
        for tag in ("v1", "v2", "v3"):
            world.tag(tag)
        for tag in ("v1", "v2"):
            world.must("deploy", "--tag", tag)
        yield world


def _points(steps: int) -> list[str]:
    return [f"{step}-{branch}" for step in range(steps) for branch in NEXT]


def _read(point: str) -> tuple[int, str]:
    step, _, branch = point.partition("-")
    return int(step), branch


def _deploy(world: World, at: int | float, branch: str) -> None:
    (host,) = world.hosts
    target = "v1" if tag_of(current(host)) == "v3" else "v3"
    cut(world, at, ("deploy", "--tag", target))
    _follow(world, branch, target)


def _rollback(world: World, at: int | float, branch: str) -> None:
    (host,) = world.hosts
    if good_before(host, current(host)) is None:
        world.must("deploy", "--tag", "v3" if tag_of(current(host)) != "v3" else "v2")
    target = str(tag_of(good_before(host, current(host))))
    cut(world, at, ("rollback",))
    _follow(world, branch, target)


def _follow(world: World, branch: str, target: str) -> None:
    """The next command succeeds with no manual step, and leaves nothing behind."""
    (host,) = world.hosts
    if branch == BACK:
        back = goes_back(host)
        if back is None:  # nowhere to go, and so nothing is touched
            if (ended := world.fab("rollback")).exit != 3:
                raise Violated(f"O5: there is nothing to go back to: {ended.words}")
            world.converges("v2")
            return
        world.must("rollback")
        if current(host) != back:
            raise Violated(f"O3: `fab rollback` should lead to {back}, and {current(host)} is current")
        world.whole([tag_of(back)])
        world.clean()
    else:
        world.converges(target if branch == RESUME else "v2")


def cut(world: World, at: int | float, words: Sequence[str]) -> None:
    """Kill `fab WORDS` at its step event `at` (or after so many seconds), and hold its host to the EOF rules."""
    (host,) = world.hosts
    old, known = current(host), releases(host)
    with Visitors(host) as visitors:
        running = world.start(*words)
        if isinstance(at, int):
            running.until(at)
        else:
            time.sleep(at)
        running.kill()
        told = running.ended()
        world.settled()
        flipped = eof_rules(host, old, known, seen.application(host.root))
        world.whole([current(host)])
    if old is not None:
        visitors.o6_none_failed()
    if flipped and not any(event.get("step", "").startswith("mark ") for event in told.events):
        _unfinished(host, known)


def _unfinished(host: Standing, known: set[str]) -> None:
    """Nobody has called good what was never proven on the whole fleet; what was good before still is."""
    now = current(host)
    good = now in journaled(host, {"good"})
    if good != (now in known):
        raise Violated(f"EOF {host.name}: {now} flipped, its run was cut before it was marked, and good is {good}")
