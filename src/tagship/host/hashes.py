"""SHA-256 of files, each inode read once a session: ctime can't be set, so what was written to is read again."""

from __future__ import annotations

import os
from typing import Callable, Optional

from tagship.host import contents
from tagship.host.context import Context


class Hashes:
    """What has been hashed, by inode and its last change."""

    def __init__(self, check: Callable[[], object]) -> None:
        self._known: dict[tuple[int, ...], str] = {}
        self._check = check
        """Called before each file is read; it raises where nobody waits for it any more."""

    def of(self, path: str, status: os.stat_result) -> str:
        """As `contents.hash_file`, of the file that was found there as `status` says."""
        key = _print(status)
        if key not in self._known:
            self._check()
            self._known[key] = contents.hash_file(path, status)
        return self._known[key]

    def note(self, status: os.stat_result, sha256: str) -> None:
        """Take what another has hashed since the file was found so."""
        self._known[_print(status)] = sha256


def of(context: Context) -> Hashes:
    """Those of the session."""
    found: Optional[Hashes] = context.opened.get("hashes")
    if found is None:
        found = context.opened["hashes"] = Hashes(context.check)
    return found


def _print(status: os.stat_result) -> tuple[int, ...]:
    """What a write changes, though the clock by which ctime is told ticks some hundred times a second only."""
    return status.st_dev, status.st_ino, status.st_ctime_ns, status.st_mtime_ns
