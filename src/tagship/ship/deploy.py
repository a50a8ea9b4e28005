"""The plan of a deploy: pure, so that what `fab plan` shows is what `fab deploy` does."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from tagship.config import App, Argv
from tagship.errors import Refused
from tagship.ship import heal, layout
from tagship.ship.hooks import Change
from tagship.ship.migrations.descent import KEEP, NO_WISH, Wish
from tagship.ship.migrations.guards import refuse_up
from tagship.ship.migrations.plan import (
    Route,
    left_by_the_dead,
    plan_look,
    plan_settle_schema,
    plan_stay,
    plan_unknown,
    plan_up,
)
from tagship.ship.migrations.schema import Look
from tagship.ship.parts import Part, part_of
from tagship.ship.plan import Phase, Plan, Step, plan_of
from tagship.ship.services import Service
from tagship.ship.settle import plan_settle
from tagship.ship.shipment import Cargo, Made, Shipment, Stage
from tagship.ship.survey import HostSurvey, Release
from tagship.ship.switch import Runs, change_of, mark_good, plan_drain, plan_flip, plan_start, with_pauses


def settled_release(surveys: Mapping[str, HostSurvey], shipment: Shipment, stage: Stage) -> str | None:
    """The release that is current on every host and is `shipment` already; only its health can be wanting.

    Equal digests aren't enough: a host whose roles changed since may lack a process, or run one that it shouldn't;
    and a value of the environment may have changed.
    """
    newest = max(survey.env_newest for survey in surveys.values())

    def same(host: str, live: Release | None) -> bool:
        if live is None or live.digest != shipment.digest or {live.env, surveys[host].env_newest} != {newest}:
            return False
        return part_of(shipment.app, live.roles) == stage.part_of(shipment.app, host)

    release = heal.common_release(surveys)
    return release if all(same(host, survey.live) for host, survey in surveys.items()) else None


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
    Otherwise a new release with the next serial of the fleet. `cargo` is needed only for the last. Where the release
    has a schema, the plan ends with a look at it; what follows is its outline, for `plan_onward` to make. Raises
    `Refused` where no serial is left, or no host of these may migrate.
    """
    settled = settled_release(surveys, shipment, stage)
    if settled is not None:
        phases = heal.plan_heal(surveys, stage, service, settled)
        words = f"heal {settled}" if phases else f"nothing to do: {settled} is live"
        tags = {survey.live.tag for survey in surveys.values() if survey.live is not None}
        if tags != {shipment.tag}:
            words += f", and {shipment.tag} is the same (tree, site and lock),"
        return plan_of("deploy", stage.name, surveys, settled, phases, f"{words} on")
    release = layout.release_id(_next_serial(surveys), shipment.tag)
    change = change_of("deploy", surveys, stage, release, shipment.tag)
    route = route_of(shipment.app, stage, surveys)
    staged: tuple[Phase, ...] = (
        plan_settle(surveys, service),
        *stage.hooks.around("stage", change, plan_stage(shipment, cargo, stage, made, release)),
    )
    live = plan_live(surveys, stage, service, change, _runs(shipment, stage, surveys))
    words = f"deploy {shipment.tag} as {release} to"
    if route is None:
        return plan_of("deploy", stage.name, surveys, release, (*staged, *live), words, tag=shipment.tag)
    look = plan_look(route, release, left_by_the_dead(surveys[route.host]))
    outline = (plan_unknown(route), *live)
    phases = (*staged, look)
    return plan_of("deploy", stage.name, surveys, release, phases, words, tag=shipment.tag, outline=outline)


def plan_onward(
    surveys: Mapping[str, HostSurvey],
    shipment: Shipment,
    stage: Stage,
    service: Service,
    release: str,
    looks: Mapping[str, Look],
    wish: Wish = NO_WISH,
) -> Plan:
    """The second leg of a deploy: up, and live; `looks` are what the databases looked like to each release's code.

    With a `wish` to keep the schema, steps that are applied and that the release doesn't have stay up. Raises
    `Refused` for what a migration must not begin with.
    """
    route = route_of(shipment.app, stage, surveys)
    if route is None:
        raise LookupError(f"{release} has no schema")
    look, dead = looks[release], [looks[name] for name in looks if name != release]
    settled = plan_settle_schema(look, dead, route)
    going = [(name, id) for step in settled.steps for name, id in step.args["steps"]]
    staying = [pair for pair in look.strange if wish.keep and pair not in going]
    refuse_up(look, route.host, settled=(*going, *staying))
    change = change_of("deploy", surveys, stage, release, shipment.tag)
    up = plan_up(look, route)
    live = plan_live(surveys, stage, service, change, _runs(shipment, stage, surveys))
    words = f"{release} migrates {len(look.pending)} steps on" if up.steps else f"the schema is that of {release} on"
    phases = (settled, up, *live, plan_stay(release, staying, route, KEEP))
    return plan_of("deploy", stage.name, surveys, release, phases, words, tag=shipment.tag)


