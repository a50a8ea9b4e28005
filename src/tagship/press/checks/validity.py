"""HTML as the standard has it: what the tokenizer stumbles over, and what an element may be called and hold."""

from __future__ import annotations

from collections.abc import Iterator

from turbohtml import conformance

from tagship.press.checks.page import Page, Place
from tagship.press.checks.site import Remark, Site

_ELSEWHERE = frozenset(
    {
        "area-missing-alt",
        "empty-heading",
        "img-missing-alt",
        "input-image-missing-alt",
        "missing-lang",
        "missing-title",
    }
)
"""What `accessibility` says in its own words."""

_WORDS = {"duplicate-id": ("duplicate-id", "give one of them another id: `{#name}` behind a heading does")}


def check(site: Site) -> Iterator[Remark]:
    """What `turbohtml` says of each page."""
    for page in site.pages:
        for error in page.document.errors:
            yield Remark(page, Place(error.line, error.col + 1), "html", error.code.replace("-", " "))
        yield from _conformance(page)


def _conformance(page: Page) -> Iterator[Remark]:
    for found in conformance.check(page.document).messages:
        if found.code in _ELSEWHERE or found.severity == "info":
            continue
        code, cure = _WORDS.get(found.code, ("html" if found.severity == "error" else "html-advice", ""))
        place = Place(max(found.line, 1), found.column + 1)
        yield Remark(page, place, code, found.message, cure, needle=_needle(page, place))


def _needle(page: Page, place: Place) -> str:
    """The tag itself as it stands in the page: raw HTML of a text comes through unchanged."""
    lines = page.text.split("\n")
    return lines[place.line - 1][place.column - 1 :].partition(">")[0] if place.line <= len(lines) else ""
