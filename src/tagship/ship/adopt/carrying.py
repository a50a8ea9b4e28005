"""Takes hosts over: everything that serves is proven before anything public follows it, or all is put back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tagship import config
from tagship.errors import HostRefused, TagshipError
from tagship.events import Event, Listener, note
from tagship.ship import layout
from tagship.ship.adopt.findings import Found, Wishes, refusals
from tagship.ship.adopt.outfit import Parts, parts_of, seen_at
from tagship.ship.adopt.relay import TAG, shipment_of, staging
from tagship.ship.adopt.taking import Taking
from tagship.ship.ending import Ending
from tagship.ship.fleet import Fleet, raise_all
from tagship.ship.interrupts import Interrupts
from tagship.ship.locks import Claim, give_back, take_all
from tagship.ship.outcome import HostOutcome, Outcome
from tagship.ship.plan import Step
from tagship.ship.send import compressed
from tagship.ship.setup import words
from tagship.ship.setup.agents import Agents
from tagship.ship.setup.resources import Resource
from tagship.ship.setup.settings import Settings
from tagship.ship.setup.words import HostPlan, State
from tagship.ship.shipment import Made, Shipment, Stage

LEVEL = 6
"""zlib's, for one small file."""


@dataclass(frozen=True)
class Order:
    """What to adopt, for whom."""

    name: str
    """APP-STAGE."""
    stage: config.Stage
    app: config.App
    settings: Mapping[str, Settings]
    """Of each host."""
    wishes: Wishes
    made: Made
    asked: Mapping[str, str]
    """Of each host, the host that the old service is asked for."""

    def kept(self, host: str, seen: Found) -> str | None:
        """Where what `current` is on `host` will be."""
        return seen_at(self.settings[host], seen)

    @property
    def facts(self) -> Stage:
        """The stage as plans need it."""
        fronts = dict.fromkeys(self.settings, self.stage.listens)
        roles = {host.name or host.host: host.roles for host in self.stage.hosts}
        label = next(iter(self.settings.values())).stage
        return Stage(label, fronts, self.stage.keep, float(self.stage.drain), roles, self.stage.rollout)


def adopt(agents: Agents, connect: Callable[[], Fleet], order: Order, listener: Listener, *, dry: bool) -> Outcome:
    """Make what serves each host its first release of ours; `dry` stops once the plan is told.

    `connect` logs in as who deploys, which is possible only once the hosts are prepared. Raises, with nothing
    changed, `HostRefused`, `Refused`, `Locked`; what failed later is the outcome's `error`.
    """
    began = time.monotonic()
    every = scan(agents, order)
    found = {host: seen for host, seen in every.items() if not seen.ours}
    for host in every.keys() - found.keys():
        note(listener, f"{every[host].link} is live there already: nothing to adopt", host=host)
    if not found:
        return outcome_of("unchanged", agents, began)
    settings = order.settings
    raise_all([why for host, seen in found.items() for why in refusals(host, seen, order.wishes, settings[host])])
    release = layout.release_id(1 + max(seen.highest for seen in every.values()), TAG)
    parts = {host: parts_of(settings[host], seen, order.wishes, release) for host, seen in found.items()}
    plans = plans_of(agents, order.name, {host: of.whole for host, of in parts.items()})
    _tell(listener, order, release, found, plans)
    if dry:
        return outcome_of("planned", agents, began, release)
    with Interrupts() as interrupts:
        taking = Taking(agents, order.name, listener, interrupts, owner=order.made.by)
        adoption = _Adoption(taking, order, release, parts, plans, found, listener)
        try:
            adoption.run(connect)
        except TagshipError as error:
            ended = taking.put_back(error, dict.fromkeys(every.keys() - found.keys(), "it was adopted before"))
            return outcome_of(ended.outcome, agents, began, error=ended)
        finally:
            adoption.close()
    _say_goodbye(listener, order, found)
    return outcome_of("live", agents, began, release)


