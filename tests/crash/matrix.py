"""The matrix of faults: what a row is, what it has shown, and how a run of it is counted.

A row injects one fault at many points and asks the oracles (crash.oracles) after each. It shares no state with other
rows, and whatever it does can be replayed from its name, a point and the seed.
"""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from crash.needs import Needs, nothing

T = TypeVar("T")


class Violated(Exception):
    """An oracle's word: what doesn't hold, with all that is needed to see why."""


@dataclass(frozen=True)
class Violation:
    """One broken promise: at which point, with which seed, and what the oracle said."""

    point: str
    seed: int
    what: str


@dataclass
class Trial:
    """One run of one row; `scratch` is a folder of its own, `full` asks for FAULTS.md's numbers."""

    name: str
    full: bool
    seed: int
    scratch: Path
    only: str | None = None
    """The one point to replay; all of them where it is `None`."""
    repetitions: int = 0
    violations: list[Violation] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What a reader of the table should know: what was measured on the way, and what was left out and why."""
    tell: Callable[[Violation], None] = field(default=lambda _violation: None)
    """Hears of each violation as it occurs: a row may take hours, and whoever ends it shall have seen them."""
    _points: set[str] = field(default_factory=set)

    @property
    def points(self) -> int:
        """How many different points the fault was injected at."""
        return len(self._points)

    def dice(self, point: object) -> random.Random:
        """Chance that is the same for the same row, point and seed."""
        return random.Random(f"{self.seed} {self.name} {point}")

    def choose(self, points: Sequence[T], *, quick: int) -> list[T]:
        """All of `points` in a full run; else `quick` of them, evenly spread, the first and the last among them."""
        if self.only is not None:
            return [point for point in points if str(point) == self.only]
        if self.full or len(points) <= quick:
            return list(points)
        last = len(points) - 1
        wanted = {round(step * last / (quick - 1)) for step in range(quick)} if quick > 1 else {0}
        return [points[index] for index in sorted(wanted)]

    def times(self, *, full: int, quick: int) -> Sequence[int]:
        """The numbers of repetitions whose points are chance: 1 to `full`, or to `quick`."""
        return self.choose(range(1, full + 1), quick=full) if self.full or self.only else range(1, quick + 1)

    def violated(self, point: str, what: str) -> None:
        """Note, and tell, that a promise was broken at `point`."""
        self.violations.append(Violation(point, self.seed, what))
        self.tell(self.violations[-1])

    @contextmanager
    def at(self, point: object) -> Iterator[None]:
        """Inject the fault at `point` inside; whatever goes wrong there is a violation, and the row goes on."""
        self._points.add(str(point))
        self.repetitions += 1
        with self.told(str(point)):
            yield

    @contextmanager
    def told(self, point: str = "-") -> Iterator[None]:
        """Whatever goes wrong inside is a violation."""
        try:
            yield
        except Violated as violated:
            self.violated(point, str(violated))
        except Exception:  # a harness that fails has shown nothing, and must not look as if it had
            self.violated(point, f"the harness: {traceback.format_exc()}")


@dataclass(frozen=True)
class Row:
    """One line of the matrix."""

    name: str
    holds: str
    """What must hold, in FAULTS.md's words."""
    run: Callable[[Trial], None] | None
    lab: bool = False
    """It boots real hosts."""
    waits_for: str | None = None
    """The part of tagship without which the row can't be; see crash.waiting."""
    quick: bool = True
    """Part of a quick run."""
    needs: Needs = nothing
    """Why it can't run on this machine; see crash.needs."""


ROWS: dict[str, Row] = {}
"""By name, in the order of their definition."""


def fault(
    name: str, *, holds: str, lab: bool = False, quick: bool = True, needs: Needs = nothing
) -> Callable[[Callable[[Trial], None]], Callable[[Trial], None]]:
    """Put a function into the matrix under `name` (words and dashes)."""

    def add(run: Callable[[Trial], None]) -> Callable[[Trial], None]:
        assert name not in ROWS, name
        ROWS[name] = Row(name, holds, run, lab=lab, quick=quick, needs=needs)
        return run

    return add


def waits(name: str, *, holds: str, part: str) -> None:
    """Put a row into the matrix that can't be shown before `part` exists."""
    assert name not in ROWS, name
    ROWS[name] = Row(name, holds, None, waits_for=part)
