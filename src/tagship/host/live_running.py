"""The verbs `run` and `talk`: a command of the user's own in a release's environment, and the way to and from it.

The client asks for what was said as fast as it can show it, so nothing piles up between the command and a reader
that is slow: a pipe that is full makes the command wait.
"""

from __future__ import annotations

import base64
import binascii
import os
import select
import signal
import time
from typing import Any, Optional

from tagship.host import environment, procs, stored, survey
from tagship.host.context import Args, Context
from tagship.host.faults import failed, refused, usage
from tagship.host.live_lines import LineReader
from tagship.host.masking import mask

_PIECE = 64 << 10  # bytes read from a stream at a time
_LINGER = 0.5  # seconds that what a command left behind may go on speaking
_GRACE = 5.0  # seconds between SIGTERM and SIGKILL
_KEY = "running"


def run(context: Context, args: Args) -> dict[str, Any]:
    """Begin `argv` in the environment of what is current; `talk` goes on with it."""
    argv = args.texts("argv")
    if not argv:
        raise usage("`argv` is empty")
    layout = context.layout
    release = survey.read_current(layout)[1]
    if release is None:
        raise refused("nothing is current, so there is no environment to run it in", "fab deploy")
    if _KEY in context.opened:
        raise usage("a command runs already")
    declared = stored.read(layout, release)
    running = Running(
        environment.inside(layout, release, argv),
        env=environment.base(layout, release),
        cwd=layout.root,
        secrets=environment.secrets(layout, declared),
    )
    context.opened[_KEY] = running
    context.endings.append(running.end)
    return {"release": release}


def talk(context: Context, args: Args) -> dict[str, Any]:
    """Hand `input` (base64) over, as much as it takes, and answer what it said, after `wait` seconds at most.

    `eof` ends its input, once all of `input` was taken. `status` of the answer is null until it has ended, and all
    that it said was told.
    """
    running = context.opened.get(_KEY)
    if not isinstance(running, Running):
        raise usage("nothing runs: `run` comes first")
    try:
        data = base64.b64decode(args.optional("input") or "", validate=True)
    except binascii.Error:
        raise usage("`input` must be base64") from None
    taken = running.give(data)
    if args.raw().get("eof") and taken == len(data):
        running.close_input()
    lines = running.read(min(args.number("wait"), 10.0), waits_to_give=taken < len(data))
    status = running.status()
    if status is not None:
        del context.opened[_KEY]
    return {"taken": taken, "lines": lines, "status": status}


class Running:
    """One command in a session of its own, with pipes to all three of its streams."""

    def __init__(self, argv: list[str], *, env: dict[str, str], cwd: str, secrets: dict[str, str]) -> None:
        import subprocess  # 10 ms that a session without commands doesn't pay

        pipe = subprocess.PIPE
        try:
            self._child = subprocess.Popen(
                argv, env=env, cwd=cwd, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, start_new_session=True
            )
        except OSError as error:
            what = "{}: {}".format(argv[0], error.strerror)
            raise failed(what, "name a program that the release's virtualenv or the host has") from None
        assert self._child.stdin and self._child.stdout and self._child.stderr  # PIPE gives all three
        self._input: Optional[int] = self._child.stdin.fileno()
        os.set_blocking(self._input, False)
        self._outputs = {
            self._child.stdout.fileno(): ("out", LineReader()),
            self._child.stderr.fileno(): ("err", LineReader()),
        }
        self._secrets = secrets
        self._ended: Optional[float] = None

    def give(self, data: bytes) -> int:
        """Write to its input what that takes at once; gives how many bytes that were, all where nobody reads it."""
        if self._input is None:
            return len(data)
        taken = 0
        while taken < len(data):
            try:
                taken += os.write(self._input, data[taken : taken + _PIECE])
            except BlockingIOError:
                break
            except OSError:  # it has closed its input, or ended
                self.close_input()
                return len(data)
        return taken

    def close_input(self) -> None:
        """No more input comes."""
        if self._input is not None and self._child.stdin is not None:
            self._child.stdin.close()
            self._input = None

    def read(self, wait: float, *, waits_to_give: bool) -> list[list[str]]:
        """`[stream, line]` of what it said, as soon as there is any; or nothing, once it takes more of its input."""
        ready = select.poll()
        for fd in self._outputs:
            ready.register(fd, select.POLLIN)
        if waits_to_give and self._input is not None:
            ready.register(self._input, select.POLLOUT)
        found: list[list[str]] = []
        until = time.monotonic() + wait
        while not found and (self._outputs or self._child.poll() is None):
            # In short steps: a command that has ended may leave its output open to another process.
            events = ready.poll(50)
            for fd, _ in events:
                if fd in self._outputs:
                    self._take(fd, ready, found)
            if not events and self._ended_long_ago():
                found.extend([stream, line] for stream, reader in self._outputs.values() for line in reader.rest())
                self._outputs.clear()
            if time.monotonic() > until or any(fd == self._input for fd, _ in events):
                break
        texts = mask([line for _, line in found], self._secrets)
        return [[stream, text] for (stream, _), text in zip(found, texts)]  # noqa: B905  strict= is of Python 3.10

    def _take(self, fd: int, ready: select.poll, found: list[list[str]]) -> None:
        stream, reader = self._outputs[fd]
        piece = os.read(fd, _PIECE)
        found.extend([stream, line] for line in (reader.feed(piece) if piece else reader.rest()))
        if not piece:
            ready.unregister(fd)
            del self._outputs[fd]

    def _ended_long_ago(self) -> bool:
        if self._child.poll() is None:
            return False
        if self._ended is None:
            self._ended = time.monotonic()
        return time.monotonic() - self._ended > _LINGER

    def status(self) -> Optional[int]:
        """Its exit status, below 0 the signal that ended it; `None` while it runs or has more to say."""
        if self._outputs or self._child.poll() is None:
            return None
        procs.send_group(self._child.pid, signal.SIGKILL)  # what it left in the background
        self.close_input()
        return self._child.returncode

    def end(self) -> None:
        """Read and write no more, SIGTERM to all of it, SIGKILL to what is left after 5 s; safe where it has ended.

        A command of another user can't be signalled: the helper ends that, once nobody reads what it says.
        """
        self.close_input()
        for stream in (self._child.stdout, self._child.stderr):
            if stream is not None:
                stream.close()
        if self._child.poll() is None:
            procs.send_group(self._child.pid, signal.SIGTERM)
            until = time.monotonic() + _GRACE
            while self._child.poll() is None and time.monotonic() < until:
                time.sleep(0.01)
        procs.send_group(self._child.pid, signal.SIGKILL)
