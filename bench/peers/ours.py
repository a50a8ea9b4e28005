"""Ours, as a user has it: `fab` with the project's own fabfile."""

from __future__ import annotations

import sys
from pathlib import Path

import tagship
from bench import timing
from bench.peers.peer import Fleet, Ground

FAB = str(Path(sys.executable).with_name("fab"))


class Tagship:
    """Builds, stages, smokes, starts, probes, flips, proves, drains, and marks good: all of it is in its times."""

    name = "tagship"
    can_roll_back = True
    runs_units = True
    code = "app"

    def missing(self) -> str:
        return ""

    def version(self) -> str:
        return f"tagship {tagship.__version__}"

    def prepare(self, ground: Ground) -> None:
        self._ground = ground

    def deploy(self, fleet: Fleet, tag: str) -> float:
        return self._fab(fleet, "deploy", "--tag", tag)

    def roll_back(self, fleet: Fleet) -> float:
        return self._fab(fleet, "rollback")

    def _fab(self, fleet: Fleet, verb: str, *words: str) -> float:
        return timing.run([FAB, verb, *words, "--stage", fleet.name, "--json"], self._ground.home)[0]
