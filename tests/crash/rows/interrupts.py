"""Ctrl-C and SIGTERM: all is put back and exit 130 says so; a second one ends that, and says what is left."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

from contract.sshd import missing
from crash.matrix import Trial, Violated, fault
from crash.oracles import Visitors, good_before, o5_told, releases, tag_of
from crash.running import Running
from crash.worlds import World, embedded, is_step, loopback

SIGNALS = {"SIGINT": signal.SIGINT, "SIGTERM": signal.SIGTERM}
HOLDS = "exit 130, all put back, or told that it was too late: the release is live; O1-O6"


@fault("interrupted-at-each-step", holds=HOLDS)
def interrupted(trial: Trial) -> None:
    """One signal at each step event of both verbs: to the process group, as a terminal does, or to `fab` alone."""
    with embedded(trial.scratch) as world:
        _interrupted(trial, world, quick=8)


@fault("interrupted-at-each-step-over-ssh", holds=HOLDS, needs=missing)
def interrupted_far(trial: Trial) -> None:
    """The same of two hosts behind an sshd: both are put back, or neither had to be."""
    with loopback(trial.scratch, 2) as world:
        _interrupted(trial, world, quick=4)


def _interrupted(trial: Trial, world: World, *, quick: int) -> None:
    steps = _prepared(world)
    points = [f"{verb}-{step}-{name}" for verb in steps for step in range(steps[verb]) for name in SIGNALS]
    for point in trial.choose(points, quick=quick):
        with trial.at(point):
            verb, step, name = point.split("-")
            words, new = _words(world, verb)
            lay = {host.name: releases(host) for host in world.hosts}
            running, old = _until(world, words, int(step))
            with Visitors(world.hosts[0]) as visitors:
                _send(running, SIGNALS[name], group=name == "SIGINT" and int(step) % 2 == 0)
                ended = running.ended()
                world.settled()
            visitors.o6_none_failed()
            o5_told(world.hosts, ended.exit, ended.result, old=old, new=new)
            if ended.exit not in ((0, 130) if _late(ended.events) else (130,)):
                raise Violated(f"{name} at step event {step} of {words}: {ended.words}")
            world.whole(list(world.currents().values()))
            world.clean()
            now = {host.name: releases(host) for host in world.hosts}
            if ended.exit == 130 and now != lay:
                raise Violated(f"put back, and releases were {lay} and are {now}")
    with trial.at("the next deploy"):
        world.converges("v3")


def _late(events: Sequence[dict[str, object]]) -> bool:
    """The release has been marked: there is nothing to put back any more."""
    return any(event["event"] == "step" and str(event["step"]).startswith("mark ") for event in events)


@fault("interrupted-twice", holds="it ends at once and says what is left on each host; the next deploy settles it")
def twice(trial: Trial) -> None:
    """A second Ctrl-C at the n-th undo of the first one's unwind, or a moment after the first one."""
    with embedded(trial.scratch) as world:
        steps = _prepared(world)
        points = [f"deploy-{step}-{undo}" for step in range(steps["deploy"]) for undo in range(4)]
        for point in trial.choose(points, quick=4):
            with trial.at(point):
                _verb, step, undo = point.split("-")
                words, new = _words(world, "deploy")
                running, old = _until(world, words, int(step))
                _send(running, signal.SIGINT, group=True)
                _undos(running, int(undo))
                _send(running, signal.SIGINT, group=True)
                ended = running.ended()
                if ended.exit not in (0, 5, 130):
                    raise Violated(f"interrupted twice: {ended.words}")
                errors = [event for event in ended.events if event["event"] == "error"]
                if ended.exit == 5 and set(errors[0].get("hosts", {})) != set(old):
                    raise Violated(f"it doesn't say what is left on each host: {errors}")
                o5_told(world.hosts, ended.exit, ended.result, old=old, new=new)
                world.settled()
                world.whole(list(world.currents().values()))
                world.converges(new)


def _prepared(world: World) -> dict[str, int]:
    """Two good releases on every host; how many step events a deploy and a rollback tell."""
    for tag in ("v1", "v2", "v3"):
        world.tag(tag)
    world.must("deploy", "--tag", "v1")
    return {"deploy": world.steps("deploy", "--tag", "v2"), "rollback": world.steps("rollback")}


def _words(world: World, verb: str) -> tuple[tuple[str, ...], str]:
    """The words of the verb, and the tag that it leads to; a rollback is given something to go back to."""
    now = tag_of(world.currents()[world.hosts[0].name])
    other = "v2" if now == "v1" else "v1"
    if verb == "deploy":
        return ("deploy", "--tag", other), other
    host = world.hosts[0]
    back = good_before(host, world.currents()[host.name])
    if back is None:
        world.must("deploy", "--tag", other)
        back = good_before(host, world.currents()[host.name])
    return ("rollback",), str(tag_of(back))


def _until(world: World, words: Sequence[str], step: int) -> tuple[Running, dict[str, str | None]]:
    old = world.currents()
    running = world.start(*words)
    running.until(step)
    return running, old


def _undos(running: Running, count: int) -> None:
    """Read on until so many undos have begun, or there are no more."""
    while count and (event := running.next()) is not None:
        count -= is_step(event) and event["state"] == "undo"


def _send(running: Running, number: signal.Signals, *, group: bool) -> None:
    """Nothing, if it has ended by itself."""
    if running.process.poll() is None:
        if group:
            os.killpg(running.process.pid, number)
        else:
            running.kill(number)
