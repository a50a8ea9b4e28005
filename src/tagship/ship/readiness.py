"""Whether a host was made ready for a stage, by `fab setup`: pure, from its survey."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tagship.errors import HostRefused
from tagship.ship.survey import HostSurvey

HELPER = "1"
"""The version of the helper whose grammar the agent speaks."""


@dataclass(frozen=True)
class Wanted:
    """What a stage needs of one of its hosts."""

    stage: str
    units: bool
    """Systemd and nginx serve it; else plain processes of who deploys."""
    user: str
    """The service user."""
    nginx: str | None
    """Whom nginx runs as; `None` where the host answers no requests."""
    front: str
    """Where nginx has to listen, `ADDRESS:PORT`."""


def unready(survey: HostSurvey, wanted: Wanted) -> HostRefused | None:
    """Why nothing can be run on a host as the stage wants it run; `None` if it can."""
    setup = f"fab setup --stage {wanted.stage}"
    found = next(_plain(survey, wanted) if not wanted.units else _with_units(survey, wanted, setup), None)
    return None if found is None else HostRefused(found[0], host=survey.host, cure=found[1])


def _plain(survey: HostSurvey, wanted: Wanted) -> Iterator[tuple[str, str]]:
    if survey.service is not None:
        what = "the host was made ready for systemd, and the stage says `service.kind: process`"
        name = f"{survey.service['app']}-{survey.service['stage']}"
        yield what, f"say `systemd` in the stage {wanted.stage}; or remove /etc/tagship/{name}.json on the host"


def _with_units(survey: HostSurvey, wanted: Wanted, setup: str) -> Iterator[tuple[str, str]]:
    made = survey.service
    if made is None:
        yield f"it isn't made ready for the stage {wanted.stage}", setup
        return
    if str(made["helper"]) != HELPER:
        yield f"its helper is of version {made['helper']}, not {HELPER}", setup
    if survey.root != made["root"]:
        yield f"it was made ready at {made['root']}, not at {survey.root}", setup
    if survey.user != made["deploy"]:
        cure = f"log in as {made['deploy']} (`user:` of the host), or {setup}"
        yield f"{survey.user} logged in, and it was made ready for {made['deploy']} to deploy", cure
    if made["user"] != wanted.user:
        yield f"it was made ready for the service user {made['user']}, not {wanted.user}", setup
    if wanted.nginx is not None and made["nginx"] != wanted.nginx:
        was = f"nginx run by {made['nginx']}" if made["nginx"] else "no nginx"
        yield f"it was made ready for {was}, not by {wanted.nginx}", setup


def no_front(survey: HostSurvey, wanted: Wanted) -> HostRefused | None:
    """Why nothing could be proven to be public on a host; `None` if it can."""
    if not wanted.units or wanted.nginx is None or survey.listens(wanted.front):
        return None
    cure = f"on the host: systemctl status nginx; or fab setup --stage {wanted.stage}"
    return HostRefused(f"nothing listens at {wanted.front}: nginx doesn't run there", host=survey.host, cure=cure)
