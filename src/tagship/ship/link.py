"""Questions to one agent and its answers, over a channel of bytes; the protocol is docs/agent.md.

Three threads a link: one reads frames, one beats and watches for silence, and the caller's own. Every way in
which a connection can end comes out as `LinkLost`.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from tagship.errors import HostFailed, HostRefused, LinkLost, Locked, Overdue, TagshipError
from tagship.host import frames
from tagship.ship import deadlines
from tagship.ship.deadlines import Deadline, Deadlines

BEAT = 5.0
SILENCE = 30.0
PARTING = 0.5
"""Seconds that a frame under way may still take once a link is given up."""
TAIL_LINES = 20

Progress = Callable[[int, int, str], None]
"""Told `done`, `total` and the unit while a long verb works."""


class Channel(Protocol):
    """A running agent's stdin, stdout and stderr, wherever it runs."""

    def read(self, size: int) -> bytes:
        """At most `size` bytes as soon as there are any; empty at the end. Raises `OSError`."""

    def write(self, data: bytes) -> None:
        """All of `data`. Raises `OSError`, also when another thread aborts."""

    def stderr(self) -> bytes:
        """The last 8 KB that the agent wrote to stderr."""

    def status(self) -> int | None:
        """The exit status, once the agent has ended; waits for it a moment."""

    def close(self) -> None:
        """Tell the agent that no more comes; it then ends in its own time."""

    def abort(self) -> None:
        """Cut the connection now; unblocks `read` and `write` in other threads."""


