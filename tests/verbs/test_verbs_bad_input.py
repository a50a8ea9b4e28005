"""Bad input: exit 2 or 3, one message with where, what and cure, and nothing changed, here or on the host."""

from __future__ import annotations

import io
import os
import re
import socket
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from contract.projects import free_port
from verbs.conftest import Make
from verbs.project import Project, Told, sha256

POST = "posts/2026-01-02-bad.md"


def post(front: str, body: str = "Text.") -> str:
    return f"---\n{front}\n---\n{body}\n"


def check_refused(project: Project, exit_code: int, *argv: str) -> Told:
    """The verb ends with `exit_code`, one whole message for people and for programs, and nothing changed."""
    before = project.snapshot()
    told = project.told(*argv)
    assert told.exit == exit_code, told.events
    assert told.result["outcome"] == "refused"
    error = told.error
    assert error["where"], error
    assert error["what"], error
    assert error["cure"], error
    ran = project.run(*argv)
    assert ran.exit == exit_code
    word = {2: "error", 3: "refused"}[exit_code]
    assert ran.err.splitlines()[0] == f"{word}: {error['where']}: {error['what']}"
    assert ran.err.count("cure: ") == 1
    assert project.snapshot() == before
    return told


@dataclass(frozen=True)
class Bad:
    """A tag that holds something wrong: what is written or edited before it, and what the message must hold."""

    exit: int
    where: str
    what: str
    files: dict[str, str] = field(default_factory=dict)
    edits: tuple[tuple[str, str, str], ...] = ()


TAGGED = {
    "front matter that isn't closed": Bad(2, POST, "closed", {POST: "---\ntitle: Open\n\nText.\n"}),
    "front matter that isn't a mapping": Bad(2, rf"{POST}:\d+", "mapping", {POST: post("- a list")}),
    "a bad date": Bad(2, rf"{POST}:3", "date", {POST: post("title: Bad\ndate: the day after")}),
    "a day that doesn't exist": Bad(
        2, "posts/2026-02-30-bad.md", "date", {"posts/2026-02-30-bad.md": post("title: B")}
    ),
    "an unknown layout": Bad(2, rf"{POST}:3", "layout", {POST: post("title: Bad\nlayout: fancy")}),
    "a slug that climbs": Bad(2, rf"{POST}:3", "slug", {POST: post("title: Bad\nslug: ../../etc/passwd")}),
    "two posts with one URL": Bad(
        2,
        r"posts/2026-01-0\d-\w+\.md",
        "/2026/01/same/",
        {POST: post("title: A\nslug: same"), "posts/2026-01-03-other.md": post("title: B\nslug: same")},
    ),
    "a template with a Jinja2 error": Bad(
        2, r"site/templates/post\.html:2", "endif", {"site/templates/post.html": "<p>\n{% endif %}\n"}
    ),
    "a template that fails for a page": Bad(
        2, r"site/templates/post\.html:2", "posts/", {"site/templates/post.html": "<p>\n{{ nobody.knows.this }}\n"}
    ),
    "a lock without hashes": Bad(3, r".*requirements\.lock:1", "hash", {"requirements.lock": "gunicorn==23.0.0\n"}),
    "a lock that pins nothing": Bad(3, r".*requirements\.lock:1", "gunicorn", {"requirements.lock": "gunicorn\n"}),
    "a build command that fails": Bad(
        3,
        r":tagship\.yml|build",
        "no data",
        edits=(("tagship.yml", r"\Z", "\nbuild:\n  - python3 -c \"raise SystemExit('no data')\"\n"),),
    ),
    "an unknown key in the tag's tagship.yml": Bad(
        2, r".*tagship\.yml:\d+:\d+", "nmae", edits=(("tagship.yml", r"(?m)^  name:.*", "  nmae: blog"),)
    ),
    "a shared file that is missing": Bad(
        3,
        "local",
        "settings.local.py",
        edits=(("tagship.yml", r"(?m)^app:", "app:\n  shared: {links: [settings.local.py]}"),),
    ),
    "an env file that is missing": Bad(
        3, "local", r"\.env", edits=(("tagship.yml", r"(?m)^app:", "app:\n  env: .env"),)
    ),
    "a python that isn't there": Bad(
        3, "local", r"python3\.99", edits=(("tagship.yml", r"(?m)^app:", "app:\n  python: python3.99"),)
    ),
}


@pytest.mark.parametrize("case", TAGGED.values(), ids=TAGGED)
def test_a_tag_that_can_not_ship_is_refused(live: Project, case: Bad) -> None:
    """Where it is, what is wrong and what to do, before any host is changed."""
    live.write(case.files)
    for edit in case.edits:
        live.edit(*edit)
    live.tag_next({"version.txt": "two"})
    error = check_refused(live, case.exit, "fab", "deploy").error
    said = " ".join((error["what"], error["cure"], *error["tail"]))
    assert re.search(case.where, error["where"]), error
    assert re.search(case.what, said), error


