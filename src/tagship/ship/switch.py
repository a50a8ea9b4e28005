"""The phases that deploy and rollback share: start a staged release, flip to it, stop what ran before."""

from __future__ import annotations

from collections.abc import Mapping

from tagship.ship.plan import Phase, Step
from tagship.ship.services import Service
from tagship.ship.shipment import Stage
from tagship.ship.survey import HostSurvey


def plan_start(surveys: Mapping[str, HostSurvey], stage: Stage, service: Service, release: str) -> Phase:
    """Start `release` wherever it doesn't run, and the front door wherever it is closed; nothing public changes.

    A process that runs already is only probed, and so isn't stopped by an unwind.
    """
    steps = []
    for host, survey in surveys.items():
        known = survey.release(release)
        runs = known is not None and known.pid is not None
        steps.append(service.prove_own(host, release) if runs else service.start(host, release))
        if not survey.listens(stage.fronts[host]):
            steps.append(service.open_front(host))
    return Phase("start", tuple(steps))


def plan_flip(surveys: Mapping[str, HostSurvey], service: Service, release: str) -> tuple[Phase, ...]:
    """Make `release` current on the first host and prove it there, then on the others."""
    steps: dict[str, list[Step]] = {}
    for host, survey in surveys.items():
        steps[host] = []
        if survey.current != release:
            before = survey.current
            steps[host].append(
                Step(
                    host,
                    f"flip from {before or 'nothing'} to {release}",
                    "flip",
                    {"to": release, "from": before},
                    undo=("flip", {"to": before, "from": release}),
                )
            )
        steps[host].append(service.prove(host, release))
    first, *rest = steps
    if not rest:
        return (Phase("flip", tuple(steps[first])),)
    others = tuple(step for host in rest for step in steps[host])
    return Phase("canary", tuple(steps[first])), Phase("flip", others)


def plan_drain(surveys: Mapping[str, HostSurvey], service: Service, release: str) -> Phase:
    """Stop the process that was current on each host before `release`, once nobody is connected to it."""
    steps = []
    for host, survey in surveys.items():
        old = survey.live
        if old is not None and old.id != release and old.pid is not None:
            steps.append(service.halt(host, old.id))
    return Phase("drain", tuple(steps))


def mark(host: str, release: str, state: str, *, before: str | None) -> Step:
    """Journal `release` as `good` or `left`; `before` is its state until now, if it had one to go back to."""
    undo = ("mark", {"release": release, "state": before}) if before in ("good", "left") else None
    return Step(host, f"mark {release} {state}", "mark", {"release": release, "state": state}, undo=undo)
