"""Two at once, of which one wins; and a holder that dies, or goes silent."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from crash import seen
from crash.matrix import Trial, Violated, fault
from crash.oracles import Visitors, current, journal, journaled, o5_told, tag_of
from crash.running import Ended
from crash.worlds import World, embedded, eventually
from unit.host.client import Agent, AgentError

CLOSED, SILENT = 5.0, 45.0
"""Seconds after which a dead client's lock is free: where its connection closes, and where it only goes silent."""
HOLDER = ("owner", "release", "since")


@fault("two-locks-at-once", holds="one wins; the other is told owner, release, since when; 0 double holders")
def race(trial: Trial) -> None:
    """Two agents get the question `lock` at one moment: both are stopped, asked, and let go at once."""
    root = trial.scratch / "root"
    with ExitStack() as stack:
        agents = [stack.enter_context(_agent(trial.scratch / name, root)) for name in ("a", "b")]
        for number in trial.times(full=500, quick=60):
            with trial.at(number):
                _race(agents, root, number, first=trial.dice(number).randrange(2))


def _race(agents: Sequence[Agent], root: Path, number: int, *, first: int) -> None:
    for agent in agents:
        os.kill(agent.process.pid, signal.SIGSTOP)
    for index, agent in enumerate(agents):
        agent.begin("lock", owner=f"owner-{index}", release=f"{number:04d}-v1", verb="deploy")
    for index in (first, 1 - first):
        os.kill(agents[index].process.pid, signal.SIGCONT)
    refusals = [_refusal(agent) for agent in agents]
    winners = [index for index, refusal in enumerate(refusals) if refusal is None]
    try:
        if len(winners) != 1:
            raise Violated(f"{len(winners)} of two hold the lock: {refusals}")
        (winner,) = winners
        for _ in range(2):  # having lost, nobody has made it any easier
            _names_holder(refusals[1 - winner], f"owner-{winner}", f"{number:04d}-v1")
            agents[1 - winner].begin("lock", owner="again", release=None, verb="rollback")
            refusals[1 - winner] = _refusal(agents[1 - winner])
        if (found := seen.holder(root)) != agents[winner].process.pid:
            raise Violated(f"the kernel says that {found} holds it, not {agents[winner].process.pid}")
    finally:
        for agent in agents:
            agent.ask("unlock")


def _refusal(agent: Agent) -> AgentError | None:
    """Why a lock wasn't given; `None` if it was."""
    try:
        agent.answer()
    except AgentError as error:
        return error
    return None


def _names_holder(refusal: AgentError | None, owner: str, release: str) -> None:
    if refusal is None:
        raise Violated("a second holder")
    told = refusal.data
    if refusal.kind != "locked" or (told.get("owner"), told.get("release")) != (owner, release):
        raise Violated(f"who lost is told {refusal.kind} {told}, and {owner} holds it for {release}")
    if not told.get("since"):
        raise Violated(f"who lost isn't told since when: {told}")


@contextmanager
def _agent(home: Path, root: Path) -> Iterator[Agent]:
    """An agent that has opened the stage at `root`."""
    home.mkdir()
    agent = Agent(home)
    try:
        asked: dict[str, Any] = {"python": "python3", "links": [], "env": None, "front": "127.0.0.1:1"}
        agent.ask("survey", root=str(root), app="blog", stage="local", **asked)
        yield agent
    finally:
        agent.close()


@fault("two-deploys-at-once", holds="one wins; the other exits 6 naming owner, release, since when; touches nothing")
def deploys(trial: Trial) -> None:
    """Two `fab deploy` start at one moment; while the winner works, others come and leave all as they find it."""
    with embedded(trial.scratch) as world:
        for tag in ("v1", "v2", "v3"):
            world.tag(tag)
        world.must("deploy", "--tag", "v1")
        for number in trial.times(full=50, quick=2):
            with trial.at(number):
                _deploys(world, "v1" if tag_of(current(world.hosts[0])) == "v2" else "v2")


def _deploys(world: World, tag: str) -> None:
    (host,) = world.hosts
    old, rows = world.currents(), len(journal(host))
    hold = host.root / "hold"
    hold.touch()
    try:
        pair = {name: world.start("deploy", "--tag", tag, owner=name) for name in ("ada", "bob")}
        eventually(
            lambda: any(one.process.poll() is not None for one in pair.values()), 60, "one of two deploys ends"
        )
        (loser,) = [name for name, one in pair.items() if one.process.poll() is not None]
        (winner,) = pair.keys() - {loser}
        _lost(pair[loser].ended(), winner, tag)
        pair[winner].until_begins("prepare")
        before = _snapshot(host.root)
        for words in (("deploy", "--tag", tag), ("rollback",), ("deploy", "--tag", "v3")):
            _lost(world.start(*words, owner="eve").ended(), winner, tag)
        after = _snapshot(host.root)
        if changed := sorted(name for name in {*before, *after} if before.get(name) != after.get(name)):
            raise Violated(f"who lost has touched {changed}")
    finally:
        hold.unlink()
    ended = pair[winner].ended()
    o5_told(world.hosts, ended.exit, ended.result, old=old, new=tag)
    if ended.exit:
        raise Violated(f"the winner of two ends with {ended.words}")
    if others := {row["by"] for row in journal(host)[rows:]} - {winner}:
        raise Violated(f"{others} lost, and are in the journal")
    world.whole([tag])
    world.clean()


