"""Python-Markdown's inline pass without the tries that can't match.

Upstream tries each of its patterns on each piece of text: some thirty, with smarty's. Here a pattern is tried only on
text that holds what any match of it must hold (`needs`), and only where that stands. A text that holds none of it all
is left alone. What a pattern then makes of a match is its own affair, as upstream has it: extensions see the same
calls in the same order. `Plan` is made of the registry as it is, and made again when that has changed.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as etree
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from markdown.inlinepatterns import Delimiter, DelimiterProcessor, Pattern
from markdown.inlinepatterns import InlineProcessor as InlinePattern
from markdown.treeprocessors import InlineProcessor
from markdown.util import ETX, INLINE_PLACEHOLDER_PREFIX, INLINE_PLACEHOLDER_RE, STX, AtomicString

from tagship.press.markup.quick.needs import Need, Scan, need_of, scanner

_PLACEHOLDER_LETTERS = frozenset(INLINE_PLACEHOLDER_PREFIX + ETX + "0123456789")
Placed = list[tuple[etree.Element, list[str]]]
"""Elements that take the place of placeholders, each with the names of the tags around it."""


@dataclass(frozen=True, slots=True)
class _Try:
    """One pattern of the registry: its place there, the texts one of which a match holds, how it is looked for."""

    index: int
    pattern: Any
    texts: tuple[str, ...]
    scan: Scan
    is_new: bool


class Plan:
    """Which patterns of a registry may match which texts."""

    def __init__(self, patterns: Sequence[Any]) -> None:
        self.patterns = tuple(patterns)
        self.compiled = tuple(map(_compiled, self.patterns))
        self.tries = tuple(_try_of(index, pattern) for index, pattern in enumerate(self.patterns))
        texts = dict.fromkeys(text for each in self.tries for text in each.texts)
        self.bits = tuple((text, 1 << number) for number, text in enumerate((INLINE_PLACEHOLDER_PREFIX, *texts), 1))
        self.always = int(any(not each.texts for each in self.tries))
        self.known: dict[int, tuple[_Try, ...]] = {}
        self.idle = frozenset(text for text in ("\n", " ") if not self.seen(text))
        """Texts that stand everywhere and that nothing can be done to."""

    def still_holds(self, patterns: Sequence[Any]) -> bool:
        """Whether the registry and the expressions in it are what this was made of."""
        return len(patterns) == len(self.patterns) and all(
            new is old and _compiled(new) is compiled
            for new, old, compiled in zip(patterns, self.patterns, self.compiled, strict=True)
        )

    def seen(self, data: str) -> int:
        """Which of the needed texts `data` holds, a bit each; 0 if nothing can be done to it."""
        found = self.always
        for text, bit in self.bits:
            if text in data:
                found |= bit
        return found

    def tries_for(self, seen: int) -> tuple[_Try, ...]:
        """The patterns that may match, in order."""
        tries = self.known.get(seen)
        if tries is None:
            held = {text for text, bit in self.bits if seen & bit}
            tries = tuple(each for each in self.tries if not each.texts or held.intersection(each.texts))
            self.known[seen] = tries
        return tries


def _compiled(pattern: Any) -> Any:
    return getattr(pattern, "compiled_re", None)


def _try_of(index: int, pattern: Any) -> _Try:
    is_new = isinstance(pattern, InlinePattern)
    compiled = _compiled(pattern)
    if type(pattern).getCompiledRegExp is not Pattern.getCompiledRegExp or not isinstance(compiled, re.Pattern):
        # It decides anew each time what it looks for.
        return _Try(index, pattern, (), lambda data, begin: pattern.getCompiledRegExp().finditer(data, begin), is_new)
    need = need_of(compiled)
    return _Try(index, pattern, _steady(need), scanner(compiled, need), is_new)


def _steady(need: Need | None) -> tuple[str, ...]:
    """The texts of a need, unless one could appear while placeholders are put in."""
    if need is None or any(_PLACEHOLDER_LETTERS.intersection(text) for text in need.texts):
        return ()
    return need.texts


class Delimiters(DelimiterProcessor):
    """Upstream's pattern for `*` and `_`, which goes from one mark to the next, and takes plain pairs at once."""

    def plain_pairs(self, data: str, begin: int) -> Iterator[tuple[etree.Element, int, int]]:
        """The elements for `*this*` and `**this**` from `begin` on, and where each begins and ends.

        A mark that opens and the next one that closes, alike, and neither could be something else: so upstream
        finds them too, without its book-keeping. It ends before the first mark that is anything more.
        """
        if self.regions or any(len(token) != 1 for token in self.tokens):
            return
        opening: re.Match[str] | None = None
        delimiter: Delimiter | None = None
        done = begin
        for found in self.compiled_re.finditer(data, begin):
            at = found.start()
            if at < done:
                continue
            here = self.delimiters[found[0]]
            mark = here.boundary.match(data, at)
            if delimiter is None or opening is None:
                if mark is None or mark.lastgroup != "start" or here.tag_count != 2 or mark.end() - at > 2:
                    return
                opening, delimiter, done = mark, here, mark.end()
            elif mark is not None and (here is delimiter or mark.lastgroup != "end"):
                size = opening.end() - opening.start()
                if here is not delimiter or mark.lastgroup != "end" or mark.end() - at != size:
                    return
                done = mark.end()
                # What stands right behind would see a placeholder before it: that is looked at again.
                if data[done : done + 1] in self.delimiters:
                    return
                element = etree.Element(delimiter.tags[0] if size == 2 else delimiter.tags[1])
                element.text = data[opening.end() : at]
                yield element, opening.start(), done
                opening = delimiter = None

    def search(self, data: str, start: int) -> re.Match[str] | None:
        """The next mark from `start` on that opens or closes something."""
        if any(len(token) != 1 for token in self.tokens):
            return super().search(data, start)
        for found in self.compiled_re.finditer(data, start):
            delimiter = self.delimiters[found[0]]
            mark = delimiter.boundary.match(data, found.start())
            if mark is not None and (delimiter.stack or mark.lastgroup != "end"):
                return mark
        return None


