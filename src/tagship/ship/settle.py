"""Removing what earlier, dead clients left: unfinished releases and processes that nothing points to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tagship.ship.plan import Phase, Step
from tagship.ship.services import Service
from tagship.ship.survey import HostSurvey


def plan_settle(surveys: Mapping[str, HostSurvey], service: Service, *, spare: Iterable[str] = ()) -> Phase:
    """Steps that leave on each host only current, good and left releases, and only current's process.

    `spare` names releases that the plan is about to use. Nothing of this is undone: it is nobody's.
    """
    kept = set(spare)
    steps = []
    for host, survey in surveys.items():
        for release in survey.releases:
            if release.id == survey.current or release.id in kept:
                continue
            if release.state == "unfinished":
                title = f"remove {release.id}, which was never finished"
                steps.append(Step(host, title, "unstage", {"release": release.id}))
            elif release.pid is not None:
                steps.append(service.discard(host, release.id))
    return Phase("settle", tuple(steps))
