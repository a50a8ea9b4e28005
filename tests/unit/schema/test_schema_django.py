"""The adapter for Django, on real databases."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from postgres import Postgres
from unit.schema import projects
from unit.schema.asked import Told, asked
from unit.schema.projects import POLLS

ONE = {**projects.DJANGO, "databases": ["default"]}


MODELS = """\
from django.db import models


class Poll(models.Model):
    title = models.CharField(max_length=80)
"""


def project(**polls: str) -> dict[str, str]:
    """The project, with more migrations of polls; each depends on the one before it unless it says so itself."""
    found = dict(POLLS)
    for name, body in polls.items():
        before = f'dependencies = [("polls", "{list(found)[-1]}")]\n'
        found[name[1:]] = body if "dependencies" in body else before + dedent(body)
    files = projects.django(found, {})
    files["polls/models.py"] = MODELS
    return {**files, "settings.py": files["settings.py"] + 'print("an application may print", DATABASES)\n'}


def sqlite(tmp_path: Path) -> dict[str, str]:
    """A database in a file."""
    return {"MAIN_URL": f"sqlite:///{tmp_path}/main.db", "AUDIT_URL": f"sqlite:///{tmp_path}/audit.db"}


@pytest.fixture
def urls(postgres: Postgres) -> dict[str, str]:
    """Two databases on a server."""
    return {"MAIN_URL": postgres.create("django"), "AUDIT_URL": postgres.create("django_audit")}


MANY = project(
    _0003_python="operations = [migrations.RunPython(print)]",
    _0004_back="operations = [migrations.RunPython(print, print), migrations.RunSQL('SELECT 1', 'SELECT 1')]",
    _0005_sql="operations = [migrations.RunSQL('DROP TABLE old; CREATE INDEX i ON polls_poll (title)')]",
    _0006_remove="operations = [migrations.RemoveField('poll', 'votes')]",
    _0007_remove="operations = [migrations.RemoveField('poll', 'title')]",
    _0008_add="""\
        operations = [
            migrations.AddField("poll", "name", models.CharField(max_length=9, null=True)),
            migrations.AddField("poll", "owner", models.ForeignKey("poll", models.CASCADE, null=True)),
            migrations.AddField("poll", "likes", models.ManyToManyField("poll")),
        ]
        """,
    _0009_alter="""\
        operations = [
            migrations.AlterField("poll", "name", models.CharField(max_length=20)),
            migrations.AlterField("poll", "name", models.IntegerField()),
            migrations.RenameField("poll", "name", "number"),
            migrations.AddIndex("poll", models.Index(fields=["number"], name="by_number")),
        ]
        """,
    _0010_concurrent="""\
        atomic = False
        operations = [migrations.RenameModel("Poll", "Survey"), migrations.DeleteModel("Survey")]
        """,
)


def test_facts_are_read_without_a_database(tmp_path: Path) -> None:
    """What goes up drops, adds and locks, and why it can't go down, by the state before each operation."""
    nowhere = {"MAIN_URL": "postgresql://x@/none?host=/nonexistent", "AUDIT_URL": "sqlite:////nonexistent/audit"}
    with asked(tmp_path, MANY, ONE, nowhere) as program:
        (told,) = program.ask("heads")["databases"]
    steps = {step["id"].removeprefix("polls."): step for step in told["steps"]}
    assert told["heads"] == ["polls.0010_concurrent"]
    assert steps["0002_votes"]["parents"] == ["polls.0001_polls"]
    assert {name: step["why"] for name, step in steps.items() if not step["reversible"]} == {
        "0003_python": "RunPython(print) without `reverse_code`",
        "0005_sql": "RunSQL without `reverse_sql`",
        "0007_remove": "polls_poll.title was NOT NULL without a default: no row could take it back",
    }
    facts = {name: (step["drops"], step["adds"]) for name, step in steps.items() if step["drops"] or step["adds"]}
    assert facts == {
        "0001_polls": ([], [["polls_poll", None]]),
        "0002_votes": ([], [["polls_poll", "votes"]]),
        "0005_sql": ([["old", None]], []),
        "0006_remove": ([["polls_poll", "votes"]], []),
        "0007_remove": ([["polls_poll", "title"]], []),
        "0008_add": ([], [["polls_poll", "name"], ["polls_poll", "owner_id"], ["polls_poll_likes", None]]),
        "0009_alter": ([["polls_poll", "name"]], []),
        "0010_concurrent": ([["polls_poll", None], ["polls_survey", None], ["polls_survey_likes", None]], []),
    }
    assert [line for _, line in steps["0009_alter"]["locks"]] == [
        "NOT NULL reads the whole table",
        "another type writes the whole table anew",
        "an index is built while writes wait",
    ]
    assert told["uses"] == [["polls_poll", "id"], ["polls_poll", "title"]]  # by models.py, which forgot all else
    assert (steps["0010_concurrent"]["atomic"], steps["0001_polls"]["atomic"]) == (False, True)


SQUASHED = project(
    _0003_more="""operations = [migrations.AddField("poll", "more", models.TextField(null=True))]""",
    _0001_squashed="""\
        replaces = [("polls", "0001_polls"), ("polls", "0002_votes"), ("polls", "0003_more")]
        dependencies = []
        operations = [
            migrations.CreateModel(
                name="Poll",
                fields=[
                    ("id", models.BigAutoField(primary_key=True)),
                    ("title", models.CharField(max_length=80)),
                    ("votes", models.IntegerField(default=0)),
                    ("more", models.TextField(null=True)),
                ],
            )
        ]
        """,
)
PARTS = ["polls.0001_polls", "polls.0002_votes", "polls.0003_more"]


