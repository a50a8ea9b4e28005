"""The main job, as a user does it: two tags, deploys under a reader's eyes, down again, and healing."""

from __future__ import annotations

import os
import shutil
import signal

from verbs.project import Project, eventually

from tagship.scaffold.reader import Reader, get


def test_two_tags_and_down_again_without_a_failed_request(project: Project) -> None:
    """A reader sees 0 failures through a deploy and a rollback, and each change moves every answer."""
    assert project.told("fab", "deploy").result["outcome"] == "live"
    project.tag("v1.1.0", {"version.txt": "two"})
    with Reader(project.front, ["/"]) as reader:
        up = project.told("fab", "deploy")
        assert get(project.front, "/").body == b"two"
        down = project.told("fab", "rollback")
    assert get(project.front, "/").body == b"one"
    seen = reader.reading
    assert (seen.failed, seen.failures) == (0, ())
    assert set(seen.releases) == {"0001-v1.0.0", "0002-v1.1.0"}
    assert (up.result["release"], up.result["previous"]) == ("0002-v1.1.0", "0001-v1.0.0")
    assert (down.result["release"], down.result["previous"]) == ("0001-v1.0.0", "0002-v1.1.0")
    assert up.result["hosts"] == [{"host": "local", "release": "0002-v1.1.0", "ok": True}]
    assert up.result["bytes_sent"] > 0
    assert len(project.services()) == 1


def test_an_identical_deploy_changes_nothing(project: Project) -> None:
    """The same tag again, and another tag of the same content: unchanged, and not a file is touched."""
    project.run("fab", "deploy")
    before = project.snapshot()
    again = project.told("fab", "deploy")
    assert (again.exit, again.result["outcome"], again.result["release"]) == (0, "unchanged", "0001-v1.0.0")
    assert project.snapshot() == before
    said = project.run("fab", "deploy").said
    assert "unchanged: 0001-v1.0.0" in said


def test_rollback_goes_on_down_until_there_is_nothing_below(project: Project) -> None:
    """Each rollback goes to the next good release; at the oldest it is refused; --to goes up again, by tag or id."""
    project.run("fab", "deploy")
    for number in (1, 2):
        project.tag(f"v1.{number}.0", {"version.txt": str(number)})
        assert project.run("fab", "deploy").exit == 0
    assert project.told("fab", "rollback").result["release"] == "0002-v1.1.0"
    assert project.told("fab", "rollback").result["release"] == "0001-v1.0.0"
    before = project.snapshot()
    refused = project.told("fab", "rollback")
    assert (refused.exit, refused.result["outcome"]) == (3, "refused")
    assert "no earlier release" in refused.error["what"]
    assert project.snapshot() == before
    assert project.told("fab", "rollback", "--to", "v1.2.0").result["release"] == "0003-v1.2.0"
    assert project.told("fab", "rollback", "--to", "0001-v1.0.0").result["release"] == "0001-v1.0.0"
    assert get(project.front, "/").body == b"one"
    unknown = project.run("fab", "rollback", "--to", "v9")
    assert unknown.exit == 3
    assert "v9" in unknown.err
    rows = project.told("fab", "history", "--rows", "--last", "999").of("row")
    flips = [row for row in rows if row["what"] == "flipped"]
    assert len(flips) == 7
    assert all(row["by"] for row in flips)


def test_a_stopped_site_is_healed_by_deploy(project: Project) -> None:
    """After `fab stop` nothing of ours runs and `current` stays; `fab deploy` starts the same release again."""
    project.run("fab", "deploy")
    stopped = project.told("fab", "stop")
    assert (stopped.exit, stopped.result["outcome"]) == (0, "stopped")
    assert project.processes() == {}
    assert project.current == "0001-v1.0.0"
    healed = project.told("fab", "deploy")
    assert (healed.exit, healed.result["release"]) == (0, "0001-v1.0.0")
    assert get(project.front, "/").body == b"one"
    again = project.told("fab", "stop")
    assert again.result["outcome"] == "stopped"
    twice = project.told("fab", "stop")
    assert (twice.exit, twice.result["outcome"]) == (0, "unchanged")


