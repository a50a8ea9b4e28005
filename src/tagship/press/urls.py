"""Paths of the site: from a pattern, checked, and turned into the file that answers them."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from urllib.parse import quote

from tagship.press import slugs


def permalink(pattern: str, date: datetime, slug: str) -> str:
    """Fill `{year}`, `{month}`, `{day}` and `{slug}` of a pattern such as `/{year}/{month}/{slug}/`."""
    values = {"year": f"{date.year:04d}", "month": f"{date.month:02d}", "day": f"{date.day:02d}", "slug": slug}
    return re.sub(r"\{(\w+)\}", lambda match: values[match[1]], pattern)


def problem_of(url: str) -> str | None:
    """Why `url` can't be a page's path, or None: `/a/b/` or `/a/b.html`, each part as `slugs` wants it."""
    if not url.startswith("/"):
        return "must begin with `/`"
    *folders, last = url.split("/")[1:]
    for segment in folders:
        wrong = slugs.problem_of(segment)
        if wrong:
            return f"has the part `{segment}`, which {wrong}" if segment else "holds `//`"
    if last:
        wrong = slugs.problem_of(last)
        if wrong:
            return f"has the part `{last}`, which {wrong}"
        if "." not in last:
            return "must end with `/` or with a file name such as `about.html`"
    return None


def file_of(url: str) -> str:
    """The file below the site's root that answers `url`: a folder's is its index.html."""
    path = url.removeprefix("/")
    return f"{path}index.html" if not path or path.endswith("/") else path


def encoded(url: str) -> str:
    """`url` for an href: what is not ASCII is percent-encoded UTF-8, as RFC 3986 has it."""
    return quote(unicodedata.normalize("NFC", url), safe="/-_.~!$&'()*+,;=:@")
