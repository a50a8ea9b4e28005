"""A fleet of real hosts goes over in portions: two that answer requests, one that works, hooks in between."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from verbs.conftest import Make, make
from verbs.project import Project, Told

from lab.host import Host

__all__ = ["make"]
pytestmark = pytest.mark.lab

WORKER = """\
import os, pathlib, sys, time

if pathlib.Path("behaviour.txt").read_text() == "idle":
    sys.exit("no queue to work on")
print("working", flush=True)
time.sleep(600)
"""
ROLLOUT = "    rollout: {canary: 1, pause: 1s}\n"
IN_PLACE = """sh -c 'test "$(id -un)" = roll-lab && test "$TAGSHIP_HOSTS" = web1,web2,work1 && test -d ../venv'"""
TELL = """sh -c 'echo "$TAGSHIP_VERB $TAGSHIP_TAG" >> told.txt'"""
HOOKS = f"""
hooks:
  - {{run: {json.dumps(IN_PLACE)}, after: start, on: hosts}}
  - {{run: {json.dumps(TELL)}, after: commit}}
"""
RUNNING = "systemctl list-units --plain --no-legend --state=running 'roll-lab@*' | cut -d' ' -f1 | sort"


def enlist(project: Project, hosts: list[Host]) -> None:
    """The stage `lab`, with a unit of its own for workers."""
    roles = {"web1": "web", "web2": "web", "work1": "worker"}
    entries = "".join(
        f"      - {{name: {name}, host: {host.address}, identity: {host.identity}, "
        f"known_hosts: {host.known_hosts}, roles: [{role}]}}\n"
        for (name, role), host in zip(roles.items(), hosts, strict=True)
    )
    project.edit("tagship.yml", r"(?m)^stages:\n", f"stages:\n  lab:\n    hosts:\n{entries}{ROLLOUT}")
    project.edit("tagship.yml", r"(?m)^  prepare:\n.*\n", "  units:\n    worker: {start: python3 worker.py}\n")
    project.write({"worker.py": WORKER, "tagship.yml": (project.folder / "tagship.yml").read_text() + HOOKS})
    serve = "server = Server(sys.argv[1], Handler)\npathlib.Path(sys.argv[1]).chmod(0o666)\nserver.serve_forever()"
    project.edit("serve.py", r"(?m)^Server\(.*", serve)
    project.stages = []


def running(hosts: list[Host]) -> list[str]:
    """The instances that systemd runs on each host, without what they have in common."""
    said = [host.run("sh", "-c", RUNNING).stdout.split() for host in hosts]
    return [" ".join(units).replace("roll-lab@", "").replace(".service", "") for units in said]


def order(told: Told) -> list[str]:
    """The hosts as they flip, and the pause between them."""
    begun = [event for event in told.of("step") if event["state"] == "begin"]
    return [e.get("host", "pause") for e in begun if e["step"].startswith(("flip", "wait"))]


def test_a_fleet_goes_up_in_portions_and_down_again(hosts: Callable[[int], list[Host]], make: Make) -> None:
    """Each host runs what its roles choose; hooks run as they are shown; a worker that fails puts all of it back."""
    project, fleet = make("roll"), hosts(3)
    enlist(project, fleet)
    project.tag("v1.0.0")
    for verb in ("setup", "deploy"):
        done = project.run("fab", verb, "--stage", "lab")
        assert done.exit == 0, done.said
    assert running(fleet) == ["0001", "0001", "0001.worker"]

    project.tag("v1.1.0", {"version.txt": "two"})
    went = project.told("fab", "deploy", "--stage", "lab")
    assert (went.exit, went.result["outcome"]) == (0, "live"), went.events
    assert order(went)[:2] == ["web1", "pause"]
    assert set(order(went)[2:]) == {"web2", "work1"}
    assert running(fleet) == ["0002", "0002", "0002.worker"]

    project.tag("v1.2.0", {"version.txt": "three", "behaviour.txt": "idle"})
    failed = project.told("fab", "deploy", "--stage", "lab")
    assert (failed.exit, failed.result["outcome"]) == (4, "restored"), failed.events
    assert failed.error["where"].startswith("work1, start 0003-v1.2.0")
    assert any("no queue to work on" in line for line in failed.error["tail"])
    assert running(fleet) == ["0002", "0002", "0002.worker"]

    down = project.told("fab", "rollback", "--stage", "lab")
    assert (down.exit, down.result["release"]) == (0, "0001-v1.0.0"), down.events
    assert "pause" not in order(down)
    assert running(fleet) == ["0001", "0001", "0001.worker"]
    assert (project.folder / "told.txt").read_text().splitlines() == [
        "deploy v1.0.0",
        "deploy v1.1.0",
        "rollback v1.0.0",
    ]
