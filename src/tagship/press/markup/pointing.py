"""Links as people write them, to other sources and to assets, as addresses of the site."""

from __future__ import annotations

import html
import re
from pathlib import PurePosixPath
from posixpath import normpath

from tagship.errors import ContentError
from tagship.press.markup.values import Links, Text

_ATTRIBUTE = re.compile(r"""(<[a-zA-Z][^<>]*?\s(?:href|src|poster)=")([^"]*)(")""")
_PARTS = re.compile(r"([^?#]*)([?#]?)(.*)", re.S)


def resolve(body: str, text: Text, links: Links, warnings: list[str]) -> str:
    """The HTML `body` with its links to assets and to other sources pointed at what the site calls them.

    Appends to `warnings` for a source that isn't published; raises `ContentError` for a missing asset.
    """
    if "/assets/" not in body and ".md" not in body:
        return body

    def point(match: re.Match[str]) -> str:
        parts = _PARTS.match(html.unescape(match[2]))
        assert parts is not None
        target, mark, rest = parts.groups()
        found = _address(target, text, links, warnings)
        return match[0] if found is None else f"{match[1]}{html.escape(found + mark + rest)}{match[3]}"

    return _ATTRIBUTE.sub(point, body)


def _address(target: str, text: Text, links: Links, warnings: list[str]) -> str | None:
    if target.startswith("/assets/"):
        asset = links.assets.get(target.removeprefix("/assets/"))
        if asset is None:
            raise ContentError(
                f"there is no asset {target}",
                path=text.name,
                line=line_of(text, target),
                cure="put it into the site's assets/ folder",
            )
        return asset
    if not target.endswith(".md") or ":" in target or target.startswith("/"):
        return None
    source = normpath(str(PurePosixPath(text.name).parent / target))
    if source not in links.pages:
        warnings.append(warning(text, f"the link leads to {source}, which is not published", target))
    return links.pages.get(source)


def line_of(text: Text, needle: str) -> int:
    """The line of the file in which `needle` first stands, the first one where it doesn't."""
    found = text.body.lower().find(needle.lower())
    return text.first_line + (text.body.count("\n", 0, found) if found >= 0 else 0)


def warning(text: Text, what: str, needle: str) -> str:
    """`what`, placed at the line of `needle`."""
    return f"{text.name}:{line_of(text, needle)}: {what}"
