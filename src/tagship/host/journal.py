"""The journal: one JSON object a line, only ever appended to, on disk before the next step begins.

A crash may leave its last line torn: it is skipped when read, and ended when the next row is appended. What a
release is (good, left, unfinished; staged or not) follows from the order of its rows, never from a clock.
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


class Standing:
    """What the journal says of one release: its `staging` row, `good | left | unfinished`, staged or not.

    `there` is whether it was announced and not yet journaled as gone.
    """

    def __init__(self, release: str) -> None:
        self.release = release
        self.serial = serial_of(release)
        self.row: dict[str, Any] = {}
        self.state = "unfinished"
        self.staged = False
        self.there = False

    def tell(self, row: dict[str, Any]) -> None:
        """Take in the next row about this release."""
        event = row["event"]
        if event == "staging":
            self.row = row
        elif event in ("good", "left"):
            self.state = event
        if event in ("staging", "staged", "removed", "abandoned"):
            self.staged = event == "staged"
            self.there = event in ("staging", "staged")


class Journal:
    """A journal file; it need not be there."""

    def __init__(self, path: str) -> None:
        self.path = path

    def rows(self) -> list[dict[str, Any]]:
        """Every readable row, oldest first; lines that aren't rows (torn, foreign) are left out."""
        found = []
        for line in (files.read(self.path) or b"").split(b"\n"):
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict) and isinstance(row.get("event"), str):
                found.append(row)
        return found

    def standings(self, rows: Optional[Iterable[dict[str, Any]]] = None) -> dict[str, Standing]:
        """By release id, what `rows` (all rows, if not given) come to."""
        found: dict[str, Standing] = {}
        for row in self.rows() if rows is None else rows:
            release = row.get("release")
            if row["event"] in _TELLS and isinstance(release, str) and ID.match(release):
                found.setdefault(release, Standing(release)).tell(row)
        return found

    def append(self, event: str, release: Optional[str], **more: Any) -> None:
        """Write a row and wait until it is on disk; where that fails, the file is as it was before."""
        row: dict[str, Any] = {"at": now(), "event": event, "release": release}
        row.update(more)
        line = (json.dumps(row, separators=(",", ":")) + "\n").encode()
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(self.path, flags, 0o644)
        try:
            size = os.fstat(fd).st_size
            if size and os.pread(fd, 1, size - 1) != b"\n":
                line = b"\n" + line
            try:
                files.write_all(fd, line)
                os.fsync(fd)
            except OSError:
                os.ftruncate(fd, size)
                raise
            if not size:
                files.sync_folder(os.path.dirname(self.path))
        finally:
            os.close(fd)
