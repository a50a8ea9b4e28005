"""The forward half of carrying a plan out: phases in order, hosts side by side, until the first failure."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tagship.errors import HostFailed, Interrupted, LinkLost, TagshipError
from tagship.events import Event, Listener, note
from tagship.ship import remarks
from tagship.ship.crew import Crew
from tagship.ship.fleet import Fleet
from tagship.ship.here import Here
from tagship.ship.interrupts import Interrupts
from tagship.ship.migrations.ledger import Ledger, staying
from tagship.ship.plan import HERE, Phase, Step
from tagship.ship.send import Feed, compressed

LEFT = 1.0
"""Seconds that a hook function has to end, once what it waits for has been cut off."""

TOLD_BYTES = 1024 * 1024
"""How much is sent between two progress events."""


@dataclass(frozen=True)
class Failure:
    """What ended the work: an error, and the step that raised it unless it was Ctrl-C."""

    error: TagshipError
    step: Step | None
    late: bool = False
    """It came in a phase before which all was done, and isn't put back."""


class Work:
    """Carries phases of a plan for `hosts` out; `begun` records, by host, what an unwind has to reverse.

    `ledger` hears what moves the schema. `grace` is seconds: how long steps under way on other hosts may still take
    once one has failed.
    """

    def __init__(
        self,
        hosts: Iterable[str],
        fleet: Fleet,
        here: Here,
        tell: Listener,
        interrupts: Interrupts,
        *,
        feed: Feed | None,
        grace: float,
        ledger: Ledger,
    ) -> None:
        self.begun: dict[str, list[Step]] = {host: [] for host in hosts}
        self.failure: Failure | None = None
        self.ledger = ledger
        self._fleet = fleet
        self._here = here
        self._tell = tell
        self._interrupts = interrupts
        self._feed = feed
        self._grace = grace
        self._stop = threading.Event()
        self._first = threading.Lock()
        self._missing: dict[str, list[tuple[str, int]]] = {}
        self._late = False

    def run(self, phases: Iterable[Phase]) -> Failure | None:
        """Every phase in order; `None` if all went well, else the first failure, with no step still under way.

        Ctrl-C counts as a failure; a second one comes out as KeyboardInterrupt. Once only phases are left that aren't
        vital, it is none: what is under way has its grace, and what hasn't begun is left out.
        """
        for phase in phases:
            self._late = phase.late
            if self._interrupts.wished and not phase.vital:
                note(self._tell, f"interrupted before `{phase.name}`; the release is live", level="warning")
                return None
            if self._interrupts.wished:  # nothing of it is begun: least of all a migration
                self.fail(Interrupted(f"interrupted before `{phase.name}`"), None)
                return self.failure
            steps = phase.by_host()
            total = max(len(of_host) for of_host in steps.values())
            hosts = len(steps.keys() - {HERE})
            self._tell(Event("phase", data={"phase": phase.name, "hosts": hosts, "total": total}))
            if phase.vital:
                self._run_vital(phase, steps)
            else:
                self._run_tidy(phase, steps)
            if self.failure is not None:
                return self.failure
        return None

    def _run_vital(self, phase: Phase, steps: dict[str, tuple[Step, ...]]) -> None:
        crew = Crew(lambda host: self._host(steps[host]), steps, self._fleet.parallel)
        self._interrupts.wake = crew.wake
        crew.wait(until=lambda: self._stop.is_set() or self._interrupts.wished)
        if self._interrupts.wished:
            self.fail(Interrupted(f"interrupted during `{phase.name}`"), None)
            if crew.busy:
                note(self._tell, f"interrupted; what is under way may take {self._grace:.0f} s more", level="warning")
        if self._stop.is_set():
            self._here.end()
            if not crew.wait(self._grace):
                self._cut(crew)

    def _cut(self, crew: Crew[None]) -> None:
        """What takes longer than its grace is cut off: its agent hears of it and kills what it was running."""
        self._fleet.cut(crew.busy - {HERE})
        self._here.cut()
        if HERE not in crew.busy:
            crew.wait()
        elif not crew.wait(LEFT):  # a function can't be killed
            note(self._tell, "a hook didn't end in time, and goes on by itself", level="warning")

    def _run_tidy(self, phase: Phase, steps: dict[str, tuple[Step, ...]]) -> None:
        crew = Crew(lambda host: self._tidy(steps[host]), steps, self._fleet.parallel)
        self._interrupts.wake = crew.wake
        crew.wait(until=lambda: self._interrupts.wished)
        if self._interrupts.wished:
            note(self._tell, f"interrupted during `{phase.name}`; the release is live", level="warning")
            self._here.end()
            try:
                ended = crew.wait(self._grace)
            except KeyboardInterrupt:  # nothing is to be put back: the second wish is to wait no more
                ended = False
            if not ended:
                self._cut(crew)

    def _host(self, steps: tuple[Step, ...]) -> None:
        for step in steps:
            if self._stop.is_set():
                return
            if step.host != HERE:  # what this machine did has no undo
                self.begun[step.host].append(step)
            try:
                self._timed(step)
            except TagshipError as error:
                self.fail(error, step)
                return
            except Exception as error:  # a bug of ours must be unwound like any failure, and then be told
                bug = TagshipError(f"a bug in tagship: {error!r}", where=step.host)
                bug.__cause__ = error
                self.fail(bug, step)
                return

    def _tidy(self, steps: tuple[Step, ...]) -> None:
        """Each step by itself: what has failed is told, and keeps no other from being tried."""
        for step in steps:
            if self._interrupts.wished:
                return
            try:
                self._timed(step)
            except TagshipError as error:
                said = error.what.removeprefix(f"{step.title} ")
                text = "\n".join([f"{step.title}: {said}", *(f"| {line}" for line in error.tail)])
                note(self._tell, text, level="warning", host=step.host)

    def fail(self, error: TagshipError, step: Step | None) -> None:
        """End the work with `error`, unless something else has ended it already."""
        with self._first:
            if self.failure is None:
                self.failure = Failure(error, step, late=self._late)
        self._stop.set()

    def _timed(self, step: Step) -> None:
        started = time.monotonic()
        self._tell(Event("step", step.host, {"step": step.title, "state": "begin"}))
        state = "failed"
        try:
            self._do(step)
            state = "done"
        finally:
            seconds = round(time.monotonic() - started, 3)
            self._tell(Event("step", step.host, {"step": step.title, "state": state, "seconds": seconds}))

    def _do(self, step: Step) -> None:
        if step.host == HERE:
            self._here.do(step)
            return
        if step.sends:
            self._send(step)
            return
        self.ledger.asked(step.verb)
        try:
            answer = self._fleet.link(step.host).call(step.verb, step.args, on_progress=self._progress(step))
        except TagshipError as error:
            if not isinstance(error, LinkLost):
                self.ledger.failed(step.verb, error.data if isinstance(error, HostFailed) else {})
            raise
        self.ledger.heard(step.verb, step.args, answer)
        for remark in remarks.damage(answer) + remarks.force(step.args, answer):
            note(self._tell, remark, level="warning", host=step.host)
        self._see_what_stays(step, answer)
        if "missing" in answer:
            self._missing[step.host] = [(str(key), int(size)) for key, size in answer["missing"]]

    def _see_what_stays(self, step: Step, answer: Mapping[str, Any]) -> None:
        """What a rollback was to reverse and didn't ends it; of what a dead client left, it is only told."""
        stays = staying(answer)
        if stays and self._late:
            raise HostFailed("; ".join(stays), host=step.host, cure="see what holds it up, then the same again")
        for text in stays:
            note(self._tell, text, level="warning", host=step.host)

    def _send(self, step: Step) -> None:
        missing = self._missing.get(step.host, [])
        if not missing:
            return
        if self._feed is None:
            raise TagshipError("the plan sends objects, and nothing opens them", where=step.host)
        total = sum(size for _key, size in missing)
        progress = self._progress(step)
        told = 0

        def on_bytes(done: int) -> None:
            nonlocal told
            if done - told >= TOLD_BYTES or done == total:
                told = done
                progress(done, total, "bytes")

        level = self._fleet.places[step.host].transport.level
        stream = compressed(step.host, missing, self._feed, level, on_bytes)
        args = {**step.args, "objects": [[key, size] for key, size in missing]}
        self._fleet.link(step.host).call(step.verb, args, data=stream, on_progress=progress)

    def _progress(self, step: Step) -> Any:
        def tell(done: int, total: int, unit: str) -> None:
            data = {"step": step.title, "done": done, "total": total, "unit": unit}
            self._tell(Event("progress", step.host, data))

        return tell
