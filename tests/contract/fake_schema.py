"""Databases in memory, and the verbs of a host that moves their schema: docs/adr/0013, without any SQL.

A step is a row of its code; a table that a step adds may be given rows, and then it can't go without loss.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


class SchemaFault(Exception):
    """An error that a verb answers, with data."""

    def __init__(self, what: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(what)
        self.data = data or {}


def step(id: str, *parents: str, **more: Any) -> dict[str, Any]:
    """One step, reversible and in a transaction unless told otherwise."""
    plain: dict[str, Any] = {"atomic": True, "reversible": True, "why": "", "drops": [], "adds": [], "locks": []}
    return {"id": id, "digest": f"digest of {id}", "parents": list(parents), **plain, **more}


def chain(*steps: dict[str, Any]) -> list[dict[str, Any]]:
    """`steps`, each with the one before it as its parent."""
    return [
        {**one, "parents": [before["id"]] if before else []}
        for before, one in zip((None, *steps[:-1]), steps, strict=True)
    ]


@dataclass
class Databases:
    """What all hosts of a fleet share: each release's code, by tag, and what is applied."""

    code: dict[str, dict[str, list[dict[str, Any]]]] = field(default_factory=dict)
    applied: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    """Rows of a table that a step adds."""
    breaks: dict[str, str] = field(default_factory=dict)
    """Steps that fail on their way up, each with what becomes of it: `whole` (nothing is done) or `partly`."""
    clings: set[str] = field(default_factory=set)
    """Steps that fail on their way down."""
    uses: dict[str, dict[str, list[list[str]]]] = field(default_factory=dict)
    """What the models of a tag read, by database; where it isn't told, nobody knows."""
    running: int = 0
    """How often `settled` still answers that a migration runs."""
    log: list[tuple[str, str, str]] = field(default_factory=list)
    """What was moved: up or down, database, step."""

    def state(self) -> dict[str, list[str]]:
        """The ids that are applied, by database."""
        return {name: list(steps) for name, steps in self.applied.items() if steps}