def scan(agents: Agents, order: Order) -> dict[str, Found]:
    """What serves each host now. Raises `HostRefused`, `Refused` for several."""
    wishes, probe = order.wishes, order.app.probe
    questions = {
        host: {
            "root": settings.root,
            "name": order.name,
            "upstream": wishes.upstream if settings.web else None,
            "public": wishes.public,
            "path": probe.path,
            "host": order.asked[host],
        }
        for host, settings in order.settings.items()
    }
    return {host: Found.from_json(answer) for host, answer in agents.ask("scan", questions).items()}


def plans_of(agents: Agents, name: str, outfits: Mapping[str, tuple[Resource, ...]]) -> dict[str, HostPlan]:
    """How each host differs from what it would be. Raises for what can't be had, nothing changed."""
    questions = {host: {"name": name, "resources": [one.row() for one in of]} for host, of in outfits.items()}
    answers = agents.ask("look", questions)
    raise_all(
        [
            HostRefused(reason["what"], host=host, cure=reason["cure"])
            for host, answer in answers.items()
            for reason in answer["refusals"]
        ]
    )
    states = {host: [State(s["differs"], s["words"], s["was"]) for s in of["states"]] for host, of in answers.items()}
    return {host: HostPlan(host, of, tuple(states[host])) for host, of in outfits.items()}


def _tell(
    listener: Listener, order: Order, release: str, found: Mapping[str, Found], plans: Mapping[str, HostPlan]
) -> None:
    wishes = order.wishes
    lines = [f"adopt what serves {order.facts.name} as {release}"]
    for host, seen in found.items():
        lines.append(f"{host}: found")
        current = seen.link if seen.current == "link" else {"none": "none", "directory": "a folder"}[seen.current]
        lines.append(f"  current: {current}")
        if seen.upstream is not None:
            who = f" ({seen.upstream.unit or f'process {seen.upstream.pid}'}, user {seen.upstream.user})"
            lines.append(
                f"  service: {wishes.upstream} answers {seen.upstream.status}{who if seen.upstream.pid else ''}"
            )
        lines += [f"  site: {site.path}" for site in seen.old_sites(wishes.site)]
    lines += words.lines(order.facts.name, list(plans.values()))[1:]
    listener(Event("plan", data={"plan": lines, "steps": words.rows(list(plans.values()))}))
    for host, seen in found.items():
        if seen.upstream is not None and seen.upstream.names:
            text = (
                f"{seen.upstream.unit} names {order.settings[host].root}/current: it goes on finding its files there "
                f"as long as {release} is kept; they are in {order.kept(host, seen)}"
            )
            note(listener, text, host=host)


