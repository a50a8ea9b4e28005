"""`fab verify`: every release on the host, each difference a row and exit 3; nothing is changed by looking."""

from __future__ import annotations

from verbs.project import Project


def test_every_release_is_verified_and_what_they_live_by(project: Project) -> None:
    """Not only what is live: a release that a rollback would go to, its virtualenv, and what its pages load."""
    project.run("fab", "deploy")
    project.tag("v1.1.0", {"version.txt": "two"})
    assert project.run("fab", "deploy").exit == 0
    clean = project.told("fab", "verify")
    assert (clean.exit, clean.result["outcome"], clean.of("row")) == (0, "unchanged", [])
    old, new = (project.root / "releases" / name for name in ("0001-v1.0.0", "0002-v1.1.0"))
    (old / "app" / "version.txt").unlink()
    (old / "app" / "version.txt").write_text("evil")
    (old / "app" / "version.txt").chmod(0o444)
    (new / "venv" / "bin" / "evil").write_text("#!/bin/sh\n")
    (project.root / "assets" / "evil.js").write_text("evil()")
    before = project.snapshot()
    told = project.told("fab", "verify")
    assert (told.exit, told.result["outcome"]) == (3, "refused")
    rows = [(row["host"], row["release"], row["path"], row["drift"]) for row in told.of("row")]
    assert rows == [
        ("local", "0001-v1.0.0", "app/version.txt", "changed"),
        ("local", "0002-v1.1.0", "venv/bin/evil", "not in the release"),
        ("local", None, "assets/evil.js", "of no release"),
    ]
    assert "3 differences" in told.error["what"]
    assert project.snapshot() == before
    said = project.run("fab", "verify")
    assert said.exit == 3
    for words in ("app/version.txt", "venv/bin/evil", "assets/evil.js", "of no release"):
        assert words in said.out


def test_what_runs_and_what_is_shown_is_verified_too(project: Project) -> None:
    """A service that ended and a front door that is closed are told, as what they are."""
    project.run("fab", "deploy")
    assert project.run("fab", "stop").exit == 0
    told = project.told("fab", "verify")
    assert (told.exit, [(row["path"], row["drift"]) for row in told.of("row")]) == (
        3,
        [("current/run/web.sock", "answered by nobody")],
    )
    assert project.run("fab", "start").exit == 0
    assert project.told("fab", "verify").of("row") == []


def test_who_is_at_work_is_told(project: Project) -> None:
    """A deploy that is under way is nobody's drift: what it stages is left out, and a warning says who it is."""
    project.run("fab", "deploy")
    (project.root / "hold").touch()
    project.tag("v1.1.0", {"version.txt": "two"})
    with project.begun("fab", "deploy") as deploy:
        deploy.until("prepare")
        told = project.told("fab", "verify")
        (project.root / "hold").unlink()
        assert deploy.ended().exit == 0
    assert (told.exit, told.of("row")) == (0, [])
    (warning,) = [event["text"] for event in told.of("note") if event["level"] == "warning"]
    assert "is at work: deploy 0002-v1.1.0" in warning