class AgentLink:
    """A conversation with the agent on `host`; one verb at a time, from any thread.

    `beat` and `silence` are seconds: how often we say that we live, and for how long nothing may come. `limits` tells
    how long each verb may take, however its agent beats.
    """

    def __init__(
        self,
        host: str,
        channel: Channel,
        *,
        beat: float = BEAT,
        silence: float = SILENCE,
        limits: Deadlines = deadlines.of,
    ) -> None:
        self.host = host
        self.bytes_sent = 0
        self.agent_pid: int | None = None
        """The agent's process id on its host, once it has said hello."""
        self._channel = channel
        self._beat = beat
        self._silence = silence
        self._limits = limits
        self._due: _Due | None = None
        self._turn = threading.Lock()
        self._writing = threading.Lock()
        self._ending = threading.Lock()
        self._inbox: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._greeted = threading.Event()
        self._answered = threading.Event()
        self._ended = threading.Event()
        self._lost: LinkLost | None = None
        self._number = 0
        self._seen = time.monotonic()
        self._noise = b""
        for work in (self._read_frames, self._pulse):
            threading.Thread(target=work, name=f"{work.__name__} {host}", daemon=True).start()

    def open(self, greeting: bytes, deadline: float) -> Mapping[str, Any]:
        """Send the agent's code and return its hello; `deadline` is seconds. Raises `HostRefused`."""
        try:
            with self._in_time("hello", Deadline(deadline)):
                self._write(greeting)
                self._greeted.set()
                message = self._next()
        except LinkLost as lost:
            raise self._no_start(lost) from None
        hello = message.get("hello")
        if not isinstance(hello, dict) or hello.get("protocol") != 1:
            self.cut()
            raise HostRefused(f"the agent says {message!r} instead of hello", host=self.host)
        self.agent_pid = int(hello["pid"])
        return hello

    def call(
        self,
        verb: str,
        args: Mapping[str, Any] | None = None,
        *,
        data: Iterable[bytes] | None = None,
        on_progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Ask for `verb` and return the answer; `data` is sent after the question, in frames.

        Raises `HostRefused` (nothing was changed), `Locked`, `HostFailed`, and `LinkLost`, after which the link is of
        no more use: `Overdue` where the verb didn't end in its time.
        """
        given = dict(args or {})
        with self._turn, self._in_time(verb, self._limits(verb, given)) as due:
            self._number += 1
            self._answered.clear()
            self._write(frames.pack_json({"id": self._number, "verb": verb, "args": given}))
            if data is not None:
                self._send_data(data, due)
            while True:
                message = self._next()
                if message.get("id") != self._number:
                    continue
                if "takes" in message:
                    due.grant(float(message["takes"]))
                elif "progress" in message:
                    due.gets_on()
                    if on_progress is not None:
                        state = message["progress"]
                        on_progress(int(state["done"]), int(state["total"]), str(state["unit"]))
                elif "error" in message:
                    raise self._error(message["error"])
                else:
                    return dict(message["ok"])

    @property
    def alive(self) -> bool:
        """Whether another question makes sense."""
        return self._lost is None and not self._ended.is_set()

    def close(self) -> None:
        """End the conversation; the agent ends, and gives up its lock."""
        self._ended.set()
        self._channel.close()

    def cut(self) -> None:
        """End the conversation midway; who waits for an answer gets `LinkLost`, the agent puts back and ends."""
        self._lose("the connection was cut from this side")

    def _lose(self, what: str | LinkLost) -> LinkLost:
        """From now on there is no link; the agent, if it lives, hears of it and tidies up."""
        if self._is_first(what):
            if self._writing.acquire(timeout=PARTING):
                self._writing.release()
            else:  # somebody writes, and nobody reads: closing alone would wake neither
                self._channel.abort()
            self._channel.close()
        assert self._lost is not None
        return self._lost

    def _give_up(self, what: str) -> LinkLost:
        """As `_lose`, where the other side has stopped listening, so that closing alone would reach nobody."""
        if self._is_first(what):
            self._channel.abort()
            self._channel.close()
        assert self._lost is not None
        return self._lost

    def _is_first(self, what: str | LinkLost) -> bool:
        """Note why the link is lost, and wake who waits for an answer; whether nobody did so before."""
        with self._ending:
            if self._lost is not None:
                return False
            lost = LinkLost(what, host=self.host) if isinstance(what, str) else what
            lost.tail = tuple(self._stderr_lines())
            self._lost = lost
            self._ended.set()
            self._inbox.put(None)
            return True

    @contextmanager
    def _in_time(self, verb: str, deadline: Deadline) -> Iterator[_Due]:
        """What is done within is over by the deadline, or raises `Overdue`."""
        self._due = due = _Due(verb, deadline)
        try:
            yield due
        finally:
            self._due = None

    def _check_due(self) -> None:
        """Give up a verb whose time is over: its agent hears of it, and ends what it was running."""
        due = self._due
        if due is None or time.monotonic() < due.at:
            return
        said = "no answer" if not due.by_progress else "nothing got on"
        what = f"`{due.verb}` did not end: {said} for {due.seconds:g} s, though its agent beats"
        cure = "look at the host: a disk or a network filesystem that is gone, or a program that never returns"
        lost = self._lose(Overdue(what, host=self.host, verb=due.verb, seconds=due.seconds, cure=cure))
        # One that hangs, and so can't hear of it, is ended the hard way where that is in our hands.
        ending = threading.Timer(self._silence, self._channel.abort)
        ending.daemon = True
        ending.start()
        raise lost

    def _stderr_lines(self) -> list[str]:
        return self._channel.stderr().decode(errors="replace").splitlines()[-TAIL_LINES:]

    def _write(self, data: bytes) -> None:
        while not self._writing.acquire(timeout=min(self._silence, 1.0)):
            self._check()
        try:
            if self._lost is not None:
                raise self._lost
            self._channel.write(data)
            self.bytes_sent += len(data)
            return
        except OSError as error:
            broken = error
        finally:
            self._writing.release()
        # The reader may be about to tell why the agent ended; its words are better than "broken pipe".
        self._ended.wait(1.0)
        raise self._lose(f"the connection ended ({broken})")

    def _send_data(self, data: Iterable[bytes], due: _Due) -> None:
        try:
            for chunk in data:
                for start in range(0, len(chunk), frames.MAX_DATA):
                    if self._answered.is_set():  # it failed early; the rest would be thrown away
                        return
                    self._write(frames.pack_data(chunk[start : start + frames.MAX_DATA]))
                    due.gets_on()
        finally:
            # Also where our own side failed midway: a stream that ends too early is an error that the agent answers.
            if self._lost is None:
                self._write(frames.pack_data(b""))

    def _next(self) -> dict[str, Any]:
        while True:
            due = self._due
            wait = min(self._silence, 1.0 if due is None else max(0.0, min(1.0, due.at - time.monotonic())))
            try:
                message = self._inbox.get(timeout=wait)
            except queue.Empty:
                self._check()
                continue
            if message is None:
                self._inbox.put(None)
                raise self._lose("the agent ended")
            return message

    def _check(self) -> None:
        self._check_silence()
        self._check_due()

    def _check_silence(self) -> None:
        if self._lost is not None:
            raise self._lost
        if time.monotonic() - self._seen > self._silence:
            raise self._give_up(f"nothing came from it for {self._silence:g} s")

    def _pulse(self) -> None:
        beat = frames.pack_json({"beat": 1})
        while not self._ended.wait(self._beat):
            try:
                self._check()
                # Its own code comes first. Whoever holds the lock is writing: that is a sign of life by itself.
                if self._greeted.is_set() and self._writing.acquire(blocking=False):
                    try:
                        self._channel.write(beat)
                        self.bytes_sent += len(beat)
                    finally:
                        self._writing.release()
            except (LinkLost, OSError):
                return  # the caller's thread finds out by itself

    def _read_frames(self) -> None:
        try:
            while True:
                header = self._read(frames.HEADER.size)
                size, kind = frames.HEADER.unpack(header)
                if kind != frames.JSON or size > frames.MAX_JSON:
                    self._noise = header
                    break
                message = json.loads(self._read(size))
                self._seen = time.monotonic()
                if "beat" in message:
                    continue
                if message.get("id") == self._number and "progress" not in message:
                    self._answered.set()
                self._inbox.put(message)
        except (OSError, EOFError, ValueError):
            pass  # however it ended, it ended: the caller is told by the None below
        self._ended.set()
        self._inbox.put(None)

    def _read(self, size: int) -> bytes:
        parts = []
        while size:
            part = self._channel.read(size)
            if not part:
                raise EOFError
            self._seen = time.monotonic()
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _no_start(self, lost: LinkLost) -> HostRefused:
        if self._noise:
            what = f"its shell prints {self._noise.decode(errors='replace')!r}… before our agent can speak"
            return HostRefused(what, host=self.host, cure="make its .bashrc silent where no terminal is there")
        if self._channel.status() == 127:
            return HostRefused("there is no python3", host=self.host, cure="install python3 (3.9 or newer) on it")
        if isinstance(lost, Overdue):
            self._channel.abort()
            what = f"no hello came from its agent within {lost.seconds:g} s"
        else:
            what = "the agent did not start" if lost.what == "the agent ended" else lost.what
        cure = "python3 on the host must be 3.9 or newer and run commands without a terminal"
        return HostRefused(what, host=self.host, cure=cure, tail=lost.tail or self._stderr_lines())

    def _error(self, error: Mapping[str, Any]) -> TagshipError:
        what, cure = str(error.get("what", "it failed")), str(error.get("cure") or "")
        tail = [str(line) for line in error.get("tail") or ()]
        kind = error.get("kind")
        if kind == "refused":
            return HostRefused(what, host=self.host, cure=cure, tail=tail)
        if kind == "locked":
            holder = {str(key): str(value) for key, value in (error.get("data") or {}).items()}
            return Locked(what, host=self.host, holder=holder, cure=cure or "wait until it has ended, then try again")
        return HostFailed(what, host=self.host, kind=str(kind), cure=cure, tail=tail, data=error.get("data"))


class _Due:
    """When a verb that is under way must have ended."""

    def __init__(self, verb: str, deadline: Deadline) -> None:
        self.verb = verb
        self.seconds = deadline.seconds
        self.by_progress = deadline.by_progress
        self.at = time.monotonic() + deadline.seconds

    def gets_on(self) -> None:
        """There was progress."""
        if self.by_progress:
            self.at = time.monotonic() + self.seconds

    def grant(self, seconds: float) -> None:
        """The agent says that its release's own settings allow so much more."""
        self.seconds += seconds
        self.at += seconds
