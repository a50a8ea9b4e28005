"""What a change did to the schema, as the answers of hosts told it: for its outcome, in words and as JSON."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tagship.ship.migrations.schema import Pair, name_of

FITS, AHEAD, UNKNOWN = "fits", "ahead", "unknown"


@dataclass(frozen=True)
class Moved:
    """How the schema stands after a change."""

    state: str
    """`fits` what is live, is `ahead` of it, or `unknown`: a host took its answer along."""
    applied: tuple[tuple[Pair, float], ...] = ()
    """Steps that went up and stayed, with seconds."""
    reversed: tuple[Pair, ...] = ()
    """Steps that went down."""
    kept: tuple[tuple[Pair, str], ...] = ()
    """Steps that stay up though nothing live has them, each with why."""
    partly: Pair | None = None
    """A step outside of a transaction, of which a part is done."""
    backup: str | None = None
    """The file that was written before anything went up."""

    def row(self) -> dict[str, Any]:
        """The JSON form, and in `words` for people."""
        return {
            "state": self.state,
            "applied": [[*pair, seconds] for pair, seconds in self.applied],
            "reversed": [list(pair) for pair in self.reversed],
            "kept": [[*pair, why] for pair, why in self.kept],
            "partly": None if self.partly is None else list(self.partly),
            "backup": self.backup,
            "words": self.words,
        }

    @property
    def words(self) -> str:
        """One line for people; empty where nothing moved and nothing stays up."""
        found = []
        if self.applied:
            found.append("up " + ", ".join(f"{name_of(pair)} ({seconds:.2f} s)" for pair, seconds in self.applied))
        if self.reversed:
            found.append("down " + ", ".join(map(name_of, self.reversed)))
        if self.kept:
            found.append("stays up: " + ", ".join(f"{name_of(pair)} ({why})" for pair, why in self.kept))
        if self.partly is not None:
            found.append(f"a part of {name_of(self.partly)} is done")
        if self.backup is not None:
            found.append(f"backup {self.backup}")
        return f"schema {self.state}: {'; '.join(found)}" if found or self.state != FITS else ""


class Ledger:
    """Told each answer that moves a schema, from any thread; `moved` is what it comes to."""

    def __init__(self) -> None:
        self.looks: dict[str, Mapping[str, Any]] = {}
        """What `schema` answered, by release."""
        self._guard = threading.Lock()
        self._up: dict[Pair, float] = {}
        self._down: list[Pair] = []
        self._kept: dict[Pair, str] = {}
        self._partly: Pair | None = None
        self._backup: str | None = None
        self._owed = False
        self._concerned = False

    def asked(self, verb: str) -> None:
        """A question that moves the schema was sent; until it is answered, nobody knows."""
        if verb in ("up", "down"):
            with self._guard:
                self._owed = self._concerned = True

    def heard(self, verb: str, args: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """What a host answered."""
        if verb == "schema":
            self.looks[str(args["release"])] = answer
            self._concerned = True
        elif verb in ("up", "down", "stay"):
            with self._guard:
                self._concerned, self._owed = True, False
                self._take(verb, args, answer)

    def failed(self, verb: str, data: Mapping[str, Any]) -> None:
        """What a host told with its error, where it answered at all."""
        if verb in ("up", "down"):
            with self._guard:
                self._owed = False
                self._take(verb, {}, data)

    @property
    def stands(self) -> bool:
        """Something went up and wasn't reversed."""
        return bool(self._up)

    @property
    def kept(self) -> tuple[tuple[Pair, str], ...]:
        """What stays up, with why."""
        return tuple(self._kept.items())

    def half_done(self) -> list[str]:
        """A sentence for a step that failed outside of a transaction; nobody but a person can take that back."""
        if self._partly is None:
            return []
        name = name_of(self._partly)
        return [f"a part of {name} is done, and is in no transaction: finish it or take it back in the database"]

    def moved(self, *, ahead: bool = False) -> Moved | None:
        """All of it; `None` where the change had nothing to do with a schema. `ahead`: what was to go down hasn't."""
        if not (self._concerned or ahead):
            return None
        state = UNKNOWN if self._owed else AHEAD if ahead or self._kept or self._partly else FITS
        return Moved(state, tuple(self._up.items()), tuple(self._down), self.kept, self._partly, self._backup)

    def _take(self, verb: str, args: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        for row in answer.get("applied", ()):
            self._up[str(row["database"]), str(row["id"])] = float(row["seconds"])
        for row in answer.get("reversed", ()):
            pair = (str(row["database"]), str(row["id"]))
            self._kept.pop(pair, None)
            if self._partly == pair:
                self._partly = None
            if self._up.pop(pair, None) is None:
                self._down.append(pair)
        for database, id, why in answer.get("kept", ()):
            self._kept[str(database), str(id)] = str(why)
        if verb == "stay":
            for database, id in args["steps"]:
                self._kept[str(database), str(id)] = str(args["why"])
        if answer.get("partly"):
            database, id = answer["partly"]
            self._partly = (str(database), str(id))
        if answer.get("backup"):
            self._backup = str(answer["backup"])


def staying(answer: Mapping[str, Any]) -> list[str]:
    """Sentences for steps that an answer says weren't reversed."""
    return [f"{name_of((database, id))} stays up: {why}" for database, id, why in answer.get("kept", ())]
