"""Carries a plan out on a fleet: all of it, or none of it, or says exactly how it is neither."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tagship.errors import (
    Degraded,
    HostFailed,
    HostRefused,
    Interrupted,
    Refused,
    Restored,
    StalePlan,
    TagshipError,
)
from tagship.events import Event, Listener, ignore, note
from tagship.host import boot
from tagship.ship.again import command, converging
from tagship.ship.ending import Ending
from tagship.ship.fleet import Fleet
from tagship.ship.here import Here
from tagship.ship.hooks import Change
from tagship.ship.interrupts import Interrupts
from tagship.ship.locks import Claim, give_back, take_all
from tagship.ship.migrations.ledger import Ledger
from tagship.ship.outcome import HostOutcome, Outcome
from tagship.ship.plan import HERE, Plan
from tagship.ship.send import Feed
from tagship.ship.shipment import Stage
from tagship.ship.unwind import HostState, Unwind
from tagship.ship.work import Failure, Work

Onward = Callable[[Mapping[str, Mapping[str, Any]]], Plan]
"""Makes the second leg of a plan of what `schema` answered in the first, by release; raises `Refused`, or `Enough`
where seeing it was all that was wanted."""

GRACE = 10.0
"""Seconds that steps under way may still take after another has failed, or after Ctrl-C."""


SCHEMA_VERBS = frozenset({"heads", "schema", "up", "down", "stay"})
"""Steps that need the part of the agent that knows databases."""


class Enough(Exception):
    """What was to be seen is seen: take the first leg back."""


def carry_out(
    plan: Plan,
    fleet: Fleet,
    stage: Stage,
    listener: Listener = ignore,
    *,
    owner: str,
    feed: Feed | None = None,
    grace: float = GRACE,
    onward: Onward | None = None,
) -> Outcome:
    """Lock every host, see that none has changed since `plan` was made, then do it; unwind if a step fails.

    `stage` is what the plan was made for, with its hooks; `owner` is told to whoever finds the locks; `feed` opens
    the objects that hosts lack; `onward` makes the second leg of what was seen in the first, where there are two:
    whatever fails in it unwinds both. The outcome is `unchanged`, `live` or `stopped`, or has an error: `Restored`,
    `Degraded`, `Interrupted`, or `Refused` where the second leg must not begin and the first was put back. Raises,
    with nothing changed, `Locked`, `StalePlan`, `HostRefused` and `Interrupted`.
    """
    if plan.empty:
        return _well(plan, fleet, "unchanged", None)
    tell = _one_at_a_time(listener)
    claim = Claim(owner, plan.release or _previous(plan) or "nothing", plan.verb)
    try:
        if doors := _doors(plan):
            fleet.equip(doors, boot.FRONT)
        if _moves_a_schema(plan):
            fleet.equip(fleet.hosts, boot.SCHEMA)
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
            work = Work(plan.hosts, fleet, here, tell, interrupts, feed=feed, grace=grace, ledger=Ledger())
            outcome = _transact(plan, fleet, tell, claim, work, onward)
            ending = Ending.of(outcome)
            return outcome
        finally:
            _give_back(fleet, tell, ending)


def _doors(plan: Plan) -> list[str]:
    """Hosts on which tagship's own front door may be opened: only then its code travels, a seventh of the agent."""
    steps = [step for phase in (*plan.phases, *plan.outline) for step in phase.steps]
    doors = [step.host for step in steps if step.verb == "front" or (step.undo and step.undo[0] == "front")]
    return list(dict.fromkeys(doors))


def _moves_a_schema(plan: Plan) -> bool:
    """Any host is asked for its databases."""
    return any(step.verb in SCHEMA_VERBS for phase in plan.phases for step in phase.steps)


def _give_back(fleet: Fleet, tell: Listener, ending: Ending | None) -> None:
    """Ctrl-C while a host is slow to answer ends the wait for it, and no more: how it ended is known by now."""
    try:
        give_back(fleet, sorted(fleet.hosts), tell, ending)
    except KeyboardInterrupt:
        note(tell, "interrupted while locks were given back; they go when their agents end", level="warning")


