"""The backward half: every host back to what its own survey said, newest step first, going on past errors."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tagship.errors import HostFailed, LinkLost, TagshipError
from tagship.events import Event, Listener, note
from tagship.host import boot
from tagship.ship import remarks
from tagship.ship.crew import Crew
from tagship.ship.fleet import Fleet
from tagship.ship.locks import Claim, take_again
from tagship.ship.migrations.asking import settled
from tagship.ship.migrations.ledger import Ledger, staying
from tagship.ship.plan import Act, Step
from tagship.ship.survey import HostSurvey

REBUILDS = ("flip", "mark", "start", "front", "down")
"""Undos that bring back what the world could see; the others only remove what was added beside it."""


class Overtaken(LinkLost):
    """While our link was lost, somebody else has changed the host; `current` is what stands there now."""

    def __init__(self, *, host: str, current: str | None) -> None:
        super().__init__("somebody else has changed it since; nothing was put back over that", host=host)
        self.current = current


@dataclass(frozen=True)
class HostState:
    """Where a host stands after an unwind."""

    host: str
    current: str | None
    """What `current` names; what it named at first if the host can't be asked."""
    back: bool
    """It is as its survey found it, or nothing that the world can see was changed on it."""
    reached: bool
    errors: tuple[str, ...] = ()
    maybe: str | None = None
    """The release that may be current on a host that wasn't asked."""
    given_up: bool = False
    """Nobody waited for it any more: it may well be there."""

    @property
    def lost(self) -> bool:
        """It can't be reached."""
        return not self.reached and not self.given_up

    @property
    def words(self) -> str:
        """One sentence for people."""
        current = self.current or "nothing"
        if self.reached:
            where = f"{current} is current"
        elif self.maybe is not None:
            where = f"{current} was current, and {self.maybe} may be"
        else:
            where = f"{current} is current" + (", as before" if self.back else ", and may not be as it was")
        return "; ".join([*(["out of reach"] if self.lost else []), where, *self.errors])


def undos(begun: Iterable[Step]) -> list[tuple[Step, Act]]:
    """What reverses the steps of one host, newest first.

    An act that several steps owe is done once, where the oldest of them stands: removing a release undoes all of its
    staging.
    """
    owed: list[tuple[Step, Act]] = []
    for step in begun:
        if step.undo is not None and all(step.undo != act for _step, act in owed):
            owed.append((step, step.undo))
    owed.reverse()
    return owed


