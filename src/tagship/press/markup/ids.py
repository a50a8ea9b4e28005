"""Ids of headings, as Python-Markdown's extension `toc` makes them with `slugify_unicode`; without importing it."""

from __future__ import annotations

import re
from collections.abc import Iterable

_NEITHER = re.compile(r"[^\w\s-]")
_BETWEEN = re.compile(r"[-\s]+")
_COUNTED = re.compile(r"(.*)_([0-9]+)\Z", re.S)


class Ids:
    """The ids of one text, each once."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.taken = set(taken)

    def of(self, text: str) -> str:
        """A new id for a heading with these words: `_1`, `_2` and so on tell equal ones apart."""
        name = _BETWEEN.sub("-", _NEITHER.sub("", text).strip().lower())
        while name in self.taken or not name:
            counted = _COUNTED.match(name)
            name = f"{counted[1]}_{int(counted[2]) + 1}" if counted else f"{name}_1"
        self.taken.add(name)
        return name
