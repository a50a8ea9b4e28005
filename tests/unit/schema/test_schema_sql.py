"""The adapter for files of SQL, what SQL text says, and the adapter for commands."""

from __future__ import annotations

from pathlib import Path

import pytest
from postgres import Postgres
from unit.schema import projects
from unit.schema.asked import Told, asked
from unit.schema.projects import COMMAND, FILES, SQL

from tagship.host.schema_tables import facts_of


@pytest.mark.parametrize(
    ("text", "drops", "adds", "locks"),
    [
        ("CREATE TABLE IF NOT EXISTS Polls (id int)", [], [["polls", None]], []),
        ('create table public."Polls" (id int);', [], [["Polls", None]], []),
        ("-- DROP TABLE a;\nSELECT 1; /* DROP TABLE b; */", [], [], []),
        ("DROP TABLE IF EXISTS other.polls CASCADE", [["other.polls", None]], [], []),
        (
            "ALTER TABLE polls ADD COLUMN a int, DROP COLUMN IF EXISTS b, ADD c numeric(5, 2)",
            [["polls", "b"]],
            [["polls", "a"], ["polls", "c"]],
            [],
        ),
        ("ALTER TABLE polls RENAME TO votes", [["polls", None]], [], []),
        ("ALTER TABLE polls RENAME title TO name", [["polls", "title"]], [], []),
        ("ALTER TABLE polls RENAME CONSTRAINT a TO b", [], [], []),
        ("ALTER TABLE ONLY polls ALTER a SET NOT NULL", [], [], [["polls", "NOT NULL reads the whole table"]]),
        (
            "ALTER TABLE polls ALTER COLUMN a TYPE text",
            [],
            [],
            [["polls", "another type writes the whole table anew"]],
        ),
        ("CREATE UNIQUE INDEX i ON polls (a)", [], [], [["polls", "an index is built while writes wait"]]),
        ("CREATE INDEX CONCURRENTLY i ON polls (a)", [], [], []),
        (
            "ALTER TABLE polls ADD CONSTRAINT c CHECK (a > 0)",
            [],
            [],
            [["polls", "a constraint reads the whole table"]],
        ),
        ("ALTER TABLE polls ADD CONSTRAINT c CHECK (a > 0) NOT VALID", [], [], []),
        ("ALTER TABLE polls ADD UNIQUE (a)", [], [], [["polls", "an index is built while all wait"]]),
        ("ALTER TABLE polls ADD CONSTRAINT c UNIQUE USING INDEX i", [], [], []),
    ],
)
def test_sql_text_tells_what_it_does(text: str, drops: list[object], adds: list[object], locks: list[object]) -> None:
    """By the words that people and tools write; the catalogue tells what it really did."""
    assert facts_of(text) == {"drops": drops, "adds": adds, "locks": locks}


def test_a_step_and_its_memory_are_one_transaction(tmp_path: Path, postgres: Postgres) -> None:
    """Where it can't be remembered, nothing of it is there: so no kill can part the two."""
    url = {"MAIN_URL": postgres.create("files")}
    with asked(tmp_path, projects.sql(), SQL, url) as program:
        assert program.state()["pending"] == ["0001.polls", "0002.votes"]
        assert postgres.dump("files") == ""  # who looks changes nothing
        program.up("0001.polls")
        postgres.query("files", "ALTER TABLE _yoyo_migration ADD CHECK (migration_id <> '0002.votes')")
        with pytest.raises(Told, match="CheckViolation"):
            program.up("0002.votes")
        assert "votes" not in postgres.dump("files").replace("0002.votes", "")
        postgres.query("files", "ALTER TABLE _yoyo_migration DROP CONSTRAINT _yoyo_migration_migration_id_check")
        assert program.up("0002.votes")[0]["adds"] == [["polls", "votes"]]
        postgres.query("files", "INSERT INTO polls VALUES (1, 'a', 0), (2, 'b', 3)")
        assert program.loss("0002.votes") == [("polls", "votes", 1)]
        assert program.loss("0001.polls") == [("polls", None, 2)]


