"""Since when what is current runs, and what it takes: from /proc, where everybody may read it."""

from __future__ import annotations

import os
import time
from typing import Any, Optional

from tagship.host import files, procs
from tagship.host.units import WEB


def of(parts: dict[str, list[int]]) -> Optional[dict[str, Any]]:
    """The process that leads, its start in UTC and its age in seconds, and the bytes in memory of all processes.

    What several of them share is counted for each. `None` where none lives.
    """
    if not parts:
        return None
    pid = (parts[WEB] if WEB in parts else next(iter(parts.values())))[0]
    stat = procs.read_stat(pid)
    if stat is None:
        return None
    uptime = float((files.read("/proc/uptime") or b"0").split()[0])
    age = max(uptime - stat.start / os.sysconf("SC_CLK_TCK"), 0.0)
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - age))
    memory = sum(_resident(one) for pids in parts.values() for one in pids)
    return {"pid": pid, "since": since, "age": int(age), "memory": memory}


def _resident(pid: int) -> int:
    fields = (files.read("/proc/{}/statm".format(pid)) or b"").split()
    return int(fields[1]) * os.sysconf("SC_PAGESIZE") if len(fields) > 1 else 0
