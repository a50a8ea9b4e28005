"""Clocks a year off, times of files and of the journal scrambled: order is serial and journal, so nothing differs."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crash.carousel import TAGS, Carousel, carousel
from crash.matrix import Trial, Violated, fault
from crash.needs import programs
from crash.oracles import o5_told

AHEAD, BEHIND = "+400d", "-400d"
"""More than a year, so that it shows in the year that is told."""
TIMES = {"at", "since", "age", "seconds", "pid", "memory", "bytes_sent", "commit", "change", "plan", "steps"}
"""Keys of what is told that may differ: times, sizes, processes, numbers that go on."""


@fault("clock-a-year-off", holds="nothing differs from a clean run: O1-O3, O5", needs=programs("faketime"))
def clocks(trial: Trial) -> None:
    """The host's clock, or the client's, or both, a year ahead or behind; or ahead, then behind."""
    points = {
        "host-ahead": ((AHEAD, ""),),
        "client-ahead": (("", AHEAD),),
        "host-behind": ((BEHIND, ""),),
        "client-behind": (("", BEHIND),),
        "host-ahead-client-behind": ((AHEAD, BEHIND),),
        "client-there-and-back": (("", AHEAD), ("", BEHIND)),
        "host-there-and-back": ((AHEAD, ""), (BEHIND, "")),
    }

    def set_clocks(turns: Carousel, point: str) -> Callable[[int], None]:
        def before(step: int) -> None:
            host, client = points[point][step % len(points[point])]
            turns.shim.agents_with(_clock(host))
            turns.shim.clients_with(_clock(client))

        return before

    def told_a_wrong_time(turns: Carousel, point: str) -> bool:
        at = json.loads((turns.host.root / "current" / "release.json").read_text())["at"]
        row = json.loads((turns.host.root / "state" / "journal.jsonl").read_text().splitlines()[-1])
        year = time.strftime("%Y-", time.gmtime())
        return all(
            not told.startswith(year)
            for who, told in (("host", row["at"]), ("client", at))
            if any(clock[who == "client"] for clock in points[point])
        )

    _compare(trial, list(points), 2, set_clocks, told_a_wrong_time)


@fault("times-scrambled", holds="nothing differs from a clean run: O1-O3, O5")
def times(trial: Trial) -> None:
    """Every mtime on the host, every `at` of its journal, or both, by chance, before each step."""

    def scramble(turns: Carousel, point: str) -> Callable[[int], None]:
        dice = trial.dice(point)

        def before(_step: int) -> None:
            if point.startswith("mtimes"):
                _scramble_mtimes(turns.host.root, dice)
            if point.endswith("journal"):
                _scramble_journal(turns.host.root / "state" / "journal.jsonl", dice)

        return before

    points = ["mtimes-and-journal", "mtimes", "journal", *(f"mtimes-and-{number}-journal" for number in range(5))]
    _compare(trial, points, 1, scramble, lambda _turns, _point: True)


def _compare(
    trial: Trial,
    points: list[str],
    quick: int,
    fault_of: Callable[[Carousel, str], Callable[[int], None]],
    bit: Callable[[Carousel, str], bool],
) -> None:
    """Tell the story in a clean run, then under each fault; `bit` says afterwards whether the fault was there."""
    with carousel(trial.scratch) as turns:
        turns.begin()
        _story(turns, lambda _step: None)  # what is on disk is from now on the same before each
        clean = _story(turns, lambda _step: None)
        for point in trial.choose(points, quick=quick):
            with trial.at(point):
                try:
                    told = _story(turns, fault_of(turns, point))
                finally:
                    turns.shim.agents_with({})
                    turns.shim.clients_with({})
                if told != clean:
                    first = next(pair for pair in zip(clean, told, strict=False) if pair[0] != pair[1])
                    raise Violated(f"O5: in a clean run {first[0]}, and now {first[1]}")
                if not bit(turns, point):
                    raise Violated("the harness: no clock was wrong")
                turns.world.clean()


def _story(turns: Carousel, before: Callable[[int], None]) -> list[Any]:
    """Deploy, deploy that again, roll back, deploy on: all that is told, with serials as steps from the first."""
    world, base = turns.world, _serial(turns)
    first = turns.after(turns.current)
    tags = {first: "@1", turns.after(first): "@2", turns.after(first, turns.after(first)): "@0"}
    steps = (
        ("deploy", "--tag", first),
        ("deploy", "--tag", first),
        ("rollback",),
        ("deploy", "--tag", turns.after(first)),
        ("releases",),
        ("history",),
    )
    told: list[Any] = []
    for number, words in enumerate(steps):
        before(number)
        old = world.currents()
        ended = world.fab(*words)
        world.whole([*old.values(), *TAGS])
        if words[0] == "deploy":
            o5_told(world.hosts, ended.exit, ended.result, old=old, new=words[-1])
        events = [event for event in ended.events if event["event"] in ("row", "result", "error", "plan")][-4:]
        told.append([ended.exit, [_plain(event, base, tags) for event in events]])
    told.append(sorted(_plain(path.name, base, tags) for path in (turns.host.root / "releases").glob("[0-9]*")))
    return told


def _plain(value: Any, base: int, tags: dict[str, str]) -> Any:
    """What was told, without times, and with releases and tags by their place in the story."""
    if isinstance(value, dict):
        return {key: _plain(item, base, tags) for key, item in value.items() if key not in TIMES}
    if isinstance(value, list):
        return [_plain(item, base, tags) for item in value]
    if not isinstance(value, str):
        return value
    serial, dash, tag = value.partition("-")
    if dash and serial.isdigit() and tag in tags:
        return f"{int(serial) - base}-{tags[tag]}"
    return tags.get(value, value)


def _serial(turns: Carousel) -> int:
    return int(turns.names(turns.current)["@n_new"])


def _clock(shift: str) -> dict[str, str]:
    """What libfaketime wants in the environment; only the wall clock is another."""
    if not shift:
        return {}
    found = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    return {"LD_PRELOAD": str(found), "FAKETIME": shift, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}


def _scramble_mtimes(root: Path, dice: random.Random) -> None:
    for path in root.rglob("*"):
        at = dice.uniform(0, 4e9)
        os.utime(path, (at, at), follow_symlinks=False)


def _scramble_journal(journal: Path, dice: random.Random) -> None:
    rows = [json.loads(line) for line in journal.read_text().splitlines()]
    for row in rows:
        row["at"] = f"{dice.randrange(1980, 2100)}-{dice.randrange(1, 13):02}-01T00:00:00Z"
    journal.write_text("".join(json.dumps(row) + "\n" for row in rows))
