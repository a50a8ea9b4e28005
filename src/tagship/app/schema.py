"""`fab migrations`, the statements of `fab plan --staged --sql`, and what `fab status` says of the schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tagship.app.stage import OnStage, Table, looked
from tagship.errors import HostRefused
from tagship.events import Event, Listener, note
from tagship.ship.fleet import Fleet
from tagship.ship.migrations import asking
from tagship.ship.migrations.schema import Database, Look, name_of
from tagship.ship.survey import HostSurvey

COLUMNS = ("database", "step", "state", "by", "head of")


def teller(listener: Listener, *, sql: bool) -> Callable[[Fleet, str, Look], None]:
    """What tells the statements of everything pending, where `sql` is wanted, as `sql` events."""

    def tell(fleet: Fleet, host: str, look: Look) -> None:
        if not sql or not look.pending:
            return
        for database, step, text in asking.statements(fleet, host, look.release, look.pending, down=False):
            listener(Event("sql", host, {"database": database, "step": step, "text": text, "down": False}))

    return tell


def migrations_of(on: OnStage) -> Table:
    """Every step that the code of what is live has, or its databases: applied, pending, and whose head it is.

    Raises `HostRefused` where no host, or no database, can be reached.
    """
    with on.look() as fleet:
        host = _host(on, fleet)
        live = fleet.surveys[host].live if host is not None else None
        rows: tuple[tuple[Any, ...], ...] = ()
        if host is not None and live is not None and live.schema:
            found = asking.look(fleet, host, live.id)
            rows = tuple(row for database in found.databases for row in _rows(database, fleet.surveys[host]))
        return Table(COLUMNS, rows, looked(fleet))


def tell_schema(on: OnStage, fleet: Fleet) -> None:
    """Say where the schema isn't that of what is live: what stays up, and what is pending. It is no failure."""
    host = _host(on, fleet)
    live = fleet.surveys[host].live if host is not None else None
    if host is None or live is None or not live.schema or not live.staged:
        return
    try:
        found = asking.look(fleet, host, live.id)
    except HostRefused as error:
        note(on.listener, f"the schema can't be looked at: {error.what}", level="warning", host=host)
        return
    for text in _differences(found):
        note(on.listener, text, level="warning", host=host)


def _differences(look: Look) -> Iterator[str]:
    for database in look.databases:
        for id in database.unknown:
            applied = database.applied_step(id)
            facts = [applied.by, applied.kept] if applied is not None else []
            said = ", ".join(fact for fact in facts if fact) or "not by tagship"
            stays = f"{name_of((database.name, id))} stays up ({said}), and {look.release} has no such step"
            yield f"schema: {stays}: fab rollback --to {look.release} reverses it, a release that has it settles it"
        if database.pending:
            ids = ", ".join(database.pending)
            yield f"schema: {database.name} lacks {ids}, which {look.release} has; the next deploy applies it"


def _host(on: OnStage, fleet: Fleet) -> str | None:
    """The host that is asked: the one that migrates, where it can be reached."""
    wanted = on.stage.migrate_on
    hosts = [host for host in fleet.hosts if host in fleet.surveys]
    if wanted is not None:
        return wanted if wanted in hosts else None
    with_schema = [host for host in hosts if (live := fleet.surveys[host].live) is not None and live.schema]
    return next(iter(with_schema), None)


def _rows(database: Database, survey: HostSurvey) -> Iterator[tuple[Any, ...]]:
    heads = _heads(database.name, survey)
    applied = {step.id: step for step in database.applied}
    edited = set(database.edited)
    for step in database.migrations:
        known = applied.get(step.id)
        state = "pending" if known is None else "edited since it was applied" if step.id in edited else "applied"
        yield database.name, step.id, state, known.by if known else None, heads.get(step.id)
    for id in database.unknown:
        known = applied[id]
        state = f"applied, unknown here ({known.kept})" if known.kept else "applied, unknown here"
        yield database.name, id, state, known.by, heads.get(id)


def _heads(database: str, survey: HostSurvey) -> Mapping[str, list[str]]:
    """The releases on disk whose head each step is."""
    found: dict[str, list[str]] = {}
    for release in survey.releases:
        for id in release.schema.get(database) or ():
            found.setdefault(id, []).append(release.id)
    return found
