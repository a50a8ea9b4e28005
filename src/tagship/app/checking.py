"""What can be known of a tag and a stage before any host is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tagship.app.packing import Packed
from tagship.app.project import open_project, tell_tag
from tagship.events import Listener, note
from tagship.release import tags
from tagship.release.tagged import read_config
from tagship.ship import connecting


def check(folder: Path, stage_name: str, tag: str | None, *, listener: Listener) -> dict[str, Any]:
    """Read the stage, resolve `tag` (the newest version tag when None), read its configuration, and pack it.

    What was packed is kept, and a deploy of the tag from this folder ships it. Returns digest and number of files.
    Raises `UsageError`, `ConfigError`, `TagRefused`, `ContentError`, `BundleRefused`, `CommandFailed`.
    """
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
