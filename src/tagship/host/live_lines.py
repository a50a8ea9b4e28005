"""Bytes that come in pieces, as whole lines of text."""

from __future__ import annotations

LONGEST = 64 << 10
"""Bytes of a line; what is longer is told in pieces of that size."""


class LineReader:
    """Keeps the beginning of a line until its end has come; holds at most `longest` bytes."""

    def __init__(self, longest: int = LONGEST) -> None:
        self._held = b""
        self._longest = longest

    def feed(self, piece: bytes) -> list[str]:
        """The lines that `piece` completes, without their line ends."""
        *whole, self._held = (self._held + piece).split(b"\n")
        found = [text for line in whole for text in self._cut(line)]
        while len(self._held) > self._longest:
            found.append(_text(self._held[: self._longest]))
            self._held = self._held[self._longest :]
        return found

    @property
    def holds(self) -> bool:
        """Whether a line has begun whose end hasn't come."""
        return bool(self._held)

    def rest(self) -> list[str]:
        """What is held, as a line, at the end of it all; none if nothing is."""
        held, self._held = self._held, b""
        return [_text(held)] if held else []

    def _cut(self, line: bytes) -> list[str]:
        size = self._longest
        return [_text(line[start : start + size]) for start in range(0, max(len(line), 1), size)]


def _text(line: bytes) -> str:
    return (line[:-1] if line.endswith(b"\r") else line).decode("utf-8", "replace")
