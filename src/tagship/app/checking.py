"""What can be known before any host is asked: of a tag and a stage, and of the working tree's site."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagship.app.project import Project, open_project, tell_tag
from tagship.errors import UsageError
from tagship.events import Event, Listener, note

if TYPE_CHECKING:
    from tagship.press.checks.findings import Finding
    from tagship.press.checks.running import Checked

BUILD = "build"
"""The folder that a check builds in: on the disk of the project, so that nothing has to be copied."""

REFUSED = 3
"""The exit code where there are errors: nothing was changed, and this must not be published."""


def check_tag(folder: Path, stage_name: str, tag: str | None, *, listener: Listener) -> dict[str, Any]:
    """Read the stage, resolve `tag` (the newest version tag when None), read its configuration, and pack it.

    What was packed is kept, and a deploy of the tag from this folder ships it. Returns digest and number of files.
    Raises `UsageError`, `ConfigError`, `TagRefused`, `ContentError`, `BundleRefused`, `CommandFailed`.
    """
    from tagship.app.packing import Packed  # SSH and wheels: what a check of the site has no use for
    from tagship.release import tags
    from tagship.release.tagged import read_config
    from tagship.ship import connecting

    project = open_project(folder)
    stage = project.config.stage(stage_name)
    places = connecting.places(stage_name, stage, project.config.app.name, project.root)
    chosen = tags.resolve(project.root, tag)
    tell_tag(chosen, listener)
    shipment = Packed(project.root, chosen, read_config(project.root, chosen), listener).shipment()
    files = len(shipment.manifest.entries)
    hosts = ", ".join(place.name for place in places)
    note(listener, f"{chosen.name} is packed for {stage_name} ({hosts}): {files} entries, {shipment.digest[:12]}")
    return {"digest": shipment.digest, "files": files}


@dataclass(frozen=True)
class Wanted:
    """What a check of the site is asked for beyond what it always looks at."""

    drafts: bool = False
    future: bool = False


def check_site(folder: Path, wanted: Wanted, *, listener: Listener) -> dict[str, Any]:
    """Build the working tree's site beside the real one and tell all that is wrong with it, as `problem` events.

    Returns the data of the result: exit 0 where nothing is an error, else 3. Raises `UsageError`, `ConfigError`.
    """
    from tagship.press.checks import running  # Markdown, Jinja2 and the parser: only where a site is checked

    project = open_project(folder)
    running.check_codes(project.site)
    place = project.root / BUILD
    try:
        place.mkdir(exist_ok=True)
        scratch_folder = tempfile.TemporaryDirectory(prefix=".check-", dir=place)
    except OSError as error:
        raise UsageError(f"can't be written: {error.strerror}", where=BUILD, cure="make it yours (chown)") from None
    with scratch_folder as scratch:
        checked = _checked(project, Path(scratch), wanted)
    for finding in checked.findings:
        listener(Event("problem", "", row_of(finding)))
    note(listener, _summed_up(checked))
    bad = checked.errors > 0
    return {
        "outcome": "refused" if bad else "checked",
        "exit": REFUSED if bad else 0,
        "errors": checked.errors,
        "warnings": checked.warnings,
        "ignored": checked.ignored,
        "pages": checked.pages,
    }


def row_of(finding: Finding) -> Mapping[str, Any]:
    """The data of a `problem` event."""
    return {**asdict(finding), "severity": finding.severity}


def _checked(project: Project, scratch: Path, wanted: Wanted) -> Checked:
    from tagship.press import clock  # as above
    from tagship.press.checks import building, running, sources

    written = sources.read(project.root, project.site)
    built = building.build(
        project.root,
        scratch,
        project.site,
        written,
        clock=clock.clock_of(project.root),
        drafts=wanted.drafts,
        future=wanted.future,
    )
    findings = [*written.findings, *built.findings]
    pages = 0
    if built.folder is not None:
        site = running.site_of(built.folder, project.site, written, {})
        findings += running.of_tree(site, written, "build/site")
        pages = len(site.pages)
    return running.finish(findings, project.site, pages)


def _summed_up(checked: Checked) -> str:
    ignored = f", {checked.ignored} ignored" if checked.ignored else ""
    looked = f"{_count(checked.pages, 'page')}: " if checked.pages else ""
    return f"{looked}{_count(checked.errors, 'error')}, {_count(checked.warnings, 'warning')}{ignored}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"
