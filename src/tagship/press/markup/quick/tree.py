"""Python-Markdown's passes over the finished tree, and its serialiser, without the work that changes nothing.

Each function does to a tree what the class in its name does; `Known` remembers which tags are block-level.
"""

from __future__ import annotations

import xml.etree.ElementTree as etree
from collections.abc import Callable
from typing import Any

from markdown.serializers import (  # type: ignore[attr-defined]
    BOOLEAN_ATTRIBUTES,
    RE_AMP,
    to_html_string,
    to_xhtml_string,
)
from markdown.treeprocessors import UnescapeTreeprocessor
from markdown.util import STX, AtomicString

_EMPTY = frozenset(etree.HTML_EMPTY)
IsBlock = Callable[[Any], bool]


def prettify(root: etree.Element, is_block: IsBlock) -> None:
    """`PrettifyTreeprocessor`: line breaks around blocks, after `<br>`, and at the end of code."""
    _break_lines(root, is_block)
    for br in root.iter("br"):
        br.tail = f"\n{br.tail}" if br.tail and br.tail.strip() else "\n"
    for pre in root.iter("pre"):
        if len(pre) and pre[0].tag == "code":
            code = pre[0]
            if not len(code) and code.text is not None:
                code.text = AtomicString(code.text.rstrip() + "\n")


def _break_lines(element: etree.Element, is_block: IsBlock) -> None:
    tag = element.tag
    if is_block(tag) and tag not in {"code", "pre"}:
        if len(element) and (not element.text or not element.text.strip()) and is_block(element[0].tag):
            element.text = "\n"
        for child in element:
            if is_block(child.tag):
                _break_lines(child, is_block)
    tail = element.tail
    if not tail or not tail.strip():
        element.tail = "\n"


def unescape(root: etree.Element, processor: UnescapeTreeprocessor) -> None:
    """`UnescapeTreeprocessor`: characters that a backslash protected, put back."""
    for element in root.iter():
        text = element.text
        if text and element.tag != "code" and (STX in text or type(text) is not str):
            element.text = processor.unescape(text)
        tail = element.tail
        if tail and (STX in tail or type(tail) is not str):
            element.tail = processor.unescape(tail)
        for key, value in element.items():
            if value is not None and STX in value:
                element.set(key, processor.unescape(value))


def has_attribute_lists(root: etree.Element) -> bool:
    """Whether `AttrListTreeprocessor` could find anything: it begins with a brace."""
    return any((e.text and "{" in e.text) or (e.tail and "{" in e.tail) for e in root.iter())


def to_html(root: etree.Element) -> str:
    """`to_html_string`."""
    written = _write(root, is_xhtml=False)
    return to_html_string(root) if written is None else written


def to_xhtml(root: etree.Element) -> str:
    """`to_xhtml_string`."""
    written = _write(root, is_xhtml=True)
    return to_xhtml_string(root) if written is None else written


def _write(root: etree.Element, *, is_xhtml: bool) -> str | None:
    """The tree as text; None for one with comments, instructions or qualified names, which are rare."""
    out: list[str] = []
    put = out.append
    waiting: list[Any] = [root]
    while waiting:
        item = waiting.pop()
        if item.__class__ is str:
            put(item)
            continue
        tag = item.tag
        if tag.__class__ is not str:
            return None
        attributes = _attributes(item, is_xhtml) if item.keys() else ""
        if attributes is None:
            return None
        tail = item.tail
        name = tag.lower()
        if name in _EMPTY and is_xhtml:
            put(f"<{tag}{attributes} />")
            if tail:
                put(_escaped(tail))
            continue
        text = item.text
        if text and name not in {"script", "style"}:
            text = _escaped(text)
        put(f"<{tag}{attributes}>{text or ''}")
        closing = ("" if name in _EMPTY else f"</{tag}>") + (_escaped(tail) if tail else "")
        if len(item):
            waiting.append(closing)
            waiting.extend(item[::-1])
        else:
            put(closing)
    return "".join(out)


def _attributes(element: etree.Element, is_xhtml: bool) -> str | None:
    """The attributes as they stand in the tag; None if one is no plain text."""
    written = []
    pairs: Any = element.items()
    if any(key.__class__ is not str for key, _ in pairs):
        return None
    for key, value in sorted(pairs):
        if value is None:
            written.append(f" {key}")
        elif not isinstance(value, str):
            return None
        else:
            shown = _escaped(value).replace('"', "&quot;")
            is_flag = key == shown and not is_xhtml and key in BOOLEAN_ATTRIBUTES["html"]
            written.append(f" {shown}" if is_flag else f' {key}="{shown}"')
    return "".join(written)


def _escaped(text: str) -> str:
    if "&" in text:
        text = RE_AMP.sub("&amp;", text)
    if "<" in text:
        text = text.replace("<", "&lt;")
    if ">" in text:
        text = text.replace(">", "&gt;")
    return text
