"""Text against its background, as the stylesheets of a page colour both: light and dark, once for each kind of text.

No layout is done: pictures, gradients and what lies over something else are not judged; `inv check-theme` does that
in a browser. Two texts are of one kind when their elements and all around them have the same names and classes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

import turbohtml
from turbohtml import Element, Node, Text
from turbohtml.cssom import computed_style

from tagship.press.checks import colours, stylesheets
from tagship.press.checks.colours import Colour
from tagship.press.checks.page import Page, place_of
from tagship.press.checks.site import Remark, Site

NEEDED = 4.5
NEEDED_LARGE = 3.0
"""Contrast ratios of WCAG 2.2, 1.4.3 (AA): for text, and for large text."""

_LARGE = 24.0
_LARGE_BOLD = 18.66
"""Sizes in CSS pixels from which text is large; bold text sooner."""

_BOLD = frozenset({"b", "h1", "h2", "h3", "h4", "h5", "h6", "strong", "th"})
_UNSEEN = frozenset({"head", "script", "style", "template", "title", "noscript", "option"})
_LENGTH = re.compile(r"([\d.]+)(rem|px)")


def check(site: Site) -> Iterator[Remark]:
    """Every pair of text and background that are too alike, at the first text of the first page that shows it."""
    kinds = _Kinds()
    judged: set[tuple[str, int]] = set()
    told: set[tuple[str, str]] = set()
    for page in site.pages:
        sheets = _sheets(site, page)
        if not sheets:
            continue
        css = "\n".join(sheets.values())
        fresh = {}
        for number, (element, kind) in enumerate(kinds.of(page)):
            if (css, kind) not in judged and _has_words(element):
                judged.add((css, kind))
                fresh[number] = element
        for scheme in ("light", "dark") if stylesheets.has_dark(css) else ("light",):
            for remark, pair in _judge(page, fresh, css, scheme):
                if (css, pair) not in told:  # what is inside has the same colours
                    told.add((css, pair))
                    yield remark


class _Kinds:
    """Numbers for elements: equal where they and all around them have the same names, classes and styles."""

    def __init__(self) -> None:
        self.known: dict[tuple[int, str, str | None, str | None], int] = {}

    def of(self, page: Page) -> Iterator[tuple[Element, int]]:
        """Every element of a page with its number; parents come before their children."""
        here: dict[Node, int] = {}
        for element in page.elements:
            around = here.get(element.parent, 0) if element.parent is not None else 0
            key = (around, element.tag, element.attr("class"), element.attr("style"))
            number = here[element] = self.known.setdefault(key, len(self.known) + 1)
            yield element, number


def _judge(page: Page, fresh: Mapping[int, Element], css: str, scheme: str) -> Iterator[tuple[Remark, str]]:
    if not fresh:
        return
    styled = turbohtml.parse(
        page.text.replace("</head>", f"<style id=contrast>{_flat(css, scheme)}</style></head>", 1)
    )
    elements = [element for element in styled.iter_elements() if element.attr("id") != "contrast"]
    for number, element in fresh.items():
        text, below = _colours(elements[number])
        if text is None or below is None:
            continue
        needed = NEEDED_LARGE if _is_large(elements[number]) else NEEDED
        ratio = colours.contrast(text.over(below), below)
        if ratio < needed - 0.005:
            pair = f"{text} on {below} ({scheme})"
            what = f"{pair} has a contrast of {ratio:.1f}, and {needed:g} is needed: {_name(element)}"
            yield Remark(page, place_of(element), "contrast", what), pair


_flat = lru_cache(maxsize=8)(stylesheets.flat)


def _sheets(site: Site, page: Page) -> dict[str, str]:
    """The stylesheets of a page, in order, by what they are called."""
    found: dict[str, str] = {}
    for element in page.elements:
        if element.tag == "style":
            found[f"#{len(found)}"] = element.text
        elif element.tag == "link" and "stylesheet" in (element.attr("rel") or "").lower().split():
            inside = site.inside(page, element.attr("href") or "")
            if inside is not None and (element.attr("media") or "all") in ("all", "screen"):
                found[inside[0]] = _read(site, inside[0])
    return found


@lru_cache(maxsize=64)
def _read(site: Site, path: str) -> str:
    file = site.file_of(path)
    return (site.folder / file).read_text(encoding="utf-8", errors="replace") if file in site.files else ""


def _has_words(element: Element) -> bool:
    return element.tag not in _UNSEEN and any(
        isinstance(node, Text) and node.data.strip() for node in element.children
    )


def _colours(element: Element) -> tuple[Colour | None, Colour | None]:
    """Text and what is below it, None for what can't be told without a browser."""
    text = colours.read(computed_style(element).get("color") or "")
    layers: list[Colour] = []
    for node in (element, *element.ancestors):
        if not isinstance(node, Element):
            break
        style = computed_style(node)
        if (style.get("background-image") or "none") != "none" or "url(" in (style.get("background") or ""):
            return text, None
        layer = colours.read(style.get("background-color") or "transparent")
        if layer is None:
            return text, None
        layers.append(layer)
        if layer.alpha == 1:
            break
    below = colours.WHITE
    for layer in reversed(layers):
        below = layer.over(below)
    return text, below


def _is_large(element: Element) -> bool:
    found = _LENGTH.search(computed_style(element).get("font-size") or "")
    size = float(found[1]) * (16 if found[2] == "rem" else 1) if found else 16.0
    return size >= _LARGE or (size >= _LARGE_BOLD and element.closest(",".join(sorted(_BOLD))) is not None)


def _name(element: Element) -> str:
    """An element and what it stands in, as a selector would have it."""
    around = [node for node in element.ancestors if isinstance(node, Element)][:2]
    return " > ".join(_selector(node) for node in (*reversed(around), element))


def _selector(element: Element) -> str:
    return ".".join([element.tag, *(element.attr("class") or "").split()])
