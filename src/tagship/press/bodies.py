"""What became of the bodies of texts: HTML in a few large files, and beside it a small value for each.

A segment is written by one process, at its end; what a newer body replaces stays in it until it is cleaned. A body
is read by place and length and held against its digest, so a segment that was cut or changed is only a reason to
render again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tagship.errors import TagshipError
from tagship.press.reads import digest


class Body(msgspec.Struct, frozen=True, array_like=True):
    """What one body became."""

    file: bytes
    """The digest of the file that was rendered."""
    html: bytes
    """The digest of its HTML."""
    segment: str
    offset: int
    length: int
    lead: str
    """Its first paragraph as plain text."""
    reads: tuple[str, ...] = ()
    """What was asked while it was rendered: addresses of other texts, and assets."""
    warnings: tuple[str, ...] = ()


class LostBody(TagshipError):
    """A segment doesn't hold what it should."""


class Segments:
    """The folder of segments: one of them open for writing, all of them for reading."""

    def __init__(self, folder: Path, own: str) -> None:
        self.folder = folder
        self.own = own
        self.writer: int | None = None
        self.end = 0
        self.readers: dict[str, int] = {}

    def append(self, html: str) -> tuple[str, int, int, bytes]:
        """Keep a body; returns its segment, place, length in bytes and digest."""
        data = html.encode()
        if self.writer is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self.writer = os.open(self.folder / self.own, flags, 0o644)
            self.end = os.lseek(self.writer, 0, os.SEEK_END)
        at = self.end
        view = memoryview(data)
        while view:
            view = view[os.write(self.writer, view) :]
        self.end += len(data)
        return self.own, at, len(data), digest(data)

    def html(self, body: Body) -> str:
        """The HTML of `body`; raises `LostBody` when it is not there any more."""
        try:
            if body.segment not in self.readers:
                self.readers[body.segment] = os.open(self.folder / body.segment, os.O_RDONLY | os.O_CLOEXEC)
            data = os.pread(self.readers[body.segment], body.length, body.offset)
        except OSError:
            data = b""
        if digest(data) != body.html:
            raise LostBody("a rendered text was lost", where=body.segment, cure="inv clean, and build again")
        return data.decode()

    def close(self) -> None:
        """Close every file."""
        for handle in (*self.readers.values(), *([] if self.writer is None else [self.writer])):
            os.close(handle)
        self.readers.clear()
        self.writer = None

    def clean(self, bodies: Mapping[str, Body]) -> None:
        """Remove the segments that no body lies in."""
        used = {body.segment for body in bodies.values()}
        for path in self.folder.glob("bodies-*"):
            if path.name not in used:
                path.unlink(missing_ok=True)


def wasted(folder: Path, bodies: Mapping[str, Body]) -> bool:
    """Whether most of what the segments hold is of bodies that are gone: then it pays to render all again."""
    held = sum(path.stat().st_size for path in folder.glob("bodies-*"))
    return held > 4_000_000 and held > 4 * sum(body.length for body in bodies.values())
