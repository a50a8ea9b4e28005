"""The line to the client: when it is cut, commands that run are killed, and nothing else starts.

The reader's thread cuts it; the verbs, in the main thread, run commands and wait through it.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from typing import Any, Callable, Optional, Sequence

from tagship.host import procs
from tagship.host.faults import Gone, failed

_LOOK = 100  # milliseconds between two looks whether the client is there
_LEAVE = 25.0  # seconds for another user's processes to end once nobody reads them


def alone(argv: Sequence[str], output: int) -> None:
    """Nobody else runs anything for us."""


class Lifeline:
    """Whole until `cut`."""

    def __init__(self) -> None:
        self._cut = threading.Event()
        self._guard = threading.Lock()
        self._group: Optional[int] = None
        self._heard = time.monotonic()
        self.others: Callable[[Sequence[str], int], Any] = alone
        """Has another process run a command, its outputs to a descriptor; gives what waits for it, or `None`."""

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
        child = self._begin(argv, env, cwd, output)
        try:
            status = child.wait()
        finally:
            with self._guard:
                group, self._group = self._group, None
                if group is not None:
                    procs.send_group(group, signal.SIGKILL)  # what it left in the background
        self.check()
        return int(status)

    def relay(self, argv: Sequence[str], env: dict[str, str], cwd: str, output: int) -> int:
        """`run`, for a command that ends when nobody reads its outputs: they come through a pipe of ours.

        When the client goes, so does the pipe; the command then has a while to end before `Gone` is raised.
        """
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        try:
            try:
                child = self._begin(argv, env, cwd, theirs)
            finally:
                os.close(theirs)
            ready = select.poll()
            ready.register(ours, select.POLLIN)
            while not self.is_cut:
                if ready.poll(_LOOK):
                    piece = os.read(ours, 1 << 16)
                    if not piece:
                        break
                    os.write(output, piece)
        finally:
            os.close(ours)
        try:
            status = child.wait(_LEAVE if self.is_cut else None)
        except Exception as error:  # TimeoutExpired, of a module that may not be loaded
            if not self.is_cut:
                raise
            raise Gone from error
        with self._guard:
            self._group = None
        self.check()
        return int(status)

    def _begin(self, argv: Sequence[str], env: dict[str, str], cwd: str, output: int) -> Any:
        other = self.others(argv, output) if not self._cut.is_set() else None
        if other is not None:
            return other
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
        return child
