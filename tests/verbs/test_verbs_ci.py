"""What a CI job does: check and build a tag without hosts, deploy it, and leave a page that says how it ended."""

from __future__ import annotations

import json

from verbs.project import Project

SECRET = "tok-5f0c1d77aa"


def test_check_builds_what_the_deploy_ships(project: Project) -> None:
    """`inv check --stage` asks no host, and says what a build says; the deploy after it takes what is there."""
    project.tag("v1.1.0", {"posts/2026-01-02-later.md": "---\ntitle: Later\ndraft: true\n---\nText.\n"})
    ran = project.run("inv", "check", "--stage", "local")
    assert ran.exit == 0, ran.said
    assert "v1.1.0 is packed for local" in ran.out
    again = project.told("inv", "check", "--tag", "v1.1.0", "--stage", "local")
    assert (again.result["outcome"], again.of("tag")[0]["tag"]) == ("checked", "v1.1.0")
    assert "left out, a draft" in ran.out
    assert not project.root.exists()
    deployed = project.told("fab", "deploy", "--tag", "v1.1.0")
    assert deployed.result["release"] == "0001-v1.1.0"
    assert "left out, a draft" not in str(deployed.events)
    assert project.told("fab", "deploy", "--tag", "v1.1.0").result["outcome"] == "unchanged"
    record = json.loads((project.root / "current/release.json").read_text())
    assert record["digest"] == again.result["digest"]


def test_check_refuses_what_can_not_ship(project: Project) -> None:
    """A stage that isn't there, a tag that isn't there, a post with a mistake: each says so, with its exit code."""
    assert project.told("inv", "check", "--stage", "nowhere").error["what"] == "there is no stage `nowhere`"
    assert project.told("inv", "check", "--tag", "v9").exit == 3
    project.tag("v1.1.0", {"posts/2026-01-02-next.md": "---\ntitel: Next\n---\nText.\n"})
    page = project.folder.parent / "page.md"
    told = project.told("inv", "check", "--tag", "v1.1.0", "--summary", str(page))
    assert told.exit == 2
    assert "2026-01-02-next.md" in told.error["where"]
    assert page.read_text().startswith("## v1.1.0 can't ship\n")
    assert "2026-01-02-next.md" in page.read_text()


def test_the_page_of_a_run_tells_it_all(project: Project) -> None:
    """Plan, deploy, a bad release and a rollback, one section each; with what a log may not tell hidden."""
    page = project.folder.parent / "page.md"

    def section(*argv: str) -> str:
        page.unlink(missing_ok=True)
        project.run(*argv, "--summary", str(page))
        return page.read_text()

    project.env |= {"API_TOKEN": SECRET, "TAGSHIP_OWNER": "octocat\n (run 7)"}
    assert project.run("fab", "plan", "--summary", str(page)).exit == 0
    assert "## v1.0.0 can go live on local\n" in page.read_text()
    assert "deploy v1.0.0 as 0001-v1.0.0 to local (local)\n" in page.read_text()
    live = section("fab", "deploy", "--tag", "v1.0.0")
    assert "## v1.0.0 is live on local\n" in live
    assert f"| commit | {project.git('rev-parse', 'v1.0.0^{commit}')} |\n" in live
    assert "| local | 0001-v1.0.0 | live |\n" in live
    assert {row.get("by") for row in project.journal() if row["event"] == "good"} <= {"octocat (run 7)"}
    project.tag("v1.1.0", {"version.txt": "two"})
    assert "| before | 0001-v1.0.0 |\n" in section("fab", "deploy")
    project.edit("serve.py", "no such table: visitors", f"no entry for {SECRET}")
    project.tag("v1.2.0", {"behaviour.txt": "exits"})
    bad = section("fab", "deploy")
    assert "## v1.2.0 didn't go live on local: restored\n" in bad
    assert "| local | 0002-v1.1.0 | as it was before |\n" in bad
    assert "    | no entry for [hidden]\n" in bad
    assert SECRET not in bad
    assert "## 0001-v1.0.0 is live on local\n" in section("fab", "rollback")


def test_a_page_that_can_not_be_written_stops_it_at_once(project: Project) -> None:
    """Exit 2, with nothing done."""
    ran = project.run("fab", "deploy", "--summary", str(project.folder))
    assert ran.exit == 2
    assert ran.err.startswith(f"error: --summary {project.folder}: Is a directory\n")
    assert not project.root.exists()
    assert project.run("fab", "rollback", "--summary", "").exit == 3
