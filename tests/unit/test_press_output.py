"""Where a built site is put, and what is never lost on the way."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from unit.press_project import CLOCK, HELLO, SITE, snapshot, write

from tagship.errors import ContentError, UsageError
from tagship.press.build import BuildReport
from tagship.press.output import clean, publish

BAD = {"posts/2026-11-02-bad.md": "no front matter"}


def published(project: Path, out: Path | None = None, **flags: Any) -> BuildReport:
    return publish(project, SITE, clock=CLOCK, out=out, **flags)


def test_build_site_is_a_link_to_a_whole_tree(tmp_path: Path) -> None:
    """The link is relative, so that the project may be moved."""
    project = write(tmp_path, HELLO)
    assert published(project).posts == 1
    link = project / "build/site"
    assert link.is_symlink()
    assert not link.readlink().is_absolute()
    assert (link / "2026/11/hello/index.html").is_file()


def test_a_deleted_post_leaves_nothing_behind(tmp_path: Path) -> None:
    """What a build doesn't make isn't in the tree that it shows; the other tree is what was shown before."""
    project = write(tmp_path, {**HELLO, "posts/2026-11-02-gone.md": "---\ntitle: Gone\ntags: [gone]\n---\n"})
    published(project)
    (project / "posts/2026-11-02-gone.md").unlink()
    published(project)
    assert not [
        name for name, (_, data) in snapshot(project / "build/site").items() if "gone" in name or b"Gone" in data
    ]
    kept = sorted(path.name for path in (project / "build").iterdir() if path.is_dir() and not path.is_symlink())
    assert kept == [".press", "site.a", "site.b"]


def test_a_failed_build_leaves_the_last_good_one(tmp_path: Path) -> None:
    """And no half tree either."""
    project = write(tmp_path, HELLO)
    published(project)
    before = sorted((project / "build").iterdir()), snapshot(project / "build/site")
    write(project, BAD)
    with pytest.raises(ContentError):
        published(project)
    assert (sorted((project / "build").iterdir()), snapshot(project / "build/site")) == before


def test_readers_never_miss_the_site_while_it_is_replaced(tmp_path: Path) -> None:
    """The link changes by one rename; whoever resolves it finds a site."""
    project = write(tmp_path, HELLO)
    published(project)
    done = threading.Event()
    missed = []

    def look() -> None:
        while not done.is_set():
            if not (project / "build/site").is_symlink():
                missed.append(1)

    reader = threading.Thread(target=look)
    reader.start()
    for _ in range(5):
        published(project)
    done.set()
    reader.join()
    assert not missed


def test_two_builds_at_once_both_end_well(tmp_path: Path) -> None:
    """One waits for the other; neither removes the tree of the other."""
    project = write(tmp_path, HELLO)
    errors: list[BaseException] = []

    def one() -> None:
        try:
            published(project)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert (project / "build/site/index.html").is_file()


def test_a_real_folder_at_build_site_is_not_touched(tmp_path: Path) -> None:
    """Somebody made it, and it isn't ours."""
    project = write(tmp_path, {**HELLO, "build/site/mine.txt": "mine"})
    with pytest.raises(UsageError, match="is no link of ours"):
        published(project)
    assert (project / "build/site/mine.txt").read_text() == "mine"


def test_out_writes_a_plain_folder_with_the_site_and_nothing_else(tmp_path: Path) -> None:
    """No mark of ours ends up public; `build/site` is not touched."""
    project = write(tmp_path / "project", HELLO)
    published(project)
    published(project, tmp_path / "made/public")
    assert snapshot(tmp_path / "made/public") == snapshot(project / "build/site")
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["public"]
    (tmp_path / "empty").mkdir()
    published(project, tmp_path / "empty")
    assert (tmp_path / "empty/index.html").is_file()


def test_out_replaces_what_an_earlier_build_wrote_there(tmp_path: Path) -> None:
    """The record is in build/, with the digest of each file."""
    project = write(tmp_path / "project", HELLO)
    published(project, tmp_path / "public")
    (project / "posts/2026-11-01-hello.md").rename(project / "posts/2026-11-01-moved.md")
    published(project, tmp_path / "public")
    assert not (tmp_path / "public/2026/11/hello").exists()
    assert (tmp_path / "public/2026/11/moved/index.html").is_file()


@pytest.mark.parametrize("name", ["precious.txt", "index.html", ".hidden", "2026/11/mine"])
def test_out_refuses_a_folder_with_anything_that_no_build_wrote(tmp_path: Path, name: str) -> None:
    """A foreign file, and one of ours that somebody changed since."""
    project = write(tmp_path / "project", HELLO)
    published(project, tmp_path / "public")
    write(tmp_path / "public", {name: "precious"})
    before = snapshot(tmp_path / "public")
    with pytest.raises(UsageError, match=f"holds {name}, which no build wrote there"):
        published(project, tmp_path / "public")
    assert snapshot(tmp_path / "public") == before


def test_out_refuses_foreign_folders_from_the_start(tmp_path: Path) -> None:
    """A home folder given by mistake stays as it is."""
    project = write(tmp_path / "project", HELLO)
    home = write(tmp_path / "home", {"precious.txt": "precious"})
    with pytest.raises(UsageError):
        published(project, home)
    assert (home / "precious.txt").read_text() == "precious"


@pytest.mark.parametrize("out", [".", "..", "posts", "site/public", ".git/x", "posts/2026-11-01-hello.md"])
def test_out_refuses_places_among_the_projects_own_files(tmp_path: Path, out: str) -> None:
    """An output there would become an input."""
    project = write(tmp_path / "project", HELLO)
    before = snapshot(project / "posts")
    with pytest.raises(UsageError):
        published(project, project / out)
    assert snapshot(project / "posts") == before


def test_a_failed_build_leaves_the_folder_of_out(tmp_path: Path) -> None:
    """As it does with `build/site`."""
    project = write(tmp_path / "project", HELLO)
    published(project, tmp_path / "public")
    before = snapshot(tmp_path / "public")
    write(project, BAD)
    with pytest.raises(ContentError):
        published(project, tmp_path / "public")
    assert snapshot(tmp_path / "public") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["project", "public"]


def test_clean_removes_build_and_says_whether_there_was_one(tmp_path: Path) -> None:
    """And nothing else; a link is not followed."""
    project = write(tmp_path / "project", HELLO)
    published(project)
    assert clean(project)
    assert not clean(project)
    assert sorted(path.name for path in project.iterdir()) == ["posts"]
    other = write(tmp_path / "other", {"precious.txt": "precious"})
    (project / "build").symlink_to(other)
    with pytest.raises(UsageError, match="is a link"):
        clean(project)
    assert (other / "precious.txt").is_file()


def test_the_clock_reaches_the_build(tmp_path: Path) -> None:
    """What is in the future at the commit is not published."""
    project = write(tmp_path, HELLO)
    report = publish(project, SITE, clock=datetime(2026, 10, 1, tzinfo=UTC))
    assert (report.posts, report.future) == (0, ("posts/2026-11-01-hello.md",))


def test_a_build_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A file where the folder should be, or somebody else's folder, is an error with a cure, not a bug."""
    project = write(tmp_path, HELLO)
    (project / "build").write_text("mine")
    with pytest.raises(UsageError, match="can't be written") as error:
        published(project)
    assert error.value.where == "build"
    assert (project / "build").read_text() == "mine"
