"""Functions of a project's own fabfile.py that stand before or after a phase: `@tagship.before("flip")`.

The decorators only take note; `ship` puts what was noted into its plans, after the commands of `hooks:`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Protocol, TypeVar

PHASES = ("stage", "start", "flip", "drain", "commit")
"""What a hook can stand before and after, in the order of a deploy; canary and batches are parts of `flip`."""


class OnHosts(Protocol):
    """Runs a command on hosts."""

    def __call__(self, argv: Sequence[str], *hosts: str) -> None:
        """Run `argv` in the new release, as its service would, on `hosts`, or on all; raises where one fails."""


class Here(Protocol):
    """Runs a command on this machine."""

    def __call__(self, argv: Sequence[str]) -> None:
        """Run `argv` in the project's folder, with the TAGSHIP_ variables; raises where it fails."""


@dataclass(frozen=True)
class Occasion:
    """What a hook function is called with: what is going on, and means to act on it."""

    verb: str
    """`deploy` or `rollback`."""
    when: str
    """`before` or `after`."""
    phase: str
    stage: str
    release: str
    """The id of the release that goes live: `0007-v1.4.0`."""
    tag: str
    previous: str | None
    """The id of the release that was live when this began, on the first host; `None` for none."""
    hosts: tuple[str, ...]
    roles: Mapping[str, tuple[str, ...]]
    """What each host is for."""
    on_hosts: OnHosts
    here: Here
    say: Callable[[str], None]
    """Tell people, or whoever reads the JSON, one sentence."""


@dataclass(frozen=True)
class Function:
    """A function that was noted, and where."""

    when: str
    phase: str
    name: str
    at: str
    """`fabfile.py:12`: the line of its decorator."""
    call: Callable[[Occasion], object]


F = TypeVar("F", bound=Callable[[Occasion], object])

_noted: list[Function] = []


def before(phase: str) -> Callable[[F], F]:
    """Call the decorated function before `phase` of every deploy and rollback, with an `Occasion`.

    What it raises fails the deploy. Refuses another phase than those of `PHASES` while fabfile.py is read.
    """
    return _taking_note("before", phase, sys._getframe(1))


def after(phase: str) -> Callable[[F], F]:
    """Call the decorated function after `phase`, as `before` does; what it raises after `commit` is a warning."""
    return _taking_note("after", phase, sys._getframe(1))


def noted() -> tuple[Function, ...]:
    """All functions that were decorated, in the order of their definition."""
    return tuple(_noted)


def _taking_note(when: str, phase: str, frame: FrameType) -> Callable[[F], F]:
    at = f"{_short(frame.f_code.co_filename)}:{frame.f_lineno}"
    if phase not in PHASES:
        word = f"`{phase}`" if isinstance(phase, str) else "anything but a phase's name"
        _refuse(f'error: {at}: no hook stands {when} {word}\n  cure: `@tagship.{when}("flip")`, or {_others()}')

    def take_note(function: F) -> F:
        _noted.append(Function(when, phase, getattr(function, "__name__", repr(function)), at, function))
        return function

    return take_note


def _refuse(message: str) -> None:
    """Fabric is reading fabfile.py and knows only Invoke's own exceptions: any other would be a traceback."""
    from invoke.exceptions import Exit  # on the way to an error only

    raise Exit(message, code=2)


def _others() -> str:
    return ", ".join(phase for phase in PHASES if phase != "flip")


def _short(path: str) -> str:
    """The file's path, below the working folder where it lies there."""
    inside = os.path.relpath(path)
    return path if inside.startswith("..") else inside
