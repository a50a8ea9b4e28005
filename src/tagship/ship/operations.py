"""The verbs, each on one page: from a connected fleet to an `Outcome` or to what there is to tell.

    with connect(...) as fleet:          # surveyed
        outcome = deploy(fleet, ...)     # or rollback, stop, status, releases, history, verify

Those that change hosts share one path: plan, tell the plan, carry it out; a dry run leaves before the last.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from tagship import config
from tagship.errors import HostRefused, Locked, TagshipError, UsageError
from tagship.events import Event, Listener
from tagship.manifest import Delta, Manifest
from tagship.ship.crew import side_by_side
from tagship.ship.deploy import plan_deploy, settled_release
from tagship.ship.executor import GRACE, carry_out
from tagship.ship.fleet import Fleet, Place, Pulse, Question, raise_all
from tagship.ship.outcome import Outcome
from tagship.ship.plan import Plan, render, to_json
from tagship.ship.rollback import plan_rollback
from tagship.ship.send import Feed
from tagship.ship.services.process import ProcessService
from tagship.ship.shipment import Cargo, Made, Shipment, Stage
from tagship.ship.start import plan_bring_up
from tagship.ship.status import HostStatus
from tagship.ship.stop import plan_stop
from tagship.ship.survey import HostSurvey, Release, Room, refusals, root_refusals
from tagship.ship.transport import LocalTransport

LOCAL_ROOT = ".tagship/local"


def places(name: str, stage: config.Stage, app: str, project: Path) -> tuple[Place, ...]:
    """Where the hosts of the stage called `name` are, and how to reach them; the embedded stage has one, `local`.

    Relative paths are of `project`. Raises `UsageError` for two hosts of one name, a stage without hosts, or a root
    on a host that isn't absolute.
    """
    if not stage.hosts:
        if name != config.LOCAL_STAGE:
            raise UsageError(f"the stage `{name}` has no hosts", cure=f"give it some in {config.FILE_NAME}")
        root = project / (stage.root or LOCAL_ROOT)
        return (Place(config.LOCAL_STAGE, str(root.absolute()), stage.front, LocalTransport()),)
    from tagship.ship.ssh import SshTransport  # Fabric and Paramiko, only where they are used

    found: dict[str, Place] = {}
    for host in stage.hosts:
        called = host.name or host.host
        root_on_host = host.root or stage.root or f"/srv/{app}"
        if called in found:
            raise UsageError(f"the stage `{name}` has two hosts called {called}", cure="give one another `name:`")
        if not root_on_host.startswith("/"):
            raise UsageError(f"the root {root_on_host} of {called} is not absolute", cure="begin it with /")
        transport = SshTransport(
            called,
            host.host,
            user=host.user,
            port=host.port,
            identity=_file(project, host.identity),
            known_hosts=_file(project, host.known_hosts),
        )
        found[called] = Place(called, root_on_host, host.front or stage.front, transport)
    return tuple(found.values())


def connect(name: str, stage: config.Stage, app: config.App, project: Path, *, pulse: Pulse | None = None) -> Fleet:
    """Connect to and survey every host of a stage; the caller closes the fleet, or uses it in a `with`.

    `app` is the application's settings, from the tag where there is one. Raises `UsageError`, `HostRefused`, or
    `Refused` for several hosts.
    """
    question = Question(app.name, name, app.python, app.shared.links, app.env)
    return Fleet(
        places(name, stage, app.name, project), question, parallel=stage.parallel, pulse=pulse or Pulse()
    ).connect()


def settings(fleet: Fleet, stage: config.Stage) -> Stage:
    """The stage's settings as plans need them."""
    fronts = {host: place.front for host, place in fleet.places.items()}
    return Stage(fleet.question.stage, fronts, stage.keep, float(stage.drain))


