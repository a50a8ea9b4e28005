"""The verb `logs`: what the services of a stage say, page by page, secrets masked, and what they say from now on."""

from __future__ import annotations

import os
import re
import time
from typing import Any, Iterable, Optional, Protocol

from tagship.host import envs, files, stored, survey
from tagship.host.context import Args, Context
from tagship.host.faults import refused
from tagship.host.layout import Layout, serial_of
from tagship.host.live_lines import LineReader
from tagship.host.masking import mask

Line = list[Any]
"""`[at, unit, text]`: seconds since the epoch or null, a serial or a serial and a unit (`0007.worker`), the words."""

_PIECE = 128 << 10  # bytes read of a log at a time
_LOG = re.compile(r"([0-9]{4,9})(\.(?!stage\.)[a-z0-9-]+)?\.log\Z")
_OFTEN = 0.1  # seconds between two looks at files
_KEY = "logs"


class Source(Protocol):
    """Where lines come from."""

    def read(self) -> list[Line]:
        """The next lines, as many as fit into one answer; none if there are none now."""

    def more(self) -> bool:
        """Whether another `read` would give something at once."""


def logs(context: Context, args: Args) -> dict[str, Any]:
    """The next page of the service's output; the first question of a session begins at the last `lines` lines.

    `release` is whose, what is current if null. With `follow`, whatever any release says afterwards comes too; an
    answer then waits for it, `wait` seconds at most. `more`: another page is there already.
    """
    source: Optional[Source] = context.opened.get(_KEY)
    release = args.optional_release("release") or survey.read_current(context.layout)[1]
    if source is None:
        if release is None:
            raise refused("nothing is current, so there is no log", "fab deploy")
        if stored.find(context.layout, release) is None:
            raise refused(
                "there is no release {} on this host".format(release), "`fab releases` shows those there are"
            )
        follow, lines = bool(args.raw().get("follow")), int(args.number("lines"))
        if context.layout.ready is None:
            source = LogFiles(context.layout, release, lines, follow=follow)
        else:
            from tagship.host import live_journals  # only where units run

            source = live_journals.of(context, release, lines, follow=follow)
        context.opened[_KEY] = source
    until = time.monotonic() + min(args.number("wait"), 10.0)
    while True:
        found = source.read()
        if found or time.monotonic() >= until:
            break
        context.lifeline.wait(_OFTEN)
    return {"lines": _masked(context.layout, release, found), "more": source.more()}


def _masked(layout: Layout, release: Optional[str], found: list[Line]) -> list[Line]:
    if not found:
        return found
    declared = stored.find(layout, release) if release else None
    secrets = envs.secrets(layout, declared.settings.get("env") if declared else None)
    texts = mask([text for _, _, text in found], secrets)
    return [[at, unit, text] for (at, unit, _), text in zip(found, texts)]  # noqa: B905  strict= is of Python 3.10


class LogFiles:
    """The files that plain processes write to, `state/log/0007.log`; their lines carry no time."""

    def __init__(self, layout: Layout, release: str, lines: int, *, follow: bool) -> None:
        self._folder = layout.log
        self._follow = follow
        serial = "{:04d}".format(serial_of(release))
        self._logs = {}
        for name, unit in self._names():
            chosen = unit.partition(".")[0] == serial
            if chosen or follow:
                self._logs[name] = _Log(os.path.join(self._folder, name), unit, lines if chosen else 0)

    def read(self) -> list[Line]:
        """The next lines of the first log that has any."""
        for name, unit in self._names() if self._follow else ():
            if name not in self._logs:
                self._logs[name] = _Log(os.path.join(self._folder, name), unit, None)
        for log in self._logs.values():
            found = log.read(last=not self._follow)
            if found:
                return [[None, log.unit, text] for text in found]
        return []

    def more(self) -> bool:
        """Whether any log is longer than what was read of it."""
        return any(log.left(last=not self._follow) for log in self._logs.values())

    def _names(self) -> Iterable[tuple[str, str]]:
        for name in files.names(self._folder):
            match = _LOG.match(name)
            if match:
                yield name, match.group(1) + (match.group(2) or "").replace(".unit-", ".")


class _Log:
    """One file, opened for each look: one that was pruned is gone, one that was cut begins anew."""

    def __init__(self, path: str, unit: str, lines: Optional[int]) -> None:
        self.unit = unit
        self._path = path
        self._reader = LineReader()
        self._at = 0 if lines is None else _start_of_last(path, lines)

    def left(self, *, last: bool) -> bool:
        size = _size(self._path)
        return (size is not None and size != self._at) or (last and self._reader.holds)

    def read(self, *, last: bool) -> list[str]:
        size = _size(self._path)
        if size is None or size == self._at:
            return self._reader.rest() if last else []
        if size < self._at:
            self._at = 0
        fd = os.open(self._path, files.READ)
        try:
            found: list[str] = []
            while not found:
                piece = os.pread(fd, _PIECE, self._at)
                if not piece:
                    return self._reader.rest() if last else []
                self._at += len(piece)
                found = self._reader.feed(piece)
        finally:
            os.close(fd)
        return found


def _size(path: str) -> Optional[int]:
    try:
        return os.lstat(path).st_size
    except OSError:
        return None


def _start_of_last(path: str, lines: int) -> int:
    """Where the last `lines` lines of a file begin; looked for from its end, so that its size doesn't matter."""
    at = end = _size(path) or 0
    if not lines or not end:
        return end
    fd = os.open(path, files.READ)
    try:
        wanted = lines + (os.pread(fd, 1, end - 1) == b"\n")  # the line end of the last line begins no other
        while at:
            size = min(_PIECE, at)
            at -= size
            piece = os.pread(fd, size, at)
            if piece.count(b"\n") < wanted:
                wanted -= piece.count(b"\n")
                continue
            cut = len(piece)
            for _ in range(wanted):
                cut = piece.rindex(b"\n", 0, cut)
            return at + cut + 1
    finally:
        os.close(fd)
    return 0
