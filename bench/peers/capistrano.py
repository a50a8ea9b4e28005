"""Capistrano 3, as Debian packages it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from bench import timing
from bench.peers.peer import Fleet, Ground
from bench.peers.surroundings import FILES, surroundings


class Capistrano:
    """Clones once, fetches and checks out on each host; about forty remote commands a deploy."""

    name = "capistrano"
    can_roll_back = True
    runs_units = False
    code = "."

    def missing(self) -> str:
        return "" if shutil.which("cap") else "needs apt install capistrano"

    def version(self) -> str:
        said = subprocess.run(["cap", "--version"], capture_output=True, text=True, check=True).stdout
        return f"Capistrano {said.split()[2]}"

    def prepare(self, ground: Ground) -> None:
        self._ground, self._folder = ground, ground.scratch / self.name
        lay_out(self._folder)

    def deploy(self, fleet: Fleet, tag: str) -> float:
        return self._cap(fleet, tag, "deploy")

    def roll_back(self, fleet: Fleet) -> float:
        return self._cap(fleet, "main", "deploy:rollback")

    def _cap(self, fleet: Fleet, tag: str, task: str) -> float:
        env = surroundings(self._ground, fleet, self.name, tag)
        return timing.run(["cap", "production", task], self._folder, env=env)[0]


def lay_out(folder: Path, *more: str) -> None:
    """Write a Capistrano project into `folder`, made here; `more` are lines that end its deploy.rb."""
    (folder / "config/deploy").mkdir(parents=True)
    for name, target in (("Capfile", "."), ("deploy.rb", "config"), ("production.rb", "config/deploy")):
        shutil.copyfile(FILES / name, folder / target / name)
    with (folder / "config/deploy.rb").open("a") as file:
        file.write("".join(f"{line}\n" for line in more))
