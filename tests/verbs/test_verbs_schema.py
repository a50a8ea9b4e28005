"""A schema goes up and down with a project's releases: real commands, Django, and two databases of SQLite's."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from unit.schema.projects import AUDIT, POLLS
from verbs.conftest import Make
from verbs.project import Project, Told, eventually
from verbs.schemas import Migrated

FIRST = {"0001_polls": POLLS["0001_polls"]}
NO_WAY_BACK = {
    "0003_gone": """\
        dependencies = [("polls", "0002_votes")]
        operations = [migrations.RunPython(lambda apps, editor: None)]
        """,
}
BROKEN = {
    "0002_broken": """\
        dependencies = [("audit", "0001_entries")]
        operations = [migrations.RunSQL("NO SQL", "")]
        """,
}
COUNTED = {
    "0003_counted": """\
        def count(apps, editor):
            apps.get_model("polls", "Poll").objects.using(editor.connection.alias).update(votes=7)

        dependencies = [("polls", "0002_votes")]
        operations = [migrations.RunPython(count, migrations.RunPython.noop)]
        """,
}
SLOW = {
    "0002_slow": """\
        def wait(apps, editor):
            import pathlib, time

            if editor.connection.alias == "default":
                pathlib.Path("../../../began").touch()
                while not pathlib.Path("../../../go").exists():
                    time.sleep(0.05)

        dependencies = [("polls", "0001_polls")]
        operations = [
            migrations.AddField("poll", "votes", models.IntegerField(default=0)),
            migrations.RunPython(wait, migrations.RunPython.noop),
        ]
        """,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Migrated]:
    """A project with v1.0.0 live, which has the first steps; each test leaves that live, and all steps known."""
    project = Project(tmp_path_factory.mktemp("schema") / "blog", Path(tempfile.mkdtemp(prefix="tagship-")))
    try:
        project.begin()
        migrated = Migrated(project)
        migrated.tag("v1.0.0", FIRST)
        done = project.run("fab", "deploy")
        assert done.exit == 0, done.said
        yield migrated
    finally:
        project.end()


@pytest.fixture
def fresh(make: Make) -> Migrated:
    """Such a project for a test that doesn't leave it as it was."""
    migrated = Migrated(make(light=False))
    migrated.tag("v1.0.0", FIRST)
    done = migrated.project.run("fab", "deploy")
    assert done.exit == 0, done.said
    return migrated


def ok(told: Told) -> Told:
    assert told.result["exit"] == 0, told.events
    return told


def test_a_schema_goes_up_with_a_deploy_and_down_with_a_rollback(made: Migrated) -> None:
    """`plan --staged` shows the SQL and changes nothing; down undoes what up did; history tells each step."""
    project, before = made.project, made.schema()
    tag = made.tag("v2.0.0")
    released, sent = project.released(), project.current
    planned = ok(project.told("fab", "plan", "--staged", "--sql"))
    assert planned.result["outcome"] == "planned"
    said = {(row["database"], row["step"]): row["text"] for row in planned.of("sql")}
    assert 'INSERT INTO "new__polls_poll"' in said["default", "polls.0002_votes"]
    assert (project.current, made.schema()) == (sent, before)
    assert project.released().keys() == released.keys()

    up = ok(project.told("fab", "deploy")).result
    assert [row[0] for row in up["schema"]["applied"] if row[1] == "polls.0002_votes"] == ["default", "audit"]
    assert made.schema()["main"] == ["polls_poll.id", "polls_poll.title", "polls_poll.votes"]
    table = ok(project.told("fab", "migrations", "--stage", "local"))
    steps = {(row["database"], row["step"]): row for row in table.of("row")}
    assert steps["default", "polls.0002_votes"]["state"] == "applied"
    assert steps["default", "polls.0002_votes"]["by"] == up["release"]
    assert steps["default", "polls.0002_votes"]["head_of"] == [up["release"]]
    assert steps["default", "polls.0001_polls"]["head_of"] == ["0001-v1.0.0"]

    down = ok(project.told("fab", "rollback")).result
    assert down["schema"]["state"] == "fits"
    assert made.schema() == before
    changes = project.told("fab", "history", "--last", "2").of("row")
    assert changes[0]["schema"][0].startswith("up default/polls.0002_votes (")
    assert changes[1]["schema"][1].startswith("down default/polls.0002_votes (")
    assert tag in changes[0]["to"]


def test_rows_go_only_where_that_was_said(made: Migrated) -> None:
    """A column with data: refused with its rows, before anything is changed; then dropped, or kept."""
    project = made.project
    made.tag("v2.1.0")
    ok(project.told("fab", "deploy"))
    made.rows("main", "INSERT INTO polls_poll (title, votes) VALUES ('tea?', 3)")
    before, journal = project.released(), project.journal()
    refused = project.told("fab", "rollback")
    assert refused.result["exit"] == 3
    assert refused.error["tail"] == ["default: column polls_poll.votes, 1 row (polls.0002_votes)"]
    assert (project.released(), project.journal()) == (before, journal)

    kept = ok(project.told("fab", "rollback", "--keep-schema")).result
    assert [row[1:] for row in kept["schema"]["kept"] if row[0] == "default"] == [
        ["polls.0002_votes", "--keep-schema"]
    ]
    said = [note["text"] for note in project.told("fab", "status").of("note")]
    assert any("default/polls.0002_votes stays up" in text and "--keep-schema" in text for text in said), said

    done = ok(project.told("fab", "rollback", "--to", "0001-v1.0.0", "--yes-drop-data")).result
    assert ["default", "polls.0002_votes"] in done["schema"]["reversed"]
    assert made.schema()["main"] == ["polls_poll.id", "polls_poll.title"]
    assert made.rows("main", "SELECT title FROM polls_poll") == [("tea?",)]
    assert project.told("fab", "status").of("note") == []
    made.rows("main", "DELETE FROM polls_poll")


