"""`fab status`: how every host of a stage stands, those that can't be asked and those that missed a release too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tagship.amounts import Age, Bytes, Differences
from tagship.app.schema import tell_schema
from tagship.app.stage import OnStage, Table, looked
from tagship.errors import Degraded
from tagship.events import note
from tagship.ship import again, looking, roster
from tagship.ship.fleet import Fleet
from tagship.ship.status import HostStatus

COLUMNS = ("host", "release", "since", "age", "pid", "memory", "health", "drift")


def status_of(on: OnStage) -> Table:
    """What is live on each host, since when, what it takes and whether it answers.

    Degraded where a host isn't well or can't be reached, and where the hosts aren't on one release, unless somebody
    is at work there. Raises `HostRefused` where no host can be reached.
    """
    with on.look() as fleet:
        found = looking.status(fleet)
        if any(status.current and status.current.schema for status in found):
            tell_schema(on, fleet)
        outcome = looked(fleet, {status.host for status in found if not status.well})
    for status in found:
        if status.drift:
            text = "files of what is live aren't as they were sealed: fab verify names them"
            note(on.listener, text, level="warning", host=status.host)
    behind = roster.behind((*fleet.places, *fleet.away), fleet.surveys)
    roster.tell(on.listener, behind, level="warning")
    rows = {status.host: _row(status) for status in found}
    rows |= {host: _lost_row(fleet, host) for host in fleet.lost}
    if error := _ill(on, fleet, found):
        outcome = replace(outcome, outcome=error.outcome, exit=error.exit_code, error=error)
    return Table(COLUMNS, tuple(rows[host] for host in fleet.places), replace(outcome, away=behind))


def _ill(on: OnStage, fleet: Fleet, found: Sequence[HostStatus]) -> Degraded | None:
    """What a person has to see to, all in one; `None` if nothing is the matter."""
    ill = [status.host for status in found if status.current and not status.well]
    gone = [status.host for status in found if not status.current and status.current_kind == "link"]
    taken = [status.host for status in found if status.current_kind in ("directory", "foreign")]
    stands = roster.stands(fleet.surveys)
    busy = any(status.lock for status in found)
    what, cure = [], []
    if ill:
        what.append("what is live isn't well")
        cure.append("fab start, or fab deploy, starts and proves it again")
    if gone:
        what.append("what was live is gone from the disk")
        cure.append("fab deploy makes it anew")
    if taken:
        what.append("`current` is none of ours")
        cure.append("fab adopt takes over what it serves, or move it away on the host")
    if fleet.lost:
        what.append(f"{len(fleet.lost)} of {len(fleet.places)} hosts can't be reached")
        cure += dict.fromkeys(error.cure for error in fleet.lost.values() if error.cure)
    if len(stands) > 1 and not busy:
        what.append("the fleet is mixed")
        limit, skip = again.chosen(fleet.away, fleet.places, fleet.lost)
        cure.append(f"{again.command('deploy', on.name, limit=limit, skip=skip)} brings all to one release")
    if not what:
        return None
    mixed = ", ".join(f"{release or 'nothing'} ({', '.join(hosts)})" for release, hosts in stands.items())
    hosts = {host: f"out of reach; {roster.known_of(host, fleet.surveys).words}" for host in fleet.lost}
    where = ", ".join(dict.fromkeys([*ill, *gone, *taken, *fleet.lost])) or mixed
    return Degraded("; ".join(what), hosts=hosts, where=where, cure="; ".join(cure))


def _row(status: HostStatus) -> tuple[Any, ...]:
    release = status.current.id if status.current else None
    drift = None if status.drift is None else Differences(status.drift)
    return (status.host, release, *_process(status), status.words + _busy(status), drift)


def _lost_row(fleet: Fleet, host: str) -> tuple[Any, ...]:
    """A host that can't be asked: why, and what the others know of it."""
    known = roster.known_of(host, fleet.surveys)
    return (host, None, None, None, None, None, f"out of reach: {fleet.lost[host].what}; {known.words}", None)


def _process(status: HostStatus) -> tuple[Any, ...]:
    """Since when it runs (UTC), for how long, its process, and what all its processes have in memory."""
    found = status.process
    return (found.since, Age(found.age), found.pid, Bytes(found.memory)) if found else (None,) * 4


def _busy(status: HostStatus) -> str:
    """Who is changing the host right now."""
    return "; {owner} is at work: {verb} {release}, since {since}".format_map(status.lock) if status.lock else ""
