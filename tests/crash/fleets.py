"""Stages of lab hosts: real machines with units and nginx, under a `fab` that its user runs."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crash.machines import Machine
from crash.matrix import Violated
from crash.oracles import Standing, Visitors, current, o2_answers
from crash.running import Ended, Running
from crash.worlds import World, add_stage, light_project
from verbs.project import Project

from lab.fleet import Lab

STAGE = "lab"
SETTINGS: Mapping[str, Any] = {"drain": "3s", "keep": 2}
SETTLED = 15.0
"""Seconds after a boot for what is current to answer."""


@dataclass
class Fleet(World):
    """A stage of lab hosts, made ready by `fab setup`."""

    machines: dict[str, Machine] = field(default_factory=dict)

    def standing(self, name: str) -> Standing:
        """The host called so, as the oracles look at it."""
        return next(host for host in self.hosts if host.name == name)

    def converges(self, tag: str) -> None:
        """O3, as for every world; and the locks, which only show on the hosts themselves."""
        super().converges(tag)
        if held := [name for name, machine in self.machines.items() if not machine.lock_is_free()]:
            raise Violated(f"O3: the lock is held on {', '.join(held)}")

    def only_current_runs(self) -> None:
        """O3, by the units that systemd knows on each host."""
        for host in self.hosts:
            now = current(host)
            argv = ["systemctl", "list-units", "--plain", "--no-legend", "--state=active,activating,deactivating"]
            said = self.machines[host.name].host.run(*argv, f"blog-{self.stage}@*", user="root").stdout
            units = {word for word in said.split() if word.startswith(f"blog-{self.stage}@")}
            serials = {unit.partition("@")[2].split(".")[0] for unit in units}
            if serials != ({now.partition("-")[0]} if now else set()):
                raise Violated(f"O3 {host.name}: {now} is current, and these units run: {sorted(units)}")

    def comes_back(self, name: str) -> None:
        """O2 on a host that has just booted: what is current there answers, and nobody was needed for that."""
        o2_answers(self.standing(name), patience=SETTLED)

    def one_version(self, names: Sequence[str]) -> str | None:
        """The one release that these hosts stand on."""
        stands = {name: now for name, now in self.currents().items() if name in names}
        if len(set(stands.values())) != 1:
            raise Violated(f"they aren't on one version: {stands}")
        return next(iter(stands.values()))

    @contextmanager
    def visited(self, *names: str, every: float = 0.01) -> Iterator[None]:
        """O6: nobody who visits these hosts (all, where none is named) is failed inside."""
        with ExitStack() as stack:
            wanted = [host for host in self.hosts if not names or host.name in names]
            visitors = [stack.enter_context(Visitors(host, every=every)) for host in wanted]
            yield
        for visitor in visitors:
            visitor.o6_none_failed()


@contextmanager
def fleet(folder: Path, count: int, **settings: Any) -> Iterator[Fleet]:
    """A project in `folder` whose stage `lab` is `count` fresh hosts; nothing is live. `settings` are the stage's."""
    with fleets(folder, [count], **settings) as (made,):
        yield made


@contextmanager
def fleets(folder: Path, counts: Sequence[int], **settings: Any) -> Iterator[list[Fleet]]:
    """Several at once, of so many hosts each, that share nothing but the machine."""
    lab = Lab(f"faults-{os.getpid()}")
    try:
        hosts = [Machine(lab, host) for host in lab.up(sum(counts))]
        shares = [[hosts.pop(0) for _ in range(count)] for count in counts]
        with ThreadPoolExecutor(len(counts)) as crew:
            yield list(crew.map(lambda n: _fleet(folder / str(n), shares[n], settings), range(len(counts))))
    finally:
        lab.down()


def _fleet(folder: Path, machines: Sequence[Machine], settings: Mapping[str, Any]) -> Fleet:
    project = light_project(folder)
    open_socket(project)
    made = over(project, machines, **settings)
    ended = made.fab("setup", "--admin", "root")
    assert ended.exit == 0, ended.words
    return made


def open_socket(project: Project) -> None:
    """Have the light application let nginx connect, which is another user."""
    project.edit("serve.py", r"(?m)^Server\(", "__import__('os').umask(0)\nServer(")


def over(project: Project, machines: Sequence[Machine], *, stage: str = STAGE, **settings: Any) -> Fleet:
    """The stage of `project` that is these hosts, called web1, web2, ...; written into its tagship.yml."""
    named = {f"web{number}": machine for number, machine in enumerate(machines, 1)}
    entries = [
        {
            "host": machine.host.address,
            "name": name,
            "user": "deploy",
            "identity": str(machine.host.identity),
            "known_hosts": str(machine.host.known_hosts),
        }
        for name, machine in named.items()
    ]
    add_stage(project, stage, {"hosts": entries, "root": machines[0].root, **SETTINGS, **settings})
    return Fleet(project, stage, [_standing(name, machine) for name, machine in named.items()], named)


def _standing(name: str, machine: Machine) -> Standing:
    return Standing(name, machine.disk, f"http://{machine.host.address}", "/version")


def command_of(ended: Ended) -> list[str]:
    """The words of the command with which the cure of an error ends."""
    errors = [event for event in ended.events if event["event"] == "error"]
    found = [match[1] for error in errors if (match := re.search(r"(fab [^`;]+?)`?$", str(error["cure"]).strip()))]
    if not found:
        raise Violated(f"O5: no command is named that converges the fleet: {ended.words}")
    return shlex.split(found[-1])


def obey(fleet: Fleet, command: Sequence[str]) -> Ended:
    """Run, as it stands, a command that somebody was told to run."""
    ended = Running(command, fleet.project.folder, fleet.project.env).ended()
    if ended.exit:
        raise Violated(f"O5: the command that was named, {shlex.join(command)}, must succeed: {ended.words}")
    return ended
