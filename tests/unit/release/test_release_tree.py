"""The raw tree of a commit: what is read, and every kind of path that can't ship."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.release.release_case import Repo

from tagship.errors import BundleRefused, TagshipError
from tagship.manifest import File, Manifest
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
        ([("120000", b"l", b"a\nb")], "l", "control character"),
        ([("120000", b"l", b"a" * 1025)], "l", "too long"),
        ([("100644", b"-rf", b"")], "-rf", "dash"),
        ([("040000", b"-x", "TREE")], "-x/tags.json", "dash"),
        ([("100644", b"git~1", b"")], "git~1", "`.git`"),
        ([("100644", ".g\u200cit".encode(), b"")], ".g\\u200cit", "`.git`"),
        ([("100644", "a\u0085".encode(), b"")], "a\\x85", "control character"),
        ([("100644", "\u202egpj.exe".encode(), b"")], "\\u202egpj.exe", "control character"),
        ([("100644", "é".encode() * 128, b"")], "é" * 128, "255 bytes"),
        ([("100644", b"caf\xc3\xa9", b""), ("100644", b"cafe\xcc\x81", b"")], "café", "normal form"),
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
    with pytest.raises(BundleRefused, match="more than 200,000 files and folders"):
        tree.read_tree(repo.path, commit)


def test_tree_bomb_without_a_file_is_cut_short(repo: Repo) -> None:
    """Folders in folders in folders, all of them empty: git would walk through them in silence, for ever."""
    below = repo.git("mktree", "-z", stdin=b"")
    for _level in range(30):
        listing = "".join(f"040000 tree {below}\tn{n}\0" for n in range(10)).encode()
        below = repo.git("mktree", "-z", stdin=listing)
    commit = repo.git("commit-tree", below, "-m", "bomb")
    with pytest.raises(BundleRefused, match="more than 200,000 files and folders"):
        tree.read_tree(repo.path, commit)


def raw_tree(repo: Repo, *entries: tuple[bytes, bytes, str]) -> str:
    """A commit of a tree in git's own bytes, with whatever modes and names (mode, name, object id)."""
    data = b"".join(mode + b" " + name + b"\0" + bytes.fromhex(oid) for mode, name, oid in entries)
    made = repo.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=data)
    return repo.git("commit-tree", made, "-m", "made by hand")


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        (b"20644", b"device"),
        (b"60644", b"disk"),
        (b"10644", b"fifo"),
        (b"140755", b"socket"),
        (b"100644", b""),
        (b"100644", b"."),
        (b"100644", b"a/b/../../../x"),
        (b"100644", b"/etc/passwd"),
        (b"40000", b"a blob for a folder"),
        (b"0", b"nothing"),
    ],
)
def test_what_only_bytes_can_say_is_refused(repo: Repo, mode: bytes, name: bytes) -> None:
    """Trees that neither git nor its plumbing would write: devices, pipes, sockets, names with slashes in them."""
    blob = repo.git("hash-object", "-w", "--stdin", stdin=b"evil")
    commit = raw_tree(repo, (b"100644", b"good", blob), (mode, name, blob))
    with pytest.raises(TagshipError) as caught:
        contents(repo.path, commit)
    assert caught.value.exit_code == 3
    assert str(caught.value).isprintable() or "\n  cure: " in str(caught.value)


@pytest.mark.parametrize("mode", [b"104755", b"102755", b"101777", b"100777", b"100666"])
def test_of_a_file_s_mode_only_the_executable_bit_counts(repo: Repo, mode: bytes) -> None:
    """Setuid, setgid, sticky and writable for all are nothing that a release could have."""
    blob = repo.git("hash-object", "-w", "--stdin", stdin=b"x")
    (found,) = tree.read_tree(repo.path, raw_tree(repo, (mode, b"f", blob)))
    assert found.mode == ("100755" if mode.endswith((b"7", b"55")) else "100644")


def test_one_name_twice_in_a_tree_is_refused(repo: Repo) -> None:
    """As two files, or as a file and a folder."""
    blob = repo.git("hash-object", "-w", "--stdin", stdin=b"x")
    inner = repo.git("mktree", "-z", stdin=f"100644 blob {blob}\tx\0".encode())
    for first, second in (
        ((b"100644", b"a", blob), (b"100755", b"a", blob)),
        ((b"100644", b"a", blob), (b"40000", b"a", inner)),
    ):
        blobs = tree.read_tree(repo.path, raw_tree(repo, first, second))
        with pytest.raises(ValueError, match="a is"):
            Manifest.of(File(blob.path, "0" * 64, 1) for blob in blobs)


def test_folders_in_folders_without_end_are_refused(repo: Repo) -> None:
    """Six hundred of them, one in the other: their path is longer than any host takes."""
    below = repo.git("hash-object", "-w", "--stdin", stdin=b"")
    kind = "100644 blob"
    for _level in range(600):
        below = repo.git("mktree", "-z", stdin=f"{kind} {below}\td\0".encode())
        kind = "040000 tree"
    with pytest.raises(BundleRefused, match="longer than 1,024 bytes"):
        tree.read_tree(repo.path, repo.git("commit-tree", below, "-m", "deep"))


def test_missing_blob_is_refused_by_path(repo: Repo) -> None:
    """A damaged or partial repository can't give a release."""
    commit = repo.commit_rows(("100644", b"gone.txt", "1" * 40))
    with pytest.raises(BundleRefused, match="lacks this file's contents") as caught:
        contents(repo.path, commit)
    assert caught.value.where == "gone.txt"
