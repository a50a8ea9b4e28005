"""Where faults are injected: a project with tags, and a stage of it that is this machine or a fleet of lab hosts.

`fab` runs as its user runs it, in a process of its own; nothing of tagship is imported here.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from crash.oracles import (
    Standing,
    Violated,
    current,
    o1_old_or_new,
    o2_answers,
    o3_nothing_stray,
    o3_processes,
)
from verbs.project import Project

from lab.fleet import Lab
from lab.host import Host

LONG = 180.0
"""Seconds after which a command counts as hung: four times the longest silence that tagship may wait for."""
SETTINGS = {"drain": "3s"}


@dataclass(frozen=True)
class Ended:
    """A `fab` that has ended: how, and every event that it told."""

    exit: int
    """Below 0: the signal that killed it."""
    events: tuple[dict[str, Any], ...]
    stderr: str

    @property
    def result(self) -> dict[str, Any] | None:
        return self.events[-1] if self.events and self.events[-1]["event"] == "result" else None

    @property
    def words(self) -> str:
        """What went wrong, for a violation."""
        errors = [event for event in self.events if event["event"] == "error"]
        return f"exit {self.exit}: {json.dumps(errors or self.events[-3:])} {self.stderr[-2000:]}"


class Running:
    """A `fab` under way; `events` grows as they are read."""

    def __init__(self, argv: Sequence[str], folder: Path, env: dict[str, str]) -> None:
        self.events: list[dict[str, Any]] = []
        self.process = subprocess.Popen(
            [*argv, "--json"],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )

    def next(self) -> dict[str, Any] | None:
        """The next event; `None` at the end of its output."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            return None
        try:
            event: dict[str, Any] = json.loads(line)
        except ValueError:  # it was killed in the middle of a line
            return None
        self.events.append(event)
        return event

    def until(self, point: int) -> dict[str, Any] | None:
        """Read up to the step event number `point` (from 0), and return it; `None` if there are fewer."""
        seen = -1
        while (event := self.next()) is not None:
            seen += is_step(event)
            if seen == point:
                return event
        return None

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """To the client alone; what it started, and what its hosts do, is tagship's to end."""
        self.process.send_signal(number)

    def ended(self, patience: float = LONG) -> Ended:
        """Its end; a `Violated` if it hangs."""
        try:
            out, err = self.process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise Violated(f"it hangs: no end within {patience:g} s; the last event: {self.events[-1:]}") from None
        for line in out.splitlines():
            try:
                self.events.append(json.loads(line))
            except ValueError:
                continue
        return Ended(self.process.returncode, tuple(self.events), err)


def is_step(event: dict[str, Any]) -> bool:
    """A step's beginning or its end: the moments at which a run is cut."""
    return bool(event["event"] == "step" and event["state"] in ("begin", "done", "undo", "undone"))


@dataclass
class World:
    """A project and one stage of it."""

    project: Project
    stage: str
    hosts: list[Standing] = field(default_factory=list)

    def tag(self, version: str, behaviour: str = "well", **files: str) -> str:
        """A tag whose application answers with its own name."""
        self.project.tag(version, {"version.txt": version, "behaviour.txt": behaviour, **files})
        return version

    def start(self, *words: str) -> Running:
        """`fab WORDS --stage STAGE`, under way."""
        return Running(("fab", *words, "--stage", self.stage), self.project.folder, self.project.env)

    def fab(self, *words: str) -> Ended:
        """`fab WORDS --stage STAGE`, to its end."""
        return self.start(*words).ended()

    def must(self, *words: str) -> Ended:
        """`fab`, which has to succeed."""
        ended = self.fab(*words)
        if ended.exit:
            raise Violated(f"O3: `fab {' '.join(words)}` must succeed: {ended.words}")
        return ended

    def currents(self) -> dict[str, str | None]:
        """What each host stands on."""
        return {host.name: current(host) for host in self.hosts}

    def steps(self, *words: str) -> int:
        """How many step events a clean run of `fab WORDS` tells: the points at which it can be cut."""
        return sum(is_step(event) for event in self.must(*words).events)

    def whole(self, allowed: Sequence[str | None], *, patience: float = 0.0) -> None:
        """O1 and O2 on every host."""
        for host in self.hosts:
            o1_old_or_new(host, allowed)
            o2_answers(host, patience=patience)

    def converges(self, tag: str) -> None:
        """O3: the next plain `fab deploy` succeeds with no manual step, is live everywhere, leaves nothing."""
        self.must("deploy", "--tag", tag)
        self.whole([tag])
        ids = set(self.currents().values())
        if len(ids) != 1:
            raise Violated(f"O3: after a deploy the fleet stands on {self.currents()}")
        for host in self.hosts:
            o3_nothing_stray(host)
        self.only_current_runs()

    def only_current_runs(self) -> None:
        """O3: every process of the application is of what `current` names."""
        (host,) = self.hosts
        o3_processes(host, _embedded(host.root))


