"""What is known of each release: by the journal, or, where that was lost, by what a release keeps about itself."""

from __future__ import annotations

import os

from tagship.host import files, stored
from tagship.host.journal import Journal, Standing
from tagship.host.layout import ID, Layout


def standings(layout: Layout, journal: Journal) -> dict[str, Standing]:
    """By id, every release that the journal tells of, and those on disk that only it could have told of.

    One that was sealed, and of which no row is left, counts as `left`: nobody knows whether it was good, so it is
    neither chosen for a rollback nor removed as unfinished.
    """
    found = journal.standings()
    for name in folders(layout):
        standing = found.get(name)
        if standing is None or not standing.row:
            declared = stored.find(layout, name)
            if declared is None:
                continue
            standing = found.setdefault(name, Standing(name))
            record = {key: declared.record.get(key, "") for key in ("tag", "commit", "digest", "lock")}
            roles = declared.record.get("roles", [])
            standing.row = {**record, "manifest": declared.manifest, "roles": roles, "runs": declared.parts}
            standing.there = True
            standing.staged = bool(files.read_object(layout.release(name, stored.SEALED)))
            if standing.staged and standing.state == "unfinished":
                standing.state = "left"
    return found


def folders(layout: Layout) -> list[str]:
    """The folders in releases/ that are called like releases; which of them are ours, `standings` tells."""
    return [name for name in files.names(layout.releases) if _is_folder(layout, name)]


def highest(standings: dict[str, Standing]) -> int:
    """The highest serial ever given here."""
    return max((standing.serial for standing in standings.values()), default=0)


def _is_folder(layout: Layout, name: str) -> bool:
    path = os.path.join(layout.releases, name)
    return bool(ID.match(name)) and os.path.isdir(path) and not os.path.islink(path)
