"""The lines between `---` at the top of a post or page, as checked fields with their line numbers."""

from __future__ import annotations

import datetime as dt
import difflib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from tagship import yamltext
from tagship.errors import ContentError

MAX_BYTES = 4_000_000
"""No post that a person writes is larger; a hostile one is refused before it is parsed."""

_END = re.compile(r"^(?:---|\.\.\.)[ \t]*$", re.M)


@dataclass(frozen=True)
class Source:
    """One text file of the site, split: `name` is its path inside the project, `first_line` that of `body`."""

    name: str
    fields: dict[str, Any]
    lines: dict[str, int]
    """The line of the file on which each key of the front matter stands."""
    body: str
    first_line: int

    def error(self, what: str, key: str = "", cure: str = "") -> ContentError:
        """A `ContentError` at the line of `key`, or at the top when the key isn't there."""
        return ContentError(
            f"`{key}` {what}" if key else what, path=self.name, line=self.lines.get(key, 1), cure=cure
        )


def parse(data: bytes, name: str) -> Source:
    """Split the bytes of a file called `name` in messages.

    Raises `ContentError` for a file that is too large, not UTF-8, without front matter or with front matter that
    is not closed, not YAML or not a mapping.
    """
    if len(data) > MAX_BYTES:
        raise ContentError(f"is larger than {MAX_BYTES:,} bytes", path=name, cure="split it")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ContentError(
            f"not UTF-8: byte 0x{data[error.start]:02x}", path=name, line=line, cure="save it as UTF-8"
        ) from None
    return split(text.replace("\r\n", "\n").replace("\r", "\n"), name)


_YAML_CURE = 'mend the YAML; a value with `: ` or ` #` inside wants quotes: "..."'
_DATE_CURE = "write: {key}: 2026-11-30, or {key}: 2026-11-30 09:30, with a zone such as +01:00 if you like"


def split(text: str, name: str) -> Source:
    """`parse` for a text that is decoded already; its lines end with `\\n`."""
    head, newline, rest = text.partition("\n")
    if head.rstrip() != "---":
        raise ContentError(
            "has no front matter", path=name, line=1, cure="begin with: ---, then title: ..., then ---, a line each"
        )
    end = _END.search(rest)
    if not newline or end is None:
        raise ContentError(
            "the front matter is opened and never closed", path=name, line=1, cure="end it with a line `---`"
        )
    try:
        document = yamltext.load(rest[: end.start()], first_line=2)
    except yamltext.YamlProblem as problem:
        key = f"`{problem.key}`: " if problem.key else ""
        raise ContentError(
            f"{key}{problem.what}",
            path=name,
            line=problem.mark.line,
            column=problem.mark.column,
            cure=_DATE_CURE.format(key="date") if problem.key == "date" else _YAML_CURE,
        ) from None
    fields = {} if document.data is None else document.data
    if not isinstance(fields, dict):
        raise ContentError(
            "the front matter is not a mapping", path=name, line=2, cure="write `key: value`, a line each"
        )
    lines = {key: document.mark((key,)).line for key in fields}
    first_line = 2 + rest.count("\n", 0, end.end()) + 1
    return Source(name, fields, lines, rest[end.end() :].removeprefix("\n"), first_line)


def check_keys(source: Source, known: frozenset[str]) -> None:
    """Raise `ContentError` for a key that is not in `known`, naming the one that was probably meant."""
    for key in source.fields:
        if key not in known:
            close = difflib.get_close_matches(key, sorted(known), 1)
            cure = f"did you mean `{close[0]}`?" if close else f"known here: {', '.join(sorted(known))}"
            raise source.error("is not a key of the front matter", key, cure)


def text_of(
    source: Source, key: str, check: Callable[[str], str | None] | None = None, *, cure: str = ""
) -> str | None:
    """The text at `key`, None when it is left out; `check` says what is wrong with it, and `cure` how to mend it."""
    value = source.fields.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        kind = type(value).__name__
        raise source.error(f"must be text; YAML reads {value} as {kind}", key, f'quote it: {key}: "{value}"')
    control = _control(value)
    if control:
        raise source.error(control, key, "take it out")
    wrong = check(value) if check else None
    if wrong:
        raise source.error(wrong, key, cure)
    return value.strip()


def flag_of(source: Source, key: str) -> bool:
    """The `true` or `false` at `key`, false when it is left out."""
    value = source.fields.get(key, False)
    if not isinstance(value, bool):
        raise source.error("must be true or false", key, f"write: {key}: true")
    return value


def texts_of(source: Source, key: str) -> tuple[str, ...]:
    """The list of texts at `key`, each once, in the order they were written."""
    value = source.fields.get(key)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise source.error("must be a list", key, f"write: {key}: [one, two]")
    for item in value:
        if not isinstance(item, str):
            raise source.error(f"holds {item}, which is not text", key, f'quote it: "{item}"')
        if _control(item) or not item.strip():
            raise source.error(f"holds {item!r}", key, "each is a short text")
    return tuple(dict.fromkeys(item.strip() for item in value))


def number_of(source: Source, key: str) -> float:
    """The number at `key`, 0 when it is left out."""
    value = source.fields.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise source.error("must be a number", key, f"write: {key}: 10")
    return float(value)


def mapping_of(source: Source, key: str) -> dict[str, Any]:
    """The mapping at `key`, as plain values; empty when it is left out."""
    value = source.fields.get(key, {})
    if not isinstance(value, dict):
        raise source.error("must be a mapping", key, f"write: {key}: {{colour: red}}")
    plain = _plain(value)
    assert isinstance(plain, dict)
    return plain


def _plain(value: Any) -> Any:
    """Dates and endless numbers as text: what templates are told is written and read again between builds."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value)
    return value.isoformat() if isinstance(value, dt.date) else value


def date_of(source: Source, key: str, zone: ZoneInfo) -> dt.datetime | None:
    """The moment at `key` in `zone`, None when it is left out; a bare day is its midnight there."""
    value = source.fields.get(key)
    if value is None:
        return None
    cure = _DATE_CURE.format(key=key)
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(re.sub(r"\s+(?=[+-]\d|Z)", "", value.strip()))
        except ValueError:
            raise source.error(f"is not a date: {value}", key, cure) from None
    if not isinstance(value, dt.date):
        raise source.error(f"is not a date: {value}", key, cure)
    if not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day)
    if not 1900 <= value.year <= 9998:
        raise source.error(f"is in the year {value.year}", key, cure)
    return value.replace(tzinfo=zone) if value.tzinfo is None else value.astimezone(zone)


def _control(text: str) -> str | None:
    for character in text:
        if (ord(character) < 32 and character not in "\t\n") or 127 <= ord(character) < 160:
            return f"holds the control character U+{ord(character):04X}"
    return None
