"""What every tool is given, and what it must do with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lab.host import Host

WHEELS = "/srv/wheels"
"""Where the wheels lie on every host before anything is measured; tools that send them would only be slower."""


@dataclass(frozen=True)
class Fleet:
    """Some hosts, and the folder that every tool has a root of its own in."""

    name: str
    hosts: tuple[Host, ...]
    ports: Mapping[str, int]
    """Where each tool's application answers, on each host's loopback."""

    @property
    def addresses(self) -> list[str]:
        return [host.address for host in self.hosts]

    def root(self, tool: str) -> str:
        return f"/srv/{tool}-{self.name}"

    def unit(self, tool: str) -> str:
        """What runs the application for a tool that doesn't do so itself."""
        return f"web-{tool}-{self.name}.service"

    def restart(self, tool: str, action: str = "restart") -> str:
        """What a tool that doesn't run the application tells the host's shell: restart it, and wait until it answers.

        One command, so that it costs one round trip.
        """
        asked = f"curl --silent --output /dev/null http://127.0.0.1:{self.ports[tool]}/"
        waits = f"timeout 20 sh -c 'until {asked}; do sleep 0.05; done'"
        return f"sudo systemctl {action} {self.unit(tool)} && {waits}"


@dataclass(frozen=True)
class Ground:
    """What the tools have in common."""

    home: Path
    """The project, a git repository with the tags."""
    repository: str
    """Its URL, as hosts can clone it."""
    scratch: Path
    """A folder for the tools' own files."""
    fleets: tuple[Fleet, ...]


class Peer(Protocol):
    """One tool. Its name is also part of its roots on hosts."""

    name: str
    can_roll_back: bool
    runs_units: bool
    """Whether it runs the application itself; for the others, a unit made beforehand does."""
    code: str
    """Where the tag's tree is below `current`."""

    def missing(self) -> str:
        """Why it can't be measured here, in one line; empty if it can."""

    def version(self) -> str:
        """What it calls itself, for the table."""

    def prepare(self, ground: Ground) -> None:
        """Write its configuration; not measured."""

    def deploy(self, fleet: Fleet, tag: str) -> float:
        """Put `tag` live on the fleet: the wall seconds of the whole process. Ends the run if it fails."""

    def roll_back(self, fleet: Fleet) -> float:
        """Go down to the release before; as `deploy`."""