def test_what_fails_in_the_second_database_reverses_the_first(made: Migrated) -> None:
    """Exit 4: the old schema and the old code serve on."""
    project, before, current = made.project, made.schema(), made.project.current
    made.tag("v2.2.0", POLLS, {**AUDIT, **BROKEN})
    failed = project.told("fab", "deploy")
    assert failed.result["exit"] == 4, failed.events
    assert "NO SQL" in str(failed.error) or "syntax error" in str(failed.error)
    assert (made.schema(), project.current) == (before, current)
    assert failed.result["schema"]["state"] == "fits"
    assert failed.result["schema"]["applied"] == []


def test_a_release_that_is_not_well_takes_its_steps_back(made: Migrated) -> None:
    """All of them, where no row is lost; else they stay up, and status says so until that is settled."""
    project, before, current = made.project, made.schema(), made.project.current
    made.tag("v2.4.0", app={"behaviour.txt": "exits"})
    failed = project.told("fab", "deploy")
    assert failed.result["exit"] == 4, failed.events
    assert (made.schema(), project.current) == (before, current)

    made.rows("main", "INSERT INTO polls_poll (title) VALUES ('tea?')")
    made.tag("v2.5.0", {**POLLS, **COUNTED}, app={"behaviour.txt": "exits"})
    failed = project.told("fab", "deploy")
    assert failed.result["exit"] == 5, failed.events
    stays = [row[:2] for row in failed.result["schema"]["kept"]]
    assert ["default", "polls.0002_votes"] in stays
    assert "stays up" in failed.error["hosts"]["local"]
    said = [note["text"] for note in project.told("fab", "status").of("note")]
    assert any("default/polls.0002_votes stays up" in text for text in said), said
    ok(project.told("fab", "rollback", "--to", "v1.0.0", "--yes-drop-data"))
    assert (made.schema(), project.current) == (before, current)
    assert project.told("fab", "status").of("note") == []
    made.rows("main", "DELETE FROM polls_poll")
    project.write({"behaviour.txt": "well"})


def test_an_irreversible_step_is_refused_on_the_way_down(fresh: Migrated) -> None:
    """It was said when it went up; a rollback past it changes nothing, unless the schema is kept."""
    made, project = fresh, fresh.project
    made.tag("v2.3.0", {**POLLS, **NO_WAY_BACK})
    up = ok(project.told("fab", "deploy"))
    assert any("polls.0003_gone: irreversible" in note["text"] for note in up.of("note"))
    before = project.released()
    refused = project.told("fab", "rollback")
    assert refused.result["exit"] == 3
    assert any("polls.0003_gone" in line for line in refused.error["tail"])
    assert project.released() == before
    older = project.told("fab", "deploy", "--tag", "v1.0.0")
    assert older.result["exit"] == 3
    assert "has no such step" in str(older.error)
    ok(project.told("fab", "deploy", "--tag", "v1.0.0", "--keep-schema"))
    assert project.current is not None
    assert project.current.endswith("-v1.0.0")


def test_a_client_that_dies_while_it_migrates_is_outlived_by_the_step(fresh: Migrated) -> None:
    """The step ends by itself, nothing else starts; who waits for it says so, and works then.

    First a client that was interrupted waits for its own, to take it back; then the next deploy, for a killed one's.
    """
    made, project = fresh, fresh.project
    before = made.schema()
    made.tag("v1.9.0", {**FIRST, **SLOW})
    with project.begun("fab", "deploy") as client:
        client.until("up default")
        eventually((project.root / "began").exists, "the step never began")
        client.signal(signal.SIGINT)
        assert "waiting" in client.noted("a migration of a session that died still runs")
        (project.root / "go").touch()
        interrupted = client.ended()
    assert interrupted.exit == 130, interrupted.events
    assert (made.schema(), project.current) == (before, "0001-v1.0.0")
    for name in ("began", "go"):
        (project.root / name).unlink()
    made.tag("v2.0.0", {**FIRST, **SLOW})
    with project.begun("fab", "deploy") as client:
        client.until("up default")
        eventually((project.root / "began").exists, "the step never began")
        client.signal(signal.SIGKILL)
        client.process.wait()
    made.tag("v2.0.1", {**FIRST, **SLOW})
    with project.begun("fab", "deploy") as second:
        assert "waiting" in second.noted("a migration of a session that died still runs")
        (project.root / "go").touch()
        ok(second.ended())
    assert made.schema()["main"] == ["polls_poll.id", "polls_poll.title", "polls_poll.votes"]
    assert project.current is not None
    assert project.current.endswith("-v2.0.1")
    ok(project.told("fab", "rollback"))
    assert made.schema()["main"] == ["polls_poll.id", "polls_poll.title"]
