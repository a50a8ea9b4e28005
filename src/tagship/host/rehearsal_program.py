"""More that the release's own Python is asked, in a rehearsal: up, down and up again, on copies of its databases.

Its text is sent behind that of `schema_program`, whose `Program` it takes the place of. A copy is made of what the
database holds now, or of a dump, and is dropped at the end, however that comes about. All databases of an item are
copied before the first step runs: a step may use two of them.
"""

from __future__ import annotations

import glob
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional

if TYPE_CHECKING:
    from tagship.host.schema_program import Program, Told
    from tagship.host.schema_tables import Query

COPY = "_rehearsal"
"""Ends the name of every copy. Who makes one has the stage's lock, so there is only one at a time."""
_LONGEST = 63 - len(COPY)
"""Bytes of a name that PostgreSQL leaves us, which cuts off what is beyond 63."""
_BINARY = b"PGDMP"
"""How a dump begins that `pg_restore` reads; any other is read by psql."""


class Database(NamedTuple):
    """Where a database is, and how to get in."""

    vendor: str
    name: str
    """Of the database; of SQLite, the path of its file."""
    env: dict[str, str]
    """What PostgreSQL's own programs are told by their environment, lest a password stand in their arguments."""


class Rehearsal(Program):
    """A `Program` that can also try its steps out."""

    def __init__(self, begin: dict[str, Any]) -> None:
        self._begin = begin
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # so that copies are dropped
        super().__init__(begin)

    def rehearse(self, question: dict[str, Any]) -> dict[str, Any]:
        """Take each database up, down and up again: on copies of them (`copy`), or as they are, if they are empty."""
        copies: dict[str, Copy] = {}
        try:
            if question["copy"]:
                for name in self.adapter.databases():
                    copies[name] = Copy(self._place(name), newest(question["dump"], name))
                    copies[name].drop()  # one that was killed may have left its own
                    copies[name].make()
                self._turn_to(copies)
            else:
                self._refuse_what_is_not_empty()
            found = [self._there_and_back(name) for name in self.adapter.databases()]
            return {"databases": [{**one, "copy": copies[one["name"]].told if copies else None} for one in found]}
        finally:
            for copy in copies.values():
                copy.drop()

    def _refuse_what_is_not_empty(self) -> None:
        for name in self.adapter.databases():
            tables = sorted({table for table, _ in self.adapter.look(name, _catalog)})
            if tables:
                tables = [table for table in tables if table not in self.adapter.bookkeeping] or tables
                what = "the database {} isn't empty: it has {}".format(name, ", ".join(tables[:3]))
                raise Told(what, "give it one that nobody needs, with nothing in it")

    def _there_and_back(self, name: str) -> dict[str, Any]:
        """One database: what is pending goes up, comes down as far as it can, and goes up again."""
        code = {step["id"]: step for step in self.adapter.steps(name)}
        pending = self.adapter.pending(name)
        back = []
        for step in reversed(pending):
            if not code[step]["reversible"]:
                break
            back.append(step)
        again = back[::-1]
        for step in pending[: len(pending) - len(again)]:
            self._moved(name, step, self.adapter.up)
        seconds: dict[str, list[float]] = {step: [] for step in again}
        place = self._place(name)
        before = schema_of(place, self.adapter.bookkeeping)
        for step in again:
            seconds[step].append(self._moved(name, step, self.adapter.up))
        above = schema_of(place, self.adapter.bookkeeping)
        for step in back:
            seconds[step].append(self._moved(name, step, self.adapter.down))
        left = difference_of(before, schema_of(place, self.adapter.bookkeeping))
        for step in again if not left else ():  # what is left would stand in its way
            seconds[step].append(self._moved(name, step, self.adapter.up))
        return {
            "name": name,
            "steps": [{"id": step, "seconds": seconds.get(step, []), "why": code[step]["why"]} for step in pending],
            "left": left,
            "again": difference_of(above, schema_of(place, self.adapter.bookkeeping)) if not left else [],
        }

    def _moved(self, name: str, step: str, move: Callable[[str, str], None]) -> float:
        began = time.monotonic()
        try:
            if move == self.adapter.up:
                self.adapter.begin(name, [step])
            move(name, step)
            if move == self.adapter.up:
                self.adapter.finish(name, [step])
        except Exception as error:
            import traceback

            traceback.print_tb(error.__traceback__)
            way = "up" if move == self.adapter.up else "down"
            line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise Told("{}/{} fails on its way {}: {}".format(name, step, way, line)) from error
        return round(time.monotonic() - began, 3)

    def _turn_to(self, copies: dict[str, Copy]) -> None:
        """Have the adapter work on the copies from now on."""
        item = self._begin["item"]
        if item["kind"] == "django":
            from django.db import connections

            for name, copy in copies.items():
                connections[name].close()
                connections[name].settings_dict["NAME"] = copy.place.name
            return
        (copy,) = copies.values()
        os.environ[item["url"]] = moved_to(os.environ[item["url"]], copy.place)
        super().__init__(self._begin)

    def _place(self, name: str) -> Database:
        """Where a database is. Raises `Told` where nobody can know."""
        item = self._begin["item"]
        if item["kind"] == "django":
            from django.db import connections

            vendor, settings = connections[name].vendor, connections[name].settings_dict
            env = {"PG" + key: str(settings[word]) for key, word in _DJANGO.items() if settings.get(word)}
            env.update({_OPTIONS[key]: str(value) for key, value in settings["OPTIONS"].items() if key in _OPTIONS})
            return checked(Database(vendor, str(settings["NAME"]), env), name)
        if item["kind"] == "command" or not item.get("url"):
            raise Told(
                "nobody knows where the database {} is".format(name),
                "name the variable of its URL (`url`) in `app.schema`; the kind `command` can't be rehearsed",
            )
        if not os.environ.get(item["url"]):
            raise Told("the environment has no {}".format(item["url"]), "fab env set {}".format(item["url"]))
        return checked(at(os.environ[item["url"]]), name)