class SchemaVerbs:
    """The verbs; a session of a `FakeHost` mixes them in."""

    host: Any

    def do_heads(self, _data: bytes, release: str) -> dict[str, Any]:
        code = self._code(release)
        self.host.releases[release]["heads"] = {name: _heads(steps) for name, steps in code.items()}
        uses = self._base.uses.get(self.host.releases[release]["record"]["tag"], {})
        return {"databases": [{**_plain(name, steps), "uses": uses.get(name)} for name, steps in code.items()]}

    def do_schema(self, _data: bytes, release: str, sizes: bool) -> dict[str, Any]:
        found = []
        for name, steps in self._code(release).items():
            applied = self._base.applied.setdefault(name, {})
            ids = {one["id"] for one in steps}
            edited = [s["id"] for s in steps if s["id"] in applied and applied[s["id"]]["digest"] != s["digest"]]
            heads = _heads(steps)
            pending = [one["id"] for one in steps if one["id"] not in applied]
            tables = {table for one in steps if one["id"] in pending for table, _line in one["locks"]}
            found.append(
                {
                    **_plain(name, steps),
                    "applied": [{"id": id, **facts} for id, facts in applied.items()],
                    "pending": pending,
                    "unknown": [id for id in applied if id not in ids],
                    "conflicts": [f"two heads: {', '.join(heads)}"] if len(heads) > 1 else [],
                    "edited": edited,
                    "sizes": {t: {"rows": self._base.rows.get(t, 0), "bytes": 8192} for t in tables} if sizes else {},
                }
            )
        return {"databases": found}

    def do_statements(self, _data: bytes, release: str, steps: list[Any], down: bool) -> dict[str, Any]:
        self._code(release)
        word = "drop" if down else "create"
        return {"sql": [[name, id, f"{word} table t_{id}"] for name, id in steps]}

    def do_loss(self, _data: bytes, release: str, steps: list[Any]) -> dict[str, Any]:
        found = []
        for name, id in steps:
            for table, column in self._step(release, name, id)["adds"]:
                rows = self._base.rows.get(table, 0)
                found.append({"database": name, "step": id, "table": table, "column": column, "rows": rows})
        return {"loss": found}

    def do_up(
        self, _data: bytes, release: str, steps: list[Any], before: list[str] | None, limits: dict[str, float]
    ) -> dict[str, Any]:
        assert limits.keys() == {"lock_timeout", "statement_timeout", "deadline"}
        done: list[dict[str, Any]] = []
        for name, id in steps:
            self.host.note("migrating", release, database=name, id=id)
            how = self._base.breaks.get(id)
            if how is not None:
                partly = [name, id] if how == "partly" else None
                raise SchemaFault(f"{name}/{id} failed", {"applied": done, "partly": partly})
            one = self._step(release, name, id)
            self._base.applied[name][id] = {"digest": one["digest"], "by": release, "kept": None}
            self._base.log.append(("up", name, id))
            done.append({"database": name, "id": id, "digest": one["digest"], "seconds": 0.25})
            self.host.note("migrated", release, database=name, id=id, digest=one["digest"], seconds=0.25)
        backup = "/srv/app/shared/backups/0001.dump" if before else None
        if backup:
            self.host.note("backup", release, path=backup)
        return {"applied": done, "backup": backup}

    def do_down(
        self, _data: bytes, release: str, steps: list[Any], limits: dict[str, float], only: bool, drop: bool
    ) -> dict[str, Any]:
        assert limits
        gone: list[dict[str, Any]] = []
        kept: list[list[str]] = []
        for name, id in steps:
            facts = self._base.applied.get(name, {}).get(id)
            if facts is None or (only and facts["by"] != release):
                continue
            one = self._step(release, name, id)
            lost = sum(self._base.rows.get(table, 0) for table, _column in one["adds"])
            why = one["why"] or "irreversible" if not one["reversible"] else f"loses {lost} rows" if lost else ""
            if why and not (drop and one["reversible"]):
                facts["kept"] = why
                kept.append([name, id, why])
                self.host.note("kept", release, database=name, id=id, why=why)
                continue
            if id in self._base.clings:
                raise SchemaFault(f"{name}/{id} could not be reversed", {"reversed": gone, "kept": kept})
            del self._base.applied[name][id]
            self._base.log.append(("down", name, id))
            gone.append({"database": name, "id": id, "digest": one["digest"], "seconds": 0.25})
            self.host.note("reversed", release, database=name, id=id)
        return {"reversed": gone, "kept": kept}

    def do_stay(self, _data: bytes, release: str, steps: list[Any], why: str) -> dict[str, Any]:
        for name, id in steps:
            self._base.applied[name][id]["kept"] = why
            self.host.note("kept", release, database=name, id=id, why=why)
        return {}

    def do_settled(self, _data: bytes, release: str) -> dict[str, Any]:
        self._code(release)
        self._base.running = max(0, self._base.running - 1)
        holder = self.host.holder
        if not self._base.running and holder is not None and "client" in holder[1]:
            self.host.holder = None
        return {"running": self._base.running > 0, "sessions": self._base.running}

    @property
    def _base(self) -> Databases:
        base: Databases = self.host.databases
        return base

    def _code(self, release: str) -> dict[str, list[dict[str, Any]]]:
        if release not in self.host.releases:
            raise SchemaFault(f"there is no release {release}")
        return self._base.code[self.host.releases[release]["record"]["tag"]]

    def _step(self, release: str, name: str, id: str) -> dict[str, Any]:
        return next(one for one in self._code(release)[name] if one["id"] == id)


def holds(host: Any, release: str) -> bool:
    """Steps that `release` applied are applied, and what is current hasn't them."""
    kept = host.releases.get(host.current)
    code = host.databases.code.get(kept["record"]["tag"], {}) if kept else {}
    known = {(name, one["id"]) for name, steps in code.items() for one in steps}
    return any(
        facts["by"] == release and (name, id) not in known
        for name, steps in host.databases.applied.items()
        for id, facts in steps.items()
    )


def _heads(steps: list[dict[str, Any]]) -> list[str]:
    parents = {parent for one in steps for parent in one["parents"]}
    return [one["id"] for one in steps if one["id"] not in parents]


def _plain(name: str, steps: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": name, "kind": "django", "heads": _heads(steps), "steps": steps}
