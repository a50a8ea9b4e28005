"""Asking a host to try a release's migrations out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tagship.config import App
from tagship.host import boot
from tagship.ship.fleet import Fleet


def equip(fleet: Fleet) -> None:
    """Have on every host what a rehearsal needs: before any lock, for it takes new links. Raises `TagshipError`."""
    for part in (boot.SCHEMA, boot.REHEARSAL):
        fleet.equip(fleet.hosts, part)


def ask(fleet: Fleet, host: str, release: str, app: App, *, copy: bool) -> Sequence[Mapping[str, Any]]:
    """What came of it, a mapping for each database (docs/agent.md, `rehearse`): on copies, or on what is empty.

    `release` is staged, and this session has the lock. Raises `HostRefused`.
    """
    limits = app.schema_limits
    args = {"release": release, "copy": copy, "dump": app.rehearse.dump, "limits": limits.row()}
    found: Sequence[Mapping[str, Any]] = fleet.ask(host, "rehearse", {**args, "wait": float(limits.deadline)})[
        "databases"
    ]
    return found
