"""What a host tells of the databases of a release, as values: the steps of its code, and which are applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tagship.errors import TagshipError

Pair = tuple[str, str]
"""A step of a database: the database's name and the step's id."""
Place = tuple[str, str | None]
"""A table and a column of it; `None`: the whole table."""


@dataclass(frozen=True)
class Size:
    """A table as it is now."""

    rows: int
    bytes: int


@dataclass(frozen=True)
class Migration:
    """One step of a database, as a release's code has it."""

    id: str
    digest: str
    parents: tuple[str, ...] = ()
    atomic: bool = True
    """It is done in one transaction: a failure leaves nothing of it."""
    reversible: bool = True
    why: str = ""
    """Why it isn't reversible."""
    drops: tuple[Place, ...] = ()
    """What going up drops."""
    adds: tuple[Place, ...] = ()
    """What going down drops."""
    locks: tuple[tuple[str, str], ...] = ()
    """Tables that going up may hold for long, each with what it does there."""


@dataclass(frozen=True)
class Applied:
    """One step that is in the database now."""

    id: str
    digest: str | None = None
    """Of its source when it was applied; `None`: nobody recorded it."""
    by: str | None = None
    """The release that applied it; `None`: something else did."""
    kept: str | None = None
    """Why it was left up on purpose, where it was."""


@dataclass(frozen=True)
class Database:
    """One database and what a release's code knows of it."""

    name: str
    kind: str
    heads: tuple[str, ...]
    """Steps of the code on which no other depends."""
    migrations: tuple[Migration, ...]
    """Steps of the code, parents first."""
    applied: tuple[Applied, ...] = ()
    pending: tuple[str, ...] = ()
    """Steps of the code that aren't applied, in the order in which they go up."""
    unknown: tuple[str, ...] = ()
    """Applied, and not of this code."""
    conflicts: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()
    """Steps whose source isn't what was applied."""
    sizes: Mapping[str, Size] = field(default_factory=dict)
    """Tables that pending steps lock."""
    partly: tuple[tuple[str, str], ...] = ()
    """Steps that failed outside of a transaction and were never finished, each with why."""
    uses: frozenset[Place] | None = None
    """The columns that the code's models read; `None`: its kind doesn't tell."""

    def migration(self, id: str) -> Migration | None:
        """The step with that id, if the code has it."""
        return next((step for step in self.migrations if step.id == id), None)

    def applied_step(self, id: str) -> Applied | None:
        """The applied step with that id, if it is applied."""
        return next((step for step in self.applied if step.id == id), None)


@dataclass(frozen=True)
class Look:
    """All databases of a release, as its code saw them at one moment."""

    release: str
    databases: tuple[Database, ...]

    @staticmethod
    def from_json(release: str, answer: Mapping[str, Any], *, host: str) -> Look:
        """Read an answer to `schema` or `heads`; raises `TagshipError` for one that docs/adr/0013 doesn't allow."""
        try:
            return Look(release, tuple(_database(row) for row in answer["databases"]))
        except (KeyError, TypeError, ValueError) as error:
            raise TagshipError(f"the schema's answer makes no sense ({error!r})", where=host) from error

    def database(self, name: str) -> Database | None:
        """The database called `name`, if the release has it."""
        return next((database for database in self.databases if database.name == name), None)

    @property
    def pending(self) -> tuple[Pair, ...]:
        """What goes up, database by database."""
        return tuple((database.name, id) for database in self.databases for id in database.pending)

    @property
    def drops(self) -> bool:
        """Something that is pending drops a table or a column."""
        steps = (database.migration(id) for database in self.databases for id in database.pending)
        return any(step is not None and step.drops for step in steps)

    @property
    def unknown(self) -> tuple[Pair, ...]:
        """What is applied and not of this code."""
        return tuple((database.name, id) for database in self.databases for id in database.unknown)

    @property
    def strange(self) -> tuple[Pair, ...]:
        """What is applied, not of this code, and not kept on purpose."""
        kept = {(d.name, step.id) for d in self.databases for step in d.applied if step.kept is not None}
        return tuple(pair for pair in self.unknown if pair not in kept)

    @property
    def is_the_applied_state(self) -> bool:
        """The code's heads are what is applied: no more and no less."""
        return not self.pending and not self.unknown