def deploy(
    fleet: Fleet,
    stage: config.Stage,
    shipment: Shipment,
    listener: Listener,
    *,
    made: Made,
    dry: bool = False,
    grace: float = GRACE,
) -> Outcome:
    """Make `shipment` live on every host, or put everything back; `dry` stops once the plan is told.

    `grace` is seconds that steps under way may still take once the deploy has failed or was interrupted. Raises,
    with nothing changed, `HostRefused`, `Refused`, `Locked`, `StalePlan`, `Interrupted`.
    """
    facts = settings(fleet, stage)
    service = ProcessService(facts)
    if settled_release(fleet.surveys, shipment.digest) is not None:
        cargo: Mapping[str, Cargo] = {}
        _refuse_roots(fleet)
    else:
        _refuse(fleet, shipment.app, dict.fromkeys(fleet.hosts, Room(0, 0)))
        cargo = fit(fleet, shipment)
        _refuse(fleet, shipment.app, {host: load.need for host, load in cargo.items()})
    plan = plan_deploy(fleet.surveys, shipment, cargo, facts, service, made)
    return _follow(plan, fleet, listener, owner=made.by, feed=_feed(shipment, cargo), dry=dry, grace=grace)


def rollback(
    fleet: Fleet,
    stage: config.Stage,
    listener: Listener,
    *,
    owner: str,
    to: str | None = None,
    dry: bool = False,
) -> Outcome:
    """Go down to the previous good release, or to the tag or id `to`. Raises as `deploy`."""
    _refuse_roots(fleet)
    facts = settings(fleet, stage)
    plan = plan_rollback(fleet.surveys, facts, ProcessService(facts), to)
    return _follow(plan, fleet, listener, owner=owner, dry=dry)


def start(fleet: Fleet, stage: config.Stage, listener: Listener, *, owner: str, dry: bool = False) -> Outcome:
    """Bring up what is current, after a stop or a reboot. Raises as `deploy`."""
    _refuse_roots(fleet)
    facts = settings(fleet, stage)
    plan = plan_bring_up(fleet.surveys, facts, ProcessService(facts))
    return _follow(plan, fleet, listener, owner=owner, dry=dry)


def stop(
    fleet: Fleet,
    stage: config.Stage,
    listener: Listener,
    *,
    owner: str,
    dry: bool = False,
) -> Outcome:
    """Stop everything that runs; `current` stays, and `start` brings it up again. Raises as `deploy`."""
    facts = settings(fleet, stage)
    plan = plan_stop(fleet.surveys, facts, ProcessService(facts))
    return _follow(plan, fleet, listener, owner=owner, dry=dry)


def status(fleet: Fleet) -> tuple[HostStatus, ...]:
    """How every host was when the fleet was connected."""
    return tuple(HostStatus.of(survey) for survey in fleet.surveys.values())


def releases(fleet: Fleet) -> dict[str, tuple[Release, ...]]:
    """The releases on each host's disk, oldest first."""
    return {host: survey.releases for host, survey in fleet.surveys.items()}


def history(fleet: Fleet, limit: int = 50) -> dict[str, list[dict[str, Any]]]:
    """The newest `limit` journal rows of each host, oldest first. Raises `HostRefused`."""
    answers = side_by_side(lambda host: fleet.ask(host, "history", {"limit": limit}), fleet.hosts, fleet.parallel)
    return {host: list(answer["rows"]) for host, answer in answers.items()}


@dataclass(frozen=True)
class Drift:
    """One thing on a host that isn't as its release was sealed."""

    host: str
    release: str
    path: str
    what: str


def verify(fleet: Fleet, release: str | None = None) -> tuple[Drift, ...]:
    """Compare each host's current release (or `release`) with what was sealed; empty if all is as it should be.

    Raises `HostRefused`, also where nothing is current.
    """

    def check(host: str) -> tuple[Drift, ...]:
        checked = release or fleet.surveys[host].current
        if checked is None:
            raise HostRefused("nothing is current, so there is nothing to verify", host=host, cure="fab deploy")
        answer = fleet.ask(host, "verify", {"release": checked})
        return tuple(Drift(host, checked, str(path), str(what)) for path, what in answer["drift"])

    found = side_by_side(check, fleet.hosts, fleet.parallel)
    return tuple(drift for drifts in found.values() for drift in drifts)


