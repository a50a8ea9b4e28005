"""Releases with a schema on a host of the tests': staged by an agent, with a virtualenv that finds what ours has."""

from __future__ import annotations

import json
import sysconfig
from collections.abc import Mapping
from typing import Any

from unit.host.client import Agent, Host, Release, stage_until

from tagship.host import boot

LIMITS = {"lock_timeout": 2, "statement_timeout": 30, "deadline": 30}


def agent_of(host: Host, change: int | None = None, urls: Mapping[str, str] | None = None) -> Agent:
    """An agent that has the lock, and what moves a schema; `urls` become the application's environment."""
    host.more = (boot.SCHEMA,)
    agent = host.connect()
    host.survey(agent)
    more = {} if change is None else {"change": change}
    agent.ask("lock", owner="ann", release=None, verb="deploy", **more)
    if urls is not None:
        env = host.path("shared", ".env")
        env.write_text("".join(f"{name}={value}\n" for name, value in urls.items()))
        env.chmod(0o600)
    return agent


def release(serial: int, files: Mapping[str, str], *schema: Mapping[str, Any]) -> Release:
    """A release whose tree is `files`."""
    tree = {f"app/{path}": text.encode() for path, text in files.items()}
    return Release(serial, f"v{serial}", tree, start=[], env=".env", schema=list(schema))


def furnish(host: Host, agent: Agent, made: Release) -> None:
    """Stage a release up to where `heads` comes; its virtualenv finds Django and the others among our own."""
    stage_until(agent, made, "venv")
    (site,) = host.path("releases", made.id, "venv", "lib").glob("python*/site-packages")
    (site / "ours.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    agent.ask("furnish", release=made.id)


def stage(host: Host, agent: Agent, made: Release) -> Release:
    """Stage a release wholly."""
    furnish(host, agent, made)
    agent.ask("heads", release=made.id)
    agent.ask("seal", release=made.id)
    return made


def pending(agent: Agent, made: Release) -> list[list[str]]:
    """What is to be applied, as `up` takes it."""
    found = agent.ask("schema", release=made.id, sizes=False)["databases"]
    return [[one["name"], step] for one in found for step in one["pending"]]


def up(agent: Agent, made: Release, steps: list[list[str]] | None = None, **more: Any) -> dict[str, Any]:
    """Apply steps, or all that are pending."""
    chosen = pending(agent, made) if steps is None else steps
    return agent.ask("up", release=made.id, steps=chosen, **{"before": None, "limits": LIMITS, **more})


def down(agent: Agent, made: Release, steps: list[list[str]], **more: Any) -> dict[str, Any]:
    """Reverse steps."""
    given = {"limits": LIMITS, "only": False, "drop": False, **more}
    return agent.ask("down", release=made.id, steps=steps, **given)


def moves(host: Host) -> list[tuple[str, str]]:
    """`(event, DATABASE/ID)` of every row of the journal about a step, oldest first."""
    return [(row["event"], f"{row['database']}/{row['id']}") for row in rows(host) if "database" in row]


def rows(host: Host) -> list[dict[str, Any]]:
    """Every row of the journal."""
    return [json.loads(line) for line in host.path("state", "journal.jsonl").read_text().splitlines()]
