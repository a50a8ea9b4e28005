"""What becomes of a step that fails, takes too long, or whose client, agent or warden dies under it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from postgres import Postgres
from unit.host import schemas
from unit.host.client import Agent, AgentError, Host, Release, until
from unit.schema import projects

STEPS = [["default", "0001.polls"], ["default", "0002.votes"], ["default", "0003.more"], ["default", "0004.last"]]
SLOW = "SELECT pg_sleep(4); CREATE TABLE slow (id integer);"


@pytest.fixture
def url(postgres: Postgres) -> str:
    """An empty database."""
    return postgres.create("failing")


def staged(host: Host, agent: Agent, third: str, *, serial: int = 1, more: bool = True) -> Release:
    """A release of SQL files with a third step, and a fourth behind it."""
    files = {**projects.FILES, "0003.more.sql": third}
    if more:
        files["0004.last.sql"] = "CREATE TABLE last (id integer);"
    return schemas.stage(host, agent, schemas.release(serial, projects.sql(files), projects.SQL))


def sleeping(postgres: Postgres) -> list[str]:
    """Names of the sessions that sleep in the database."""
    rows = postgres.query(
        "postgres",
        "SELECT application_name FROM pg_stat_activity WHERE datname = 'failing' AND query LIKE '%pg_sleep%'"
        " AND state = 'active'",
    )
    return [row[0] for row in rows]


def warden_of(host: Host) -> int:
    """The process that moves the schema for the agent."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words, place = (entry / "cmdline").read_bytes(), (entry / "cwd").readlink()
            except OSError:
                continue
            if b"\0schema_run\0" in words and place == host.root:
                return int(entry.name)
    raise AssertionError("there is no warden")


def ended(pid: int) -> bool:
    """Whether a process is gone."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def test_a_step_that_fails_in_a_transaction_leaves_nothing(host: Host, postgres: Postgres, url: str) -> None:
    """Those before it stay, and are told; those after it never begin."""
    agent = schemas.agent_of(host, urls={"MAIN_URL": url})
    made = staged(host, agent, "CREATE TABLE more (id integer); SELECT 1/0;")
    with pytest.raises(AgentError, match=r"migrating default/0003\.more failed: DivisionByZero") as caught:
        schemas.up(agent, made)
    assert [one["id"] for one in caught.value.data["applied"]] == ["0001.polls", "0002.votes"]
    assert caught.value.data["partly"] is None
    assert "TABLE public.more" not in postgres.dump("failing")
    assert schemas.moves(host)[-2:] == [("migrating", "default/0003.more"), ("broken", "default/0003.more")]
    assert schemas.pending(agent, made) == STEPS[2:]


def test_one_that_fails_outside_a_transaction_says_how_to_go_on(host: Host, postgres: Postgres, url: str) -> None:
    """What was done of it stays; journal and look tell of it until it is applied."""
    agent = schemas.agent_of(host, urls={"MAIN_URL": url})
    made = staged(host, agent, "-- transactional: false\nCREATE TABLE more (id integer);\nSELECT 1/0;")
    with pytest.raises(AgentError) as caught:
        schemas.up(agent, made)
    assert caught.value.data["partly"] == ["default", "0003.more"]
    assert "outside a transaction" in caught.value.cure and "counts it as not applied" in caught.value.cure
    assert "TABLE public.more" in postgres.dump("failing")
    (told,) = agent.ask("schema", release=made.id, sizes=False)["databases"]
    assert [one["id"] for one in told["partly"]] == ["0003.more"]


def test_limits_hold_in_the_database(host: Host, postgres: Postgres, url: str) -> None:
    """A lock that isn't free, and a statement that takes long, are errors after so many seconds."""
    agent = schemas.agent_of(host, urls={"MAIN_URL": url})
    made = staged(host, agent, "SELECT pg_sleep(30);", more=False)
    with pytest.raises(AgentError, match="QueryCanceled: canceling statement due to statement timeout"):
        schemas.up(agent, made, limits={**schemas.LIMITS, "statement_timeout": 0.2})
    import psycopg

    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE polls")
        with pytest.raises(AgentError, match="LockNotAvailable"):
            schemas.down(agent, made, STEPS[1::-1], drop=True, limits={**schemas.LIMITS, "lock_timeout": 0.2})


