"""The three ways to an agent that all must keep the same contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from contract.fake import FakeHost, FakeTransport
from contract.projects import APP, free_port, shipment
from contract.sshd import Sshd, sshd

from tagship.config import App, Seconds, Stage
from tagship.events import Event
from tagship.ship import operations
from tagship.ship.fleet import Fleet, Place, Pulse, Question
from tagship.ship.outcome import Outcome
from tagship.ship.shipment import Made, Shipment
from tagship.ship.transport import LocalTransport, Transport

__all__ = ["sshd"]

OWNER = "me@here"


@dataclass
class Way:
    """Hosts that are reached in one way; each verb is a connection of its own, as a command is."""

    kind: str
    folder: Path
    transport: Callable[[str], Transport]
    names: list[str] = field(default_factory=lambda: ["web1"])
    fronts: dict[str, str] = field(default_factory=dict)
    pulse: Pulse = Pulse()  # noqa: RUF009 - a frozen value
    events: list[Event] = field(default_factory=list)
    stage: Stage = Stage(drain=Seconds(5))  # noqa: RUF009 - a frozen value

    @property
    def real(self) -> bool:
        return self.kind != "fake"

    def root(self, name: str = "web1") -> Path:
        return self.folder / name

    def front(self, name: str = "web1") -> str:
        return self.fronts.setdefault(name, f"127.0.0.1:{free_port()}")

    def fleet(self, **asked: Any) -> Fleet:
        places = [Place(n, str(self.root(n)), self.front(n), self.transport(n)) for n in self.names]
        question = Question(**{"app": "app", "stage": "production", **asked})
        return Fleet(places, question, pulse=self.pulse).connect()

    def deploy(self, what: str | Shipment, listener: Any = None, **options: Any) -> Outcome:
        load = shipment(what) if isinstance(what, str) else what
        made = Made(OWNER, "2026-01-02T03:04:05Z")
        with self.fleet(links=load.app.shared.links, env=load.app.env) as fleet:
            return operations.deploy(fleet, self.stage, load, listener or self.events.append, made=made, **options)

    def rollback(self, to: str | None = None, app: App = APP) -> Outcome:
        with self.fleet() as fleet:
            return operations.rollback(fleet, self.stage, app.probe, self.events.append, owner=OWNER, to=to)

    def stop(self) -> Outcome:
        with self.fleet() as fleet:
            return operations.stop(fleet, self.stage, APP.probe, self.events.append, owner=OWNER)


@pytest.fixture(params=["fake", "local", pytest.param("ssh", marks=pytest.mark.lab)])
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Way]:
    """A host, empty at first; whatever a test started on it is stopped at its end."""
    made = _make(request, tmp_path)
    yield made
    if made.real:
        made.pulse = Pulse()
        made.stop()


def _make(request: pytest.FixtureRequest, folder: Path) -> Way:
    if request.param == "fake":
        hosts: dict[str, FakeHost] = {}
        return Way("fake", folder, lambda name: FakeTransport(hosts.setdefault(name, FakeHost())))
    if request.param == "local":
        return Way("local", folder, lambda name: LocalTransport())
    server: Sshd = request.getfixturevalue("sshd")
    return Way("ssh", folder, lambda name: ssh_transport(server, name))


def ssh_transport(server: Sshd, name: str = "web1", **changed: Any) -> Transport:
    """The way into `server`; `changed` overrides what `SshTransport` is told."""
    from tagship.ship.ssh import SshTransport  # Fabric takes its time to import

    told = {
        "user": server.user,
        "port": server.port,
        "identity": server.identity,
        "known_hosts": server.known_hosts,
    }
    return SshTransport(name, "127.0.0.1", **{**told, **changed})