def run(processor: InlineProcessor, plan: Plan, tree: etree.Element) -> etree.Element:
    """What `processor.run(tree)` does; `plan` is that of its registry as it is now."""
    return _Pass(processor, plan).run(tree)


class _Pass:
    """One run over one tree; what extensions may look at is kept on the processor, where upstream keeps it."""

    def __init__(self, processor: Any, plan: Plan) -> None:
        self.processor = processor
        self.plan = plan
        self.stash: dict[str, etree.Element | str] = {}
        processor.stashed_nodes = self.stash

    def run(self, tree: etree.Element) -> etree.Element:
        processor = self.processor
        parents = {child: parent for parent in tree.iter() for child in parent}
        processor.parent_map = parents
        seen, idle = self.plan.seen, self.plan.idle
        waiting: deque[tuple[etree.Element, list[str]]] = deque([(tree, [tree.tag.lower()])])
        while waiting:
            current, ancestors = waiting.popleft()
            processor.ancestors = ancestors
            if current is not tree:
                ancestors.append(current.tag.lower())
            placed: list[tuple[etree.Element, Placed]] = []
            for child in current:
                text = child.text
                if text and text not in idle and not isinstance(text, AtomicString) and seen(text):
                    found = self.replace_text(child, text)
                    for node, _ in found:
                        parents[node] = child
                    waiting.extend(found)
                    placed.append((child, found))
                tail = child.tail
                if tail and tail not in idle and seen(tail):
                    self.replace_tail(current, child, tail)
                if len(child):
                    parents[child] = current
                    waiting.append((child, ancestors[:]))
            for element, found in placed:
                for position, (node, _) in enumerate(found):
                    element.insert(position, node)
        return tree

    def replace_text(self, child: etree.Element, text: str) -> Placed:
        """Take the text of `child` apart; its words are put back, what stood between them is returned."""
        ancestors = self.processor.ancestors
        ancestors.append(child.tag.lower())
        child.text = None
        found = self.place(self.handle(text, 0), child, True)
        ancestors.pop()
        return found

    def replace_tail(self, parent: etree.Element, child: etree.Element, tail: str) -> None:
        """The same for the text after `child`; what stood in it goes into `parent`."""
        handled = self.handle(tail, 0)
        bearer = etree.Element("d")
        child.tail = None
        found = self.place(handled, bearer, False)
        if bearer.tail:
            child.tail = bearer.tail
        if found:
            position = list(parent).index(child) + 1
            for node, _ in reversed(found):
                self.processor.parent_map[node] = parent
                parent.insert(position, node)

    def handle(self, data: str, first: int) -> str:
        """`data` with a placeholder for each match of the patterns from number `first` on."""
        if isinstance(data, AtomicString):
            return data
        seen = self.plan.seen(data)
        if not seen:
            return data
        changed = False
        for each in self.plan.tries_for(seen):
            if each.index < first or (changed and each.texts and not any(text in data for text in each.texts)):
                continue
            apply = self.apply if each.is_new else self.apply_old
            begin = 0
            if type(each.pattern) is Delimiters and not each.pattern.ANCESTOR_EXCLUDES:
                data, begin = self.apply_pairs(each, data)
                changed = changed or begin > 0
            data, matched, start = apply(each, data, begin)
            while matched:
                changed = True
                data, matched, start = apply(each, data, start)
        return data

    def apply(self, each: _Try, data: str, begin: int) -> tuple[str, bool, int]:
        """One match of a pattern from `begin` on: the new text, whether there was one, and where to go on."""
        pattern = each.pattern
        if pattern.ANCESTOR_EXCLUDES and self.is_excluded(pattern):
            return data, False, 0
        for match in each.scan(data, begin):
            node, start, end = pattern.handleMatch(match, data)
            if start is not None and end is not None:
                break
        else:
            return data, False, 0
        if node is None:
            return data, True, end
        placeholder = self.keep(node, each.index)
        return f"{data[:start]}{placeholder}{data[end:]}", True, start + len(placeholder)

    def apply_pairs(self, each: _Try, data: str) -> tuple[str, int]:
        """All matches for plain emphasis that come first: the new text, and where to go on."""
        out: list[str] = []
        at = length = 0
        for node, start, end in each.pattern.plain_pairs(data, 0):
            words, placeholder = data[at:start], self.keep(node, each.index)
            out += (words, placeholder)
            length += len(words) + len(placeholder)
            at = end
        return ("".join(out) + data[at:], length) if out else (data, 0)

    def apply_old(self, each: _Try, data: str, begin: int) -> tuple[str, bool, int]:
        """The same for a pattern of the old kind, whose expression takes in the whole text."""
        pattern = each.pattern
        match = None if self.is_excluded(pattern) else pattern.getCompiledRegExp().match(data[begin:])
        if not match:
            return data, False, 0
        node = pattern.handleMatch(match)
        if node is None:
            return data, True, match.end(0)
        placeholder = self.keep(node, each.index)
        before, rest = data[:begin] + match[1], match.groups()[-1]
        return f"{before}{placeholder}{rest}", True, len(before) + len(placeholder)

    def is_excluded(self, pattern: Any) -> bool:
        """Whether the pattern isn't wanted inside the elements around this text."""
        return any(name.lower() in self.processor.ancestors for name in pattern.ANCESTOR_EXCLUDES)

    def keep(self, node: etree.Element | str, index: int) -> str:
        """Put away what pattern `index` made, once the later patterns have seen its text; returns the placeholder."""
        if not isinstance(node, str) and not isinstance(node.text, AtomicString):
            for child in [node, *node]:
                if child.text:
                    self.processor.ancestors.append(child.tag.lower())
                    child.text = self.handle(child.text, index + 1)
                    self.processor.ancestors.pop()
                if child.tail:
                    child.tail = self.handle(child.tail, index)
        name = f"{len(self.stash):04d}"
        self.stash[name] = node
        return f"{INLINE_PLACEHOLDER_PREFIX}{name}{ETX}"

    def place(self, data: str, parent: etree.Element, is_text: bool) -> Placed:
        """Give the words of `data` to `parent` and to the elements that placeholders stand for; return those."""
        if INLINE_PLACEHOLDER_PREFIX not in data:
            _put(data, parent, is_text)
            return []
        placed: Placed = []
        at = 0

        def put(words: str) -> None:
            if placed:
                _put(words, placed[-1][0], False)
            else:
                _put(words, parent, is_text)

        while (index := data.find(INLINE_PLACEHOLDER_PREFIX, at)) != -1:
            found = INLINE_PLACEHOLDER_RE.search(data, index)
            node = self.stash.get(found[1]) if found else None
            if found is None or node is None:
                # Not one of ours: it stays as it is.
                end = index + len(INLINE_PLACEHOLDER_PREFIX)
                put(data[at:end])
                at = end
                continue
            put(data[at:index])
            at = found.end()
            if isinstance(node, str):
                put(node)
            else:
                self.open(node)
                placed.append((node, self.processor.ancestors[:]))
        rest = data[at:]
        put(AtomicString(rest) if isinstance(data, AtomicString) else rest)
        return placed

    def open(self, node: etree.Element) -> None:
        """Put elements for the placeholders inside `node`."""
        for child in [node, *node]:
            if child.tail and STX in child.tail and child.tail.strip():
                self.open_text(node, child, False)
            if child.text and STX in child.text and child.text.strip():
                self.open_text(child, child, True)

    def open_text(self, node: etree.Element, child: etree.Element, is_text: bool) -> None:
        if is_text:
            data, child.text = child.text or "", None
        else:
            data, child.tail = child.tail or "", None
        found = self.place(data, child, is_text)
        position = list(node).index(child) + 1 if not is_text and node is not child else 0
        for new, _ in reversed(found):
            node.insert(position, new)


def _put(words: str, element: etree.Element, is_text: bool) -> None:
    """Add words to the text of an element, or to what follows it."""
    if not words:
        return
    if is_text:
        element.text = element.text + words if element.text else words
    else:
        element.tail = element.tail + words if element.tail else words
