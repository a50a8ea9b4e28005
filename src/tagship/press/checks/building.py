"""A build that goes on: what is wrong with one text is noted, and the site is built without it.

A build ends with the first mistake, as it must; a check tells all of them. So where one ends, the file that it names
is left out of a copy of the project, and the build is tried again there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tagship import config
from tagship.errors import ConfigError, ContentError
from tagship.press import build as press
from tagship.press import output
from tagship.press.build import BuildReport
from tagship.press.checks import references, sources
from tagship.press.checks.findings import Finding
from tagship.press.checks.sources import Sources
from tagship.press.templates import has_template

MOST_TRIES = 30
"""Builds after which a check looks no further."""

_PLAIN_PAGE = '{% extends "theme/page.html" %}\n'


@dataclass(frozen=True)
class Built:
    """The site in `folder`, None where no part of it could be built, and what was wrong on the way."""

    folder: Path | None
    findings: tuple[Finding, ...]

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

    def attempt(root: Path, site: config.Site, number: int) -> tuple[Path, BuildReport]:
        out = scratch / f"site.{number}"
        return out, press.build(root, out, site, clock=clock, drafts=drafts, future=future)

    found: list[Finding] = []
    root = project
    if written.bad:
        root = _copy(project, scratch / "project", settings)
        _leave_out(root, written.bad, settings)
    for number in range(MOST_TRIES):
        try:
            out, report = attempt(root, settings, number)
        except ContentError as error:
            finding = sources.of_error(error)
            found.append(finding)
            if root is project:
                root = _copy(project, scratch / "project", settings)
            if not _leave_out(root, frozenset({finding.path}), settings):
                return Built(None, tuple(found))
        except ConfigError as error:
            found.append(_of_config(error))
            settings = _without_redirects(settings, error)
        else:
            return Built(out, (*found, *_warnings(report, written)))
    return Built(None, tuple(found))


def _shared(ask: press.Ask, written: Sources) -> Built | None:
    """The site as `inv build` keeps it; None where something is wrong, all of which is to be told."""
    try:
        report = output.bring_up_to_date(ask).report
    except (ContentError, ConfigError):
        return None
    return Built((ask.project / output.FOLDER / output.LINK).resolve(), _warnings(report, written))


def _warnings(report: BuildReport, written: Sources) -> tuple[Finding, ...]:
    return tuple(references.with_column(sources.of_warning(text), written) for text in report.warnings)


def _copy(project: Path, place: Path, settings: config.Site) -> Path:
    """The folders that a build reads, as links to the same files where the disk allows it."""
    for folder in (settings.posts, settings.source):
        if (project / folder).is_dir():
            shutil.copytree(project / folder, place / folder, symlinks=True, copy_function=_link_or_copy)
    place.mkdir(exist_ok=True)
    return place


def _link_or_copy(source: str, target: str) -> None:
    make: Callable[[str, str], object] = os.link
    try:
        make(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _leave_out(root: Path, names: frozenset[str], settings: config.Site) -> bool:
    """Take the files `names` away; whether there was one, so that another build can come further.

    Where a template goes, the theme's of that name takes its place, or else the theme's plain page.
    """
    there = [root / name for name in names if (root / name).is_file() or (root / name).is_symlink()]
    templates = root / settings.source / "templates"
    for path in there:
        path.unlink()
        if path.parent == templates and not path.name.startswith("_") and not has_template(path.name):
            path.write_text(_PLAIN_PAGE)
    return bool(there)


def _of_config(error: ConfigError) -> Finding:
    what = error.what
    return Finding(config.FILE_NAME, error.line or 1, error.column or 1, "broken-link", what, error.cure)


def _without_redirects(settings: config.Site, error: ConfigError) -> config.Site:
    import msgspec  # only on this way

    old = error.key.removeprefix("site.redirects.")
    left = {name: target for name, target in settings.redirects.items() if name != old}
    return msgspec.structs.replace(settings, redirects=left if left != settings.redirects else {})
