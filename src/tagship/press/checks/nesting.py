"""How elements close and where they stand: what a parser mends in silence, each browser in the same way.

The parser of `page` builds the tree of the standard and reports no errors of its construction; so tags in the text
are held against the tree, and parents against the content models of HTML (section 4, those that people get wrong).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from turbohtml import Element, Namespace

from tagship.press.checks.page import Page, Place, place_of, start_tag
from tagship.press.checks.site import Remark, Site

_VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"]
)
_MAY_STAY_OPEN = _VOID | frozenset(
    [
        "body", "caption", "colgroup", "dd", "dt", "head", "html", "li", "optgroup", "option", "p", "rp", "rt",
        "tbody", "td", "tfoot", "th", "thead", "tr",
    ]
)  # fmt: skip
"""Elements whose end tag may be left out (HTML, 13.1.2.4), and those that have none."""

_BLOCKS = frozenset(
    [
        "address", "article", "aside", "blockquote", "center", "details", "dialog", "div", "dl", "fieldset", "figure",
        "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hgroup", "hr", "main", "menu", "nav", "ol",
        "p", "pre", "search", "section", "table", "ul",
    ]
)  # fmt: skip
_WORDS_ONLY = frozenset(
    [
        "abbr", "b", "bdi", "bdo", "button", "cite", "code", "data", "dfn", "em", "h1", "h2", "h3", "h4", "h5", "h6",
        "i", "kbd", "label", "mark", "output", "p", "pre", "q", "s", "samp", "small", "span", "strong", "sub", "sup",
        "time", "u", "var",
    ]
)  # fmt: skip
"""Elements that hold phrasing content and nothing else."""

_THROUGH = frozenset({"a", "del", "ins", "map"})
"""Elements that may hold what their parent may."""

_ANYWHERE = frozenset({"script", "template"})
_CHILDREN = {
    "ul": frozenset({"li"}),
    "ol": frozenset({"li"}),
    "menu": frozenset({"li"}),
    "dl": frozenset({"dt", "dd", "div"}),
}
_PARENTS = {
    "li": frozenset({"ul", "ol", "menu"}),
    "dt": frozenset({"dl", "div"}),
    "dd": frozenset({"dl", "div"}),
    "figcaption": frozenset({"figure"}),
    "summary": frozenset({"details"}),
    "legend": frozenset({"fieldset", "optgroup"}),
}
_INTERACTIVE = frozenset({"a", "button", "details", "iframe", "input", "label", "select", "textarea"})
_JUDGED = _BLOCKS | _INTERACTIVE | frozenset(_PARENTS)
_SILENT = re.compile(r"<!--.*?(?:-->|\Z)|<(script|style|textarea|title|template|noscript)\b.*?</\1", re.S | re.I)
_END = re.compile(r"</([a-zA-Z][^\s/>]*)")


MOST = 20
"""Of elements that never close on one page, and of end tags that close nothing: the rest follows from the first."""


def check(site: Site) -> Iterator[Remark]:
    """What doesn't close, what closes nothing, and what stands in the wrong place, on each page."""
    for page in site.pages:
        closing: set[int] = set()
        yield from _unclosed(page, closing)
        yield from _stray(page, closing)
        for element in page.elements:
            parent = element.parent
            if element.tag in _JUDGED or (isinstance(parent, Element) and parent.tag in _CHILDREN):
                yield from _misplaced(page, element)


def _unclosed(page: Page, closing: set[int]) -> Iterator[Remark]:
    """The elements that never close; adds to `closing` where the end tags of all others begin."""
    seen: set[int] = set()
    for element in page.elements:
        location = element.source_location
        if location is None:
            continue
        if location.end_tag is not None:
            closing.add(location.end_tag.start_offset)
            continue
        start = location.start_tag.start_offset
        must_close = element.tag not in _MAY_STAY_OPEN and element.namespace is Namespace.HTML
        # What the parser copies to mend a crossing has the place of its original.
        if must_close and start not in seen and len(seen) < MOST:
            seen.add(start)
            yield _remark(page, element, "unclosed-element", f"<{element.tag}> is never closed")


def _stray(page: Page, closing: set[int]) -> Iterator[Remark]:
    text = _SILENT.sub(lambda match: " " * (len(match[0]) - 2) + "</" if match[1] else " " * len(match[0]), page.text)
    stray = (match for match in _END.finditer(text) if match.start() not in closing)
    for match in islice(stray, MOST):
        line = text.count("\n", 0, match.start()) + 1
        column = match.start() - text.rfind("\n", 0, match.start())
        tag = f"</{match[1]}>"
        turn = page.text.count(tag, 0, match.start()) + 1
        yield Remark(page, Place(line, column), "stray-end-tag", f"{tag} closes nothing here", "", (tag,), turn)


def _misplaced(page: Page, element: Element) -> Iterator[Remark]:
    parent = element.parent
    if not isinstance(parent, Element) or element.namespace is not Namespace.HTML:
        return
    tag, above = element.tag, parent.tag
    allowed = _CHILDREN.get(above)
    if allowed is not None and tag not in allowed | _ANYWHERE:
        yield _remark(page, element, "misplaced-element", f"<{tag}> may not stand directly in <{above}>")
    elif tag in _PARENTS and above not in _PARENTS[tag]:
        yield _remark(page, element, "misplaced-element", f"<{tag}> may not stand in <{above}>")
    elif tag in _BLOCKS and (holder := _holder(parent)) in _WORDS_ONLY:
        yield _remark(page, element, "misplaced-element", f"<{tag}> may not stand in <{holder}>, which holds words")
    elif tag in _INTERACTIVE and not _is_passive(element):
        around = next((node.tag for node in _above(element) if _takes_clicks(node)), None)
        if around is not None and not (around == "label" and tag != "label"):
            yield _remark(
                page, element, "misplaced-element", f"<{tag}> may not stand in <{around}>: both take clicks"
            )


def _holder(element: Element) -> str:
    parent = element.parent
    if element.tag in _THROUGH and isinstance(parent, Element):
        return _holder(parent)
    return element.tag


def _is_passive(element: Element) -> bool:
    if element.tag == "a":
        return element.attr("href") is None
    return element.tag == "input" and (element.attr("type") or "").lower() == "hidden"


def _above(element: Element) -> Iterator[Element]:
    return (node for node in element.ancestors if isinstance(node, Element))


def _takes_clicks(element: Element) -> bool:
    return element.tag in {"a", "button", "label"} and not _is_passive(element)


def _remark(page: Page, element: Element, code: str, message: str) -> Remark:
    tag, turn = start_tag(page, element)
    return Remark(page, place_of(element), code, message, "", (tag,), turn)
