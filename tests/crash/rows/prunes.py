"""Order is the serial's and the journal's: not that of names, nor that of times."""

from __future__ import annotations

import json
import os
import random

from crash.matrix import Trial, Violated, fault
from crash.oracles import Standing, current, good_before, journaled, releases
from crash.worlds import embedded

BEFORE = 9_996
"""The highest serial ever given before the row begins: two deploys later, ids have a digit more."""


@fault("order-is-the-serial", holds="the newest good releases are kept, and a rollback goes to the newest")
def order(trial: Trial) -> None:
    """Serials go from 9997 to 10002, tags go down the alphabet, and the times of the folders are scrambled."""
    with embedded(trial.scratch) as world:
        world.project.edit("tagship.yml", r"(?m)^  local:\n", "  local:\n    keep: 2\n")
        (host,) = world.hosts
        tags = [f"{letter}1" for letter in "zyxwvu"]
        for tag in tags:
            world.tag(tag)
        world.must("deploy", "--tag", tags[0])
        _age(host, BEFORE)
        for point, tag in enumerate(trial.choose(tags[1:], quick=len(tags))):
            with trial.at(tag):
                _scramble(host, trial.dice(point))
                world.must("deploy", "--tag", tag)
                _kept(host, 2)
        with trial.at("rollback"):
            back = good_before(host, current(host))
            _scramble(host, trial.dice("rollback"))
            world.must("rollback")
            if current(host) != back:
                raise Violated(f"a rollback leads to {current(host)}, and the newest good release was {back}")


def _age(host: Standing, serial: int) -> None:
    """Let the journal tell of a release with that serial, which never came to anything."""
    name = f"{serial:04d}-never"
    rows = [{"at": "2026-01-01T00:00:00Z", "event": event, "release": name} for event in ("staging", "removed")]
    with (host.root / "state" / "journal.jsonl").open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def _scramble(host: Standing, dice: random.Random) -> None:
    for path in sorted((host.root / "releases").iterdir()):
        when = dice.randrange(1, 2_000_000_000)
        os.utime(path, (when, when), follow_symlinks=False)


def _kept(host: Standing, keep: int) -> None:
    """Current and `keep` others, those with the highest serials."""
    known = sorted(releases(host), key=lambda name: int(name.partition("-")[0]))
    wanted = sorted(journaled(host, {"good"}), key=lambda name: int(name.partition("-")[0]))[-keep - 1 :]
    if known != wanted:
        raise Violated(f"{wanted} are the newest good releases, and {known} were kept")
