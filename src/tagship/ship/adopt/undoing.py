"""Gives hosts back to what served them before they were adopted; the adopted release must be live by then."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from tagship.errors import HostRefused, Refused, TagshipError
from tagship.events import Event, Listener, note
from tagship.ship.adopt.carrying import Order, outcome_of, plans_of, scan
from tagship.ship.adopt.outfit import Return, return_of
from tagship.ship.adopt.taking import Taking
from tagship.ship.ending import Ending
from tagship.ship.fleet import Fleet, raise_all
from tagship.ship.interrupts import Interrupts
from tagship.ship.locks import Claim, take_all
from tagship.ship.locks import give_back as unlock
from tagship.ship.outcome import Outcome
from tagship.ship.setup import words
from tagship.ship.setup.agents import Agents
from tagship.ship.survey import HostSurvey

Notes = Mapping[str, Mapping[str, Any]]
"""What was written down on each host when it was adopted."""


def notes_of(agents: Agents, order: Order) -> Notes:
    """Raises `HostRefused` where a host was never adopted, or was given back already."""
    found = scan(agents, order)
    nothing = "it isn't adopted: nothing to undo"
    raise_all([HostRefused(nothing, host=host) for host, seen in found.items() if seen.adopted is None])
    return {host: seen.adopted for host, seen in found.items() if seen.adopted is not None}


def give_back(
    agents: Agents, connect: Callable[[], Fleet], order: Order, notes: Notes, listener: Listener, *, dry: bool
) -> Outcome:
    """Put the old site and the old `current` back and stop the relay; `dry` stops once that is told.

    The outcome's `release` is what was adopted, and its `previous` something else that is live, if anything is.
    Raises, with nothing changed, `HostRefused`, `Refused`, `Locked`.
    """
    began = time.monotonic()
    with connect() as fleet:
        release = _release_of(notes)
        raise_all([why for host in notes for why in _refusals(fleet.surveys[host], release)])
        others = [survey.current for survey in fleet.surveys.values() if survey.current not in (release, None)]
        parts = {host: return_of(order.settings[host], of) for host, of in notes.items()}
        plans = plans_of(agents, order.name, {host: of.whole for host, of in parts.items()})
        if dry:
            lines = [f"give {order.facts.name} back to what served it before it was adopted as {release}"]
            lines += [f"  first roll back from {one}, as `fab rollback --to {release}` would" for one in others[:1]]
            lines += words.lines(order.facts.name, list(plans.values()))[1:]
            listener(Event("plan", data={"plan": lines, "steps": words.rows(list(plans.values()))}))
            return outcome_of("planned", agents, began, release, previous=next(iter(others), release))
        if others:
            raise Refused(f"{others[0]} is live", where=order.facts.name, cure=f"fab rollback --to {release} first")
        with Interrupts() as interrupts:
            taking = Taking(agents, order.name, listener, interrupts, owner=order.made.by)
            try:
                take_all(fleet, Claim(order.made.by, release, "adopt"), listener)
                _run(taking, fleet, order, release, parts)
            except TagshipError as error:
                ended = taking.put_back(error, {})
                return outcome_of(ended.outcome, agents, began, error=ended)
            unlock(fleet, list(fleet.hosts), listener, Ending("stopped"))
    note(listener, "given back: what served before serves again; our users, folders and releases stay")
    return outcome_of("ready", agents, began)


def _run(taking: Taking, fleet: Fleet, order: Order, release: str, parts: Mapping[str, Return]) -> None:
    halt = {"release": release, "drain": float(order.stage.drain)}

    def stop(host: str) -> None:
        taking.owe(host, "the relay", lambda: _quiet(fleet.link(host).call("start", {"release": release})))
        fleet.link(host).call("halt", halt)

    def forget(host: str) -> None:
        """What never had a successor has served its purpose."""
        if {known.id for known in fleet.surveys[host].releases} == {release}:
            fleet.link(host).call("unstage", {"release": release})

    def switch(host: str) -> None:
        taking.take(host, parts[host].switch)

    def site(host: str) -> None:
        taking.take(host, parts[host].site)

    taking.phase("site", site, parts)
    taking.phase("switch", switch, parts)
    taking.phase("stop", stop, parts)
    taking.phase("keep", taking.keep, parts)
    taking.phase("forget", forget, parts)


def _release_of(notes: Notes) -> str:
    names = sorted({str(of["release"]) for of in notes.values()})
    if len(names) > 1:
        rows = [f"{host}: {of['release']}" for host, of in notes.items()]
        raise Refused("the hosts were adopted one by one", cure="--limit those of one release", tail=rows)
    return names[0]


def _refusals(survey: HostSurvey, release: str) -> list[HostRefused]:
    known = survey.release(release)
    if survey.current is None or (known is not None and known.staged):
        return []  # it was cut off midway, and what is current is the old one's already; or there is a way back
    what = f"{release} isn't there any more: a deploy has pruned it"
    cure = (
        "there is no way back without a gap: take our site out of nginx's sites-enabled by hand, and put the old in"
    )
    return [HostRefused(what, host=survey.host, cure=cure)]


def _quiet(_answer: object) -> None:
    """Of a verb that puts back, only its errors matter."""
