"""Carries a plan out on a fleet: all of it, or none of it, or says exactly how it is neither."""

from __future__ import annotations

import threading
import time

from tagship.errors import Degraded, HostFailed, HostRefused, Interrupted, Restored, StalePlan, TagshipError
from tagship.events import Event, Listener, ignore, note
from tagship.host import boot
from tagship.ship.again import converging
from tagship.ship.ending import Ending
from tagship.ship.fleet import Fleet
from tagship.ship.here import Here
from tagship.ship.hooks import Change
from tagship.ship.interrupts import Interrupts
from tagship.ship.locks import Claim, give_back, take_all
from tagship.ship.outcome import HostOutcome, Outcome
from tagship.ship.plan import HERE, Plan
from tagship.ship.send import Feed
from tagship.ship.shipment import Stage
from tagship.ship.unwind import HostState, Unwind
from tagship.ship.work import Failure, Work

GRACE = 10.0
"""Seconds that steps under way may still take after another has failed, or after Ctrl-C."""


def carry_out(
    plan: Plan,
    fleet: Fleet,
    stage: Stage,
    listener: Listener = ignore,
    *,
    owner: str,
    feed: Feed | None = None,
    grace: float = GRACE,
) -> Outcome:
    """Lock every host, see that none has changed since `plan` was made, then do it; unwind if a step fails.

    `stage` is what the plan was made for, with its hooks; `owner` is told to whoever finds the locks; `feed` opens
    the objects that hosts lack. The outcome is `unchanged`, `live` or `stopped`, or has an error: `Restored`,
    `Degraded`, `Interrupted`. Raises, with nothing changed, `Locked`, `StalePlan`, `HostRefused` and `Interrupted`.
    """
    if plan.empty:
        return _well(plan, fleet, "unchanged")
    tell = _one_at_a_time(listener)
    claim = Claim(owner, plan.release or _previous(plan) or "nothing", plan.verb)
    try:
        if doors := _doors(plan):
            fleet.equip(doors, boot.FRONT)
        take_all(fleet, claim, tell)
    except KeyboardInterrupt:
        raise Interrupted("interrupted; nothing was changed") from None
    except HostFailed as failed:
        raise HostRefused(failed.what, host=failed.host, cure=failed.cure, tail=failed.tail) from failed
    try:
        _check_fresh(plan, fleet)
    except TagshipError:
        _give_back(fleet, tell, None)
        raise
    with Interrupts() as interrupts:
        ending = Ending.failed(TagshipError("a bug in tagship"))
        try:
            here = Here(Change.of(plan, stage.roles), stage.hooks, fleet, tell, grace=grace)
            work = Work(plan, fleet, here, tell, interrupts, feed=feed, grace=grace)
            outcome = _transact(plan, fleet, tell, claim, work)
            ending = Ending.of(outcome)
            return outcome
        finally:
            _give_back(fleet, tell, ending)


def _doors(plan: Plan) -> list[str]:
    """Hosts on which tagship's own front door may be opened: only then its code travels, a seventh of the agent."""
    steps = [step for phase in plan.phases for step in phase.steps]
    doors = [step.host for step in steps if step.verb == "front" or (step.undo and step.undo[0] == "front")]
    return list(dict.fromkeys(doors))


def _give_back(fleet: Fleet, tell: Listener, ending: Ending | None) -> None:
    """Ctrl-C while a host is slow to answer ends the wait for it, and no more: how it ended is known by now."""
    try:
        give_back(fleet, sorted(fleet.hosts), tell, ending)
    except KeyboardInterrupt:
        note(tell, "interrupted while locks were given back; they go when their agents end", level="warning")


def _transact(plan: Plan, fleet: Fleet, tell: Listener, claim: Claim, work: Work) -> Outcome:
    unwind = Unwind(work.begun, fleet, tell, claim)
    try:
        failure = work.run()
        if failure is None:
            return _well(plan, fleet, "live" if plan.release else "stopped")
        note(tell, f"{failure.error.what}; putting everything back", level="warning")
        return _ill(plan, fleet, failure, unwind.run())
    except KeyboardInterrupt:
        fleet.cut(fleet.hosts)
        again = Failure(Interrupted("interrupted again while putting back"), None)
        return _ill(plan, fleet, again, unwind.abandoned())


