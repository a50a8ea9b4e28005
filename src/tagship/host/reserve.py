"""Room set aside while there is some: a full disk gives it free, so that what goes back can be journaled."""

from __future__ import annotations

import errno
import os

from tagship.host import files
from tagship.host.layout import Layout

_COUNT = 16
"""Files: as many inodes, for notes, sockets, logs and the new link of a rollback."""
_BYTES = 8 << 10
_LOW = 1 << 20, 64
"""Bytes and inodes: where fewer are free, the application, which starts too, may not find what it needs."""


def keep(layout: Layout) -> None:
    """Set it aside unless it is; where there is no room for it, there is none."""
    names = [os.path.join(layout.reserve, str(number)) for number in range(_COUNT)]
    try:
        if all(os.path.isfile(name) and os.path.getsize(name) == _BYTES for name in names):
            return
        files.remove_tree(layout.reserve)
        os.mkdir(layout.reserve, 0o700)
        for name in names:
            fd = os.open(name, files.NEW, 0o600)
            try:
                files.write_all(fd, os.urandom(_BYTES))  # zeros would take no room where a filesystem compresses
            finally:
                os.close(fd)
    except OSError:
        pass


def give_early(layout: Layout) -> None:
    """Free it where little is left, before something that must go through begins."""
    disk = os.statvfs(layout.state)
    if disk.f_bavail * disk.f_frsize < _LOW[0] or (disk.f_files and disk.f_favail < _LOW[1]):
        files.remove_tree(layout.reserve)


def give(layout: Layout, error: OSError) -> bool:
    """Free it where `error` says that there is no room left; gives whether there was anything to free."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not files.names(layout.reserve):
        return False
    files.remove_tree(layout.reserve)
    return True
