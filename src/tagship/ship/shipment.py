"""What `ship` is given to ship, as values; `release` makes the contents, `app` joins the two rooms here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from tagship.config import App, Rollout
from tagship.manifest import Delta, Manifest
from tagship.ship.hooks import NO_HOOKS, Hooks
from tagship.ship.parts import WEB, Part, part_of
from tagship.ship.survey import Room


@dataclass(frozen=True)
class Wheel:
    """A wheel file on this machine, checked against `sha256` (hex) by who fetched it."""

    filename: str
    sha256: str
    size: int
    """Bytes of the file."""
    path: Path
    unpacked: Room
    """What it takes once installed, bytecode not counted."""

    def row(self) -> list[Any]:
        """The JSON form: `[filename, sha256, size]`."""
        return [self.filename, self.sha256, self.size]


@dataclass(frozen=True)
class Shipment:
    """A packed release: what is the same on every host, and how to get what differs."""

    tag: str
    commit: str
    digest: str
    """Of tree, site and lock; equal digests are equal releases."""
    lock: str
    """SHA-256 of the requirements lock."""
    manifest: Manifest
    app: App
    """The application's settings, from the tag."""
    open_object: Callable[[str], BinaryIO]
    """The contents of a file of the manifest, by its key."""
    wheels: Callable[[Mapping[str, Any]], Sequence[Wheel]]
    """The wheels for an interpreter, described by the survey's `python`."""
    installer: Callable[[Mapping[str, Any]], Wheel | None]
    """The wheel of what builds the virtualenv: uv's, or pip's where uv has none; `None` if there are no wheels."""
    known: Callable[[str], Manifest | None]
    """The manifest with that digest, if this machine has it; it saves asking a host."""


@dataclass(frozen=True)
class Cargo:
    """A shipment fitted to one host: what that host lacks at most."""

    wheels: tuple[Wheel, ...]
    installer: Wheel | None
    base: str | None
    """The release on that host whose manifest `delta` starts from; `None`: from nothing."""
    delta: Delta

    @property
    def need(self) -> Room:
        """The room it takes at most: new objects, wheels packed and unpacked, bytecode as large as its source."""
        files = [entry for entry in self.delta.put if hasattr(entry, "size")]
        packed = [*self.wheels, *([self.installer] if self.installer else [])]
        return Room(
            bytes=sum(file.size for file in files) + sum(w.size + 2 * w.unpacked.bytes for w in packed),
            files=2 * len(files) + sum(1 + 2 * w.unpacked.files for w in packed),
        )


@dataclass(frozen=True)
class Stage:
    """The settings of a stage that a plan depends on."""

    name: str
    fronts: Mapping[str, str]
    """`ADDRESS:PORT` of each host's front door; its order is the fleet's, the first hosts are the canary."""
    keep: int
    """Good releases kept beside the current one."""
    drain: float
    """Seconds within which the connections of an old release must have ended."""
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What each host is for; one that isn't named answers requests, and does nothing else."""
    rollout: Rollout = Rollout()  # noqa: RUF009 - a frozen value
    """In which portions the fleet goes over to a release."""
    hooks: Hooks = NO_HOOKS
    """The project's own commands and functions around the phases."""
    migrate_on: str | None = None
    """The host that the schema is migrated from, where one is named."""

    def roles_of(self, host: str) -> tuple[str, ...]:
        """What `host` is for."""
        return self.roles.get(host, (WEB,))

    def is_web(self, host: str) -> bool:
        """`host` answers requests, so that it has a front."""
        return WEB in self.roles_of(host)

    def part_of(self, app: App, host: str) -> Part:
        """What `host` gets of `app`."""
        part = part_of(app, self.roles_of(host))
        return replace(part, schema=True) if app.schema and host == self.migrate_on else part

    def schema_host(self, hosts: Iterable[str]) -> str | None:
        """Which of `hosts` the schema is migrated from: the one that is named, else the first that answers requests.

        `None` where the one that is named isn't there.
        """
        found = tuple(hosts)
        if self.migrate_on is not None:
            return self.migrate_on if self.migrate_on in found else None
        return next((host for host in found if self.is_web(host)), next(iter(found), None))


@dataclass(frozen=True)
class Made:
    """Who makes a release, and when (UTC, ISO 8601)."""

    by: str
    at: str
