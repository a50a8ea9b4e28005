"""What operations of Django drop, add and lock, and which have no way back. Runs in the release's Python.

Its text stands before that of `schema_django`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterator, Optional

from django.db import connections, router
from django.db.migrations import operations as ops
from django.db.migrations.state import ProjectState
from django.db.models import NOT_PROVIDED

if TYPE_CHECKING:
    from tagship.host.schema_program import Session

_CONCURRENT = ("AddIndexConcurrently", "RemoveIndexConcurrently", "AddConstraintNotValid")
_BUILDS = {
    "AddIndex": "an index is built while writes wait",
    "AlterUniqueTogether": "an index is built while writes wait",
    "AlterIndexTogether": "an index is built while writes wait",
    "AddConstraint": "a constraint reads the whole table",
    "ValidateConstraint": "a constraint reads the whole table",
}


class Reading:
    """What the operations of one migration do, read against the state before each, which it moves on."""

    def __init__(self, database: str, app: str, state: ProjectState, session: Session) -> None:
        self._database = database
        self._app = app
        self._state = state
        self._session = session
        self.why = ""
        """The first reason for which it can't be reversed."""
        self.facts: dict[str, list[list[Any]]] = {"drops": [], "adds": [], "locks": []}
        self.defaults: dict[tuple[str, str], Any] = {}

    def read_all(self, migration: Any) -> Reading:
        """Take in all of a migration's operations; gives itself."""
        for operation in migration.operations:
            self.read(operation)
        return self

    def read(self, operation: Any) -> None:
        """Take in one operation, and move the state on."""
        if isinstance(operation, ops.SeparateDatabaseAndState):
            inner = Reading(self._database, self._app, self._state.clone(), self._session)
            for one in operation.database_operations:
                inner.read(one)
            self.why = self.why or inner.why
            self.defaults.update(inner.defaults)
            for kind, rows in inner.facts.items():
                self.facts[kind] += rows
        elif self._allowed(operation):
            reader = getattr(self, "_read_" + type(operation).__name__, None)
            for base in type(operation).__mro__[1:]:  # of an operation of the project's own
                reader = reader or getattr(self, "_read_" + base.__name__, None)
            if reader is not None:
                reader(operation)
            self._builds(operation)
        if not operation.reversible and not self.why:  # Django asks before it asks the routers
            self.why = "{} has no way back".format(operation.describe())
        operation.state_forwards(self._app, self._state)

    def _allowed(self, operation: Any) -> bool:
        """Routers say which database gets which model."""
        name = getattr(operation, "model_name_lower", None) or getattr(operation, "name_lower", None)
        hints = getattr(operation, "hints", None) or {}
        known = (self._app, name) in self._state.models or isinstance(operation, ops.CreateModel)
        model = name if known else None
        if model is None:
            return bool(router.allow_migrate(self._database, self._app, **hints))
        return bool(router.allow_migrate(self._database, self._app, model_name=model, **hints))

    def _builds(self, operation: Any) -> None:
        names = [base.__name__ for base in type(operation).__mro__]  # its own, and those of what it is made from
        line = next((_BUILDS[name] for name in names if name in _BUILDS), None)
        if line is not None and not set(names).intersection(_CONCURRENT):
            table = self._table(getattr(operation, "model_name", None) or operation.name)
            self.facts["locks"] += [[table, line]] if table else []

    def _table(self, model: str) -> Optional[str]:
        """Where the rows of a model are; `None` for proxies and what Django doesn't manage."""
        found = self._state.models.get((self._app, model.lower()))
        return None if found is None else _table_of(self._app, found.name, found.options)

    def _fields(self, table: str, fields: Any) -> Iterator[tuple[str, Optional[str], Any]]:
        """`(table, column, field)` of each: of a many-to-many one, the table between, if that is Django's own."""
        for name, field in fields:
            if field.many_to_many:
                if not _through(field):
                    yield field.db_table or "{}_{}".format(table, name), None, field
                continue
            column = _column(name, field)
            if column:
                yield table, column, field

    def _field(self, operation: Any) -> Any:
        return self._state.models[self._app, operation.model_name_lower].fields[operation.name]

    def _read_CreateModel(self, operation: Any) -> None:
        table = _table_of(self._app, operation.name, operation.options)
        if table:
            self.facts["adds"].append([table, None])
            inner = self._fields(table, operation.fields)
            self.facts["adds"] += [[other, None] for other, column, _ in inner if column is None]

    def _read_DeleteModel(self, operation: Any) -> None:
        table = self._table(operation.name)
        if table:
            model = self._state.models[self._app, operation.name_lower]
            inner = self._fields(table, model.fields.items())
            self.facts["drops"] += [[table, None], *([other, None] for other, column, _ in inner if column is None)]

    def _read_AddField(self, operation: Any) -> None:
        table = self._table(operation.model_name)
        for place, column, field in self._fields(table, [(operation.name, operation.field)]) if table else ():
            self.facts["adds"].append([place, column])
            if column is not None and field.has_default() and not callable(field.default):
                self.defaults[place, column] = _plain(field.default)
            if column is not None and (field.unique or field.db_index):
                self.facts["locks"].append([place, "an index is built while writes wait"])

    def _read_RemoveField(self, operation: Any) -> None:
        table = self._table(operation.model_name)
        for place, column, field in self._fields(table, [(operation.name, self._field(operation))]) if table else ():
            self.facts["drops"].append([place, column])
            defaults = field.has_default() or getattr(field, "db_default", NOT_PROVIDED) is not NOT_PROVIDED
            if column is not None and not field.null and not _fills(field, defaults):
                self.why = self.why or "{}.{} was NOT NULL without a default: no row could take it back".format(
                    place, column
                )

    def _read_AlterField(self, operation: Any) -> None:
        table, old, new = self._table(operation.model_name), self._field(operation), operation.field
        if table is None or old.many_to_many or new.many_to_many:
            return
        before, after = _column(operation.name, old), _column(operation.name, new)
        if before and before != after:
            self.facts["drops"].append([table, before])
        if old.null and not new.null:
            self.facts["locks"].append([table, "NOT NULL reads the whole table"])
        if (new.unique or new.db_index) and not (old.unique or old.db_index):
            self.facts["locks"].append([table, "an index is built while writes wait"])
        if _rewrites(old, new, connections[self._database]):
            self.facts["locks"].append([table, "another type writes the whole table anew"])

    def _read_RenameField(self, operation: Any) -> None:
        table = self._table(operation.model_name)
        found = self._state.models[self._app, operation.model_name_lower].fields[operation.old_name]
        column = None if found.many_to_many else _column(operation.old_name, found)
        if table and column and column != _column(operation.new_name, found):
            self.facts["drops"].append([table, column])

    def _read_RenameModel(self, operation: Any) -> None:
        table = self._table(operation.old_name)
        options = self._state.models[self._app, operation.old_name_lower].options
        if table and table != _table_of(self._app, operation.new_name, options):
            self.facts["drops"].append([table, None])

    def _read_AlterModelTable(self, operation: Any) -> None:
        table = self._table(operation.name)
        new = operation.table or "{}_{}".format(self._app, operation.name_lower)
        if table and table != new:
            self.facts["drops"].append([table, None])

    def _read_RunSQL(self, operation: Any) -> None:
        statements = operation.sql if isinstance(operation.sql, (list, tuple)) else [operation.sql]
        text = ";\n".join(one if isinstance(one, str) else one[0] for one in statements)
        for kind, rows in self._session.facts_of(text).items():
            self.facts[kind] += rows
        if not operation.reversible:
            self.why = self.why or "RunSQL without `reverse_sql`"

    def _read_RunPython(self, operation: Any) -> None:
        if not operation.reversible:
            self.why = self.why or "RunPython({}) without `reverse_code`".format(
                getattr(operation.code, "__name__", "...")
            )


