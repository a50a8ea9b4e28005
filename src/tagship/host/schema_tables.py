"""What databases and the text of SQL tell: tables and columns, sizes, rows that would go, sessions.

Its text stands before that of `schema_program`, in the release's own Python.
"""

from __future__ import annotations

import re
import time
from typing import Any, Callable, Dict, Tuple

Query = Callable[[str], "list[tuple[Any, ...]]"]
"""Runs one statement without parameters, and gives its rows."""

Shape = Dict[str, Tuple[int, Dict[str, int]]]
"""Tables by name, each with a number of its own and those of its columns: a rename keeps them."""

CATALOG = {
    "postgresql": (
        "SELECT CASE WHEN c.relnamespace = current_schema()::regnamespace THEN c.relname"
        " ELSE n.nspname || '.' || c.relname END, a.attname, c.oid::bigint, a.attnum"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " WHERE c.relkind IN ('r', 'p') AND n.nspname <> 'information_schema' AND left(n.nspname, 3) <> 'pg_'"
    ),
    "sqlite": (
        "SELECT m.name, c.name, m.rootpage, c.cid FROM sqlite_master m, pragma_table_info(m.name) c"
        " WHERE m.type = 'table' AND substr(m.name, 1, 7) <> 'sqlite_'"
    ),
}
"""Every table and column, by the database's own word, each with its number."""
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


def catalog(vendor: str, query: Query) -> set[tuple[str, str]]:
    """Every table and column there is; nothing for a database that we can't ask."""
    return {(table, column) for table, (_, columns) in shape(vendor, query).items() for column in columns}


def shape(vendor: str, query: Query) -> Shape:
    """The same, with their numbers."""
    found: Shape = {}
    for table, column, number, place in query(CATALOG[vendor]) if vendor in CATALOG else ():
        columns = found.setdefault(str(table), (int(number), {}))[1]
        if column is not None:
            columns[str(column)] = int(place)
    return found


def difference(vendor: str, more: Shape, less: Shape, told: list[list[Any]]) -> list[list[Any]]:
    """`[table, None]` of tables and `[table, column]` of columns that only `more` has. What was renamed it has not.

    SQLite gives a number anew, and another one to a table that is written anew: there what the step's source tells
    (`told`) is no rename in any case.
    """
    names = {number: table for table, (number, _) in less.items()}
    sure = vendor != "sqlite"
    found: list[list[Any]] = []
    for table, (number, columns) in sorted(more.items()):
        old = None if sure else less.get(table)
        if old is None and number in names and (sure or [table, None] not in told):
            old = less[names[number]]
        if old is None:
            found.append([table, None])
            continue
        for column, place in sorted(columns.items()):
            renamed = any(place == was and (sure or name not in columns) for name, was in old[1].items())
            if not (renamed and (sure or [table, column] not in told)) and (sure or column not in old[1]):
                found.append([table, column])
    return found


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
    there = set(shape(vendor, query))
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
    if vendor not in CATALOG:
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
