"""A schema that the service user moves, through the helper: as in production, unlike the tests of one user."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hosts.site import ROOT, USER, Site

from lab.host import Host

pytestmark = pytest.mark.lab

PROGRAM = """\
import getpass, json, os, sqlite3, sys, time

steps = open("steps.txt").read().split()
db = sqlite3.connect("data/main.db", isolation_level=None)
db.execute("CREATE TABLE IF NOT EXISTS done (id text, who text)")
word, *rest = sys.argv[1:]
if word == "heads":
    print("\\n".join(json.dumps({"id": step, "adds": []}) for step in steps))
elif word == "applied":
    print("\\n".join(row[0] for row in db.execute("SELECT id FROM done ORDER BY rowid")))
elif word == "up":
    print("it knows", os.environ["SECRET"], flush=True)
    open("data/began." + rest[0], "w").close()
    time.sleep(6 if "slow" in rest[0] else 0)
    db.execute("INSERT INTO done VALUES (?, ?)", [rest[0], getpass.getuser()])
elif word == "down":
    db.execute("DELETE FROM done WHERE id = ?", rest)
"""
APP = {
    "schema": [{"kind": "command", "name": "main", "run": "python3 move.py"}],
    "env": "blog.env",
    "shared": {"dirs": ["data"]},
}


def rows(host: Host) -> list[tuple[str, str]]:
    """`(event, id)` of the journal's rows about steps."""
    text = host.run("cat", f"{ROOT}/state/journal.jsonl").stdout
    return [(row["event"], row["id"]) for row in map(json.loads, text.splitlines()) if "database" in row]


def done(host: Host) -> str:
    """What is in the database, and who put it there."""
    script = (
        f"import sqlite3; print([*sqlite3.connect('{ROOT}/shared/data/main.db').execute('SELECT id, who FROM done')])"
    )
    return host.run("python3", "-c", script, user="root").stdout.strip()


def test_the_service_user_migrates_and_a_step_outlives_its_agent(
    hosts: Callable[[int], list[Host]], tmp_path: Path
) -> None:
    """Through sudo and the helper, which end what nobody reads: the warden reads on, and has the lock."""
    (host,) = hosts(1)
    site = Site(tmp_path, [host])
    site.write(app=APP)
    site.setup()
    env = f"{ROOT}/shared/blog.env"
    host.run("sh", "-c", f"echo SECRET=hidden-treasure >{env} && chgrp {USER} {env} && chmod 640 {env}")
    assert site.deploy("v1", **{"move.py": PROGRAM, "steps.txt": "one"}).outcome == "live"
    assert done(host) == str([("one", USER)])
    ends: list[str] = []

    def second() -> None:
        ends.append(site.deploy("v2", **{"move.py": PROGRAM, "steps.txt": "one two-slow three"}).outcome)

    thread = threading.Thread(target=second)
    thread.start()
    host.run("sh", "-c", f"until [ -e {ROOT}/shared/data/began.two-slow ]; do sleep 0.1; done", user="root")
    site.kill_agent()
    thread.join()
    assert ends == ["restored"]
    assert rows(host)[2:] == [(event, "two-slow") for event in ("migrating", "migrated", "reversing", "reversed")]
    assert done(host) == str([("one", USER)])
    last = site.deploy("v3", **{"move.py": PROGRAM, "steps.txt": "one two three"})
    assert last.outcome == "live"
    assert done(host) == str([("one", USER), ("two", USER), ("three", USER)])
    log = host.run("sh", "-c", f"cat {ROOT}/state/log/*.stage.log").stdout
    assert "it knows" in log
    assert "hidden-treasure" not in log
