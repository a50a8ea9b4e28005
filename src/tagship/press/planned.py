"""One file of the site, as it is planned: apart from how it is made, for that needs Jinja2."""

from __future__ import annotations

import msgspec


class Planned(msgspec.Struct, frozen=True, array_like=True):
    """One file of the site: where it goes, which kind makes it from what, and what it comes from."""

    path: str
    kind: str
    arg: str
    """What of its kind it is: a file, a number, a tag."""
    key: bytes
    """The digest of what it is handed."""
    url: str = ""
    """Its address, where it is a page."""
    owner: str = ""
    """Whom messages name: a file of the project, or a description."""
    date: str = ""
    """Of a post, for the sitemap: ISO 8601."""
    listed: bool = False
    """Whether it stands in the sitemap."""

    @property
    def is_page(self) -> bool:
        return bool(self.url)