_DJANGO = {"HOST": "HOST", "PORT": "PORT", "USER": "USER", "PASSWORD": "PASSWORD"}
_OPTIONS = {
    "host": "PGHOST",
    "port": "PGPORT",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "service": "PGSERVICE",
    "passfile": "PGPASSFILE",
}
"""Parameters of a connection that libpq reads from its environment, too."""


def checked(place: Database, name: str) -> Database:
    """`place`, if it is of a kind that can be copied; raises `Told`."""
    if place.vendor not in ("postgresql", "sqlite"):
        raise Told("the database {} is {}'s: only PostgreSQL's and SQLite's can be tried".format(name, place.vendor))
    return place


def at(url: str) -> Database:
    """Where a URL leads, as SQLAlchemy and yoyo write it: with or without a driver behind a `+`."""
    parts = urllib.parse.urlsplit(url)
    scheme = parts.scheme.partition("+")[0]
    if scheme == "sqlite":
        return Database("sqlite", urllib.parse.unquote(parts.path[1:]), {})
    if scheme not in ("postgres", "postgresql"):
        return Database(scheme, "", {})
    given = {"PGHOST": parts.hostname, "PGPORT": parts.port, "PGUSER": parts.username, "PGPASSWORD": parts.password}
    env = {key: urllib.parse.unquote(str(value)) for key, value in given.items() if value}
    options = dict(urllib.parse.parse_qsl(parts.query))
    env.update({_OPTIONS[key]: value for key, value in options.items() if key in _OPTIONS})
    return Database("postgresql", urllib.parse.unquote(parts.path[1:]), env)


def moved_to(url: str, place: Database) -> str:
    """The same URL, with the copy's name in place of the database's."""
    parts = urllib.parse.urlsplit(url)
    return url.replace(parts.path, "/" + urllib.parse.quote(place.name), 1) if parts.path else url


def newest(pattern: Optional[str], name: str) -> Optional[str]:
    """The newest file that `pattern` finds for the database called `name`; `None` without a pattern."""
    if not pattern:
        return None
    found = glob.glob(pattern.replace("{database}", name))
    if not found:
        raise Told("there is no dump {}".format(pattern), "make one, or take `rehearse.dump` out of tagship.yml")
    return max(found, key=os.path.getmtime)


