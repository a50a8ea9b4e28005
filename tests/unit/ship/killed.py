"""Real clients of real agents on two hosts of this machine, in processes that can be killed at any step."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contract.projects import APP, free_port, shipment

from tagship.config import App, Argv, Seconds, Stage
from tagship.events import Event
from tagship.ship import changing
from tagship.ship.fleet import Fleet, Place, Question
from tagship.ship.outcome import Outcome
from tagship.ship.shipment import Made
from tagship.ship.transport import LocalTransport

PATIENCE = 60.0
OWNER = "me@here"
STAGE = Stage(drain=Seconds(1))


@dataclass
class Hosts:
    """Two hosts below `folder`; each verb is a connection of its own, as a command is."""

    folder: Path
    fronts: dict[str, str]
    events: list[Event] = field(default_factory=list)

    @staticmethod
    def below(folder: Path) -> Hosts:
        return Hosts(folder, {name: f"127.0.0.1:{free_port()}" for name in ("web1", "web2")})

    def fleet(self) -> Fleet:
        """One host after the other, so that a client can die between two of them."""
        places = [Place(n, str(self.folder / n), front, LocalTransport()) for n, front in self.fronts.items()]
        return Fleet(places, Question("app", "production"), parallel=1).connect()

    def deploy(self, tag: str, *, listener: Any = None, app: App = APP) -> Outcome:
        with self.fleet() as fleet:
            made, told = Made(OWNER, "2026-01-02T03:04:05Z"), listener or self.events.append
            return changing.deploy(fleet, STAGE, shipment(tag, app=app), told, made=made)

    def rollback(self, to: str | None = None, *, listener: Any = None) -> Outcome:
        with self.fleet() as fleet:
            return changing.rollback(fleet, STAGE, listener or self.events.append, owner=OWNER, to=to)

    def stop(self) -> Outcome:
        with self.fleet() as fleet:
            return changing.stop(fleet, STAGE, self.events.append, owner=OWNER)

    def kill(self, verb: str, *args: str, at: tuple[str, str, str], agents: bool = False) -> None:
        """Have a client that does `verb` die as soon as the step `at` (host, part of its title, state) is told.

        `agents`: they die with it, as in a power cut. Returns once nobody is at work on any host.
        """
        task = {"folder": str(self.folder), "fronts": self.fronts, "verb": verb, "args": args, "at": at}
        code = "from unit.ship.killed import main; main()"
        path = os.pathsep.join(str(folder) for folder in (Path(__file__).parents[2], *sys.path) if folder)
        client = subprocess.Popen(
            [sys.executable, "-c", code, json.dumps({**task, "agents": agents})],
            env={**os.environ, "PYTHONPATH": path},
        )
        assert client.wait(PATIENCE) == -signal.SIGKILL, "the step never came"
        until = time.monotonic() + PATIENCE
        while True:
            with self.fleet() as fleet:
                if not any(survey.lock for survey in fleet.surveys.values()):
                    return
            assert time.monotonic() < until, "the agents don't end"
            time.sleep(0.05)

    def states(self) -> dict[str, dict[str, str]]:
        """The fleet's word on each release, by host."""
        with self.fleet() as fleet:
            return {host: {one.id: one.state for one in of.releases} for host, of in fleet.surveys.items()}

    def running(self) -> dict[str, list[str]]:
        """The releases of which a process lives, by host."""
        with self.fleet() as fleet:
            return {host: [one.id for one in of.releases if one.pid] for host, of in fleet.surveys.items()}

    def own(self, host: str) -> dict[str, str]:
        """The last mark of each release in a host's own journal."""
        rows = map(json.loads, (self.folder / host / "state" / "journal.jsonl").read_text().splitlines())
        return {row["release"]: row["event"] for row in rows if row["event"] in ("good", "left")}

    def began(self) -> list[tuple[str, str]]:
        """Host and title of the steps that began in this process."""
        steps = [event for event in self.events if event.name == "step" and event.data["state"] == "begin"]
        return [(event.host, event.data["step"]) for event in steps]

    def sent(self) -> bool:
        """Whether any object was sent from this process."""
        return any(event.name == "progress" and event.data["unit"] == "bytes" for event in self.events)


def failing() -> App:
    """An application whose smoke test says no."""
    return App(name="app", start=APP.start, smoke=Argv(("python3", "-c", "raise SystemExit('out of luck')")))


def main() -> None:
    """A client that kills itself, and perhaps its agents, at a step."""
    task = json.loads(sys.argv[1])
    hosts = Hosts(Path(task["folder"]), task["fronts"])
    host, title, state = task["at"]

    def listener(event: Event) -> None:
        data = event.data
        if event.name == "step" and (event.host, data["state"]) == (host, state) and title in data["step"]:
            for pid in _children() if task["agents"] else ():
                os.kill(pid, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)

    getattr(hosts, task["verb"])(*task["args"], listener=listener)


def _children() -> list[int]:
    return [int(pid) for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()]
