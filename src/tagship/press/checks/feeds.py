"""Atom, as readers want it (RFC 4287): well-formed, with all that must be there, ids for ever and once."""

from __future__ import annotations

import datetime as dt
import xml.etree.ElementTree as etree
from collections.abc import Iterator
from urllib.parse import urlsplit

from tagship.press.checks.identities import ATOM as _ATOM
from tagship.press.checks.identities import may_be_hostile
from tagship.press.checks.page import Page, Place
from tagship.press.checks.site import Answer, Remark, Site

_FEED_REQUIRED = ("id", "title", "updated")
_ENTRY_REQUIRED = ("id", "title", "updated")
_TOP = Place(1, 1)


def check(site: Site) -> Iterator[Remark]:
    """Every .xml file whose root is an Atom feed, or that is called like one and isn't XML."""
    for name in sorted(site.files):
        if not name.endswith((".xml", ".atom")):
            continue
        file = Page(name, f"/{name}", (site.folder / name).read_text(encoding="utf-8", errors="replace"))
        if may_be_hostile(file.text):
            yield Remark(file, _TOP, "feed", "declares a document type, which no feed needs")
            continue
        try:
            root = etree.fromstring(file.text.encode())  # noqa: S314 - no document type, so no entities: see above
        except etree.ParseError as error:
            line, column = error.position
            yield Remark(file, Place(line, column + 1), "feed", f"is not well-formed: {error.msg}")
            continue
        if root.tag == f"{_ATOM}feed":
            yield from _Feed(site, file, root).remarks()


class _Feed:
    """One feed, and what it is held against."""

    def __init__(self, site: Site, file: Page, root: etree.Element) -> None:
        self.site = site
        self.file = file
        self.root = root

    def remarks(self) -> Iterator[Remark]:
        yield from self.required(self.root, _FEED_REQUIRED, "the feed")
        yield from self.dates(self.root, "the feed")
        links = {link.get("rel", "alternate"): link.get("href", "") for link in self.root.findall(f"{_ATOM}link")}
        if "self" not in links:
            yield self.remark('the feed has no <link rel="self">, so readers can\'t find it again')
        entries = self.root.findall(f"{_ATOM}entry")
        authored = self.root.find(f"{_ATOM}author") is not None
        ids: dict[str, str] = {}
        for entry in [self.root, *entries]:
            title = (entry.findtext(f"{_ATOM}title") or "").strip()
            name = "the feed" if entry is self.root else f"the entry `{title}`"
            yield from self.identity(entry, name, ids)
            if entry is not self.root:
                yield from self.entry(entry, name, authored=authored)

    def entry(self, entry: etree.Element, name: str, *, authored: bool) -> Iterator[Remark]:
        yield from self.required(entry, _ENTRY_REQUIRED, name)
        yield from self.dates(entry, name)
        if not authored and entry.find(f"{_ATOM}author") is None:
            yield self.remark(f"{name} has no author, and neither has the feed")
        alternates = [link for link in entry.findall(f"{_ATOM}link") if link.get("rel", "alternate") == "alternate"]
        if entry.find(f"{_ATOM}content") is None and not alternates:
            yield self.remark(f"{name} has neither content nor a link")
        for link in alternates:
            yield from self.address(link.get("href", ""), name)

    def identity(self, entry: etree.Element, name: str, ids: dict[str, str]) -> Iterator[Remark]:
        value = (entry.findtext(f"{_ATOM}id") or "").strip()
        if not value:
            return
        if not urlsplit(value).scheme:
            yield self.remark(f"the id of {name} isn't absolute: {value}")
        other = ids.setdefault(value, name)
        if other is not name:
            yield self.remark(f"{name} has the id of {other}: {value}")

    def required(self, node: etree.Element, names: tuple[str, ...], name: str) -> Iterator[Remark]:
        for wanted in names:
            found = node.findall(f"{_ATOM}{wanted}")
            if len(found) != 1:
                yield self.remark(f"{name} has {'no' if not found else 'more than one'} <{wanted}>")
            elif wanted != "title" and not (found[0].text or "").strip():
                yield self.remark(f"the <{wanted}> of {name} is empty")

    def dates(self, node: etree.Element, name: str) -> Iterator[Remark]:
        for wanted in ("updated", "published"):
            text = (node.findtext(f"{_ATOM}{wanted}") or "").strip()
            if text and not _is_moment(text):
                yield self.remark(f"the <{wanted}> of {name} is no date with a time and a zone: {text}")

    def address(self, href: str, name: str) -> Iterator[Remark]:
        if not urlsplit(href).scheme:
            yield self.remark(f"the link of {name} isn't absolute: {href}")
            return
        inside = self.site.inside(self.file, href)
        if inside is not None and self.site.answer(inside[0]) is Answer.NOTHING:
            yield self.remark(f"the link of {name} leads nowhere: {href}")

    def remark(self, message: str) -> Remark:
        return Remark(self.file, _TOP, "feed", message)


def _is_moment(text: str) -> bool:
    try:
        return "T" in text and dt.datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
