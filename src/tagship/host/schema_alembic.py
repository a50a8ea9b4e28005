"""The adapter for Alembic: its script directory and the project's own env.py. Runs in the release's Python."""

from __future__ import annotations

import ast
import io
import os
from typing import TYPE_CHECKING, Any, Callable, Optional

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationStep
from alembic.script import ScriptDirectory
from sqlalchemy import event
from sqlalchemy.engine import Engine

if TYPE_CHECKING:
    from tagship.host.schema_program import Session, Step
    from tagship.host.schema_tables import Query

_BUILDS = {
    "create_index": "an index is built while writes wait",
    "create_unique_constraint": "an index is built while all wait",
    "create_primary_key": "an index is built while all wait",
    "create_exclude_constraint": "an index is built while all wait",
    "create_check_constraint": "a constraint reads the whole table",
    "create_foreign_key": "a constraint reads the whole table",
}


class Adapter:
    """One Alembic environment, that is one database."""

    def __init__(self, item: dict[str, Any], session: Session) -> None:
        self._session = session
        self.bookkeeping = {"alembic_version"}
        self._database: str = item["name"]
        path = item.get("config") or "alembic.ini"
        if not os.path.isfile(path):
            raise session.Told("there is no {}".format(path), "mend `config` of `app.schema`")
        self._config = Config(path, ini_section=item.get("section") or "alembic")
        if item.get("url"):
            self._config.set_main_option("sqlalchemy.url", _url(item["url"], session).replace("%", "%%"))
        self._script = ScriptDirectory.from_config(self._config)
        self._partly = False
        event.listen(Engine, "engine_connect", self._settle)
        event.listen(Engine, "begin", _begin)

    def _settle(self, connection: Any, *_: Any) -> None:
        raw, vendor = connection.connection.dbapi_connection, connection.dialect.name
        if vendor == "sqlite":
            raw.isolation_level = None  # else the driver begins no transaction before DDL: see `_begin`
        cursor = raw.cursor()
        for statement in self._session.settings(vendor):
            cursor.execute(statement)
        cursor.close()
        raw.commit()

    def databases(self) -> list[str]:
        """The one."""
        return [self._database]

    def conflicts(self, database: str) -> list[str]:  # noqa: ARG002
        """Heads of one branch that nothing joins; branches with labels of their own may each have one."""
        heads = [self._script.get_revision(head) for head in self._script.get_heads()]
        plain = sorted(head.revision for head in heads if head is not None and not head.branch_labels)
        return ["{} heads: {}".format(len(plain), ", ".join(plain))] if len(plain) > 1 else []

    def steps(self, database: str) -> list[Step]:  # noqa: ARG002
        """Every revision, oldest first; what it does is read from its source, nothing of it is run."""
        return [self._step(revision) for revision in reversed(list(self._script.walk_revisions()))]

    def _step(self, revision: Any) -> Step:
        told = Reading(revision.path, self._session)
        return {
            "id": revision.revision,
            "digest": self._session.digest(revision.path),
            "parents": self._parents(revision),
            "atomic": told.atomic,
            "reversible": not told.why,
            "why": told.why,
            "drops": told.facts["drops"],
            "adds": told.facts["adds"],
            "locks": told.facts["locks"],
        }

    def _parents(self, revision: Any) -> list[str]:
        needed = [self._script.get_revision(one) for one in _tuple(revision.dependencies)]
        return sorted({*_tuple(revision.down_revision), *(one.revision for one in needed if one is not None)})

    def uses(self, database: str) -> Optional[list[list[str]]]:  # noqa: ARG002
        """The application's models aren't ours to know."""
        return None

    def squashed(self, database: str) -> dict[str, list[str]]:  # noqa: ARG002
        """None."""
        return {}

    def applied(self, database: str) -> list[str]:  # noqa: ARG002
        """The heads in the database and all below them; of a head that isn't in this code, itself alone."""
        heads: list[str] = []

        def note(found: Any, _context: Any) -> list[Any]:
            heads.extend(found)
            return []

        self._run(note)
        known = {revision.revision: revision for revision in self._script.walk_revisions()}
        below: set[str] = set()
        left = [head for head in heads if head in known]
        while left:
            one = left.pop()
            if one not in below:
                below.add(one)
                left += self._parents(known[one])
        return [one for one in reversed(list(known)) if one in below] + [one for one in heads if one not in known]

    def pending(self, database: str) -> list[str]:
        """Whatever of the code isn't applied."""
        applied = set(self.applied(database))
        return [one["id"] for one in self.steps(database) if one["id"] not in applied]

    def begin(self, database: str, steps: list[str]) -> None:
        """Alembic has nothing to be told."""

    def finish(self, database: str, steps: list[str]) -> None:
        """Nor then."""

    def up(self, database: str, step: str) -> None:  # noqa: ARG002
        """Apply one."""
        self._move(step, MigrationStep.upgrade_from_script)

    def down(self, database: str, step: str) -> None:  # noqa: ARG002
        """Reverse one."""
        self._move(step, MigrationStep.downgrade_from_script)

    def _move(self, step: str, make: Callable[[Any, Any], Any]) -> None:
        revision = self._script.get_revision(step)
        contexts: list[Any] = []

        def plan(_heads: Any, context: Any) -> list[Any]:
            contexts.append(context)
            return [make(self._script.revision_map, revision)]

        try:
            self._run(plan, transactional_ddl=True if _is_sqlite(self._config) else None)
        except Exception as error:
            atomic = Reading(revision.path, self._session).atomic if revision is not None else True
            if contexts and not (atomic and contexts[0].impl.transactional_ddl):
                import traceback

                traceback.print_exc()
                line = (str(error).strip().splitlines() or [""])[0]
                what = "{}: {}".format(type(error).__name__, line)
                raise self._session.Told(what, partly=True) from error
            raise

    def _run(self, work: Callable[[Any, Any], Any], **options: Any) -> None:
        """Have env.py connect and run `work` in the place of its migrations."""
        given = {name: value for name, value in options.items() if value is not None}
        with EnvironmentContext(self._config, self._script, fn=work, **given):
            self._script.run_env()

    def sql(self, database: str, step: str, down: bool) -> str:  # noqa: ARG002
        """What env.py's offline mode writes."""
        revision: Any = self._script.get_revision(step)
        make = MigrationStep.downgrade_from_script if down else MigrationStep.upgrade_from_script
        starts = [step] if down else list(_tuple(revision.down_revision))
        said = io.StringIO()
        before, self._config.output_buffer = self._config.output_buffer, said
        try:
            self._run(
                lambda _heads, _context: [make(self._script.revision_map, revision)],
                as_sql=True,
                starting_rev=starts if len(starts) > 1 else (starts or ["base"])[0],
            )
        finally:
            self._config.output_buffer = before
        return said.getvalue().strip()

    def lost(self, database: str, step: str) -> list[tuple[str, Any, Any]]:  # noqa: ARG002
        """What its source says it adds; defaults are the database's own."""
        told = Reading(self._script.get_revision(step).path, self._session)
        return [(table, column, None) for table, column in told.facts["adds"]]

    def look(self, database: str, work: Callable[[str, Query], Any]) -> Any:  # noqa: ARG002
        """By the connection that env.py makes, before it migrates anything."""
        found: list[Any] = []

        def inside(_heads: Any, context: Any) -> list[Any]:
            connection = context.connection
            self.bookkeeping.add(context.version_table)
            found.append(
                work(connection.dialect.name, lambda sql: [tuple(row) for row in connection.exec_driver_sql(sql)])
            )
            return []

        self._run(inside)
        return found[0]


