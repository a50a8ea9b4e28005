"""Two pages that are called alike: in a list of results nobody can tell them apart."""

from __future__ import annotations

from collections.abc import Iterator

from tagship.press.checks.page import Page, Place
from tagship.press.checks.site import Remark, Site

TITLE = "title:"
"""Where to look for a title: at that key of the front matter."""


def check(site: Site) -> Iterator[Remark]:
    """Each page whose title an earlier one has, both named."""
    first: dict[str, Page] = {}
    for page in sorted(site.pages, key=lambda page: page.url):
        if not page.title or page.is_redirect:
            continue
        other = first.setdefault(page.title.casefold(), page)
        if other is not page:
            what = f"the title `{page.title}` is that of {other.url} too"
            yield Remark(page, Place(1, 1), "duplicate-title", what, needles=(TITLE,))
