"""Every word we print: a live table for people, plain lines for logs, JSON Lines for programs.

A `Report` is a `Listener` with three faces. On a terminal it shows one live table with a row a host; where stdout
is no terminal, one line an event worth reading; with `json`, one event a line on stdout and nothing else, the
result last. Nothing else in tagship prints, and nothing that was given to `mask` gets out.
"""

from __future__ import annotations

import json as jsonlib
import os
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from tagship.errors import TagshipError
from tagship.events import Event
from tagship.masks import Mask
from tagship.wording import (
    RESULT,
    STEP_WORDS,
    Failure,
    amount,
    cell,
    clean,
    failure_lines,
    finding_lines,
    note_line,
    on_hosts,
    plan_lines,
    problem_lines,
    result_lines,
    said_line,
    step_line,
)

if TYPE_CHECKING:
    from rich.progress import Progress, Task, TaskID

HERE = "here"
"""The row of this machine, whose events name no host."""


class Face(Protocol):
    """One way to show what happens; secrets are hidden before it is told anything."""

    def event(self, event: Event) -> None: ...
    def failure(self, failure: Failure) -> None: ...
    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None: ...
    def line(self, text: str, style: str = "") -> None: ...
    def close(self) -> None: ...


class Report:
    """Listens to events and prints them on `stream`, failures on `err`; safe to call from several threads.

    `json` asks for JSON Lines. Writing never raises: a deploy doesn't stop because nobody reads its words.
    """

    def __init__(self, json: bool = False, stream: TextIO | None = None, err: TextIO | None = None) -> None:
        out = _Writer(stream or sys.stdout)
        self._lock = threading.RLock()
        self._mask = Mask(())
        face: Face
        if json:
            face = _JsonLines(out)
        elif out.is_terminal():
            face = _Live(out, _Writer(err or sys.stderr))
        else:
            face = _Plain(out, _Writer(err or sys.stderr))
        self._faces: list[Face] = [face]

    def tell_too(self, face: Face) -> None:
        """Tell `face` too, from now on, what the others are told."""
        with self._lock:
            self._faces.append(face)

    def __call__(self, event: Event) -> None:
        """Print one event."""
        with self._lock:
            masked = Event(event.name, self._mask.text(event.host), self._mask.tree(dict(event.data)))
            for face in self._faces:
                face.event(masked)

    def failure(self, error: TagshipError) -> None:
        """Print an error as where, what, cure and the last lines of what failed."""
        with self._lock:
            masked = Failure(**self._mask.tree(asdict(Failure.of(error))))
            for face in self._faces:
                face.failure(masked)

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Print rows under headings; as JSON a `row` event each, whose keys are the columns' names."""
        with self._lock:
            masked = self._mask.tree([list(row) for row in rows])
            for face in self._faces:
                face.table(self._mask.text(title), columns, masked)

    def lines(self, *text: str) -> None:
        """Print sentences; as JSON a `note` event each."""
        with self._lock:
            masked = self._mask.lines(text)
            for face in self._faces:
                for line in masked:
                    face.line(line)

    def heading(self, text: str) -> None:
        """Print a line that begins a new part."""
        with self._lock:
            for face in self._faces:
                face.line("")
                face.line(self._mask.text(text), "bold")

    def mask(self, values: Iterable[str]) -> None:
        """Never print these values again: raw, URL-encoded, or inside anything base64-encoded."""
        with self._lock:
            self._mask = Mask((*self._mask.values, *values))

    def close(self) -> None:
        """End the live table; as JSON, write the result, which is always the last line."""
        with self._lock:
            for face in self._faces:
                face.close()

    def __enter__(self) -> Report:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Writer:
    """A stream that is written to line by line, and whose end nobody mourns."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def is_terminal(self) -> bool:
        return self.stream.isatty() and os.environ.get("TERM") != "dumb"

    def isatty(self) -> bool:
        return self.stream.isatty()

    def write(self, text: str) -> int:
        """Write what the stream's encoding can hold, the rest as escapes; returns the number of characters."""
        try:
            return self.stream.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))
        except OSError:
            self.lose()
            return len(text)

    def flush(self) -> None:
        try:
            self.stream.flush()
        except OSError:
            self.lose()

    def line(self, text: str) -> None:
        self.write(text + "\n")
        self.flush()

    def lose(self) -> None:
        """The reader is gone or its disk is full: what is still to be said goes nowhere, the work goes on.

        The descriptor itself is turned away, so that Python's own flush at exit doesn't fail either.
        """
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.stream.fileno())
        os.close(nowhere)


