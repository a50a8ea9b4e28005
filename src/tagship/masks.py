"""Secrets, found by value in whatever is about to be printed, and hidden.

A secret reaches our output through a failing command's last lines, a URL or a header more easily than by its
name, so it is looked for by its value, in every spelling that we know of.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

HIDDEN = "[hidden]"
SHORTEST_SECRET = 4
"""Characters; a shorter value would take half the words of every message with it."""

_TELLING = re.compile(r"secret|token|passw|credential|private|api_?key|deploy_key", re.I)
_SHORTEST_VALUE = 6  # characters; a shorter value stands in too many words


def secrets_of(environment: Mapping[str, str]) -> list[str]:
    """Values of variables whose names say that they are secret; in CI there are many."""
    return [value for name, value in environment.items() if _TELLING.search(name) and len(value) >= _SHORTEST_VALUE]


class Mask:
    """Replaces secret values wherever they stand in a text, also where they have been encoded."""

    def __init__(self, values: Iterable[str]) -> None:
        self.values = tuple(dict.fromkeys(values))
        forms = {form for value in self.values for form in _forms(value) if len(form) >= SHORTEST_SECRET}
        # The longest first, so that a secret that begins another one does not leave the other's end.
        ordered = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(re.escape(form) for form in ordered) or r"(?!)")

    def text(self, text: str) -> str:
        """`text` without the secrets."""
        return self._pattern.sub(HIDDEN, text)

    def tree(self, value: Any) -> Any:
        """The same for every text inside lists and mappings."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.tree(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.tree(item) for item in value]
        return value


def _forms(value: str) -> Iterator[str]:
    """Every spelling of `value` that must not be printed; a value of several lines counts line by line too."""
    for text in {part.strip() for part in (value, *value.splitlines())}:
        if len(text) >= SHORTEST_SECRET:
            yield from (text, json.dumps(text)[1:-1], repr(text)[1:-1])
            data = text.encode("utf-8", "surrogateescape")
            yield from (quote(data, safe=""), quote(data), quote_plus(data))
            yield from _inside_base64(data)


def _inside_base64(data: bytes) -> Iterator[str]:
    """What `data` looks like inside a longer base64 text, in both alphabets.

    Base64 codes three bytes at a time, so `data` may begin at any of three offsets in its group; only the
    characters that hold nothing but bits of `data` are the same whatever stands around it.
    """
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + data).decode()
        sure = coded[(before * 8 + 5) // 6 : (before + len(data)) * 8 // 6]
        yield from (sure, sure.replace("+", "-").replace("/", "_"))
