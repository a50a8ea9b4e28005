"""Real hosts that lose their power: named, skipped, shown to everybody, and brought along once they are back."""

from __future__ import annotations

import shlex
import shutil
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from verbs.conftest import Make, make
from verbs.project import Project, Told, eventually

from lab.fleet import Lab
from lab.host import Host

__all__ = ["make"]
pytestmark = pytest.mark.lab

NAMES = ("web1", "web2", "web3")
ROLLOUT = "    rollout: {canary: 2, pause: 4s}\n"


def enlist(project: Project, hosts: list[Host]) -> None:
    """The stage `lab`: three hosts, of which two are the canary, with time between them and the third."""
    entries = "".join(
        f"      - {{name: {name}, host: {host.address}, identity: {host.identity}, "
        f"known_hosts: {host.known_hosts}}}\n"
        for name, host in zip(NAMES, hosts, strict=True)
    )
    project.edit("tagship.yml", r"(?m)^stages:\n", f"stages:\n  lab:\n    hosts:\n{entries}{ROLLOUT}")
    project.edit("tagship.yml", r"(?m)^  prepare:\n.*\n", "")
    serve = "server = Server(sys.argv[1], Handler)\npathlib.Path(sys.argv[1]).chmod(0o666)\nserver.serve_forever()"
    project.edit("serve.py", r"(?m)^Server\(.*", serve)
    project.stages = []


def served(hosts: list[Host]) -> list[str]:
    """What the application answers on each host, where no page of the site stands before it."""
    return [urllib.request.urlopen(f"http://{host.address}/version", timeout=5).read().decode() for host in hosts]


def health(told: Told) -> dict[str, str]:
    return {row["host"]: row["health"] for row in told.of("row")}


def test_hosts_without_power_are_skipped_and_join_again(
    hosts: Callable[[int], list[Host]], lab: Lab, make: Make, tmp_path: Path
) -> None:
    """One is down before a deploy, another goes down once it has flipped: one command converges the rest."""
    project, fleet = make("gone"), hosts(3)
    enlist(project, fleet)
    project.tag("v1.0.0")
    for verb in ("setup", "deploy"):
        done = project.run("fab", verb, "--stage", "lab")
        assert done.exit == 0, done.said

    fleet[2].kill()
    project.tag("v1.1.0", {"version.txt": "two"})
    refused = project.told("fab", "deploy", "--stage", "lab")
    assert (refused.exit, refused.error["where"]) == (3, "web3"), refused.events
    command = refused.error["cure"].partition("go on without it: ")[2]
    went = project.told(*shlex.split(command))
    assert (went.exit, served(fleet[:2])) == (0, ["two", "two"]), went.events

    shutil.copytree(project.folder, tmp_path / "elsewhere", ignore=shutil.ignore_patterns(".tagship"))
    said = project.run("fab", "status", "--stage", "lab", cwd=tmp_path / "elsewhere")
    assert said.exit == 5
    assert "missed 0002-v1.1.0" in said.out
    assert "stood at 0001-v1.0.0 when last seen" in said.out

    lab.boot(3)
    eventually(lambda: served(fleet[2:]) == ["one"], "web3 serves what is current there")
    mixed = project.told("fab", "status", "--stage", "lab")
    assert (mixed.exit, mixed.error["what"]) == (5, "the fleet is mixed")
    joined = project.told("fab", "deploy", "--stage", "lab")
    assert (joined.exit, joined.result["release"], served(fleet)) == (0, "0003-v1.1.0", ["two"] * 3), joined.events
    assert project.told("fab", "status", "--stage", "lab").exit == 0

    project.tag("v1.2.0", {"version.txt": "three"})
    with project.begun("fab", "deploy", "--stage", "lab") as deploy:
        deploy.until("wait 4 s")
        fleet[1].kill()
        failed = deploy.ended()
    assert (failed.exit, failed.result["outcome"]) == (5, "degraded"), failed.events
    assert served([fleet[0], fleet[2]]) == ["two", "two"]
    stands = failed.error["hosts"]
    assert stands["web2"].startswith("out of reach; 0003-v1.1.0 was current, and 0004-v1.2.0 may be")
    assert (stands["web1"], stands["web3"]) == ("0003-v1.1.0 is current",) * 2
    command = failed.error["cure"].partition("one release: ")[2]
    assert command == "fab deploy --stage lab --tag v1.2.0 --skip web2"
    again = project.told(*shlex.split(command))
    assert (again.exit, served([fleet[0], fleet[2]])) == (0, ["three", "three"]), again.events

    lab.boot(2)
    whole = project.told("fab", "deploy", "--stage", "lab")
    assert (whole.exit, served(fleet)) == (0, ["three"] * 3), whole.events
    assert set(health(project.told("fab", "status", "--stage", "lab")).values()) == {"well"}
