"""What the release's own Python runs: one of the adapters, asked in JSON lines about one item of `schema`.

It is sent as text and imports nothing of ours, for the release may bring another tagship. What the application
prints goes where its stderr goes, to the command log; the answers alone have its stdout.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import types
from typing import Any, BinaryIO, Callable, Protocol, TypedDict

Query = Callable[[str], "list[tuple[Any, ...]]"]
"""Runs one statement without parameters, and gives its rows."""

BOOT = "import sys;f=sys.stdin.buffer;t=f.read(int(f.readline()));exec(compile(t,'<sent: schema>','exec'));run(f)"
"""Reads the length of this module's text, in a line, and the text; then `run`."""

_CATALOG = {
    "postgresql": (
        "SELECT CASE WHEN c.relnamespace = current_schema()::regnamespace THEN c.relname"
        " ELSE n.nspname || '.' || c.relname END, a.attname"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " WHERE c.relkind IN ('r', 'p') AND n.nspname <> 'information_schema' AND left(n.nspname, 3) <> 'pg_'"
    ),
    "sqlite": (
        "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c"
        " WHERE m.type = 'table' AND substr(m.name, 1, 7) <> 'sqlite_'"
    ),
}
"""Every table and column, by the database's own word."""
_DEFAULTS = {
    "postgresql": (
        "SELECT pg_get_expr(d.adbin, d.adrelid), format_type(a.atttypid, a.atttypmod) FROM pg_attribute a"
        " LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum"
        " WHERE a.attrelid = to_regclass({table}) AND a.attname = {column}"
    ),
    "sqlite": "SELECT dflt_value, type FROM pragma_table_info({table}) WHERE name = {column}",
}
"""A column's default and type."""
_CONSTANT = re.compile(r"(?:-?[0-9.]+|'(?:[^']|'')*'|true|false)(?:::[a-z ]+(?:\([0-9,]+\))?(?:\[\])?)?\Z", re.I)
_OFTEN = 0.05  # seconds


class Step(TypedDict):
    """One migration of one database, as docs/adr/0013 has it."""

    id: str
    digest: str
    parents: list[str]
    atomic: bool
    reversible: bool
    why: str
    drops: list[list[Any]]
    adds: list[list[Any]]
    locks: list[list[str]]


class Told(Exception):
    """What an adapter has to say instead of an answer: what is wrong, what to do, and facts for programs."""

    def __init__(self, what: str, cure: str = "", **data: Any) -> None:
        super().__init__(what)
        self.cure = cure
        self.data = data


class Session(Protocol):
    """What adapters are given beside their item."""

    Told: type[Told]
    name: str
    """What its sessions in the database are called."""

    def settings(self, vendor: str) -> list[str]:
        """Statements that every new session of that kind of database begins with."""

    def facts_of(self, sql: str) -> dict[str, list[list[Any]]]:
        """`drops`, `adds` and `locks` of SQL text, as far as it can be read."""

    def digest(self, path: str) -> str:
        """SHA-256 of a file."""


class Adapter(Protocol):
    """What moves one kind of schema. `databases`, `steps` and `conflicts` work without a database."""

    bookkeeping: set[str]
    """Tables in which it remembers what it applied: they are of no step."""

    def databases(self) -> list[str]:
        """Names of the databases."""

    def steps(self, database: str) -> list[Step]:
        """All steps of the release's code, in an order in which they can go up."""

    def conflicts(self, database: str) -> list[str]:
        """What is ambiguous in them, a line each."""

    def squashed(self, database: str) -> dict[str, list[str]]:
        """Steps that stand for others, which the database remembers beside them."""

    def applied(self, database: str) -> list[str]:
        """What the database says it has, oldest first; also what this code doesn't know."""

    def pending(self, database: str) -> list[str]:
        """What is to be applied, in order."""

    def begin(self, database: str, steps: list[str]) -> None:
        """Steps of it are about to go up."""

    def up(self, database: str, step: str) -> None:
        """Apply one step and have the database remember it. Raises `Told` or whatever the migration does."""

    def finish(self, database: str, steps: list[str]) -> None:
        """All of them went up."""

    def down(self, database: str, step: str) -> None:
        """Reverse one step and have the database forget it."""

    def sql(self, database: str, step: str, down: bool) -> str:
        """What would be sent to the database."""

    def lost(self, database: str, step: str) -> list[tuple[str, Any, Any]]:
        """`(table, column or None, default)` that reversing would drop; a row with just the default is no loss."""

    def look(self, database: str, work: Callable[[str, Query], Any]) -> Any:
        """Give `work` the vendor (`postgresql`, `sqlite` or another) and a session in the database."""


