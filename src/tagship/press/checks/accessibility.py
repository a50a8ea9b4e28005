"""What a page must have so that everybody can use it: names, labels, headings in order, a language.

The basics of WCAG 2.2 that can be read from HTML alone; `inv check-theme` runs the whole of axe-core in a browser.
"""

from __future__ import annotations

from collections.abc import Iterator

from turbohtml import Element

from tagship.press.checks.page import Page, Place, place_of, start_tag
from tagship.press.checks.site import Remark, Site

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_NAMED_BY = ("aria-label", "aria-labelledby", "title")
_NEEDS_NO_LABEL = frozenset({"hidden", "submit", "reset", "button", "image"})
_TOP = Place(1, 1)


def check(site: Site) -> Iterator[Remark]:
    """What is missing on each page; one that only sends its reader on is spared."""
    for page in site.pages:
        if not page.is_redirect:
            yield from _document(page)
            yield from _headings(page)
        labelled = {element.attr("for") for element in page.elements if element.tag == "label"}
        for element in page.elements:
            yield from _element(page, element, labelled)


def _document(page: Page) -> Iterator[Remark]:
    if not page.title:
        yield Remark(page, _TOP, "page-title", "the page has no title", "add <title> to the template")
    root = page.document.find("html")
    if root is not None and not (root.attr("lang") or "").strip():
        cure = 'write <html lang="{{ site.language }}"> in the template'
        yield Remark(page, place_of(root), "page-language", "the page doesn't say its language", cure)


def _headings(page: Page) -> Iterator[Remark]:
    above = 0
    for element in page.elements:
        level = _HEADINGS.get(element.tag)
        if level is None or _is_hidden(element):
            continue
        words = _name(element)
        if not words:
            yield _remark(page, element, "heading-empty", f"<{element.tag}> holds no words", "")
            continue
        if level > above + 1:
            what = f"h{level} follows h{above}" if above else f"the first heading is an h{level}"
            yield _remark(page, element, "heading-order", f"{what}: {words[:60]}", words)
        above = level


def _element(page: Page, element: Element, labelled: set[str | None]) -> Iterator[Remark]:
    tag = element.tag
    if tag in ("img", "area"):
        needs = tag == "img" or element.attr("href") is not None
        if needs and element.attr("alt") is None and not _is_named(element) and not _is_hidden(element):
            what = f"<{tag}> has no `alt`: {element.attr('src') or element.attr('href') or ''}"
            yield _remark(page, element, "image-alt", what, element.attr("src") or "", 'alt="" for mere ornament')
    elif tag in ("a", "button"):
        if (tag == "button" or element.attr("href") is not None) and not _name(element) and not _is_hidden(element):
            target = element.attr("href") or ""
            yield _remark(
                page,
                element,
                "link-name",
                f"<{tag}> has no words: {target}" if target else f"<{tag}> has no words",
                target,
            )
    elif tag in ("input", "select", "textarea"):
        kind = (element.attr("type") or "").lower()
        if tag == "input" and kind == "image":
            if not element.attr("alt") and not _is_named(element):
                yield _remark(page, element, "image-alt", "<input type=image> has no `alt`", "")
        elif kind not in _NEEDS_NO_LABEL and not _has_label(element, labelled):
            what = f"<{tag}> has no label: {element.attr('name') or element.attr('id') or kind}"
            yield _remark(page, element, "label", what, "", "wrap it in <label>, or use `for`")
    elif tag == "iframe" and not _is_named(element) and not _is_hidden(element):
        yield _remark(page, element, "frame-title", "<iframe> has no `title`", element.attr("src") or "")


def _has_label(element: Element, labelled: set[str | None]) -> bool:
    name = element.attr("id")
    return (name is not None and name in labelled) or _is_named(element) or element.closest("label") is not None


def _is_named(element: Element) -> bool:
    return any((element.attr(name) or "").strip() for name in _NAMED_BY)


def _name(element: Element) -> str:
    """The words that a screen reader finds in an element, images by their `alt`."""
    if _is_named(element):
        return next(value for name in _NAMED_BY if (value := (element.attr(name) or "").strip()))
    words = " ".join(element.text.split())
    return words or next((alt for image in element.find_all("img") if (alt := (image.attr("alt") or "").strip())), "")


def _is_hidden(element: Element) -> bool:
    return element.closest('[aria-hidden="true"], [hidden], [role="presentation"], [role="none"]') is not None


def _remark(page: Page, element: Element, code: str, message: str, needle: str, cure: str = "") -> Remark:
    """`needle` is what of it Markdown has too; raw HTML is found by its tag."""
    tag, turn = start_tag(page, element)
    needles = tuple(text for text in (tag, needle) if text)
    return Remark(page, place_of(element), code, message, cure, needles, turn)
