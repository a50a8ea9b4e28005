"""Which tag ships, and which never does."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
from pathlib import Path

import pytest
from unit.release.release_case import Repo

from tagship.errors import TagRefused, UsageError
from tagship.release import tagbook, tags


def test_newest_version_tag_that_head_reaches_ships(repo: Repo) -> None:
    """Newest is the highest version, not the last made: a fix for an old line does not become the release."""
    first = repo.commit({"a": "1"})
    repo.tag("v1.10.0")
    repo.commit({"a": "2"})
    repo.tag("v1.9.1")
    repo.tag("nightly")
    repo.commit({"a": "3"})
    found = tags.resolve(repo.path)
    assert (found.name, found.commit, found.ahead, found.annotated) == ("v1.10.0", first, 2, True)
    assert found.time == dt.datetime.fromtimestamp(1_700_000_060, dt.UTC)
    assert found.object == repo.git("rev-parse", "refs/tags/v1.10.0")
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("names", "newest"),
    [
        (["v2.0.0rc1", "v1.9.0"], "v2.0.0rc1"),
        (["v2.0.0rc1", "v2.0.0"], "v2.0.0"),
        (["v2.0.0-rc.1", "v2.0.0-beta.3"], "v2.0.0-rc.1"),
        (["1.0", "v0.9", "release/9.9"], "1.0"),
        (["v1.0.0", "v1.0.0+build.5"], "v1.0.0+build.5"),
    ],
)
def test_prereleases_stand_before_their_final(repo: Repo, names: list[str], newest: str) -> None:
    """PEP 440 orders versions; names that are no versions are never chosen unasked."""
    repo.commit({"a": "1"})
    for name in names:
        repo.tag(name)
    assert tags.resolve(repo.path).name == newest


def test_tag_of_another_branch_ships_only_when_named(repo: Repo) -> None:
    """HEAD decides what may be chosen; a name given decides alone, with a warning."""
    repo.commit({"a": "1"})
    repo.tag("v1.0.0")
    repo.git("checkout", "-q", "-b", "next")
    repo.commit({"a": "2"})
    repo.tag("v2.0.0")
    repo.git("checkout", "-q", "main")
    assert tags.resolve(repo.path).name == "v1.0.0"
    named = tags.resolve(repo.path, "v2.0.0")
    assert "HEAD does not contain v2.0.0" in named.warnings[0]


def test_any_tag_ships_when_it_is_named(repo: Repo) -> None:
    """`--tag` takes names that are no versions, folders among them."""
    commit = repo.commit({"a": "1"})
    repo.tag("release/autumn")
    assert tags.resolve(repo.path, "release/autumn").commit == commit


def test_branch_with_the_same_name_is_not_the_tag(repo: Repo) -> None:
    """Tags are looked up as full refs: a branch called v1.0.0 changes nothing."""
    commit = repo.commit({"a": "1"})
    repo.tag("v1.0.0")
    repo.commit({"a": "2"})
    repo.git("branch", "v1.0.0")
    assert tags.resolve(repo.path, "v1.0.0").commit == commit


def test_lightweight_tag_and_dirty_tree_are_warnings(repo: Repo) -> None:
    """Both ship, and both are said: what is not committed is not part of the release."""
    repo.commit({"a": "1"})
    repo.git("tag", "v1.0.0")
    repo.write({"a": "2", "new\nfile": "3", ".tagship/tags.json": "{}"})
    found = tags.resolve(repo.path)
    assert (found.annotated, found.dirty, found.object) == (False, True, found.commit)
    light, dirty = found.warnings
    assert "lightweight" in light
    assert "not what ships: 2 files" in dirty
    assert "\n" not in dirty


def test_no_tag_tells_how_to_make_one(repo: Repo) -> None:
    """The first message a new user sees must end in the command that helps."""
    with pytest.raises(TagRefused) as empty:
        tags.resolve(repo.path)
    assert "nothing is committed" in empty.value.what
    repo.commit({"a": "1"})
    with pytest.raises(TagRefused) as caught:
        tags.resolve(repo.path)
    assert caught.value.cure.startswith("git tag -a v0.1.0 -m ")
    assert caught.value.exit_code == 3


def test_tags_out_of_reach_are_told_from_no_tags(repo: Repo) -> None:
    """A tag that HEAD doesn't reach is named in the message."""
    repo.commit({"a": "1"})
    repo.git("checkout", "-q", "--orphan", "other")
    repo.commit({"a": "2"})
    repo.tag("v3.0.0")
    repo.git("checkout", "-q", "main")
    with pytest.raises(TagRefused, match=r"reaches no version tag.*v3\.0\.0"):
        tags.resolve(repo.path)


def test_shallow_clone_without_tags_says_so(repo: Repo, tmp_path: Path) -> None:
    """CI checks out one commit; the cure is not a new tag but the history."""
    repo.commit({"a": "1"})
    repo.tag("v1.0.0")
    repo.commit({"a": "2"})
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--depth=1", f"file://{repo.path}", str(clone)], check=True)
    with pytest.raises(TagRefused, match="shallow") as caught:
        tags.resolve(clone)
    assert "--unshallow" in caught.value.cure


def test_unknown_tag_names_near_ones(repo: Repo) -> None:
    """A typo costs one look, not a search."""
    repo.commit({"a": "1"})
    repo.tag("v1.4.0")
    with pytest.raises(TagRefused, match="no such tag") as caught:
        tags.resolve(repo.path, "v1.40")
    assert caught.value.cure == "did you mean v1.4.0?"