@dataclass
class Fleet(World):
    """A stage of lab hosts, made ready by `fab setup`: units behind nginx."""

    lab: Lab | None = None
    machines: dict[str, Host] = field(default_factory=dict)

    def only_current_runs(self) -> None:
        """O3, by the units that systemd knows on each host."""
        for host in self.hosts:
            now = current(host)
            argv = ["systemctl", "list-units", "--plain", "--no-legend", "--state=active,activating,deactivating"]
            lines = self.machines[host.name].run(*argv, f"blog-{self.stage}@*", user="root").stdout.split()
            units = {word for word in lines if word.startswith(f"blog-{self.stage}@")}
            serials = {unit.partition("@")[2].split(".")[0] for unit in units}
            wanted = set() if now is None else {now.partition("-")[0]}
            if not serials <= wanted:
                raise Violated(f"O3 {host.name}: {now} is current, and these units run: {sorted(units)}")


@contextmanager
def embedded(folder: Path) -> Iterator[World]:
    """A project in `folder` with its embedded stage; what runs is ended afterwards."""
    home = folder / "h"
    home.mkdir(parents=True)
    project = Project(folder / "p", home)
    try:
        project.begin()
        project.lighten()
        project.edit("tagship.yml", r"(?m)^  name: .*", "  name: blog")
        yield World(project, "local", [Standing("local", project.root, f"http://{project.front}", "/version")])
    finally:
        project.end()


@contextmanager
def fleet(folder: Path, count: int, *, name: str = "faults") -> Iterator[Fleet]:
    """A project in `folder` whose stage `lab` is `count` fresh lab hosts, ready for units; nothing is live."""
    lab = Lab(f"{name}-{os.getpid()}")
    try:
        yield _fleet(folder, lab, lab.up(count))
    finally:
        lab.down()


def _fleet(folder: Path, lab: Lab, hosts: Sequence[Host]) -> Fleet:
    home = folder / "h"
    home.mkdir(parents=True)
    project = Project(folder / "p", home)
    project.begin()
    project.lighten()
    project.edit("tagship.yml", r"(?m)^  name: .*", "  name: blog")
    entries = [
        {
            "host": host.address,
            "name": f"web{number}",
            "user": "deploy",
            "identity": str(host.identity),
            "known_hosts": str(host.known_hosts),
        }
        for number, host in enumerate(hosts, 1)
    ]
    path = project.folder / "tagship.yml"
    document = yaml.safe_load(path.read_text())
    document.setdefault("stages", {})["lab"] = {"hosts": entries, "root": "/srv/blog", **SETTINGS}
    path.write_text(yaml.safe_dump(document))
    machines = {f"web{number}": host for number, host in enumerate(hosts, 1)}
    standing = [
        Standing(name, host.folder / "root" / "srv" / "blog", f"http://{host.address}", "/version")
        for name, host in machines.items()
    ]
    made = Fleet(project, "lab", standing, lab, machines)
    ended = subprocess.run(
        ["fab", "setup", "--stage", "lab", "--admin", "root", "--json"],
        cwd=project.folder,
        env=project.env,
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return made


def _embedded(root: Path) -> dict[int, str]:
    """The application's processes on this machine, by the release that their environment names."""
    found = {}
    mark = os.fsencode(root / "run")
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            items = (entry / "environ").read_bytes().split(b"\0")
            state = (entry / "stat").read_text().rpartition(") ")[2][:1]
        except OSError:
            continue
        settings = dict(item.partition(b"=")[::2] for item in items)
        ours = settings.get(b"TAGSHIP_SOCKET", b"").startswith(mark) or os.fsencode(root) in settings.get(
            b"TAGSHIP_PUBLIC", b""
        )
        if ours and state not in "ZX":
            found[int(entry.name)] = settings.get(b"TAGSHIP_RELEASE", b"?").decode()
    return found


def eventually(is_so: Any, seconds: float, what: str) -> None:
    """Return once `is_so()` is true; `Violated` if it isn't within `seconds`."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise Violated(f"{what}, not within {seconds:g} s")
        time.sleep(0.02)
