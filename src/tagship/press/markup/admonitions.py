"""Admonitions, which there are two ways to write: `!!! note "Title"` with indented lines, and `> [!NOTE] Title`.

Each engine knows one of them; here the other is brought to it.
"""

from __future__ import annotations

import re

KINDS = ("note", "tip", "important", "warning", "caution")
"""The kinds that GitHub's dialect knows."""
_OTHERS = {"danger": "caution", "error": "caution", "attention": "warning", "hint": "tip", "info": "note"}

ALERT = re.compile(rf"\[!({'|'.join(KINDS)})\](?: +([^\n]+))?(?:\n|\Z)", re.I)
"""How an alert's first paragraph begins."""

_OPENING = re.compile(r'!!! ?([\w-]+)[\w -]*?(?: +"(.*?)")? *\Z')
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")


def as_alerts(body: str) -> str:
    """`body` with each `!!!` at the margin written as an alert; code in fences is left alone."""
    out: list[str] = []
    fence = ""
    lines = body.split("\n")
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        mark = _FENCE.match(line)
        if mark and (not fence or mark[1].startswith(fence)):
            fence = "" if fence else mark[1]
        opening = None if fence else _OPENING.match(line)
        if opening is None:
            out.append(line)
            continue
        end = at
        while end < len(lines) and (not lines[end].strip() or lines[end].startswith("    ")):
            end += 1
        inside = [each[4:] for each in lines[at:end]]
        at = end
        out += ["", f"> [!{_kind(opening[1]).upper()}] {title(opening[1], opening[2]) or ''}".rstrip()]
        out += [f"> {each}".rstrip() for each in inside]
        out.append("")
    return "\n".join(out)


def title(kind: str, given: str | None) -> str:
    """What stands above an admonition: the title that was given, or its kind."""
    return given or kind.lower().capitalize()


def _kind(word: str) -> str:
    word = word.lower()
    return word if word in KINDS else _OTHERS.get(word, "note")
