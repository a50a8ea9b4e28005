"""Who may read and write what, below a root that units serve: the service user's group stands between two users."""

from __future__ import annotations

import os
import stat
from typing import Optional

from tagship.host.faults import failed
from tagship.host.layout import Layout

OWN, OPEN, PASS = 0o700, 0o755, 0o751
WRITABLE, SERVED = 0o2770, 0o2775


def of_folder(layout: Layout, path: str) -> int:
    """The mode of one of the folders that the root begins with.

    Whoever may open the lock's file may hold it, reading or not; so nobody else comes near it.
    """
    if path in (layout.objects, layout.state, layout.log):
        return OWN
    return PASS if path == layout.shared and layout.ready is not None else OPEN


def group(layout: Layout) -> Optional[int]:
    """The service user's group; `None` where there is only one user."""
    return None if layout.ready is None else layout.ready.gid


def grant(path: str, gid: int, mode: int) -> None:
    """Give one's own folder or file to the group, with `mode`; nothing to do where it is so already."""
    found = os.lstat(path)
    if found.st_gid == gid and stat.S_IMODE(found.st_mode) == mode:
        return
    try:
        if found.st_gid != gid:
            os.chown(path, -1, gid, follow_symlinks=False)
        os.chmod(path, mode)
    except PermissionError:
        raise failed(
            "{} can't be given to the service's group".format(path),
            "`fab setup` makes who deploys a member of it; a folder made by others must be given by them",
        ) from None


def share(layout: Layout, path: str, served: bool) -> None:
    """Make a folder of `shared/` where it is missing; the service may write into it, and nginx read one it serves."""
    full = os.path.join(layout.shared, path)
    gid = group(layout)
    if gid is None:
        os.makedirs(full, exist_ok=True)
        return
    above = layout.shared
    for part in path.split("/")[:-1]:
        above = os.path.join(above, part)
        if not os.path.isdir(above):
            os.mkdir(above)
            os.chmod(above, PASS)  # whatever the umask
    if not os.path.isdir(full):
        os.mkdir(full, OWN)
    # What others own, what was given to another group, and what is linked in, is as its owner wants it.
    found = os.lstat(full)
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and found.st_gid in (gid, os.getegid()):
        grant(full, gid, SERVED if served else WRITABLE)
