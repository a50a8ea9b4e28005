"""Secrets, found by value in whatever is about to be printed, and hidden.

A secret reaches our output through a failing command's last lines, a URL or a header more easily than by its
name, so it is looked for by its value, in every spelling that we know of.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
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
    """Replaces secret values wherever they stand in a text, also where they have been encoded and folded.

    A name and password in a URL are hidden whether anybody gave them or not: git prints those of a remote.
    """

    def __init__(self, values: Iterable[str]) -> None:
        self.values = tuple(dict.fromkeys(values))
        # The longest first, so that a secret that begins another one does not leave the other's end.
        found = {form for value in self.values for form in _forms(value)}
        self._forms = sorted(found, key=lambda form: (-len(form), form))

    def text(self, text: str) -> str:
        """`text` without the secrets; it has as many lines as before."""
        bare = text.replace("\n", "")
        forms = [form for form in self._forms if form in bare]
        if forms:
            text = re.sub("|".join(_BREAK.join(map(re.escape, form)) for form in forms), _hidden, text)
        return _CREDENTIALS.sub(rf"\1\2{HIDDEN}@", text) if "://" in text else text

    def lines(self, lines: Sequence[str]) -> list[str]:
        """Each of `lines` without the secrets, also those that go on in the next line."""
        counts = [line.count("\n") + 1 for line in lines]
        masked = self.text("\n".join(lines)).split("\n")
        starts = [0, *accumulate(counts)]
        return ["\n".join(masked[start : start + count]) for start, count in zip(starts, counts, strict=False)]

    def tree(self, value: Any) -> Any:
        """The same for every text inside lists and mappings."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.tree(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return self.lines(value) if all(isinstance(item, str) for item in value) else [*map(self.tree, value)]
        return value


_BREAK = r"\n?"
"""Encoders fold their lines (base64 at 76 columns), wherever that falls."""
_CREDENTIALS = re.compile(r"(\bhttps?://)[^\s/@]+@|(\b[a-z][a-z0-9+.-]*://)[^\s/@:]*:[^\s/@]+@", re.I)


def _hidden(found: re.Match[str]) -> str:
    return HIDDEN + "\n" * found.group().count("\n")


def _forms(value: str) -> set[str]:
    """Every spelling of `value` that must not be printed; a value of several lines counts line by line too."""
    whole = value.replace("\\n", "\n")
    parts = {part.strip() for part in (value, whole, *whole.splitlines())}
    found = {form for part in parts if len(part) >= SHORTEST_SECRET for form in _spelled(part)}
    return {form for form in found if len(form) >= SHORTEST_SECRET}


def _spelled(value: str) -> Iterator[str]:
    data = value.encode("utf-8", "surrogateescape")
    yield from (value.replace("\n", ""), json.dumps(value)[1:-1], repr(value)[1:-1])
    # As shlex.quote has it, and a browser's page.
    yield from (value.replace("'", "'\"'\"'"), html.escape(value), html.escape(value, quote=False))
    for coded in (quote(data, safe=""), quote(data), quote_plus(data)):
        yield from (coded, re.sub("%..", lambda match: match[0].lower(), coded))
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
