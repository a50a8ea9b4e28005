"""The phases that move a schema: up with a deploy, down after a rollback. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tagship.config import App
from tagship.ship.layout import serial_of
from tagship.ship.migrations.descent import Descent
from tagship.ship.migrations.schema import Look, Pair, by_database, name_of
from tagship.ship.plan import FEW, Phase, Step
from tagship.ship.survey import HostSurvey

UNKNOWN = "up: what is pending is known once the release is staged (fab plan --staged)"

UP, SETTLE = "migrate", "settle the schema"
MOVING = (SETTLE, UP)
"""Phases of a deploy that are planned once the databases were looked at."""


@dataclass(frozen=True)
class Route:
    """From where the schema is moved, and within which limits."""

    host: str
    limits: Mapping[str, float]
    """`lock_timeout`, `statement_timeout` and `deadline`, in seconds."""
    before: tuple[str, ...] = ()
    """A command that is run before anything goes up; empty: none."""

    @staticmethod
    def of(app: App, host: str) -> Route:
        """As the application's settings say."""
        return Route(host, app.schema_limits.row(), tuple(app.before_up or ()))


def plan_look(route: Route, release: str, left: Iterable[str] = ()) -> Phase:
    """Look at the databases with the code of a staged `release`, and with that of those which dead clients `left`."""
    steps = [Step(route.host, "look at the schema", "schema", {"release": release, "sizes": True})]
    steps += [
        Step(route.host, f"look at what {dead} left of it", "schema", {"release": dead, "sizes": False})
        for dead in left
    ]
    return Phase("look", tuple(steps))


def plan_unknown(route: Route) -> Phase:
    """What stands in a plan for what goes up, as long as nobody has looked."""
    return Phase(UP, (Step(route.host, UNKNOWN, "up"),))


def plan_up(look: Look, route: Route) -> Phase:
    """Everything pending, database by database, with what reverses just that; empty if nothing is pending.

    It is one question: each costs a start of the release's own program, and what fails in one reverses all.
    """
    pending = look.pending
    if not pending:
        return Phase(UP, ())
    args = {"release": look.release, "steps": _rows(pending), "limits": dict(route.limits)}
    before = list(route.before) or None
    undo = ("down", {**args, "steps": _rows(reversed(pending)), "only": True, "drop": False})
    title = f"up {_told(pending)}" + (f", after {before[0]}" if before else "")
    return Phase(UP, (Step(route.host, title, "up", {**args, "before": before}, undo),))


def left_by_the_dead(survey: HostSurvey) -> tuple[str, ...]:
    """Releases of `survey` that aren't live, though steps of theirs are applied; the newest first.

    They never went live, or their rollback ended before it had come to the schema.
    """
    found = [r.id for r in survey.releases if r.holds and r.state != "good" and r.staged and r.id != survey.current]
    return tuple(reversed(found))


def plan_settle_schema(look: Look, dead: Sequence[Look], route: Route) -> Phase:
    """Reverse what clients that died had applied, and `look`'s code doesn't have: it is nobody's.

    What was kept on purpose stays, and what is irreversible, with all below it; and what has rows in it: `down`
    tells of that.
    """
    steps, done = [], set[Pair]()
    for theirs in dead:
        pairs = [pair for pair in reversible_order(theirs) if pair in look.strange and pair not in done]
        done.update(pairs)
        if pairs:
            args = {"release": theirs.release, "steps": _rows(pairs), "limits": dict(route.limits)}
            title = f"down {_told(pairs)}, which {theirs.release} left"
            steps.append(Step(route.host, title, "down", {**args, "only": False, "drop": False}))
    return Phase(SETTLE, tuple(steps))


def plan_down(descent: Descent, route: Route, surveys: Mapping[str, HostSurvey], target: str) -> tuple[Phase, ...]:
    """See on every host that nothing newer than `target` lives, then reverse: nothing of this is ever put back."""
    if not descent.steps:
        return ()
    newer = [
        Step(host, f"see that no process of {release.id} lives", "halt", {"release": release.id, "drain": 0.0})
        for host, survey in surveys.items()
        for release in survey.releases
        if release.id != target and release.runs and _may_know(release.id, target, survey)
    ]
    args = {"release": descent.source, "steps": _rows(descent.steps), "limits": dict(route.limits)}
    title = f"down {_told(descent.steps)}, with the code of {descent.source}"
    down = Step(route.host, title, "down", {**args, "only": False, "drop": descent.drop})
    return (Phase("confirm", tuple(newer), late=True), Phase("down", (down,), late=True))


def plan_stay(release: str, steps: Sequence[Pair], route: Route, why: str) -> Phase:
    """Journal that `steps`, which `release` knows or leaves alone, stay up on purpose, and why."""
    if not steps:
        return Phase("keep the schema", ())
    args = {"release": release, "steps": _rows(steps), "why": why}
    title = f"leave {listed([name_of(pair) for pair in steps])} up: {why}"
    return Phase("keep the schema", (Step(route.host, title, "stay", args),), late=True)


def reversible_order(look: Look) -> tuple[Pair, ...]:
    """Applied steps of `look`'s code that can go down: the last database first, and in each the newest step first."""
    found: list[Pair] = []
    for database in reversed(look.databases):
        applied = {step.id for step in database.applied}
        newest = [step for step in reversed(database.migrations) if step.id in applied]
        found += [(database.name, step.id) for step in itertools.takewhile(lambda step: step.reversible, newest)]
    return tuple(found)


def listed(ids: Sequence[str]) -> str:
    """A few ids by name, more by the first, the last and their number."""
    return ", ".join(ids) if len(ids) < FEW else f"{ids[0]} … {ids[-1]}, {len(ids)} steps"


def _may_know(release: str, target: str, survey: HostSurvey) -> bool:
    """It could still use what is reversed: newer than the target, or what was current until now."""
    return serial_of(release) > serial_of(target) or release == survey.current


def _told(pairs: Sequence[Pair]) -> str:
    return "; ".join(f"{database}: {listed(ids)}" for database, ids in by_database(pairs).items())


def _rows(pairs: Iterable[Pair]) -> list[list[Any]]:
    return [list(pair) for pair in pairs]
