"""What the release's own Python runs: one of the adapters, asked in JSON lines about one item of `schema`.

It is sent as text and imports nothing of ours, for the release may bring another tagship. What the application
prints goes where its stderr goes, to the command log; the answers alone have its stdout.
"""

from __future__ import annotations

import json
import os
import sys
import time
import types
from typing import TYPE_CHECKING, Any, BinaryIO, Callable, Optional, Protocol, TypedDict

if TYPE_CHECKING:  # their text stands before this one
    from tagship.host.schema_tables import (
        CATALOG,
        Query,
        difference,
        facts_of,
        loss_of,
        sessions_of,
        shape,
        sizes_of,
    )

BOOT = "import sys;f=sys.stdin.buffer;t=f.read(int(f.readline()));exec(compile(t,'<sent: schema>','exec'));run(f)"
"""Reads the length of this module's text, in a line, and the text; then `run`."""


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

    def uses(self, database: str) -> Optional[list[list[str]]]:
        """`[table, column]` of all that the code's models read; `None` where nobody can know."""

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
        more = {"squashed": self.adapter.squashed(database), "uses": self.adapter.uses(database)}
        return {"name": database, "heads": heads, "steps": steps, "conflicts": conflicts, **more}

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
        if adds is not None and self.adapter.look(database, lambda vendor, _query: vendor in CATALOG):
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
        source = next((one for one in self.adapter.steps(database) if one["id"] == step), None)
        before = self.adapter.look(database, shape)
        began = time.monotonic()
        (self.adapter.down if question["down"] else self.adapter.up)(database, step)
        seconds = round(time.monotonic() - began, 3)
        after, vendor = self.adapter.look(database, lambda *at: (shape(*at), at[0]))
        up, down = ("drops", "adds") if question["down"] else ("adds", "drops")
        own = self.adapter.bookkeeping
        told: dict[str, Any] = dict(source or {up: [], down: []})
        adds = difference(vendor, after, before, told[up])
        drops = difference(vendor, before, after, told[down])
        adds, drops = ([row for row in found if row[0] not in own] for found in (adds, drops))
        return {"seconds": seconds, "adds": adds, "drops": drops}

    def sessions(self, question: dict[str, Any]) -> dict[str, Any]:
        """Sessions in the databases whose name begins so, other than our own; `end` cancels or terminates them."""
        found = {}
        for name in self.adapter.databases():
            found[name] = self.adapter.look(name, lambda *at: sessions_of(question, self.name, *at))
        return {"sessions": found}


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
    cure = "the release's lock must bring it" if isinstance(error, ModuleNotFoundError) else ""
    return {"what": "{}: {}".format(name, lines[0]) if lines else name, "cure": cure, "data": {}}


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass
