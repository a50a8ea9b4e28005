"""All hosts of a stage, connected: one agent each, surveyed side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from tagship.errors import HostFailed, HostRefused, Interrupted, Refused, TagshipError
from tagship.host import boot
from tagship.ship import deadlines
from tagship.ship.agreed import agreed
from tagship.ship.crew import Crew, side_by_side
from tagship.ship.deadlines import Deadlines
from tagship.ship.link import BEAT, SILENCE, AgentLink
from tagship.ship.survey import HostSurvey
from tagship.ship.transport import Transport

START = 30.0
"""Seconds for an agent to say hello, once its host is connected."""


@dataclass(frozen=True)
class Place:
    """One host of a stage: how it is called, how it is reached, where the application lives on it."""

    name: str
    root: str
    """Absolute, on the host."""
    front: str
    """`ADDRESS:PORT` of its front door, or of nginx."""
    transport: Transport
    tls: bool = False
    """The front speaks TLS."""
    named: str | None = None
    """The host to ask for at the front, where it isn't that of the release's own probe."""

    @property
    def asked(self) -> dict[str, Any]:
        """How the front is asked, in the agent's words."""
        return {"front": self.front, "tls": self.tls, "host": self.named}


@dataclass(frozen=True)
class Question:
    """What every host is asked in a survey, beside its root."""

    app: str
    stage: str
    python: str = "python3"
    links: tuple[str, ...] = ()
    env: str | None = None


@dataclass(frozen=True)
class Pulse:
    """Seconds between two signs of life, of silence after which a link counts as lost, and for each verb."""

    beat: float = BEAT
    silence: float = SILENCE
    limits: Deadlines = deadlines.of