class Reading:
    """What a revision's source says it does: calls of `op`, and SQL in `op.execute`. What is computed goes unseen."""

    def __init__(self, path: str, session: Session) -> None:
        self._session = session
        self.facts: dict[str, list[list[Any]]] = {"drops": [], "adds": [], "locks": []}
        self.atomic = True
        with open(path, encoding="utf-8") as file:
            module = ast.parse(file.read())
        functions = {node.name: node for node in module.body if isinstance(node, ast.FunctionDef)}
        up, down = functions.get("upgrade"), functions.get("downgrade")
        self.why = _no_way_back(up, down)
        self._batches: dict[str, str] = {}
        for node in ast.walk(up) if up is not None else ():
            if isinstance(node, ast.With):
                self._read_with(node)
        for node in ast.walk(up) if up is not None else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                self._read_call(node, node.func)

    def _read_with(self, node: ast.With) -> None:
        for item in node.items:
            call, name = item.context_expr, item.optional_vars
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and isinstance(name, ast.Name):
                table = _text(call.args[:1])
                if call.func.attr == "batch_alter_table" and table:
                    self._batches[name.id] = table

    def _read_call(self, node: ast.Call, func: ast.Attribute) -> None:
        words = {word.arg: word.value for word in node.keywords}
        if func.attr == "autocommit_block":
            self.atomic = False
        if not isinstance(func.value, ast.Name):
            return
        batch = self._batches.get(func.value.id)
        if batch is None and func.value.id != "op":
            return
        args = node.args if batch is None else [ast.Constant(batch), *node.args]
        if func.attr in (
            "create_index",
            "create_unique_constraint",
            "create_check_constraint",
            "create_foreign_key",
            "create_primary_key",
            "create_exclude_constraint",
        ):  # their first is a name of their own
            args = args[1:] if batch is None else args
        table, second = _text(args[:1]) or _text_of(words.get("table_name")), args[1:2]
        if table is not None and func.attr not in ("execute", "f"):
            self._read_op(func.attr, table, second, words)
        if func.attr == "execute":
            self._read_sql(args)

    def _read_op(self, name: str, table: str, second: list[Any], words: dict[Any, Any]) -> None:
        facts = self.facts
        if name == "create_table":
            facts["adds"].append([table, None])
        elif name in ("drop_table", "rename_table"):
            facts["drops"].append([table, None])
        elif name == "add_column" and second and isinstance(second[0], ast.Call):
            facts["adds"].append([table, _text(second[0].args[:1])])
        elif name == "drop_column":
            facts["drops"].append([table, _text(second)])
        elif name == "alter_column":
            if "new_column_name" in words:
                facts["drops"].append([table, _text(second)])
            if _constant(words.get("nullable")) is False:
                facts["locks"].append([table, "NOT NULL reads the whole table"])
            if "type_" in words:
                facts["locks"].append([table, "another type writes the whole table anew"])
        elif name in _BUILDS and _constant(words.get("postgresql_concurrently")) is not True:
            facts["locks"].append([table, _BUILDS[name]])

    def _read_sql(self, args: list[Any]) -> None:
        one = args[0] if args else None
        if isinstance(one, ast.Call):  # text("...")
            one = one.args[0] if one.args else None
        text = _text_of(one)
        for kind, rows in self._session.facts_of(text).items() if text else ():
            self.facts[kind] += rows


