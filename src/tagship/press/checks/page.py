"""One built page, parsed once; every check reads it from here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import turbohtml
from turbohtml import Document, Element

_POINTING = {
    "a": ("href",),
    "area": ("href",),
    "audio": ("src",),
    "embed": ("src",),
    "form": ("action",),
    "iframe": ("src",),
    "image": ("href",),
    "img": ("src", "srcset"),
    "input": ("src",),
    "link": ("href",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "track": ("src",),
    "use": ("href",),
    "video": ("src", "poster"),
}
"""The attributes that name another address, by element."""

_NAVIGATING = frozenset({"a", "area", "form"})
_NO_TARGET_RELS = frozenset({"preconnect", "dns-prefetch"})
_CANDIDATE = re.compile(r"\s*([^\s,][^\s]*[^\s,])(?:\s+[^,]*)?(?:,|$)")


class Place(NamedTuple):
    """Where something begins in a page's text: line and column, both from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Link:
    """An address as an element names it; `leads` where a reader follows it, else the browser loads it."""

    element: Element
    target: str
    leads: bool


@dataclass(frozen=True, eq=False)
class Page:
    """A page of the built site: its file below the site's root, its path as a URL, and its text."""

    file: str
    url: str
    text: str

    @cached_property
    def document(self) -> Document:
        """The tree as a browser would have it, with the place of each tag."""
        return turbohtml.parse(self.text, source_locations=True)

    @cached_property
    def elements(self) -> tuple[Element, ...]:
        """Every element in the order of the text."""
        return tuple(self.document.iter_elements())

    @cached_property
    def ids(self) -> frozenset[str]:
        """What a `#part` of an address may name here."""
        named = {element.attr("id") for element in self.elements}
        named |= {element.attr("name") for element in self.elements if element.tag == "a"}
        return frozenset(name for name in named if name)

    @cached_property
    def links(self) -> tuple[Link, ...]:
        """Every address that the page names, in order."""
        return tuple(link for element in self.elements if element.tag in _POINTING for link in _links(element))

    @cached_property
    def title(self) -> str:
        """The words of `<title>`, "" where there is none."""
        found = self.document.find("title")
        return " ".join(found.text.split()) if found is not None else ""

    @property
    def is_redirect(self) -> bool:
        """Whether it only sends its reader on."""
        return any(
            (element.attr("http-equiv") or "").lower() == "refresh" for element in self.document.find_all("meta")
        )


def start_tag(page: Page, element: Element) -> tuple[str, int]:
    """An element's start tag as it stands in the page, and the how manieth of its like it is; "" for none."""
    location = element.source_location
    if location is None:
        return "", 1
    text = page.text[location.start_tag.start_offset : location.start_tag.end_offset]
    return text, page.text.count(text, 0, location.start_tag.start_offset) + 1


def place_of(element: Element) -> Place:
    """Where an element begins; the top of the page for one that the parser made itself."""
    line, column = element.position or (1, 0)
    return Place(line, column + 1)


def _links(element: Element) -> Iterator[Link]:
    rels = set((element.attr("rel") or "").lower().split())
    if element.tag == "link" and rels & _NO_TARGET_RELS:
        return
    leads = element.tag in _NAVIGATING or (element.tag == "link" and bool(rels & {"canonical", "next", "prev"}))
    for name in _POINTING[element.tag]:
        value = element.attr(name)
        if value is None:
            continue
        targets = _CANDIDATE.findall(value) if name == "srcset" else [value.strip()]
        for target in targets:
            yield Link(element, target, leads)
