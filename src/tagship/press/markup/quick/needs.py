"""What a regular expression needs: text that any match holds, where in the match it stands, and how one may begin.

Read from the expression as Python's own compiler parsed it. Everything here errs on one side: what isn't understood
needs nothing and may begin with anything, so that whoever leaves a try out on this word leaves out none that matches.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

NEAR = 8
"""How far from the start of a match its needed text may stand for `scanner` to look for that text first."""

Scan = Callable[[str, int], Iterator["re.Match[str]"]]
"""Like `Pattern.finditer` with text and position."""

_CATEGORIES = {
    sre.CATEGORY_DIGIT: r"\d",
    sre.CATEGORY_NOT_DIGIT: r"\D",
    sre.CATEGORY_SPACE: r"\s",
    sre.CATEGORY_NOT_SPACE: r"\S",
    sre.CATEGORY_WORD: r"\w",
    sre.CATEGORY_NOT_WORD: r"\W",
}
_REPEATS = frozenset({sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT})


@dataclass(frozen=True)
class Need:
    """Any match holds one of `texts`, which begins `least` to `most` characters after the match does.

    `most` is None where that is not bounded, or not known.
    """

    texts: tuple[str, ...]
    least: int = 0
    most: int | None = None

    @property
    def is_near(self) -> bool:
        """Whether its place tells where a match may begin."""
        return self.most is not None and self.most - self.least <= NEAR and len(self.texts) == 1


@lru_cache(maxsize=1024)
def need_of(pattern: re.Pattern[str]) -> Need | None:
    """The most telling need of `pattern`, None where none is found."""
    if pattern.flags & re.IGNORECASE:
        return None
    try:
        found = list(_needs(_parsed(pattern), 0, 0))
    except (ValueError, TypeError, re.error):
        return None
    return max(found, key=_worth, default=None)


def scanner(pattern: re.Pattern[str], need: Need | None) -> Scan:
    """`pattern.finditer`, which tries only where the needed text stands, if it stands near the start of a match."""
    if need is None or not need.is_near:
        return pattern.finditer
    text, least, most = need.texts[0], need.least, need.most or 0
    match = pattern.match

    def scan(data: str, begin: int) -> Iterator[re.Match[str]]:
        at = data.find(text, begin + least)
        while at >= 0:
            for start in range(max(at - most, begin), at - least + 1):
                if found := match(data, start):
                    yield found
                    begin = found.end()
                    break
                begin = start + 1
            at = data.find(text, max(at + 1, begin + least))

    return scan


def may_begin(pattern: re.Pattern[str], character: str) -> bool:
    """Whether a match of `pattern` may begin where `character` stands; True also for one that may be empty."""
    try:
        return _begins(_parsed(pattern), character, pattern.flags) is not False
    except (ValueError, TypeError, re.error):
        return True


@lru_cache(maxsize=4096)
def _parsed(pattern: re.Pattern[str]) -> Sequence[Any]:
    return list(parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG))


def _worth(need: Need) -> tuple[bool, bool, int]:
    return len(need.texts) == 1, need.is_near, min(map(len, need.texts))


def _needs(items: Iterable[Any], least: int, most: int | None) -> Iterable[Need]:
    """The needs of a sequence that begins `least` to `most` characters after the match."""
    run, run_least, run_most = "", least, most
    for op, value in _flat(items):
        if op is sre.LITERAL:
            if not run:
                run_least, run_most = least, most
            run += chr(value)
            least, most = least + 1, None if most is None else most + 1
            continue
        if run:
            yield Need((run,), run_least, run_most)
            run = ""
        yield from _needs_of(op, value, least, most)
        low, high = _width(op, value)
        least, most = least + low, None if most is None or high is None else most + high
    if run:
        yield Need((run,), run_least, run_most)


def _needs_of(op: Any, value: Any, least: int, most: int | None) -> Iterable[Need]:
    """The needs of one item that isn't a literal."""
    if op in _REPEATS and value[0] >= 1:
        once = list(value[2])
        if len(once) == 1 and once[0][0] is sre.LITERAL:
            yield Need((chr(once[0][1]) * value[0],), least, most)
        else:
            yield from _needs(once, least, most)
    elif op is sre.IN and len(value) <= 4 and all(kind is sre.LITERAL for kind, _ in value):
        yield Need(tuple(chr(code) for _, code in value), least, most)
    elif op is sre.BRANCH:
        ways = [list(_needs(way, least, most)) for way in value[1]]
        if all(ways):
            yield _any_of(ways)
    elif op is sre.ASSERT and value[0] > 0:
        yield from (Need(need.texts) for need in _needs(value[1], 0, None))
    elif op is sre.ATOMIC_GROUP:
        yield from _needs(value, least, most)