@pytest.mark.parametrize(
    "name",
    ["-x", "--exec=id", "v$(id)", "v1 0", "v1\n", "", ".v1", "a..b", "a//b", "a/", "v1.lock", "x.lock/y", "é", "a/.b",
     "v1@{0}", "v1^", "v1~1", "v1:a", "a*", "v" * 201],
)  # fmt: skip
def test_hostile_names_are_refused_before_git_sees_them(tmp_path: Path, name: str) -> None:
    """The folder isn't even a repository: the name is judged first."""
    with pytest.raises(TagRefused, match="a tag "):
        tags.resolve(tmp_path, name)


def test_hostile_names_in_the_repository_are_never_chosen(repo: Repo) -> None:
    """git allows `-x` and `v$(id)` as tags; nobody has to name them to have them."""
    repo.commit({"a": "1"})
    repo.tag("v1.0.0")
    head = repo.git("rev-parse", "HEAD")
    for name in ("9.0;id", "v9.0$(id)"):
        repo.git("update-ref", f"refs/tags/{name}", head)
    assert tags.resolve(repo.path).name == "v1.0.0"


def test_tag_object_under_another_name_is_refused(repo: Repo) -> None:
    """An old signed tag stored as a newer version still verifies; its own header tells."""
    repo.commit({"a": "1"})
    repo.tag("v1.0.0")
    repo.git("update-ref", "refs/tags/v2.0.0", repo.git("rev-parse", "refs/tags/v1.0.0"))
    for asked in (None, "v2.0.0"):
        with pytest.raises(TagRefused, match=r"says it is `v1\.0\.0`"):
            tags.resolve(repo.path, asked)


def test_tag_of_a_file_is_refused(repo: Repo) -> None:
    """A tag may name any object; only a commit can be a release."""
    repo.commit({"a": "1"})
    repo.git("tag", "-a", "v1.0.0", "-m", "x", repo.git("rev-parse", "HEAD:a"))
    with pytest.raises(TagRefused, match="names no commit"):
        tags.resolve(repo.path, "v1.0.0")


def test_replaced_commit_does_not_ship(repo: Repo) -> None:
    """`git replace` shows other bytes under a commit's id; a release is the commit's own."""
    original = repo.commit({"a": "1"})
    repo.tag("v1.0.0")
    other = repo.commit({"a": "2"})
    repo.git("replace", original, other)
    assert tags.resolve(repo.path, "v1.0.0").time == dt.datetime.fromtimestamp(1_700_000_060, dt.UTC)


def test_moved_tag_is_refused_by_the_local_record(repo: Repo) -> None:
    """A tag names one commit for ever: what was packed once is remembered without any host."""
    first = repo.commit({"a": "1"})
    repo.tag("v1.0.0")
    assert tagbook.remember(repo.path, "v1.0.0", first) == {}
    assert tags.resolve(repo.path).commit == first
    second = repo.commit({"a": "2"})
    repo.git("tag", "-f", "-a", "v1.0.0", "-m", "moved")
    with pytest.raises(TagRefused, match="has moved") as caught:
        tags.resolve(repo.path)
    assert first[:12] in caught.value.what
    assert second[:12] in caught.value.what
    assert tagbook.remember(repo.path, "v1.0.0", second) == {"v1.0.0": first}
    assert json.loads(tagbook.path(repo.path).read_text()) == {"v1.0.0": first}


def test_moved_tag_is_refused_by_what_hosts_know(repo: Repo) -> None:
    """The survey's record is compared by a pure function; other tags and equal commits pass."""
    commit = repo.commit({"a": "1"})
    repo.tag("v1.0.0")
    tag = tags.resolve(repo.path)
    tags.check_not_moved(tag, {"v0.9.0": "0" * 40, "v1.0.0": commit})
    with pytest.raises(TagRefused, match="has moved"):
        tags.check_not_moved(tag, {"v1.0.0": "0" * 40})


@pytest.mark.parametrize("text", ["{", "[]", '{"v1.0.0": 3}', '{"v1.0.0": "abc"}'])
def test_unreadable_record_is_refused_not_ignored(repo: Repo, text: str) -> None:
    """Reading a damaged record as an empty one would let a moved tag pass."""
    repo.commit({"a": "1"})
    repo.tag("v1.0.0")
    repo.write({".tagship/tags.json": text})
    with pytest.raises(TagRefused, match="record of shipped tags"):
        tags.resolve(repo.path)


def test_two_processes_lose_no_record(tmp_path: Path) -> None:
    """Each remembers another tag at once; both are there afterwards."""
    code = "import sys; from pathlib import Path; from tagship.release import tagbook\n"
    code += "for n in range(30): tagbook.remember(Path(sys.argv[1]), f'{sys.argv[2]}.{n}', '0' * 40)"
    import sys

    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name]) for name in ("v1", "v2")]
    assert [process.wait() for process in running] == [0, 0]
    assert len(tagbook.read(tmp_path)) == 60


def test_folder_without_repository_is_refused(tmp_path: Path) -> None:
    """One clear message instead of git's."""
    with pytest.raises(TagRefused, match="not a git repository"):
        tags.resolve(tmp_path)
    with pytest.raises(UsageError, match="no such folder"):
        tags.resolve(tmp_path / "nowhere")


def test_project_in_a_folder_of_the_repository(repo: Repo) -> None:
    """Changes elsewhere in a shared repository don't make this project dirty."""
    repo.commit({"one/a": "1", "two/a": "1"})
    repo.tag("v1.0.0")
    repo.write({"two/a": "2"})
    assert not tags.resolve(repo.path / "one").dirty
    assert tags.resolve(repo.path / "two").dirty


def test_inherited_git_variables_change_nothing(repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside a hook GIT_DIR names another repository; the folder we were given decides."""
    commit = repo.commit({"a": "1"})
    repo.tag("v1.0.0")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert tags.resolve(repo.path).commit == commit
