"""pyinfra, from PyPI."""

from __future__ import annotations

from pathlib import Path

from bench import timing
from bench.peers.peer import Fleet, Ground
from bench.peers.surroundings import FILES, surroundings


class Pyinfra:
    """Asks for facts, then runs commands; has no notion of a release, hence none of going back to one."""

    name = "pyinfra"
    can_roll_back = False
    runs_units = False
    code = "."

    def __init__(self, programs: Path, absent: str) -> None:
        self._program, self._absent = str(programs / "pyinfra"), absent

    def missing(self) -> str:
        return self._absent

    def version(self) -> str:
        return timing.run([self._program, "--version"], FILES)[1].strip().replace(": v", " ")

    def prepare(self, ground: Ground) -> None:
        self._ground = ground

    def deploy(self, fleet: Fleet, tag: str) -> float:
        env = surroundings(self._ground, fleet, self.name, tag)
        argv = [self._program, "-y", str(FILES / "pyinfra_inventory.py"), str(FILES / "pyinfra_deploy.py")]
        return timing.run(argv, self._ground.scratch, env=env)[0]

    def roll_back(self, fleet: Fleet) -> float:
        raise NotImplementedError
