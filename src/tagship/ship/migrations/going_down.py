"""What a rollback does about the schema: reverse it once the target is live, or leave it up and say so."""

from __future__ import annotations

from dataclasses import dataclass

from tagship.config import SchemaLimits
from tagship.errors import HostRefused, Refused
from tagship.ship.fleet import Fleet
from tagship.ship.migrations import asking
from tagship.ship.migrations.descent import KEEP, NONE, Descent, Wish, above
from tagship.ship.migrations.plan import Route, plan_down, plan_stay
from tagship.ship.migrations.schema import name_of
from tagship.ship.plan import Phase, phases_of
from tagship.ship.shipment import Stage


@dataclass(frozen=True)
class Down:
    """What becomes of the schema."""

    phases: tuple[Phase, ...] = ()
    ahead: str = ""
    """Why it stays ahead of the target though nobody wished it; else empty."""
    words: tuple[str, ...] = ()
    """What to tell with the plan."""


def going_down(fleet: Fleet, stage: Stage, limits: SchemaLimits, target: str, wish: Wish) -> Down:
    """Look at the databases and plan the way down to `target`; nothing where its host has no schema.

    With hosts left alone the schema stays up: their processes may still use it. Raises `Refused` where a step must
    not be reversed, and `HostRefused` where that can't be asked.
    """
    if not any(release.schema for survey in fleet.surveys.values() for release in survey.releases):
        return Down()
    host = stage.schema_host(fleet.hosts)
    if host is None:
        return Down(ahead=f"{stage.migrate_on}, from which the schema is migrated, was left alone: it is as it was")
    route = Route(host, limits.row())
    if wish.keep or fleet.away:
        return _staying(fleet, route, target, wish)
    planned = asking.plan_descent(fleet, host, target, drop=wish.drop)
    lost = tuple(f"dropped with it: {one.words}" for one in planned.loss)
    return Down(phases_of(plan_down(planned, route, fleet.surveys, target)), words=lost)


def _staying(fleet: Fleet, route: Route, target: str, wish: Wish) -> Down:
    planned = _as_far_as_known(fleet, route.host, target)
    absent = ", ".join(fleet.away)
    why = KEEP if wish.keep else f"{absent} left alone"
    phase = plan_stay(planned.source, planned.steps, route, why)
    if wish.keep or not planned.steps:
        return Down(phases_of((phase,)))
    steps = ", ".join(name_of(pair) for pair in planned.steps)
    ahead = f"the schema is ahead of {target}: {steps} stay up, because {absent} may still run what needs them"
    return Down(phases_of((phase,)), ahead=ahead)


def _as_far_as_known(fleet: Fleet, host: str, target: str) -> Descent:
    """What stays up; nothing where that can't be told: who goes back without the schema needs no database for it."""
    for release in asking.candidates(fleet.surveys[host])[:1]:
        try:
            source, wanted = asking.look(fleet, host, release.id), asking.code(fleet, host, target)
            return Descent(release.id, above(source, wanted))
        except (HostRefused, Refused):
            return NONE
    return NONE
