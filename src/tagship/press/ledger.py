"""The URL ledger, `site/urls.lock`: every address and anchor that was ever released, one a line, sorted.

What was released once is linked to by people we don't know. So each line must still be answered by the site, or be
redirected. The file is committed: a tag's build reads it and never writes it, so that the same tag gives the same
answer anywhere. Lines are added by `inv check --record` and taken out by hand, by whoever decides that an address may
go. Two branches that added lines merge line by line; order and repetition mean nothing when it is read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from tagship import config
from tagship.errors import ContentError
from tagship.press.checks import sources
from tagship.press.checks.page import Page
from tagship.press.checks.site import Answer, Site

FILE = "urls.lock"
HEAD = "# Every address that was ever released, and none may vanish: `inv check --record` adds new ones.\n"

_NOT_LISTED = re.compile(r"/(?:assets|pagefind)/|/404\.html\Z")
"""Named by their content and kept by the hosts, or read by a program of the same build; and no address."""
_NOTES = re.compile(r"fn(?:ref)?\d*:")
"""Ids of footnotes, which are numbers: nobody links to them."""
_ESCAPED = re.compile(r"[\s%#?]")
_SHOWN = 5


@dataclass(frozen=True)
class Entry:
    """An address that was released: its path and, of an anchor, the id; decoded. `line` is that of the ledger."""

    path: str
    fragment: str
    line: int

    @property
    def text(self) -> str:
        """The entry as it stands in the ledger."""
        return written(self.path, self.fragment)


@dataclass(frozen=True)
class Ledger:
    """The ledger of a project: `name` is the file's path inside it."""

    name: str
    entries: tuple[Entry, ...]

    @property
    def texts(self) -> frozenset[str]:
        """Every entry as it is written."""
        return frozenset(entry.text for entry in self.entries)


def name_of(settings: config.Site) -> str:
    """The ledger's path inside the project."""
    return f"{settings.source}/{FILE}"


def read(project: Path, settings: config.Site) -> Ledger | None:
    """The project's ledger, None where it keeps none. Raises `ContentError` for a line that is no address."""
    name = name_of(settings)
    try:
        text = (project / name).read_bytes().decode()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise ContentError("not UTF-8", path=name, cure="save it as UTF-8") from None
    return Ledger(name, tuple(_entries(name, text)))


def _entries(name: str, text: str) -> Iterator[Entry]:
    for number, line in enumerate(text.splitlines(), 1):
        words = line.strip()
        if not words or words.startswith("#"):
            continue
        if not words.startswith("/") or len(words.split()) > 1:
            cure = "each line is a path of the site, such as /about/; a merge may have left its marks"
            raise ContentError(f"`{words[:60]}` is no address", path=name, line=number, cure=cure)
        path, _, fragment = words.partition("#")
        yield Entry(unquote(path), unquote(fragment), number)


def written(path: str, fragment: str = "") -> str:
    """A decoded address as a line: readable in any script, with what would be taken for something else encoded."""
    both = [
        _ESCAPED.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), part)
        for part in (path, fragment)
    ]
    return "#".join(both) if fragment else both[0]


def published(site: Site) -> frozenset[str]:
    """Every address and anchor of a built site that people may link to, as lines of a ledger."""
    return frozenset(_published(site))


def _published(site: Site) -> Iterator[str]:
    for name in site.files:
        page = site.by_file.get(name)
        url = page.url if page is not None else f"/{name}"
        if _NOT_LISTED.match(url):
            continue
        yield written(url)
        if page is not None:
            yield from (written(url, anchor) for anchor in _anchors(page))


def _anchors(page: Page) -> Iterator[str]:
    """The ids inside the page's content; those around it are the template's own."""
    content = page.document.find("main") or page.document.find("body")
    if content is None:
        return
    for element in content.iter_elements():
        for name in (element.attr("id"), element.attr("name") if element.tag == "a" else None):
            if name and not _NOTES.match(name) and not name.isspace():
                yield name


def gone(ledger: Ledger, site: Site) -> Iterator[Entry]:
    """The entries that the site answers no more, in the order of the ledger, each once."""
    seen: set[str] = set()
    for entry in ledger.entries:
        if entry.text in seen:
            continue
        seen.add(entry.text)
        answer = site.answer(entry.path)
        if answer is Answer.NOTHING:
            yield entry
        elif entry.fragment and answer is not Answer.REDIRECT:
            file = site.file_of(entry.path if answer is Answer.FILE else f"{entry.path}/")
            page = site.by_file.get(file)
            if page is not None and entry.fragment not in page.ids:
                yield entry


def cure_of(entry: Entry) -> str:
    """What to do about an entry that is gone."""
    if entry.fragment:
        return f"give its heading the id again ({{#{entry.fragment}}}), or, if it may go for good, take the line out"
    old = written(entry.path)
    return (
        f"`aliases: [{old}]` in the text that took its place, or `site.redirects: {{{old}: ...}}`; or, if it may go "
        "for good, take its lines out"
    )


def check_tree(project: Path, folder: Path, settings: config.Site) -> int:
    """Hold the site built into `folder` against the project's ledger; how many of its addresses the ledger lacks.

    For builds of a tag; 0 where there is no ledger. Raises `ContentError` naming what is gone, and its cure.
    """
    ledger = read(project, settings)
    if ledger is None:
        return 0
    site = Site(folder, settings, {}, {})
    lost = list(gone(ledger, site))
    if lost:  # only now are the texts worth reading again: their old addresses may be answered
        read_again = sources.read(project, settings)
        lost = list(gone(ledger, Site(folder, settings, read_again.by_url, sources.aliases(read_again))))
    if lost:
        raise refusal(ledger, lost)
    return len(published(site) - ledger.texts)


def refusal(ledger: Ledger, lost: Collection[Entry]) -> ContentError:
    """One message for all that is gone."""
    first, *others = lost
    shown = ", ".join(entry.text for entry in others[: _SHOWN - 1])
    more = f", and so do {shown}{f' and {len(lost) - _SHOWN} more' if len(lost) > _SHOWN else ''}" if others else ""
    return ContentError(
        f"{first.text} was released, and resolves no more{more}",
        path=ledger.name,
        line=first.line,
        cure=cure_of(first),
    )


def record(project: Path, settings: config.Site, site: Site) -> Mapping[str, int]:
    """Add to the ledger what the site publishes and it lacks, sorted; begins one where there is none.

    Returns how many addresses were `added`, and how many there are in `all`.
    """
    ledger = read(project, settings)
    known = ledger.texts if ledger is not None else frozenset()
    every = known | published(site)
    path = project / name_of(settings)
    text = HEAD + "".join(f"{line}\n" for line in sorted(every))
    if ledger is None or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{FILE}.new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    return {"added": len(every) - len(known), "all": len(every)}
