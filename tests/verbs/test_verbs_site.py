"""A project that is only a site, and one that becomes one: nothing runs, and nobody notices."""

from __future__ import annotations

from verbs.project import Project

from tagship.scaffold.reader import Reader, get

STAGED = ["declare", "send", "link", "furnish", "seal"]


def test_an_application_becomes_a_site_and_one_again(project: Project) -> None:
    """Without a failed request; the application's process ends with its drain, and comes back with the rollback."""
    assert project.run("fab", "deploy").exit == 0
    project.edit("tagship.yml", r"(?m)^  start: .*\n(?:  prepare:\n    - .*\n)?", "")
    project.edit("tagship.yml", r"(?m)^  #redirects: .*", "  redirects: {/old/: /about/}")
    (project.folder / "requirements.lock").unlink()
    project.tag("v1.1.0")
    with Reader(project.front, ["/"]) as reader:
        up = project.told("fab", "deploy")
        assert b"<!doctype html>" in get(project.front, "/").body
        assert project.services() == []
        site = project.run("fab", "status").said
        down = project.told("fab", "rollback")
    assert [end.result["outcome"] for end in (up, down)] == ["live", "live"]
    assert (reader.reading.failed, reader.reading.failures) == (0, ())
    assert "0002-v1.1.0" in site
    assert "well" in site
    assert get(project.front, "/").body == b"one"
    assert len(project.services()) == 1
    steps = [event["step"].split()[0] for event in up.of("step") if event["state"] == "done"]
    assert steps[: len(STAGED)] == STAGED
    assert "start" not in steps
    assert "build" not in steps


def test_a_site_alone_is_deployed_changed_and_healed(project: Project) -> None:
    """From nothing, with no lock in the tag; what is closed opens again, what is the same isn't deployed again."""
    project.edit("tagship.yml", r"(?m)^  start: .*\n(?:  prepare:\n    - .*\n)?", "")
    project.edit("tagship.yml", r"(?m)^  #redirects: .*", "  redirects: {/old/: /about/}")
    (project.folder / "requirements.lock").unlink()
    project.tag("v1.1.0")
    assert project.told("fab", "deploy").result["release"] == "0001-v1.1.0"
    assert project.told("fab", "deploy").result["outcome"] == "unchanged"
    assert get(project.front, "/old/").status == 301
    assert project.told("fab", "verify").exit == 0
    assert project.told("fab", "stop").result["outcome"] == "stopped"
    assert project.told("fab", "start").exit == 0
    assert get(project.front, "/about/").status == 200
    project.edit("tagship.yml", r"/about/}", "/abuot/}")
    project.tag("v1.2.0")
    refused = project.told("fab", "deploy")
    assert (refused.exit, refused.result["outcome"]) == (2, "refused")
    assert "`site.redirects./old/`: leads to /abuot/, which the site doesn't have" in refused.error["what"]
    assert get(project.front, "/old/").status == 301
