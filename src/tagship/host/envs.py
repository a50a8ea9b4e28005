"""The versioned environment: files `env/0003` below the root, each whole and never changed, newest the highest.

A release's link `env` names the version that it runs with.
"""

from __future__ import annotations

import os
import re
from typing import Optional

from tagship.host import envfile, files
from tagship.host.faults import Problem
from tagship.host.layout import ID, Layout

FOLDER = LINK = "env"
"""The name of the folder below the root, and of the link in a release."""
_VERSION = re.compile(r"[0-9]{4,9}\Z")


def path(layout: Layout, version: int) -> str:
    """The file of a version."""
    return layout.below(FOLDER, "{:04d}".format(version))


def versions(layout: Layout) -> list[int]:
    """Those there are, oldest first."""
    return sorted(int(name) for name in files.names(layout.below(FOLDER)) if _VERSION.match(name))


def newest(layout: Layout) -> int:
    """The highest version there is, 0 where there is none."""
    return max(versions(layout), default=0)


def read(layout: Layout, version: int) -> dict[str, str]:
    """The values of a version; raises `failed` where it can't be read."""
    return envfile.read(path(layout, version), layout.ready)


def link(layout: Layout, release: str) -> None:
    """Give a release that is being staged the newest version, if there is one."""
    where, version = layout.release(release, LINK), newest(layout)
    files.remove(where)
    if version:
        os.symlink(os.path.join(os.pardir, os.pardir, FOLDER, "{:04d}".format(version)), where)


def of_release(layout: Layout, release: str) -> int:
    """The version that a release runs with, 0 for none."""
    try:
        name = os.path.basename(os.readlink(layout.release(release, LINK)))
    except OSError:
        return 0
    return int(name) if _VERSION.match(name) else 0


def used(layout: Layout) -> dict[str, int]:
    """The version of each release that has one."""
    found = {name: of_release(layout, name) for name in files.names(layout.releases) if ID.match(name)}
    return {name: version for name, version in found.items() if version}


def prune(layout: Layout) -> None:
    """Remove the versions that no release on disk uses, but for the newest."""
    kept = set(used(layout).values())
    for version in versions(layout)[:-1]:
        if version not in kept:
            files.remove(path(layout, version))


def secrets(layout: Layout, env_file: Optional[str]) -> dict[str, str]:
    """Every value that this stage keeps, of all versions and of the env file kept by hand: what no log may show."""
    places = [path(layout, version) for version in versions(layout)]
    if env_file and os.path.exists(os.path.join(layout.shared, env_file)):
        places.append(os.path.join(layout.shared, env_file))
    found: dict[str, str] = {}
    for where in places:
        try:
            values = envfile.read(where, layout.ready)
        except Problem:
            if os.path.lexists(where):
                raise
            continue  # a deploy has pruned it meanwhile
        found.update((where + " " + name, value) for name, value in values.items())
    return found
