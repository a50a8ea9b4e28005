"""From a place in the output to the line that somebody wrote: in the page's text, in a template, or nowhere.

What is looked for is a remark's needle: an address, a tag, a heading's words. It is looked for where the page's own
text has it (code aside), the nth time where it is the nth on the page; then in the project's templates. A
remark that many pages share, because a template makes them, is told once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tagship.press.checks.findings import Finding
from tagship.press.checks.page import Place
from tagship.press.checks.site import Remark
from tagship.press.checks.titles import TITLE
from tagship.press.frontmatter import Source

_CODE = re.compile(r"^(?P<fence>`{3,}|~{3,}).*?^(?P=fence)|(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`)", re.S | re.M)


@dataclass(frozen=True)
class Written:
    """Where people write: the text of each page by its URL, the project's templates by name, the built folder."""

    sources: Mapping[str, Source]
    templates: Mapping[str, str]
    shown: str
    """How the built folder is called in messages."""


def place(remarks: Iterable[Remark], written: Written) -> list[Finding]:
    """The findings that `remarks` are, each at the best place there is for it, each once."""
    placed: dict[Finding, set[str]] = {}
    made: dict[tuple[str, str, str], list[Finding]] = {}
    told: set[tuple[str, str]] = set()
    for remark in remarks:
        finding = _written(remark, written)
        needle = remark.needles[-1] if remark.needles else ""
        if finding is not None:
            placed.setdefault(finding, set()).add(remark.page.file)
            told.add((remark.code, needle))
        else:
            spot = _finding(remark, f"{written.shown}/{remark.page.file}", remark.place)
            made.setdefault((remark.code, remark.message, needle), []).append(spot)
    found = [replace(finding, pages=len(pages)) for finding, pages in placed.items()]
    for (code, _, needle), spots in made.items():
        # A list of posts shows what a post says: that was told already, at the post.
        if not needle or (code, needle) not in told:
            found.append(replace(min(spots), pages=len({spot.path for spot in spots})))
    return sorted(found)


def _written(remark: Remark, written: Written) -> Finding | None:
    source = written.sources.get(remark.page.url)
    if source is not None and remark.needles == (TITLE,):
        return _finding(remark, source.name, Place(source.lines.get("title", 1), 1))
    for needle in remark.needles:
        if source is not None and (spot := find(source.body, needle, remark.turn)):
            return _finding(remark, source.name, Place(source.first_line + spot.line - 1, spot.column))
    for needle in remark.needles:
        for name, text in written.templates.items():
            if spot := find(text, needle, 1):
                return _finding(remark, name, spot)
    return None


def find(text: str, needle: str, turn: int) -> Place | None:
    """Where `needle` stands the `turn`th time, or the last, code aside; None where it doesn't."""
    if needle not in text:
        return None
    starts = [match.start() for match in _alone(needle).finditer(without_code(text))]
    if not starts:
        return None
    start = starts[min(turn, len(starts)) - 1]
    return Place(text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start))


def _alone(needle: str) -> re.Pattern[str]:
    """`needle` where it isn't a part of something longer: `/a` isn't in `/a/b`, `/x/a`, `/a-b` and `/a.png`."""
    before = r"(?<![\w/])" if needle[0] == "/" or needle[0].isalnum() else ""
    after = r"(?!\w)" if needle[-1] == "/" else r"(?![\w/-]|\.\w)" if needle[-1].isalnum() else ""
    return re.compile(before + re.escape(needle) + after)


def without_code(text: str) -> str:
    """Markdown with its code as blanks: every place stays where it was."""
    return _CODE.sub(_blank, text)


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def _finding(remark: Remark, path: str, spot: Place) -> Finding:
    return Finding(path, spot.line, spot.column, remark.code, remark.message, remark.cure)
