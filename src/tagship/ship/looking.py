"""The verbs that only look: from a connected fleet to what there is to tell of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tagship.errors import HostRefused
from tagship.ship.crew import side_by_side
from tagship.ship.fleet import Fleet
from tagship.ship.status import HostStatus
from tagship.ship.survey import Release


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


def history(fleet: Fleet, limit: int = 50) -> dict[str, list[dict[str, Any]]]:
    """The newest `limit` journal rows of each host, oldest first. Raises `HostRefused`."""
    answers = side_by_side(lambda host: fleet.ask(host, "history", {"limit": limit}), fleet.hosts, fleet.parallel)
    return {host: list(answer["rows"]) for host, answer in answers.items()}


@dataclass(frozen=True)
class Drift:
    """One thing on a host that isn't as its release was sealed."""

    host: str
    release: str
    path: str
    what: str


def verify(fleet: Fleet) -> tuple[Drift, ...]:
    """Compare each host's current release with what was sealed; empty if all is as it should be.

    Raises `HostRefused`, also where nothing is current.
    """

    def check(host: str) -> tuple[Drift, ...]:
        release = fleet.surveys[host].current
        if release is None:
            raise HostRefused("nothing is current, so there is nothing to verify", host=host, cure="fab deploy")
        answer = fleet.ask(host, "verify", {"release": release})
        return tuple(Drift(host, release, str(path), str(what)) for path, what in answer["drift"])

    found = side_by_side(check, fleet.hosts, fleet.parallel)
    return tuple(drift for drifts in found.values() for drift in drifts)