class _Adoption:
    """One adoption under way."""

    def __init__(
        self,
        taking: Taking,
        order: Order,
        release: str,
        parts: Mapping[str, Parts],
        plans: Mapping[str, HostPlan],
        found: Mapping[str, Found],
        listener: Listener,
    ) -> None:
        self._taking = taking
        self._order = order
        self._release = release
        self._parts = parts
        self._plans = plans
        self._found = found
        self._tell = listener
        self._fleet: Fleet | None = None

    def run(self, connect: Callable[[], Fleet]) -> None:
        """All of it. Raises `TagshipError` at the first failure; what was done until then is owed."""
        hosts, phase = list(self._parts), self._taking.phase
        phase("prepare", self._prepare, hosts)
        self._fleet = fleet = connect()  # open until all is put back, which needs it too
        take_all(fleet, Claim(self._order.made.by, self._release, "adopt"), self._tell)
        phase("stage", lambda host: self._stage(fleet, host), hosts)
        phase("start", lambda host: self._start(fleet, host), hosts)
        phase("switch", self._switch, hosts)
        phase("prove", lambda host: self._prove(fleet, host), hosts)
        phase("commit", lambda host: self._mark(fleet, host), hosts)
        phase("keep", self._taking.keep, hosts)
        give_back(fleet, list(fleet.hosts), self._tell, Ending("live"))

    def close(self) -> None:
        """Close the links; an agent whose work isn't over takes back what is its own."""
        if self._fleet is not None:
            self._fleet.close()

    def _prepare(self, host: str) -> None:
        parts = self._parts[host]
        changes = [number for number in self._plans[host].changes if number < len(parts.prepare)]
        more = {"stops": f"{self._order.name}@*.service", "root": self._order.settings[host].root}
        self._taking.take(host, parts.prepare, changes=changes, **more)

    def _stage(self, fleet: Fleet, host: str) -> None:
        link = fleet.link(host)
        found = self._found[host].upstream
        shipment = shipment_of(self._order.app, self._order.wishes.upstream, found.status if found else 200)
        (steps,) = staging(shipment, self._order.facts, self._order.made, self._release, [host]).values()
        self._taking.owe(host, "the release", lambda: _quiet(link.call("unstage", {"release": self._release})))
        for known in fleet.surveys[host].releases:
            if known.state == "unfinished":  # of an adoption that was cut off
                link.call("unstage", {"release": known.id})
        missing: list[tuple[str, int]] = []
        for step in steps:
            if step.verb == "seal":  # what is linked in is sealed too
                self._taking.take(host, self._parts[host].beside)
            if step.sends:
                _send(fleet, host, step, shipment, missing)
                continue
            answer = link.call(step.verb, step.args)
            missing += [(key, size) for key, size in answer.get("missing", ())]

    def _start(self, fleet: Fleet, host: str) -> None:
        halt = {"release": self._release, "drain": float(self._order.stage.drain)}
        self._taking.owe(host, "the relay", lambda: _quiet(fleet.link(host).call("halt", halt)))
        fleet.link(host).call("start", {"release": self._release})

    def _switch(self, host: str) -> None:
        self._taking.take(host, self._parts[host].switch)
        if self._parts[host].site:
            self._taking.take(host, self._parts[host].site)

    def _prove(self, fleet: Fleet, host: str) -> None:
        asked = fleet.places[host].asked if self._order.settings[host].web else {"front": None}
        fleet.link(host).call("probe", {"release": self._release, **asked})

    def _mark(self, fleet: Fleet, host: str) -> None:
        fleet.link(host).call("mark", {"release": self._release, "state": "good"})


def _send(fleet: Fleet, host: str, step: Step, shipment: Shipment, missing: list[tuple[str, int]]) -> None:
    def feed(_host: str, key: str) -> object:
        return shipment.open_object(key)

    data = compressed(host, missing, feed, LEVEL, lambda _bytes: None)  # type: ignore[arg-type]
    fleet.link(host).call(step.verb, {"objects": [list(one) for one in missing]}, data=data)


def _quiet(_answer: object) -> None:
    """Of a verb that puts back, only its errors matter."""


def _say_goodbye(listener: Listener, order: Order, found: Mapping[str, Found]) -> None:
    stage = order.facts.name
    for host, seen in found.items():
        unit = seen.upstream.unit if seen.upstream else ""
        if unit:
            text = f"once a deploy is live and stays so, retire the old service: systemctl disable --now {unit}"
            note(listener, text, host=host)
    note(listener, f"the way back: fab adopt --undo --stage {stage}")


def outcome_of(
    word: str,
    agents: Agents,
    began: float,
    release: str | None = None,
    *,
    previous: str | None = None,
    error: TagshipError | None = None,
) -> Outcome:
    """How it ended; `began` by the monotonic clock."""
    return Outcome(
        word,
        error.exit_code if error else 0,
        release,
        previous,
        hosts=tuple(HostOutcome(host, release, error is None) for host in agents.hosts),
        seconds=time.monotonic() - began,
        bytes_sent=agents.bytes_sent,
        error=error,
    )
