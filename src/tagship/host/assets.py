"""`assets/`: fingerprinted files of all releases on this host; a page loaded before a flip finds its own there."""

from __future__ import annotations

import os

from tagship.host import files, stored
from tagship.host.layout import Layout
from tagship.host.objects import Objects
from tagship.host.tree import Folders, walk


def add(layout: Layout, declared: stored.Declared, objects: Objects) -> None:
    """Link the release's assets in; a name that other content has already gets the new one, at once."""
    sizes = declared.objects()
    with Folders(layout.assets) as folders:
        for path, key in sorted(declared.assets().items()):
            _place(folders, path, key, sizes[key], objects)


def collect(layout: Layout, releases: list[stored.Declared], objects: Objects) -> None:
    """Leave what `releases` (by serial) have and nothing else; of two contents under a name, the newest one's."""
    wanted: dict[str, tuple[str, int]] = {}
    for declared in releases:
        sizes = declared.objects()
        wanted.update((path, (key, sizes[key])) for path, key in declared.assets().items())
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