class _JsonLines:
    """One event a line; the result is held back until the end, so that it is always the last one."""

    def __init__(self, out: _Writer) -> None:
        self.out = out
        self.began = time.monotonic()
        self.failed: Failure | None = None
        self.result: Mapping[str, Any] | None = None
        self.told: dict[str, float] = {}

    def event(self, event: Event) -> None:
        if event.name == "result":
            self.result = event.data
        elif event.name != "progress" or self.worth_telling(event):
            self.write(event.row())

    def worth_telling(self, event: Event) -> bool:
        """Whether this progress is a step's last, or the first of its host for half a second."""
        now = time.monotonic()
        if event.data.get("done") != event.data.get("total") and now - self.told.get(event.host, 0) < 0.5:
            return False
        self.told[event.host] = now
        return True

    def failure(self, failure: Failure) -> None:
        self.failed = failure
        self.write({"event": "error", **asdict(failure)})

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        keys = [column.lower().replace(" ", "_") for column in columns]
        for row in rows:
            self.write({"event": "row", "table": title, **dict(zip(keys, row, strict=True))})

    def line(self, text: str, style: str = "") -> None:  # noqa: ARG002 (programs see no styles)
        if text:
            self.write({"event": "note", "text": text, "level": "info"})

    def close(self) -> None:
        if self.result is None and self.failed is not None:
            self.result = {**self.failed.result(), "seconds": round(time.monotonic() - self.began, 3)}
        if self.result is not None:
            self.write({"event": "result", **RESULT, **self.result})
        self.result = self.failed = None

    def write(self, row: Mapping[str, Any]) -> None:
        self.out.line(jsonlib.dumps(row, ensure_ascii=True, default=str))


_LINES = {"plan": plan_lines, "finding": finding_lines, "problem": problem_lines, "result": result_lines}
"""Events that are lines of text, whatever the face."""