def _any_of(ways: Sequence[Sequence[Need]]) -> Need:
    """What a choice needs: a text that every way needs, or else one of each."""
    shared = set.intersection(*({need.texts for need in way} for way in ways))
    if shared:
        return Need(max(shared, key=lambda texts: (min(map(len, texts)), texts)))
    best = [max(way, key=_worth) for way in ways]
    return Need(tuple(dict.fromkeys(text for need in best for text in need.texts)))


def _flat(items: Iterable[Any]) -> Iterable[tuple[Any, Any]]:
    """The items without groups that change no flag."""
    for op, value in items:
        if op is sre.SUBPATTERN:
            if value[1] & re.IGNORECASE:
                # Not known letter by letter; its width counts still.
                yield op, value
            else:
                yield from _flat(value[3])
        else:
            yield op, value


def _width(op: Any, value: Any) -> tuple[int, int | None]:  # noqa: PLR0911 - a case each
    """How many characters one item takes, at least and at most."""
    if op in {sre.AT, sre.ASSERT, sre.ASSERT_NOT}:
        return 0, 0
    if op in {sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN, sre.RANGE, sre.CATEGORY}:
        return 1, 1
    if op is sre.BRANCH:
        widths = [_total(way) for way in value[1]]
        highs = [high for _, high in widths]
        return min(low for low, _ in widths), None if None in highs else max(high or 0 for high in highs)
    if op in _REPEATS:
        low, high = _total(value[2])
        endless = value[1] is sre.MAXREPEAT or high is None
        return low * value[0], None if endless else (high or 0) * value[1]
    if op is sre.SUBPATTERN:
        return _total(value[3])
    if op is sre.ATOMIC_GROUP:
        return _total(value)
    return 0, None


def _total(items: Iterable[Any]) -> tuple[int, int | None]:
    least, most = 0, 0
    endless = False
    for op, value in items:
        low, high = _width(op, value)
        least += low
        most += high or 0
        endless = endless or high is None
    return least, None if endless else most


def _begins(items: Iterable[Any], character: str, flags: int) -> bool | None:
    """Whether the sequence may begin with `character`; None when it can't, but may be empty."""
    for op, value in items:
        told = _item_begins(op, value, character, flags)
        if told is not None:
            return told
    return None


def _item_begins(op: Any, value: Any, character: str, flags: int) -> bool | None:  # noqa: PLR0911 - a case each
    if op in {sre.LITERAL, sre.NOT_LITERAL, sre.IN}:
        return _in(op, value, character, flags)
    if op is sre.ANY:
        return character != "\n" or bool(flags & re.DOTALL)
    if op is sre.SUBPATTERN:
        return _begins(value[3], character, (flags | value[1]) & ~value[2])
    if op is sre.ATOMIC_GROUP:
        return _begins(value, character, flags)
    if op is sre.BRANCH:
        told = [_begins(way, character, flags) for way in value[1]]
        return True if True in told else None if None in told else False
    if op in _REPEATS:
        first = _begins(value[2], character, flags)
        return None if first is False and value[0] == 0 else first
    if op is sre.ASSERT and value[0] > 0:
        return False if _begins(value[1], character, flags) is False else None
    if op in {sre.AT, sre.ASSERT, sre.ASSERT_NOT}:
        return None
    return True


def _in(op: Any, value: Any, character: str, flags: int) -> bool:
    """Whether one character's item takes `character`."""
    if op is sre.NOT_LITERAL:
        return bool(flags & re.IGNORECASE) or ord(character) != value
    options = [(op, value)] if op is sre.LITERAL else list(value)
    negated = options[0][0] is sre.NEGATE
    if not flags & re.IGNORECASE:
        return _one_of(options[1:] if negated else options, character, flags) is not negated
    # Beyond ASCII, letters are equal in more ways than by their two cases.
    if negated or not character.isascii() or not all(_is_ascii(*option) for option in options):
        return True
    return any(_one_of(options, each, flags) for each in (character.lower(), character.upper()))


def _is_ascii(op: Any, value: Any) -> bool:
    return op is sre.CATEGORY or bool((value if op is sre.LITERAL else value[1]) < 128)


def _one_of(options: Sequence[tuple[Any, Any]], character: str, flags: int) -> bool:
    return any(_takes(op, value, character, flags) for op, value in options)


def _takes(op: Any, value: Any, character: str, flags: int) -> bool:
    if op is sre.LITERAL:
        return bool(ord(character) == value)
    if op is sre.RANGE:
        return bool(value[0] <= ord(character) <= value[1])
    return _category(value, bool(flags & re.ASCII)).match(character) is not None


@lru_cache(maxsize=32)
def _category(value: Any, is_ascii: bool) -> re.Pattern[str]:
    if value not in _CATEGORIES:
        raise ValueError(value)
    return re.compile(_CATEGORIES[value], re.ASCII if is_ascii else 0)
