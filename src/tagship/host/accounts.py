"""Users and groups by name and by number, where either may be one that this machine doesn't know."""

from __future__ import annotations

import grp
import pwd
from typing import Optional


def uid_of(name: str) -> Optional[int]:
    """The number of a user, `None` where there is no such user."""
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def gid_of(name: str) -> Optional[int]:
    """The number of a group, `None` where there is no such group."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def user_name(uid: int) -> str:
    """The name of a user, or the number itself."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_name(gid: int) -> str:
    """The name of a group, or the number itself."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
