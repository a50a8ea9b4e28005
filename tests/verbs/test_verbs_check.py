"""`inv check`: all that is wrong with a site, for people, programs and code hosts; and what was released stays."""

from __future__ import annotations

import json

from verbs.project import Project

BAD = "---\ntitle: Bad\n---\nA [link](/nope/), and\n\n<center>words</center>\n"


def test_check_tells_all_that_is_wrong(project: Project) -> None:
    """A line each, with file, line and column; exit 3 for errors, 0 for warnings; the same as JSON and as SARIF."""
    clean = project.run("inv", "check")
    assert clean.exit == 0, clean.said
    assert clean.out.splitlines()[-1].endswith("pages: 0 errors, 0 warnings")
    project.write({"posts/2026-01-02-bad.md": BAD, "posts/2026-01-03-worse.md": "---\ntitle: [\n---\n"})
    page, sarif = project.folder.parent / "page.md", project.folder.parent / "found.sarif"
    ran = project.run(
        "inv", "check", "--drafts", "--future", "--external", "--sarif", str(sarif), "--summary", str(page)
    )
    assert ran.exit == 3, ran.said
    assert "posts/2026-01-02-bad.md:4:10: broken-link no page of the site answers /nope/\n    cure: " in ran.out
    assert "posts/2026-01-02-bad.md:6:1: html the center element is obsolete\n" in ran.out
    assert "posts/2026-01-03-worse.md:3:1: content " in ran.out
    assert page.read_text().startswith("## the site has 3 errors and 0 warnings\n")
    assert "posts/2026-01-02-bad.md:4:10: broken-link" in page.read_text()
    results = json.loads(sarif.read_text())["runs"][0]["results"]
    told = project.told("inv", "check")
    assert [row["code"] for row in told.of("problem")] == [result["ruleId"] for result in results]
    assert (told.exit, told.result["outcome"], told.result["errors"]) == (3, "refused", 3)


def test_what_was_released_stays_or_no_tag_ships(project: Project) -> None:
    """Recorded and committed, an address that goes stops the tag with one message; a redirect lets it pass."""
    project.write({"posts/2026-01-02-first.md": "---\ntitle: First\n---\n## Part\n"})
    recorded = project.told("inv", "check", "--record")
    assert recorded.exit == 0
    assert "/2026/01/first/#part" in (project.folder / "site/urls.lock").read_text().splitlines()
    project.tag("v1.1.0")
    assert project.told("inv", "check", "--tag", "v1.1.0").exit == 0
    (project.folder / "posts/2026-01-02-first.md").rename(project.folder / "posts/2026-01-02-renamed.md")
    assert {row["code"] for row in project.told("inv", "check").of("problem")} == {"url-gone", "url-unrecorded"}
    project.tag("v1.2.0")
    refused = project.told("fab", "deploy")
    assert (refused.exit, refused.result["outcome"]) == (2, "refused")
    assert refused.error["where"].startswith("site/urls.lock:")
    assert "/2026/01/first/ was released, and resolves no more" in refused.error["what"]
    assert "site.redirects" in refused.error["cure"]
    project.edit("tagship.yml", r"(?m)^  #redirects: .*", "  redirects: {/2026/01/first/: /2026/01/renamed/}")
    project.tag("v1.3.0")
    passed = project.run("inv", "check", "--tag", "v1.3.0")
    assert passed.exit == 0, passed.said
    assert "site/urls.lock lacks 2 addresses of this tag" in passed.out


def test_a_plan_tells_of_drafts_that_become_public(project: Project) -> None:
    """Beside the URLs that it adds: a draft that is shown too early is never quite taken back."""
    project.write({"posts/2026-01-02-later.md": "---\ntitle: Later\ndraft: true\n---\nText.\n"})
    project.tag("v1.1.0")
    assert project.run("fab", "deploy").exit == 0
    project.write({"posts/2026-01-02-later.md": "---\ntitle: Later\n---\nText.\n"})
    project.tag("v1.2.0")
    planned = project.told("fab", "plan")
    assert planned.of("plan")[0]["exposed"] == {"drafts": ["posts/2026-01-02-later.md"], "feed_ids": []}
    assert "drafts that become public: 1\n  ~ posts/2026-01-02-later.md\n" in project.run("fab", "plan").out
