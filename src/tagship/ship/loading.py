"""A shipment fitted to each host of a fleet: what it lacks at most, and where its contents are opened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

from tagship.errors import HostRefused
from tagship.manifest import Delta, Manifest, UrlChanges, url_changes
from tagship.ship.fleet import Fleet
from tagship.ship.send import Feed
from tagship.ship.shipment import Cargo, Shipment, Stage
from tagship.ship.survey import HostSurvey, Release


def fit(fleet: Fleet, shipment: Shipment, stage: Stage) -> dict[str, Cargo]:
    """What each host needs of `shipment`: its wheels, and the difference from its current release's manifest.

    Where nothing of the application runs, there is no virtualenv, and no wheel is fetched for one.
    """
    bases = live_manifests(fleet, shipment)

    def load(survey: HostSurvey) -> Cargo:
        python = survey.python or {}
        base = bases.get(survey.host)
        runs = stage.part_of(shipment.app, survey.host).needs_venv
        return Cargo(
            wheels=tuple(shipment.wheels(python)) if runs else (),
            installer=shipment.installer(python) if runs else None,
            base=survey.current if base is not None else None,
            delta=Delta.between(base or Manifest(()), shipment.manifest),
        )

    return {host: load(survey) for host, survey in fleet.surveys.items()}


def live_manifests(fleet: Fleet, shipment: Shipment) -> dict[str, Manifest]:
    """The manifest of each host's current release; a host is left out where there is none, or it is damaged.

    What this machine knows by its digest isn't asked for, and one digest is asked of one host only.
    """
    known: dict[str, Manifest | None] = {shipment.manifest.digest: shipment.manifest}
    found: dict[str, Manifest] = {}
    for host, survey in fleet.surveys.items():
        live = survey.live
        if live is None or not live.staged:
            continue
        if known.get(live.manifest) is None:
            known[live.manifest] = shipment.known(live.manifest) or _ask_manifest(fleet, host, live)
        manifest = known[live.manifest]
        if manifest is not None:
            found[host] = manifest
    return found


def _ask_manifest(fleet: Fleet, host: str, release: Release) -> Manifest | None:
    try:
        rows = fleet.ask(host, "manifest", {"release": release.id})["rows"]
        manifest = Manifest.from_rows(rows)
    except (HostRefused, ValueError):
        return None  # then everything is declared from nothing, which needs no base
    return manifest if manifest.digest == release.manifest else None


def url_changes_between(fleet: Fleet, old: Release | None, new: Release) -> UrlChanges | None:
    """Which URLs `new` adds, changes and takes away, as the first host tells; `None` where it can't."""
    host = fleet.hosts[0]
    before = None if old is None else _ask_manifest(fleet, host, old)
    after = _ask_manifest(fleet, host, new)
    return None if after is None or (before is None and old is not None) else url_changes(before, after)


def feed_of(shipment: Shipment, cargo: Mapping[str, Cargo]) -> Feed:
    """What opens the objects that hosts lack: the tag's files from the shipment, wheels from their own."""
    packed = {
        wheel.sha256: wheel.path
        for load in cargo.values()
        for wheel in (*load.wheels, *([load.installer] if load.installer else []))
    }

    def feed(_host: str, key: str) -> BinaryIO:
        path = packed.get(key)
        return path.open("rb") if path else shipment.open_object(key)

    return feed
