"""Python-Markdown's table of contents, drawn only if somebody asks: for `[TOC]` in the text, or for `md.toc`."""

from __future__ import annotations

import html
import xml.etree.ElementTree as etree
from collections.abc import Callable
from typing import Any

from markdown import Markdown
from markdown.extensions.footnotes import FootnotePostprocessor
from markdown.extensions.md_in_html import MarkdownInHTMLPostprocessor
from markdown.extensions.toc import (
    TocTreeprocessor,
    escape_cdata,
    nest_toc_tokens,
    remove_fnrefs,
    render_inner_html,
    run_postprocessors,
    strip_tags,
    unescape,
    unique,
)
from markdown.postprocessors import AndSubstitutePostprocessor, RawHtmlPostprocessor
from markdown.util import STX

_IDLE = frozenset(
    {AndSubstitutePostprocessor, FootnotePostprocessor, MarkdownInHTMLPostprocessor, RawHtmlPostprocessor}
)
"""Postprocessors that only exchange placeholders; those hold STX."""
_SPECIAL = ("<", ">", "&", STX)


def can_wait(md: Markdown) -> bool:
    """Whether drawing it later gives the same: no postprocessor is there that might count or look."""
    return all(type(each) in _IDLE for each in md.postprocessors)


def run(processor: TocTreeprocessor, root: etree.Element) -> Callable[[], str] | None:
    """`processor.run(root)`, but `md.toc` is left to the function returned; None where the text itself shows it.

    Then nothing has been done yet, and upstream has to do it.
    """
    marker = processor.marker
    elements = list(root.iter())
    if marker and any(e.text and marker in e.text for e in elements):
        return None
    used = {e.attrib["id"] for e in elements if "id" in e.keys()}  # noqa: SIM118 - `in e` is about children
    counters: dict[str, int] = {}
    tokens: list[Any] = []
    is_heading = processor.header_rgx.match
    for element in elements:
        if isinstance(element.tag, str) and is_heading(element.tag):
            _treat(processor, element, used, counters, tokens)
    nested = nest_toc_tokens(tokens)
    md: Any = processor.md
    md.toc_tokens = nested

    def draw() -> str:
        drawn: str = md.serializer(processor.build_toc_div(nested))
        for each in md.postprocessors:
            drawn = each.run(drawn)
        return drawn

    return draw


def _treat(
    processor: Any, element: etree.Element, used: set[str], counters: dict[str, int], tokens: list[Any]
) -> None:
    """Give a heading its level and its id, and note it."""
    md = processor.md
    processor.set_level(element)
    shown = _inner(element, md)
    name = strip_tags(shown) if "<" in shown else " ".join(shown.split())
    if "id" not in element.attrib:
        element.attrib["id"] = unique(  # type: ignore[call-arg]
            processor.slugify(html.unescape(name), processor.sep), used, counters
        )
    label = ""
    if "data-toc-label" in element.attrib:
        label = run_postprocessors(unescape(element.attrib["data-toc-label"]), md)
        name = escape_cdata(strip_tags(label))
        del element.attrib["data-toc-label"]
    level, own_id = int(element.tag[-1]), unescape(element.attrib["id"])
    if processor.toc_top <= level <= processor.toc_bottom:
        tokens.append(
            {
                "level": level,
                "id": own_id,
                "name": name,
                "html": shown,
                "data-toc-label": label,
            }
        )
    if processor.use_anchors:
        processor.add_anchor(element, element.attrib["id"])
    if processor.use_permalinks not in (False, None):
        processor.add_permalink(element, element.attrib["id"])


def _inner(element: etree.Element, md: Markdown) -> str:
    """The HTML inside a heading, its footnote references left out."""
    text = element.text or ""
    if len(element) or any(mark in text for mark in _SPECIAL):
        return render_inner_html(remove_fnrefs(element), md)
    return text.strip()