def _check_fresh(plan: Plan, fleet: Fleet) -> None:
    try:
        surveys = fleet.survey_all()
    except KeyboardInterrupt:
        raise Interrupted("interrupted; nothing was changed") from None
    changed = [host for host, survey in surveys.items() if survey.fingerprint != plan.fingerprints[host]]
    if changed:
        raise StalePlan(
            "the host changed after the plan was made"
            if len(changed) == 1
            else "hosts changed after the plan was made",
            where=", ".join(changed),
            cure="run it again: it will plan anew",
        )


def _well(plan: Plan, fleet: Fleet, word: str) -> Outcome:
    return Outcome(
        word,
        release=plan.release,
        previous=_previous(plan),
        hosts=tuple(HostOutcome(host, plan.release or plan.previous[host], True) for host in plan.hosts),
        seconds=time.monotonic() - fleet.started,
        bytes_sent=fleet.bytes_sent,
    )


def _ill(plan: Plan, fleet: Fleet, failure: Failure, states: dict[str, HostState]) -> Outcome:
    error = _verdict(plan, fleet, failure, states)
    error.__cause__ = failure.error
    return Outcome(
        error.outcome,
        error.exit_code,
        release=plan.release,
        previous=_previous(plan),
        hosts=tuple(HostOutcome(h, states[h].current, states[h].back and states[h].reached) for h in plan.hosts),
        seconds=time.monotonic() - fleet.started,
        bytes_sent=fleet.bytes_sent,
        error=error,
    )


def _verdict(
    plan: Plan, fleet: Fleet, failure: Failure, states: dict[str, HostState]
) -> Restored | Degraded | Interrupted:
    cause, step = failure.error, failure.step
    where = _where(failure)
    what = cause.what if step is None else cause.what.removeprefix(f"{step.title} ")  # `where` says it already
    back = all(state.back for state in states.values())
    away = [f"{state.host}: {state.words}" for state in states.values() if not state.reached or state.errors]
    lost = [state.host for state in states.values() if state.lost]
    alone = lost if len(lost) < len(states) else []  # with nobody left, there is nothing to do until somebody is back
    again = converging(plan, fleet.surveys, fleet.away, cause, alone)
    if not back:
        words = {host: state.words for host, state in states.items()}
        cure = f"{'this brings them to one release' if alone == lost else 'once they can be reached'}: {again}"
        return Degraded(what, hosts=words, where=where, cure=cure, tail=cause.tail)
    stands = f"everything was put back: {_stands(states)}"
    if isinstance(cause, Interrupted):
        return Interrupted(f"{cause.what}; {stands}", tail=away)
    cure = f"{cause.cure}; {stands}" if cause.cure else f"{stands}; mend it and try again"
    if alone:
        cure += f"; without {', '.join(lost)}, which can't be reached: {again}"
    return Restored(what, where=where, cure=cure, tail=[*cause.tail, *away])


def _stands(states: dict[str, HostState]) -> str:
    """What is live after all was put back, in one phrase; where the fleet was mixed before, host by host."""
    found = {state.current for state in states.values()}
    if len(found) > 1:
        rows = [f"{state.host} is on {state.current or 'nothing'}" for state in states.values()]
        return f"{', '.join(rows)}, as before"
    return f"{only} is live" if (only := found.pop()) else "nothing is live"


def _where(failure: Failure) -> str:
    step, said = failure.step, failure.error.where
    if step is None:
        return said
    if step.host == HERE:
        return said or f"here, {step.title}"
    return f"{step.host}, {step.title}"


def _previous(plan: Plan) -> str | None:
    return next(iter(plan.previous.values()), None)


def _one_at_a_time(listener: Listener) -> Listener:
    lock = threading.Lock()

    def tell(event: Event) -> None:
        with lock:
            listener(event)

    return tell
