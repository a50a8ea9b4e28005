"""The verbs that change hosts: plan, tell the plan, carry it out; a dry run leaves before the last."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tagship import config
from tagship.config import SchemaLimits
from tagship.errors import TagshipError
from tagship.events import Event, Listener, note
from tagship.ship import roster
from tagship.ship.deploy import plan_deploy, plan_onward, route_of, settled_release
from tagship.ship.executor import GRACE, Enough, Onward, carry_out
from tagship.ship.fleet import Fleet, raise_all
from tagship.ship.hooks import NO_HOOKS, Hooks
from tagship.ship.loading import feed_of, fit
from tagship.ship.migrations.asking import await_settled, code
from tagship.ship.migrations.descent import NO_WISH, Wish
from tagship.ship.migrations.going_down import going_down
from tagship.ship.migrations.guards import warnings
from tagship.ship.migrations.plan import MOVING
from tagship.ship.migrations.schema import Look
from tagship.ship.outcome import Outcome
from tagship.ship.plan import Plan, render, to_json
from tagship.ship.readiness import Wanted, no_front, unready
from tagship.ship.rollback import choose_target, plan_rollback
from tagship.ship.roster import Known
from tagship.ship.send import Feed
from tagship.ship.services import Service
from tagship.ship.services.process import ProcessService
from tagship.ship.services.systemd import SystemdService
from tagship.ship.setup.settings import service_user
from tagship.ship.shipment import Cargo, Made, Shipment, Stage
from tagship.ship.start import plan_bring_up
from tagship.ship.stop import plan_stop
from tagship.ship.survey import Room, env_refusals, refusals, root_refusals
from tagship.ship.waiting import refuse_locked

LIMITS = SchemaLimits()
Answers = Mapping[str, Mapping[str, Any]]
"""What the verb `schema` answered, by release."""
Seen = Callable[[Fleet, str, Look], None]
"""Told of a look at the schema: the fleet, the host that migrates, and what is pending there."""


def deploy(
    fleet: Fleet,
    stage: config.Stage,
    shipment: Shipment,
    listener: Listener,
    *,
    made: Made,
    hooks: Hooks = NO_HOOKS,
    dry: bool = False,
    grace: float = GRACE,
    seen: Seen | None = None,
    wish: Wish = NO_WISH,
) -> Outcome:
    """Make `shipment` live on every host, or put everything back; `dry` stops once the plan is told.

    `hooks` are the project's own. `grace` is seconds that steps under way may still take once the deploy has failed
    or was interrupted. With `seen` it only stages, looks at the schema, tells that of what would follow, and takes
    the staging away. `wish` says whether applied steps that it lacks may stay up. Raises, with nothing changed,
    `HostRefused`, `Refused`, `Locked`, `StalePlan`, `Interrupted`.
    """
    await_schema(fleet, stage, shipment.app.schema_limits, listener)
    refuse_locked(fleet)
    facts = _settings(fleet, stage, hooks)
    service = _service(fleet, stage, facts)
    if settled_release(fleet.surveys, shipment, facts) is not None:
        cargo: Mapping[str, Cargo] = {}
        _refuse_roots(fleet)
    else:
        _refuse(fleet, shipment.app, dict.fromkeys(fleet.hosts, Room(0, 0)))
        cargo = fit(fleet, shipment, facts)
        _refuse(fleet, shipment.app, {host: load.need for host, load in cargo.items()})
    plan = plan_deploy(fleet.surveys, shipment, cargo, facts, service, made)
    if seen is not None and not plan.outline:
        dry = True  # it has no schema, or all is live already: then the plan is whole as it stands
    feed, surveys = feed_of(shipment, cargo), dict(fleet.surveys)

    def onward(answers: Answers) -> Plan:
        route = route_of(shipment.app, facts, surveys)
        if route is None or plan.release is None:
            raise LookupError("a plan with an outline has a route")
        looks = {release: Look.from_json(release, answer, host=route.host) for release, answer in answers.items()}
        second = plan_onward(surveys, shipment, facts, service, plan.release, looks, wish)
        _tell_second(second, looks[plan.release], route.host, fleet, listener)
        if seen is not None:
            seen(fleet, route.host, looks[plan.release])
            raise Enough
        return second

    second = onward if plan.outline else None
    return _follow(plan, fleet, listener, facts, owner=made.by, feed=feed, dry=dry, grace=grace, onward=second)


def rollback(
    fleet: Fleet,
    stage: config.Stage,
    listener: Listener,
    *,
    owner: str,
    to: str | None = None,
    hooks: Hooks = NO_HOOKS,
    dry: bool = False,
    wish: Wish = NO_WISH,
    limits: SchemaLimits = LIMITS,
) -> Outcome:
    """Go down to the previous good release, or to the tag or id `to`, the code first and then the schema.

    `wish` says what may become of the schema, `limits` how long that may take. Raises as `deploy`.
    """
    await_schema(fleet, stage, limits, listener)
    refuse_locked(fleet)
    facts = _settings(fleet, stage, hooks)
    service = _service(fleet, stage, facts)
    _refuse_roots(fleet)
    down = going_down(fleet, facts, limits, choose_target(fleet.surveys, facts, to), wish)
    plan = replace(plan_rollback(fleet.surveys, facts, service, to, down.phases), ahead=down.ahead)
    for text in down.words:
        note(listener, text, level="warning")
    return _follow(plan, fleet, listener, facts, owner=owner, dry=dry)


def start(fleet: Fleet, stage: config.Stage, listener: Listener, *, owner: str, dry: bool = False) -> Outcome:
    """Bring up what is current, after a stop or a reboot. Raises as `deploy`."""
    refuse_locked(fleet)
    facts = _settings(fleet, stage)
    service = _service(fleet, stage, facts)
    _refuse_roots(fleet)
    plan = plan_bring_up(fleet.surveys, facts, service)
    return _follow(plan, fleet, listener, facts, owner=owner, dry=dry)


def stop(
    fleet: Fleet,
    stage: config.Stage,
    listener: Listener,
    *,
    owner: str,
    dry: bool = False,
) -> Outcome:
    """Stop everything that runs; `current` stays, and `start` brings it up again. Raises as `deploy`."""
    refuse_locked(fleet)
    facts = _settings(fleet, stage)
    plan = plan_stop(fleet.surveys, facts, _service(fleet, stage, facts, public=False))
    return _follow(plan, fleet, listener, facts, owner=owner, dry=dry)


def await_schema(fleet: Fleet, stage: config.Stage, limits: SchemaLimits, listener: Listener) -> None:
    """What a client that died had begun with the schema goes on to its end before anything else begins.

    Raises `Locked` where it doesn't end in its time, `HostRefused`, `Interrupted`.
    """
    host = _settings(fleet, stage).schema_host(fleet.hosts)
    if host is not None:
        await_settled(fleet, host, listener, patience=float(limits.deadline))


def _tell_second(plan: Plan, look: Look, host: str, fleet: Fleet, listener: Listener) -> None:
    """The second leg, of which people know all but what moves the schema, and what one should know of that.

    Where something is dropped, `host` is asked what the release that runs there reads. Raises `HostRefused`.
    """
    moving = replace(plan, phases=tuple(phase for phase in plan.phases if phase.name in MOVING))
    listener(Event("plan", data={"plan": render(moving), "steps": to_json(plan), "leg": 2}))
    live = fleet.surveys[host].live if look.drops else None
    running = code(fleet, host, live.id) if live is not None and live.schema else None
    for warned in warnings(look, running):
        note(listener, warned.words, level="warning")
    if look.pending and fleet.away:
        absent = ", ".join(fleet.away)
        text = f"{absent}, left alone, goes on with the code that it has, on the new schema"
        note(listener, text, level="warning")


def _settings(fleet: Fleet, stage: config.Stage, hooks: Hooks = NO_HOOKS) -> Stage:
    """The stage's settings as plans need them."""
    fronts = {host: place.front for host, place in fleet.places.items()}
    roles = {host.name or host.host: host.roles for host in stage.hosts}
    return Stage(
        fleet.question.stage, fronts, stage.keep, float(stage.drain), roles, stage.rollout, hooks, stage.migrate_on
    )