def test_to_squash_moves_nothing(tmp_path: Path, urls: Mapping[str, str], postgres: Postgres) -> None:
    """The database remembers parts, so parts are told: by code with the squashed migration, and by code without."""
    plain = {name: text for name, text in SQUASHED.items() if "squashed" not in name}
    with asked(tmp_path / "old", plain, ONE, urls) as program:
        program.up()
        before = postgres.dump("django")
    with asked(tmp_path / "new", SQUASHED, ONE, urls) as program:
        told = program.state()
        assert (told["applied"], told["pending"], told["unknown"]) == (PARTS, [], [])
        assert [step["id"] for step in told["steps"]] == [*PARTS, "polls.0001_squashed"]
        assert program.up() == []
        program.down("polls.0003_more")
        program.up()
    fresh = {**urls, "MAIN_URL": postgres.create("django_fresh")}
    with asked(tmp_path / "new", {}, ONE, fresh) as program:
        assert program.state()["pending"] == ["polls.0001_squashed"]
        program.up()
        assert sorted(program.state()["applied"]) == PARTS
    assert postgres.dump("django") == before == postgres.dump("django_fresh")
    with asked(tmp_path / "old", {}, ONE, fresh) as program:
        told = program.state()
        assert (told["pending"], told["unknown"]) == ([], ["polls.0001_squashed"])
    for name in PARTS:
        (tmp_path / "new" / "polls" / "migrations" / f"{name.removeprefix('polls.')}.py").unlink()
    with asked(tmp_path / "new", {}, ONE, fresh) as program:
        assert "its file is gone" in program.step(PARTS[2])["why"]


def test_two_heads_are_told(tmp_path: Path) -> None:
    """Both depend on the same migration; nobody said which comes first."""
    files = project(
        _0003_a='dependencies = [("polls", "0002_votes")]\noperations = []',
        _0003_b='dependencies = [("polls", "0002_votes")]\noperations = []',
    )
    with asked(tmp_path, files, ONE, sqlite(tmp_path)) as program:
        (told,) = program.ask("heads")["databases"]
        assert told["heads"] == ["polls.0003_a", "polls.0003_b"]
        assert told["conflicts"] == ["polls has 2 heads: 0003_a, 0003_b"]


def test_outside_a_transaction_it_tells_what_was_done(tmp_path: Path, urls: Mapping[str, str]) -> None:
    """Operation by operation, for somebody must go on from there."""
    files = project(
        _0003_long="""\
            atomic = False
            operations = [
                migrations.AddField("poll", "a", models.IntegerField(null=True)),
                migrations.RunSQL("SELECT 1/0", ""),
                migrations.AddField("poll", "b", models.IntegerField(null=True)),
            ]
            """
    )
    with asked(tmp_path, files, ONE, urls) as program:
        with pytest.raises(Told, match="division by zero") as caught:
            program.up()
        assert caught.value.data == {"partly": True, "done": ["Add field a to poll"], "of": 3}
        assert program.state()["pending"] == ["polls.0003_long"]


@pytest.mark.parametrize("vendor", ["postgresql", "sqlite"])
def test_only_what_is_more_than_a_default_would_be_lost(
    tmp_path: Path, request: pytest.FixtureRequest, vendor: str
) -> None:
    """A column that every row got with its default can go again; rows of a table can't."""
    urls: Any = sqlite(tmp_path) if vendor == "sqlite" else request.getfixturevalue("urls")
    files = project(
        _0003_rows="""\
            operations = [
                migrations.RunSQL("INSERT INTO polls_poll (id, title, votes) VALUES (1, 'a', 0), (2, 'b', 0)", ""),
            ]
            """,
        _0004_votes="""operations = [migrations.RunSQL("UPDATE polls_poll SET votes = 7 WHERE id = 1", "")]""",
    )
    with asked(tmp_path, files, ONE, urls) as program:
        added = program.up("polls.0001_polls", "polls.0002_votes")
        assert [one["adds"] for one in added] == [[["polls_poll", None]], [["polls_poll", "votes"]]]
        assert program.loss("polls.0001_polls") == program.loss("polls.0002_votes") == []
        program.up("polls.0003_rows")
        assert program.loss("polls.0001_polls") == [("polls_poll", None, 2)]
        assert program.loss("polls.0002_votes") == []
        program.up("polls.0004_votes")
        assert program.loss("polls.0002_votes") == [("polls_poll", "votes", 1)]


def test_the_sql_of_a_step_is_told_and_not_run(tmp_path: Path, urls: Mapping[str, str], postgres: Postgres) -> None:
    """Either way, as the schema editor would send it."""
    with asked(tmp_path, project(), ONE, urls) as program:
        up = program.ask("sql", step="polls.0002_votes", down=False)["text"]
        down = program.ask("sql", step="polls.0002_votes", down=True)["text"]
    assert 'ALTER TABLE "polls_poll" ADD COLUMN "votes" integer' in up
    assert 'ALTER TABLE "polls_poll" DROP COLUMN "votes"' in down
    assert postgres.dump("django") == ""
