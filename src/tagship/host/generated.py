"""Folders that `prepare` fills: the service user may write there while a release is staged, and never again.

What another user made can't be given to us, so it is copied at the seal: into files of ours, with one name each. Only
regular files, and links that stay inside the release, are taken over.
"""

from __future__ import annotations

import os
import stat
from typing import Iterator, Optional

from tagship.host import access, environment, files, helper, rows, stored
from tagship.host.context import Context
from tagship.host.faults import Problem, failed
from tagship.host.layout import Layout
from tagship.host.tree import Folders

_NEVER = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX
_CURE = "have `prepare:` make plain files, and links to such, below `app.generated`"


def make(layout: Layout, declared: stored.Declared) -> None:
    """Make the folders, as its settings name them; the service may write there from now on."""
    gid = access.group(layout)
    for path in declared.settings.get("generated", ()):
        room, _, below = path.partition("/")
        if room not in rows.ROOMS or not below:
            raise failed("`{}` is neither below app/ nor public/".format(path), "mend `app.generated`")
        with Folders(layout.release(declared.release, room)) as folders:
            folders.open(below)
        if gid is not None:
            access.grant(layout.release(declared.release, path), gid, access.WRITABLE)


def take(context: Context, declared: stored.Declared) -> None:
    """Make what is in those folders ours, so that the service can no longer change it; raises `failed`."""
    layout = context.layout
    paths = declared.settings.get("generated", ())
    if layout.ready is None or not paths:
        return
    tagged = {row[0]: row for row in declared.rows}
    made: list[rows.Row] = []
    for path in paths:
        old, new = layout.release(declared.release, path), layout.release(declared.release, path) + ".taken"
        files.remove_tree(new)
        os.mkdir(new, access.OWN)
        with Folders(new) as folders:
            for inner, status, source in walk(old, path):
                made.extend(_copy(source, path, inner, status, folders, inner in tagged))
        os.chmod(new, access.OPEN)
        trash = layout.release(declared.release, "taken")
        remove(context, declared.release, trash)
        os.rename(old, trash)
        os.rename(new, old)
        remove(context, declared.release, trash)
    _check_links([*declared.rows, *made])


def remove(context: Context, release: str, path: str) -> None:
    """Remove a folder of a release in which there may be folders of the service user's."""
    try:
        files.remove_tree(path)
    except PermissionError:
        if context.layout.ready is None:
            raise
        # Only their owner can empty them. What is named here is ours, and so are all folders above.
        words = ["find", path, "-mindepth", "1", "-user", context.layout.ready.user, "-delete"]
        helper.quietly(context.lifeline, environment.inside(context.layout, release, words))
        files.remove_tree(path)


def walk(top: str, path: str, parent: Optional[int] = None) -> Iterator[tuple[str, os.stat_result, int]]:
    """Every entry below the folder `top`, which is called `path`: its name, its lstat, the descriptor of its folder.

    A folder comes before what is in it. Nothing is looked up twice by its path: whoever may write there could lead
    that elsewhere meanwhile. Raises `failed` where something can't be read.
    """
    try:
        folder = os.open(top, files.FOLDER, dir_fd=parent)
    except PermissionError:
        raise failed("{} can't be read by who deploys".format(path), _CURE) from None
    except OSError:
        raise _changed(path) from None
    try:
        for name in sorted(os.listdir(folder)):
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            yield path + "/" + name, status, folder
            if stat.S_ISDIR(status.st_mode):
                for inner in walk(name, path + "/" + name, folder):
                    yield inner
    finally:
        os.close(folder)


def _changed(path: str) -> Problem:
    return failed("{} changed while it was read".format(path), _CURE)


def _copy(
    source: int, top: str, path: str, status: os.stat_result, folders: Folders, is_tagged: bool
) -> Iterator[rows.Row]:
    """Take one entry of the folder `source` over; gives the row of one that isn't the tag's."""
    inner, _, name = path[len(top) + 1 :].rpartition("/")
    if stat.S_ISDIR(status.st_mode):
        folders.open(path[len(top) + 1 :])
    elif stat.S_ISLNK(status.st_mode):
        target = os.readlink(name, dir_fd=source)
        os.symlink(target, name, dir_fd=folders.open(inner))
        if not is_tagged:
            yield [path, "l", target]
    elif not stat.S_ISREG(status.st_mode) or status.st_mode & _NEVER:
        raise failed("{} is no plain file (mode {:o})".format(path, status.st_mode), _CURE)
    elif is_tagged and status.st_uid == os.geteuid():
        taken = folders.open(inner)
        os.link(name, name, src_dir_fd=source, dst_dir_fd=taken, follow_symlinks=False)
        if os.stat(name, dir_fd=taken, follow_symlinks=False).st_uid != os.geteuid():
            raise _changed(path)  # with the same content, whoever put it there could write to it later
    else:
        _copy_file(source, path, name, folders.open(inner))
        yield [path, "f", "0" * 64, 0]


def _copy_file(folder: int, path: str, name: str, into: int) -> None:
    try:
        source = os.open(name, files.READ, dir_fd=folder)
    except PermissionError:
        raise failed("{} can't be read by who deploys".format(path), _CURE) from None
    except OSError:
        raise _changed(path) from None
    try:
        found = os.fstat(source)
        if not stat.S_ISREG(found.st_mode):
            raise _changed(path)
        target = os.open(name, files.NEW, 0o600, dir_fd=into)
        try:
            for piece in iter(lambda: os.read(source, 1 << 20), b""):
                files.write_all(target, piece)
            os.fchmod(target, 0o555 if found.st_mode & 0o111 else 0o444)
            os.utime(target, ns=(found.st_mtime_ns, found.st_mtime_ns))
        finally:
            os.close(target)
    finally:
        os.close(source)


def _check_links(together: list[rows.Row]) -> None:
    """Raise `failed` where a link leads out of the release."""
    try:
        for row in together:
            if row[1] == "l":
                rows.check([row])
        rows.check_together(together)
    except Problem as problem:
        raise failed(problem.what, _CURE) from None