class Fleet:
    """Links to the agents of all `places`, in their order, and what each host looked like at first.

    A context manager: leaving it closes every link, whereupon the agents end.
    """

    def __init__(
        self,
        places: Iterable[Place],
        question: Question,
        *,
        parallel: int = 32,
        pulse: Pulse = Pulse(),
        more: tuple[str, ...] = (),
        away: Mapping[str, str] | None = None,
    ):
        self.places = {place.name: place for place in places}
        self.question = question
        self.parallel = parallel
        self.pulse = pulse
        self.more = more
        """What else of the agent travels: `boot.LIVE`, and `boot.FRONT` once a front door is to be opened."""
        self.away = dict(away or {})
        """Hosts of the stage that are left alone, each with the flag that said so: `--skip` or `--limit`."""
        self.surveys: dict[str, HostSurvey] = {}
        """With the fleet's word on each release, whatever a host's own journal lacks."""
        self.lost: dict[str, TagshipError] = {}
        """Hosts that `look` couldn't reach, and why."""
        self.started = time.monotonic()
        self._links: dict[str, AgentLink] = {}
        self._spent = 0
        self._closed = False

    @property
    def hosts(self) -> tuple[str, ...]:
        """All but those that are lost."""
        return tuple(host for host in self.places if host not in self.lost)

    @property
    def change(self) -> int:
        """The number of the change that is planned on `surveys`: higher than any that a host has journaled."""
        return 1 + max((survey.change for survey in self.surveys.values()), default=0)

    @property
    def bytes_sent(self) -> int:
        """Over all links, before any compression or encryption of SSH's own."""
        return self._spent + sum(link.bytes_sent for link in self._links.values())

    def connect(self) -> Fleet:
        """Connect and survey every host; raises `HostRefused`, `Interrupted`, or `Refused` naming all it can't reach.

        One host that fails closes the links to all others.
        """
        if lost := self.reach():
            self.close()
            raise_all(list(lost.values()))
        return self

    def look(self) -> Fleet:
        """Connect and survey the hosts that can be reached; `lost` has the others. Raises as `connect` if none."""
        self.lost = self.reach()
        if not self.surveys:
            raise_all(list(self.lost.values()))
        return self

    def reach(self, meanwhile: Callable[[], None] = lambda: None) -> dict[str, TagshipError]:
        """Connect and survey every host; what went wrong with those that aren't in `surveys`.

        `meanwhile` is called while they connect: that is mostly waiting. Raises `Interrupted`.
        """
        crew = Crew(self._connect_one, self.hosts, self.parallel)
        try:
            boot.greeting(*self.more)  # once for all of them, and before the first of them wants it
            meanwhile()
            crew.wait()
        except KeyboardInterrupt:
            self.close()
            raise Interrupted("interrupted; nothing was changed") from None
        self.surveys = agreed({host: crew.results[host] for host in self.hosts if host in crew.results})
        lost: dict[str, TagshipError] = {}
        for host in self.hosts:
            problem = crew.errors.get(host)
            if isinstance(problem, TagshipError):
                lost[host] = problem
            elif problem is not None:
                self.close()
                raise problem
        return lost

    def link(self, host: str) -> AgentLink:
        """The link to `host`; raises `KeyError` where there is none."""
        return self._links[host]

    def survey(self, host: str) -> HostSurvey:
        """Ask `host` how it looks now; `surveys` stays what it was. Raises as `AgentLink.call`."""
        return self._survey(host, self._links[host])

    def survey_all(self) -> dict[str, HostSurvey]:
        """Ask every host how it looks now. Raises as `AgentLink.call`."""
        return side_by_side(self.survey, self.hosts, self.parallel)

    def survey_anew(self) -> None:
        """Take how every host looks now for what the next plan is made on. Raises as `AgentLink.call`."""
        self.surveys = agreed(self.survey_all())

    def holder(self, host: str) -> Mapping[str, str] | None:
        """`owner`, `release`, `verb` and `since` of who holds the lock of `host`. Raises `HostRefused`."""
        found = self.ask(host, "holder", {})["holder"]
        return None if found is None else {name: str(value) for name, value in found.items()}

    def reconnect(self, host: str) -> HostSurvey:
        """A new link to a host whose link was lost, and how the host looks now. Raises `TagshipError`."""
        old = self._links[host]
        old.close()
        try:
            return self._connect_one(host)
        finally:
            if self._links[host] is not old:
                self._spent += old.bytes_sent

    def equip(self, hosts: Iterable[str], part: str) -> None:
        """Have `part` of the agent on `hosts`, by new links where it didn't travel. Raises `TagshipError`."""
        if part not in self.more:
            self.more = (*self.more, part)
            side_by_side(self.reconnect, tuple(hosts), self.parallel)

    def ask(self, host: str, verb: str, args: Mapping[str, Any]) -> dict[str, Any]:
        """A verb that changes nothing. Raises `HostRefused` for whatever goes wrong."""
        try:
            return self._links[host].call(verb, args)
        except HostFailed as error:
            raise HostRefused(error.what, host=host, cure=error.cure, tail=error.tail) from error

    def cut(self, hosts: Iterable[str]) -> None:
        """End the links to `hosts` midway: their agents kill what they run, and put back."""
        Crew(lambda host: self._links[host].cut(), hosts, self.parallel).wait()

    def close(self) -> None:
        """Close every link; safe to call twice."""
        self._closed = True
        links = dict(self._links)
        Crew(lambda host: links[host].close(), links, self.parallel).wait()

    def __enter__(self) -> Fleet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _connect_one(self, host: str) -> HostSurvey:
        place = self.places[host]
        # Who compares a host with what was recorded believes no code that was kept there.
        channel = place.transport.connect(boot.argv(root="" if self.more else place.root))
        pulse = self.pulse
        link = AgentLink(host, channel, beat=pulse.beat, silence=pulse.silence, limits=pulse.limits)
        self._links[host] = link
        try:
            link.open(boot.greeting(*self.more), START)
            survey = self._survey(host, link)
        except BaseException:
            link.close()
            raise
        if self._closed:  # the others have failed, or were interrupted, while we connected
            link.close()
        return survey

    def _survey(self, host: str, link: AgentLink) -> HostSurvey:
        place, question = self.places[host], self.question
        args = {
            "root": place.root,
            "app": question.app,
            "stage": question.stage,
            "python": question.python,
            "links": list(question.links),
            "env": question.env,
            **place.asked,
        }
        try:
            return HostSurvey.from_json(host, link.call("survey", args))
        except HostFailed as error:
            raise HostRefused(error.what, host=host, cure=error.cure, tail=error.tail) from error


def raise_all(problems: list[TagshipError]) -> None:
    """Raise the one problem there is, or one `Refused` that names them all; nothing if there is none."""
    if len(problems) == 1:
        raise problems[0]
    if problems:
        lines = [line for problem in problems for line in str(problem).splitlines()]
        raise Refused(f"{len(problems)} reasons stand against it", cure="see each below", tail=lines)
