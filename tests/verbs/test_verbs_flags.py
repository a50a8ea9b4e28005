"""Every verb and flag of `fab`, on one deployed project: what they say, and that looking changes nothing."""

from __future__ import annotations

import getpass
import re
import subprocess

import pytest
from verbs.conftest import Make
from verbs.project import Project

from tagship.scaffold.reader import get

VERBS = {"deploy", "history", "migrations", "plan", "releases", "rollback", "start", "status", "stop", "verify"}
VERBS |= {"adopt", "doctor", "env", "logs", "rehearse", "run", "setup"}


@pytest.mark.parametrize(
    ("argv", "verbs"),
    [
        (("fab", "--list"), VERBS),
        (("inv", "--list"), {"build", "check", "check-migrations", "clean", "new", "next", "serve"}),
    ],
)
def test_every_verb_is_listed_with_one_line_of_help(live: Project, argv: tuple[str, ...], verbs: set[str]) -> None:
    """At 80 columns each verb has one line, and each says what it does."""
    live.env["COLUMNS"] = "80"
    lines = [line for line in live.run(*argv).out.splitlines()[1:] if line.strip()]
    listed = {line.split()[0]: line.split()[1:] for line in lines}
    assert listed.keys() == verbs
    assert len(lines) == len(verbs)
    assert all(listed.values())


def test_plan_and_dry_deploy_are_one(live: Project) -> None:
    """`fab plan` and `fab --dry deploy` tell the same plan, with the URLs, and change nothing."""
    live.tag("v1.1.0", {"posts/2026-01-02-second.md": "---\ntitle: Second\n---\nText.\n"})
    before = live.snapshot()
    planned = live.told("fab", "plan", "--tag", "v1.1.0", "--stage", "local")
    dry = live.told("fab", "--dry", "deploy", "--tag", "v1.1.0", "--stage", "local")
    assert live.snapshot() == before
    assert planned.result["outcome"] == dry.result["outcome"] == "planned"
    (plan,), (other,) = planned.of("plan"), dry.of("plan")
    assert (plan["plan"], plan["urls"]) == (other["plan"], other["urls"])
    assert any("deploy v1.1.0 as 0002-v1.1.0 to local" in line for line in plan["plan"])
    assert "/2026/01/second/" in plan["urls"]["added"]
    said = live.run("fab", "plan").out
    assert "URLs added: 1\n  + /2026/01/second/" in said
    assert "planned: 0002-v1.1.0" in said


def test_a_tag_that_is_named_ships_and_the_newest_otherwise(live: Project) -> None:
    """--tag chooses; HEAD ahead of the tag and a dirty tree are told, and don't ship."""
    live.tag("v1.0.1", {"version.txt": "mended"})
    live.write({"version.txt": "not committed"})
    live.git("commit", "--quiet", "--all", "--message", "Later")
    live.write({"version.txt": "dirty"})
    newest = live.told("fab", "plan")
    assert newest.result["release"].endswith("-v1.0.1")
    notes = [note["text"] for note in newest.of("note")]
    assert any("v1.0.1 is commit" in text and "HEAD is 1 commit ahead of it" in text for text in notes)
    assert any(note["level"] == "warning" and "version.txt" in note["text"] for note in newest.of("note"))
    named = live.told("fab", "plan", "--tag", "v1.0.0")
    assert named.result["outcome"] == "unchanged"


