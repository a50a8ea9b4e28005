"""What may happen while the schema goes up or down: deaths of client and agent, steps that fail, no way back."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from crash import seen
from crash.matrix import Trial, Violated, fault
from crash.oracles import current, tag_of
from crash.running import Running, eventually, is_step
from crash.schemas import Shop, missing, shop, steps

HOLDS = "each database is old or new and fits what runs; O1-O4; the next command goes through"
SLOW = "SELECT pg_sleep(3);\nALTER TABLE note ADD COLUMN slow text;"


@fault("client-killed-while-the-schema-goes-up", holds=HOLDS, needs=missing)
def up(trial: Trial) -> None:
    """SIGKILL at each step event of a deploy that migrates two databases; then the same deploy again."""
    with shop(trial.scratch) as made:
        told = made.world.must("deploy", "--tag", "v2").events
        made.reset()
        for point in trial.choose(_points(trial, told, "up "), quick=4):
            with trial.at(point):
                _cut(made, ("deploy", "--tag", "v2"), point, _client)
                made.world.converges("v2")
                made.o4("v2")
                made.reset()


@fault("client-killed-while-the-schema-goes-down", holds=HOLDS, needs=missing)
def down(trial: Trial) -> None:
    """The same of a rollback; then v1 is deployed, whatever is current."""
    with shop(trial.scratch) as made:
        made.world.must("deploy", "--tag", "v2")
        told = made.world.must("rollback", "--yes-drop-data").events
        for point in trial.choose(_points(trial, told, "down "), quick=4):
            with trial.at(point):
                made.world.live("v2")
                made.o4("v2")
                _cut(made, ("rollback", "--yes-drop-data"), point, _client)
                _back_to_v1(made)


@fault("agent-killed-while-the-schema-moves", holds=HOLDS, needs=missing)
def agent(trial: Trial) -> None:
    """SIGKILL of the agent that asked for an up or a down, at each step event; the client tells, and goes on."""
    with shop(trial.scratch) as made:
        ups = _points(trial, made.world.must("deploy", "--tag", "v2").events, "up ")
        downs = _points(trial, made.world.must("rollback", "--yes-drop-data").events, "down ")
        points = [*(f"deploy-{point}" for point in ups), *(f"rollback-{point}" for point in downs)]
        for point in trial.choose(points, quick=4):
            with trial.at(point):
                verb, _, number = point.partition("-")
                made.world.live("v1" if verb == "deploy" else "v2")
                words = ("deploy", "--tag", "v2") if verb == "deploy" else ("rollback", "--yes-drop-data")
                _cut(made, words, int(number), _agent)
                _back_to_v1(made)


@fault("migration-fails-in-a-transaction", holds="no flip; O2, O4, O5; the other database is put back", needs=missing)
def inside(trial: Trial) -> None:
    """The second statement of the second database's step raises: of the first nothing stays, nor of the second."""
    with shop(trial.scratch) as made:
        broken = {"main": "CREATE TABLE third (x integer);", "audit": "CREATE TABLE third (x integer);\nSELECT 1/0;"}
        back = dict.fromkeys(broken, "DROP TABLE third;")
        made.world.tag("v3", **steps("v3", broken, back))
        made.world.must("deploy", "--tag", "v2")
        with trial.at("second statement"):
            before = current(made.world.hosts[0])
            ended = made.world.fab("deploy", "--tag", "v3")
            if ended.exit != 4 or current(made.world.hosts[0]) != before:
                raise Violated(f"O5: it should be put back, with {before} current: {ended.words}")
            if "audit/v3" not in ended.words or "division by zero" not in ended.words:
                raise Violated(f"O5: it doesn't say what failed: {ended.words}")
            made.world.whole(["v2"])
            made.o4("v2")
            made.world.converges("v2")


@fault(
    "migration-fails-outside-a-transaction",
    holds="no flip; O2, O4, O5; the message says what was applied",
    needs=missing,
)
def outside(trial: Trial) -> None:
    """Its first statement stays, which is said; once it was mended by hand, the next deploy goes through."""
    with shop(trial.scratch) as made:
        half = {"main": "CREATE TABLE half (x integer);\nSELECT 1/0;"}
        # What a file's way down has for a statement yoyo takes back by itself; here it has nothing for it.
        files = steps("v3", half, {"main": "SELECT 1;"}, "-- transactional: false\n")
        made.world.tag("v3", **files)
        made.world.must("deploy", "--tag", "v2")
        with trial.at("second statement"):
            before = current(made.world.hosts[0])
            ended = made.world.fab("deploy", "--tag", "v3")
            if ended.exit not in (4, 5) or current(made.world.hosts[0]) != before:
                raise Violated(f"O5: it should be put back, or degraded, with {before} current: {ended.words}")
            if "a part of main/v3 is done" not in ended.words:
                raise Violated(f"O5: it doesn't say what was applied: {ended.words}")
            made.world.whole(["v2"])
            if "half" not in made.schemas()["main"]:
                raise Violated("the row shows nothing: the first statement left nothing")
            made.postgres.query("main", "DROP TABLE half")
            made.o4("v2")
            made.world.tag("v4", **{"main/v3.sql": "CREATE TABLE half (x integer);"})
            made.world.converges("v4")


