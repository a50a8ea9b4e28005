"""`--wait`: a verb that finds somebody at work queues, says for whom, and plans anew when its turn has come."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from verbs.project import Begun, Project, eventually

from tagship.scaffold.reader import get


@contextmanager
def holder(project: Project, tag: str = "v1.1.0", body: str = "two") -> Iterator[Begun]:
    """A deploy of `tag` that has the lock, and is kept at its prepare step as long as `hold` is there."""
    project.tag(tag, {"version.txt": body})
    (project.root / "hold").touch()
    with project.begun("fab", "deploy") as first:
        first.until("prepare")
        eventually(lambda: "hold.py" in " ".join(project.processes().values()), "it never prepares")
        yield first


def waits(told: Begun) -> str:
    """Read on until it says that it waits; the words."""
    return told.noted("; waiting, ")


def test_a_deploy_that_waits_plans_anew_and_goes_on(project: Project) -> None:
    """It was told who holds the lock, once; its plan is made on what the other has left, and both go live."""
    project.run("fab", "deploy")
    with holder(project) as first, project.begun("fab", "deploy", "--tag", "v1.0.0", "--wait", "2m") as second:
        said = waits(second)
        (project.root / "hold").unlink()
        assert first.ended().result["release"] == "0002-v1.1.0"
        told = second.ended()
    assert (told.exit, told.result["outcome"], told.result["release"]) == (0, "live", "0003-v1.0.0")
    assert told.result["previous"] == "0002-v1.1.0"
    assert "(deploy 0002-v1.1.0) since 2" in said
    assert [note["text"] for note in told.of("note") if "waiting" in note["text"]] == [said]
    (plan,) = told.of("plan")
    assert plan["plan"][0] == "deploy v1.0.0 as 0003-v1.0.0 to local (local)"
    assert get(project.front, "/").body == b"one"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_while_waiting_changes_nothing(project: Project, number: signal.Signals) -> None:
    """Exit 130; who holds the lock isn't disturbed."""
    project.run("fab", "deploy")
    with holder(project) as first:
        before = project.snapshot()
        with project.begun("fab", "rollback", "--wait", "1h") as second:
            waits(second)
            second.signal(number, group=number == signal.SIGINT)
            told = second.ended()
        assert project.snapshot() == before
        (project.root / "hold").unlink()
        assert first.ended().result["outcome"] == "live"
    assert (told.exit, told.error["kind"]) == (130, "Interrupted")
    assert told.error["what"] == "interrupted while waiting for the lock; nothing was changed"


def test_when_the_time_is_over_it_exits_6_and_names_the_holder(project: Project) -> None:
    """Every verb that locks; with and without `--wait` the loser leaves the host as it was, to the byte."""
    project.run("fab", "deploy")
    with holder(project) as first:
        before = project.snapshot()
        late = [
            project.told("fab", "deploy", "--tag", "v1.0.0", "--wait", "300ms"),
            project.told("fab", "rollback", "--wait", "300ms"),
            project.told("fab", "start", "--wait", "300ms"),
            project.told("fab", "stop", "--wait", "300ms"),
            project.told("fab", "env", "copy", "--wait", "300ms"),
        ]
        at_once = project.told("fab", "stop")
        status = project.run("fab", "status")
        assert project.snapshot() == before
        (project.root / "hold").unlink()
        assert first.ended().result["outcome"] == "live"
    for told in (*late, at_once):
        assert (told.exit, told.result["outcome"], told.error["kind"]) == (6, "locked", "Locked")
        assert told.error["holder"]["release"] == "0002-v1.1.0"
        assert told.error["holder"]["verb"] == "deploy"
        assert told.error["holder"]["since"] in told.error["what"]
    assert all(told.error["what"].endswith(", and still is after 1 s") for told in late)
    assert not at_once.of("note")
    assert f"is at work: deploy 0002-v1.1.0, since {late[0].error['holder']['since']}" in status.out


def test_a_killed_holder_is_waited_for_no_longer(project: Project) -> None:
    """Its agent hears of it and ends; who waited settles what is left."""
    project.run("fab", "deploy")
    with holder(project) as first, project.begun("fab", "deploy", "--tag", "v1.1.0", "--wait", "2m") as second:
        waits(second)
        (project.root / "hold").unlink()
        first.signal(signal.SIGKILL)
        told = second.ended()
    assert (told.exit, told.result["outcome"]) == (0, "live")
    eventually(lambda: len(project.services()) == 1, "more than one release runs")
    assert get(project.front, "/").body == b"two"


@pytest.mark.parametrize("text", ["soon", "-1", "5 minutes", "200h"])
def test_a_duration_that_is_none_is_refused(live: Project, text: str) -> None:
    """Exit 2, before anything is asked of a host."""
    told = live.told("fab", "deploy", f"--wait={text}")
    assert (told.exit, told.error["where"]) == (2, "--wait")
    assert told.error["what"] == f"`{text}` is no duration"