def test_status_releases_and_history_tell_how_the_host_stands(live: Project) -> None:
    """Each row names its host; --last limits the journal; nothing is changed."""
    before = live.snapshot()
    status = live.told("fab", "status", "--stage", "local")
    (row,) = status.of("row")
    since, age, memory = (row.pop(key) for key in ("since", "age", "memory"))
    assert row == {
        "event": "row",
        "table": "status of local",
        "host": "local",
        "release": "0001-v1.0.0",
        "pid": live.services()[0],
        "health": "well",
        "drift": 0,
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", since)
    assert 0 <= age < 3600
    assert 1 << 20 < memory < 1 << 30
    assert (status.result["outcome"], status.result["bytes_sent"] > 0) == ("unchanged", True)
    (row,) = live.told("fab", "releases", "--stage", "local").of("row")
    assert (row["release"], row["tag"], row["state"], row["role"]) == ("0001-v1.0.0", "v1.0.0", "good", "current")
    assert live.git("rev-parse", "v1.0.0^{commit}").startswith(row["commit"])
    rows = live.told("fab", "history", "--stage", "local", "--rows").of("row")
    assert [row["what"] for row in rows] == ["begun", "staging", "staged", "flip", "flipped", "good", "ended"]
    assert rows[-1]["by"].startswith(f"{getpass.getuser()}@")
    assert live.told("fab", "history", "--rows", "--last", "2").of("row") == rows[-2:]
    assert live.told("fab", "verify", "--stage", "local").of("row") == []
    for argv in (("fab", "status"), ("fab", "releases"), ("fab", "history"), ("fab", "verify")):
        ran = live.run(*argv)
        assert (ran.exit, ran.err) == (0, "")
        assert "local" in ran.out
    assert live.snapshot() == before


def test_dry_runs_of_rollback_and_stop_change_nothing(live: Project) -> None:
    """`fab --dry VERB` tells the plan of that verb, or its refusal."""
    before = live.snapshot()
    stop = live.told("fab", "--dry", "stop", "--stage", "local")
    assert (stop.exit, stop.result["outcome"]) == (0, "planned")
    assert any("drain and stop 0001-v1.0.0" in line for line in stop.of("plan")[0]["plan"])
    rollback = live.told("fab", "--dry", "rollback", "--stage", "local", "--to", "v1.0.0")
    assert (rollback.exit, rollback.result["outcome"]) == (0, "unchanged")
    assert live.told("fab", "--dry", "rollback").exit == 3
    assert live.snapshot() == before
    assert get(live.front, "/").body == b"one"


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_a_host_flag_is_refused_by_name(live: Project, verb: str) -> None:
    """-H can't coordinate a fleet: exit 2, and the message says what to use instead."""
    before = live.snapshot()
    ran = live.run("fab", "-H", "web1.example.org", verb)
    assert (ran.exit, ran.out) == (2, "")
    assert ran.err.startswith("error: fab: -H ")
    assert "--limit" in ran.err
    assert live.snapshot() == before


def test_a_host_flag_is_refused_in_json_too(live: Project) -> None:
    """A program that passes -H gets a result like any other."""
    assert live.told("fab", "-H", "web1.example.org", "status").error["kind"] == "UsageError"


@pytest.mark.parametrize(
    "argv",
    [
        ("fab", "deploy", "--limit", "web1"),
        ("fab", "rollback", "--limit", "web1"),
        ("fab", "plan", "--limit", "web1"),
        ("fab", "status", "--limit", "web1"),
        ("fab", "releases", "--limit", "web1"),
        ("fab", "migrations", "--limit", "web1"),
        ("fab", "history", "--limit", "web1"),
        ("fab", "verify", "--limit", "web1"),
        ("fab", "start", "--limit", "web1"),
        ("fab", "stop", "--limit", "web1"),
        ("fab", "status", "--stage", "nowhere"),
        ("fab", "history", "--last", "many"),
        ("fab", "history", "--last", "0"),
        ("fab", "history", "--last", "-3"),
    ],
)
def test_a_flag_that_makes_no_sense_is_a_usage_error(live: Project, argv: tuple[str, ...]) -> None:
    """Exit 2, one message that names the flag or its value and the cure, and nothing changed."""
    before = live.snapshot()
    told = live.told(*argv)
    assert told.exit == 2
    assert told.error["cure"]
    assert argv[-1] in told.error["what"]
    assert live.snapshot() == before


def test_before_the_first_deploy_there_is_nothing_to_tell(make: Make) -> None:
    """Verbs that look say so in words; those that need a release refuse; none makes the host's root."""
    project = make()
    project.tag("v1.0.0")
    assert project.run("fab", "releases").out == "no releases on local yet\n"
    assert project.run("fab", "history").out == "nothing happened on local yet\n"
    assert "nothing is live" in project.run("fab", "status").out
    assert project.told("fab", "status").result["hosts"] == [{"host": "local", "release": None, "ok": False}]
    for argv in (("fab", "rollback"), ("fab", "verify")):
        assert project.told(*argv).exit == 3
        assert "nothing is " in project.run(*argv).err
    assert project.told("fab", "stop").result["outcome"] == "unchanged"
    assert not project.root.exists()


def test_outside_a_project_it_says_where_to_go(make: Make) -> None:
    """A fabfile without a tagship.yml: exit 2, the folder, and the cure."""
    project = make()
    (project.folder / "tagship.yml").unlink()
    told = project.told("fab", "deploy")
    assert (told.exit, told.error["where"]) == (2, str(project.folder))
    assert "tagship init" in told.error["cure"]


def test_the_version_is_told(live: Project) -> None:
    """`tagship --version` is one line, and the version is a version."""
    ran = live.run("tagship", "--version")
    assert ran.exit == 0
    assert re.fullmatch(r"tagship \d+\.\d+\.\d+\n", ran.out)


def test_a_reader_that_goes_away_does_not_stop_the_verb(live: Project) -> None:
    """`fab history | head -0`: whoever reads us may leave."""
    process = subprocess.Popen(
        ["fab", "history"],
        cwd=live.folder,
        env=live.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), said) == (0, "")
