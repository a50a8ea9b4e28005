"""The lock of every host: taken in one order by everybody, so that of two deploys exactly one goes on."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tagship.errors import LinkLost, Locked, TagshipError
from tagship.events import Listener, note
from tagship.ship.crew import side_by_side
from tagship.ship.ending import Ending
from tagship.ship.fleet import Fleet

AGAIN = 0.5
"""Seconds between two tries to take back a lock that our own lost link still holds."""


@dataclass(frozen=True)
class Claim:
    """What a lock tells others: who holds it, for which release and verb."""

    owner: str
    release: str
    verb: str

    def args(self) -> dict[str, str]:
        """The arguments of `lock`."""
        return {"owner": self.owner, "release": self.release, "verb": self.verb}


def take_all(fleet: Fleet, claim: Claim, tell: Listener) -> None:
    """Lock every host, in the order of their names; raises `Locked` or `HostRefused` having freed those taken.

    One after another, though it costs a round trip each: taken all at once, two fleets that overlap could take a part
    each, and both would lose.
    """
    taken: list[str] = []
    try:
        for host in sorted(fleet.hosts):
            fleet.link(host).call("lock", {**claim.args(), "change": fleet.change})
            taken.append(host)
    except BaseException:
        give_back(fleet, taken, tell)
        raise


def give_back(fleet: Fleet, hosts: list[str], tell: Listener, ending: Ending | None = None) -> None:
    """Unlock `hosts`, which journal how it ended; one whose link is lost does both by itself when its agent ends.

    Without an `ending` nothing was changed.
    """

    def free(host: str) -> None:
        link = fleet.link(host)
        if not link.alive:
            return
        try:
            link.call("unlock", ending.args() if ending else {})
        except LinkLost as error:
            note(tell, f"the lock stays until its agent ends: {error.what}", level="warning", host=host)
        except TagshipError as error:  # the lock is free, but for instance its disk is full
            note(tell, f"it couldn't journal how this ended: {error.what}", level="warning", host=host)

    side_by_side(free, hosts, fleet.parallel)


def take_again(fleet: Fleet, host: str, claim: Claim) -> None:
    """Lock `host` over a new link, waiting for the agent of the old one to notice that we are gone.

    Raises `Locked` at once if somebody else has it, and if our own old agent doesn't end in its time of silence.
    """
    deadline = time.monotonic() + 1.5 * fleet.pulse.silence
    while True:
        try:
            fleet.link(host).call("lock", {**claim.args(), "change": fleet.change})
            return
        except Locked as locked:
            ours = all(locked.holder.get(key) == value for key, value in claim.args().items())
            if not ours or time.monotonic() > deadline:
                raise
        time.sleep(AGAIN)
