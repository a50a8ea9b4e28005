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
