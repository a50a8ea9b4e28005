"""How `fab setup` made this host ready for a stage, from a file that only root can have written."""

from __future__ import annotations

import json
import os
import pwd
import re
import stat
from typing import Any, NamedTuple, Optional

from tagship.host import files

FOLDER = "/etc/tagship"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}\Z")
_KEYS = ("app", "stage", "root", "deploy", "user", "nginx")


class Ready(NamedTuple):
    """What was set up, and whom the service runs as."""

    unit: str
    """`APP-STAGE`: the template's name, and that of all that belongs to the stage."""
    root: str
    user: str
    """The service user."""
    gid: int
    """Its group, of which who deploys is a member."""
    row: dict[str, Any]
    """The file as it stands."""


def read(app: str, stage: str) -> Optional[Ready]:
    """What was set up for a stage; `None` where nothing was, or where others than root can write that file."""
    if not _NAME.match(app) or not _NAME.match(stage):
        return None
    unit = "{}-{}".format(app, stage)
    path = os.path.join(FOLDER, unit + ".json")
    try:
        found = [os.lstat(FOLDER), os.lstat(path)]
        row = json.loads(files.read(path) or b"")
        if any(one.st_uid != 0 or stat.S_IMODE(one.st_mode) & 0o022 for one in found):
            return None
        values = [row[key] for key in _KEYS]
        if values[:2] != [app, stage] or not all(isinstance(value, str) for value in values):
            return None
        return Ready(unit, row["root"], row["user"], pwd.getpwnam(row["user"]).pw_gid, row)
    except (OSError, ValueError, KeyError, TypeError):
        return None
