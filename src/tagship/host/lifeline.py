"""The line to the client: when it is cut, commands that run are killed, and nothing else starts.

The reader's thread cuts it; the verbs, in the main thread, run commands and wait through it.
"""

from __future__ import annotations

import signal
import threading
import time
from typing import Optional, Sequence

from tagship.host import procs
from tagship.host.faults import Gone, failed


class Lifeline:
    """Whole until `cut`."""

    def __init__(self) -> None:
        self._cut = threading.Event()
        self._guard = threading.Lock()
        self._group: Optional[int] = None
        self._heard = time.monotonic()

    def heard(self) -> None:
        """A frame came."""
        self._heard = time.monotonic()

    def silence(self) -> float:
        """Seconds since the last frame."""
        return time.monotonic() - self._heard

    def cut(self) -> None:
        """The client is gone: kill the running command's process group; every later use raises `Gone`."""
        with self._guard:
            self._cut.set()
            if self._group is not None:
                procs.send_group(self._group, signal.SIGKILL)

    @property
    def is_cut(self) -> bool:
        """Whether the client is gone."""
        return self._cut.is_set()

    def check(self) -> None:
        """Raise `Gone` if the client is."""
        if self._cut.is_set():
            raise Gone

    def wait(self, seconds: float) -> None:
        """Sleep, or raise `Gone` as soon as the client is."""
        if self._cut.wait(seconds):
            raise Gone

    def run(self, argv: Sequence[str], env: dict[str, str], cwd: str, output: int) -> int:
        """Run a command in a process group of its own, both its outputs to `output`; gives its exit status.

        A status below 0 is the signal that ended it. Raises `failed` where it can't be started at all.
        """
        import subprocess  # 10 ms that a session without commands doesn't pay

        with self._guard:
            if self._cut.is_set():
                raise Gone
            try:
                child = subprocess.Popen(
                    list(argv),
                    env=env,
                    cwd=cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise failed(
                    "{}: {}".format(argv[0] if argv else "(nothing)", error.strerror),
                    "name a program that the release's virtualenv or the host has",
                ) from None
            self._group = child.pid
        try:
            status = child.wait()
        finally:
            with self._guard:
                self._group = None
                procs.send_group(child.pid, signal.SIGKILL)  # what it left in the background
        self.check()
        return status
