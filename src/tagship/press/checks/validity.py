"""HTML as the standard has it: what the tokenizer stumbles over, and what an element may be called and hold."""

from __future__ import annotations

import re
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

_OTHER_ID = "give one of them another id: `{#name}` behind a heading does"


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
        place = Place(max(found.line, 1), found.column + 1)
        tag, turn = _tag_at(page, place)
        if found.code == "duplicate-id":
            name = re.search(r"""\bid\s*=\s*["']?([^"'\s>]+)""", tag)
            needles = (tag, f"{{#{name[1]}}}") if name else (tag,)
            yield Remark(page, place, "duplicate-id", found.message, _OTHER_ID, needles, max(turn, 2))
        else:
            code = "html" if found.severity == "error" else "html-advice"
            yield Remark(page, place, code, found.message, "", (tag,), turn)


def _tag_at(page: Page, place: Place) -> tuple[str, int]:
    """The tag at `place` as it stands in the page, and the how manieth of its like it is."""
    lines = page.text.split("\n")
    start = sum(len(line) + 1 for line in lines[: place.line - 1]) + place.column - 1
    end = page.text.find(">", start) + 1
    tag = page.text[start:end]
    return tag, page.text.count(tag, 0, start) + 1 if tag else 1
