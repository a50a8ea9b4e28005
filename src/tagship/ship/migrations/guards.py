"""What stands against going up, and what one should know before: pure, from what the staged release's code saw."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from tagship.errors import Refused, TagshipError
from tagship.ship.migrations.descent import KEEP
from tagship.ship.migrations.schema import Database, Look, Migration, Pair, Place, counted, name_of

BIG = 100_000
"""Rows of a table that is worth naming even where nobody waits for it yet."""
IRREVERSIBLE = "irreversible"
_MEBI = 1024 * 1024


@dataclass(frozen=True)
class Warned:
    """One thing to know before an up: where, what, and what to do about it."""

    where: str
    what: str
    cure: str

    @property
    def words(self) -> str:
        """One sentence for people."""
        return f"{self.where}: {self.what}; {self.cure}"


def refuse_up(look: Look, host: str, *, settled: Collection[Pair] = ()) -> None:
    """Raise `Refused`, naming all reasons for which `look.release` can't go up; nothing if there is none.

    `settled` are applied steps of no code of this release that are reversed first, or stay on purpose: they stand
    against nothing.
    """
    reasons = [reason for database in look.databases for reason in _reasons(database, set(settled))]
    if len(reasons) == 1:
        (only,) = reasons
        raise Refused(only.what, where=f"{host}, {only.where}", cure=only.cure)
    if reasons:
        rows = [line for reason in reasons for line in str(reason).splitlines()]
        raise Refused(f"{len(reasons)} reasons stand against migrating", where=host, cure="see each below", tail=rows)


def warnings(look: Look, running: Look | None = None) -> tuple[Warned, ...]:
    """What is allowed, and should be known: long locks, steps with no way back, code that still uses what goes.

    What has no way back comes first. `running` is the code of the release that is current; `None`: nothing is, or
    nobody asked it.
    """
    found = [warned for database in look.databases for warned in _warnings(database, running)]
    return tuple(sorted(found, key=lambda warned: not warned.what.startswith(IRREVERSIBLE)))


def _reasons(database: Database, settled: set[Pair]) -> Iterator[TagshipError]:
    for line in database.conflicts:
        cure = "merge them into one head, commit, and tag that"
        yield Refused(line, where=database.name, cure=cure)
    for id in database.edited:
        applied = database.applied_step(id)
        by = f" by {applied.by}" if applied is not None and applied.by else ""
        yield Refused(
            f"its source was changed after it was applied{by}",
            where=name_of((database.name, id)),
            cure="put the file back as it was, and make the change in a step of its own",
        )
    for id in database.unknown:
        applied = database.applied_step(id)
        if (database.name, id) in settled or (applied is not None and applied.kept is not None):
            continue
        who = applied.by if applied is not None else None
        yield Refused(
            f"it is applied ({who or 'not by tagship'}), and the release has no such step",
            where=name_of((database.name, id)),
            cure=f"deploy a tag that has it; {KEEP} leaves it up on purpose"
            + ("; to go back to a release from before it: fab rollback --to TAG" if who else ""),
        )


def _warnings(database: Database, running: Look | None) -> Iterator[Warned]:
    for id in database.unknown:
        applied = database.applied_step(id)
        if applied is not None and applied.kept is not None:
            what = f"it stays up, and the release has no such step ({applied.kept})"
            yield Warned(name_of((database.name, id)), what, "it counts as settled once a release has it")
    for id, why in database.partly:
        what = f"a part of it may be done: {why}"
        yield Warned(name_of((database.name, id)), what, "see in the database what it had begun, and take that back")
    for id in database.pending:
        step = database.migration(id)
        if step is None:
            continue
        where = name_of((database.name, id))
        yield from (_lock(where, database, table, line) for table, line in step.locks)
        yield from _still_used(where, database, step, running)
        yield from _no_way_back(where, step)


def _still_used(where: str, database: Database, step: Migration, running: Look | None) -> Iterator[Warned]:
    """What the step drops of what the running release's models read; of what there is, where they don't tell."""
    known = running.database(database.name) if running is not None else None
    if running is not None and known is not None and known.uses is not None:
        who, does = running.release, "reads"
        tables = {table for table, _column in known.uses}
        used = [place for place in step.drops if place in known.uses or (place[1] is None and place[0] in tables)]
    else:
        who, does = "the release that runs now", "may still use"
        present = _present(database)
        used = [place for place in step.drops if present & {place, (place[0], None)}]
    if used:
        yield Warned(
            where,
            f"drops {', '.join(map(_place, used))}, which {who} {does} until it is drained",
            "drop what no running code knows any more: one release later than the code that forgets it",
        )


def _no_way_back(where: str, step: Migration) -> Iterator[Warned]:
    if not step.reversible:
        what = f"{IRREVERSIBLE}{f': {step.why}' if step.why else ''}"
        yield Warned(where, what, "a rollback to before it is refused, or keeps it (--keep-schema)")
    if not step.atomic:
        what = "not in one transaction: if it fails, what it did until then stays"
        yield Warned(where, what, "keep such a step to one statement")


def _lock(where: str, database: Database, table: str, line: str) -> Warned:
    size = database.sizes.get(table)
    known = "" if size is None else f" ({counted(size.rows)}, {max(1, size.bytes // _MEBI):,} MiB)"
    large = size is not None and size.rows >= BIG
    cure = "do it at a quiet hour, or in smaller steps" if large else "it is short while the table is small"
    return Warned(where, f"locks {table}{known}: {line}", cure)


def _present(database: Database) -> set[Place]:
    """Tables and columns that the applied steps of this code have made and not dropped again.

    A table stands for the columns that it was made with.
    """
    applied = {step.id for step in database.applied}
    found: set[Place] = set()
    for step in database.migrations:
        if step.id in applied:
            tables = {table for table, column in step.drops if column is None}
            found = {place for place in found if place not in step.drops and place[0] not in tables}
            found |= {*step.adds}
    return found


def _place(place: Place) -> str:
    table, column = place
    return f"table {table}" if column is None else f"{table}.{column}"
