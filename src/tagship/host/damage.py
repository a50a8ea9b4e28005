"""What a release that goes has done to those that stay: through a shared inode, a write in place reaches all."""

from __future__ import annotations

import os
from typing import Iterator, Optional

from tagship.host import contents, files, stored
from tagship.host.layout import Layout

_Inode = tuple[int, int]


def done(layout: Layout, release: str) -> dict[str, list[str]]:
    """By other release on disk: its files that are the very ones found changed in `release`, paths sorted."""
    changed = dict(_changed(layout, release))
    found = {}
    for other in stored.all_declared(layout) if changed else []:
        if other.release != release:
            paths = sorted(_shared(layout, other, changed))
            if paths:
                found[other.release] = paths
    return found


def forget_unpacked(layout: Layout, damaged: dict[str, list[str]]) -> None:
    """Drop what uv has unpacked, where a virtualenv was reached: the next would be linked from the same files.

    A changed object needs no such care: the next `declare` hashes it, and has it sent anew.
    """
    if any(path.startswith("venv/") for paths in damaged.values() for path in paths):
        files.remove_tree(layout.cache)


def _changed(layout: Layout, release: str) -> Iterator[tuple[_Inode, str]]:
    """Files of more than one name that aren't as tagged, or as their wheel had them: inode and path."""
    declared = stored.find(layout, release)
    folder = layout.release(release)
    tagged = {row[0]: row for row in declared.rows} if declared is not None else {}
    for path, status in contents.tree(folder):
        if status.st_nlink > 1 and path in tagged and contents.fault_of_object(folder, tagged[path], status):
            yield (status.st_dev, status.st_ino), path
    for path, what in contents.virtualenv(layout.release(release, "venv"), {}):
        inode = _inode(layout.release(release, "venv", path))
        if what == "changed" and inode is not None:
            yield inode, "venv/" + path


def _shared(layout: Layout, other: stored.Declared, changed: dict[_Inode, str]) -> Iterator[str]:
    """Paths of `other` whose inode is one of `changed`: anywhere in its tree, at the same place in its virtualenv."""
    in_venv = [path for path in changed.values() if path.startswith("venv/")]
    for path in [row[0] for row in other.rows if row[1] != "l"] + in_venv:
        if _inode(layout.release(other.release, path)) in changed:
            yield path


def _inode(path: str) -> Optional[_Inode]:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