def test_start_brings_up_what_is_current_and_nothing_newer(project: Project) -> None:
    """After a rollback and a stop, `fab start` serves the old release again; the newest tag was left for a reason."""
    assert project.told("fab", "start").exit == 3, "nothing is there to start"
    project.run("fab", "deploy")
    project.tag("v1.1.0", {"version.txt": "two"})
    project.run("fab", "deploy")
    project.run("fab", "rollback")
    project.run("fab", "stop")
    planned = project.told("fab", "--dry", "start")
    assert (planned.exit, planned.result["outcome"], project.processes()) == (0, "planned", {})
    started = project.told("fab", "start")
    assert (started.exit, started.result["outcome"], started.result["release"]) == (0, "live", "0001-v1.0.0")
    assert get(project.front, "/").body == b"one"
    assert project.told("fab", "start", "--stage", "local").result["outcome"] == "unchanged"
    again = project.run("fab", "deploy")
    assert "v1.1.0 was rolled back from (0002-v1.1.0); it goes live again" in again.out


def test_a_killed_service_is_seen_and_healed(project: Project) -> None:
    """status says that nothing answers, and deploy brings it back."""
    project.run("fab", "deploy")
    (pid,) = project.services()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not project.services(), "the service lives on")
    sick = project.told("fab", "status")
    assert (sick.exit, sick.result["outcome"]) == (5, "degraded"), "a script must be able to tell"
    (row,) = sick.of("row")
    assert (row["host"], row["release"], row["health"], row["pid"]) == ("local", "0001-v1.0.0", "not running", None)
    assert sick.result["hosts"] == [{"host": "local", "release": "0001-v1.0.0", "ok": False}]
    assert "not running" in project.run("fab", "status").out
    healed = project.told("fab", "deploy")
    assert (healed.exit, healed.result["outcome"]) == (0, "live")
    assert get(project.front, "/").body == b"one"
    assert project.told("fab", "status").of("row")[0]["health"] == "well"


def test_what_this_machine_can_not_note_changes_nothing_of_how_it_ended(project: Project) -> None:
    """A full disk here, once every host is live: that is a warning, and the exit code tells of the hosts."""
    (project.root.parent / "tags.lock").mkdir(parents=True)
    told = project.told("fab", "deploy")
    assert (told.exit, told.result["outcome"]) == (0, "live")
    assert any("couldn't note that v1.0.0 was shipped" in event["text"] for event in told.of("note"))
    assert get(project.front, "/").body == b"one"


def test_a_release_that_is_gone_or_a_folder_in_its_place_is_not_well(project: Project) -> None:
    """Who looks by the exit code must see it; nothing live at all is no fault. A deploy makes what is gone anew."""
    assert project.told("fab", "status").exit == 0
    project.run("fab", "deploy")
    current = project.root / "current"
    current.rename(project.root / "was")
    current.mkdir()
    taken = project.told("fab", "status")
    assert (taken.exit, taken.error["what"]) == (5, "`current` is none of ours")
    current.rmdir()
    (project.root / "was").rename(current)
    shutil.rmtree(current.resolve())
    gone = project.told("fab", "status")
    assert (gone.exit, gone.error["what"]) == (5, "what was live is gone from the disk")
    assert "fab deploy" in gone.error["cure"]
    assert project.told("fab", "deploy").result["release"] == "0002-v1.0.0"
    assert project.told("fab", "status").exit == 0


def test_verify_names_what_was_tampered_with(project: Project) -> None:
    """A changed, an added and a removed file are each named by path, with exit code 3; without drift it is 0."""
    project.run("fab", "deploy")
    sound = project.run("fab", "verify")
    assert (sound.exit, sound.err) == (0, "")
    assert "no drift" in sound.out
    release = project.root / "releases" / "0001-v1.0.0"
    changed = release / "app" / "version.txt"
    changed.chmod(0o644)
    changed.write_text("evil")
    release.joinpath("app").chmod(0o755)
    release.joinpath("app", "added.py").write_text("evil")
    release.joinpath("public").chmod(0o755)
    release.joinpath("public", "404.html").unlink()
    drifted = project.told("fab", "verify")
    assert (drifted.exit, drifted.result["outcome"]) == (3, "refused")
    assert {"app/version.txt", "app/added.py", "public/404.html"} <= {row["path"] for row in drifted.of("row")}
    assert drifted.result["hosts"][0]["ok"] is False
    said = project.run("fab", "verify")
    assert said.exit == 3
    assert "app/version.txt" in said.out