class _Plain:
    """One line an event worth reading, the host before it; no escape codes."""

    def __init__(self, out: _Writer, err: _Writer) -> None:
        self.out = out
        self.err = err

    def event(self, event: Event) -> None:
        data = event.data
        if event.name == "step":
            self.step(event)
        elif event.name == "phase":
            self.line(f"{data['phase']}{on_hosts(data.get('hosts', 0))}", "bold")
        elif event.name == "note":
            self.line(*note_line(event))
        elif event.name == "line":
            self.said(event)
        elif event.name == "sql":
            self.sql(event)
        elif event.name in _LINES:
            for text, style in _LINES[event.name](data):
                self.line(text, style)

    def step(self, event: Event) -> None:
        if event.data["state"] != "begin":
            self.line(step_line(event))

    def sql(self, event: Event) -> None:
        """Statements of one step, laid out."""
        from tagship.statements import heading, laid_out  # only one verb tells any

        self.line(heading(event.data), "bold")
        for text in laid_out(event.data["text"]):
            self.line(text)

    def said(self, event: Event) -> None:
        """What a command wrote to its stderr goes to ours, so that its output can be used."""
        if event.data.get("stream") == "err":
            self.err.line(clean(said_line(event)))
        else:
            self.line(said_line(event))

    def failure(self, failure: Failure) -> None:
        for text, _style in failure_lines(failure):
            self.err.line(clean(text))

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        cells = [[cell(value) for value in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
        if title:
            self.line(title)
        for row in (columns, *cells):
            self.line("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())

    def line(self, text: str, style: str = "") -> None:  # noqa: ARG002 (plain text has no styles)
        self.out.line(clean(text))

    def close(self) -> None:
        self.out.flush()


class _Live(_Plain):
    """One table that is redrawn in place, a row a host; everything else scrolls by above it."""

    def __init__(self, out: _Writer, err: _Writer) -> None:
        super().__init__(out, err)
        from rich.console import Console  # 35 ms that no other face has to wait for

        self.console = Console(file=out, markup=False, highlight=False, emoji=False)  # type: ignore[arg-type]
        self.errors = Console(file=err, markup=False, highlight=False, emoji=False)  # type: ignore[arg-type]
        self.progress: Progress | None = None
        self.rows: dict[str, TaskID] = {}

    def event(self, event: Event) -> None:
        if event.name == "progress":
            data = event.data
            self.update(
                event.host, data["step"], long=True, done=data["done"], total=data["total"], unit=data["unit"]
            )
        elif event.name == "result":
            self.close()
            super().event(event)
        else:
            super().event(event)

    def step(self, event: Event) -> None:
        state, title = event.data["state"], event.data["step"]
        words = STEP_WORDS[state]
        over = int(not event.host and state != "begin")  # of a hook's row nothing is left; hosts keep theirs
        self.update(event.host, f"{words}: {title}" if words else title, long=False, done=over, total=1, unit="")
        if "FAILED" in words:
            super().step(event)

    def update(self, host: str, step: str, *, long: bool, done: int, total: int, unit: str) -> None:
        progress = self.progress = self.progress or self.start()
        shown: dict[str, Any] = {"description": clean(step), "completed": done, "long": long, "unit": unit}
        if not host and done >= total:  # what this machine had to do is done; the table is the hosts'
            if host in self.rows:
                progress.remove_task(self.rows.pop(host))
        elif host in self.rows:
            progress.update(self.rows[host], total=total or 1, **shown)
        else:
            self.rows[host] = progress.add_task(total=total or 1, host=clean(host) or HERE, **shown)

    def start(self) -> Progress:
        from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
        from rich.table import Column
        from rich.text import Text

        class LongBar(BarColumn):
            def render(self, task: Task) -> Any:
                return super().render(task) if task.fields["long"] else Text("")

        class Amount(ProgressColumn):
            def render(self, task: Task) -> Text:
                return Text(amount(int(task.completed), int(task.total or 0), task.fields["unit"]))

        class Elapsed(ProgressColumn):
            def render(self, task: Task) -> Text:
                return Text(f"{task.elapsed or 0:.1f} s", style="dim")

        class Step(ProgressColumn):
            def render(self, task: Task) -> Text:
                return Text(task.description, no_wrap=True, overflow="ellipsis")

        def fixed() -> Column:
            return Column(no_wrap=True)

        progress = Progress(
            TextColumn("{task.fields[host]}", style="bold", markup=False, table_column=fixed()),
            Step(table_column=Column(no_wrap=False)),  # the only one that gives way on a narrow terminal
            LongBar(bar_width=24, table_column=fixed()),
            Amount(table_column=fixed()),
            Elapsed(table_column=fixed()),
            console=self.console,
            transient=True,  # its last step, with the time of all of them, would read as if that step took it
        )
        progress.start()
        return progress

    def sql(self, event: Event) -> None:
        from rich.text import Text

        from tagship.statements import coloured, heading

        self.line(heading(event.data), "bold")
        for parts in coloured(event.data["text"]):
            self.console.print(Text.assemble(*((clean(text), style) for text, style in parts)), soft_wrap=True)

    def failure(self, failure: Failure) -> None:
        from rich.text import Text

        self.close()
        if self.err.is_terminal():
            for text, style in failure_lines(failure):
                self.errors.print(Text(clean(text), style=style), soft_wrap=True)
        else:
            super().failure(failure)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        shown = Table(*columns, title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for row in rows:
            shown.add_row(*(Text(clean(cell(value))) for value in row))
        self.console.print(shown)

    def line(self, text: str, style: str = "") -> None:
        from rich.text import Text

        self.console.print(Text(clean(text), style=style), soft_wrap=True)

    def close(self) -> None:
        if self.progress is not None:
            for row in self.rows.values():
                self.progress.stop_task(row)
            self.progress.stop()
        self.progress, self.rows = None, {}
        super().close()