def test_files_say_what_they_depend_on_and_whether_they_go_back(tmp_path: Path) -> None:
    """Without a word, each comes after the one before it; without a rollback file, it stays."""
    files = {
        **FILES,
        "0003.a.sql": "-- depends: 0001.polls\n-- transactional: false\nCREATE INDEX CONCURRENTLY i ON polls (id);",
        "0004.b.sql": "-- depends: 0002.votes 0003.a\nDROP TABLE old;",
        "0004.b.rollback.sql": "\n",
    }
    with asked(tmp_path, projects.sql(files), SQL) as program:
        (told,) = program.ask("heads")["databases"]
        with pytest.raises(Told, match="the environment has no MAIN_URL"):
            program.state()
    steps = {step["id"]: step for step in told["steps"]}
    assert told["heads"] == ["0004.b"]
    assert {name: step["parents"] for name, step in steps.items()} == {
        "0001.polls": [],
        "0002.votes": ["0001.polls"],
        "0003.a": ["0001.polls"],
        "0004.b": ["0002.votes", "0003.a"],
    }
    assert [name for name, step in steps.items() if not step["atomic"]] == ["0003.a"]
    assert {name: step["why"] for name, step in steps.items() if not step["reversible"]} == {
        "0003.a": "there is no 0003.a.rollback.sql",
        "0004.b": "there is no 0004.b.rollback.sql",
    }


@pytest.mark.parametrize("python", sorted(Path("~/.pyenv/versions").expanduser().glob("3.9*/bin/python3")))
def test_the_program_runs_on_the_oldest_python(tmp_path: Path, python: Path) -> None:
    """The release's own, whichever that is, from 3.9 on."""
    url = {"MAIN_URL": f"sqlite:///{tmp_path}/main.db"}
    with asked(tmp_path, projects.command(), COMMAND, url, str(python)) as program:
        assert len(program.up()) == 2
        assert program.state()["applied"] == ["1", "2"]
        assert program.loss("2") == []
        assert program.ask("loss", step="1", adds=None)["loss"] == [
            {"table": "(unknown)", "column": None, "rows": None}
        ]


def test_a_command_that_fails_is_told_with_its_status(tmp_path: Path) -> None:
    """What it printed is in the log."""
    files = {
        "move.py": "import sys\nsys.exit(3 if sys.argv[1] == 'up' else print('1') if sys.argv[1] == 'heads' else 0)\n"
    }
    with (
        asked(tmp_path, files, COMMAND) as program,
        pytest.raises(Told, match=r"`python move\.py up 1` failed: exit status 3"),
    ):
        program.up()


@pytest.mark.parametrize("vendor", ["postgresql", "sqlite"])
def test_what_was_renamed_was_not_added(tmp_path: Path, request: pytest.FixtureRequest, vendor: str) -> None:
    """Its rows go nowhere on the way down. A column in another's place, and a table made anew, are new though."""
    url = {"MAIN_URL": f"sqlite:///{tmp_path}/main.db"}
    if vendor == "postgresql":
        url = {"MAIN_URL": request.getfixturevalue("postgres").create("files")}
    files = {
        "0003.rename.sql": "ALTER TABLE polls RENAME COLUMN votes TO score; ALTER TABLE polls RENAME TO surveys;",
        "0004.other.sql": "ALTER TABLE surveys DROP COLUMN score; ALTER TABLE surveys ADD COLUMN place integer;",
        "0005.anew.sql": "CREATE TABLE anew (id integer); DROP TABLE surveys;",
    }
    with asked(tmp_path, projects.sql({**FILES, **files}), SQL, url) as program:
        done = program.up()
    assert [one["adds"] for one in done[2:]] == [[], [["surveys", "place"]], [["anew", None]]]
    assert done[4]["drops"] == [["surveys", None]]
