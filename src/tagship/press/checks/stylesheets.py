"""Stylesheets laid flat: the rules that hold on a wide screen, light or dark, with their variables filled in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_COMMENT = re.compile(r"/\*.*?\*/", re.S)
_VARIABLE = re.compile(r"(--[\w-]+)\s*:\s*([^;}]+)")
_USE = re.compile(r"var\(\s*(--[\w-]+)\s*(?:,([^()]*))?\)")
_BACKGROUND = re.compile(r"(?<![\w-])background\s*:\s*(?=#|rgb|hsl|[a-z]+\s*[;}!]|var\()", re.I)
_ROOTS = re.compile(r"(?:^|,)\s*(?::root|html)\s*(?:,|$)")
_NESTED_FEW = 10
"""How deep variables may name each other."""


class Rule(NamedTuple):
    """A selector and its declarations, as text."""

    selector: str
    body: str


def flat(css: str, scheme: str) -> str:
    """The rules of `css` that hold on a wide screen in `scheme`, without at-rules and variables."""
    rules = list(_rules(_COMMENT.sub(" ", css), scheme))
    variables = {
        name: value.strip()
        for rule in rules
        if _ROOTS.search(rule.selector)
        for name, value in _VARIABLE.findall(rule.body)
    }
    text = "\n".join(f"{rule.selector} {{{rule.body}}}" for rule in rules)
    for _ in range(_NESTED_FEW):
        filled = _USE.sub(lambda use: str(variables.get(use[1], use[2] or "unset")), text)
        if filled == text:
            break
        text = filled
    # The shorthand is what people write; the cascade knows the property by its own name.
    return _BACKGROUND.sub("background-color: ", text)


def has_dark(css: str) -> bool:
    """Whether it looks different at night."""
    return re.search(r"prefers-color-scheme\s*:\s*dark", css) is not None


def _rules(css: str, scheme: str) -> Iterator[Rule]:
    at = 0
    while (opened := css.find("{", at)) >= 0:
        closed = _end(css, opened)
        # What ends with a semicolon before it is a statement such as @import or @charset.
        prelude = css[at:opened].rpartition(";")[2].strip()
        body = css[opened + 1 : closed]
        at = closed + 1
        if not prelude.startswith("@"):
            yield Rule(prelude, body)
        elif _holds(prelude, scheme):
            yield from _rules(body, scheme)


def _end(css: str, opened: int) -> int:
    depth = 0
    for match in re.compile(r"[{}]").finditer(css, opened):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return match.start()
    return len(css)


def _holds(prelude: str, scheme: str) -> bool:
    name, _, query = prelude.lower().partition(" ")
    if name in ("@supports", "@layer"):
        return True
    if name != "@media" or "max-width" in query or "reduced-motion" in query:
        return False
    if "print" in query and "screen" not in query:
        return False
    wanted = re.search(r"prefers-color-scheme\s*:\s*(\w+)", query)
    return wanted is None or wanted[1] == scheme
