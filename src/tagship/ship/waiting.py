"""Queueing for locks that others hold: who holds one is told once, and all is planned anew when it is free.

There is no queue on the hosts, and so no order: of several who wait, the one whose look comes first goes on. A host
is looked at once a second, which takes no lock away from anybody.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from tagship.amounts import Age
from tagship.errors import Interrupted, Locked, StalePlan
from tagship.events import Listener, note
from tagship.ship.fleet import Fleet

T = TypeVar("T")

LOOK = 1.0
"""Seconds between two looks at a lock that somebody holds."""

Holder = Mapping[str, str]
"""`owner`, `release`, `verb` and `since` of who holds a lock."""


class Turn:
    """The patience of one verb: at most `wait` seconds of queueing in all, none if that is 0."""

    def __init__(self, wait: float, tell: Listener) -> None:
        self._wait = wait
        self._tell = tell
        self._until: float | None = None
        self._told: Holder | None = None

    @property
    def waited(self) -> bool:
        """Whether somebody was waited for."""
        return self._until is not None

    def await_free(self, locked: Locked, look: Callable[[str], Holder | None]) -> None:
        """Return once `look` finds nobody who holds the lock of that host; it is asked after a while.

        Raises `Locked`, which names the last holder, when the time is over, and `Interrupted` on Ctrl-C.
        """
        if self._until is None:
            self._until = time.monotonic() + self._wait
        try:
            while True:
                left = self._until - time.monotonic()
                if left <= 0:
                    raise locked if self._wait == 0 else self._over(locked)
                self._tell_once(locked, left)
                time.sleep(min(left, LOOK))
                holder = look(locked.host)
                if holder is None:
                    return
                locked = held(holder, locked.host)
        except KeyboardInterrupt:
            raise Interrupted("interrupted while waiting for the lock; nothing was changed") from None

    def _tell_once(self, locked: Locked, left: float) -> None:
        if locked.holder != self._told:
            self._told = locked.holder
            note(self._tell, f"{locked.what}; waiting, {Age(math.ceil(left))} at most", host=locked.host)

    def _over(self, locked: Locked) -> Locked:
        what = f"{locked.what}, and still is after {Age(math.ceil(self._wait))}"
        return Locked(what, host=locked.host, holder=locked.holder, cure=locked.cure)


def held(holder: Holder, host: str) -> Locked:
    """The refusal of a lock that `holder` has."""
    known = {name: str(value) for name, value in holder.items()}
    what = "locked by {owner} ({verb} {release}) since {since}".format_map(known)
    return Locked(what, host=host, holder=known, cure="--wait 5m queues for it; the lock goes when its holder does")


def refuse_locked(fleet: Fleet) -> None:
    """Raise `Locked` where somebody is at work: their half-made release would look like a dead one."""
    for host, survey in fleet.surveys.items():
        if survey.lock is not None:
            raise held({name: str(value) for name, value in survey.lock.items()}, host)


def in_turn(fleet: Fleet, wait: float, tell: Listener, work: Callable[[], T]) -> T:
    """What `work` returns, which plans on `fleet.surveys` and locks; where somebody was quicker, again on new ones.

    `wait` is seconds to queue for locks. Raises what `work` raises, `Locked` once that time is over, `Interrupted`.
    """
    turn = Turn(wait, tell)
    while True:
        try:
            return work()
        except Locked as locked:
            turn.await_free(locked, fleet.holder)
        except StalePlan:
            if not turn.waited:  # nobody queued here: who asked has seen a plan, and shall see the new one first
                raise
        fleet.survey_anew()
