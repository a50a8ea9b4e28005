"""A fleet of three over SSH, one of which is down: what each verb says of it, and how it comes back."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from contract.projects import free_port
from contract.sshd import Sshd
from verbs.conftest import Make
from verbs.project import Project, Told

from tagship.scaffold.reader import get

KIND = "    service: {kind: process}\n"
NAMES = ("web1", "web2", "web3")


class Fleet:
    """A project with a stage of three hosts: one sshd, three roots, three front doors."""

    def __init__(self, project: Project, server: Sshd, folder: Path) -> None:
        self.project = project
        self.port = server.port
        self.roots = {name: folder / name for name in NAMES}
        self.fronts = {name: f"127.0.0.1:{free_port()}" for name in NAMES}
        known = folder / "known_hosts"
        shut = free_port()
        line = server.known_hosts.read_text()
        known.write_text(line + line.replace(str(server.port), str(shut)))
        self.shut = shut
        way = f"host: 127.0.0.1, user: {server.user}, identity: {server.identity}, known_hosts: {known}"
        lines = "".join(
            f"      - {{name: {name}, port: {server.port}, {way}, root: {self.roots[name]}, "
            f"front: '{self.fronts[name]}'}}\n"
            for name in NAMES
        )
        project.edit("tagship.yml", r"(?m)^stages:\n", f"stages:\n  production:\n{KIND}    hosts:\n{lines}")
        project.stages = ["production"]

    def down(self, *names: str) -> None:
        """Nobody listens where these hosts are reached, and all others can be."""
        for name in NAMES:
            port = self.shut if name in names else self.port
            self.project.edit("tagship.yml", rf"name: {name}, port: \d+", f"name: {name}, port: {port}")

    def current(self) -> list[str | None]:
        links = [root / "current" for root in self.roots.values()]
        return [link.readlink().name if link.is_symlink() else None for link in links]

    def told(self, *argv: str) -> Told:
        return self.project.told(*argv, "--stage", "production")


@pytest.fixture
def fleet(make: Make, sshd: Sshd, tmp_path: Path) -> Iterator[Fleet]:
    """v1.0.0 is live on all three, v1.1.0 tagged, and web3 is down; in the end all can be stopped."""
    project = make()
    made = Fleet(project, sshd, tmp_path)
    project.tag("v1.0.0")
    done = made.told("fab", "deploy")
    assert done.exit == 0, done.events
    project.tag("v1.1.0", {"version.txt": "two"})
    made.down("web3")
    yield made
    made.down()


def health(told: Told) -> dict[str, str]:
    return {row["host"]: row["health"] for row in told.of("row")}


@pytest.mark.lab
def test_a_host_that_is_down_is_named_skipped_shown_and_joins_again(fleet: Fleet) -> None:
    """The refusal says what to type; it is typed; every look shows who missed what; a plain deploy ends it."""
    project = fleet.project
    refused = fleet.told("fab", "deploy")
    assert (refused.exit, refused.error["where"]) == (3, "web3")
    command = refused.error["cure"].partition("go on without it: ")[2]
    assert command == "fab deploy --stage production --skip web3"
    assert fleet.current() == ["0001-v1.0.0"] * 3

    planned = fleet.told("fab", "plan", "--skip", "web3")
    (away,) = planned.result["away"]
    assert (away["host"], away["flag"], away["stands"]) == ("web3", "--skip", "0001-v1.0.0")
    went = project.told(*shlex.split(command))
    assert (went.exit, went.result["outcome"]) == (0, "live")
    assert went.result["away"][0]["missed"] == "0002-v1.1.0"
    assert fleet.current() == ["0002-v1.1.0", "0002-v1.1.0", "0001-v1.0.0"]

    seen = fleet.told("fab", "status")
    assert (seen.exit, seen.result["outcome"]) == (5, "degraded")
    assert [row["host"] for row in seen.of("row")] == list(NAMES)
    assert health(seen)["web1"] == "well"
    assert health(seen)["web3"].startswith("out of reach: ")
    assert "missed 0002-v1.1.0 (" in health(seen)["web3"]
    assert health(seen)["web3"].endswith("stood at 0001-v1.0.0 when last seen")
    assert "1 of 3 hosts can't be reached" in seen.error["what"]
    assert seen.error["hosts"].keys() == {"web3"}
    for verb in ("releases", "history", "verify"):
        looked = fleet.told("fab", verb)
        assert (looked.exit, looked.error["where"]) == (5, "web3"), verb
        assert {row["host"] for row in looked.of("row") if "host" in row} <= {"web1", "web2"}
    assert fleet.told("fab", "doctor").exit == 3

    down = fleet.told("fab", "rollback", "--skip", "web3")
    assert (down.exit, down.result["release"]) == (0, "0001-v1.0.0")
    assert "missed" not in health(fleet.told("fab", "status"))["web3"]
    assert fleet.told("fab", "deploy", "--skip", "web3").exit == 0

    fleet.down()
    back = fleet.told("fab", "status")
    assert back.exit == 5
    assert back.error["what"] == "the fleet is mixed"
    assert back.error["cure"] == "fab deploy --stage production brings all to one release"
    assert [(note["host"], note["missed"]) for note in back.of("note") if "missed" in note] == [
        ("web3", "0003-v1.1.0")
    ]
    doctor = fleet.told("fab", "doctor")
    assert any("web3 missed 0003-v1.1.0" in finding["text"] for finding in doctor.of("finding"))
    joined = fleet.told("fab", "deploy")
    assert (joined.exit, joined.result["release"]) == (0, "0004-v1.1.0")
    assert fleet.current() == ["0004-v1.1.0"] * 3
    assert {get(front, "/").body for front in fleet.fronts.values()} == {b"two"}
    last = fleet.told("fab", "status")
    assert (last.exit, set(health(last).values())) == (0, {"well"})
    assert fleet.told("fab", "deploy").result["outcome"] == "unchanged"


@pytest.mark.lab
def test_what_was_limited_is_mixed_until_a_plain_deploy(fleet: Fleet) -> None:
    """The outcome and the status say who stands on what; a host in repair may be skipped, and stays as it is."""
    fleet.down()
    part = fleet.told("fab", "deploy", "--limit", "web1")
    assert part.exit == 0
    assert [(away["host"], away["flag"], away["stands"], away["missed"]) for away in part.result["away"]] == [
        (name, "--limit", "0001-v1.0.0", "0002-v1.1.0") for name in ("web2", "web3")
    ]
    said = fleet.project.run("fab", "status", "--stage", "production")
    assert said.exit == 5
    assert "the fleet is mixed" in said.err
    assert "0002-v1.1.0 (web1), 0001-v1.0.0 (web2, web3)" in said.err
    stopped = fleet.told("fab", "stop", "--skip", "web1")
    assert (stopped.exit, [host["host"] for host in stopped.result["hosts"]]) == (0, ["web2", "web3"])
    assert get(fleet.fronts["web1"], "/").body == b"two"
    assert fleet.told("fab", "start", "--skip", "web1").exit == 0
    whole = fleet.told("fab", "deploy")
    assert (whole.exit, set(fleet.current())) == (0, {"0003-v1.1.0"})
    assert fleet.told("fab", "status").exit == 0


@pytest.mark.parametrize("verb", ["deploy", "plan", "rollback", "start", "stop"])
def test_whom_nobody_knows_and_everybody_can_not_be_skipped(make: Make, verb: str) -> None:
    """A name that no host has, or all of them: exit 2, before anybody is asked."""
    project = make()
    project.edit(
        "tagship.yml", r"(?m)^stages:\n", "stages:\n  far:\n    hosts: [{host: a.invalid}, {host: b.invalid}]\n"
    )
    project.tag("v1.0.0")
    unknown = project.told("fab", verb, "--stage", "far", "--skip", "c.invalid")
    assert (unknown.exit, unknown.result["outcome"]) == (2, "refused")
    assert unknown.error["what"] == "--skip names no host of far: c.invalid"
    assert unknown.error["cure"] == "its hosts: a.invalid, b.invalid"
    everybody = project.told("fab", verb, "--stage", "far", "--skip", "a.invalid,b.invalid")
    assert (everybody.exit, everybody.error["where"]) == (2, "--skip")
    alone = project.told("fab", verb, "--stage", "local", "--skip", "local")
    assert alone.exit == 2
