"""Folders, of root's and of others.

`folder`: `path`, `owner`, `group`, `mode` (octal), `passed` (whether others must be able to pass through all folders
above), `ours` (it mustn't be a folder of root's with something in it), `loose` (one that is there and belongs to
somebody else, or was given to another group, or is a link, stays as it is).
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from typing import Optional

from tagship.host import files
from tagship.host.accounts import gid_of, group_name, uid_of, user_name
from tagship.host.context import Args
from tagship.host.faults import refused
from tagship.host.outfit_work import State, Work, in_the_way, mode_of

_HOPS = 20
"""Links on the way to a folder."""


def look_folder(work: Work, row: Args) -> State:  # noqa: ARG001
    """Whether owner, group and mode are as wanted. Raises `refused` for what isn't a folder, or somebody else's."""
    path, owner = row.text("path"), uid_of(row.text("owner"))
    _check_way(path, {0, owner}, passed=bool(row.raw().get("passed")))
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return State(True)
    loose = bool(row.raw().get("loose")) and os.path.isdir(path)
    given = found.st_gid not in (0, gid_of(row.text("owner")), gid_of(row.text("group")))
    if loose and (stat.S_ISLNK(found.st_mode) or found.st_uid not in (0, owner) or given):
        return State(False)
    if not stat.S_ISDIR(found.st_mode):
        raise in_the_way(path, "is not a folder")
    if found.st_uid not in (0, owner):
        what = "{} belongs to {}".format(path, user_name(found.st_uid))
        raise refused(what, "chown it to {} if it is meant, or set another `root`".format(row.text("owner")))
    if found.st_uid == 0 != owner and row.raw().get("ours") and os.listdir(path):
        what = "{} is root's, and there is something in it".format(path)
        raise refused(what, "chown it to {} if it is meant, or set another `root`".format(row.text("owner")))
    return _compared(row, found)


def make_folder(work: Work, row: Args) -> None:
    """Make it, and those of root's above it; or give it owner and mode. On the way only root's links are followed."""
    path = os.path.normpath(row.text("path"))
    parent = descend(os.path.dirname(path))
    name = os.path.basename(path)
    try:
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
            work.owe(path, lambda: _remove_empty(path))
        except FileExistsError:
            pass
        folder = os.open(name, files.FOLDER, dir_fd=parent)
        try:
            before, same = os.fstat(folder), os.dup(folder)  # by its path, another could be put back
            work.owe(path, lambda: _give(same, before.st_uid, before.st_gid, stat.S_IMODE(before.st_mode)))
            os.fchown(folder, pwd.getpwnam(row.text("owner")).pw_uid, grp.getgrnam(row.text("group")).gr_gid)
            os.fchmod(folder, mode_of(row.text("mode")))
        finally:
            os.close(folder)
    finally:
        os.close(parent)


def _compared(row: Args, found: os.stat_result) -> State:
    words = []
    if found.st_uid != uid_of(row.text("owner")):
        words.append("owner {}".format(user_name(found.st_uid)))
    if found.st_gid != gid_of(row.text("group")):
        words.append("group {}".format(group_name(found.st_gid)))
    if stat.S_IMODE(found.st_mode) != mode_of(row.text("mode")):
        words.append("mode {:04o}".format(stat.S_IMODE(found.st_mode)))
    return State(bool(words), ", ".join(words))


def _check_way(path: str, owners: set[Optional[int]], *, passed: bool) -> None:
    """All folders above must be root's or the owner's: through anybody else's, root would act for them."""
    parts = [part for part in os.path.dirname(os.path.normpath(path)).split("/") if part]
    for count in range(len(parts) + 1):
        above = "/" + "/".join(parts[:count])
        try:
            link, found = os.lstat(above), os.stat(above)
        except FileNotFoundError:
            return
        if not stat.S_ISDIR(found.st_mode):
            raise in_the_way(above, "is not a folder")
        if stat.S_ISLNK(link.st_mode) and link.st_uid != 0:
            raise refused("{} is a link that isn't root's".format(above), "set another `root`")
        if found.st_uid not in owners:
            what = "{}, above {}, belongs to {}".format(above, path, user_name(found.st_uid))
            raise refused(what, "set another `root`")
        if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
            raise refused("{}, above {}, can be written by anybody".format(above, path), "chmod o-w {}".format(above))
        if passed and not found.st_mode & stat.S_IXOTH:
            what = "{}, above {}, lets no other user pass: neither nginx nor the service".format(above, path)
            raise refused(what, "chmod o+x {}, or set another `root`".format(above))


def descend(path: str) -> int:
    """Open a folder from / downwards, and make those that are missing. Raises `refused` at a link that isn't root's.

    Whoever deploys may put one into the way at any moment, so each part is looked up in the folder above, held open.
    """
    folder, rest, hops = os.open("/", files.FOLDER), _parts(path), 0
    try:
        while rest:
            name = rest.pop()
            target = _link_of_root(name, folder)
            if target is None:
                inner = _enter(name, folder)
            elif hops < _HOPS:
                hops += 1
                rest += _parts(target)
                inner = os.open("/" if target.startswith("/") else ".", files.FOLDER, dir_fd=folder)
            else:
                raise in_the_way(path, "leads round in circles")
            os.close(folder)
            folder = inner
    except BaseException:
        os.close(folder)
        raise
    return folder


def _parts(path: str) -> list[str]:
    """The parts of a path, the last one first."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def _link_of_root(name: str, folder: int) -> Optional[str]:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISLNK(found.st_mode):
        return None
    if found.st_uid != 0:
        raise refused("`{}`, on the way, is a link that isn't root's".format(name), "set another `root`")
    return os.readlink(name, dir_fd=folder)


def _enter(name: str, folder: int) -> int:
    try:
        return os.open(name, files.FOLDER, dir_fd=folder)
    except FileNotFoundError:
        os.mkdir(name, 0o755, dir_fd=folder)
    inner = os.open(name, files.FOLDER, dir_fd=folder)
    os.fchmod(inner, 0o755)  # whatever the umask
    return inner


def _give(folder: int, uid: int, gid: int, mode: int) -> None:
    os.fchown(folder, uid, gid)
    os.fchmod(folder, mode)


def _remove_empty(path: str) -> None:
    try:
        os.rmdir(path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.ENOENT):
            raise
