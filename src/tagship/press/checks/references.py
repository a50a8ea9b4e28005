"""What Markdown leaves standing as text: notes that are named and never written, and links of that kind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from tagship.press.checks.findings import Finding
from tagship.press.checks.placing import find, without_code
from tagship.press.checks.sources import Sources
from tagship.press.frontmatter import Source

_NOTE = re.compile(r"(?<!\\)\[\^([^\]\s]+)\](?P<definition>:)?")
_NAMED = re.compile(r"\[[^\]]*\]")


def check(sources: Sources) -> Iterator[Finding]:
    """Every note of every text that no line `[^name]:` explains."""
    for source in sources.by_url.values():
        if "[^" in source.body and source.name.endswith(".md"):
            yield from _notes(source)


def _notes(source: Source) -> Iterator[Finding]:
    text = without_code(source.body)
    found = list(_NOTE.finditer(text))
    written = {match[1] for match in found if _defines(text, match)}
    for match in found:
        if match[1] not in written:
            line = text.count("\n", 0, match.start())
            column = match.start() - text.rfind("\n", 0, match.start())
            what = f"there is no text for the note [^{match[1]}]"
            yield Finding(source.name, source.first_line + line, column, "undefined-reference", what)


def _defines(text: str, match: re.Match[str]) -> bool:
    return bool(match["definition"]) and not text[text.rfind("\n", 0, match.start()) + 1 : match.start()].strip()


def of_asset(name: str, finding: Finding, sources: Sources) -> Iterator[Finding]:
    """What `finding` says of one text, of every text that asks for that asset."""
    for source in sources.by_url.values():
        spot = find(source.body, f"/assets/{name}", 1) if source.name.endswith(".md") else None
        if spot is not None:
            yield replace(finding, path=source.name, line=source.first_line + spot.line - 1, column=spot.column)


def with_column(finding: Finding, sources: Sources) -> Finding:
    """A finding that knows its line only, at the column of the words in brackets that it quotes."""
    quoted = _NAMED.search(finding.message)
    source = next((source for source in sources.by_url.values() if source.name == finding.path), None)
    if finding.column > 1 or quoted is None or source is None:
        return finding
    lines = source.body.split("\n")
    at = finding.line - source.first_line
    column = lines[at].find(quoted[0]) + 1 if 0 <= at < len(lines) else 0
    return replace(finding, column=column) if column else finding