class Program:
    """One item of `schema`, its adapter, and the questions about it."""

    def __init__(self, begin: dict[str, Any]) -> None:
        self.Told = Told
        self.name = begin["session"]
        self._limits = begin["limits"]
        module = types.ModuleType("tagship_schema_" + begin["item"]["kind"])
        exec(compile(begin["text"], "<sent: {}>".format(module.__name__), "exec"), module.__dict__)  # noqa: S102
        self.adapter: Adapter = module.Adapter(begin["item"], self)

    def settings(self, vendor: str) -> list[str]:
        """Statements that every new session begins with."""
        lock, statement = (
            int(1000 * float(self._limits.get(key) or 0)) for key in ("lock_timeout", "statement_timeout")
        )
        if vendor == "postgresql":
            return [
                "SET application_name = '{}'".format(self.name),
                "SET lock_timeout = {}".format(lock),
                "SET statement_timeout = {}".format(statement),
            ]
        return ["PRAGMA busy_timeout = {}".format(lock)] if vendor == "sqlite" else []

    def facts_of(self, sql: str) -> dict[str, list[list[Any]]]:
        """What SQL text drops, adds and locks."""
        return facts_of(sql)

    def digest(self, path: str) -> str:
        """SHA-256 of a file."""
        import hashlib

        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()

    def heads(self, question: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """What the code has, without a database."""
        return {"databases": [self._heads(name) for name in self.adapter.databases()]}

    def _heads(self, database: str) -> dict[str, Any]:
        steps = self.adapter.steps(database)
        inner = {parent for step in steps for parent in step["parents"]}
        heads = [step["id"] for step in steps if step["id"] not in inner]
        conflicts = self.adapter.conflicts(database)
        squashed = self.adapter.squashed(database)
        return {"name": database, "heads": heads, "steps": steps, "conflicts": conflicts, "squashed": squashed}

    def state(self, question: dict[str, Any]) -> dict[str, Any]:
        """`heads`, and what the databases have."""
        found = []
        for name in self.adapter.databases():
            told = self._heads(name)
            applied, pending = self.adapter.applied(name), self.adapter.pending(name)
            known = {step["id"] for step in told["steps"]}
            unknown = [one for one in applied if one not in known]
            wanted = {lock[0] for step in told["steps"] if step["id"] in pending for lock in step["locks"]}
            sizes = self.adapter.look(name, lambda *at: sizes_of(wanted, *at)) if question["sizes"] else {}  # noqa: B023
            found.append({**told, "applied": applied, "pending": pending, "unknown": unknown, "sizes": sizes})
        return {"databases": found}

    def applied(self, question: dict[str, Any]) -> dict[str, Any]:
        """What one database says it has."""
        return {"applied": self.adapter.applied(question["database"])}

    def sql(self, question: dict[str, Any]) -> dict[str, Any]:
        """What a step would send."""
        return {"text": self.adapter.sql(question["database"], question["step"], question["down"])}

    def loss(self, question: dict[str, Any]) -> dict[str, Any]:
        """Rows that reversing a step would drop; of a step that was measured, by what it really added."""
        database, step, adds = question["database"], question["step"], question["adds"]
        lost = self.adapter.lost(database, step)
        if adds is not None and self.adapter.look(database, lambda vendor, _query: vendor in _CATALOG):
            defaults = {(table, column): default for table, column, default in lost}
            lost = [(table, column, defaults.get((table, column))) for table, column in adds]
        return {"loss": self.adapter.look(database, lambda *at: loss_of(lost, *at)) if lost else []}

    def begin(self, question: dict[str, Any]) -> dict[str, Any]:
        """Steps are about to go up."""
        self.adapter.begin(question["database"], question["steps"])
        return {}

    def finish(self, question: dict[str, Any]) -> dict[str, Any]:
        """They all have."""
        self.adapter.finish(question["database"], question["steps"])
        return {}

    def move(self, question: dict[str, Any]) -> dict[str, Any]:
        """Apply or reverse one step; what it made and dropped by the database's own word."""
        database, step = question["database"], question["step"]
        before = self.adapter.look(database, catalog)
        began = time.monotonic()
        (self.adapter.down if question["down"] else self.adapter.up)(database, step)
        seconds = round(time.monotonic() - began, 3)
        after = self.adapter.look(database, catalog)
        own = self.adapter.bookkeeping
        adds, drops = (
            [row for row in found if row[0] not in own]
            for found in (difference(after, before), difference(before, after))
        )
        return {"seconds": seconds, "adds": adds, "drops": drops}

    def sessions(self, question: dict[str, Any]) -> dict[str, Any]:
        """Sessions in the databases whose name begins so, other than our own; `end` cancels or terminates them."""
        found = {}
        for name in self.adapter.databases():
            found[name] = self.adapter.look(name, lambda *at: sessions_of(question, self.name, *at))
        return {"sessions": found}


def catalog(vendor: str, query: Query) -> set[tuple[str, str]]:
    """Every table and column there is; nothing for a database that we can't ask."""
    return {(str(table), str(column)) for table, column in query(_CATALOG[vendor])} if vendor in _CATALOG else set()


def difference(more: set[tuple[str, str]], less: set[tuple[str, str]]) -> list[list[Any]]:
    """`[table, None]` of tables and `[table, column]` of columns that only `more` has."""
    known = {table for table, _ in less}
    gone = {(table, None if table not in known else column) for table, column in more - less}
    return [list(one) for one in sorted(gone, key=lambda one: (one[0], one[1] or ""))]


def quoted(name: str) -> str:
    """An identifier, of a schema other than the current one with its name."""
    return ".".join('"{}"'.format(part.replace('"', '""')) for part in name.split("."))


def literal(value: Any) -> str:
    """Text, numbers and truth as SQL has them."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, (int, float)):
        return str(value)
    return "'{}'".format(str(value).replace("'", "''"))


def sizes_of(tables: set[str], vendor: str, query: Query) -> dict[str, dict[str, Any]]:
    """`{table: {rows, bytes}}` of those that are there: estimated or counted; SQLite tells only of its whole file."""
    there = {table for table, _ in catalog(vendor, query)}
    found = {}
    for table in sorted(tables & there):
        name = literal(quoted(table))
        if vendor == "postgresql":
            size = "SELECT reltuples::bigint, pg_total_relation_size(oid) FROM pg_class WHERE oid = to_regclass({})"
            rows, size = query(size.format(name))[0]
        else:  # which counts pages of the whole file only
            rows, size = -1, query("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")[0][0]
        if rows < 0:  # nobody has looked at it yet
            rows = query("SELECT count(*) FROM {}".format(quoted(table)))[0][0]
        found[table] = {"rows": rows, "bytes": size}
    return found


def loss_of(lost: list[tuple[str, Any, Any]], vendor: str, query: Query) -> list[dict[str, Any]]:
    """Rows of tables, and rows whose column holds more than NULL or its default; what isn't there loses nothing.

    `rows` is `None` where the database can't be asked.
    """
    if vendor not in _CATALOG:
        return [{"table": table, "column": column, "rows": None} for table, column, _ in lost]
    there = catalog(vendor, query)
    tables = {table for table, _ in there}
    found = []
    for table, column, default in lost:
        if (table if column is None else (table, column)) not in (tables if column is None else there):
            continue
        count = "SELECT count(*) FROM {}".format(quoted(table))
        if column is not None:
            count += " WHERE {} IS NOT NULL".format(quoted_column(column))
            count += _more_than(vendor, query, table, column, default)
        found.append({"table": table, "column": column, "rows": query(count)[0][0]})
    return found


def _more_than(vendor: str, query: Query, table: str, column: str, default: Any) -> str:
    """The condition that a column isn't its default. By JSON in PostgreSQL, for not all of its types know `<>`."""
    place = literal(quoted(table) if vendor == "postgresql" else table)
    ((told, kind),) = query(_DEFAULTS[vendor].format(table=place, column=literal(column)))
    values = [] if default is None else [literal(default)]
    values += [str(told)] if told is not None and _CONSTANT.match(str(told)) else []
    form = " AND to_jsonb({0}) <> to_jsonb(CAST({1} AS {2}))" if vendor == "postgresql" else " AND {0} <> {1}"
    return "".join(form.format(quoted_column(column), value, kind) for value in values)


def quoted_column(name: str) -> str:
    """A column's name."""
    return '"{}"'.format(name.replace('"', '""'))


def sessions_of(question: dict[str, Any], own: str, vendor: str, query: Query) -> int:
    """How many sessions bear a name that begins so, once those to be ended had `wait` seconds to go."""
    if vendor != "postgresql":
        return 0
    prefix = literal(question["prefix"])
    where = "FROM pg_stat_activity WHERE left(application_name, {}) = {} AND application_name <> {}".format(
        len(question["prefix"]), prefix, literal(own)
    )
    acts = {"cancel": "pg_cancel_backend", "terminate": "pg_terminate_backend"}
    if question["end"]:
        query("SELECT {}(pid) {}".format(acts[question["end"]], where))
    until = time.monotonic() + question["wait"]
    while True:
        left = int(query("SELECT count(*) " + where)[0][0])
        if not left or time.monotonic() > until:
            return left
        time.sleep(_OFTEN)


_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.S)
_NAME = r'((?:"[^"]+"|\w+)(?:\.(?:"[^"]+"|\w+))?)'
_IF = r"(?:IF\s+(?:NOT\s+)?EXISTS\s+)?(?:ONLY\s+)?"
_SQL = [
    ("adds", r"CREATE\s+(?:UNLOGGED\s+)?TABLE\s+" + _IF + _NAME, None),
    ("drops", r"DROP\s+TABLE\s+" + _IF + _NAME, None),
    (
        "locks",
        r"CREATE\s+(?:UNIQUE\s+)?INDEX\s+(?!CONCURRENTLY)(?:\S+\s+){0,5}?ON\s+(?:ONLY\s+)?" + _NAME,
        "an index is built while writes wait",
    ),
]
_ALTER = re.compile(r"ALTER\s+TABLE\s+" + _IF + _NAME + r"\s+(.*)\Z", re.I | re.S)
_ACTIONS = [
    ("adds", r"ADD\s+(?!CONSTRAINT\b|PRIMARY\b|UNIQUE\b|FOREIGN\b|CHECK\b|EXCLUDE\b)(?:COLUMN\s+)?" + _IF + _NAME),
    ("drops", r"DROP\s+(?!CONSTRAINT\b)(?:COLUMN\s+)?" + _IF + _NAME),
    ("drops", r"RENAME\s+(?!TO\b|CONSTRAINT\b)(?:COLUMN\s+)?" + _NAME + r"\s+TO\b"),
]
_LONG = [
    (r"ALTER\s+(?:COLUMN\s+)?\S+\s+SET\s+NOT\s+NULL", "NOT NULL reads the whole table"),
    (r"ALTER\s+(?:COLUMN\s+)?\S+\s+(?:SET\s+DATA\s+)?TYPE\b", "another type writes the whole table anew"),
    (
        r"ADD\s+(?:CONSTRAINT\s+\S+\s+)?(?:UNIQUE|PRIMARY|EXCLUDE)\b(?!.*\bUSING\s+INDEX\b)",
        "an index is built while all wait",
    ),
    (r"ADD\s+(?:CONSTRAINT\s+\S+\s+)?(?:CHECK|FOREIGN)\b(?!.*\bNOT\s+VALID\b)", "a constraint reads the whole table"),
]


