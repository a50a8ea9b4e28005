"""GitHub's expressions, as many of them as our workflows use; whatever else is an error, never an empty text.

Grammar: `||`, `&&`, `==`, `!=`, `!`, parentheses, 'texts', numbers, true, false, names such as `github.ref_name`, and
the functions of `if:` that ask how the job stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

Value = str | bool | float
Contexts = Mapping[str, Mapping[str, str]]
Functions = Mapping[str, Callable[[], bool]]

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>\d+)|(?P<name>[A-Za-z_][\w.-]*)|(?P<sign>\|\||&&|==|!=|!|\(|\)))"
)


class Unknown(Exception):
    """Something that this evaluator doesn't know, or that isn't to be had in that place."""


def interpolate(text: str, contexts: Contexts) -> str:
    """`text` with each `${{ ... }}` in it replaced by its value."""
    return re.sub(r"\$\{\{(.*?)\}\}", lambda found: shown(evaluate(found[1], contexts, {})), text, flags=re.S)


def holds(condition: str, contexts: Contexts, functions: Functions) -> bool:
    """Whether an `if:` lets its step or job run; without a status function it means `success() && (...)`."""
    inner = re.fullmatch(r"\s*\$\{\{(.*)\}\}\s*", condition, re.S)
    condition = inner[1] if inner else condition
    asks = any(re.search(rf"\b{name}\s*\(", condition) for name in functions)
    return bool(evaluate(condition, contexts, functions)) and (asks or functions["success"]())


def evaluate(expression: str, contexts: Contexts, functions: Functions) -> Value:
    """The value of one expression. Raises `Unknown`."""
    parser = _Parser(_tokens(expression), contexts, functions)
    value = parser.either()
    if parser.tokens:
        raise Unknown(f"{parser.tokens[0][1]!r} in `{expression}`")
    return value


def shown(value: Value) -> str:
    """A value as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else value


def _tokens(expression: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while expression[at:].strip():
        match = _TOKEN.match(expression, at)
        if match is None or match.lastgroup is None:
            raise Unknown(f"`{expression[at:]}` in `{expression}`")
        found.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return found


class _Parser:
    """Recursive descent; each method takes what it knows from the front of `tokens`."""

    def __init__(self, tokens: list[tuple[str, str]], contexts: Contexts, functions: Functions) -> None:
        self.tokens = tokens
        self.contexts = contexts
        self.functions = functions

    def takes(self, *signs: str) -> str | None:
        if self.tokens and self.tokens[0][0] == "sign" and self.tokens[0][1] in signs:
            return self.tokens.pop(0)[1]
        return None

    def either(self) -> Value:
        value = self.both()
        while self.takes("||"):
            other = self.both()
            value = value or other
        return value

    def both(self) -> Value:
        value = self.equal()
        while self.takes("&&"):
            other = self.equal()
            value = other if value else value
        return value

    def equal(self) -> Value:
        value = self.one()
        while sign := self.takes("==", "!="):
            same = _folded(value) == _folded(self.one())
            value = same if sign == "==" else not same
        return value

    def one(self) -> Value:
        if self.takes("!"):
            return not self.one()
        if self.takes("("):
            value = self.either()
            self.expect(")")
            return value
        if not self.tokens or self.tokens[0][0] == "sign":
            raise Unknown("a value is missing")
        kind, text = self.tokens.pop(0)
        if kind == "text":
            return text[1:-1].replace("''", "'")
        if kind == "number":
            return float(text)
        return self.named(text)

    def named(self, name: str) -> Value:
        if name in {"true", "false"}:
            return name == "true"
        if self.takes("("):
            self.expect(")")
            if name not in self.functions:
                raise Unknown(f"{name}()")
            return self.functions[name]()
        context, _dot, key = name.partition(".")
        if context not in self.contexts:
            raise Unknown(f"the context of `{name}`, here")
        if key not in self.contexts[context]:
            raise Unknown(f"`{name}`")
        return self.contexts[context][key]

    def expect(self, sign: str) -> None:
        if not self.takes(sign):
            raise Unknown(f"a {sign} is missing")


def _folded(value: Value) -> Value:
    """GitHub compares texts without regard to case."""
    return value.casefold() if isinstance(value, str) else value
