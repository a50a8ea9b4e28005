"""The tree of a release: hard links of hashed objects, below folders held open and never looked up twice."""

from __future__ import annotations

import errno
import os
import stat
from typing import Iterator, Optional

from tagship.host import files, rows
from tagship.host.faults import failed
from tagship.host.objects import Objects

FOLDER_MODE = 0o755
CODE_MODE = 0o750
"""Of `app/`, where the service runs as another user."""


class Folders:
    """The folders below one folder, made where missing and held open along the path last asked for.

    Each is opened relative to its parent and never through a symbolic link, so a tree can't be led elsewhere.
    """

    def __init__(self, path: str) -> None:
        self._stack = [("", os.open(path, files.FOLDER))]

    def __enter__(self) -> "Folders":
        return self

    def __exit__(self, *_: object) -> None:
        for _name, fd in self._stack:
            os.close(fd)
        self._stack = []

    def open(self, path: str) -> int:
        """The descriptor of `path` (relative, "" for the top), valid until the next call."""
        while not _holds(self._stack[-1][0], path):
            os.close(self._stack.pop()[1])
        at, fd = self._stack[-1]
        for part in path[len(at) :].strip("/").split("/") if path != at else ():
            fd = _make(part, fd)
            at = at + "/" + part if at else part
            self._stack.append((at, fd))
        return fd


def _holds(folder: str, path: str) -> bool:
    return not folder or path == folder or path.startswith(folder + "/")


def _make(name: str, parent: int) -> int:
    try:
        os.mkdir(name, FOLDER_MODE, dir_fd=parent)
        fresh = True
    except FileExistsError:
        fresh = False
    try:
        fd = os.open(name, files.FOLDER, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            raise failed(
                "`{}` is in the way of a folder".format(name), "take one of the two out of the tag"
            ) from None
        raise
    if fresh:
        os.fchmod(fd, FOLDER_MODE)  # whatever the umask
    return fd


def plant(release: str, manifest: list[rows.Row], objects: Objects, group: Optional[int] = None) -> int:
    """Make the tree of a checked manifest below the folder `release`; gives how many entries it has.

    With a `group`, only that and its owner may look into `app/`: what is in it can't tell, being shared.
    Safe to run again over what an earlier run left: it starts from nothing.
    """
    for room in rows.ROOMS:
        files.remove_tree(os.path.join(release, room))
    with Folders(release) as folders:
        for room in rows.ROOMS:
            fd = folders.open(room)
            if room == "app" and group is not None:
                os.fchown(fd, -1, group)
                os.fchmod(fd, CODE_MODE)
        for row in manifest:
            folder, _, name = row[0].rpartition("/")
            if row[1] == "l":
                os.symlink(row[2], name, dir_fd=folders.open(folder))
            else:
                objects.link(rows.key(row), row[3], name, folders.open(folder))
    return len(manifest)


def walk(top: str, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    """Every entry below a folder that isn't a folder itself, as (`prefix/...`, lstat), sorted, following no link."""
    with os.scandir(top) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        status = entry.stat(follow_symlinks=False)
        path = prefix + "/" + entry.name
        if stat.S_ISDIR(status.st_mode):
            for inner in walk(entry.path, path):
                yield inner
        else:
            yield path, status
