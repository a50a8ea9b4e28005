"""Putting secrets out of sight, in every spelling in which a command or a service is likely to print them."""

from __future__ import annotations

import base64
import json
import re
from typing import Iterator
from urllib.parse import quote, quote_plus

MASK = "•••"
_SHORTEST = 4
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\S+ \S+\[\d+\]: ")
"""What systemd's journal puts before each line."""
_BREAK = r"\n?"
"""Encoders fold their lines (base64 at 76 columns), wherever that falls."""
_END = 6
"""Characters of a secret's end that are looked for where a text begins in the middle of it."""
_LAST = 20


def mask(lines: list[str], values: dict[str, str]) -> list[str]:
    """`lines` with every value of 4 characters or more put out of sight: raw, quoted, URL-encoded or in base64.

    As many lines come out as went in. The longest spelling first, so that a secret that begins another one doesn't
    leave the other's end.
    """
    spelled = {form for value in values.values() for form in _forms(value)}
    stamps = [found.group() if found else "" for found in map(_STAMP.match, lines)]
    text = "\n".join(line[len(stamp) :] for line, stamp in zip(lines, stamps))  # noqa: B905 - Python 3.9
    bare = text.replace("\n", "")
    forms = sorted((form for form in spelled if form in bare), key=lambda form: (-len(form), form))
    if not forms:
        return lines
    text = re.sub("|".join(_BREAK.join(map(re.escape, form)) for form in forms), _hidden, text)
    return [stamp + line for stamp, line in zip(stamps, text.split("\n"))]  # noqa: B905


def last_words(lines: list[str], values: dict[str, str]) -> list[str]:
    """The last 20 of `lines`, masked before they are chosen; at their very beginning a secret may be cut in two."""
    if not lines:
        return lines
    spelled = {form for value in values.values() for form in _forms(value)}
    first = _STAMP.sub("", lines[0])
    ends = (size for form in spelled for size in range(len(form) - 1, _END - 1, -1) if first.startswith(form[-size:]))
    size = max(ends, default=0)
    whole = [lines[0][: len(lines[0]) - len(first)] + MASK + first[size:], *lines[1:]] if size else lines
    return mask(whole, values)[-_LAST:]


def _hidden(found: re.Match[str]) -> str:
    return MASK + "\n" * found.group().count("\n")


def _forms(value: str) -> set[str]:
    """Every spelling; a value with line breaks in it, or `\\n` for such, is hidden line by line too."""
    whole = value.replace("\\n", "\n")
    values = {value, whole, *whole.splitlines()}
    return {form for one in values if len(one) >= _SHORTEST for form in _spelled(one) if len(form) >= _SHORTEST}


def _spelled(value: str) -> Iterator[str]:
    data = value.encode("utf-8", "surrogateescape")
    escaped = json.dumps(value)[1:-1]
    markup = value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    found = [value.replace("\n", ""), repr(value)[1:-1], value.encode("unicode_escape").decode(), escaped, markup]
    found += [escaped.replace("/", "\\/"), markup.replace("'", "&#x27;"), markup.replace("'", "&#39;")]
    found += [value.replace("'", "'\"'\"'"), value.replace("'", "'\\''")]
    for coded in (quote(data, safe=""), quote(data), quote_plus(data)):
        found += [coded, re.sub("%..", lambda match: match.group().lower(), coded)]
    for form in (*found, *_inside_base64(data)):
        yield form


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
