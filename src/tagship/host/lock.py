"""The stage's lock on this host: a kernel `flock`, freed by the kernel when its holder dies, however it dies.

Who holds it is written into the file by the holder alone. A look at that never takes the lock, so looking can't
make anybody lose it: the note counts only while the process that wrote it lives.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from typing import Any, Optional

from tagship.host import files, procs
from tagship.host.faults import Problem, failed
from tagship.host.journal import now

_PATIENCE = 0.25
"""Seconds in which a holder that has just won gets its note written."""


class Lock:
    """The lock file at `path`; held or not by this process."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.owner: Optional[str] = None
        """Who took it, while it is held."""
        self._fd: Optional[int] = None

    @property
    def held(self) -> bool:
        """Whether this process holds it."""
        return self._fd is not None

    def fileno(self) -> int:
        """Its descriptor, for a process that is to hold it beside us; raises `OSError` where it isn't held."""
        if self._fd is None:
            raise OSError("the lock isn't held")
        return self._fd

    def take(self, owner: str, release: Optional[str], verb: str) -> None:
        """Take the lock at once or raise `locked` with the holder's note; taking it twice rewrites the note."""
        if self._fd is None:
            self._fd = self._acquire()
        note = {"owner": owner, "release": release, "verb": verb, "since": now(), "process": procs.me().row()}
        data = json.dumps(note).encode()
        os.pwrite(self._fd, data, 0)
        os.ftruncate(self._fd, len(data))
        self.owner = owner

    def _acquire(self) -> int:
        # Inherited by nobody: Python opens with O_CLOEXEC, and a child that had it would keep the lock alive.
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return fd
            except BlockingIOError:
                holder = read_holder(self.path)
                if holder is None and time.monotonic() < deadline:
                    time.sleep(0.01)
                    continue
                os.close(fd)
                raise _locked(holder) from None
            except OSError as error:
                os.close(fd)
                raise failed(
                    "{}: {}".format(self.path, error.strerror), "put the root on a filesystem that has flock"
                ) from None

    def free(self) -> None:
        """Wipe the note and let go; nothing to do where it isn't held."""
        if self._fd is not None:
            fd, self._fd, self.owner = self._fd, None, None
            try:
                os.ftruncate(fd, 0)
            finally:
                os.close(fd)


def read_holder(path: str) -> Optional[dict[str, Any]]:
    """`{owner, release, verb, since}` of the living process that holds the lock at `path`, or `None`.

    Also `client: gone` where nobody waits for it any more: a migration that outlives its client.
    """
    note = files.read_object(path)
    process = procs.Process.from_row(note.get("process"))
    if process is None or not process.alive():
        return None
    return {
        **{name: note.get(name) for name in ("owner", "release", "verb", "since")},
        **({"client": note["client"]} if "client" in note else {}),
    }


def _locked(holder: Optional[dict[str, Any]]) -> Problem:
    who = holder or {"owner": "unknown", "release": None, "verb": "unknown", "since": ""}
    what = "locked by {} ({} {}) since {}".format(
        who["owner"], who["verb"], who["release"] or "", who["since"] or "an unknown time"
    )
    return Problem("locked", what, "wait until it is done; the lock goes when its holder does", data=who)
