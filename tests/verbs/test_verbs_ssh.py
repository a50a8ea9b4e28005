"""The same verbs over SSH, to an sshd of the test's own on loopback; and the host keys that are refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from contract.projects import free_port
from contract.sshd import Sshd, make_key
from verbs.conftest import Make
from verbs.project import Project, processes_below

from tagship.scaffold.reader import Reader, get

pytestmark = pytest.mark.lab

KIND = "    service: {kind: process}\n"


class Fleet:
    """A project with a stage of two hosts: one sshd, two roots, two front doors."""

    def __init__(self, project: Project, server: Sshd, folder: Path) -> None:
        self.project = project
        self.names = ("web1", "web2")
        self.roots = {name: folder / name for name in self.names}
        self.fronts = {name: f"127.0.0.1:{free_port()}" for name in self.names}
        self.known = folder / "known_hosts"
        self.known.write_text(server.known_hosts.read_text())
        way = f"host: 127.0.0.1, port: {server.port}, user: {server.user}, identity: {server.identity}"
        lines = "".join(
            f"      - {{name: {name}, {way}, known_hosts: {self.known}, root: {self.roots[name]}, "
            f"front: '{self.fronts[name]}'}}\n"
            for name in self.names
        )
        project.edit("tagship.yml", r"(?m)^stages:\n", f"stages:\n  production:\n{KIND}    hosts:\n{lines}")
        project.stages = ["production"]

    def current(self) -> dict[str, str | None]:
        links = {name: root / "current" for name, root in self.roots.items()}
        return {name: link.readlink().name if link.is_symlink() else None for name, link in links.items()}


@pytest.fixture
def fleet(make: Make, sshd: Sshd, tmp_path: Path) -> Iterator[Fleet]:
    """Nothing is deployed yet; v1.0.0 is tagged."""
    project = make()
    made = Fleet(project, sshd, tmp_path)
    project.tag("v1.0.0")
    yield made
    made.known.write_text(sshd.known_hosts.read_text())


def test_two_hosts_go_up_and_down_together(fleet: Fleet) -> None:
    """deploy, status and rollback over SSH: one line a host, a reader of each without a failed request."""
    project = fleet.project
    first = project.told("fab", "deploy", "--stage", "production")
    assert (first.exit, first.result["outcome"]) == (0, "live"), first.events
    project.tag("v1.1.0", {"version.txt": "two"})
    with Reader(fleet.fronts["web1"], ["/"]) as one, Reader(fleet.fronts["web2"], ["/"]) as two:
        up = project.told("fab", "deploy", "--stage", "production")
        assert {get(front, "/").body for front in fleet.fronts.values()} == {b"two"}
        down = project.told("fab", "rollback", "--stage", "production")
    assert (one.reading.failed, two.reading.failed) == (0, 0), (one.reading, two.reading)
    assert up.result["hosts"] == [{"host": name, "release": "0002-v1.1.0", "ok": True} for name in fleet.names]
    assert down.result["release"] == "0001-v1.0.0"
    status = project.told("fab", "status", "--stage", "production")
    assert [(row["host"], row["release"], row["health"]) for row in status.of("row")] == [
        (name, "0001-v1.0.0", "well") for name in fleet.names
    ]
    only = project.told("fab", "status", "--stage", "production", "--limit", "web2")
    assert [row["host"] for row in only.of("row")] == ["web2"]
    again = project.told("fab", "rollback", "--stage", "production")
    assert again.exit == 3
    assert len(again.error["tail"]) == 4
    assert project.run("fab", "verify", "--stage", "production").exit == 0


def test_when_the_second_fails_at_the_flip_the_first_goes_back(fleet: Fleet, tmp_path: Path) -> None:
    """web1 is live already when web2 can't be switched: exit 4, and both are on the old release again."""
    project = fleet.project
    assert project.run("fab", "deploy", "--stage", "production").exit == 0
    project.tag("v1.1.0", {"version.txt": "two"})
    with project.begun("fab", "deploy", "--stage", "production") as deploy:
        deploy.until("start 0002")
        # Nothing may be renamed onto a folder: what web2's agent finds at its turn.
        obstacle = fleet.roots["web2"] / "current.new"
        obstacle.mkdir()
        (obstacle / "in the way").touch()
        told = deploy.ended()
    obstacle.joinpath("in the way").unlink()
    obstacle.rmdir()
    assert (told.exit, told.result["outcome"]) == (4, "restored"), told.events
    assert told.error["where"].startswith("web2, flip from 0001-v1.0.0 to 0002-v1.1.0")
    assert told.result["hosts"] == [{"host": name, "release": "0001-v1.0.0", "ok": True} for name in fleet.names]
    done = [(e["host"], e["state"]) for e in told.of("step") if e["step"] == "flip from 0001-v1.0.0 to 0002-v1.1.0"]
    assert ("web1", "undone") in done
    assert set(fleet.current().values()) == {"0001-v1.0.0"}
    assert {get(front, "/").body for front in fleet.fronts.values()} == {b"one"}
    stopped = project.told("fab", "stop", "--stage", "production")
    assert (stopped.exit, stopped.result["outcome"]) == (0, "stopped")
    assert not list(processes_below(tmp_path))
    for root in fleet.roots.values():
        assert [path.name for path in (root / "releases").iterdir()] == ["0001-v1.0.0"]


@pytest.mark.parametrize(("key", "words"), [("unknown", "is not known"), ("changed", "changed")])
def test_a_host_key_that_is_not_the_known_one_is_refused(fleet: Fleet, tmp_path: Path, key: str, words: str) -> None:
    """Nobody is told who we are: exit 3, the host, the file and the cure."""
    line = fleet.known.read_text().split(" ", 1)[0]
    text = "" if key == "unknown" else f"{line} {make_key(tmp_path / 'another')}\n"
    fleet.known.write_text(text)
    told = fleet.project.told("fab", "deploy", "--stage", "production", "--limit", "web1")
    assert (told.exit, told.result["outcome"]) == (3, "refused")
    assert told.error["where"] == "web1"
    assert words in told.error["what"]
    assert str(fleet.known) in told.error["what"] + told.error["cure"]
    assert not fleet.roots["web1"].exists()
