"""The plan of a deploy: pure, so that what `fab plan` shows is what `fab deploy` does."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from tagship.config import Argv
from tagship.ship import heal, layout
from tagship.ship.plan import Phase, Plan, Step, plan_of
from tagship.ship.services import Service
from tagship.ship.settle import plan_settle
from tagship.ship.shipment import Cargo, Made, Shipment, Stage
from tagship.ship.survey import HostSurvey
from tagship.ship.switch import mark, plan_drain, plan_flip, plan_start


def settled_release(surveys: Mapping[str, HostSurvey], digest: str) -> str | None:
    """The release that is current on every host and has `digest` already; only its health can be wanting."""
    release = heal.common_release(surveys)
    same = all(survey.live is not None and survey.live.digest == digest for survey in surveys.values())
    return release if same else None


def plan_deploy(
    surveys: Mapping[str, HostSurvey],
    shipment: Shipment,
    cargo: Mapping[str, Cargo],
    stage: Stage,
    service: Service,
    made: Made,
) -> Plan:
    """All of a deploy of `shipment` to the hosts of `surveys`, the first of which is the canary.

    Current everywhere already and well: an empty plan. Current everywhere but not well: a plan that heals it.
    Otherwise a new release with the next serial of the fleet. `cargo` is needed only for the last.
    """
    settled = settled_release(surveys, shipment.digest)
    if settled is not None:
        phases = heal.plan_heal(surveys, stage, service, settled)
        words = f"heal {settled}" if phases else f"nothing to do: {settled} is live"
        live = {survey.live.tag for survey in surveys.values() if survey.live is not None}
        if live != {shipment.tag}:
            words += f", and {shipment.tag} is the same (tree, site and lock),"
        return plan_of("deploy", stage.name, surveys, settled, phases, f"{words} on")
    release = layout.release_id(1 + max(survey.highest for survey in surveys.values()), shipment.tag)
    phases = (
        plan_settle(surveys, service),
        plan_stage(shipment, cargo, _record(shipment, stage, made, release)),
        *plan_live(surveys, stage, service, release),
    )
    return plan_of("deploy", stage.name, surveys, release, phases, f"deploy {shipment.tag} as {release} to")


def plan_stage(shipment: Shipment, cargo: Mapping[str, Cargo], record: Mapping[str, Any]) -> Phase:
    """Everything up to a sealed release on each host of `cargo`; nothing public changes."""
    return Phase(
        "stage", tuple(step for host, load in cargo.items() for step in _staging(host, record, shipment, load))
    )


def plan_live(surveys: Mapping[str, HostSurvey], stage: Stage, service: Service, release: str) -> tuple[Phase, ...]:
    """From a sealed `release` on each host to one that is live, proven and marked good."""
    return (
        plan_start(surveys, stage, service, release),
        *plan_flip(surveys, service, release),
        plan_drain(surveys, service, release),
        Phase("commit", tuple(mark(host, release, "good", before=None) for host in surveys)),
        Phase("prune", tuple(_prune(host, stage.keep) for host in surveys), vital=False),
    )


def _staging(host: str, record: Mapping[str, Any], shipment: Shipment, cargo: Cargo) -> tuple[Step, ...]:
    release = record["id"]
    undo = ("unstage", {"release": release})
    delta, this = cargo.delta, {"release": release}
    declared = {
        "release": record,
        "base": cargo.base,
        "put": [entry.row() for entry in delta.put],
        "drop": list(delta.drop),
        "manifest": shipment.manifest.digest,
        "wheels": [wheel.row() for wheel in cargo.wheels],
        "installer": cargo.installer.row() if cargo.installer else None,
    }
    against = f"from {cargo.base}" if cargo.base else "from nothing"
    change = f"{_count(len(delta.put), 'entry', 'entries')} to put, {len(delta.drop)} to drop"
    commands: list[tuple[Argv, str]] = [*((argv, f"prepare: {shlex.join(argv)}") for argv in shipment.app.prepare)]
    if shipment.app.smoke is not None:
        commands.append((shipment.app.smoke, f"smoke: {shlex.join(shipment.app.smoke)}"))
    return (
        Step(host, f"declare {release} {against}: {change}", "declare", declared, undo),
        Step(host, "send the objects that are missing", "put", {}, undo, sends=True),
        Step(host, "link the tree", "tree", this, undo),
        Step(host, f"build the virtualenv: {_count(len(cargo.wheels), 'wheel', 'wheels')}", "venv", this, undo),
        Step(host, "furnish it: start, run, shared, assets", "furnish", this, undo),
        *(
            Step(host, title, "command", {**this, "argv": list(argv), "title": title}, undo)
            for argv, title in commands
        ),
        Step(host, "seal it: hash and sync", "seal", this, undo),
    )


def _record(shipment: Shipment, stage: Stage, made: Made, release: str) -> dict[str, Any]:
    app = shipment.app
    return {
        "id": release,
        "serial": layout.serial_of(release),
        "tag": shipment.tag,
        "commit": shipment.commit,
        "digest": shipment.digest,
        "lock": shipment.lock,
        "app": app.name,
        "stage": stage.name,
        "by": made.by,
        "at": made.at,
        "settings": {
            "start": list(app.start or ()),
            "python": app.python,
            "env": app.env,
            "shared": {"dirs": list(app.shared.dirs), "links": list(app.shared.links)},
            "probe": {
                "path": app.probe.path,
                "status": app.probe.status,
                "timeout": float(app.probe.timeout),
                "passes": app.probe.passes,
                "host": app.probe.host,
            },
        },
    }


def _prune(host: str, keep: int) -> Step:
    return Step(host, f"prune: keep {_count(keep, 'good release', 'good releases')}", "prune", {"keep": keep})


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
