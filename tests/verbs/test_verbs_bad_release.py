"""A release that isn't well never becomes public: exit 4, its last words, and the old one answers all the while."""

from __future__ import annotations

import pytest
from verbs.project import Project

from tagship.scaffold.reader import Reader, get


@pytest.mark.parametrize(
    ("behaviour", "last_words"),
    [
        ("exits", "no such table: visitors"),
        ("broken", "answering broken"),
        ("silent", "waiting for a database that never comes"),
    ],
)
def test_a_release_that_is_not_well_is_put_back(project: Project, behaviour: str, last_words: str) -> None:
    """It exits, answers 500, or never listens: nobody sees it, nothing of it is left, and the next tag deploys."""
    project.edit("tagship.yml", r"(?m)^  prepare:", "  probe: {timeout: 2s}\n  prepare:")
    project.tag("v1.0.1")
    assert project.run("fab", "deploy").exit == 0
    before, sockets, processes = project.released(), project.sockets(), project.processes().keys()
    assert sockets == ["0001"]
    project.tag("v1.1.0", {"version.txt": "two", "behaviour.txt": behaviour})
    with Reader(project.front, ["/"]) as reader:
        told = project.told("fab", "deploy")
    assert (told.exit, told.result["outcome"]) == (4, "restored")
    assert (told.result["release"], told.result["previous"]) == ("0002-v1.1.0", "0001-v1.0.1")
    assert told.result["hosts"] == [{"host": "local", "release": "0001-v1.0.1", "ok": True}]
    error = told.error
    assert error["where"] == "local, start 0002-v1.1.0 and probe it on its own socket"
    assert last_words in error["tail"]
    assert "put back" in error["cure"]
    seen = reader.reading
    assert (seen.failed, set(seen.releases)) == (0, {"0001-v1.0.1"}), seen.failures
    assert (project.released(), project.sockets(), project.processes().keys()) == (before, sockets, processes)
    project.tag("v1.2.0", {"version.txt": "three", "behaviour.txt": "well"})
    good = project.told("fab", "deploy")
    assert (good.exit, good.result["release"]) == (0, "0003-v1.2.0")
    assert get(project.front, "/").body == b"three"


def test_a_bad_first_release_leaves_an_empty_host(project: Project) -> None:
    """There is nothing to go back to: no current, no release, no process, and the words say what happened."""
    project.tag("v1.1.0", {"behaviour.txt": "exits"})
    ran = project.run("fab", "deploy")
    assert ran.exit == 4
    assert ran.err.startswith("restored: local, start 0001-v1.1.0 and probe it on its own socket: ")
    assert "    | no such table: visitors\n" in ran.err
    assert "restored: 0001-v1.1.0 didn't go live" in ran.out
    assert project.current is None
    assert not list((project.root / "releases").iterdir())
    assert (project.processes(), project.sockets()) == ({}, [])
    project.tag("v1.2.0", {"behaviour.txt": "well"})
    assert project.told("fab", "deploy").result["release"] == "0002-v1.2.0"
