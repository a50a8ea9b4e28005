"""The adapter for plain SQL files, in yoyo's format and by its library. Runs in the release's Python.

`0003.votes.sql` goes up, `0003.votes.rollback.sql` down; `-- depends: 0002.polls` and `-- transactional: false` are
read from the first lines. yoyo itself applies on one connection and remembers on another; here both are one
transaction, so that a kill between the two can't part them.
"""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING, Any, Callable, Optional

from yoyo import read_migrations
from yoyo.backends import get_backend_class
from yoyo.connections import parse_uri
from yoyo.migrations import default_migration_table, topological_sort

if TYPE_CHECKING:
    from tagship.host.schema_program import Session, Step
    from tagship.host.schema_tables import Query

_BACK = ".rollback.sql"


class Adapter:
    """One folder of files, and one database."""

    def __init__(self, item: dict[str, Any], session: Session) -> None:
        self._session = session
        self.bookkeeping = {default_migration_table, "_yoyo_log", "_yoyo_version", "yoyo_lock"}
        self._database: str = item["name"]
        self._variable: str = item.get("url") or ""
        folder = item["folder"]
        if not os.path.isdir(folder):
            raise session.Told("there is no folder {}".format(folder), "mend `folder` of `app.schema`")
        self._migrations = read_migrations(folder)
        for migration in self._migrations:
            if not migration.path.endswith(".sql"):
                raise session.Told("{} is no SQL".format(migration.path), "take it out of {}".format(folder))
            migration.load()
        self._known = {migration.id: migration for migration in topological_sort(list(self._migrations))}
        self._backend: Any = None

    def _open(self) -> Any:
        """A connection that lasts as long as we do, and holds no transaction between two questions."""
        if self._backend is None:
            url = os.environ.get(self._variable)
            if not url:
                raise self._session.Told(
                    "the environment has no {}".format(self._variable), "`fab env set {}=...`".format(self._variable)
                )
            place = parse_uri(_driven(url))
            # Not yoyo's get_backend: that makes tables, and who only looks changes nothing.
            backend = get_backend_class(place.scheme)(place, default_migration_table)
            for statement in self._session.settings(_vendor(backend)):
                backend.execute(statement)
            backend.__enter__()  # where the driver needs to be told how to store times
            self._backend = backend
        return self._backend

    def databases(self) -> list[str]:
        """The one."""
        return [self._database]

    def conflicts(self, database: str) -> list[str]:  # noqa: ARG002
        """Files need no common head: those without `depends` go by their names."""
        return []

    def steps(self, database: str) -> list[Step]:  # noqa: ARG002
        """Every file, in order. One that names nothing it depends on comes after the one before it."""
        found: list[Step] = []
        for migration in self._known.values():
            parents = sorted(one.id for one in migration.depends) or [one["id"] for one in found[-1:]]
            found.append(self._step(migration, parents))
        return found

    def _step(self, migration: Any, parents: list[str]) -> Step:
        facts = self._session.facts_of(_read(migration.path))
        back = _back(migration.path)
        return {
            "id": migration.id,
            "digest": self._session.digest(migration.path),
            "parents": parents,
            "atomic": bool(migration.use_transactions),
            "reversible": bool(_read(back).strip()),
            "why": "" if _read(back).strip() else "there is no {}".format(os.path.basename(back)),
            "drops": facts["drops"],
            "adds": facts["adds"],
            "locks": facts["locks"],
        }

    def uses(self, database: str) -> Optional[list[list[str]]]:  # noqa: ARG002
        """The application's models aren't ours to know."""
        return None

    def squashed(self, database: str) -> dict[str, list[str]]:  # noqa: ARG002
        """None."""
        return {}

    def applied(self, database: str) -> list[str]:  # noqa: ARG002
        """Names from yoyo's own table."""
        backend = self._open()
        if default_migration_table not in backend.list_tables():
            return []
        rows = "SELECT migration_id FROM {} ORDER BY applied_at_utc, migration_id"
        return [row[0] for row in backend.execute(rows.format(backend.migration_table_quoted)).fetchall()]

    def pending(self, database: str) -> list[str]:
        """Files that aren't applied."""
        applied = set(self.applied(database))
        return [name for name in self._known if name not in applied]

    def begin(self, database: str, steps: list[str]) -> None:
        """yoyo has nothing to be told."""

    def finish(self, database: str, steps: list[str]) -> None:
        """Nor then."""

    def up(self, database: str, step: str) -> None:  # noqa: ARG002
        """Apply one file and remember it."""
        self._move(step, "apply")

    def down(self, database: str, step: str) -> None:  # noqa: ARG002
        """Reverse one, by the file beside it, and forget it."""
        self._move(step, "rollback")

    def _move(self, step: str, direction: str) -> None:
        backend, migration = self._open(), self._known[step]
        if _vendor(backend) == "other":
            backend.init_database()  # it finds out whether DDL can be taken back
        backend.create_lock_table()
        backend.ensure_internal_schema_updated()
        mark = backend.mark_one if direction == "apply" else backend.unmark_one
        if migration.use_transactions:
            with backend.transaction():
                migration.process_steps(backend, direction)
                mark(migration, log=False)
        else:
            try:
                migration.process_steps(backend, direction)
            except Exception as error:
                import traceback

                traceback.print_exc()
                line = (str(error).strip().splitlines() or [""])[0]
                raise self._session.Told("{}: {}".format(type(error).__name__, line), partly=True) from error
            with backend.transaction():
                mark(migration, log=False)
        backend.log_migration(migration, direction)  # last: it asks for this host's name, which may take a while

    def sql(self, database: str, step: str, down: bool) -> str:  # noqa: ARG002
        """The file."""
        path = self._known[step].path
        return _read(_back(path) if down else path).strip()

    def lost(self, database: str, step: str) -> list[tuple[str, Any, Any]]:  # noqa: ARG002
        """What the file says it adds; defaults are the database's own."""
        facts = self._session.facts_of(_read(self._known[step].path))
        return [(table, column, None) for table, column in facts["adds"]]

    def look(self, database: str, work: Callable[[str, Query], Any]) -> Any:  # noqa: ARG002
        """By the same connection."""
        backend = self._open()

        def query(sql: str) -> list[tuple[Any, ...]]:
            cursor = backend.cursor()
            try:
                cursor.execute(sql)
                return [tuple(row) for row in cursor.fetchall()]
            finally:
                cursor.close()

        return work(_vendor(backend), query)


def _back(path: str) -> str:
    return os.path.splitext(path)[0] + _BACK


def _read(path: str) -> str:
    if not os.path.isfile(path):
        return ""
    with open(path, encoding="utf-8") as file:
        return file.read()


def _vendor(backend: Any) -> str:
    return {"psycopg2": "postgresql", "psycopg": "postgresql", "sqlite3": "sqlite"}.get(
        backend.driver_module, "other"
    )


def _driven(url: str) -> str:
    """The URL with the driver that the release has: yoyo itself takes psycopg2 unless told otherwise."""
    scheme, colon, rest = url.partition("://")
    if scheme in ("postgres", "postgresql"):
        scheme = "postgresql+psycopg" if importlib.util.find_spec("psycopg") is not None else "postgresql"
    return scheme + colon + rest
