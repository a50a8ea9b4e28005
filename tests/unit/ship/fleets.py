"""A fleet of fakes and a small shipment, for tests of what works on hosts."""

from __future__ import annotations

import hashlib
import io
import shlex
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from contract.fake import FakeHost, FakeTransport

from tagship.config import App, Argv, Stage
from tagship.events import Event
from tagship.manifest import File, Manifest
from tagship.ship import changing
from tagship.ship.fleet import Fleet, Place, Pulse, Question
from tagship.ship.hooks import NO_HOOKS, Hooks
from tagship.ship.outcome import Outcome
from tagship.ship.shipment import Made, Shipment

FRONT = "127.0.0.1:8000"
STAGE = Stage(front=FRONT)
APP = App(name="app", start=Argv(("serve", "{socket}")), smoke=Argv(("true",)))
MADE = Made("me@here", "2026-01-02T03:04:05Z")


def shipment(tag: str, *, app: App = APP) -> Shipment:
    """A release of two files, one of which is the tag's own, and no wheels."""
    contents = {hashlib.sha256(text).hexdigest(): text for text in (b"the same\n", tag.encode())}
    names = ("app/same.txt", "app/version.txt")
    entries = [File(name, key, len(text)) for name, (key, text) in zip(names, contents.items(), strict=True)]
    return Shipment(
        tag=tag,
        commit="f" * 40,
        digest=hashlib.sha256(tag.encode()).hexdigest(),
        lock="b" * 64,
        manifest=Manifest.of(entries),
        app=app,
        open_object=lambda key: io.BytesIO(contents[key]),
        wheels=lambda python: (),
        installer=lambda python: None,
        known=lambda digest: None,
    )


@dataclass
class Lab:
    """Fake hosts by name; each verb below is a whole run of its own, as a command is."""

    hosts: dict[str, FakeHost]
    events: list[Event] = field(default_factory=list)
    pulse: Pulse = Pulse()  # noqa: RUF009 - a frozen value
    grace: float = 10.0
    stage: Stage = STAGE
    app: App = APP
    hooks: Hooks = NO_HOOKS

    def places(self, limit: Collection[str] = (), skip: Collection[str] = ()) -> Fleet:
        """The hosts of `limit`, or all, without those of `skip`; not connected yet."""
        away = {name: "--limit" for name in self.hosts if limit and name not in limit}
        away |= dict.fromkeys(skip, "--skip")
        hosts = {name: host for name, host in self.hosts.items() if name not in away}
        places = [Place(name, "/srv/app", FRONT, FakeTransport(host)) for name, host in hosts.items()]
        return Fleet(places, Question("app", "production"), pulse=self.pulse, away=away)

    def fleet(self, limit: Collection[str] = (), skip: Collection[str] = ()) -> Fleet:
        return self.places(limit, skip).connect()

    def deploy(self, tag: str, *, limit: Collection[str] = (), skip: Collection[str] = (), **options: Any) -> Outcome:
        with self.fleet(limit, skip) as fleet:
            load, told = shipment(tag, app=self.app), self.events.append
            return changing.deploy(fleet, self.stage, load, told, made=MADE, hooks=self.hooks, **options)

    def rollback(
        self, to: str | None = None, *, limit: Collection[str] = (), skip: Collection[str] = (), **options: Any
    ) -> Outcome:
        with self.fleet(limit, skip) as fleet:
            told, hooks = self.events.append, self.hooks
            return changing.rollback(fleet, self.stage, told, owner="me@here", to=to, hooks=hooks, **options)

    def stop(self) -> Outcome:
        with self.fleet() as fleet:
            return changing.stop(fleet, self.stage, self.events.append, owner="me@here")

    def typed(self, command: str) -> Outcome:
        """Run a command as a person would type it: `fab deploy --stage production --tag v1 --skip web3`."""
        fab, verb, *words = shlex.split(command)
        flags = dict(zip(words[::2], words[1::2], strict=True))
        assert (fab, flags.pop("--stage")) == ("fab", "production")
        chosen = {name: flags.pop(f"--{name}", "").split(",") for name in ("limit", "skip")}
        limit, skip = ([host for host in chosen[name] if host] for name in ("limit", "skip"))
        if verb == "rollback":
            return self.rollback(flags.pop("--to"), limit=limit, skip=skip)
        assert (verb, flags.keys()) == ("deploy", {"--tag"})
        return self.deploy(flags["--tag"], limit=limit, skip=skip)

    def picture(self) -> dict[str, Any]:
        """All that the world, and the next deploy, could see of every host."""
        return {
            name: (host.current, sorted(host.running), host.front, {r: k["state"] for r, k in host.releases.items()})
            for name, host in self.hosts.items()
        }

    def began(self, host: str | None = None) -> list[str]:
        """The titles of the steps that began, on one host or on all; this machine is the host ``."""
        steps = [event for event in self.told("step") if event.data["state"] == "begin"]
        return [event.data["step"] for event in steps if host in (None, event.host)]

    def warnings(self) -> list[str]:
        return [event.data["text"] for event in self.told("note") if event.data["level"] == "warning"]

    def told(self, name: str) -> list[Event]:
        return [event for event in self.events if event.name == name]


def lab(*names: str) -> Lab:
    return Lab({name: FakeHost() for name in names})
