"""Every check over one built site: one parse a page, all findings at once, sorted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tagship import config
from tagship.errors import ConfigError, ContentError
from tagship.press import ledger
from tagship.press.checks import accessibility, contrast, feeds, links, nesting, placing, sources, titles, validity
from tagship.press.checks.codes import CODES
from tagship.press.checks.findings import Finding, kept
from tagship.press.checks.site import Check, Site, Without

CHECKS: Sequence[Check] = (
    links.check,
    validity.check,
    nesting.check,
    accessibility.check,
    contrast.check,
    titles.check,
    feeds.check,
)
"""What is asked of every site; links that leave it are asked by `external`, which takes minutes."""


@dataclass(frozen=True)
class Checked:
    """What a run found: findings by place, how many were ignored, and how many pages were looked at."""

    findings: tuple[Finding, ...]
    ignored: int
    pages: int

    @property
    def errors(self) -> int:
        """How many of the findings are errors."""
        return sum(finding.severity == "error" for finding in self.findings)

    @property
    def warnings(self) -> int:
        """How many are warnings."""
        return len(self.findings) - self.errors


def of_tree(site: Site, written: sources.Sources, shown: str) -> list[Finding]:
    """What is wrong with the pages of `site`, each placed where somebody wrote it; `shown` names its folder."""
    remarks = [remark for check in CHECKS for remark in check(site)]
    return placing.place(remarks, placing.Written(written.by_url, written.templates, shown))


def finish(findings: Sequence[Finding], settings: config.Site, pages: int) -> Checked:
    """What is left of `findings` once those that the project ignores are gone. Raises `ConfigError`."""
    check_codes(settings)
    left, dropped = kept(findings, settings.check.ignore)
    return Checked(tuple(left), dropped, pages)


def check_codes(settings: config.Site) -> None:
    """Raise `ConfigError` for an ignored code that there isn't."""
    for number, entry in enumerate(settings.check.ignore):
        if entry.code not in CODES:
            raise ConfigError(
                f"there is no finding `{entry.code}`",
                path=config.FILE_NAME,
                key=f"site.check.ignore.{number}.code",
                cure=f"known: {', '.join(sorted(CODES))}",
            )


def of_ledger(project: Path, site: Site) -> list[Finding]:
    """What the project's ledger of URLs holds and the site answers no more, and that it lacks what is new."""
    try:
        book = ledger.read(project, site.settings)
    except ContentError as error:
        return [sources.of_error(error)]
    if book is None:
        return []
    found = [
        Finding(book.name, entry.line, 1, "url-gone", f"{entry.text} resolves no more", ledger.cure_of(entry))
        for entry in ledger.gone(book, site)
    ]
    lacking = sorted(ledger.published(site) - book.texts)
    if lacking:
        what = f"lacks {len(lacking)} of the site's addresses, such as {lacking[0]}"
        found.append(Finding(book.name, 1, 1, "url-unrecorded", what, "inv check --record, and commit it"))
    return found


def site_of(folder: Path, settings: config.Site, written: sources.Sources, without: Without) -> Site:
    """The built tree in `folder` as checks read it."""
    return Site(folder, settings, written.by_url, sources.aliases(written), without)
