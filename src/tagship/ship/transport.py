"""Ways to reach a host: a `Transport` starts an agent there and gives a channel to it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import IO, Protocol, cast

from tagship.ship.link import Channel

STDERR_BYTES = 8 * 1024


class Transport(Protocol):
    """How one host is reached; made without connecting."""

    @property
    def level(self) -> int:
        """The zlib level worth its time on this way: low where bytes cost nothing."""

    def connect(self, argv: Sequence[str]) -> Channel:
        """Run `argv` there and return its channel. Raises `HostRefused`."""


class StderrTail:
    """Reads a stream to its end in a thread of its own and keeps the last 8 KB."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._kept = b""
        self._thread = threading.Thread(target=self._drain, name="stderr", daemon=True)
        self._thread.start()

    def bytes(self) -> bytes:
        """What has come so far; after the agent's end, all of it."""
        self._thread.join(0.2)
        return self._kept

    def _drain(self) -> None:
        try:
            while part := self._read(4096):
                self._kept = (self._kept + part)[-STDERR_BYTES:]
        except (OSError, ValueError):
            return  # closed under us: nothing more will come


class LocalTransport:
    """This machine, for the embedded stage: the agent is a subprocess, with no SSH and no root."""

    level = 1

    def connect(self, argv: Sequence[str]) -> Channel:
        """Run `argv`, whose `python3` becomes the interpreter that runs us."""
        command = [sys.executable if argv[0] == "python3" else argv[0], *argv[1:]]
        # A session of its own: Ctrl-C is for us to handle, and the agent must live to put things back.
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        return PipeChannel(process)


class PipeChannel:
    """The three pipes of a subprocess."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._stdin = cast(IO[bytes], process.stdin)
        self._stdout = cast(IO[bytes], process.stdout)
        self._errors = StderrTail(cast(IO[bytes], process.stderr).read)

    def read(self, size: int) -> bytes:
        """At most `size` bytes as soon as there are any; empty at the end."""
        try:
            return self._stdout.read(size)
        except ValueError:  # closed by another thread
            return b""

    def write(self, data: bytes) -> None:
        """All of `data`. Raises `OSError`."""
        view = memoryview(data)
        try:
            while view:
                view = view[self._stdin.write(view) :]
        except ValueError as error:
            raise OSError("closed") from error

    def stderr(self) -> bytes:
        """The last 8 KB of stderr."""
        return self._errors.bytes()

    def status(self) -> int | None:
        """The exit status, once it has ended; waits for a second."""
        try:
            return self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return None

    def close(self) -> None:
        """Close its stdin, and leave it a moment to end; what it still has to put back goes on without us."""
        try:
            self._stdin.close()
        except OSError:
            pass  # it ended first
        if self.status() is None:
            threading.Thread(target=self._process.wait, name="reaper", daemon=True).start()

    def abort(self) -> None:
        """Kill an agent that has stopped listening."""
        self._process.kill()
