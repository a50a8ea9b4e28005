"""`assets/`: fingerprinted files of all releases on this host; a page loaded before a flip finds its own there."""

from __future__ import annotations

import os
from typing import Iterable

from tagship.host import files, rows, stored
from tagship.host.layout import Layout
from tagship.host.objects import Objects
from tagship.host.tree import Folders, walk

_ROOM = "public/assets/"


def of(found: Iterable[rows.Row]) -> dict[str, tuple[str, int]]:
    """Of these files of a release, its assets: path below `assets/` to key and bytes."""
    return {
        row[0][len(_ROOM) :]: (rows.key(row), row[3]) for row in found if row[0].startswith(_ROOM) and row[1] != "l"
    }


def add(layout: Layout, found: Iterable[rows.Row], objects: Objects) -> None:
    """Link a release's assets in; a name that other content has already gets the new one, at once."""
    with Folders(layout.assets) as folders:
        for path, (key, size) in sorted(of(found).items()):
            _place(folders, path, key, size, objects)


def adopt(layout: Layout, release: str, made: list[rows.Row], objects: Objects) -> None:
    """`add` for those that a command of the release made (collectstatic, a bundler): they become objects first."""
    for path, (key, size) in of(made).items():
        objects.adopt(layout.release(release, _ROOM + path), key, size)
    add(layout, made, objects)


def collect(layout: Layout, releases: list[stored.Declared], objects: Objects) -> None:
    """Leave what `releases` (by serial) have and nothing else; of two contents under a name, the newest one's."""
    wanted: dict[str, tuple[str, int]] = {}
    for declared in releases:
        wanted.update(of([*declared.rows, *stored.made(layout, declared.release)]))
    with Folders(layout.assets) as folders:
        for path in [path for path, _ in walk(layout.assets, "")]:
            folder, _, name = path[1:].rpartition("/")
            if path[1:] not in wanted:
                os.unlink(name, dir_fd=folders.open(folder))
        for path, (key, size) in sorted(wanted.items()):
            if os.path.lexists(os.path.join(layout.assets, path)) and objects.sound(key, size):
                _place(folders, path, key, size, objects)
    _prune_empty(layout.assets)


def _place(folders: Folders, path: str, key: str, size: int, objects: Objects) -> None:
    folder, _, name = path.rpartition("/")
    fd = folders.open(folder)
    if objects.is_linked(key, name, fd):
        return
    new = ".new-" + key
    _unlink(new, fd)
    objects.link(key, size, new, fd)
    os.rename(new, name, src_dir_fd=fd, dst_dir_fd=fd)


def _unlink(name: str, folder: int) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        pass


def _prune_empty(top: str) -> None:
    for name in files.names(top):
        path = os.path.join(top, name)
        if os.path.isdir(path) and not os.path.islink(path):
            _prune_empty(path)
            try:
                os.rmdir(path)
            except OSError:
                pass  # it isn't empty