def fit(fleet: Fleet, shipment: Shipment) -> dict[str, Cargo]:
    """What each host needs of `shipment`: its wheels, and the difference from its current release's manifest."""
    bases = live_manifests(fleet, shipment)

    def load(survey: HostSurvey) -> Cargo:
        python = survey.python or {}
        base = bases.get(survey.host)
        return Cargo(
            wheels=tuple(shipment.wheels(python)),
            installer=shipment.installer(python),
            base=survey.current if base is not None else None,
            delta=Delta.between(base or Manifest(()), shipment.manifest),
        )

    return {host: load(survey) for host, survey in fleet.surveys.items()}


def live_manifests(fleet: Fleet, shipment: Shipment) -> dict[str, Manifest]:
    """The manifest of each host's current release; a host is left out where there is none, or it is damaged.

    What this machine knows by its digest isn't asked for, and one digest is asked of one host only.
    """
    known: dict[str, Manifest | None] = {shipment.manifest.digest: shipment.manifest}
    found: dict[str, Manifest] = {}
    for host, survey in fleet.surveys.items():
        live = survey.live
        if live is None or not live.staged:
            continue
        if known.get(live.manifest) is None:
            known[live.manifest] = shipment.known(live.manifest) or _ask_manifest(fleet, host, live)
        manifest = known[live.manifest]
        if manifest is not None:
            found[host] = manifest
    return found


def _ask_manifest(fleet: Fleet, host: str, release: Release) -> Manifest | None:
    try:
        rows = fleet.ask(host, "manifest", {"release": release.id})["rows"]
        manifest = Manifest.from_rows(rows)
    except (HostRefused, ValueError):
        return None  # then everything is declared from nothing, which needs no base
    return manifest if manifest.digest == release.manifest else None


def _refuse(fleet: Fleet, app: config.App, need: Mapping[str, Room]) -> None:
    found: list[TagshipError] = []
    for host, survey in fleet.surveys.items():
        found += refusals(survey, env=app.env, python=app.python, need=need[host])
    raise_all(found)


def _refuse_roots(fleet: Fleet) -> None:
    raise_all([reason for survey in fleet.surveys.values() for reason in root_refusals(survey)])


def _refuse_locked(fleet: Fleet) -> None:
    """What somebody else is changing now can't be planned on: their half-made release would look like a dead one."""
    for host, survey in fleet.surveys.items():
        if survey.lock is not None:
            holder = {name: str(value) for name, value in survey.lock.items()}
            what = "locked by {owner} ({verb} {release}) since {since}".format_map(holder)
            raise Locked(
                what, host=host, holder=holder, cure="wait until it is done; the lock goes when its holder does"
            )


def _feed(shipment: Shipment, cargo: Mapping[str, Cargo]) -> Feed:
    packed = {
        wheel.sha256: wheel.path
        for load in cargo.values()
        for wheel in (*load.wheels, *([load.installer] if load.installer else []))
    }

    def feed(_host: str, key: str) -> BinaryIO:
        path = packed.get(key)
        return path.open("rb") if path else shipment.open_object(key)

    return feed


def _follow(
    plan: Plan,
    fleet: Fleet,
    listener: Listener,
    *,
    owner: str,
    dry: bool,
    feed: Feed | None = None,
    grace: float = GRACE,
) -> Outcome:
    _refuse_locked(fleet)
    listener(Event("plan", data={"plan": render(plan), "steps": to_json(plan)}))
    if dry and not plan.empty:
        previous = next(iter(plan.previous.values()), None)
        seconds = time.monotonic() - fleet.started
        return Outcome("planned", 0, plan.release, previous, seconds=seconds, bytes_sent=fleet.bytes_sent)
    return carry_out(plan, fleet, listener, owner=owner, feed=feed, grace=grace)


def _file(project: Path, name: str | None) -> Path | None:
    return None if name is None else project / Path(name).expanduser()