def _lost(ended: Ended, winner: str, tag: str) -> None:
    errors = [event for event in ended.events if event["event"] == "error"]
    holder = errors[0].get("holder", {}) if len(errors) == 1 else {}
    told = ended.exit == 6 and holder.get("owner") == winner and tag_of(holder.get("release")) == tag
    if not told or not holder.get("since"):
        raise Violated(f"who lost against {winner}, at work on {tag}: {ended.words}")
    if any(str(holder[name]) not in errors[0]["what"] for name in HOLDER):
        raise Violated(f"people are told less than programs: {errors[0]}")


def _snapshot(root: Path) -> dict[str, tuple[int, ...]]:
    """Everything below `root`: mode, size, inode and times of change."""
    found: dict[str, tuple[int, ...]] = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        found[str(path)] = (status.st_mode, status.st_size, status.st_ino, status.st_mtime_ns)
    return found


LINGER = '''\
"""A command that goes on for ever where the stage's root holds a file called `linger`."""

import pathlib
import time

if pathlib.Path("../../../linger").exists():
    time.sleep(600)
'''


@fault("lock-holder-killed", holds="the next deploy works, with no manual step; the lock is free within 5 s")
def killed(trial: Trial) -> None:
    """SIGKILL of the client, of its agent, or of both, while a command of the agent's lives; then `fab deploy`."""
    with embedded(trial.scratch) as world:
        for tag in ("v1", "v2"):
            world.tag(tag, **{"hold.py": LINGER})
        world.must("deploy", "--tag", "v1")
        points = [f"{who}-{number}" for who in ("client", "agent", "both") for number in range(20)]
        freed, worked = [0.0], [0.0]
        for point in trial.choose(points, quick=3):
            with trial.at(point):
                seconds = _killed(world, point.partition("-")[0])
                freed.append(seconds[0])
                worked.append(seconds[1])
        trial.notes.append(
            f"lock free at most {max(freed):.1f} s after the death, next deploy done {max(worked):.1f} s"
        )


def _lingering(world: World) -> bool:
    return any("hold.py" in line for line in seen.commands(world.project.home).values())


def _killed(world: World, who: str) -> tuple[float, float]:
    """Seconds from the death to the free lock, and to the end of the next deploy."""
    (host,) = world.hosts
    old = world.currents()
    tag = "v1" if tag_of(current(host)) == "v2" else "v2"
    linger = host.root / "linger"
    linger.touch()
    running = world.start("deploy", "--tag", tag)
    running.until_begins("prepare")
    eventually(lambda: _lingering(world), 30, "the command lives")
    linger.unlink()
    agent = seen.holder(host.root)
    assert agent is not None
    died = time.monotonic()
    if who != "agent":
        running.kill()
    if who != "client":
        os.kill(agent, signal.SIGKILL)
    ended = running.ended()
    if who == "agent":
        o5_told(world.hosts, ended.exit, ended.result, old=old, new=tag)
    world.settled(CLOSED)
    free = time.monotonic() - died
    world.converges(tag)
    done = time.monotonic() - died
    eventually(lambda: not _lingering(world), 1, "the dead agent's command has gone")
    return free, done


@fault("lock-holder-silent", holds="a lock free within 45 s, a typed error; who wakes up again harms nothing")
def silent(trial: Trial) -> None:
    """SIGSTOP of the client at step event k: others deploy; then it goes on, and must see that it is too late."""
    with embedded(trial.scratch) as world:
        for tag in ("v1", "v2", "v3"):
            world.tag(tag)
        world.must("deploy", "--tag", "v1")
        steps = world.steps("deploy", "--tag", "v2")
        waited, worked = [0.0], [0.0]
        last = steps if trial.full or trial.only else steps - 5  # after it the release is good, and that stays true
        for point in trial.choose(range(last), quick=2):
            with trial.at(point):
                seconds = _silent(world, point)
                waited.append(seconds[0])
                worked.append(seconds[1])
        trial.notes.append(
            f"lock free at most {max(waited):.1f} s after the silence began, deploy done {max(worked):.1f} s"
        )


def _silent(world: World, point: int) -> tuple[float, float]:
    """Seconds from the silence to the free lock, and to the end of the next deploy."""
    (host,) = world.hosts
    now = tag_of(current(host))
    first, second = [tag for tag in ("v1", "v2", "v3") if tag != now]
    old, known = world.currents(), journaled(host, {"good"})
    with Visitors(host) as visitors:
        running = world.start("deploy", "--tag", first)
        running.until(point)
        running.kill(signal.SIGSTOP)
        began = time.monotonic()
        try:
            world.settled(SILENT)
            free = time.monotonic() - began
            world.converges(second)
            done = time.monotonic() - began
            stands = world.currents()
        finally:
            running.kill(signal.SIGCONT)
        late = running.ended()
        if world.currents() != stands:
            raise Violated(f"who woke up has changed {stands} to {world.currents()}")
        was_good = any(tag_of(release) == first for release in journaled(host, {"good"}) - known)
        if late.exit != 0:
            o5_told(world.hosts, late.exit, late.result, old=old, new=first)
        elif not was_good:  # else it tells of what was so before anybody else came
            raise Violated(f"who woke up believes that {first} is live: {late.words}")
        world.whole([second])
        world.clean()
    visitors.o6_none_failed()
    return free, done
