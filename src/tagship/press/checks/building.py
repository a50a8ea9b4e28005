"""A build that goes on: what is wrong with one text is noted, and the site is built without it.

A build ends with the first mistake, as it must; a check tells all of them. So where one ends, the file that it names
is left out of a copy of the project, and the build is tried again there.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec

from tagship import config
from tagship.errors import ConfigError, ContentError
from tagship.press import build as press
from tagship.press import output
from tagship.press.build import BuildReport
from tagship.press.checks import references, sources
from tagship.press.checks.findings import Finding
from tagship.press.checks.site import Without
from tagship.press.checks.sources import Sources
from tagship.press.templates import has_template

MOST_TRIES = 30
"""Builds after which a check looks no further."""

_NO_ASSET = re.compile(r"there is no asset (?:/assets/|`)([^`\s?#;]+)")
"""How texts, stylesheets and templates say so."""

_NOT_PUBLISHED = "which is not published"
"""What an engine says of a link to such a text; `links` says it of the address, with its column."""

_PLAIN_PAGE = '{% extends "theme/page.html" %}\n'


@dataclass(frozen=True)
class Built:
    """The site in `folder`, None where no part of it could be built, and what was wrong on the way.

    `without` are the texts that are not in it: that a link to one leads nowhere is no news.
    """

    folder: Path | None
    findings: tuple[Finding, ...]
    without: Without = field(default_factory=Without)

    @property
    def errors(self) -> int:
        """How many of the findings are errors: so many files are not in it."""
        return sum(finding.severity == "error" for finding in self.findings)


def build(
    project: Path,
    scratch: Path,
    settings: config.Site,
    written: Sources,
    *,
    clock: datetime,
    drafts: bool = False,
    future: bool = False,
) -> Built:
    """Build the site of `project`, without what can't be built below the folder `scratch`.

    Where nothing is wrong and nothing unpublished is asked for, it is `build/site` that is brought up to date.
    """
    if not (written.bad or drafts or future):
        shared = _shared(press.Ask(project.resolve(), settings, clock), written)
        if shared is not None:
            return shared
    attempt = _Attempt(project, scratch, settings, written)
    for number in range(MOST_TRIES):
        out = scratch / f"site.{number}"
        try:
            report = press.build(attempt.root, out, attempt.settings, clock=clock, drafts=drafts, future=future)
        except ContentError as error:
            if not attempt.go_on_without_file(sources.of_error(error)):
                return Built(None, tuple(attempt.found))
        except ConfigError as error:
            if not attempt.go_on_without_redirect(error):
                return Built(None, tuple(attempt.found))
        else:
            found = (*attempt.found, *_warnings(report, written))
            return Built(out, found, attempt.without)
    what = f"more than {MOST_TRIES - 1} files can't be built: no page was looked at"
    return Built(
        None, (*attempt.found, Finding(config.FILE_NAME, 1, 1, "content", what, "mend those that are told first"))
    )


class _Attempt:
    """What is tried next: the project, or a copy of it without what could not be built so far."""

    def __init__(self, project: Path, scratch: Path, settings: config.Site, written: Sources) -> None:
        self.root = project
        self.copy = scratch / "project"
        self.settings = settings
        self.written = written
        self.names: set[str] = set()
        self.found: list[Finding] = []
        if written.bad:
            self.leave_out(written.bad)

    @property
    def without(self) -> Without:
        """The texts that are left out."""
        urls = {url for url, source in self.written.by_url.items() if source.name in self.names}
        return Without(frozenset(self.names), frozenset(urls))

    def go_on_without_file(self, finding: Finding) -> bool:
        """Note what is wrong with a file and leave it out; whether that may help."""
        asset = _NO_ASSET.match(finding.message)
        if asset is not None:
            return self.go_on_with_asset(finding, asset[1])
        self.found.append(finding)
        return self.leave_out(frozenset({finding.path}))

    def go_on_with_asset(self, finding: Finding, name: str) -> bool:
        """Note every text that asks for an asset that isn't there, and put an empty one into the copy."""
        places = list(references.of_asset(name, finding, self.written))
        self.found += places or [finding]
        self.leave_out(frozenset())
        assets = self.root / self.settings.source / "assets"
        place = assets / name
        if place.exists() or not place.resolve().is_relative_to(assets.resolve()):
            return self.leave_out(frozenset({finding.path}))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
        return True

    def go_on_without_redirect(self, error: ConfigError) -> bool:
        """Note what is wrong with a redirect and leave it out; whether that may help."""
        old = error.key.removeprefix("site.redirects.")
        target = self.settings.redirects.get(old)
        if target is None:
            self.found.append(_of_config(error))
            return False
        if not self.without.covers(target):
            self.found.append(_of_config(error))
        left = {name: to for name, to in self.settings.redirects.items() if name != old}
        self.settings = msgspec.structs.replace(self.settings, redirects=left)
        return True

    def leave_out(self, names: frozenset[str]) -> bool:
        """Take files away from a copy; whether there was one.

        Where a template goes, the theme's of that name takes its place, or else the theme's plain page; an asset
        stays as an empty file.
        """
        if self.root != self.copy:
            _copy(self.root, self.copy, self.settings)
            self.root = self.copy
        self.names |= names
        there = [path for name in names if (path := self.root / name).is_file() or path.is_symlink()]
        source = self.root / self.settings.source
        for path in there:
            path.unlink()
            if path.is_relative_to(source / "assets"):
                path.touch()
            elif (
                path.parent == source / "templates" and not path.name.startswith("_") and not has_template(path.name)
            ):
                path.write_text(_PLAIN_PAGE)
        return bool(there)


def _shared(ask: press.Ask, written: Sources) -> Built | None:
    """The site as `inv build` keeps it; None where something is wrong, all of which is to be told."""
    try:
        report = output.bring_up_to_date(ask).report
    except (ContentError, ConfigError):
        return None
    return Built((ask.project / output.FOLDER / output.LINK).resolve(), _warnings(report, written))


def _warnings(report: BuildReport, written: Sources) -> tuple[Finding, ...]:
    texts = [text for text in report.warnings if _NOT_PUBLISHED not in text]
    return tuple(references.with_column(sources.of_warning(text), written) for text in texts)


def _copy(project: Path, place: Path, settings: config.Site) -> None:
    """The folders that a build reads, as links to the same files where the disk allows it."""
    for folder in (settings.posts, settings.source):
        if (project / folder).is_dir():
            shutil.copytree(project / folder, place / folder, symlinks=True, copy_function=_link_or_copy)
    place.mkdir(exist_ok=True)


def _link_or_copy(source: str, target: str) -> None:
    make: Callable[[str, str], object] = os.link
    try:
        make(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _of_config(error: ConfigError) -> Finding:
    what = error.what
    return Finding(config.FILE_NAME, error.line or 1, error.column or 1, "broken-link", what, error.cure)
