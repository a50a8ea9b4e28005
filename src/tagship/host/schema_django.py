"""The adapter for Django: its own loader and executor, one migration at a time. Runs in the release's Python."""

from __future__ import annotations

import inspect
import os
from typing import TYPE_CHECKING, Any, Callable, Iterator, Optional

import django
from django.apps import apps
from django.core.management.sql import emit_post_migrate_signal, emit_pre_migrate_signal
from django.db import connections, router
from django.db.backends.signals import connection_created
from django.db.migrations import operations as ops
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import ProjectState
from django.db.models import NOT_PROVIDED

if TYPE_CHECKING:
    from tagship.host.schema_program import Query, Session, Step

Key = "tuple[str, str]"
Facts = "dict[str, list[list[Any]]]"

_CONCURRENT = ("AddIndexConcurrently", "RemoveIndexConcurrently", "AddConstraintNotValid")
_BUILDS = {
    "AddIndex": "an index is built while writes wait",
    "AlterUniqueTogether": "an index is built while writes wait",
    "AlterIndexTogether": "an index is built while writes wait",
    "AddConstraint": "a constraint reads the whole table",
    "ValidateConstraint": "a constraint reads the whole table",
}


class Adapter:
    """The databases of one Django project."""

    def __init__(self, item: dict[str, Any], session: Session) -> None:
        self._session = session
        self.bookkeeping = {"django_migrations"}
        if item.get("settings"):
            os.environ["DJANGO_SETTINGS_MODULE"] = item["settings"]
        if not os.environ.get("DJANGO_SETTINGS_MODULE"):
            raise session.Told(
                "nothing tells Django its settings",
                "give `app.schema` its `settings`, or the application's environment DJANGO_SETTINGS_MODULE",
            )
        django.setup()
        self._aliases = self._chosen(item.get("databases"))
        self._loader = MigrationLoader(None, ignore_no_migrations=True)
        self._plan = self._full_plan(self._loader)
        self._executors: dict[str, MigrationExecutor] = {}
        self._states: dict[str, Any] = {}
        connection_created.connect(self._settle, weak=False)

    def _chosen(self, databases: Optional[list[str]]) -> list[str]:
        """Those asked for, or all but mirrors, which have their schema from another."""
        known = {name: connections[name].settings_dict for name in connections}
        for name in databases or ():
            if name not in known:
                raise self._session.Told(
                    "DATABASES has no `{}`".format(name),
                    "mend `databases` of `app.schema`: {}".format(", ".join(known)),
                )
        real = [name for name, found in known.items() if not (found.get("TEST") or {}).get("MIRROR")]
        return list(databases or (name for name in real if connections[name].vendor != "unknown"))

    def _settle(self, sender: Any, connection: Any, **_: Any) -> None:  # noqa: ARG002
        settings = self._session.settings(connection.vendor)
        if settings:
            with connection.cursor() as cursor:
                for statement in settings:
                    cursor.execute(statement)

    @staticmethod
    def _full_plan(loader: MigrationLoader) -> list[Any]:
        plan: dict[Any, None] = {}
        for leaf in loader.graph.leaf_nodes():
            plan.update(dict.fromkeys(loader.graph.forwards_plan(leaf)))
        return list(plan)

    def databases(self) -> list[str]:
        """Aliases of DATABASES."""
        return self._aliases

    def conflicts(self, database: str) -> list[str]:  # noqa: ARG002
        """Apps of which two migrations are the last."""
        found = self._loader.detect_conflicts().items()
        return ["{} has {} heads: {}".format(app, len(names), ", ".join(sorted(names))) for app, names in found]

    def steps(self, database: str) -> list[Step]:
        """Every migration, in Django's own order; what it drops and adds follows from the state before it."""
        state = ProjectState(real_apps=self._loader.unmigrated_apps)
        found: list[Step] = []
        for key in self._plan:
            migration = self._loader.graph.nodes[key]
            parents = [self._name(parent.key) for parent in sorted(self._loader.graph.node_map[key].parents)]
            parts = self._parts(database, migration, state, parents)
            told = Reading(database, migration.app_label, state, self._session).read_all(migration)
            parents += [parts[-1]["id"]] if parts else []
            found += [*parts, self._step(migration, parents, told)]
        return found

    def _parts(self, database: str, squashed: Any, state: ProjectState, parents: list[str]) -> list[Step]:
        """What a squashed migration replaces. That is what the database remembers, so each is a step of its own."""
        state = state.clone() if squashed.replaces else state
        found: list[Step] = []
        for key in squashed.replaces:
            migration = self._loader.disk_migrations.get(tuple(key))
            above = [found[-1]["id"]] if found else parents
            if migration is not None:
                told = Reading(database, migration.app_label, state, self._session).read_all(migration)
                found.append(self._step(migration, above, told))
            else:
                why = "its file is gone, it was squashed into {}".format(squashed.name)
                gone: Any = {"drops": [], "adds": [], "locks": [], "digest": "", "atomic": True, "reversible": False}
                gone.update(id=self._name(key), parents=above, why=why)
                found.append(gone)
        return found

    def _step(self, migration: Any, parents: list[str], told: Reading) -> Step:
        return {
            "id": self._name((migration.app_label, migration.name)),
            "digest": self._session.digest(inspect.getsourcefile(type(migration)) or ""),
            "parents": parents,
            "atomic": bool(migration.atomic),
            "reversible": not told.why,
            "why": told.why,
            "drops": told.facts["drops"],
            "adds": told.facts["adds"],
            "locks": told.facts["locks"],
        }

    @staticmethod
    def _name(key: Any) -> str:
        return "{}.{}".format(*key)

    def squashed(self, database: str) -> dict[str, list[str]]:  # noqa: ARG002
        """Migrations with `replaces`."""
        found = self._loader.replacements.items()
        return {self._name(key): [self._name(part) for part in one.replaces] for key, one in found}

    def applied(self, database: str) -> list[str]:
        """What the table of migrations has, but for squashed ones whose parts it has too: going back, parts count."""
        recorder = MigrationRecorder(connections[database])
        if not recorder.has_table():
            return []
        rows = [(row.app, row.name) for row in recorder.migration_qs.order_by("id")]
        stand_ins = {key for key, one in self._loader.replacements.items() if set(one.replaces) <= set(rows)}
        return [self._name(key) for key in rows if key not in stand_ins]

    def pending(self, database: str) -> list[str]:
        """What Django itself would apply."""
        executor = MigrationExecutor(connections[database])
        executor.loader.check_consistent_history(connections[database])
        return [
            self._name(one.key if hasattr(one, "key") else (one.app_label, one.name))
            for one, _ in executor.migration_plan(executor.loader.graph.leaf_nodes())
        ]

    def _executor(self, database: str, step: str) -> tuple[MigrationExecutor, Any]:
        """With the migration named; one that a squashed one replaces is found with replacements off."""
        executor = self._executors.get(database)
        if executor is None:
            executor = self._executors[database] = MigrationExecutor(connections[database])
        app, _, name = step.partition(".")
        if (app, name) not in executor.loader.graph.nodes:
            executor.loader.replace_migrations = False
            executor.loader.build_graph()
            self._states.pop(database, None)
        if (app, name) not in executor.loader.graph.nodes:
            raise self._session.Told("this code has no migration {}".format(step), "")
        return executor, executor.loader.graph.nodes[app, name]

    def begin(self, database: str, steps: list[str]) -> None:
        """Tell the project's own receivers, as `migrate` does."""
        executor, _ = self._executor(database, steps[0])
        plan = [(self._executor(database, step)[1], False) for step in steps]
        emit_pre_migrate_signal(0, False, database, apps=executor.loader.project_state().apps, plan=plan)

    def finish(self, database: str, steps: list[str]) -> None:
        """Tell them again: content types and permissions are made then."""
        plan = [(self._executor(database, step)[1], False) for step in steps]
        emit_post_migrate_signal(0, False, database, apps=apps, plan=plan)

    def up(self, database: str, step: str) -> None:
        """Apply one."""
        executor, migration = self._executor(database, step)
        with self._watched(database, migration, "database_forwards"):
            self._states[database] = executor.migrate([], plan=[(migration, False)], state=self._states.get(database))
        executor.loader.applied_migrations[migration.app_label, migration.name] = migration

    def down(self, database: str, step: str) -> None:
        """Reverse one."""
        executor, migration = self._executor(database, step)
        self._states.pop(database, None)
        with self._watched(database, migration, "database_backwards"):
            executor.migrate([], plan=[(migration, True)])
        executor.loader.applied_migrations.pop((migration.app_label, migration.name), None)

    def _watched(self, database: str, migration: Any, method: str) -> Watch:
        connection = connections[database]
        whole = migration.atomic and connection.features.can_rollback_ddl
        return Watch(migration, method, whole, self._session.Told)

    def sql(self, database: str, step: str, down: bool) -> str:
        """What the schema editor collects instead of sending it."""
        loader = self._executor(database, step)[0].loader
        app, _, name = step.partition(".")
        return "\n".join(loader.collect_sql([(loader.graph.nodes[app, name], down)]))

    def lost(self, database: str, step: str) -> list[tuple[str, Any, Any]]:
        """What it adds; Django drops a column's default once it has filled it, so only the code knows that."""
        state = ProjectState(real_apps=self._loader.unmigrated_apps)
        for key in self._plan:
            migration = self._loader.graph.nodes[key]
            readings = {}
            inner = state.clone() if migration.replaces else state
            for part in migration.replaces:
                one = self._loader.disk_migrations.get(tuple(part))
                if one is not None:
                    readings[self._name(part)] = Reading(database, one.app_label, inner, self._session).read_all(one)
            readings[self._name(key)] = Reading(database, key[0], state, self._session).read_all(migration)
            if step in readings:
                told = readings[step]
                return [(table, column, told.defaults.get((table, column))) for table, column in told.facts["adds"]]
        return []

    def look(self, database: str, work: Callable[[str, Query], Any]) -> Any:
        """By Django's own connection."""
        connection = connections[database]

        def query(sql: str) -> list[tuple[Any, ...]]:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall())

        return work(connection.vendor, query)


class Watch:
    """Around one migration: notes which of its operations were done, for where they can't be taken back together."""

    def __init__(self, migration: Any, method: str, whole: bool, told: type[Exception]) -> None:
        self._operations = migration.operations
        self._method = method
        self._whole = whole
        self._told = told
        self._done: list[str] = []

    def __enter__(self) -> None:
        for operation in () if self._whole else self._operations:
            setattr(operation, self._method, self._noted(operation, getattr(operation, self._method)))

    def _noted(self, operation: Any, act: Callable[..., None]) -> Callable[..., None]:
        def noted(*args: Any, **more: Any) -> None:
            act(*args, **more)
            self._done.append(operation.describe())

        return noted

    def __exit__(self, kind: Any, error: Optional[BaseException], trace: Any) -> None:
        for operation in () if self._whole else self._operations:
            operation.__dict__.pop(self._method, None)
        if error is None or self._whole:
            return
        import traceback

        traceback.print_exception(kind, error, trace)
        line = (str(error).strip().splitlines() or [""])[0]
        what = "{}: {}".format(type(error).__name__, line)
        raise self._told(what, partly=True, done=self._done, of=len(self._operations)) from error  # type: ignore[call-arg]


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