def _table_of(app: str, model: str, options: dict[str, Any]) -> Optional[str]:
    if options.get("proxy") or options.get("managed") is False or options.get("abstract"):
        return None
    return str(options.get("db_table") or "{}_{}".format(app, model.lower())).strip('"')


def _through(field: Any) -> bool:
    through = getattr(field.remote_field, "through", None)
    return through is not None and not getattr(getattr(through, "_meta", None), "auto_created", False)


def _column(name: str, field: Any) -> Optional[str]:
    bound = field.clone()
    bound.set_attributes_from_name(name)
    found: Optional[str] = bound.column
    return found


def _fills(field: Any, has_default: bool) -> bool:
    """Whether Django has something to put into the rows that are there."""
    return bool(has_default or (field.blank and field.empty_strings_allowed) or field.primary_key)


def _plain(value: Any) -> Any:
    """A default that SQL can compare with; text for what isn't a number."""
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _rewrites(old: Any, new: Any, connection: Any) -> bool:
    """Whether the type differs in more than a longer text; the types of relations aren't known here."""
    if old.is_relation or new.is_relation:
        return False
    before, after = old.db_type(connection), new.db_type(connection)
    if before == after or after is None or before is None:
        return False
    grows = str(before).startswith("varchar(") and (
        after == "text" or (str(after).startswith("varchar(") and (new.max_length or 0) >= (old.max_length or 0))
    )
    return not grows
