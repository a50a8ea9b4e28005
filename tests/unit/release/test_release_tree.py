"""The raw tree of a commit: what is read, and every kind of path that can't ship."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.release.release_case import Repo

from tagship.errors import BundleRefused
from tagship.release import paths, tree

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"


def contents(repo: Path, commit: str) -> dict[str, tuple[str, bytes]]:
    blobs = tree.read_tree(repo, commit)
    return {blob.path: (blob.mode, data) for blob, data in tree.read_blobs(repo, blobs, commit=commit)}


def test_bytes_and_modes_come_raw(repo: Repo) -> None:
    """Attributes and line ends that a checkout or an archive would rewrite stay as committed."""
    repo.git("config", "core.autocrlf", "false")
    repo.write(
        {
            "run": "#!/bin/sh\n",
            "a/é b.txt": "$Format:%H$\r\n",
            ".gitattributes": "* export-subst\nrun export-ignore\n",
        }
    )
    (repo.path / "run").chmod(0o755)
    (repo.path / "a/link").symlink_to("../run")
    commit = repo.commit()
    assert contents(repo.path, commit) == {
        ".gitattributes": ("100644", b"* export-subst\nrun export-ignore\n"),
        "a/link": ("120000", b"../run"),
        "a/é b.txt": ("100644", b"$Format:%H$\r\n"),
        "run": ("100755", b"#!/bin/sh\n"),
    }


def test_more_blobs_than_a_pipe_holds(repo: Repo) -> None:
    """5,000 names and their contents exceed every pipe's buffer in both directions."""
    files: dict[str, str | bytes] = {f"d{n % 50}/f{n}": f"{n}\n" * 40 for n in range(5000)}
    commit = repo.commit(files)
    found = contents(repo.path, commit)
    assert {path: data for path, (_mode, data) in found.items()} == {k: str(v).encode() for k, v in files.items()}


def test_project_in_a_folder_gives_its_own_files_only(repo: Repo) -> None:
    """Paths are relative to the project, and links may not leave it for the rest of the repository."""
    commit = repo.commit({"one/a": "1", "two/b": "2"})
    assert set(contents(repo.path / "one", commit)) == {"a"}
    (repo.path / "one/out").symlink_to("../two/b")
    with pytest.raises(BundleRefused, match="out can't be"):
        contents(repo.path / "one", repo.commit())


@pytest.mark.parametrize(
    ("rows", "path", "fault"),
    [
        ([("160000", b"vendor", "1" * 40)], "vendor", "submodule"),
        ([("100644", b"big.bin", LFS)], "big.bin", "Git LFS"),
        ([("100644", b"a\nb", b"")], "a\\nb", "control character"),
        ([("100644", b"a\x1b[31m", b"")], "a\\x1b[31m", "control character"),
        ([("100644", b"caf\xe9", b"")], "caf\\xe9", "not UTF-8"),
        ([("100644", b".GIT", b"")], ".GIT", "`.git`"),
        ([("040000", b".tagship", "TREE")], ".tagship/tags.json", "git rm -r --cached .tagship"),
        ([("100644", b"..", b"")], "..", "`..`"),
        ([("100644", b"x" * 256, b"")], "x" * 256, "255 bytes"),
        ([("120000", b"l", b"/etc/passwd")], "l", "absolute"),
        ([("120000", b"l", b"../x")], "l", "leaves the tree"),
        ([("120000", b"l", b"a/../../x")], "l", "leaves the tree"),
        ([("120000", b"l", b"l")], "l", "never ends"),
        ([("120000", b"l", b"")], "l", "empty"),
        ([("120000", b"l", b"a\0b")], "l", "control character"),
        ([("120000", b"l", b"\xff")], "l", "not UTF-8"),
        ([("120000", b"a", b"b"), ("120000", b"b", b"../c")], "a", "leaves the tree"),
    ],
)  # fmt: skip
def test_hostile_entries_are_refused_by_path(
    repo: Repo, rows: list[tuple[str, bytes, bytes | str]], path: str, fault: str
) -> None:
    """Whatever a client could push, the message names the path and nothing is packed."""
    inner = repo.git(
        "mktree", stdin=f"100644 blob {repo.git('hash-object', '-w', '/dev/null')}\ttags.json\n".encode()
    )
    commit = repo.commit_rows(*[(mode, name, inner if data == "TREE" else data) for mode, name, data in rows])
    with pytest.raises(BundleRefused) as caught:
        contents(repo.path, commit)
    assert caught.value.what.startswith(f"{path} can't be in a release: ")
    assert fault in caught.value.what
    assert caught.value.what.isprintable()


def test_every_offender_is_named_at_once(repo: Repo) -> None:
    """Ten submodules are one message, not ten tries."""
    commit = repo.commit_rows(*[("160000", f"sub{n}".encode(), "1" * 40) for n in range(30)])
    with pytest.raises(BundleRefused, match="and 29 more") as caught:
        contents(repo.path, commit)
    assert len(caught.value.paths) == 21
    assert caught.value.paths[-1] == "and 10 more"


def test_link_through_a_link_is_walked_as_the_kernel_does(repo: Repo) -> None:
    """`d` is the root, so `d/..` is above it, though the text `a/b/d/../x` looks harmless."""
    commit = repo.commit_rows(("120000", b"d", b"."), ("120000", b"e", b"d/../x"))
    with pytest.raises(BundleRefused, match="e can't be"):
        contents(repo.path, commit)


def test_links_inside_the_tree_pass() -> None:
    """Up and down again, to folders, to what isn't there, and through other links."""
    links = {"a/up": "../b/c", "b/c": "d/./e", "top": ".", "a/deep/x": "../../top/a/up", "gone": "nothing/here"}
    assert list(paths.bad_links(links)) == []


def test_tree_bomb_is_cut_short(repo: Repo) -> None:
    """Ten folders that each hold the one below ten times: a kilobyte that names ten thousand million files."""
    below = repo.git("hash-object", "-w", "--stdin", stdin=b"")
    kind = "100644 blob"
    for _level in range(10):
        listing = "".join(f"{kind} {below}\tn{n}\0" for n in range(10)).encode()
        below = repo.git("mktree", "-z", stdin=listing)
        kind = "040000 tree"
    commit = repo.git("commit-tree", below, "-m", "bomb")
    with pytest.raises(BundleRefused, match="more than 200,000 files"):
        tree.read_tree(repo.path, commit)


def test_missing_blob_is_refused_by_path(repo: Repo) -> None:
    """A damaged or partial repository can't give a release."""
    commit = repo.commit_rows(("100644", b"gone.txt", "1" * 40))
    with pytest.raises(BundleRefused, match="lacks this file's contents") as caught:
        contents(repo.path, commit)
    assert caught.value.where == "gone.txt"
