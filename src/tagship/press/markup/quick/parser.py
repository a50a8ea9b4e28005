"""Python-Markdown's block parser, which asks of a block only those processors that could want it.

Upstream asks each of its processors in order, a regular expression or two each. What those ask for is known: text
that the block must hold (`needs`), or the character that it must begin with. A processor whose `test` isn't
upstream's own is always asked.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as etree
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from markdown import blockprocessors as upstream
from markdown.blockparser import BlockParser
from markdown.extensions import abbr, admonition, def_list, footnotes, tables
from markdown.util import Registry

from tagship.press.markup.quick.needs import may_begin, need_of

_SEARCHED: Mapping[Any, str] = {
    upstream.HashHeaderProcessor.test: "RE",
    upstream.HRProcessor.test: "SEARCH_RE",
    upstream.BlockQuoteProcessor.test: "RE",
    def_list.DefListProcessor.test: "RE",
}
"""Tests that say no unless the expression of that name is found somewhere in the block."""
_MATCHED: Mapping[Any, str] = {
    upstream.SetextHeaderProcessor.test: "RE",
    upstream.OListProcessor.test: "RE",
}
"""Tests that say no unless the expression matches where the block begins."""
_RUN_SEARCHED: Mapping[Any, str] = {
    upstream.ReferenceProcessor.run: "RE",
    footnotes.FootnoteBlockProcessor.run: "RE",
    abbr.AbbrBlockprocessor.run: "RE",
}
"""Those whose `test` says yes to everything, and whose `run` gives back the block in which nothing is found."""
_INDENTED = frozenset({upstream.ListIndentProcessor.test, upstream.CodeBlockProcessor.test})


class _Asked(NamedTuple):
    """A processor, and what a block must have for it to be asked."""

    test: Callable[[etree.Element, str], bool]
    run: Callable[[etree.Element, list[str]], bool | None]
    texts: tuple[str, ...]
    expression: re.Pattern[str] | None
    only: str | None


class Versioned(Registry[Any]):
    """A registry that counts its changes."""

    version = 0

    def register(self, item: Any, name: str, priority: float) -> None:
        """Add a processor, as upstream does."""
        self.version += 1
        super().register(item, name, priority)

    def deregister(self, name: str, strict: bool = True) -> None:
        """Take a processor out, as upstream does."""
        self.version += 1
        super().deregister(name, strict)


class Parser(BlockParser):
    """Upstream's parser with the registry's order kept, and processors sorted out by a block's first character."""

    blockprocessors: Versioned
    _made_of: tuple[int, int] = (-1, -1)

    def parseBlocks(self, parent: etree.Element, blocks: list[str]) -> None:
        """Give each block to the first processor that takes it."""
        while blocks:
            block = blocks[0]
            for test, run, text, others in self._asked(block[:1]):
                if text and text not in block and not any(other in block for other in others):
                    continue
                if test(parent, block) and run(parent, blocks) is not False:
                    break

    def _asked(self, first: str) -> list[tuple[Any, Any, str, tuple[str, ...]]]:
        """Whom to ask about a block that begins with `first`."""
        state = (id(self.blockprocessors), self.blockprocessors.version)
        if state != self._made_of:
            self._made_of = state
            self._all = [_asked_of(each) for each in self.blockprocessors]
            self._by_first: dict[str, list[tuple[Any, Any, str, tuple[str, ...]]]] = {}
        known = self._by_first.get(first)
        if known is None:
            known = [
                (each.test, each.run, each.texts[0] if each.texts else "", each.texts[1:])
                for each in self._all
                if _may_begin(each, first)
            ]
            self._by_first[first] = known
        return known


def _may_begin(asked: _Asked, first: str) -> bool:
    if asked.only is not None:
        return first == asked.only or not first
    return not first or asked.expression is None or may_begin(asked.expression, first)


def _asked_of(processor: Any) -> _Asked:
    kind = type(processor)
    texts: tuple[str, ...] = ()
    expression = only = None
    searched = _SEARCHED.get(kind.test) or _RUN_SEARCHED.get(kind.run)
    if searched:
        need = need_of(getattr(processor, searched))
        texts = need.texts if need else ()
    elif kind.test in _MATCHED:
        expression = getattr(processor, _MATCHED[kind.test])
        need = need_of(expression)
        texts = need.texts if need else ()
    elif kind.test is tables.TableProcessor.test:
        texts = ("|",)
    elif kind.test in _INDENTED:
        only = " "
    elif kind.test is upstream.EmptyBlockProcessor.test:
        only = "\n"
    test = _sparing(processor) if kind.test is admonition.AdmonitionProcessor.test else processor.test
    return _Asked(test, processor.run, texts, expression, only)


def _sparing(processor: Any) -> Callable[[etree.Element, str], bool]:
    """The test of admonitions, where there may be one: it is begun in this block, or goes on from the one above."""

    def test(parent: etree.Element, block: str) -> bool:
        is_far = processor.current_sibling is None and (not len(parent) or parent[-1].tag != "div")
        return not (is_far and "!!!" not in block) and bool(processor.test(parent, block))

    return test
