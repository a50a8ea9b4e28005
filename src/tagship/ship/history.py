"""Who did what to a fleet, and how it ended: the journals of its hosts as one list of changes. Pure.

A change has a number, the same on all its hosts and higher than any that they had journaled before. So the order of
the list comes from the journals; their times are only shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tagship.ship.plan import named

Row = Mapping[str, Any]

UNDER_WAY = "under way"
CUT_OFF = "cut off"
"""No end is journaled, and nobody is at work: the agent was killed, or its host went down."""
_WHY = {CUT_OFF: "the agent was killed, or the host went down"}


_MOVES = ("migrated", "reversed", "kept", "broken", "backup")
"""Rows between a change's begin and its end that tell of the schema."""


@dataclass(frozen=True)
class End:
    """How a change ended on one host."""

    outcome: str
    """What the client said at the end (`live`, `stopped`, `changed`, `restored`, `interrupted`, `degraded`), `lost`
    where it went away without a word, `cut off` where not even the agent could tell, or `under way`.
    """
    why: str = ""


@dataclass(frozen=True)
class Change:
    """One change to a fleet, by one person."""

    number: int
    at: str
    """When it began, on the first of its hosts: UTC, ISO 8601, by that host's clock."""
    by: str
    verb: str
    release: str | None
    """What it was about: the release that was to be live, or the variable of the environment."""
    origins: Mapping[str, str | None]
    """What was current on each host before."""
    ends: Mapping[str, End]
    """By host."""
    moves: tuple[str, ...] = ()
    """What it did to the schema, step by step, and where the backup lies."""

    @property
    def origin(self) -> str | None:
        """What was current before, where that was something else; of a mixed fleet all of it."""
        found = [origin for origin in dict.fromkeys(self.origins.values()) if origin and origin != self.release]
        return ", ".join(found) or None

    @property
    def ended(self) -> str:
        """How it ended, in words; host by host where they disagree."""
        return self._where_they_differ({host: end.outcome for host, end in self.ends.items()})

    @property
    def why(self) -> str:
        """Why it didn't go well; empty where it did."""
        return self._where_they_differ({host: end.why for host, end in self.ends.items() if end.why})

    def _where_they_differ(self, words: Mapping[str, str]) -> str:
        hosts: dict[str, list[str]] = {}
        for host, word in words.items():
            hosts.setdefault(word, []).append(host)
        if len(hosts) < 2:
            return next(iter(hosts), "")
        return "; ".join(f"{named(on, self.ends)}: {word}" for word, on in hosts.items())


@dataclass
class _Told:
    """What the journals have told of a change so far."""

    begun: Row
    origins: dict[str, str | None] = field(default_factory=dict)
    ends: dict[str, End] = field(default_factory=dict)
    moves: list[str] = field(default_factory=list)


def changes_of(journals: Mapping[str, Sequence[Row]], busy: Iterable[str]) -> tuple[Change, ...]:
    """The changes that the rows `begun` and `ended` of each host's journal tell of, oldest first.

    On the hosts in `busy` somebody is at work: there the newest change without an end is under way. Two changes that
    were made at once to different hosts may share a number; they are told apart by who wanted what.
    """
    told: dict[tuple[int, str, str, str], _Told] = {}
    for host, rows in journals.items():
        newest = None
        for row in rows:
            if row["event"] in _MOVES:
                if newest is not None and newest[0] == row.get("change"):
                    told[newest].moves.append(_move(row))
                continue
            by, verb, release = (str(row.get(key)) for key in ("by", "verb", "release"))
            name = (int(row.get("change") or 0), by, verb, release)
            change = told.setdefault(name, _Told(row))
            change.origins.setdefault(host, row.get("origin"))
            if row["event"] == "ended":  # of a link that was lost and taken up again, the last end counts
                change.ends[host] = End(str(row.get("outcome")), str(row.get("why") or ""))
            newest = name
        if newest is not None and host in busy and host not in told[newest].ends:
            told[newest].ends[host] = End(UNDER_WAY)
    found = []
    for (number, by, verb, _release), change in told.items():
        ends = {host: change.ends.get(host, End(CUT_OFF, _WHY[CUT_OFF])) for host in change.origins}
        row = change.begun
        found.append(
            Change(
                number, str(row.get("at")), by, verb, row.get("release"), change.origins, ends, tuple(change.moves)
            )
        )
    return tuple(sorted(found, key=lambda change: change.number))


def _move(row: Row) -> str:
    """One row of the schema's in words."""
    if row["event"] == "backup":
        return f"backup {row.get('path')}"
    name, why = f"{row.get('database')}/{row.get('id')}", row.get("why")
    if row["event"] == "kept":
        return f"{name} stays up ({why})"
    if row["event"] == "broken":
        return f"{name} failed ({why})" if why else f"{name} failed"
    seconds = row.get("seconds")
    took = "" if seconds is None else f" ({float(seconds):.2f} s)"
    return f"{'up' if row['event'] == 'migrated' else 'down'} {name}{took}"
