"""A host dies, or reboots in order, while a deploy or a rollback is under way."""

from __future__ import annotations

import threading
from collections.abc import Callable

from crash.attempts import ERROR, Moment, change, disturb, in_lanes, one_of_each, prepare, prepare_all
from crash.fleets import Fleet, command_of, fleet, fleets, obey
from crash.machines import Machine
from crash.matrix import Trial, Violated, fault
from crash.oracles import o1_old_or_new
from crash.rows.links import away

QUICK = ("declare", "flip", "mark")
"""Of the kinds of steps, those at which a short pass lets a host die for long."""


@fault("host-dies-and-boots-at-each-step", holds="O1-O3, O5; the service comes back on `current`", lab=True)
def dies(trial: Trial) -> None:
    """SIGKILL of all that a host runs, at step event k of N, and another boot at once."""

    def power_cut(machine: Machine) -> None:
        machine.kill()
        machine.boot()

    _each(trial, power_cut, lambda moments: moments, quick=4)


@fault("host-reboots-at-each-verb", holds="O1-O3, O5; the service comes back on `current`", lab=True)
def reboots(trial: Trial) -> None:
    """`systemctl reboot`: all that runs is asked to end, in order, and the host boots again."""
    _each(trial, lambda machine: machine.host.reboot(), lambda moments: one_of_each(moments, "web2"), quick=3)


def _each(
    trial: Trial, act: Callable[[Machine], object], pick: Callable[[list[Moment]], list[Moment]], *, quick: int
) -> None:
    with fleet(trial.scratch, 2) as world:
        moments = {moment.name: moment for moment in pick(prepare(world))}
        took = []
        for point in trial.choose(list(moments), quick=quick):
            with trial.at(point):
                took.append(_comes_back(world, moments[point], act))
        trial.notes.append(f"from the fault to the end of the command: {max(took, default=0):.1f} s at most")


def _comes_back(world: Fleet, moment: Moment, act: Callable[[Machine], object]) -> float:
    words, tag = change(world, moment.verb)
    name = moment.host or "web1"
    others = [other for other in world.machines if other != name]
    acting = threading.Thread(target=act, args=(world.machines[name],))
    with world.visited(*others):
        try:
            attempt = disturb(world, words, tag, moment, acting.start)
        finally:
            if acting.ident is not None:
                acting.join()
        if attempt.ended.exit not in (0, 4, 5):
            raise Violated(f"O5: {attempt.ended.words}")
        if attempt.seconds > ERROR:
            raise Violated(f"the end came {attempt.seconds:.1f} s after the fault")
        world.comes_back(name)
        world.whole(list({*attempt.old.values(), tag}))
        if attempt.ended.exit == 5:
            obey(world, command_of(attempt.ended))
            world.one_version(list(world.machines))
        world.converges(tag)
    return attempt.seconds


@fault(
    "one-of-three-hosts-dies-at-each-verb",
    holds="the others end on one declared version; a rerun converges",
    lab=True,
)
def stays_dead(trial: Trial) -> None:
    """It stays off until all is told, and the very command that the error names is run. Fleets side by side."""
    with fleets(trial.scratch, [3] * 3) as worlds:
        moments = one_of_each(prepare_all(worlds), "web2")
        chosen = {moment.name: moment for moment in moments if trial.full or trial.only or moment.kind in QUICK}
        took: list[float] = []

        def kill(world: Fleet, moment: Moment) -> None:
            with trial.at(moment.name):
                took.append(_without(world, moment))

        in_lanes(worlds, [chosen[name] for name in trial.choose(list(chosen), quick=3)], kill)
        trial.notes.append(f"from the death to the error: {max(took, default=0):.1f} s at most")


def _without(world: Fleet, moment: Moment) -> float:
    words, tag = change(world, moment.verb)
    machine, others = world.machines[moment.host], [name for name in world.machines if name != moment.host]
    with world.visited(*others):
        try:
            attempt = disturb(world, words, tag, moment, machine.kill)
            if attempt.seconds > ERROR:
                raise Violated(f"the typed error came {attempt.seconds:.1f} s after the death")
            o1_old_or_new(world.standing(moment.host), list({*attempt.old.values(), tag}))
            away(world, attempt.ended.exit, others, tag)
            if attempt.ended.exit:
                # Exit 4 and 5 name the same: how to go on without the host that can't be reached.
                obey(world, command_of(attempt.ended))
                world.one_version(others)
        finally:
            machine.boot()
        world.comes_back(moment.host)
        world.converges(tag)
    return attempt.seconds