CONFIGS = {
    "an unknown key": (r"(?m)^    front:", "    fornt: x\n    front:", "fornt", "front"),
    "a wrong type": (r"(?m)^    front: .*", "    keep: many", "keep", "number"),
    "a duplicate key": (r"(?m)^    front: .*", "    keep: 3\n    keep: 4", "keep", "twice|duplicate"),
    "a wrong value": (r"(?m)^    front: .*", "    front: 8000", "front", ""),
    "what isn't YAML": (r"(?m)^stages:", "stages: [", "", ""),
    "a stage without hosts": (r"(?m)^stages:", "stages:\n  production: {}", "production", "host"),
}


@pytest.mark.parametrize("case", CONFIGS.values(), ids=CONFIGS)
def test_a_wrong_setting_is_named_by_line_and_column(live: Project, case: tuple[str, str, str, str]) -> None:
    """tagship.yml in the working tree: the line and column that an editor shows, and the key's path."""
    pattern, replacement, key, what = case
    live.edit("tagship.yml", pattern, replacement)
    error = check_refused(live, 2, "fab", "deploy").error
    found = re.fullmatch(r".*tagship\.yml:(\d+):(\d+)", error["where"])
    assert found, error
    line = (live.folder / "tagship.yml").read_text().splitlines()[int(found[1]) - 1]
    assert key in line[int(found[2]) - 1 :] or key in line
    assert key in error["what"]
    assert re.search(what, f"{error['what']} {error['cure']}")


def test_an_unknown_stage_names_those_there_are(live: Project) -> None:
    """The cure lists them."""
    error = check_refused(live, 2, "fab", "deploy", "--stage", "prodcution").error
    assert "prodcution" in error["what"]
    assert "local" in error["cure"]


def test_no_tag_says_how_to_make_one(make: Make) -> None:
    """A project that was never tagged: exit 3, and the command to type."""
    project = make()
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", "Begin")
    error = check_refused(project, 3, "fab", "deploy").error
    assert "no tag" in error["what"]
    assert "git tag" in error["cure"]


def test_a_repository_without_a_commit(make: Make) -> None:
    """Nothing is committed yet: told in words, not by git's."""
    assert check_refused(make(), 3, "fab", "deploy").error["cure"]


def test_an_unknown_tag_is_refused(live: Project) -> None:
    """The tag's name stands in the message, and one that looks like it."""
    error = check_refused(live, 3, "fab", "deploy", "--tag", "v1.0.1").error
    assert "v1.0.1" in error["where"] + error["what"]
    assert "v1.0.0" in error["cure"]


@pytest.mark.parametrize(
    "name",
    ["-x", "--upload-pack=evil", "v$(touch evil)", "v1;id", "../../etc", "v1.0\nb", "a b", "v1@{1}", "héllo", "."],
)
def test_a_hostile_tag_is_refused(live: Project, name: str) -> None:
    """Whatever it holds, it is a name and nothing more: never a flag, a command, a path or a revision."""
    error = check_refused(live, 3, "fab", "deploy", f"--tag={name}").error
    assert "\n" not in error["what"]
    assert not list(live.folder.glob("**/evil"))


def test_a_hostile_tag_that_exists_is_refused(live: Project) -> None:
    """git allows `v$(id)` as a tag; we don't."""
    live.git("tag", "--annotate", "v$(id)", "--message", "evil")
    assert "v$(id)" in check_refused(live, 3, "fab", "deploy", "--tag", "v$(id)").error["where"]


def test_a_tag_that_was_moved_is_refused(live: Project) -> None:
    """The host remembers which commit v1.0.0 was: a tag names one commit for ever."""
    commit = live.git("rev-parse", "v1.0.0^{commit}")
    try:
        live.write({"version.txt": "moved"})
        live.git("commit", "--quiet", "--all", "--message", "Moved")
        live.git("tag", "--force", "--annotate", "v1.0.0", "--message", "moved")
        error = check_refused(live, 3, "fab", "deploy").error
        assert "v1.0.0" in error["where"] + error["what"]
    finally:
        live.git("tag", "--force", "--annotate", "v1.0.0", "--message", "v1.0.0", commit)


