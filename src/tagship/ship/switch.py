"""The phases that deploy and rollback share: start a staged release, flip to it, stop what ran before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from tagship.ship.hooks import Change
from tagship.ship.parts import WEB
from tagship.ship.plan import HERE, Phase, Step, phases_of
from tagship.ship.services import Service
from tagship.ship.shipment import Stage
from tagship.ship.survey import HostSurvey, Release

Runs = Mapping[str, Sequence[str]]
"""The names of the processes that a release has on each host: `web` and its units."""


def plan_start(surveys: Mapping[str, HostSurvey], stage: Stage, service: Service, release: str, runs: Runs) -> Phase:
    """Start `release` wherever it doesn't run, and the front door wherever it is closed; nothing public changes.

    A process that runs already is only probed, and so isn't stopped by an unwind.
    """
    steps = []
    for host, survey in surveys.items():
        known = survey.release(release)
        if runs[host]:
            up = known is not None and known.pid is not None
            step = service.prove_own(host, release) if up else service.start(host, release)
            steps.append(naming(step, runs[host]))
        if stage.is_web(host) and not survey.listens(stage.fronts[host]):
            steps += service.open_front(host)
    return Phase("start", tuple(steps))


def plan_flip(
    surveys: Mapping[str, HostSurvey], stage: Stage, service: Service, release: str, runs: Runs
) -> tuple[Phase, ...]:
    """Make `release` current and prove it: on the canary's hosts, then on the others in batches."""
    phases = []
    for name, hosts in portions(tuple(surveys), stage):
        steps: list[Step] = []
        for host in hosts:
            before = surveys[host].current
            if before != release:
                steps.append(_flip(host, before, release))
            steps += _proofs(host, stage, service, release, runs)
        phases.append(Phase(name, tuple(steps)))
    return tuple(phases)


def with_pauses(
    flips: tuple[Phase, ...], stage: Stage, service: Service, release: str, runs: Runs
) -> tuple[Phase, ...]:
    """`flips` with the stage's pause between any two, and after it another look at all that must be well.

    Without that look a canary that dies in the pause would have died for nothing, and what dies on a host that flips
    next would become public before anybody knew.
    """
    seconds = float(stage.rollout.pause)
    phases: list[Phase] = []
    flipped: list[str] = []
    for flip in flips:
        if phases and seconds:
            wait = Step(HERE, f"wait {seconds:g} s", "pause", {"seconds": seconds})
            again = [step for host in flipped for step in _proofs(host, stage, service, release, runs)]
            again += [naming(service.prove_own(host, release), runs[host]) for host in flip.by_host() if runs[host]]
            phases += [Phase("pause", (wait,)), Phase("prove again", tuple(again))]
        flipped += flip.by_host()
        phases.append(flip)
    return phases_of(phases)


def portions(hosts: tuple[str, ...], stage: Stage) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The hosts that flip together, each portion with the name of its phase, in order.

    A canary that would be the whole fleet is none: then there is nothing that it could spare.
    """
    ahead = stage.rollout.canary if stage.rollout.canary < len(hosts) else 0
    canary, others = hosts[:ahead], hosts[ahead:]
    size = stage.rollout.batch.of(len(others))
    batches = [others[first : first + size] for first in range(0, len(others), size)]
    names = ["flip"] if len(batches) == 1 else [f"flip {n}/{len(batches)}" for n in range(1, len(batches) + 1)]
    return (*((("canary", canary),) if canary else ()), *zip(names, batches, strict=True))


def plan_drain(surveys: Mapping[str, HostSurvey], stage: Stage, service: Service, release: str) -> Phase:
    """Stop what was current on each host before `release`, once nobody is connected to it.

    Where no requests are answered any more, the front door goes first.
    """
    steps: list[Step] = []
    for host, survey in surveys.items():
        old = survey.live
        if survey.front is not None and not stage.is_web(host):
            steps += service.close_front(host)
        if old is not None and old.id != release and old.pid is not None:
            steps.append(naming(service.halt(host, old.id), old.runs))
    return Phase("drain", tuple(steps))


def naming(step: Step, runs: Sequence[str]) -> Step:
    """`step` with the names of the processes that it is about, where there are more than what answers requests."""
    return step if tuple(runs) in ((), (WEB,)) else replace(step, title=f"{step.title} ({', '.join(runs)})")


def mark(host: str, release: str, state: str, *, before: str | None) -> Step:
    """Journal `release` as `good` or `left`; `before` is its state until now, if it had one to go back to."""
    undo = ("mark", {"release": release, "state": before}) if before in ("good", "left") else None
    return Step(host, f"mark {release} {state}", "mark", {"release": release, "state": state}, undo=undo)


def mark_good(along: Iterable[str], host: str, release: str, *, before: str | None) -> Step:
    """As `mark`, with the hosts that went along: whoever isn't one of them is missed from then on."""
    step = mark(host, release, "good", before=before)
    return replace(step, args={**step.args, "fleet": list(along)})


def change_of(verb: str, surveys: Mapping[str, HostSurvey], stage: Stage, release: str, tag: str) -> Change:
    """What hooks are told of a plan that makes `release` live."""
    previous = next((survey.current for survey in surveys.values()), None)
    roles = {host: stage.roles_of(host) for host in surveys}
    return Change(verb, stage.name, release, tag, previous, tuple(surveys), roles)


def on_host(survey: HostSurvey, release: str) -> Release:
    """What a host knows of a release that is known to be there; raises `LookupError` where it isn't."""
    known = survey.release(release)
    if known is None:
        raise LookupError(f"{release} is not on {survey.host}")
    return known


def _proofs(host: str, stage: Stage, service: Service, release: str, runs: Runs) -> list[Step]:
    """The proof of `release` on `host`; none where nothing runs and nothing is served."""
    return [service.prove(host, release)] if stage.is_web(host) or runs[host] else []


def _flip(host: str, before: str | None, release: str) -> Step:
    return Step(
        host,
        f"flip from {before or 'nothing'} to {release}",
        "flip",
        {"to": release, "from": before},
        undo=("flip", {"to": before, "from": release}),
    )
