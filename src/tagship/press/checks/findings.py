"""A finding as a value, and what a project has decided to ignore."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tagship import config
from tagship.press.checks.codes import CODES, Severity


@dataclass(frozen=True, order=True)
class Finding:
    """Something wrong at a place: `path` inside the project, `line` and `column` from 1.

    `pages` counts the built pages that show it. Findings sort by place.
    """

    path: str
    line: int
    column: int
    code: str
    message: str
    cure: str = ""
    pages: int = 1

    @property
    def severity(self) -> Severity:
        """How bad it is, by its code."""
        return CODES[self.code].severity

    @property
    def where(self) -> str:
        """`file:line:column`."""
        return f"{self.path}:{self.line}:{self.column}"


def kept(findings: Iterable[Finding], ignored: Sequence[config.Ignored]) -> tuple[list[Finding], int]:
    """The findings that nobody ignores, sorted and each once, and how many were left out.

    An entry that matches nothing is a finding itself: its reason is gone.
    """
    used: set[int] = set()
    left: list[Finding] = []
    dropped = 0
    for finding in sorted(set(findings)):
        matching = [number for number, entry in enumerate(ignored) if _matches(entry, finding)]
        used.update(matching)
        if matching:
            dropped += 1
        else:
            left.append(finding)
    left += [_unused(number, entry) for number, entry in enumerate(ignored) if number not in used]
    return sorted(left), dropped


def _matches(entry: config.Ignored, finding: Finding) -> bool:
    return (
        entry.code == finding.code
        and fnmatchcase(finding.path, entry.path)
        and (not entry.text or entry.text in finding.message)
    )


def _unused(number: int, entry: config.Ignored) -> Finding:
    what = f"`site.check.ignore` {number + 1}: nothing is `{entry.code}` in {entry.path} any more"
    return Finding(config.FILE_NAME, 1, 1, "unused-ignore", what, "take the entry out")
