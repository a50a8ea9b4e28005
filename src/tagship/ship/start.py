"""The plan of a start: what is current comes up again, after a stop or a reboot; nothing newer takes its place."""

from __future__ import annotations

from collections.abc import Mapping

from tagship.errors import Refused
from tagship.ship import heal
from tagship.ship.plan import Plan, plan_of
from tagship.ship.services import Service
from tagship.ship.shipment import Stage
from tagship.ship.survey import HostSurvey


def plan_bring_up(surveys: Mapping[str, HostSurvey], stage: Stage, service: Service) -> Plan:
    """Start and prove what every host has as current; an empty plan if all is well. Raises `Refused`."""
    release = heal.common_release(surveys)
    if release is None:
        rows = [f"{host}: {survey.current or 'nothing'}" for host, survey in surveys.items()]
        what = "no release is current on every host, so there is none to start"
        raise Refused(what, where=stage.name, cure="fab deploy --tag TAG brings all of them to one", tail=rows)
    phases = heal.plan_heal(surveys, stage, service, release)
    words = f"start {release}" if phases else f"nothing to do: {release} is live"
    return plan_of("start", stage.name, surveys, release, phases, f"{words} on")