def _no_way_back(up: Optional[ast.FunctionDef], down: Optional[ast.FunctionDef]) -> str:
    """Why it can't be reversed; empty where it can."""
    if down is None:
        return "it has no downgrade()"
    for node in down.body:
        raised = node.exc if isinstance(node, ast.Raise) else None
        name = raised.func if isinstance(raised, ast.Call) else raised
        if isinstance(name, ast.Name) and name.id == "NotImplementedError":
            return "downgrade() raises NotImplementedError"
    if _is_empty(down) and up is not None and not _is_empty(up):
        return "downgrade() does nothing, and upgrade() does something"
    return ""


def _is_empty(function: ast.FunctionDef) -> bool:
    return all(
        isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in function.body
    )


def _constant(node: Any) -> Any:
    return node.value if isinstance(node, ast.Constant) else None


def _text_of(node: Any) -> Optional[str]:
    found = _constant(node)
    return found if isinstance(found, str) else None


def _text(nodes: list[Any]) -> Optional[str]:
    return _text_of(nodes[0]) if nodes else None


def _tuple(value: Any) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)


def _url(name: str, session: Session) -> str:
    found = os.environ.get(name)
    if not found:
        raise session.Told("the environment has no {}".format(name), "`fab env set {}=...`".format(name))
    return found


def _is_sqlite(config: Config) -> bool:
    return (config.get_main_option("sqlalchemy.url") or "").startswith("sqlite")


def _begin(connection: Any) -> None:
    """On SQLite, a transaction that holds DDL too, so that a step that fails leaves nothing."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN")
