"""The plan of a stop: close the front doors and stop every process; `current` stays what it is."""

from __future__ import annotations

from collections.abc import Mapping

from tagship.ship.plan import Phase, Plan, Step, phases_of, plan_of
from tagship.ship.services import Service
from tagship.ship.shipment import Stage
from tagship.ship.survey import HostSurvey


def plan_stop(surveys: Mapping[str, HostSurvey], stage: Stage, service: Service) -> Plan:
    """Stop everything that runs; an empty plan if nothing does. A start brings up what this stops."""
    close: list[Step] = []
    halt: list[Step] = []
    for host, survey in surveys.items():
        if survey.front is not None:
            close += service.close_front(host)
        for release in survey.releases:
            if release.pid is None:
                continue
            current = release.id == survey.current
            halt.append(service.halt(host, release.id) if current else service.discard(host, release.id))
    phases = phases_of((Phase("close", tuple(close)), Phase("halt", tuple(halt))))
    return plan_of("stop", stage.name, surveys, None, phases, "stop" if phases else "nothing runs on")
