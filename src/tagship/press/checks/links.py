"""Links, anchors and assets inside the site: each must lead to what is there."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from functools import cached_property
from urllib.parse import quote, urlsplit

from tagship.press.checks.page import Link, Page, place_of
from tagship.press.checks.site import Answer, Remark, Site

_ABSOLUTE = ("/", "http:", "https:", "mailto:")
_UNPUBLISHED = "the text isn't there, or isn't published: a draft, or dated in the future"
_TEXT_FRAGMENT = ":~:"
_TOP = frozenset({"", "top"})
"""Fragments that lead to the top of any page (HTML, 7.4.6.4)."""
_BAD = frozenset(' "<>\\^`{|}\t\n')


def check(site: Site) -> Iterator[Remark]:
    """Every address on every page; what one means wherever it stands is found out once."""
    judge = _Judge(site)
    for page in site.pages:
        turns: dict[str, int] = {}
        for link in page.links:
            verdict = judge.verdict(page, link) if link.element.tag != "form" else None
            if verdict is not None:
                turns[link.target] = turn = turns.get(link.target, 0) + 1
                yield Remark(page, place_of(link.element), *verdict, (link.target,), turn)


_Verdict = tuple[str, str, str]
"""Code, message and cure."""


class _Judge:
    """Says what is wrong with an address; remembers what it said of those that mean the same everywhere."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.near = _Near(site)
        self.known: dict[tuple[str, bool], _Verdict | None] = {}

    def verdict(self, page: Page, link: Link) -> _Verdict | None:
        """What is wrong with `link` on `page`, None where it is well."""
        if not link.target.startswith(_ABSOLUTE):
            return self.judge(page, link)
        key = (link.target, link.leads)
        if key not in self.known:
            self.known[key] = self.judge(page, link)
        return self.known[key]

    def judge(self, page: Page, link: Link) -> _Verdict | None:
        site, target = self.site, link.target
        problem = _problem(link)
        if problem:
            return "malformed-link", f"`{target}` {problem}", ""
        inside = site.inside(page, target)
        if inside is None:
            return None
        path, fragment = inside
        answer = site.answer(path)
        if answer is Answer.NOTHING:
            what = "page" if link.leads else "file"
            code = "broken-link" if link.leads else "broken-asset"
            cure = _UNPUBLISHED if path.endswith(".md") else self.near.page(path)
            return code, f"no {what} of the site answers {target}", cure
        if answer is Answer.SLASH:
            return "indirect-link", f"{target} is answered with a redirect", f"write {quote(path)}/"
        other = site.by_file.get(site.file_of(path)) if answer is Answer.FILE and link.leads else None
        if other is None or fragment in _TOP or fragment in other.ids or fragment.startswith(_TEXT_FRAGMENT):
            return None
        where = "this page" if target.startswith("#") else other.url
        return "broken-anchor", f"no element of {where} has the id `{fragment}`", self.near.part(other, fragment)


def _problem(link: Link) -> str:
    target = link.target
    if not target:
        # An empty href leads to the page itself; an empty src asks for it as an image.
        return "" if link.leads else "is empty"
    bad = sorted(_BAD & set(target))
    if bad and not target.lower().startswith(("data:", "javascript:", "mailto:")):
        return f"holds {bad[0]!r}, which has no place in an address"
    try:
        parts = urlsplit(target)
        _ = parts.port
    except ValueError as error:
        return f"is no address: {error}"
    if parts.scheme in ("http", "https") and not parts.netloc:
        return "names no host"
    return ""


class _Near:
    """What was probably meant; only the first few are compared letter by letter, for that takes time."""

    MOST = 20

    def __init__(self, site: Site) -> None:
        self.site = site
        self.compared = 0

    @cached_property
    def by_slug(self) -> dict[str, list[str]]:
        """The URLs of pages by the last part of each."""
        found: dict[str, list[str]] = {}
        for page in self.site.pages:
            found.setdefault(_slug(page.url), []).append(page.url)
        return found

    def page(self, path: str) -> str:
        """The cure for a link to `path`."""
        alike = self.by_slug.get(_slug(path), [])
        close = alike if len(alike) == 1 else self.closest(path, [page.url for page in self.site.pages])
        return f"did you mean {close[0]}?" if close else "mend the link, or add the old address to `site.redirects`"

    def part(self, page: Page, fragment: str) -> str:
        """The cure for a link to `fragment` of `page`."""
        close = self.closest(fragment, sorted(page.ids))
        return f"did you mean #{close[0]}?" if close else ""

    def closest(self, word: str, known: list[str]) -> list[str]:
        """At most one of `known`."""
        self.compared += 1
        return difflib.get_close_matches(word, known, 1) if self.compared <= self.MOST else []


def _slug(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2].removesuffix(".html")
