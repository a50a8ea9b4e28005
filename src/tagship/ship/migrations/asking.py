"""What is asked of the host that migrates, beside the steps of a plan: looks, SQL, whether a dead one still works."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tagship.amounts import Age
from tagship.errors import HostRefused, Interrupted, Locked
from tagship.events import Listener, note
from tagship.host import boot
from tagship.ship.fleet import Fleet
from tagship.ship.migrations import descent
from tagship.ship.migrations.descent import Descent
from tagship.ship.migrations.schema import Look, Loss, Pair
from tagship.ship.survey import HostSurvey, Release
from tagship.ship.waiting import held

AGAIN = 1.0
"""Seconds between two looks at a migration that is waited for."""

GONE = "gone"
"""What the note of a lock says of the client of a migration that outlived it."""

Text = tuple[str, str, str]
"""Database, step, and its SQL."""


def look(fleet: Fleet, host: str, release: str) -> Look:
    """The databases as the code of `release`, which is staged on `host`, sees them. Raises `HostRefused`."""
    fleet.equip((host,), boot.SCHEMA)
    return Look.from_json(release, fleet.ask(host, "schema", {"release": release, "sizes": False}), host=host)


def code(fleet: Fleet, host: str, release: str) -> Look:
    """The steps of `release` alone, without a database. Raises `HostRefused`."""
    fleet.equip((host,), boot.SCHEMA)
    return Look.from_json(release, fleet.ask(host, "heads", {"release": release}), host=host)


def statements(fleet: Fleet, host: str, release: str, steps: Sequence[Pair], *, down: bool) -> tuple[Text, ...]:
    """The SQL of `steps`, in their order; nothing of it is run. Raises `HostRefused`."""
    args = {"release": release, "steps": [list(pair) for pair in steps], "down": down}
    return tuple((str(d), str(id), str(text)) for d, id, text in fleet.ask(host, "statements", args)["sql"])


def plan_descent(fleet: Fleet, host: str, target: str, *, drop: bool) -> Descent:
    """What a rollback to `target` reverses. `drop`: rows may go.

    Asks `host`, and changes nothing. Raises `Refused` where that isn't known, or must not be; `HostRefused`.
    """
    survey = fleet.surveys[host]
    known = survey.release(target)
    descent.known_heads(target, known.schema if known is not None else {})
    source = _source(fleet, host, target)
    planned = descent.descent(source, code(fleet, host, target), drop=drop)
    if not planned.steps:
        return planned
    steps = [list(pair) for pair in planned.steps]
    answer = fleet.ask(host, "loss", {"release": planned.source, "steps": steps})
    return descent.losing(planned, Loss.from_json(answer, host=host))


def _source(fleet: Fleet, host: str, target: str) -> Look:
    """The look of the newest release whose heads are what is applied: current first, for mostly it is that.

    Where a down stopped halfway there is none; then that of the newest whose code has all that is applied, or all but
    what was kept on purpose.
    """
    unknown: tuple[Pair, ...] = ()
    larger: list[Look] = []
    beside: list[Look] = []
    for release in candidates(fleet.surveys[host]):
        try:
            found = look(fleet, host, release.id)
        except HostRefused:
            if release.id == fleet.surveys[host].current:
                raise
            continue  # its virtualenv may be half removed; another may do
        if found.is_the_applied_state:
            return found
        if not found.unknown:
            larger.append(found)
        elif not (strange := found.strange):
            beside.append(found)
        else:
            unknown = unknown or strange
    if larger or beside:
        return (*larger, *beside)[0]
    raise descent.no_source(target, unknown)


def candidates(survey: HostSurvey) -> list[Release]:
    """Releases that may know all that is applied: what is current, then all others, the newest first."""
    fit = [release for release in reversed(survey.releases) if release.staged and release.schema]
    return sorted(fit, key=lambda release: release.id != survey.current)


def await_settled(fleet: Fleet, host: str, tell: Listener, *, patience: float) -> None:
    """Return once no migration of a session that died runs any more, here or in the database.

    `patience` is seconds: how long its deadline lets it go on. The surveys are made anew where it was waited for.
    Raises `Locked` after that, `HostRefused`, `Interrupted`.
    """
    survey = fleet.surveys[host]
    lock = survey.lock
    if lock is None and not survey.midway:
        return
    if lock is not None and lock.get("client") != GONE:
        return  # somebody is at work, and will end it
    release = next((r.id for r in reversed(survey.releases) if r.staged and r.schema), None)
    if release is None:
        return
    fleet.equip((host,), boot.SCHEMA)
    waited = settled(fleet, host, release, tell, patience=patience)
    if waited or survey.midway:
        fleet.survey_anew()


def settled(fleet: Fleet, host: str, release: str, tell: Listener, *, patience: float) -> bool:
    """As `await_settled`, of a host that is asked in any case; whether it had to be waited for."""
    until = time.monotonic() + patience
    waited = False
    try:
        while fleet.ask(host, "settled", {"release": release})["running"]:
            left = until - time.monotonic()
            if left <= 0:
                holder = fleet.holder(host) or {"owner": "a session that died", "release": release}
                raise _still(host, {"verb": "migrate", "since": "unknown", **holder})
            if not waited:
                what = "a migration of a session that died still runs; waiting for it"
                note(tell, f"{what}, {Age(int(left))} at most", level="warning", host=host)
            waited = True
            time.sleep(min(AGAIN, left))
    except KeyboardInterrupt:
        raise Interrupted("interrupted while a migration was waited for; nothing was changed") from None
    return waited


def _still(host: str, holder: dict[str, str]) -> Locked:
    locked = held(holder, host)
    cure = "look at the database: its session must end, or be ended, before anything else begins"
    return Locked(f"a migration still runs: {locked.what}", host=host, holder=locked.holder, cure=cure)