def test_at_its_deadline_a_session_is_cancelled_and_seen_to_be_gone(host: Host, postgres: Postgres, url: str) -> None:
    """Its name in the database tells which it is."""
    agent = schemas.agent_of(host, urls={"MAIN_URL": url})
    made = staged(host, agent, "SELECT pg_sleep(600);", more=False)
    agent.begin("up", release=made.id, steps=STEPS[:3], before=None, limits={**schemas.LIMITS, "deadline": 6})
    (session,) = until(lambda: sleeping(postgres))
    assert session == f"tagship-0001-{warden_of(host)}"
    with pytest.raises(AgentError, match=r"default/0003\.more failed: the deadline of 6 s has come"):
        agent.answer()
    assert sleeping(postgres) == []
    assert schemas.moves(host)[-1] == ("broken", "default/0003.more")


@pytest.mark.parametrize("how", ["client", "agent"])
def test_a_step_under_way_finishes_without_its_client(host: Host, postgres: Postgres, url: str, how: str) -> None:
    """It alone keeps the lock, is journaled, and nothing else starts; its release stays."""
    agent = schemas.agent_of(host, urls={"MAIN_URL": url})
    made = staged(host, agent, SLOW)
    agent.begin("up", release=made.id, steps=STEPS, before=None, limits=schemas.LIMITS)
    until(lambda: sleeping(postgres))
    warden = warden_of(host)
    if how == "client":
        agent.hang_up()
    else:
        agent.process.send_signal(signal.SIGKILL)
        agent.process.wait()
    other = host.connect()
    host.survey(other)
    holder: Any = until(lambda: other.ask("holder")["holder"])
    assert (holder["owner"], holder["verb"]) == ("ann", "deploy")
    with pytest.raises(AgentError, match="locked by ann"):
        other.ask("lock", owner="bob", release=None, verb="deploy")
    until(lambda: ended(warden))
    assert schemas.moves(host)[-1] == ("migrated", "default/0003.more")
    assert "TABLE public.slow" in postgres.dump("failing")
    other.ask("lock", owner="bob", release=None, verb="deploy")
    assert schemas.pending(other, made) == STEPS[3:]
    assert other.ask("settled", release=made.id) == {"running": False, "sessions": 0}


def test_a_dead_process_is_not_taken_for_a_stopped_migration(host: Host, postgres: Postgres, url: str) -> None:
    """All is killed on the host, and the database still works on it: that is asked, and later tells how it ended."""
    agent = schemas.agent_of(host, urls={"MAIN_URL": url})
    made = staged(host, agent, "-- transactional: false\nSELECT pg_sleep(4);\n")
    agent.begin("up", release=made.id, steps=STEPS, before=None, limits=schemas.LIMITS)
    until(lambda: sleeping(postgres))
    warden = warden_of(host)
    children = Path(f"/proc/{warden}/task/{warden}/children").read_text().split()
    for pid in (warden, *map(int, children), agent.process.pid):
        os.kill(pid, signal.SIGKILL)
    agent.process.wait()
    other = schemas.agent_of(host)
    assert other.ask("settled", release=made.id) == {"running": True, "sessions": 1}
    until(lambda: not other.ask("settled", release=made.id)["running"])
    assert schemas.moves(host)[-1] == ("broken", "default/0003.more")
    assert schemas.pending(other, made) == STEPS[2:]


def test_a_migrating_process_that_dies_alone_is_a_failure_like_any_other(
    host: Host, postgres: Postgres, url: str
) -> None:
    """The warden sees that its session goes, and asks the database what is applied."""
    agent = schemas.agent_of(host, urls={"MAIN_URL": url})
    made = staged(host, agent, SLOW)
    agent.begin("up", release=made.id, steps=STEPS, before=None, limits=schemas.LIMITS)
    until(lambda: sleeping(postgres))
    warden = warden_of(host)
    (child,) = Path(f"/proc/{warden}/task/{warden}/children").read_text().split()
    os.kill(int(child), signal.SIGKILL)
    with pytest.raises(AgentError, match="failed: the migrating process ended: signal 9"):
        agent.answer()
    assert sleeping(postgres) == []
    assert "TABLE public.slow" not in postgres.dump("failing")


def test_its_deadline_holds_also_without_its_client(host: Host, postgres: Postgres, url: str) -> None:
    """Nobody waits for it any more, and what it does in the database ends all the same."""
    agent = schemas.agent_of(host, urls={"MAIN_URL": url})
    made = staged(host, agent, "SELECT pg_sleep(600);", more=False)
    agent.begin("up", release=made.id, steps=STEPS[:3], before=None, limits={**schemas.LIMITS, "deadline": 6})
    until(lambda: sleeping(postgres))
    warden = warden_of(host)
    agent.process.send_signal(signal.SIGKILL)
    agent.process.wait()
    until(lambda: ended(warden))
    assert sleeping(postgres) == []
    assert schemas.moves(host)[-1] == ("broken", "default/0003.more")
    other = schemas.agent_of(host)
    assert schemas.pending(other, made) == [STEPS[2]]
