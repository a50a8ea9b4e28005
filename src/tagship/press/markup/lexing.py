"""Pygments' tokens and Pygments' HTML, with the rules left out that can't match: the same bytes in less time.

A lexer tries the rules of its state in turn at each place of the code, some seventy in Python's. Which of them may
match where a given character stands can be read from their expressions (`quick.needs`), once per state and character;
only those are tried. Lexers that do their own walking, or have filters, are asked as they come.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pygments.lexer import Lexer, RegexLexer
from pygments.token import STANDARD_TYPES, Error, Whitespace, _TokenType

from tagship.press.markup.quick.needs import may_begin

Rules = tuple[tuple[Any, Any, Any], ...]
Token = tuple[int, _TokenType, str]


def quicken(lexer: Lexer) -> Lexer:
    """`lexer` itself, which finds its tokens faster if it is one that walks as most do."""
    walks = type(lexer).get_tokens_unprocessed is RegexLexer.get_tokens_unprocessed
    if walks and type(lexer).get_tokens is Lexer.get_tokens:
        walk = _Walk(lexer)
        # On the instance, so that rules which hand a part of the code back to their lexer find it too.
        lexer.get_tokens_unprocessed = walk.tokens  # type: ignore[method-assign]
    return lexer


class _Walk:
    """One lexer's states, each with the rules that may match by the character they stand at."""

    def __init__(self, lexer: Any) -> None:
        self.lexer = lexer
        self.states: dict[str, Any] = lexer._tokens
        self.by_character: dict[str, dict[str, Rules]] = {name: {} for name in self.states}

    def rules(self, state: str, character: str) -> Rules:
        """The rules of `state` that may match at `character`, "" for the end of the text."""
        every = self.states[state]
        found = tuple(rule for rule in every if not character or may_begin(rule[0].__self__, character))
        self.by_character[state][character] = found
        return found

    def tokens(self, text: str, stack: Iterable[str] = ("root",)) -> Iterator[Token]:
        """Place, kind and text of each token, as `RegexLexer.get_tokens_unprocessed` tells them."""
        lexer = self.lexer
        at, end = 0, len(text)
        states = list(stack)
        here = self.by_character[states[-1]]
        while True:
            character = text[at] if at < end else ""
            rules = here.get(character)
            if rules is None:
                rules = self.rules(states[-1], character)
            for match, action, new_state in rules:
                found = match(text, at)
                if found:
                    if type(action) is _TokenType:
                        yield at, action, found.group()
                    elif action is not None:
                        yield from action(lexer, found)
                    at = found.end()
                    if new_state is not None:
                        _go(states, new_state)
                        here = self.by_character[states[-1]]
                    break
            else:
                if at >= end:
                    return
                if character == "\n":
                    states = ["root"]
                    here = self.by_character["root"]
                    yield at, Whitespace, "\n"
                else:
                    yield at, Error, character
                at += 1


def _go(states: list[str], new_state: Any) -> None:
    """Change the stack of states as a rule says."""
    if isinstance(new_state, tuple):
        for state in new_state:
            if state == "#pop":
                if len(states) > 1:
                    states.pop()
            else:
                states.append(states[-1] if state == "#push" else state)
    elif isinstance(new_state, int):
        if abs(new_state) >= len(states):
            del states[1:]
        else:
            del states[new_state:]
    else:
        states.append(states[-1])


class _Spans(dict[Any, str]):
    """The opening tag for each kind of token, "" for one without a class."""

    def __missing__(self, asked: Any) -> str:
        # As `HtmlFormatter` names them: without the module that it is in, which brings all styles along.
        kind, names = asked, [_class_of(asked)]
        while kind not in STANDARD_TYPES:
            kind = kind.parent
            names.insert(0, _class_of(kind))
        classes = " ".join(names)
        self[asked] = made = f'<span class="{classes}">' if classes else ""
        return made


def _class_of(kind: Any) -> str:
    below = ""
    while kind not in STANDARD_TYPES:
        below = f"-{kind[-1]}{below}"
        kind = kind.parent
    return STANDARD_TYPES[kind] + below


_SPANS = _Spans()


def lines_of(lexer: Lexer, code: str) -> list[str]:
    """`code` as lines of HTML, each with its line end: together what `HtmlFormatter(nowrap=True)` makes of it."""
    lines: list[str] = []
    line = last = ""
    for _, kind, value in _tokens(lexer, code):
        span = _SPANS[kind]
        text = _escaped(value)
        if "\n" in text:
            *whole, text = text.split("\n")
            for part in whole:
                if line and part and span != last:
                    lines.append(f"{line}{_end(last)}{span}{part}{_end(span)}\n")
                elif line:
                    lines.append(f"{line}{part}{_end(last)}\n")
                else:
                    lines.append(f"{span}{part}{_end(span)}\n" if part else "\n")
                line = ""
        if not text:
            continue
        if not line:
            line, last = span + text, span
        elif span == last:
            line += text
        else:
            line, last = f"{line}{_end(last)}{span}{text}", span
    return [*lines, f"{line}{_end(last)}\n"] if line else lines


def _tokens(lexer: Any, code: str) -> Iterable[Token]:
    if "get_tokens_unprocessed" in vars(lexer) and not lexer.filters:
        # One of ours: `Lexer.get_tokens` would do just this, and hand each token on twice.
        made: Iterator[Token] = lexer.get_tokens_unprocessed(lexer._preprocess_lexer_input(code))
        return made
    return ((0, kind, value) for kind, value in lexer.get_tokens(code))


def _end(span: str) -> str:
    return "</span>" if span else ""


def _escaped(text: str) -> str:
    if "&" in text:
        text = text.replace("&", "&amp;")
    if "<" in text:
        text = text.replace("<", "&lt;")
    return text.replace(">", "&gt;") if ">" in text else text
