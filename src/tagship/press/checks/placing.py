"""From a place in the output to the line that somebody wrote: in the page's text, in a template, or nowhere.

What is looked for is a remark's needle: an address, a tag, a heading's words. It is looked for where the page's own
text has it (code aside), the nth time where the page shows it the nth time; then in the project's templates. A
remark that many pages share, because a template makes them, is told once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tagship.press.checks.findings import Finding
from tagship.press.checks.page import Place
from tagship.press.checks.site import Remark
from tagship.press.frontmatter import Source

_CODE = re.compile(r"^(?P<fence>`{3,}|~{3,}).*?^(?P=fence)|(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`)", re.S | re.M)
_WORD = re.compile(r"\w")


@dataclass(frozen=True)
class Written:
    """Where people write: the text of each page by its URL, the project's templates by name, the built folder."""

    sources: Mapping[str, Source]
    templates: Mapping[str, str]
    shown: str
    """How the built folder is called in messages."""


def place(remarks: Iterable[Remark], written: Written) -> list[Finding]:
    """The findings that `remarks` are, each at the best place there is for it, each once."""
    placed: dict[tuple[str, int, int, str, str], Finding] = {}
    made: dict[tuple[str, str, str], list[Finding]] = {}
    told: set[tuple[str, str]] = set()
    seen: dict[tuple[str, str, str], int] = {}
    for remark in remarks:
        turn = (remark.page.url, remark.code, remark.needle)
        seen[turn] = seen.get(turn, 0) + 1
        finding = _written(remark, written, seen[turn])
        if finding is None:
            spot = Finding(
                f"{written.shown}/{remark.page.file}", *remark.place, remark.code, remark.message, remark.cure
            )
            made.setdefault((remark.code, remark.message, remark.needle), []).append(spot)
            continue
        key = (finding.path, finding.line, finding.column, finding.code, finding.message)
        earlier = placed.get(key)
        placed[key] = _also(earlier, earlier.pages + 1) if earlier else finding
        told.add((remark.code, remark.needle))
    # A list of posts shows what a post says: that was told already, at the post.
    rest = [spots for (code, _, needle), spots in made.items() if not needle or (code, needle) not in told]
    return sorted([*placed.values(), *(_also(min(spots), len(spots)) for spots in rest)])


def _written(remark: Remark, written: Written, turn: int) -> Finding | None:
    source = written.sources.get(remark.page.url)
    if source is not None and remark.needle == "title:":
        return _finding(remark, source.name, Place(source.lines.get("title", 1), 1))
    if not remark.needle:
        return None
    if source is not None:
        spot = _spot(source.body, remark.needle, turn)
        if spot is not None:
            return _finding(remark, source.name, Place(source.first_line + spot.line - 1, spot.column))
    for name, text in written.templates.items():
        spot = _spot(text, remark.needle, 1)
        if spot is not None:
            return _finding(remark, name, spot)
    return None


def _spot(text: str, needle: str, turn: int) -> Place | None:
    """Where `needle` stands the `turn`th time, or the last, code aside; None where it doesn't."""
    starts = list(_starts(_CODE.sub(_blank, text), needle))
    if not starts:
        return None
    start = starts[min(turn, len(starts)) - 1]
    return Place(text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start))


def _starts(text: str, needle: str) -> Iterator[int]:
    at = text.find(needle)
    while at >= 0:
        before, after = text[at - 1 : at], text[at + len(needle) : at + len(needle) + 1]
        # `/a` isn't found in `/a/b` or `/x/a`, nor a word in a longer one.
        longer = needle[-1:] != "/" and (after == "/" or _WORD.match(after + " " if after else " "))
        part = (needle[:1] == "/" and _WORD.match(before or " ")) or (
            _WORD.match(needle[0]) and _WORD.match(before or " ")
        )
        if not longer and not part and not (needle[-1:] == "/" and _WORD.match(after or " ")):
            yield at
        at = text.find(needle, at + 1)


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def _finding(remark: Remark, path: str, spot: Place) -> Finding:
    return Finding(path, spot.line, spot.column, remark.code, remark.message, remark.cure)


def _also(finding: Finding, pages: int) -> Finding:
    return Finding(finding.path, finding.line, finding.column, finding.code, finding.message, finding.cure, pages)
