"""Bytes that come in pieces, as whole lines of text."""

from __future__ import annotations

LONGEST = 64 << 10
"""Bytes of a line; what is longer is told in pieces of that size."""


class LineReader:
    """Keeps the beginning of a line until its end has come; holds at most `LONGEST` bytes."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, piece: bytes) -> list[str]:
        """The lines that `piece` completes, without their line ends."""
        *whole, self._held = (self._held + piece).split(b"\n")
        found = [text for line in whole for text in _pieces(line)]
        while len(self._held) > LONGEST:
            found.append(_text(self._held[:LONGEST]))
            self._held = self._held[LONGEST:]
        return found

    @property
    def holds(self) -> bool:
        """Whether a line has begun whose end hasn't come."""
        return bool(self._held)

    def rest(self) -> list[str]:
        """What is held, as a line, at the end of it all; none if nothing is."""
        held, self._held = self._held, b""
        return [_text(held)] if held else []


def _pieces(line: bytes) -> list[str]:
    return [_text(line[start : start + LONGEST]) for start in range(0, max(len(line), 1), LONGEST)]


def _text(line: bytes) -> str:
    return (line[:-1] if line.endswith(b"\r") else line).decode("utf-8", "replace")