@dataclass(frozen=True)
class Loss:
    """What reversing a step would drop, counted now."""

    database: str
    step: str
    table: str
    column: str | None
    rows: int | None
    """`None`: they can't be counted."""

    @staticmethod
    def from_json(answer: Mapping[str, Any], *, host: str) -> tuple[Loss, ...]:
        """Read an answer to `loss`; raises `TagshipError`."""
        try:
            return tuple(
                Loss(
                    str(row["database"]),
                    str(row["step"]),
                    str(row["table"]),
                    None if row["column"] is None else str(row["column"]),
                    None if row["rows"] is None else int(row["rows"]),
                )
                for row in answer["loss"]
            )
        except (KeyError, TypeError, ValueError) as error:
            raise TagshipError(f"the answer of what would be lost makes no sense ({error!r})", where=host) from error

    @property
    def words(self) -> str:
        """`default: table polls_vote, 12 rows (polls.0003_votes)`."""
        what = f"table {self.table}" if self.column is None else f"column {self.table}.{self.column}"
        rows = "nobody knows how many rows" if self.rows is None else counted(self.rows)
        return f"{self.database}: {what}, {rows} ({self.step})"

    def row(self) -> dict[str, Any]:
        """The JSON form, which is also the answer's."""
        return {
            "database": self.database,
            "step": self.step,
            "table": self.table,
            "column": self.column,
            "rows": self.rows,
        }


def name_of(pair: Sequence[str]) -> str:
    """`DATABASE/ID`, how people are told of a step."""
    return f"{pair[0]}/{pair[1]}"


def counted(rows: int) -> str:
    """`1 row`, `12,000 rows`."""
    return f"{rows:,} row{'s' * (rows != 1)}"


def by_database(pairs: Sequence[Pair]) -> dict[str, list[str]]:
    """The ids of `pairs`, by database, in order."""
    found: dict[str, list[str]] = {}
    for database, id in pairs:
        found.setdefault(database, []).append(id)
    return found


def _database(row: Mapping[str, Any]) -> Database:
    return Database(
        name=str(row["name"]),
        kind=str(row["kind"]),
        heads=tuple(map(str, row["heads"])),
        migrations=tuple(_migration(step) for step in row["steps"]),
        applied=tuple(
            Applied(str(one["id"]), one.get("digest"), one.get("by"), one.get("kept"))
            for one in row.get("applied", ())
        ),
        pending=tuple(map(str, row.get("pending", ()))),
        unknown=tuple(map(str, row.get("unknown", ()))),
        conflicts=tuple(map(str, row.get("conflicts", ()))),
        edited=tuple(map(str, row.get("edited", ()))),
        uses=None if row.get("uses") is None else frozenset(_places(row["uses"])),
        partly=tuple((str(one["id"]), str(one.get("why") or "it failed")) for one in row.get("partly", ())),
        sizes={str(t): Size(int(s["rows"]), int(s["bytes"])) for t, s in (row.get("sizes") or {}).items()},
    )


def _migration(row: Mapping[str, Any]) -> Migration:
    return Migration(
        id=str(row["id"]),
        digest=str(row["digest"]),
        parents=tuple(map(str, row["parents"])),
        atomic=bool(row["atomic"]),
        reversible=bool(row["reversible"]),
        why=str(row.get("why") or ""),
        drops=_places(row.get("drops", ())),
        adds=_places(row.get("adds", ())),
        locks=tuple((str(table), str(line)) for table, line in row.get("locks", ())),
    )


def _places(rows: Sequence[Sequence[Any]]) -> tuple[Place, ...]:
    return tuple((str(table), None if column is None else str(column)) for table, column in rows)