def test_a_wheel_that_does_not_run_on_the_host(live: Project) -> None:
    """The package, its line and the host's Python stand in the message."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as wheel:
        wheel.writestr("demo.py", "")
        wheel.writestr("demo-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n")
        wheel.writestr("demo-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: cp27-none-any\n")
        wheel.writestr("demo-1.0.dist-info/RECORD", "demo.py,,\n")
    lock = f"demo==1.0 --hash=sha256:{sha256(packed.getvalue())}\n"
    live.write({"wheels/demo-1.0-cp27-none-any.whl": packed.getvalue(), "requirements.lock": lock})
    live.tag_next()
    error = check_refused(live, 3, "fab", "deploy").error
    said = " ".join((error["where"], error["what"], *error["tail"]))
    assert "demo" in said
    assert "Python 3." in said


def test_an_env_file_that_others_can_read_is_refused(make: Make) -> None:
    """Mode 0644: the message names the file and the mode it must have; with 0600 it deploys."""
    project = make()
    project.edit("tagship.yml", r"(?m)^app:", "app:\n  env: .env")
    project.tag("v1.0.0")
    env = project.root / "shared" / ".env"
    env.parent.mkdir(parents=True)
    env.write_text("SECRET=1\n")
    env.chmod(0o644)
    error = check_refused(project, 3, "fab", "deploy").error
    assert ".env" in error["what"]
    assert "600" in error["cure"]
    env.chmod(0o600)
    assert project.run("fab", "deploy").exit == 0


@pytest.mark.parametrize("verb", ["deploy", "rollback"])
def test_a_current_that_is_a_real_folder_is_refused(make: Make, verb: str) -> None:
    """Somebody else's site is never taken over."""
    project = make()
    project.tag("v1.0.0")
    (project.root / "current").mkdir(parents=True)
    (project.root / "current" / "index.html").write_text("theirs")
    error = check_refused(project, 3, "fab", verb).error
    assert str(project.root / "current") in error["what"]
    assert [path.name for path in project.root.iterdir()] == ["current"]


def test_a_front_door_that_is_taken_puts_everything_back(make: Make) -> None:
    """Another program listens there: exit 4, the address and the cure, and the first deploy leaves no release."""
    project = make()
    project.tag("v1.0.0")
    with socket.create_server(("127.0.0.1", int(project.front.rpartition(":")[2]))):
        told = project.told("fab", "deploy")
    assert (told.exit, told.result["outcome"]) == (4, "restored")
    assert project.front in told.error["what"]
    assert project.current is None
    assert not list((project.root / "releases").iterdir())
    assert project.processes() == {}
    assert project.run("fab", "deploy").exit == 0


@pytest.mark.parametrize("kind", ["prepare", "smoke"])
def test_a_command_that_fails_on_the_host_puts_everything_back(live: Project, kind: str) -> None:
    """prepare and smoke run once staging began: exit 4, their last lines, and nothing left of the release."""
    argv = "python3 -c \"print('looking for data'); raise SystemExit('no data')\""
    replacement = (
        f"  prepare:\n    - {argv}" if kind == "prepare" else f"  smoke: {argv}\n  prepare:\n    - python3 hold.py"
    )
    live.edit("tagship.yml", r"(?m)^  prepare:\n.*", replacement)
    live.tag_next({"version.txt": "two"})
    before = live.released()
    told = live.told("fab", "deploy")
    assert (told.exit, told.result["outcome"]) == (4, "restored")
    assert told.error["where"].startswith(f"local, {kind}: ")
    assert told.error["tail"] == ["looking for data", "no data"]
    assert told.result["hosts"] == [{"host": "local", "release": "0001-v1.0.0", "ok": True}]
    assert live.released() == before
    assert len(live.services()) == 1
    ran = live.run("fab", "deploy")
    assert "    | no data\n" in ran.err
    assert ran.err.count(f"{kind}: ") == 1, "the command is named once"


def test_a_host_that_does_not_answer_is_refused(live: Project) -> None:
    """A closed port: the host's name, what happened, what to look at."""
    lines = (
        "  far:\n    service: {kind: process}\n    root: /nonexistent/blog\n"
        f"    hosts: [{{host: 127.0.0.1, port: {free_port()}, name: web1}}]\n"
    )
    live.edit("tagship.yml", r"(?m)^stages:\n", f"stages:\n{lines}")
    for verb in ("deploy", "status"):
        error = check_refused(live, 3, "fab", verb, "--stage", "far").error
        assert error["where"] == "web1"
        assert "127.0.0.1" in error["what"] + error["cure"]


@pytest.fixture
def small(make: Make) -> Iterator[Callable[[str], Project]]:
    """A project whose host's root is a filesystem with the given options."""
    mounted: list[Path] = []

    def new(options: str) -> Project:
        if os.geteuid() != 0:
            pytest.skip("mounting a small filesystem needs root")
        project = make()
        project.root.mkdir(parents=True)
        argv = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(project.root)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"a small filesystem can't be mounted here: {done.stderr.strip()}")
        mounted.append(project.root)
        return project

    yield new
    for path in mounted:
        subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.mark.lab
@pytest.mark.parametrize(("options", "word"), [("size=8m", "bytes"), ("size=1g,nr_inodes=50", "inodes")])
def test_a_disk_with_too_little_room_is_refused(small: Callable[[str], Project], options: str, word: str) -> None:
    """How much is free, how much is wanted; found out before the first byte is sent."""
    project = small(options)
    project.tag("v1.0.0")
    error = check_refused(project, 3, "fab", "deploy").error
    assert re.search(rf"too (little|few) .*{word}", error["what"])
