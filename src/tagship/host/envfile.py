"""The application's env file: NAME=value lines that only its owner may read.

The start script reads the same file each time the service starts, so the grammar is small enough for `sh`: blank
lines, lines that begin with `#`, and NAME=value, where the value may stand in one pair of quotes and nothing in it
is expanded.
"""

from __future__ import annotations

import os
import re
import stat
from typing import Optional

from tagship.host import files
from tagship.host.faults import failed
from tagship.host.ready import Ready

_LINE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)\Z", re.S)


def fault(path: str, ready: Optional[Ready] = None) -> str:
    """`ok`, or what is wrong with the file itself: `missing`, `mode 0644`, `not a regular file`, `owned by ...`.

    Where units serve the stage, the service's group must be able to read it, and nobody else: 0640.
    """
    try:
        found = os.lstat(path)
    except OSError:
        return "missing"
    if not stat.S_ISREG(found.st_mode):
        return "not a regular file"
    if found.st_uid != os.geteuid():
        return "owned by uid {}".format(found.st_uid)
    mode = stat.S_IMODE(found.st_mode)
    if ready is not None:
        right = mode == 0o640 and found.st_gid == ready.gid
        return "ok" if right else "mode {:04o}, gid {}".format(mode, found.st_gid)
    return "mode {:04o}".format(mode) if mode & ~0o600 else "ok"


def read(path: str, ready: Optional[Ready] = None) -> dict[str, str]:
    """The variables of the file; raises `failed` naming the line that can't be read, never its text."""
    wrong = fault(path, ready)
    if wrong != "ok":
        wanted = "mode 0600" if ready is None else "group {} and mode 0640".format(ready.user)
        raise failed("the env file {}: {}".format(path, wrong), "make it a file of yours with {}".format(wanted))
    found: dict[str, str] = {}
    try:
        text = (files.read(path) or b"").decode()
    except UnicodeDecodeError:
        raise failed("the env file {} is not UTF-8".format(path), "save it as UTF-8") from None
    for number, line in enumerate(text.split("\n"), 1):
        if not line or line.startswith("#"):
            continue
        match = _LINE.match(line)
        if match is None or "\0" in line or "\r" in line:
            raise failed(
                "{}:{} is not NAME=value".format(path, number),
                "write NAME=value with no blanks before it and Unix line ends, or begin the line with #",
            )
        found[match.group(1)] = _unquote(match.group(2))
    return found


def _unquote(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value