def facts_of(sql: str) -> dict[str, list[list[Any]]]:
    """What SQL text drops, adds and locks, by the words that people and tools write; the rest goes unseen."""
    found: dict[str, list[list[Any]]] = {"drops": [], "adds": [], "locks": []}
    for statement in _COMMENT.sub(" ", sql).split(";"):
        text = statement.strip()
        for kind, pattern, line in _SQL:
            match = re.match(pattern, text, re.I)
            if match:
                found[kind].append([_bare(match.group(1)), line])
        match = _ALTER.match(text)
        if match is None:
            continue
        table, actions = _bare(match.group(1)), match.group(2)
        if re.match(r"RENAME\s+TO\b", actions, re.I):
            found["drops"].append([table, None])
        for action in re.split(r",(?![^()]*\))", actions):
            for kind, pattern in _ACTIONS:
                match = re.match(pattern, action.strip(), re.I)
                if match:
                    found[kind].append([table, _bare(match.group(1))])
            found["locks"] += [
                [table, line] for pattern, line in _LONG if re.match(pattern, action.strip(), re.I | re.S)
            ]
    return found


def _bare(name: str) -> str:
    name = ".".join(part[1:-1] if part[:1] == '"' else part.lower() for part in re.findall(r'"[^"]+"|\w+', name))
    return name[len("public.") :] if name.startswith("public.") else name


def run(source: BinaryIO) -> None:
    """Answer, a JSON line for each, until nobody asks any more."""
    answers = os.dup(1)
    os.dup2(2, 1)  # what the application prints is no answer
    os.set_inheritable(answers, False)
    if sys.path[:1] != [""]:
        sys.path.insert(0, os.getcwd())  # PYTHONSAFEPATH may be set
    program = None
    for line in iter(source.readline, b""):
        question = json.loads(line)
        try:
            if program is None:
                program = Program(question)
                answer: dict[str, Any] = {"ok": {}}
            else:
                answer = {"ok": getattr(program, question["ask"])(question)}
        except BaseException as error:  # a migration may also raise SystemExit: that must not pass for its end
            answer = {"error": _told(error)}
        _flush()
        with open(os.dup(answers), "wb") as sink:
            sink.write(json.dumps(answer).encode() + b"\n")


def _told(error: BaseException) -> dict[str, Any]:
    if isinstance(error, Told):
        return {"what": str(error), "cure": error.cure, "data": error.data}
    import traceback

    traceback.print_exc()
    lines = str(error).strip().splitlines()
    name = type(error).__name__
    return {"what": "{}: {}".format(name, lines[0]) if lines else name, "cure": "", "data": {}}


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass
