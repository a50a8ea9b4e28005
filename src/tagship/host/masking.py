"""Putting secrets out of sight, in every spelling in which a command or a service is likely to print them."""

from __future__ import annotations

import base64
import re
from typing import Iterator
from urllib.parse import quote, quote_plus

MASK = "•••"
_SHORTEST = 4


def mask(lines: list[str], values: dict[str, str]) -> list[str]:
    """`lines` with every value of 4 characters or more put out of sight: raw, quoted, URL-encoded or in base64.

    As many lines come out as went in. The longest spelling first, so that a secret that begins another one doesn't
    leave the other's end.
    """
    spelled = {form for value in values.values() if len(value) >= _SHORTEST for form in _forms(value)}
    if not lines or not spelled:
        return lines
    patterns = [_BREAK.join(map(re.escape, form)) for form in sorted(spelled, key=lambda form: (-len(form), form))]
    return re.sub("|".join(patterns), _hidden, "\n".join(lines)).split("\n")


def _hidden(found: re.Match[str]) -> str:
    return MASK + "\n" * found.group().count("\n")


_BREAK = r"\n?"
"""Encoders fold their lines (base64 at 76 columns), wherever that falls."""


def _forms(value: str) -> Iterator[str]:
    data = value.encode("utf-8", "surrogateescape")
    found = [value, repr(value)[1:-1], value.encode("unicode_escape").decode()]
    for coded in (quote(data, safe=""), quote(data), quote_plus(data)):
        found += [coded, re.sub("%..", lambda match: match.group().lower(), coded)]
    found += _inside_base64(data)
    return (form for form in found if len(form) >= _SHORTEST)


def _inside_base64(data: bytes) -> Iterator[str]:
    """What `data` looks like inside a longer base64 text, in both alphabets.

    Three bytes make four characters, so there are three ways for `data` to lie in its groups; only the characters
    whose six bits are all bits of `data` are the same whatever stands around it.
    """
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + data).decode()
        sure = coded[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]
        yield sure
        yield sure.replace("+", "-").replace("/", "_")