class Copy:
    """A copy of a database, beside it."""

    def __init__(self, live: Database, dump: Optional[str]) -> None:
        self.live = live
        self.dump = dump
        """The file to make it of; `None`: of what is there now."""
        self.place = live._replace(name=(live.name[:_LONGEST] if live.vendor == "postgresql" else live.name) + COPY)
        self.told: dict[str, Any] = {"of": dump or "what is there now", "seconds": 0.0}

    def make(self) -> None:
        """Make and fill it. Raises `Told`."""
        began = time.monotonic()
        if self.live.vendor == "sqlite":
            self._copy_file()
        else:
            self._sql("CREATE DATABASE {} TEMPLATE template0".format(_quoted(self.place.name)))
            with tempfile.TemporaryDirectory() as folder:
                self._restore(self.dump or self._dumped(os.path.join(folder, "dump")))
        self.told["seconds"] = round(time.monotonic() - began, 3)

    def drop(self) -> None:
        """Have it no more, whoever is connected to it; safe if it was never made."""
        if self.live.vendor == "sqlite":
            for ending in ("", "-wal", "-shm", "-journal"):
                if os.path.exists(self.place.name + ending):
                    os.remove(self.place.name + ending)
            return
        self._sql("DROP DATABASE IF EXISTS {} WITH (FORCE)".format(_quoted(self.place.name)))

    def _copy_file(self) -> None:
        if self.dump:
            shutil.copyfile(self.dump, self.place.name)
        elif os.path.exists(self.live.name):
            with closing(sqlite3.connect(self.live.name)) as source, closing(sqlite3.connect(self.place.name)) as to:
                source.backup(to)

    def _dumped(self, path: str) -> str:
        tool(self.live, "pg_dump", "-Fc", "-f", path, self.live.name)
        return path

    def _restore(self, path: str) -> None:
        name = self.place.name
        with open(path, "rb") as file:
            binary = file.read(len(_BINARY)) == _BINARY
        if binary:
            tool(self.place, "pg_restore", "--no-owner", "--no-privileges", "--exit-on-error", "-d", name, path)
        else:
            tool(self.place, "psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-d", name, "-f", path)

    def _sql(self, statement: str) -> None:
        tool(self.live, "psql", "-XqAt", "-d", self.live.name, "-c", statement)


def tool(place: Database, *argv: str) -> str:
    """One of PostgreSQL's own programs; what it said. Raises `Told`."""
    env = {**os.environ, **place.env, "PGAPPNAME": "tagship-rehearsal", "PGOPTIONS": "-c client_min_messages=warning"}
    try:
        done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        cure = "install PostgreSQL's client programs on the host that migrates (postgresql-client)"
        raise Told("there is no {} here".format(argv[0]), cure) from None
    if done.returncode:
        line = (done.stderr.strip().splitlines() or ["exit status {}".format(done.returncode)])[-1]
        raise Told("{} failed: {}".format(argv[0], line))
    return done.stdout


def _quoted(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""'))


def schema_of(place: Database, own: set[str]) -> list[str]:
    """The schema, a line each; the columns of a table by their names, for one that comes again stands last.

    `own` are the kind's own tables, where it keeps what is applied: they come with the first step, and stay.
    """
    if place.vendor == "sqlite":
        return _sqlite_schema(place.name, own)
    hidden = sorted(own) + [name + "_id_seq" for name in sorted(own)]
    without = ["--exclude-table={}".format(name) for name in hidden]
    text = tool(place, "pg_dump", "--schema-only", "--no-owner", "--no-privileges", *without, place.name)
    found: list[str] = []
    inside: Optional[list[str]] = None
    for line in text.splitlines():
        if not line or line.startswith(("--", "\\", "SET ", "SELECT pg_")):
            continue
        if inside is not None and line.startswith(")"):
            found += sorted(inside)
            inside = None
        if inside is None:
            found.append(line)
        else:
            inside.append(line.rstrip(","))
        if line.startswith("CREATE TABLE "):
            inside = []
    return found


def _sqlite_schema(path: str, own: set[str]) -> list[str]:
    """By its own tables: the text that made a table says also how it came about."""
    found = []
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute(
            "SELECT name, type, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite~_%' ESCAPE '~'"
        )
        for name, kind, sql in sorted(row for row in tables.fetchall() if row[0] not in own):
            if kind != "table":
                found.append("{} {}: {}".format(kind, name, sql))
                continue
            for pragma in ("table_xinfo", "foreign_key_list", "index_list"):
                rows = connection.execute("SELECT * FROM pragma_{}(?)".format(pragma), (name,)).fetchall()  # noqa: S608
                # The first cell is a place in an order, which isn't meant; an automatic index is named by a number.
                kept = [[str(cell) for cell in row[1:] if "autoindex" not in str(cell)] for row in rows]
                found += sorted("{} {}: {}".format(name, pragma, " ".join(row)) for row in kept)
    return found


def difference_of(one: list[str], other: list[str]) -> list[str]:
    """What only one of them has, with `-` and `+` before it; nothing where they are alike."""
    before, after = Counter(one), Counter(other)
    gone, come = (before - after).elements(), (after - before).elements()
    return ["- " + line.strip() for line in gone] + ["+ " + line.strip() for line in come]


def _catalog(vendor: str, query: Query) -> Any:
    from_both: Any = globals()["catalog"]  # of the text before this one
    return from_both(vendor, query)


globals()["Program"] = Rehearsal
