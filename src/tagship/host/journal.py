"""The journal: one JSON object a line, only ever appended to, on disk before the next step begins.

A crash may leave its last line torn: it is skipped when read, and ended when the next row is appended. What a
release is (good, left, unfinished; staged or not) follows from the order of its rows, never from a clock.

Rows belong to changes. Each change of the fleet has a number, higher than any that its hosts had seen before: so what
several journals say can be put in order without a clock too.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any, Iterable, Optional

from tagship.host import files
from tagship.host.layout import ID, serial_of

_TELLS = ("staging", "staged", "removed", "abandoned", "good", "left")


def now() -> str:
    """The host's clock, UTC, ISO 8601, whole seconds. For people: nothing is decided by it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def number_of(row: dict[str, Any]) -> int:
    """The number of the change that a row belongs to; 0 where it doesn't say."""
    number = row.get("change")
    return number if isinstance(number, int) and number > 0 else 0


def last_change(rows: Iterable[dict[str, Any]]) -> int:
    """The highest number of a change; 0 before the first."""
    return max(map(number_of, rows), default=0)


class Standing:
    """What the journal says of one release: its `staging` row, `good | left | unfinished`, staged or not.

    `there` is whether it was announced and not yet journaled as gone. `marked` is what gave it its state: the number
    of the change, and how many-eth mark of that change; of two hosts' words the one with the higher `marked` counts.
    """

    def __init__(self, release: str) -> None:
        self.release = release
        self.serial = serial_of(release)
        self.row: dict[str, Any] = {}
        self.state = "unfinished"
        self.marked = [0, 0]
        self.staged = False
        self.there = False

    def tell(self, row: dict[str, Any]) -> None:
        """Take in the next row about this release."""
        event = row["event"]
        if event == "staging":
            self.row = row
        elif event in ("good", "left"):
            self.state, number = event, number_of(row)
            self.marked = [number, self.marked[1] + 1 if number == self.marked[0] else 1]
        if event in ("staging", "staged", "removed", "abandoned"):
            self.staged = event == "staged"
            self.there = event in ("staging", "staged")


class Change:
    """What the holder of the lock is about. It counts as begun with its first row, so a loser leaves no trace."""

    def __init__(self, number: int, verb: str, release: Optional[str], origin: Optional[str]) -> None:
        self.number = number
        self.verb = verb
        self.release = release
        self.origin = origin
        """What `current` named before."""
        self.begun = False

    def opening(self) -> list[dict[str, Any]]:
        """The row to write before the first of the change; none later."""
        if self.begun:
            return []
        return [{"event": "begun", "release": self.release, "verb": self.verb, "origin": self.origin}]

    def closing(self, outcome: str, why: Optional[str]) -> dict[str, Any]:
        """The row that says how it ended, `why` in one line."""
        return {"event": "ended", "release": self.release, "verb": self.verb, "outcome": outcome, "why": why}


class Journal:
    """A journal file; it need not be there. What was read once isn't read again."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._rows: list[dict[str, Any]] = []
        self._read = 0

    def rows(self) -> list[dict[str, Any]]:
        """Every readable row, oldest first; lines that aren't rows (torn, foreign) are left out."""
        fresh = files.read(self.path, self._read)
        if fresh is None:
            self._rows, self._read = [], 0
            return []
        *lines, last = fresh.split(b"\n")
        self._rows += [row for row in map(_row_of, lines) if row is not None]
        self._read += len(fresh) - len(last)
        row = _row_of(last)  # of a line that is torn, all but its end may be there
        if row is not None:
            self._rows.append(row)
            self._read += len(last)
        return list(self._rows)

    def standings(self, rows: Optional[Iterable[dict[str, Any]]] = None) -> dict[str, Standing]:
        """By release id, what `rows` (all rows, if not given) come to."""
        found: dict[str, Standing] = {}
        for row in self.rows() if rows is None else rows:
            release = row.get("release")
            if row["event"] in _TELLS and isinstance(release, str) and ID.match(release):
                found.setdefault(release, Standing(release)).tell(row)
        return found

    def append(self, *rows: dict[str, Any]) -> None:
        """Write rows and wait until they are on disk; where that fails, the file is as it was before."""
        at = {"at": now()}
        lines = b"".join((json.dumps({**at, **row}, separators=(",", ":")) + "\n").encode() for row in rows)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(self.path, flags, 0o644)
        try:
            size = os.fstat(fd).st_size
            if size and os.pread(fd, 1, size - 1) != b"\n":
                lines = b"\n" + lines
            try:
                files.write_all(fd, lines)
                os.fsync(fd)
            except OSError:
                os.ftruncate(fd, size)
                raise
            if not size:
                files.sync_folder(os.path.dirname(self.path))
        finally:
            os.close(fd)


def _row_of(line: bytes) -> Optional[dict[str, Any]]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and isinstance(row.get("event"), str) else None
