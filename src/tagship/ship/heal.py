"""Bringing the release that is current everywhere back to health, where a process, a front or a mark is missing."""

from __future__ import annotations

from collections.abc import Mapping

from tagship.ship.plan import Phase, phases_of
from tagship.ship.services import Service
from tagship.ship.settle import plan_settle
from tagship.ship.shipment import Stage
from tagship.ship.survey import HostSurvey
from tagship.ship.switch import mark_good, on_host


def common_release(surveys: Mapping[str, HostSurvey]) -> str | None:
    """The release that is sealed and current on every host, if there is one: the same id of the same digest."""
    lives = [survey.live for survey in surveys.values()]
    names = {(live.id, live.digest) if live is not None and live.staged else None for live in lives}
    only = names.pop() if len(names) == 1 else None
    return only[0] if only is not None else None


def plan_heal(surveys: Mapping[str, HostSurvey], stage: Stage, service: Service, release: str) -> tuple[Phase, ...]:
    """Start, prove and mark good what isn't; no phase at all if `release` is well on every host.

    A process that runs and isn't well is ended first: starting what runs only asks it once more.
    """
    start, prove, marks = [], [], []
    for host, survey in surveys.items():
        live = on_host(survey, release)
        good, web = live.state == "good", stage.is_web(host)
        closed = web and not survey.listens(stage.fronts[host])
        if live.runs and not survey.well:
            if live.pid is not None:
                start.append(service.end(host, release))
            start.append(service.start(host, release))
        if closed:
            start += service.open_front(host)
        if (web or live.runs) and (closed or not (survey.well and good)):
            prove.append(service.prove(host, release))
        if not good or live.own or survey.fled or not _seen_together(surveys, survey):
            marks.append(mark_good(_along(surveys, survey), host, release, before=live.state))
    return phases_of(
        (
            plan_settle(surveys, service, spare=(release,)),
            Phase("start", tuple(start)),
            Phase("prove", tuple(prove)),
            Phase("commit", tuple(marks)),
        )
    )


def _seen_together(surveys: Mapping[str, HostSurvey], survey: HostSurvey) -> bool:
    """The host has it journaled that all the others are on what is current here; they may have come there apart."""
    return survey.roster is None or all(survey.roster.stood.get(host) == survey.current for host in surveys)


def _along(surveys: Mapping[str, HostSurvey], survey: HostSurvey) -> list[str]:
    """The hosts of this plan, and those beside it that the host has seen on the same release before."""
    stood = survey.roster.stood if survey.roster is not None else {}
    return [*surveys, *(host for host in stood if stood[host] == survey.current and host not in surveys)]
