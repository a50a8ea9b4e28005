"""Numbers that programs get as they are, and people in the words that they use."""

from __future__ import annotations

URLS_SHOWN = 20
"""URLs of each kind of change that a plan prints and a webhook is sent; the rest is counted."""


def counted(number: int, word: str) -> str:
    """`1 page`, `12 pages`: for words whose plural takes an s."""
    return f"{number} {word}{'s' * (number != 1)}"


def human_bytes(count: int) -> str:
    """24310 bytes as people read them: `24 KB` (decimal units)."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if count >= size:
            value = count / size
            return f"{value:.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}"
    return f"{count} bytes"


class Bytes(int):
    """A number of bytes: for programs the number, for people the words."""

    def __str__(self) -> str:
        return human_bytes(self)


class Age(int):
    """A number of seconds: for programs the number, for people its largest unit."""

    def __str__(self) -> str:
        for seconds, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
            if self >= seconds:
                return f"{self // seconds} {unit}"
        return f"{int(self)} s"


class Differences(int):
    """How many things aren't as they should be: for programs the number, for people `none` where it is none."""

    def __str__(self) -> str:
        return str(int(self)) if self else "none"
