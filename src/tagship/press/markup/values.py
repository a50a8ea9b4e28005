"""What goes into an engine and what comes out: plain values that travel between processes."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

WORDS_A_MINUTE = 230
"""What an adult reads silently: 238 words of English non-fiction a minute (Brysbaert 2019), rounded down."""

_HEADING = re.compile(r"<h([1-6])\b([^>]*)>(.*?)</h\1>", re.S)
_ID = re.compile(r'<[a-zA-Z][^<>]*?\sid="([^"]*)"')
_TARGET = re.compile(r'<[a-zA-Z][^<>]*?\s(?:href|src|poster)="([^"]*)"')
_MORE = re.compile(r"<!--\s*more\s*-->")
_CODE = re.compile(r"<(pre|script|style|math)\b.*?</\1>", re.S)
_NOTE = re.compile(r'<sup\b[^>]*(?:id="fnref|class="footnote-ref).*?</sup>', re.S)
_TAG = re.compile(r"<!--.*?-->|<[^>]*>", re.S)


@dataclass(frozen=True)
class Text:
    """Markdown to render; `name` and `first_line` place it in its file."""

    name: str
    body: str
    first_line: int


@dataclass(frozen=True)
class Links:
    """What a text may point at: the address of each source file, and of each asset by its plain name."""

    pages: Mapping[str, str] = field(default_factory=dict)
    assets: Mapping[str, str] = field(default_factory=dict)


class Heading(NamedTuple):
    """A heading with an id: its level (1 to 6), the id, its words as plain text, and its HTML without links."""

    level: int
    id: str
    text: str
    html: str


@dataclass(frozen=True)
class Rendered:
    """The HTML of one text, its first paragraph as plain text, and warnings that begin with `file:line: `.

    All else is read from the HTML when it is first asked for, so that a page which shows none of it pays nothing.
    """

    html: str
    lead: str
    warnings: tuple[str, ...] = ()

    @cached_property
    def headings(self) -> tuple[Heading, ...]:
        """The headings that a link can lead to, in order."""
        found = []
        for level, attributes, inner in _HEADING.findall(self.html):
            named = re.search(r'\sid="([^"]*)"', attributes)
            if named:
                shown = re.sub(r"</?a\b[^>]*>", "", _NOTE.sub("", inner)).strip()
                found.append(Heading(int(level), html.unescape(named[1]), plain(shown), shown))
        return tuple(found)

    @cached_property
    def toc(self) -> str:
        """The table of contents as nested lists of links, "" where there is no heading."""
        return contents(self.headings)

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Every id of an element, in order and as often as it stands there."""
        return tuple(html.unescape(name) for name in _ID.findall(self.html))

    @cached_property
    def links(self) -> tuple[str, ...]:
        """What it points at (`href`, `src`, `poster`), in order, each once."""
        return tuple(dict.fromkeys(html.unescape(target) for target in _TARGET.findall(self.html)))

    @cached_property
    def excerpt(self) -> str:
        """The HTML above `<!--more-->`; "" where nobody wrote that: then `lead` is what there is."""
        above, mark, _ = self._divided
        return above.rstrip() if mark else ""

    @cached_property
    def words(self) -> int:
        """How many words there are to read, code and formulas aside."""
        return len(plain(_CODE.sub(" ", self.html)).split())

    @property
    def minutes(self) -> int:
        """How long that takes, in whole minutes, at least one."""
        return max(1, math.ceil(self.words / WORDS_A_MINUTE))

    @property
    def _divided(self) -> tuple[str, str, str]:
        mark = _MORE.search(self.html)
        if mark is None:
            return self.html, "", ""
        return self.html[: mark.start()], mark[0], self.html[mark.end() :]


def contents(headings: tuple[Heading, ...]) -> str:
    """`headings` as nested lists; a level that is skipped makes no empty list."""
    out: list[str] = []
    open_levels: list[int] = []
    for heading in headings:
        while open_levels and heading.level < open_levels[-1] and len(open_levels) > 1:
            out.append("</li></ul>")
            open_levels.pop()
        if not open_levels or heading.level > open_levels[-1]:
            out.append("<ul>")
            open_levels.append(heading.level)
        else:
            out.append("</li>")
            open_levels[-1] = heading.level
        out.append(f'<li><a href="#{html.escape(heading.id)}">{heading.html}</a>')
    return "".join(out) + "</li></ul>" * len(open_levels)


def plain(markup: str) -> str:
    """Some HTML as plain text on one line."""
    return " ".join(html.unescape(_TAG.sub("", markup)).split())


def lead_of(body: str) -> str:
    """The first paragraph of some HTML as plain text, at most 300 characters: whole sentences where they fit."""
    paragraph = re.search(r"<p>(.*?)</p>", body, re.S)
    if paragraph is None:
        return ""
    text = plain(_NOTE.sub("", paragraph[1]))
    if len(text) <= 300:
        return text
    whole = re.match(r"(.{60,300}[.!?…]['\"”’»)]*)\s", text[:302])
    return whole[1] if whole else text[:300].rpartition(" ")[0].rstrip(",;:–—") + " …"
