"""The interpreter that virtualenvs are made from: found on the host's PATH, asked what it is."""

from __future__ import annotations

import functools
import json
import os
import sys
from typing import Any, Optional

from tagship.host import facts

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TIMEOUT = 30  # seconds for another interpreter to say what it is


def find(name: str) -> Optional[str]:
    """The absolute path of an interpreter given by path or by name, or `None`."""
    if "/" in name:
        path = os.path.abspath(os.path.expanduser(name))
        return path if os.path.isfile(path) and os.access(path, os.X_OK) else None
    for folder in (os.environ.get("PATH") or PATH).split(os.pathsep):
        path = os.path.join(folder, name)
        if folder and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def ask(name: str) -> Optional[dict[str, Any]]:
    """Its facts; `None` where there is no such interpreter, or it doesn't say what it is."""
    path = find(name)
    found = _told(path) if path is not None else None
    return {**found, "executable": path} if found else None


def version(path: str) -> tuple[str, str]:
    """The real path of the program behind `path`, which may be a wrapper, and its full version; empty if unknown."""
    found = _told(path)
    return (os.path.realpath(found["executable"]), found["markers"]["python_full_version"]) if found else ("", "")


def _told(path: str) -> Optional[dict[str, Any]]:
    own = bool(sys.executable) and os.path.realpath(path) == os.path.realpath(sys.executable)
    return facts.facts() if own else _ask_other(path)


@functools.lru_cache(maxsize=8)
def _ask_other(path: str) -> Optional[dict[str, Any]]:
    """Once a session: a session surveys twice, and an interpreter behind a wrapper may take a while to start."""
    import subprocess  # only where the agent runs on another interpreter

    source = facts.__loader__.get_source("tagship.host.facts")  # type: ignore[union-attr]
    text = source + "\nimport json\nprint(json.dumps(facts()))\n"
    try:
        done = subprocess.run(
            [path, "-IS", "-c", text],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=_TIMEOUT,
            check=False,
        )
        found = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return None
    return found if isinstance(found, dict) else None
