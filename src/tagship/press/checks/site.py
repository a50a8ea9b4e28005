"""The built tree: its pages, its files, and what answers an address."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urljoin, urlsplit

from tagship import config
from tagship.config import redirects
from tagship.press.checks.page import Page, Place
from tagship.press.frontmatter import Source

_PAGE = (".html", ".htm")
_FORMS = (".gz", ".br")
_DATE = re.compile(r"^\d{4}-\d{2}-\d{2}-")


@dataclass(frozen=True)
class Remark:
    """Something wrong at a place of a built page, before anybody knows who wrote it.

    `needles` are what to look for where it was written, the best first; it is the `turn`th of its kind on the page.
    """

    page: Page
    place: Place
    code: str
    message: str
    cure: str = ""
    needles: tuple[str, ...] = ()
    turn: int = 1


@dataclass(frozen=True)
class Without:
    """Texts that a site was built without, because something is wrong with them: their files, and their URLs as far
    as they are known. One whose front matter can't be read is known by the end of its name only."""

    names: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()

    @cached_property
    def slugs(self) -> frozenset[str]:
        """The last parts of the addresses that such files may have, their own names among them."""
        paths = [PurePosixPath(name) for name in self.names]
        return frozenset(word for path in paths for word in (_DATE.sub("", path.stem), path.name))

    def covers(self, path: str) -> bool:
        """Whether a link to `path` leads to one of them."""
        return path in self.urls or path.strip("/").rpartition("/")[2] in self.slugs


class Answer(Enum):
    """What becomes of a request for an address of the site."""

    FILE = "file"
    REDIRECT = "redirect"
    SLASH = "slash"
    NOTHING = "nothing"
    UNKNOWN = "unknown"


@dataclass(frozen=True, eq=False)
class Site:
    """What was built into `folder`, and what it was built from: `sources` by the URL of their page."""

    folder: Path
    settings: config.Site
    sources: Mapping[str, Source]
    aliases: Mapping[str, str]
    without: Without = Without()

    @cached_property
    def files(self) -> frozenset[str]:
        """Every file below the root, without the compressed forms of others."""
        found = {path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file()}
        return frozenset(name for name in found if not (name.endswith(_FORMS) and name.rpartition(".")[0] in found))

    @cached_property
    def pages(self) -> tuple[Page, ...]:
        """Every page, sorted by its file."""
        return tuple(self._pages())

    @cached_property
    def by_file(self) -> Mapping[str, Page]:
        """The pages by their file."""
        return {page.file: page for page in self.pages}

    @cached_property
    def redirected(self) -> frozenset[str]:
        """Old addresses that lead on, decoded and without slashes at their ends."""
        return frozenset(redirects.answered(old) for old in (*self.settings.redirects, *self.aliases))

    def _pages(self) -> Iterator[Page]:
        for name in sorted(self.files):
            if name.endswith(_PAGE):
                url = "/" + (name.removesuffix("index.html") if name.split("/")[-1] == "index.html" else name)
                yield Page(name, url, (self.folder / name).read_text(encoding="utf-8", errors="replace"))

    def inside(self, page: Page, target: str) -> tuple[str, str] | None:
        """Path and fragment, decoded, of what `target` on `page` names on this site; None for what is elsewhere.

        Raises `ValueError` for what is no address.
        """
        parts = urlsplit(urljoin(self.settings.url + page.url, target))
        home = urlsplit(self.settings.url)
        if parts.scheme not in ("http", "https") or parts.netloc.lower() != home.netloc.lower():
            return None
        return unquote(parts.path) or "/", unquote(parts.fragment)

    def answer(self, path: str) -> Answer:
        """What answers the decoded `path`."""
        if self.file_of(path) in self.files:
            return Answer.FILE
        if path.strip("/") in self.redirected:
            return Answer.REDIRECT
        if not path.endswith("/") and f"{path.removeprefix('/')}/index.html" in self.files:
            return Answer.SLASH
        return Answer.UNKNOWN if self.without.covers(path) else Answer.NOTHING

    @staticmethod
    def file_of(path: str) -> str:
        """The file that would answer `path`."""
        name = path.removeprefix("/")
        return f"{name}index.html" if not name or name.endswith("/") else name


Check = Callable[[Site], Iterator[Remark]]
"""What every kind of check is: from the site to what is wrong with it, in any order."""
