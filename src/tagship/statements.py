"""SQL for people: laid out and coloured by sqlparse, which keeps every token as it was written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import sqlparse
from sqlparse import tokens

_FAR = 8
"""Blanks that a line begins with at most."""
_STYLES = (
    (tokens.Keyword, "bold cyan"),
    (tokens.Comment, "dim"),
    (tokens.Literal.String.Symbol, "yellow"),
    (tokens.Literal.String, "green"),
    (tokens.Literal.Number, "magenta"),
)


def heading(data: Mapping[str, Any]) -> str:
    """`default/polls.0003_votes, up`."""
    return f"{data['database']}/{data['step']}, {'down' if data['down'] else 'up'}"


def laid_out(text: str) -> list[str]:
    """`text` with a line for each part of a statement; what sqlparse can't lay out stays as it is."""
    found = [one for one in sqlparse.split(text) if one.strip()]
    lines = [line for one in found for line in str(sqlparse.format(one, reindent=True, wrap_after=80)).splitlines()]
    return [f"  {_nearer(line)}".rstrip() for line in lines if line.strip()]


def _nearer(line: str) -> str:
    """What sqlparse aligns with an opening bracket far to the right, not so far."""
    text = line.lstrip()
    return line if len(line) - len(text) <= _FAR else " " * _FAR + text


def coloured(text: str) -> Iterator[list[tuple[str, str]]]:
    """The lines of `laid_out`, each as pieces of text with their style on a terminal."""
    line: list[tuple[str, str]] = []
    for statement in sqlparse.parse("\n".join(laid_out(text))):
        for token in statement.flatten():  # type: ignore[no-untyped-call]
            style = next((style for kind, style in _STYLES if token.ttype in kind), "")
            first, *rest = str(token.value).split("\n")
            line.append((first, style))
            for piece in rest:
                yield line
                line = [(piece, style)]
    if any(piece for piece, _style in line):
        yield line
