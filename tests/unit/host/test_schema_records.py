"""What is told and kept beside the steps: backups, edits, what one change applied, and which release must stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from unit.host import schemas
from unit.host.client import Agent, AgentError, Host, Release, stage_until
from unit.schema import projects

ONE, TWO = ["default", "0001.polls"], ["default", "0002.votes"]
FIRST = {name: text for name, text in projects.FILES.items() if name.startswith("0001")}


@pytest.fixture
def agent(host: Host) -> Agent:
    """It has the lock for change 1; the database is a file."""
    return schemas.agent_of(host, 1, urls={"MAIN_URL": f"sqlite:///{host.home}/main.db"})


def staged(host: Host, agent: Agent, serial: int = 1, files: dict[str, str] | None = None) -> Release:
    """A release of SQL files."""
    tree = projects.sql(projects.FILES if files is None else files)
    return schemas.stage(host, agent, schemas.release(serial, tree, projects.SQL))


def look(agent: Agent, made: Release) -> dict[str, Any]:
    """What it tells of its one database."""
    (told,) = agent.ask("schema", release=made.id, sizes=False)["databases"]
    found: dict[str, Any] = told
    return found


def test_nothing_goes_up_without_its_backup(host: Host, agent: Agent) -> None:
    """The file is named in the answer and in the journal; a command that wrote none is a failure before anything."""
    made = staged(host, agent)
    with pytest.raises(AgentError, match="before_up wrote no backup"):
        schemas.up(agent, made, before=["true", "{backup}"])
    with pytest.raises(AgentError, match="before_up failed: exit status 1") as caught:
        schemas.up(agent, made, before=["false"])
    assert caught.value.data == {"applied": [], "partly": None, "backup": None}
    assert schemas.moves(host) == []
    told = schemas.up(agent, made, [ONE], before=["sh", "-c", 'echo saved >"$1"', "sh", "{backup}"])
    assert Path(told["backup"]).parent == host.path("shared", "backups")
    assert Path(told["backup"]).read_text() == "saved\n"
    named = schemas.up(agent, made, [TWO], before=["sh", "-c", 'echo done; echo "$0"', told["backup"]])
    assert named["backup"] == told["backup"]
    found = [row for row in schemas.rows(host) if row["event"] in ("backup", "migrating")]
    assert [row["event"] for row in found] == ["backup", "migrating", "backup", "migrating"]
    assert (found[0]["path"], found[0]["bytes"]) == (told["backup"], 6)


def test_what_was_edited_after_it_was_applied_is_told(host: Host, agent: Agent) -> None:
    """By the digest that the journal has of it."""
    made = staged(host, agent)
    schemas.up(agent, made)
    edited = {**projects.FILES, "0001.polls.sql": projects.FILES["0001.polls.sql"] + " -- more"}
    told = look(agent, staged(host, agent, 2, edited))
    assert (told["edited"], told["pending"]) == (["0001.polls"], [])
    assert [one["by"] for one in told["applied"]] == [made.id, made.id]


def test_an_unwind_reverses_what_its_change_applied_and_no_more(host: Host, agent: Agent) -> None:
    """Whichever session did it; and what would lose rows stays, with the reason in the journal."""
    first = staged(host, agent, 1, FIRST)
    schemas.up(agent, first)
    agent.ask("unlock")
    agent.ask("lock", owner="ann", release=None, verb="deploy", change=2)
    files = {
        **projects.FILES,
        "0003.more.sql": "CREATE TABLE more (id integer); INSERT INTO more VALUES (1);",
        "0003.more.rollback.sql": "DROP TABLE more;",
        "0004.last.sql": "CREATE TABLE last (id integer);",
        "0004.last.rollback.sql": "DROP TABLE last;",
    }
    second = staged(host, agent, 2, files)
    schemas.up(agent, second)
    agent.process.kill()
    again = schemas.agent_of(host, 2)
    told = schemas.down(again, second, [], only=True)
    assert [one["id"] for one in told["reversed"]] == ["0004.last"]
    assert told["kept"] == [
        ["default", "0003.more", "it would lose 1 row of more"],
        ["default", "0002.votes", "0003.more stays, which came after it"],
    ]
    assert [one["kept"] for one in look(again, second)["applied"]] == [None, told["kept"][1][2], told["kept"][0][2]]
    assert [one["id"] for one in schemas.down(again, second, [["default", "0003.more"]], drop=True)["reversed"]] == [
        "0003.more"
    ]
    again.ask("stay", release=second.id, steps=[TWO], why="a host is away")
    assert look(again, second)["applied"][-1]["kept"] == "a host is away"
    assert [row["event"] for row in again.ask("history", changes=1)["rows"]][:2] == ["begun", "migrated"]


def test_what_alone_can_reverse_steps_is_kept(host: Host, agent: Agent) -> None:
    """A survey tells of it, and `prune` passes it by, until its steps are gone or what is current has them."""
    first, second, third = (staged(host, agent, number, FIRST if number == 1 else None) for number in (1, 2, 3))
    schemas.up(agent, second)
    agent.ask("flip", to=first.id, **{"from": None})

    def holding() -> dict[str, bool]:
        return {release["id"]: release["holds"] for release in host.look()["releases"]}

    assert holding() == {first.id: False, second.id: True, third.id: False}
    heads = {release["id"]: release["schema"] for release in host.look()["releases"]}
    assert heads == {
        first.id: {"default": ["0001.polls"]},
        second.id: {"default": ["0002.votes"]},
        third.id: {"default": ["0002.votes"]},
    }
    assert agent.ask("prune", keep=1)["removed"] == [third.id]
    schemas.down(agent, second, [TWO])
    assert holding() == {first.id: False, second.id: False}
    schemas.up(agent, second)
    agent.ask("flip", to=second.id, **{"from": first.id})
    assert holding() == {first.id: False, second.id: False}


def test_what_a_release_says_of_its_schema_is_no_drift(host: Host, agent: Agent) -> None:
    """release.json gets it before it is sealed; heads that aren't asked for in time are unknown."""
    made = staged(host, agent)
    silent = schemas.release(2, projects.sql(), projects.SQL)
    schemas.furnish(host, agent, silent)
    agent.ask("seal", release=silent.id)
    assert host.look()["releases"][1]["schema"] == {"default": None}
    host.more = ("verify",)
    fresh = host.connect()
    host.survey(fresh)
    drift = fresh.ask("verify", release=made.id)["drift"]
    assert [row for row in drift if "release.json" in row[0]] == []


