"""What a release keeps about itself on disk: what was declared, and what sealing it recorded."""

from __future__ import annotations

import os
from typing import Any, NamedTuple, Optional

from tagship.host import files, rows
from tagship.host.faults import Problem, refused
from tagship.host.layout import ID, Layout

DECLARED = "manifest.json"
SEALED = "sealed.json"
RECORD = "release.json"


class Declared(NamedTuple):
    """A release as `declare` took it in."""

    release: str
    record: dict[str, Any]
    """What becomes release.json."""
    manifest: str
    """SHA-256 of the rows."""
    rows: list[rows.Row]
    wheels: list[list[Any]]
    """`[filename, sha256, size]` each."""
    installer: Optional[list[Any]]

    @property
    def settings(self) -> dict[str, Any]:
        """How it is started and furnished."""
        found: dict[str, Any] = self.record["settings"]
        return found

    @property
    def parts(self) -> list[str]:
        """The processes that it has on this host when it is up: `web`, which answers requests, and its units."""
        return (["web"] if self.settings["start"] else []) + sorted(self.settings.get("units", {}))

    def objects(self) -> dict[str, int]:
        """Every object it is made of, key to bytes; the installer, which makes it, left out."""
        found = {rows.key(row): row[3] for row in self.rows if row[1] != "l"}
        found.update((sha256, size) for _, sha256, size in self.wheels)
        return found


def write(layout: Layout, declared: Declared) -> None:
    """Keep it in its release's folder, which must be there."""
    files.place_json(layout.release(declared.release, DECLARED), declared._asdict(), 0o444)


def find(layout: Layout, release: str) -> Optional[Declared]:
    """What was declared, or `None` where nothing readable is there."""
    if os.path.islink(layout.release(release)):
        return None
    found = files.read_object(layout.release(release, DECLARED))
    try:
        return Declared(**found) if found.get("release") == release else None
    except TypeError:
        return None


def read(layout: Layout, release: str) -> Declared:
    """What was declared; raises `refused` where the release isn't there or its manifest is damaged."""
    found = find(layout, release)
    if found is None:
        raise refused("there is no release {} on this host".format(release), "`fab releases` shows those there are")
    if rows.digest(found.rows) != found.manifest:
        raise refused(
            "the manifest of {} is damaged".format(release),
            "make a new tag and deploy it: a new release gets sound files",
        )
    return found


def made(layout: Layout, release: str) -> list[rows.Row]:
    """Rows of what commands made in a release; none until it is sealed."""
    found: list[rows.Row] = files.read_object(layout.release(release, SEALED)).get("made", [])
    return found


def whole(layout: Layout, release: str) -> Optional[Declared]:
    """What was declared, or `None` where it isn't there or was damaged since: then it can't be started again."""
    try:
        return read(layout, release)
    except Problem:
        return None


def is_ours(layout: Layout, name: str) -> bool:
    """Whether a name in releases/ is a release that tagship made."""
    return bool(ID.match(name)) and find(layout, name) is not None


def all_declared(layout: Layout) -> list[Declared]:
    """Every release on disk, by serial."""
    found = [find(layout, name) for name in files.names(layout.releases) if ID.match(name)]
    return sorted((one for one in found if one is not None), key=lambda one: int(one.record["serial"]))


def installer(layout: Layout) -> Optional[str]:
    """SHA-256 of the installer's wheel that is unpacked here, if one is."""
    for name in files.names(layout.tools):
        if rows.SHA256.match(name) and os.path.isfile(os.path.join(layout.tools, name, "tool.json")):
            return name
    return None