def route_of(app: App, stage: Stage, surveys: Mapping[str, HostSurvey]) -> Route | None:
    """From where the schema of `app` is migrated; `None` where it has none. Raises `Refused` without that host."""
    if not app.schema:
        return None
    host = stage.schema_host(surveys)
    if host is None:
        raise Refused(
            f"{stage.migrate_on}, from which the schema is migrated, is left out",
            where=stage.name,
            cure="take it along, or name another host with `migrate_on`",
        )
    return Route.of(app, host)


def _runs(shipment: Shipment, stage: Stage, hosts: Iterable[str]) -> Runs:
    return {host: stage.part_of(shipment.app, host).runs for host in hosts}


def _next_serial(surveys: Mapping[str, HostSurvey]) -> int:
    host, survey = max(surveys.items(), key=lambda item: item[1].highest)
    if survey.highest >= layout.LAST_SERIAL:
        raise Refused(
            f"its journal has given the serial {survey.highest}, and there is none above",
            where=host,
            cure=f"take the line that says so out of {survey.root}/state/journal.jsonl on the host: it is damaged",
        )
    return survey.highest + 1


def plan_stage(shipment: Shipment, cargo: Mapping[str, Cargo], stage: Stage, made: Made, release: str) -> Phase:
    """Everything up to a sealed `release` on each host of `cargo`; nothing public changes."""
    steps: list[Step] = []
    for host, load in cargo.items():
        part = stage.part_of(shipment.app, host)
        record = _record(shipment, stage, made, release, part) | {"roles": list(stage.roles_of(host))}
        steps += _staging(host, record, shipment, load, part)
    return Phase("stage", tuple(steps))


def plan_live(
    surveys: Mapping[str, HostSurvey],
    stage: Stage,
    service: Service,
    change: Change,
    runs: Runs,
) -> tuple[Phase, ...]:
    """From a sealed release on each host to one that is live, proven and marked good."""
    release, around = change.release, stage.hooks.around
    flips = plan_flip(surveys, stage, service, release, runs)
    commit = Phase("commit", tuple(mark_good(surveys, host, release, before=None) for host in surveys))
    return (
        *around("start", change, plan_start(surveys, stage, service, release, runs)),
        *around("flip", change, *with_pauses(flips, stage, service, release, runs)),
        *around("drain", change, plan_drain(surveys, stage, service, release)),
        *around("commit", change, commit),
        Phase("prune", tuple(_prune(host, stage.keep) for host in surveys), vital=False),
    )


def _staging(host: str, record: Mapping[str, Any], shipment: Shipment, cargo: Cargo, part: Part) -> tuple[Step, ...]:
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
    commands: list[tuple[Argv, str]] = [*((argv, f"prepare: {shlex.join(argv)}") for argv in part.prepare)]
    if part.smoke is not None:
        commands.append((part.smoke, f"smoke: {shlex.join(part.smoke)}"))
    wheels = _count(len(cargo.wheels), "wheel", "wheels")
    return (
        Step(host, f"declare {release} {against}: {change}", "declare", declared, undo),
        Step(host, "send the objects that are missing", "put", {}, undo, sends=True),
        Step(host, "link the tree", "tree", this, undo),
        *([Step(host, f"build the virtualenv: {wheels}", "venv", this, undo)] if part.needs_venv else []),
        Step(host, "furnish it: start, run, shared, assets", "furnish", this, undo),
        *(
            Step(host, title, "command", {**this, "argv": list(argv), "title": title}, undo)
            for argv, title in commands
        ),
        *([Step(host, "note the heads of its schema", "heads", this, undo)] if part.schema else []),
        Step(host, "seal it: hash and sync", "seal", this, undo),
    )


def _record(shipment: Shipment, stage: Stage, made: Made, release: str, part: Part) -> dict[str, Any]:
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
            "start": list(part.start or ()),
            "units": {name: list(argv) for name, argv in part.units.items()},
            "generated": list(app.generated),
            "python": app.python,
            "env": app.env,
            "shared": {
                "dirs": list(app.shared.dirs),
                "links": list(app.shared.links),
                "served": list(app.shared.served),
            },
            "probe": {
                "path": app.probe.path,
                "status": app.probe.status,
                "timeout": float(app.probe.timeout),
                "passes": app.probe.passes,
                "host": app.probe.host,
            },
            **({"schema": [schema.row() for schema in app.schema]} if app.schema else {}),
        },
    }


def _prune(host: str, keep: int) -> Step:
    return Step(host, f"prune: keep {_count(keep, 'good release', 'good releases')}", "prune", {"keep": keep})


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
