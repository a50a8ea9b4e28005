"""The connection to a host ends, or goes silent, while a deploy or a rollback is under way."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence

from crash.attempts import (
    ERROR,
    Moment,
    change,
    disturb,
    in_lanes,
    once_free,
    one_of_each,
    prepare,
    prepare_all,
)
from crash.fleets import Fleet, command_of, fleet, fleets, obey
from crash.machines import CLOSING
from crash.matrix import Trial, Violated, fault
from crash.oracles import o1_old_or_new, o2_answers
from crash.running import eventually

CLOSED = 5.0
"""Seconds, at most, until a dead holder's lock is free where its connection ends at once."""
QUICK = ("flip", "start", "mark")
"""Of the kinds of steps, those at which a short pass lets a connection go silent."""


@fault("connection-ends-at-each-step", holds="put back at once, no request fails; O1-O6", lab=True)
def ends(trial: Trial) -> None:
    """`ss -K` on either side, SIGKILL of sshd's session; the host lives on, so that all of it can be put back."""
    with fleet(trial.scratch, 2) as world:
        moments = {f"{moment.name}-{way}": (moment, way) for moment in prepare(world) for way in CLOSING}
        took = []
        for point in trial.choose(list(moments), quick=5):
            with trial.at(point):
                took.append(_cut(world, *moments[point]))
        trial.notes.append(f"from the cut to the end: {max(took, default=0):.1f} s at most")


def _cut(world: Fleet, moment: Moment, way: str) -> float:
    words, tag = change(world, moment.verb)
    machine = world.machines[moment.host or "web1"]
    with world.visited():
        attempt = disturb(world, words, tag, moment, lambda: machine.close(way))
        if attempt.ended.exit not in (0, 4):
            raise Violated(f"the host lives, so that all can be put back: {attempt.ended.words}")
        if attempt.seconds > ERROR:
            raise Violated(f"the end came {attempt.seconds:.1f} s after the cut")
        world.whole(list({*attempt.old.values(), tag}))
        world.converges(tag)
    return attempt.seconds


@fault("connection-silent-at-each-verb", holds="a typed error within 45 s; O1-O5; resumable", lab=True)
def silent(trial: Trial) -> None:
    """The host's cable is pulled; it lives, and nothing comes of it or gets there. Fleets wait side by side."""
    with fleets(trial.scratch, [2] * (4 if trial.full else 3)) as worlds:
        moments = one_of_each(prepare_all(worlds), "web2")
        chosen = {moment.name: moment for moment in moments if trial.full or trial.only or moment.kind in QUICK}
        took: list[float] = []

        def pull(world: Fleet, moment: Moment) -> None:
            with trial.at(moment.name):
                took.append(_pulled(world, moment))

        in_lanes(worlds, [chosen[name] for name in trial.choose(list(chosen), quick=3)], pull)
        trial.notes.append(f"from the silence to the error: {max(took, default=0):.1f} s at most")


def _pulled(world: Fleet, moment: Moment) -> float:
    words, tag = change(world, moment.verb)
    machine, others = world.machines[moment.host], [name for name in world.machines if name != moment.host]
    with world.visited(*others):
        try:
            attempt = disturb(world, words, tag, moment, machine.pull)
            began = time.monotonic() - attempt.seconds
            if attempt.seconds > ERROR:
                raise Violated(f"the typed error came {attempt.seconds:.1f} s after the silence")
            for name in world.machines:
                o1_old_or_new(world.standing(name), list({*attempt.old.values(), tag}))
            away(world, attempt.ended.exit, others, tag)
            if attempt.ended.exit == 5:
                obey(world, command_of(attempt.ended))
                world.one_version(others)
        finally:
            machine.plug()
        once_free(world, tag, began, within=ERROR)
        world.converges(tag)
    return attempt.seconds


def away(world: Fleet, status: int, others: Sequence[str], tag: str) -> None:
    """While a host is away: the others stand on one version and answer, and a plan is refused, by its name."""
    if status not in (0, 4, 5):
        raise Violated(f"O5: exit {status}")
    world.one_version(others)
    for name in others:
        o2_answers(world.standing(name))
    plan = world.fab("plan", "--tag", tag)
    if plan.exit != 3:
        raise Violated(f"O5: with a host away, a plan is refused: {plan.words}")


@fault("lock-holder-on-hosts-dies", holds="the next deploy works, <= 5 s, silent <= 45 s; O3", lab=True)
def holder(trial: Trial) -> None:
    """SIGKILL of the client where its connections end with it, and where no host hears of its end."""
    ways = {"closes": _closes, "silent": _silent}
    with fleets(trial.scratch, [2] * 2) as worlds:
        moments = one_of_each(prepare_all(worlds), "web2")
        if not (trial.full or trial.only):
            moments = [moment for moment in moments if moment.kind == "flip"]
        points = {f"{moment.name}-{way}": (moment, way) for way in ways for moment in moments}
        took: dict[str, list[float]] = {way: [] for way in ways}

        def kill(world: Fleet, point: str) -> None:
            moment, way = points[point]
            with trial.at(point):
                took[way].append(ways[way](world, moment))

        in_lanes(worlds, trial.choose(list(points), quick=len(points)), kill)
        worst = ", ".join(f"{way} {max(seconds, default=0):.1f} s" for way, seconds in took.items())
        trial.notes.append(f"until the next deploy works: {worst}")


def _closes(world: Fleet, moment: Moment) -> float:
    words, tag = change(world, moment.verb)
    running = world.start(*words)
    running.until(moment.number)
    running.kill()
    began = time.monotonic()
    running.ended()
    seconds = once_free(world, tag, began, within=CLOSED)
    world.converges(tag)
    return seconds


def _silent(world: Fleet, moment: Moment) -> float:
    words, tag = change(world, moment.verb)
    machine = world.machines[moment.host]
    running = world.start(*words)
    running.until(moment.number)
    running.kill(signal.SIGSTOP)  # lest it end while the cable is pulled
    with machine.pulled():
        began = time.monotonic()
        running.kill()
        running.ended()
        eventually(machine.lock_is_free, ERROR, f"the lock of {moment.host} is free")
        seconds = time.monotonic() - began
    world.converges(tag)
    return seconds
