"""`fab history`: one line a change, whoever made it, however it ended, whatever became of client and agent."""

from __future__ import annotations

import json
import os
import random
import signal
from typing import Any

from crash import seen
from verbs.project import Begun, Project, eventually

COLUMNS = {"change", "at", "by", "verb", "from", "to", "ended", "hosts", "why"}


def history(project: Project, *flags: str) -> list[tuple[Any, ...]]:
    """Verb, from, to and end of each change, oldest first."""
    rows = project.told("fab", "history", *flags).of("row")
    assert all(row.keys() - {"event", "table"} == COLUMNS for row in rows)
    return [tuple(row[key] for key in ("verb", "from", "to", "ended")) for row in rows]


def agents(project: Project) -> list[int]:
    """The pids of agents that are at work on the host; the front door is of the same code, and says so."""
    return seen.agents(project.home)


def held(project: Project, tag: str) -> Begun:
    """A deploy of `tag` that waits in its prepare step."""
    project.tag(tag, {"version.txt": tag})
    (project.root / "hold").touch()
    return project.begun("fab", "deploy")


def test_each_change_is_a_line_that_says_how_it_ended(project: Project) -> None:
    """Live, unchanged (which is none), put back and why, down again, stopped, started; in order, and by whom."""
    project.env["TAGSHIP_OWNER"] = "ann@desk"
    project.run("fab", "deploy")
    project.run("fab", "deploy")
    project.tag("v1.1.0", {"version.txt": "two"})
    project.run("fab", "deploy")
    project.tag("v1.2.0", {"behaviour.txt": "exits"})
    assert project.run("fab", "deploy").exit == 4
    project.run("fab", "rollback")
    project.run("fab", "stop")
    project.run("fab", "start")
    assert history(project) == [
        ("deploy", None, "0001-v1.0.0", "live"),
        ("deploy", "0001-v1.0.0", "0002-v1.1.0", "live"),
        ("deploy", "0002-v1.1.0", "0003-v1.2.0", "restored"),
        ("rollback", "0002-v1.1.0", "0001-v1.0.0", "live"),
        ("stop", None, "0001-v1.0.0", "stopped"),
        ("start", None, "0001-v1.0.0", "live"),
    ]
    assert history(project, "--last", "2") == history(project)[-2:]
    rows = project.told("fab", "history").of("row")
    assert [row["change"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert {(row["by"], tuple(row["hosts"])) for row in rows} == {("ann@desk", ("local",))}
    assert rows[2]["why"].startswith("local, start 0003-v1.2.0")
    said = project.run("fab", "history")
    assert said.exit == 0
    assert "0002-v1.1.0  0003-v1.2.0  restored  local" in said.out
    # Who did what, when, is told by the journals' order, whatever became of the clocks.
    journal = project.root / "state" / "journal.jsonl"
    dice = random.Random(1)
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    lines = [{**row, "at": f"{dice.randrange(1990, 2100)}-01-01T00:00:00Z"} for row in lines]
    journal.write_text("".join(json.dumps(row) + "\n" for row in lines))
    assert [row["change"] for row in project.told("fab", "history").of("row")] == [1, 2, 3, 4, 5, 6]
    assert project.told("fab", "rollback", "--to", "v1.1.0").result["release"] == "0002-v1.1.0"
    assert history(project, "--last", "1") == [("rollback", "0001-v1.0.0", "0002-v1.1.0", "live")]


def test_what_is_under_way_interrupted_lost_and_cut_off_is_told_as_such(project: Project) -> None:
    """Ctrl-C is put back; a killed client is told by its agent; where that was killed too, nobody could say more."""
    project.run("fab", "deploy")
    with held(project, "v1.1.0") as deploy:
        deploy.until("prepare")
        assert history(project)[-1] == ("deploy", "0001-v1.0.0", "0002-v1.1.0", "under way")
        deploy.signal(signal.SIGINT)
        assert deploy.ended().exit == 130
    with held(project, "v1.2.0") as deploy:
        deploy.until("prepare")
        deploy.signal(signal.SIGKILL)
        deploy.process.wait()
    eventually(lambda: not agents(project), "the agent doesn't end")
    with held(project, "v1.3.0") as deploy:
        deploy.until("prepare")
        for pid in agents(project):
            os.kill(pid, signal.SIGKILL)
        deploy.signal(signal.SIGKILL)
        deploy.process.wait()
    (project.root / "hold").unlink()
    project.tag("v1.4.0", {"version.txt": "five"})
    assert project.told("fab", "deploy").result["outcome"] == "live"
    assert history(project) == [
        ("deploy", None, "0001-v1.0.0", "live"),
        ("deploy", "0001-v1.0.0", "0002-v1.1.0", "interrupted"),
        ("deploy", "0001-v1.0.0", "0003-v1.2.0", "lost"),
        ("deploy", "0001-v1.0.0", "0004-v1.3.0", "cut off"),
        ("deploy", "0001-v1.0.0", "0005-v1.4.0", "live"),
    ]


def test_a_deploy_goes_on_after_the_journal_is_lost(project: Project) -> None:
    """What serves goes on serving; what nobody can vouch for is said, proven and marked by the next deploy."""
    project.run("fab", "deploy")
    project.tag("v1.1.0", {"version.txt": "two"})
    project.run("fab", "deploy")
    (project.root / "state" / "journal.jsonl").unlink()
    assert history(project) == []
    assert project.told("fab", "status").exit == 5
    refused = project.told("fab", "rollback")
    assert refused.exit == 3
    assert any("0001-v1.0.0 left" in line for line in refused.error["tail"])
    healed = project.told("fab", "deploy")
    assert (healed.result["outcome"], healed.result["release"]) == ("live", "0002-v1.1.0")
    assert project.told("fab", "status").exit == 0
    assert project.told("fab", "rollback", "--to", "v1.0.0").result["release"] == "0001-v1.0.0"
    project.tag("v1.2.0", {"version.txt": "three"})
    assert project.told("fab", "deploy").result["release"] == "0003-v1.2.0"
    assert project.told("fab", "rollback").result["release"] == "0001-v1.0.0"


def test_serials_that_are_used_up_are_refused_in_words(project: Project) -> None:
    """A damaged row far ahead must not end in an error of the agent's grammar."""
    project.run("fab", "deploy")
    with (project.root / "state" / "journal.jsonl").open("a") as file:
        file.write('{"at":"","event":"staging","release":"999999999-v1","change":2}\n')
    project.tag("v1.1.0", {"version.txt": "two"})
    told = project.told("fab", "deploy")
    assert (told.exit, told.result["outcome"]) == (3, "refused")
    assert "999999999" in told.error["what"]
    assert "journal" in told.error["cure"]