def test_a_step_that_was_done_before_its_process_died_counts(host: Host) -> None:
    """The database says that it is applied; nothing else is begun by a process that is gone."""
    program = projects.command()["move.py"].replace('db.execute("COMMIT")', 'db.execute("COMMIT")\n    DIE')
    program = program.replace("DIE", "os.kill(os.getppid(), 9) if word == 'up' else None")
    agent = schemas.agent_of(host, urls={"MAIN_URL": f"sqlite:///{host.home}/main.db"})
    made = schemas.stage(host, agent, schemas.release(1, {"move.py": program}, projects.COMMAND))
    with pytest.raises(AgentError, match="the migrating process ended: signal 9") as caught:
        schemas.up(agent, made)
    assert [one["id"] for one in caught.value.data["applied"]] == ["1"]
    assert schemas.moves(host) == [("migrating", "default/1"), ("migrated", "default/1")]


def test_the_schema_of_what_has_no_virtualenv_is_refused(host: Host, agent: Agent) -> None:
    """It runs in the release's own."""
    made = schemas.release(1, projects.sql(), projects.SQL)
    stage_until(agent, made, "tree")
    with pytest.raises(AgentError, match="has no virtualenv on this host"):
        agent.ask("heads", release=made.id)


def test_what_keeps_code_from_being_asked_is_told_with_a_cure(host: Host, agent: Agent) -> None:
    """A library that the lock doesn't bring, a folder that isn't there; and noise before the first word is none."""
    made = schemas.release(1, projects.sql(), projects.SQL)
    schemas.furnish(host, agent, made)
    (site,) = host.path("releases", made.id, "venv", "lib").glob("python*/site-packages")
    (site / "noise.pth").write_text("import sys; print('{}'); print('hello')\n")
    assert agent.ask("heads", release=made.id)["databases"][0]["heads"] == ["0002.votes"]
    (site / "ours.pth").unlink()
    with pytest.raises(AgentError, match="No module named 'yoyo'") as caught:
        agent.ask("heads", release=made.id)
    assert caught.value.cure == "the release's lock must bring it"
    empty = schemas.release(2, {"a.txt": ""}, projects.SQL)
    schemas.furnish(host, agent, empty)
    with pytest.raises(AgentError, match="there is no folder migrations") as caught:
        agent.ask("heads", release=empty.id)
    assert caught.value.cure == "mend `folder` of `app.schema`"
