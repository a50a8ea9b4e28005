"""The adapter for Django: its own loader and executor, one migration at a time. Runs in the release's Python."""

from __future__ import annotations

import inspect
import os
from typing import TYPE_CHECKING, Any, Callable, Optional

import django
from django.apps import apps
from django.core.management.sql import emit_post_migrate_signal, emit_pre_migrate_signal
from django.db import connections, router
from django.db.backends.signals import connection_created
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import ProjectState

if TYPE_CHECKING:
    from tagship.host.schema_operations import Reading  # its text stands before this one
    from tagship.host.schema_program import Session, Step
    from tagship.host.schema_tables import Query


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

    def uses(self, database: str) -> Optional[list[list[str]]]:
        """Columns of the models as the code has them, whatever migrations say: a field that it forgot is gone."""
        found: set[tuple[str, str]] = set()
        for model in apps.get_models(include_auto_created=True):
            if router.allow_migrate_model(database, model):
                found.update((model._meta.db_table, field.column) for field in model._meta.local_concrete_fields)
        return [list(one) for one in sorted(found)]

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
