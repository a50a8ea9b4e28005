"""Up and down by the agent, on real databases, with every step in the journal."""

from __future__ import annotations

import json

import pytest
from postgres import Postgres
from unit.host import schemas
from unit.host.client import Host
from unit.schema import projects


@pytest.fixture
def urls(postgres: Postgres) -> dict[str, str]:
    """Two empty databases."""
    return {"MAIN_URL": postgres.create("main"), "AUDIT_URL": postgres.create("audit")}


def test_django_goes_up_and_down_in_two_databases(host: Host, postgres: Postgres, urls: dict[str, str]) -> None:
    """Every step is journaled before and after; down again, nothing of it is left."""
    agent = schemas.agent_of(host, urls=urls)
    made = schemas.release(1, projects.django(), projects.DJANGO)
    schemas.furnish(host, agent, made)
    told = agent.ask("heads", release=made.id)["databases"]
    assert [(one["name"], one["kind"], one["heads"]) for one in told] == [
        ("default", "django", ["audit.0001_entries", "polls.0002_votes"]),
        ("audit", "django", ["audit.0001_entries", "polls.0002_votes"]),
    ]
    agent.ask("seal", release=made.id)
    record = json.loads(host.path("releases", made.id, "release.json").read_text())
    assert record["heads"]["audit"] == ["audit.0001_entries", "polls.0002_votes"]
    empty = postgres.dump("main")
    done = schemas.up(agent, made)["applied"]
    assert [(one["database"], one["id"]) for one in done] == [
        (database, step)
        for database in ("default", "audit")
        for step in ("audit.0001_entries", "polls.0001_polls", "polls.0002_votes")
    ]
    assert "polls_poll" in postgres.dump("main") and "audit_entry" not in postgres.dump("main")
    assert "audit_entry" in postgres.dump("audit") and "polls_poll" not in postgres.dump("audit")
    assert schemas.pending(agent, made) == []
    back = [[one["database"], one["id"]] for one in reversed(done)]
    assert len(schemas.down(agent, made, back)["reversed"]) == 6
    assert "polls_poll" not in postgres.dump("main") and "django_migrations" not in empty
    went = [(event, where) for event, where in schemas.moves(host) if where == "default/polls.0002_votes"]
    assert [event for event, _ in went] == ["migrating", "migrated", "reversing", "reversed"]


SMALL = {
    "alembic": (projects.alembic(), projects.ALEMBIC, ["aaa1", "bbb2"]),
    "sql": (projects.sql(), projects.SQL, ["0001.polls", "0002.votes"]),
    "command": (projects.command(), projects.COMMAND, ["1", "2"]),
    "django": (projects.django(audit={}), {**projects.DJANGO, "databases": ["default"]}, []),
}


@pytest.mark.parametrize(
    ("kind", "vendor"),
    [
        ("alembic", "postgresql"),
        ("alembic", "sqlite"),
        ("sql", "postgresql"),
        ("sql", "sqlite"),
        ("command", "sqlite"),
    ],
)
def test_others_go_up_and_down_likewise(host: Host, request: pytest.FixtureRequest, kind: str, vendor: str) -> None:
    """One protocol: what is pending, what it would send, what it would lose, up, and step by step down again."""
    url = f"sqlite:///{host.home}/main.db"
    if vendor == "postgresql":
        url = request.getfixturevalue("postgres").create("main")
        url = url.replace("postgresql://", "postgresql+psycopg://") if kind == "alembic" else url
    agent = schemas.agent_of(host, urls={"MAIN_URL": url})
    files, item, steps = SMALL[kind]
    made = schemas.stage(host, agent, schemas.release(1, files, item))
    (told,) = agent.ask("schema", release=made.id, sizes=True)["databases"]
    assert (told["pending"], told["applied"], told["heads"], told["conflicts"]) == (steps, [], steps[1:], [])
    sql = agent.ask("statements", release=made.id, steps=[["default", steps[0]]], down=False)["sql"]
    assert "create table polls" in " ".join(sql[0][2].lower().split())
    assert [one["id"] for one in schemas.up(agent, made)["applied"]] == steps
    (told,) = agent.ask("schema", release=made.id, sizes=True)["databases"]
    assert [(one["id"], one["by"]) for one in told["applied"]] == [(step, made.id) for step in steps]
    assert (told["pending"], told["unknown"], told["edited"]) == ([], [], [])
    back = [["default", step] for step in reversed(steps)]
    if kind == "command":  # which can't be asked what a table holds
        kept = schemas.down(agent, made, back)["kept"]
        assert kept == [["default", "1", "it would lose what is in (unknown)"]]
        back = back[1:]
    schemas.down(agent, made, back, drop=kind == "command")
    (told,) = agent.ask("schema", release=made.id, sizes=False)["databases"]
    assert (told["pending"], told["applied"]) == (steps, [])


def test_an_older_release_is_not_bothered_by_a_squashed_step(host: Host) -> None:
    """The database remembers that one beside its parts: a release on disk says what it stands for."""
    squashed = """\
        replaces = [("polls", "0001_polls"), ("polls", "0002_votes")]
        operations = [
            migrations.CreateModel(name="Poll", fields=[("id", models.BigAutoField(primary_key=True))]),
        ]
        """
    urls = {"MAIN_URL": f"sqlite:///{host.home}/main.db", "AUDIT_URL": f"sqlite:///{host.home}/audit.db"}
    item = {**projects.DJANGO, "databases": ["default"]}
    agent = schemas.agent_of(host, urls=urls)
    old = schemas.stage(host, agent, schemas.release(1, projects.django(audit={}), item))
    files = projects.django({**projects.POLLS, "0001_squashed": squashed}, {})
    new = schemas.stage(host, agent, schemas.release(2, files, item))
    schemas.up(agent, new)
    for made in (old, new):
        (told,) = agent.ask("schema", release=made.id, sizes=False)["databases"]
        assert [one["id"] for one in told["applied"]] == ["polls.0001_polls", "polls.0002_votes"]
        assert (told["pending"], told["unknown"]) == ([], [])