def _service(fleet: Fleet, stage: config.Stage, facts: Stage, *, public: bool = True) -> Service:
    """What runs releases on the stage; raises `HostRefused` for hosts that aren't ready for it.

    `public`: something is about to be proven through the fronts.
    """
    user = service_user(fleet.question.app, facts.name, stage) if stage.runs_units else ""
    found: list[TagshipError] = []
    for host, survey in fleet.surveys.items():
        nginx = stage.nginx.user if facts.is_web(host) else None
        wanted = Wanted(facts.name, stage.runs_units, user, nginx, facts.fronts[host])
        reason = unready(survey, wanted) or (no_front(survey, wanted) if public else None)
        found += [reason] if reason else []
    raise_all(found)
    if not stage.runs_units:
        return ProcessService(facts)
    return SystemdService(facts, {host: place.asked for host, place in fleet.places.items()})


def _refuse(fleet: Fleet, app: config.App, need: Mapping[str, Room]) -> None:
    found: list[TagshipError] = [*env_refusals(fleet.surveys, fleet.question.stage)]
    for host, survey in fleet.surveys.items():
        found += refusals(survey, env=app.env, python=app.python if app.runs else None, need=need[host])
    raise_all(found)


def _refuse_roots(fleet: Fleet) -> None:
    raise_all([reason for survey in fleet.surveys.values() for reason in root_refusals(survey)])


def _follow(
    plan: Plan,
    fleet: Fleet,
    listener: Listener,
    stage: Stage,
    *,
    owner: str,
    dry: bool,
    feed: Feed | None = None,
    grace: float = GRACE,
    onward: Onward | None = None,
) -> Outcome:
    away = [replace(roster.known_of(host, fleet.surveys), flag=flag) for host, flag in fleet.away.items()]
    roster.tell(listener, away, level="warning")
    roster.tell(listener, roster.behind(fleet.hosts, fleet.surveys))
    listener(Event("plan", data={"plan": render(plan), "steps": to_json(plan)}))
    if dry and not plan.empty:
        previous = next(iter(plan.previous.values()), None)
        seconds = time.monotonic() - fleet.started
        outcome = Outcome("planned", 0, plan.release, previous, seconds=seconds, bytes_sent=fleet.bytes_sent)
    else:
        outcome = carry_out(plan, fleet, stage, listener, owner=owner, feed=feed, grace=grace, onward=onward)
    return replace(outcome, away=tuple(_after(known, outcome, owner) for known in away))


def _after(known: Known, outcome: Outcome, owner: str) -> Known:
    """What is known of a host that was left alone, now that the others went live without it."""
    if outcome.outcome != "live" or known.stands == outcome.release:
        return known
    return replace(known, missed=outcome.release, by=owner, at="")