class Unwind:
    """Reverses what was begun, on all hosts side by side; `states` says where each stands, as far as it got."""

    def __init__(
        self, begun: dict[str, list[Step]], fleet: Fleet, tell: Listener, claim: Claim, ledger: Ledger
    ) -> None:
        self.begun = begun
        self.states: dict[str, HostState] = {}
        self._owed: dict[str, list[tuple[Step, Act]]] = {}
        """What is still to be reversed on each host, newest first."""
        self._errors: dict[str, list[str]] = {host: [] for host in begun}
        self._fleet = fleet
        self._unreversed: set[str] = set()
        """Hosts with steps of the schema that stay up."""
        self._tell = tell
        self._claim = claim
        self._ledger = ledger

    def run(self) -> dict[str, HostState]:
        """All hosts back; never raises but for KeyboardInterrupt, what went wrong is in the states."""
        crew = Crew(self._host, self.begun, self._fleet.parallel)
        crew.wait()
        for host, error in crew.errors.items():
            self.states[host] = self._lost(host, f"a bug in tagship: {error!r}")
        return {host: self.states[host] for host in self.begun}

    def abandoned(self) -> dict[str, HostState]:
        """The states after an unwind that was interrupted itself."""
        why = "its unwinding was interrupted"
        return {h: self.states.get(h) or replace(self._lost(h, why), given_up=True) for h in self.begun}

    def _host(self, host: str) -> None:
        owed, errors = undos(self.begun[host]), self._errors[host]
        self._owed[host] = list(owed)
        if not owed and self._fleet.link(host).alive:
            self.states[host] = HostState(host, self._fleet.surveys[host].current, back=True, reached=True)
            return
        try:
            self._ensure(host)
            for step, act in owed:
                if act[0] == "unstage" and self._stays(step.host, act):
                    continue
                self._undo(step, act, errors)
            now = self._fleet.survey(host)
        except Overtaken as late:
            told = (*errors, late.what)
            self.states[host] = HostState(host, late.current, back=False, reached=True, errors=told)
            return
        except TagshipError as error:
            self.states[host] = self._lost(host, error.what)
            return
        errors += _differences(self._fleet.surveys[host], now)
        self.states[host] = HostState(host, now.current, not errors, reached=True, errors=tuple(errors))

    def _undo(self, step: Step, act: Act, errors: list[str]) -> None:
        verb, args = act
        started = time.monotonic()
        self._tell(Event("step", step.host, {"step": step.title, "state": "undo"}))
        state = "undone"
        try:
            try:
                answer = self._fleet.link(step.host).call(verb, args)
            except LinkLost:
                self._ensure(step.host)  # once more over a new link: an undo may be done twice
                answer = self._fleet.link(step.host).call(verb, args)
            self._owed[step.host].remove((step, act))
            self._ledger.heard(verb, args, answer)
            stays = [*staying(answer), *(self._ledger.half_done() if verb == "down" else [])]
            if stays:
                self._unreversed.add(step.host)
            errors += [*remarks.damage(answer), *stays]
            for remark in remarks.force(args, answer):
                note(self._tell, remark, level="warning", host=step.host)
        except LinkLost:
            state = "undo-failed"
            raise
        except TagshipError as error:
            state = "undo-failed"
            if verb == "down":
                self._unreversed.add(step.host)
                self._ledger.failed(verb, error.data if isinstance(error, HostFailed) else {})
            errors.append(f"undoing `{step.title}`: {error.what}")
        finally:
            seconds = round(time.monotonic() - started, 3)
            self._tell(Event("step", step.host, {"step": step.title, "state": state, "seconds": seconds}))

    def _stays(self, host: str, act: Act) -> bool:
        """A release whose steps are applied still is the only one that can reverse them; settle removes it then."""
        held = host in self._unreversed
        if held:
            note(self._tell, f"{act[1]['release']} stays staged, because its steps stay up", host=host)
        return held

    def _ensure(self, host: str) -> None:
        """A link that works and holds the lock. Raises `LinkLost` where there is no way to one, and `Overtaken`.

        Who was silent for long, asleep or cut off, has lost its locks to whoever came next.
        """
        if self._fleet.link(host).alive:
            return
        try:
            self._fleet.reconnect(host)
            self._await_migration(host)
            take_again(self._fleet, host, self._claim)
            now = self._fleet.survey(host)
        except TagshipError as error:
            raise LinkLost(error.what, host=host, cure=error.cure, tail=error.tail) from error
        ours = (self._fleet.surveys[host].current, self._claim.release)
        if now.change > self._fleet.change or now.current not in ours:
            raise Overtaken(host=host, current=now.current)

    def _await_migration(self, host: str) -> None:
        """A step that had begun goes on without us, and holds the lock: nothing is reversed before it has ended."""
        args = next((act[1] for _step, act in self._owed.get(host, ()) if act[0] == "down"), None)
        if args is not None:
            self._fleet.equip((host,), boot.SCHEMA)
            patience = float(args["limits"]["deadline"]) + self._fleet.pulse.silence
            settled(self._fleet, host, args["release"], self._tell, patience=patience)

    def _lost(self, host: str, error: str) -> HostState:
        """A host that can't be asked: only what is certain counts as reversed."""
        owed = list(self._owed.get(host, undos(self.begun[host])))
        current, errors = self._fleet.surveys[host].current, self._errors[host]
        flips = [step.args["to"] for step, act in owed if act[0] == "flip"]
        back = not errors and all(act[0] not in REBUILDS for _step, act in owed)
        return HostState(host, current, back, reached=False, errors=(*errors, error), maybe=next(iter(flips), None))


def _differences(before: HostSurvey, now: HostSurvey) -> Sequence[str]:
    found = []
    if now.current != before.current:
        found.append(f"current was {before.current or 'nothing'}")
    elif before.serving is not None and now.serving != before.serving:
        found.append(f"{before.serving} served before and doesn't now")
    elif before.serving is None and before.well and not now.well:  # a host whose units answer no requests
        found.append(f"{now.current} was well before and isn't now")
    if before.front is not None and now.front is None:
        found.append("the front door is closed")
    return found