@fault("irreversible-down", holds="exit 3, nothing changed, on disk and in the database", needs=missing)
def irreversible(trial: Trial) -> None:
    """A step without a way back: the rollback is refused before anything is done; `--keep-schema` goes back."""
    with shop(trial.scratch) as made:
        made.world.tag("v3", **steps("v3", {"main": "UPDATE note SET text = '';"}, {}))
        made.world.must("deploy", "--tag", "v2")
        made.world.must("deploy", "--tag", "v3")
        made.postgres.query("main", "INSERT INTO note (text, author) VALUES ('a', 'ada')")
        with trial.at("rollback"):
            before, rows = made.world.project.released(), _contents(made)
            ended = made.world.fab("rollback")
            if ended.exit != 3 or "main/v3" not in ended.words:
                raise Violated(f"O5: it must be refused, and name the step: {ended.words}")
            if (made.world.project.released(), _contents(made)) != (before, rows):
                raise Violated("O4: a refused rollback changed something")
            made.world.whole(["v3"])
            made.world.must("rollback", "--keep-schema")
            made.world.whole(["v2"])
            if _contents(made) != rows:
                raise Violated("O4: --keep-schema changed the databases")


@fault(
    "lock-holder-killed-while-it-migrates",
    holds="the next deploy waits for the migration, then works",
    needs=missing,
)
def holder(trial: Trial) -> None:
    """SIGKILL of client and agent while a step of 3 s runs: it ends as if nobody had died, and is waited for."""
    with shop(trial.scratch) as made:
        made.world.tag("v3", **steps("v3", {"main": SLOW}, {"main": "ALTER TABLE note DROP COLUMN slow;"}))
        made.world.must("deploy", "--tag", "v2")
        for who in trial.choose(("client", "both"), quick=2):
            with trial.at(who):
                running = made.world.start("deploy", "--tag", "v3")
                running.until_begins("up ")
                _until_it_sleeps(made)
                if who == "both":
                    running.kill(signal.SIGSTOP)
                    _agent(running, made)
                running.kill()
                running.ended()
                began = time.monotonic()
                ended = made.world.fab("deploy", "--tag", "v3", "--wait", "60s")
                if ended.exit:
                    raise Violated(f"O3: it should wait, then go through: {ended.words}")
                trial.notes.append(f"{who} killed: the next deploy took {time.monotonic() - began:.1f} s")
                made.world.whole(["v3"])
                if "slow" not in made.schemas()["main"]:
                    raise Violated("O4: v3 is live without its column")
                made.world.must("rollback", "--yes-drop-data")
                made.o4("v2")


def _points(trial: Trial, events: Sequence[dict[str, object]], moves: str) -> list[int]:
    """The numbers of the step events at which a run is cut: all of them, or those that move the schema."""
    found = [event for event in events if is_step(event)]
    if trial.full or trial.only is not None:
        return list(range(len(found)))
    return [number for number, event in enumerate(found) if str(event["step"]).startswith(moves)]


def _client(running: Running, _made: Shop) -> None:
    running.kill()


def _agent(_running: Running, made: Shop) -> None:
    """The oldest of them: what it started for the schema lives on."""
    found = seen.agents(made.world.project.home)
    for pid in [pid for pid in found if b"schema_run" not in _command(pid) and _is_agent(pid)]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _is_agent(pid: int) -> bool:
    """Not the release's own Python, which reads a text of ours too."""
    return b"-IS\0" in _command(pid)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _cut(made: Shop, words: Sequence[str], point: int, kill: object) -> None:
    """Run `fab WORDS`, kill at that step event, and look once nobody is at work any more."""
    running = made.world.start(*words)
    if running.until(point) is None:
        raise Violated(f"it ended before its step {point}: {running.ended().words}")
    assert callable(kill)
    kill(running, made)
    running.ended()
    made.world.settled()
    made.o4("v1", "v2")
    made.world.whole([current(made.world.hosts[0])])


def _back_to_v1(made: Shop) -> None:
    """The next command, whichever is the right one: v1 is live, with its schema, and nothing is left behind."""
    (host,) = made.world.hosts
    if tag_of(current(host)) == "v2":
        made.world.must("rollback", "--yes-drop-data")
    else:
        made.world.must("deploy", "--tag", "v2")
        made.o4("v2")
        made.world.must("rollback", "--yes-drop-data")
    made.world.whole(["v1"])
    made.world.clean()
    made.o4("v1")


def _contents(made: Shop) -> list[list[str]]:
    """Schema and rows of both."""
    dumps = [made.postgres.run("pg_dump", name) for name in made.wanted["v1"]]
    return [[line for line in dump.splitlines() if not line.startswith("\\")] for dump in dumps]


def _until_it_sleeps(made: Shop) -> None:
    asleep = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(3%' AND pid <> {}"
    eventually(lambda: made.postgres.query("postgres", asleep.format("pg_backend_pid()")), 60, "the step sleeps")
