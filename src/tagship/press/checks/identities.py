"""Who the entries of a feed are to its readers; apart from `feeds`, for a deploy asks it and has no time to lose."""

from __future__ import annotations

import xml.etree.ElementTree as etree

ATOM = "{http://www.w3.org/2005/Atom}"


def identities(feed: bytes) -> dict[tuple[str, str], str]:
    """The ids of an Atom feed and its entries, by title and moment of publication; none for what is no feed."""
    text = feed.decode("utf-8", "replace")
    try:
        root = None if may_be_hostile(text) else etree.fromstring(feed)  # noqa: S314 - no document type, as above
    except etree.ParseError:
        return {}
    if root is None or root.tag != f"{ATOM}feed":
        return {}
    found = {("", ""): (root.findtext(f"{ATOM}id") or "").strip()}
    for entry in root.findall(f"{ATOM}entry"):
        title, published = (entry.findtext(f"{ATOM}{name}") or "" for name in ("title", "published"))
        found[title, published] = (entry.findtext(f"{ATOM}id") or "").strip()
    return found


def may_be_hostile(text: str) -> bool:
    """Whether it declares a document type, and with it perhaps entities without end."""
    return "<!DOCTYPE" in text[:2000].upper()
