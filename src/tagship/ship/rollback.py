"""The plan of a rollback: down to an earlier good release, or to one that is named."""

from __future__ import annotations

from collections.abc import Mapping

from tagship.errors import Refused
from tagship.ship import heal
from tagship.ship.layout import serial_of
from tagship.ship.parts import WEB
from tagship.ship.plan import Phase, Plan, Step, plan_of
from tagship.ship.services import Service
from tagship.ship.settle import plan_settle
from tagship.ship.shipment import Stage
from tagship.ship.survey import HostSurvey, Release
from tagship.ship.switch import change_of, mark, mark_good, on_host, plan_drain, plan_flip, plan_start


def choose_target(surveys: Mapping[str, HostSurvey], stage: Stage, to: str | None) -> str:
    """The release to go to, on every host; raises `Refused` if there is none.

    Without `to`: where a rollback was going that was cut off; else the newest release below the newest current one
    that is good on every host. One that was `left` is known to be bad and is passed over. With `to`, a tag or an id:
    the newest such release that is good on every host, else the newest that was good once and left; the current one
    and newer ones are allowed. What was made for a host before it answered requests, or when it still did, can't be
    its part of a fleet now.
    """
    currents = [survey.current for survey in surveys.values() if survey.current]
    if not currents:
        raise Refused("nothing is live, so there is nothing to go back from", where=stage.name, cure="fab deploy")
    common = _common(surveys, stage)
    if to is None:
        going = _going(surveys)
        if going is not None and any(r.id == going for r in common) and _good(surveys, going):
            return going
        newest = max(serial_of(current) for current in currents)
        earlier = [r for r in common if r.serial < newest and _good(surveys, r.id)]
        if not earlier:
            raise _no_target(surveys, stage, "there is no earlier release that is good on every host")
        return earlier[-1].id
    named = [r for r in common if to in (r.id, r.tag)]
    best = [r for r in named if _good(surveys, r.id)] or named
    if not best:
        raise _no_target(surveys, stage, f"no release {to} that was ever good is on every host")
    return best[-1].id


def plan_rollback(
    surveys: Mapping[str, HostSurvey],
    stage: Stage,
    service: Service,
    to: str | None = None,
    schema: tuple[Phase, ...] = (),
) -> Plan:
    """All of a rollback; `to` is a tag, a release id or `None` for the previous good one.

    `schema` are the phases that follow where the target is live: what reverses steps, or journals that they stay.

    What was current is marked `left` if it is newer than the target: then it is what was fled from. An empty plan
    if the target is live and well already. Canary and batches are those of a deploy, without its pauses: what is
    fled from should be gone soon. Raises `Refused`.
    """
    target = choose_target(surveys, stage, to)
    if heal.common_release(surveys) == target:
        phases = (*heal.plan_heal(surveys, stage, service, target), *schema)
        words = f"heal {target}" if phases else f"nothing to do: {target} is live"
        if schema and phases == schema:
            words = f"{target} is live; move the schema after it on"
    else:
        runs = {host: on_host(survey, target).runs for host, survey in surveys.items()}
        tag = on_host(next(iter(surveys.values())), target).tag
        change, around = change_of("rollback", surveys, stage, target, tag), stage.hooks.around
        phases = (
            plan_settle(surveys, service, spare=(target,)),
            Phase("check", tuple(_check(host, target) for host in surveys)),
            *around("start", change, plan_start(surveys, stage, service, target, runs)),
            *around("flip", change, *plan_flip(surveys, stage, service, target, runs)),
            *around("drain", change, plan_drain(surveys, stage, service, target)),
            *around("commit", change, _commit(surveys, target)),
            *schema,
        )
        words = f"roll back to {target}"
    return plan_of("rollback", stage.name, surveys, target, phases, f"{words} on")


def _check(host: str, target: str) -> Step:
    return Step(host, f"check {target}: every file as it was sealed", "sound", {"release": target})


def _commit(surveys: Mapping[str, HostSurvey], target: str) -> Phase:
    steps = []
    for host, survey in surveys.items():
        known = on_host(survey, target)
        steps.append(mark_good(surveys, host, target, before=known.own or known.state))
        old = survey.live
        if old is not None and old.serial > serial_of(target) and old.state != "left":
            steps.append(mark(host, old.id, "left", before=old.state))
    return Phase("commit", tuple(steps))


def _going(surveys: Mapping[str, HostSurvey]) -> str | None:
    """Where a rollback that was cut off was going, while no host has gone anywhere else since."""
    going = {survey.current for survey in surveys.values() if survey.fled}
    others = {survey.current for survey in surveys.values()} - going
    return going.pop() if len(going) == 1 and others <= {survey.fled for survey in surveys.values()} else None


def _common(surveys: Mapping[str, HostSurvey], stage: Stage) -> list[Release]:
    """Releases that are whole on every host, fit it, and were good there, oldest first.

    Hosts that were changed apart from one another may have given one id to different things.
    """

    def usable(host: str, release: Release | None, digest: str) -> bool:
        if release is None or not release.staged or release.state not in ("good", "left"):
            return False
        return release.digest == digest and _fits(host, release, stage)

    first = next(iter(surveys.values()))
    return [
        release
        for release in first.releases
        if all(usable(host, survey.release(release.id), release.digest) for host, survey in surveys.items())
    ]


def _fits(host: str, release: Release, stage: Stage) -> bool:
    """It was made to answer requests on `host` if, and only if, that is what the host is for now."""
    return (WEB in release.roles) == stage.is_web(host)


def _good(surveys: Mapping[str, HostSurvey], release: str) -> bool:
    found = [survey.release(release) for survey in surveys.values()]
    return all(known is not None and known.state == "good" for known in found)


def _no_target(surveys: Mapping[str, HostSurvey], stage: Stage, what: str) -> Refused:
    rows = [
        f"{host}: {release.id} {release.state}"
        + (" (current)" if release.id == survey.current else "")
        + ("" if _fits(host, release, stage) else f", made when the host was {', '.join(release.roles)}")
        for host, survey in surveys.items()
        for release in survey.releases
    ]
    cure = "name one that was left with --to, or fab deploy --tag an older or a mended one"
    return Refused(what, where=stage.name, cure=cure, tail=rows)
