"""Ways to an agent: the fake, the real one over pipes, the real one over SSH; tests see them all alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contract.projects import APP, free_port, shipment
from contract.sshd import Sshd

from tagship.config import App, Seconds, Stage
from tagship.events import Event
from tagship.ship import changing
from tagship.ship.fleet import Fleet, Place, Pulse, Question
from tagship.ship.outcome import Outcome
from tagship.ship.shipment import Made, Shipment
from tagship.ship.transport import Transport

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

    hang: Callable[[], None] = lambda: None
    """Has what runs on the fake web1 hang; a real process is stopped instead."""

    cling: Callable[[], None] = lambda: None
    """Has what runs on the fake web1 keep a connection for ever."""

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
            return changing.deploy(fleet, self.stage, load, listener or self.events.append, made=made, **options)

    def rollback(self, to: str | None = None, app: App = APP) -> Outcome:
        with self.fleet() as fleet:
            return changing.rollback(fleet, self.stage, self.events.append, owner=OWNER, to=to)

    def stop(self) -> Outcome:
        with self.fleet() as fleet:
            return changing.stop(fleet, self.stage, self.events.append, owner=OWNER)


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
