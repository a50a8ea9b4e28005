"""The client dies by SIGKILL, which leaves all to the agents: HOUSE.md's EOF rules."""

from __future__ import annotations

from crash.matrix import Trial, fault
from crash.oracles import Visitors
from crash.worlds import World, embedded

HOLDS = "HOUSE.md's EOF rules; O1-O6"


@fault("client-killed-at-each-step-of-a-deploy", holds=HOLDS)
def deploy(trial: Trial) -> None:
    """SIGKILL at step event k of N, for every k, of a deploy on the embedded stage."""
    with embedded(trial.scratch) as world:
        world.tag("v1")
        world.must("deploy", "--tag", "v1")
        world.tag("v2")
        points = world.steps("deploy", "--tag", "v2")
        world.must("deploy", "--tag", "v1")
        for point in trial.choose(range(points), quick=8):
            with trial.at(point):
                cut(world, point, ("deploy", "--tag", "v2"), ["v1", "v2"])
                world.converges("v2")
                world.must("deploy", "--tag", "v1")


@fault("client-killed-at-each-step-of-a-rollback", holds=HOLDS)
def rollback(trial: Trial) -> None:
    """The same of a rollback."""
    with embedded(trial.scratch) as world:
        for tag in ("v1", "v2"):
            world.tag(tag)
            world.must("deploy", "--tag", tag)
        points = world.steps("rollback")
        for point in trial.choose(range(points), quick=6):
            with trial.at(point):
                world.must("deploy", "--tag", "v2")
                cut(world, point, ("rollback",), ["v1", "v2"])
                world.converges("v1")


def cut(world: World, point: int, words: tuple[str, ...], allowed: list[str | None]) -> None:
    """Kill `fab WORDS` at its step event `point`; what is current then is whole, answers, and no request failed."""
    (host,) = world.hosts
    with Visitors(host) as visitors:
        running = world.start(*words)
        running.until(point)
        running.kill()
        running.ended()
        world.whole(allowed)
    visitors.o6_none_failed()
