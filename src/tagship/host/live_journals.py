"""What the units of a stage say, from the journal: rows with unit and time, read through the helper."""

from __future__ import annotations

import collections
import heapq
import json
import os
import select
from typing import Any, Iterator, Optional

from tagship.host import helper, stored, units
from tagship.host.context import Context
from tagship.host.faults import Problem, failed
from tagship.host.live_lines import LineReader
from tagship.host.live_logs import Line, Source

_PIECE = 64 << 10
_ROW = 1 << 20  # bytes of a row: the journal cuts lines at 48 KB, which JSON may make five times as long
_BOTH = 2000  # rows that may come while what was said before is read
_PAGE = 1000  # rows of what was said before that are told at a time


def of(context: Context, release: str, lines: int, *, follow: bool) -> Source:
    """The last `lines` rows of each of the release's units, in order of time; then whatever any unit says."""
    live = Rows(context, "all", 0, "follow") if follow else None  # first, so that nothing falls between the two
    declared = stored.read(context.layout, release)
    number = units.serial(release)
    parts = [Rows(context, units.name(number, part), lines, "rows") for part in declared.parts]
    return Journals(parts, live)


class Journals:
    """What was said, and then what is."""

    def __init__(self, parts: list["Rows"], live: Optional["Rows"]) -> None:
        self._past = heapq.merge(*(part.all() for part in parts), key=lambda row: row[1][0])
        self._in_past = True
        self._live = live
        self._told: collections.deque[str] = collections.deque(maxlen=_BOTH)
        """Cursors of what was said: what came while that was read is in both."""

    def read(self) -> list[Line]:
        """The next page."""
        found: list[Line] = []
        while self._in_past and len(found) < _PAGE:
            row = next(self._past, None)
            if row is None:
                self._in_past = False
                break
            self._told.append(row[0])
            found.append(row[1])
        if not found and self._live is not None:
            found = [line for cursor, line in self._live.now() if cursor not in self._told]
        return found

    def more(self) -> bool:
        """Whether the past isn't told yet."""
        return self._in_past


class Rows:
    """One journalctl, run by the helper, which waits for us where we are slow and ends when we close its output."""

    def __init__(self, context: Context, instance: str, lines: int, how: str) -> None:
        import subprocess  # only where a journal is read

        words = helper.argv(helper.must(context.layout), "journal", instance, str(min(lines, 99_999)), how)
        self._child = subprocess.Popen(
            words,
            env=helper.ENV,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            start_new_session=True,
        )
        assert self._child.stdout  # PIPE gives it
        self._output = self._child.stdout.fileno()
        self._reader = LineReader(_ROW)
        self._words = ""
        self._prefix = helper.must(context.layout).unit
        context.endings.append(self.close)

    def all(self) -> Iterator[tuple[str, Line]]:
        """Every row, to the end."""
        while True:
            piece = os.read(self._output, _PIECE)
            for text in self._reader.feed(piece) if piece else self._reader.rest():
                yield from self._row(text)
            if not piece:
                if self._child.wait():
                    raise self._failed()
                return

    def now(self) -> list[tuple[str, Line]]:
        """What has come by now."""
        ready = select.poll()
        ready.register(self._output, select.POLLIN)
        if not ready.poll(0):
            return []
        piece = os.read(self._output, _PIECE)
        if not piece:
            raise self._failed()
        return [row for text in self._reader.feed(piece) for row in self._row(text)]

    def close(self) -> None:
        """Stop listening."""
        if self._child.stdout is not None:
            self._child.stdout.close()

    def _failed(self) -> Problem:
        return failed("the journal can't be read: {}".format(self._words or "it ended"), "fab doctor tells why")

    def _row(self, text: str) -> Iterator[tuple[str, Line]]:
        try:
            row: dict[str, Any] = json.loads(text)
            at = int(row["__REALTIME_TIMESTAMP"]) / 1_000_000
            message = row.get("MESSAGE")
        except (ValueError, KeyError, TypeError):
            self._words = text  # sudo's, the helper's or journalctl's own
            return
        if isinstance(message, list):  # what isn't text comes as numbers
            message = bytes(message).decode("utf-8", "replace")
        unit = str(row.get("UNIT") or row.get("_SYSTEMD_UNIT") or "")
        name = unit.partition("@")[2] if unit.startswith(self._prefix + "@") else unit
        for line in str(message or "").split("\n"):
            yield str(row.get("__CURSOR")), [at, name.rpartition(".service")[0] or name, line]