def _transact(plan: Plan, fleet: Fleet, tell: Listener, claim: Claim, work: Work, onward: Onward | None) -> Outcome:
    unwind = Unwind(work.begun, fleet, tell, claim, work.ledger)
    try:
        failure = work.run(plan.phases)
        enough = None
        if failure is None and onward is not None:
            try:
                failure = work.run(onward(work.ledger.looks).phases)
            except Enough as done:
                enough = done
            except TagshipError as error:
                failure = Failure(error, None)
        if failure is None and enough is None:
            return _well(plan, fleet, "live" if plan.release else "stopped", work.ledger)
        if failure is not None and failure.late:
            return _late(plan, fleet, failure, work.ledger)
        if failure is not None:
            note(tell, f"{failure.error.what}; putting everything back", level="warning")
        states = unwind.run()
        if failure is None and all(state.back and state.reached for state in states.values()):
            return replace(_well(plan, fleet, "planned", work.ledger), hosts=())
        cause = failure or Failure(TagshipError("what was staged to plan could not be taken away"), None)
        return _ill(plan, fleet, cause, states, work.ledger)
    except KeyboardInterrupt:
        fleet.cut(fleet.hosts)
        again = Failure(Interrupted("interrupted again while putting back"), None)
        return _ill(plan, fleet, again, unwind.abandoned(), work.ledger)


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


def _well(plan: Plan, fleet: Fleet, word: str, ledger: Ledger | None) -> Outcome:
    outcome = Outcome(
        word,
        release=plan.release,
        previous=_previous(plan),
        hosts=tuple(HostOutcome(host, plan.release or plan.previous[host], True) for host in plan.hosts),
        seconds=time.monotonic() - fleet.started,
        bytes_sent=fleet.bytes_sent,
        schema=ledger.moved(ahead=bool(plan.ahead)) if ledger is not None else None,
    )
    if not plan.ahead:
        return outcome
    return _degraded(outcome, Degraded(plan.ahead, hosts=_live(plan), where="schema", cure=_down_again(plan)))


def _late(plan: Plan, fleet: Fleet, failure: Failure, ledger: Ledger) -> Outcome:
    """The release is live, and what was to be done after that isn't."""
    cause = failure.error
    moved = ledger.moved(ahead=True)
    tail = [*cause.tail, *([moved.words] if moved is not None and moved.words else [])]
    what = f"{plan.release} is live, and the schema isn't down: {cause.what}"
    cures = [cause.cure, f"once that is mended: {_down_again(plan)}"]
    where = _where(failure) or "schema"
    error = Degraded(what, hosts=_live(plan), where=where, cure="; ".join(filter(None, cures)), tail=tail)
    error.__cause__ = cause
    return _degraded(replace(_well(replace(plan, ahead=""), fleet, "live", None), schema=moved), error)


def _degraded(outcome: Outcome, error: Degraded) -> Outcome:
    return replace(outcome, outcome=error.outcome, exit=error.exit_code, error=error)


def _live(plan: Plan) -> dict[str, str]:
    return dict.fromkeys(plan.hosts, f"{plan.release} is live")


def _down_again(plan: Plan) -> str:
    """The command that takes the schema down to what is live, with every host that it was to wait for."""
    return command("rollback", plan.stage, to=plan.release)


def _ill(plan: Plan, fleet: Fleet, failure: Failure, states: dict[str, HostState], ledger: Ledger) -> Outcome:
    error = _verdict(plan, fleet, failure, states)
    if error is not failure.error:
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
        schema=ledger.moved(ahead=True) if ledger.stands else ledger.moved(),
    )


def _verdict(
    plan: Plan, fleet: Fleet, failure: Failure, states: dict[str, HostState]
) -> Refused | Restored | Degraded | Interrupted:
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
    if isinstance(cause, Refused) and step is None:
        return cause
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
