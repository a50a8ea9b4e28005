"""A `fab` as its user runs it, in a process of its own: under way, ended, or cut in the middle."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crash.matrix import Violated

LONG = 180.0
"""Seconds after which a command counts as hung: four times the longest silence that tagship may wait for."""


@dataclass(frozen=True)
class Ended:
    """A `fab` that has ended: how, and every event that it told."""

    exit: int
    """Below 0: the signal that killed it."""
    events: tuple[dict[str, Any], ...]
    stderr: str

    @property
    def result(self) -> dict[str, Any] | None:
        return self.events[-1] if self.events and self.events[-1]["event"] == "result" else None

    @property
    def words(self) -> str:
        """What went wrong, for a violation."""
        errors = [event for event in self.events if event["event"] == "error"]
        return f"exit {self.exit}: {json.dumps(errors or self.events[-3:])} {self.stderr[-2000:]}"


class Running:
    """A `fab` under way; `events` grows as they are read."""

    def __init__(self, argv: Sequence[str], folder: Path, env: dict[str, str]) -> None:
        self.events: list[dict[str, Any]] = []
        self.process = subprocess.Popen(
            [*argv, "--json"],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._complaints: list[str] = []
        self._complaining = threading.Thread(target=self._complain, daemon=True)
        self._complaining.start()
        self._hangs = False
        self._watch = threading.Timer(LONG, self._hang)  # whoever reads its events must not wait for ever
        self._watch.daemon = True
        self._watch.start()

    def _complain(self) -> None:
        assert self.process.stderr is not None
        self._complaints += self.process.stderr

    def _hang(self) -> None:
        self._hangs = True
        self.process.kill()

    def next(self) -> dict[str, Any] | None:
        """The next event; `None` at the end of its output."""
        assert self.process.stdout is not None
        try:
            event: dict[str, Any] = json.loads(self.process.stdout.readline())
        except ValueError:  # its end, perhaps in the middle of a line
            return None
        self.events.append(event)
        return event

    def until(self, point: int) -> dict[str, Any] | None:
        """Read up to the step event number `point` (from 0), and return it; `None` if there are fewer."""
        seen = -1
        while (event := self.next()) is not None:
            seen += is_step(event)
            if seen == point:
                return event
        return None

    def until_begins(self, title: str) -> dict[str, Any]:
        """Read up to the beginning of a step whose title holds `title`; a `Violated` if there is none."""
        while (event := self.next()) is not None:
            if event["event"] == "step" and event["state"] == "begin" and title in event["step"]:
                return event
        raise Violated(f"no step `{title}` begins: {self.ended().words}")

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """To the client alone; what it started, and what its hosts do, is tagship's to end."""
        self.process.send_signal(number)

    def ended(self) -> Ended:
        """Its end; a `Violated` if it hangs."""
        while self.next() is not None:  # `communicate` would leave out what is read ahead already
            pass
        self._complaining.join()
        status = self.process.wait()
        self._watch.cancel()
        if self._hangs:
            raise Violated(f"it hangs: no end within {LONG:g} s; the last event: {self.events[-1:]}")
        return Ended(status, tuple(self.events), "".join(self._complaints))


def is_step(event: dict[str, Any]) -> bool:
    """A step's beginning or its end: the moments at which a run is cut."""
    return bool(event["event"] == "step" and event["state"] in ("begin", "done", "undo", "undone"))


def eventually(is_so: Callable[[], Any], seconds: float, what: str) -> None:
    """Return once `is_so()` is true; `Violated` if it isn't within `seconds`."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise Violated(f"{what}, not within {seconds:g} s")
        time.sleep(0.02)
