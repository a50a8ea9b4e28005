"""The verbs that only look: from a connected fleet to what there is to tell of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from tagship.errors import HostRefused
from tagship.host import boot
from tagship.ship.crew import side_by_side
from tagship.ship.fleet import Fleet
from tagship.ship.history import Change, changes_of
from tagship.ship.status import HostStatus
from tagship.ship.survey import HostSurvey, Release

Titled = tuple[str, Mapping[str, Any]]
"""A resource of an outfit: what it is called, and its row."""
_LASTING = ("file", "folder", "link", "user", "member", "unit")
"""Kinds of resources that are a state of the host, and can be looked at without being root."""


def status(fleet: Fleet) -> tuple[HostStatus, ...]:
    """How every host was when the fleet was connected, and how many of its files differ at a glance.

    Raises `HostRefused`.
    """

    def look(host: str) -> HostStatus:
        survey = fleet.surveys[host]
        if survey.live is None or not survey.live.staged:
            return HostStatus.of(survey, None)
        return HostStatus.of(survey, int(fleet.ask(host, "drift", {"release": survey.live.id})["count"]))

    found = side_by_side(look, fleet.hosts, fleet.parallel)
    return tuple(found[host] for host in fleet.hosts)


def releases(fleet: Fleet) -> dict[str, tuple[Release, ...]]:
    """The releases on each host's disk, oldest first."""
    return {host: survey.releases for host, survey in fleet.surveys.items()}


def changes(fleet: Fleet, last: int) -> tuple[Change, ...]:
    """The newest `last` changes that the journals tell of, oldest first. Raises `HostRefused`."""
    answers = side_by_side(lambda host: fleet.ask(host, "history", {"changes": last}), fleet.hosts, fleet.parallel)
    busy = {host for host, survey in fleet.surveys.items() if survey.lock is not None}
    return changes_of({host: answer["rows"] for host, answer in answers.items()}, busy)[-last:]


def history(fleet: Fleet, limit: int = 50) -> dict[str, list[dict[str, Any]]]:
    """The newest `limit` journal rows of each host, oldest first. Raises `HostRefused`."""
    answers = side_by_side(lambda host: fleet.ask(host, "history", {"limit": limit}), fleet.hosts, fleet.parallel)
    return {host: list(answer["rows"]) for host, answer in answers.items()}


@dataclass(frozen=True)
class Drift:
    """One thing on a host that isn't as it was sealed."""

    host: str
    release: str
    """Empty for what is of no one release."""
    path: str
    """Below the release, or below the root; absolute for what `fab setup` made."""
    what: str


def verify(fleet: Fleet, outfits: Mapping[str, Sequence[Titled]] = MappingProxyType({})) -> tuple[Drift, ...]:
    """Compare all releases on each host, and what they live by, with what was recorded; empty if all is as it was.

    `outfits` are the titles and rows of what `fab setup` made, by host. A host with nothing on it differs from the
    others by that. Raises `HostRefused`, also where no host has anything.
    """
    empty = {host for host, survey in fleet.surveys.items() if survey.current is None and not survey.releases}
    if empty == fleet.surveys.keys():
        what = "nothing is current, so there is nothing to verify"
        raise HostRefused(what, host=next(iter(empty)), cure="fab deploy")
    fleet.equip(fleet.hosts, boot.VERIFY)
    if outfits:
        fleet.equip(fleet.hosts, boot.OUTFIT)

    def check(host: str) -> tuple[Drift, ...]:
        survey = fleet.surveys[host]
        if host in empty:
            return (Drift(host, "", "current", "nothing is live here: the next fab deploy takes it along"),)
        found = []
        for release in survey.releases:
            answer = fleet.ask(host, "verify", {"release": release.id})
            found += [Drift(host, release.id, str(path), str(what)) for path, what in answer["drift"]]
        answer = fleet.ask(host, "audit", fleet.places[host].asked)
        found += [Drift(host, "", str(path), str(what)) for path, what in answer["drift"]]
        known = {f"{fleet.places[host].root}/{drift.path}" for drift in found}
        return (*found, *(one for one in _outfit(fleet, host, outfits.get(host, ())) if one.path not in known))

    found = side_by_side(check, fleet.hosts, fleet.parallel)
    return (*(drift for drifts in found.values() for drift in drifts), *_disagreements(fleet.surveys))


def _outfit(fleet: Fleet, host: str, outfit: Sequence[Titled]) -> Iterator[Drift]:
    """What root made for the stage, as far as who deploys can look at it."""
    seen = [(title, row) for title, row in outfit if row["kind"] in _LASTING and not _is_hidden(row)]
    if not seen:
        return
    answer = fleet.ask(host, "look", {"name": fleet.question.app, "resources": [row for _title, row in seen]})
    for (title, row), state in zip(seen, answer["states"], strict=True):
        if state["differs"]:
            yield Drift(host, "", str(row.get("path", title)), state["words"] or "isn't as `fab setup` would make it")
    for reason in answer["refusals"]:
        yield Drift(host, "", "fab setup", str(reason["what"]))


def _is_hidden(row: Mapping[str, Any]) -> bool:
    return str(row.get("path", "")).startswith("/etc/sudoers.d/")


def _disagreements(surveys: Mapping[str, HostSurvey]) -> Iterator[Drift]:
    """Releases of one id that are not the same release on every host, as their journals tell."""
    first: dict[str, tuple[str, Release]] = {}
    for host, survey in surveys.items():
        for release in survey.releases:
            before, other = first.setdefault(release.id, (host, release))
            if (release.commit, release.digest) != (other.commit, other.digest):
                what = f"of commit {release.commit[:12]}, digest {release.digest[:12]}; on {before} of commit "
                yield Drift(host, release.id, "", f"{what}{other.commit[:12]}, digest {other.digest[:12]}")
