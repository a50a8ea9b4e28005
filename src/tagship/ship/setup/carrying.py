"""Looks at hosts, tells the plan, makes what differs: each host by itself, whole or put back."""

from __future__ import annotations

import time
from collections.abc import Mapping

from tagship.errors import (
    Degraded,
    HostFailed,
    HostRefused,
    Interrupted,
    Locked,
    Restored,
    TagshipError,
)
from tagship.events import Event, Listener, note
from tagship.ship.fleet import raise_all
from tagship.ship.interrupts import Interrupts
from tagship.ship.outcome import HostOutcome, Outcome
from tagship.ship.setup import words
from tagship.ship.setup.agents import Agents
from tagship.ship.setup.resources import Resource
from tagship.ship.setup.words import HostPlan, State

Outfits = Mapping[str, tuple[Resource, ...]]
"""What each host needs to have."""


def set_up(
    agents: Agents, name: str, stage: str, outfits: Outfits, listener: Listener, *, owner: str, dry: bool = False
) -> Outcome:
    """Make every host as its outfit says; `dry` stops once the plan is told. `name` is APP-STAGE.

    `owner` is told to whoever finds hosts locked. Raises, with nothing changed anywhere, `HostRefused`, `Refused` and
    `Locked`. The outcome is `ready`, `unchanged`, `planned`
    or has an error: `Restored`, `Degraded`, `Interrupted`.
    """
    began = time.monotonic()
    plans = read_plans(agents, name, outfits)
    listener(Event("plan", data={"plan": words.lines(stage, plans), "steps": words.rows(plans)}))
    todo = {plan.host: plan for plan in plans if not plan.empty}
    if not todo:
        note(listener, "every host is ready; nothing was changed")
        return _outcome("unchanged", agents, {}, began)
    if dry:
        return _outcome("planned", agents, {}, began)
    return _apply(agents, name, todo, listener, began, owner)


def read_plans(agents: Agents, name: str, outfits: Outfits) -> tuple[HostPlan, ...]:
    """How every host differs. Raises `HostRefused`, or one `Refused` with all the reasons why it can't be done."""
    questions = {host: _question(name, resources) for host, resources in outfits.items()}
    answers = agents.ask("look", questions)
    raise_all(
        [
            HostRefused(reason["what"], host=host, cure=reason["cure"])
            for host, answer in answers.items()
            for reason in answer["refusals"]
        ]
    )
    return tuple(
        HostPlan(
            host,
            outfits[host],
            tuple(State(state["differs"], state["words"], state["was"]) for state in answer["states"]),
            bool(answer["unfinished"]),
        )
        for host, answer in answers.items()
    )


def _question(name: str, resources: tuple[Resource, ...]) -> dict[str, object]:
    return {"name": name, "resources": [resource.row() for resource in resources]}


def _apply(
    agents: Agents, name: str, todo: Mapping[str, HostPlan], listener: Listener, began: float, owner: str
) -> Outcome:
    with Interrupts() as interrupts:

        def one(host: str) -> None:
            if interrupts.wished:
                raise Interrupted("not begun")
            changes = list(todo[host].changes)
            args = {**_question(name, todo[host].resources), "changes": changes, "owner": owner}

            def progress(done: int, total: int, unit: str) -> None:
                data = {"step": "making it ready", "done": done, "total": total, "unit": unit}
                listener(Event("progress", host, data))

            agents.call(host, "apply", args, progress)
            number = len(todo[host].changes)
            note(listener, f"ready, {number} change{'s' * (number != 1)} made", host=host)

        crew = agents.crew(one, todo)
        try:
            crew.wait()
        except KeyboardInterrupt:
            agents.close()  # whereupon each puts back what it changed, without us
            stands = {host: _stands(crew.errors.get(host), host in crew.results) for host in todo}
            error = Degraded("interrupted again", hosts=stands, cure="fab setup again: it looks what is there")
            return _outcome(error.outcome, agents, crew.errors, began, error)
    return _ended(agents, todo, crew.errors, began)


def _ended(
    agents: Agents, todo: Mapping[str, HostPlan], errors: Mapping[str, BaseException], began: float
) -> Outcome:
    for error in errors.values():
        if not isinstance(error, TagshipError):
            raise error
    if not errors:
        return _outcome("ready", agents, {}, began)
    first = next(iter(errors.values()))
    if len(errors) == len(todo) and all(isinstance(error, HostRefused | Locked) for error in errors.values()):
        raise first  # nothing was changed anywhere
    verdict = _verdict({host: _stands(errors.get(host), True) for host in todo}, errors)
    return _outcome(verdict.outcome, agents, errors, began, verdict)


def _verdict(stands: Mapping[str, str], errors: Mapping[str, BaseException]) -> TagshipError:
    """One error for all hosts: the first that really failed speaks."""
    real = {host: error for host, error in errors.items() if not isinstance(error, Interrupted)}
    others = [f"{host}: {state}" for host, state in stands.items()]
    if not real:
        return Interrupted("interrupted", tail=others)
    host, first = next(iter(real.items()))
    assert isinstance(first, TagshipError)
    if all(map(_is_back, real.values())):
        return Restored(first.what, where=host, cure=first.cure, tail=[*first.tail, *others])
    return Degraded(first.what, hosts=stands, where=host, cure=first.cure, tail=first.tail)


def _is_back(error: BaseException) -> bool:
    if isinstance(error, HostRefused | Locked):
        return True  # nothing was changed
    return isinstance(error, HostFailed) and error.kind == "failed" and not any(map(_tells_rest, error.tail))


def _tells_rest(line: str) -> bool:
    return line.startswith("not put back: ")


def _stands(error: BaseException | None, ended: bool) -> str:
    if error is None:
        return "ready" if ended else "cut off: it puts back what it changed"
    if isinstance(error, Interrupted | HostRefused | Locked):
        return "as it was"
    return "its files were put back" if _is_back(error) else "not ready, and not as it was"


def _outcome(
    word: str, agents: Agents, errors: Mapping[str, BaseException], began: float, error: TagshipError | None = None
) -> Outcome:
    return Outcome(
        word,
        error.exit_code if error else 0,
        hosts=tuple(HostOutcome(host, None, host not in errors) for host in agents.hosts),
        seconds=time.monotonic() - began,
        bytes_sent=agents.bytes_sent,
        error=error,
    )
