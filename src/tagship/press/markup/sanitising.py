"""HTML of people who aren't trusted, without what could run something; the ids and classes stay."""

from __future__ import annotations

import re

import nh3

_MORE = re.compile(r"(<!--\s*more\s*-->)")
_TAGS = frozenset(nh3.ALLOWED_TAGS) | {"input", "section", "figure", "figcaption"}
_EVERYWHERE = {"id", "class", "title", "lang", "dir", "aria-label", "tabindex", "data-language", "data-line"}
_ATTRIBUTES = {
    **{tag: set(names) for tag, names in nh3.ALLOWED_ATTRIBUTES.items()},
    "*": _EVERYWHERE,
}
_ATTRIBUTES["span"] = {*_ATTRIBUTES.get("span", ()), "data-math-style"}
for _cell in ("td", "th"):
    _ATTRIBUTES[_cell] = {*_ATTRIBUTES.get(_cell, ()), "style", "align"}
_CHECKBOX = {"input": {"type": {"checkbox"}}}
_ATTRIBUTES["input"] = {"checked", "disabled"}


def clean(body: str) -> str:
    """`body` with scripts, event handlers, foreign frames, styles and dangerous addresses taken out.

    The mark `<!--more-->` stays, since it means something to us; links get `rel="nofollow ugc noopener"`.
    """
    return "".join(part if index % 2 else _clean(part) for index, part in enumerate(_MORE.split(body)))


def _clean(part: str) -> str:
    return nh3.clean(
        part,
        tags=set(_TAGS),
        attributes=_ATTRIBUTES,
        tag_attribute_values=_CHECKBOX,
        set_tag_attribute_values={"input": {"disabled": ""}},
        filter_style_properties={"text-align"},
        link_rel="nofollow ugc noopener",
        url_schemes={"http", "https", "mailto"},
    )
