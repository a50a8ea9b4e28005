"""Removing what earlier, dead clients left: unfinished releases, processes that nothing points to, missing marks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tagship.ship.agreed import UNFINISHED
from tagship.ship.plan import Phase, Step
from tagship.ship.services import Service
from tagship.ship.survey import HostSurvey, Release


def plan_settle(surveys: Mapping[str, HostSurvey], service: Service, *, spare: Iterable[str] = ()) -> Phase:
    """Steps that leave on each host only current, good and left releases, and only current's process.

    Where a host's journal lacks what the others' say of a release, it is told. `spare` names releases that the plan
    is about to use, and to mark. Nothing of this is undone: it is nobody's. What a dead client sent stays among the
    objects, for it may be just what is deployed now.
    """
    kept = set(spare)
    steps = []
    for host, survey in surveys.items():
        if survey.litter:
            steps.append(Step(host, "clear away what is half removed or half written", "sweep"))
        for release in survey.releases:
            if release.id == survey.fled and release.id not in kept and _is_left(survey, release):
                title = f"mark {release.id} left: the rollback from it was cut off"
                steps.append(Step(host, title, "mark", {"release": release.id, "state": "left"}))
            elif release.own and release.id not in kept:
                title = f"mark {release.id} {release.state}, as other hosts have it journaled"
                steps.append(Step(host, title, "mark", {"release": release.id, "state": release.state}))
            if release.id == survey.current or release.id in kept:
                continue
            if release.state == UNFINISHED and not release.holds:
                title = f"remove {release.id}, which was never finished"
                steps.append(Step(host, title, "unstage", {"release": release.id, "objects": "keep"}))
            elif release.pid is not None:
                steps.append(service.discard(host, release.id))
    return Phase("settle", tuple(steps))


def _is_left(survey: HostSurvey, release: Release) -> bool:
    """What was fled from and isn't marked so: the rollback went to an older one."""
    return release.state == "good" and survey.live is not None and release.serial > survey.live.serial
