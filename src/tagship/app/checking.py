"""What can be known before any host is asked: of a tag and a stage, and of the working tree's site."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagship.amounts import counted
from tagship.app.project import Project, open_project, tell_tag
from tagship.errors import Refused, UsageError
from tagship.events import Event, Listener, note

if TYPE_CHECKING:
    from tagship.press.checks.findings import Finding
    from tagship.press.checks.running import Checked
    from tagship.press.checks.site import Site as BuiltSite
    from tagship.press.checks.sources import Sources

BUILD = "build"
"""The folder that a check builds in: on the disk of the project, so that nothing has to be copied."""

SHOWN = "build/site"
"""How the built folder is called in messages: where `inv build` would put it."""

CACHE = "external-links.json"
"""What other sites answered, below `build/`: `inv clean` forgets it."""


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
    """What a check of the site is asked for beyond what it always looks at.

    `record` adds what the site publishes to its ledger of URLs; `external` asks other sites too; `sarif` is a file
    that gets the findings too.
    """

    drafts: bool = False
    future: bool = False
    record: bool = False
    external: bool = False
    sarif: Path | None = None


def check_site(folder: Path, wanted: Wanted, *, listener: Listener) -> dict[str, Any]:
    """Build the working tree's site beside the real one and tell all that is wrong with it, as `problem` events.

    Returns the data of the result: exit 0 where nothing is an error, else 3. Raises `UsageError`, `ConfigError`.
    """
    from tagship.press.checks import running  # Markdown, Jinja2 and the parser: only where a site is checked

    if wanted.record and (wanted.drafts or wanted.future):
        raise UsageError("records what is released", where="--record", cure="leave --drafts and --future out")
    project = open_project(folder)
    running.check_codes(project.site)
    with _scratch(project) as scratch:
        checked = _checked(project, Path(scratch), wanted, listener)
    for finding in checked.findings:
        listener(Event("problem", "", row_of(finding)))
    if wanted.sarif is not None:
        _write_sarif(wanted.sarif, checked)
    note(listener, _summed_up(checked))
    bad = checked.errors > 0
    return {
        "outcome": Refused.outcome if bad else "checked",
        "exit": Refused.exit_code if bad else 0,
        "errors": checked.errors,
        "warnings": checked.warnings,
        "ignored": checked.ignored,
        "pages": checked.pages,
    }


def refusal(result: Mapping[str, Any]) -> Refused | None:
    """What there is to say of a check that found errors; None where it found none."""
    if not result["exit"]:
        return None
    what = f"the site has {counted(result['errors'], 'error')}, told above"
    return Refused(what, cure="mend them; what is meant to be so goes into `site.check.ignore`, with its reason")


def row_of(finding: Finding) -> Mapping[str, Any]:
    """The data of a `problem` event."""
    return {**asdict(finding), "severity": finding.severity}


def _scratch(project: Project) -> tempfile.TemporaryDirectory[str]:
    place = project.root / BUILD
    try:
        place.mkdir(exist_ok=True)
        return tempfile.TemporaryDirectory(prefix=".check-", dir=place)
    except OSError as error:
        raise UsageError(f"can't be written: {error.strerror}", where=BUILD, cure="make it yours (chown)") from None


def _checked(project: Project, scratch: Path, wanted: Wanted, listener: Listener) -> Checked:
    from tagship.press import clock  # as above
    from tagship.press.checks import building, references, running, sources

    written = sources.read(project.root, project.site)
    moment = clock.clock_of(project.root)
    built = building.build(
        project.root, scratch, project.site, written, clock=moment, drafts=wanted.drafts, future=wanted.future
    )
    findings = [*written.findings, *built.findings, *references.check(written)]
    if built.folder is None:
        return running.finish(findings, project.site, 0)
    site = running.site_of(built.folder, project.site, written, built.without)
    findings += running.of_tree(site, written, SHOWN)
    if wanted.external:
        findings += _external(project, site, written, listener)
    whole = not written.findings and not built.errors
    if not (wanted.drafts or wanted.future) and whole:  # else something is missing for another reason
        findings += _ledger(project, site, wanted, listener)
    return running.finish(findings, project.site, len(site.pages))


def _external(project: Project, site: BuiltSite, written: Sources, listener: Listener) -> list[Finding]:
    """Ask other sites for what is linked to; what they answered is remembered in `build/`."""
    from tagship.press.checks import external, placing  # as above: HTTP, only where it is asked for

    def tell(done: int, total: int) -> None:
        listener(Event("progress", "", {"step": "asking other sites", "done": done, "total": total, "unit": "hosts"}))

    cache = project.root / BUILD / CACHE
    remarks = external.check(site, cache, manners=external.Manners(), now=time.time(), tell=tell)
    return placing.place(remarks, placing.Written(written.by_url, written.templates, SHOWN))


def _ledger(project: Project, site: BuiltSite, wanted: Wanted, listener: Listener) -> list[Finding]:
    """Add to the ledger what is new, if asked, and hold the site against it."""
    from tagship.press import ledger  # as above
    from tagship.press.checks import running

    if wanted.record:
        told = ledger.record(project.root, project.site, site)
        name = ledger.name_of(project.site)
        note(listener, f"{name}: {told['added']} added, {told['all']} in all; commit it with what it tells of")
    return running.of_ledger(project.root, site)


def _write_sarif(path: Path, checked: Checked) -> None:
    from tagship.press.checks import sarif  # only where it is asked for

    try:
        path.write_text(json.dumps(sarif.document(checked.findings), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        what = error.strerror or str(error)
        raise UsageError(what, where=f"--sarif {path}", cure="name a file you may write") from None


def _summed_up(checked: Checked) -> str:
    ignored = f", {checked.ignored} ignored" if checked.ignored else ""
    looked = f"{counted(checked.pages, 'page')}: " if checked.pages else ""
    return f"{looked}{counted(checked.errors, 'error')}, {counted(checked.warnings, 'warning')}{ignored}"
