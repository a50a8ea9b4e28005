"""The raw tree of a commit, checked: what may become a release, byte for byte as it was committed.

Never `git archive`: it changes bytes with autocrlf and export-subst, modes with tar.umask, and leaves submodules
empty (docs/adr/0004).
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tagship.errors import BundleRefused
from tagship.release import git, paths

MAX_ENTRIES = 200_000
"""Entries a tree may have, folders too; a hostile one can name millions with a few kilobytes."""
MAX_BLOB = 1024**3
"""Bytes a single file may have."""
MAX_BYTES = 16 * 1024**3
"""Bytes all files may have together, each counted as often as it is named."""

_LFS = b"version https://git-lfs"
_FILE, _EXECUTABLE, _LINK, _SUBMODULE = "100644", "100755", "120000", "160000"
_MODES = {_FILE: _FILE, "100664": _FILE, _EXECUTABLE: _EXECUTABLE, _LINK: _LINK, _SUBMODULE: _SUBMODULE}


@dataclass(frozen=True, slots=True)
class Blob:
    """One file or link of the commit; `path` is relative to the project's folder."""

    path: str
    mode: str
    """`100644`, `100755` or `120000`."""
    id: str
    """The blob's object id."""

    @property
    def executable(self) -> bool:
        return self.mode == _EXECUTABLE

    @property
    def is_link(self) -> bool:
        return self.mode == _LINK


def read_tree(repo: Path, commit: str) -> tuple[Blob, ...]:
    """Every file and link of `commit` below the project's folder, in git's order; contents are not read.

    Raises `BundleRefused` naming every path that can't ship: submodules, names that are not UTF-8, hold control
    characters, are too long, or pass through `.git` or `.tagship`, and trees of more than `MAX_ENTRIES`.
    """
    faults = paths.Faults(commit)
    found = []
    for mode, kind, oid, raw in _rows(repo, commit):
        if kind == "tree":
            continue
        path, fault = paths.decode(raw)
        known = _MODES.get(mode)
        if fault:
            faults.add(path, fault)
        elif path.startswith(".tagship/"):
            faults.add(path, "tagship's own folder on this machine (git rm -r --cached .tagship)")
        elif known == _SUBMODULE or kind == "commit":
            faults.add(path, "a submodule, whose files are not in this repository")
        elif known is None:
            faults.add(path, f"of the unknown kind {mode}")
        else:
            found.append(Blob(path, known, oid))
    for path, fault in paths.twins(blob.path for blob in found):
        faults.add(path, fault)
    faults.check()
    return tuple(found)


def _rows(repo: Path, commit: str) -> Iterator[tuple[str, str, str, bytes]]:
    """mode, type, object id and path of each row of `ls-tree`, read as git writes them.

    Folders have rows too: else git would walk through millions that hold no file, and say nothing.
    """
    with _running(repo, "ls-tree", "-rtz", commit) as git_out:
        rest = b""
        count = 0
        while chunk := git_out.read(1 << 16):
            *rows, rest = (rest + chunk).split(b"\0")
            count += len(rows)
            if count > MAX_ENTRIES:
                raise BundleRefused(
                    f"the tree has more than {MAX_ENTRIES:,} files and folders",
                    where=commit[:12],
                    cure="keep generated files out of the repository; `build:` commands make them",
                )
            for row in rows:
                head, _, raw = row.partition(b"\t")
                mode, kind, oid = head.decode("ascii").split(" ")[:3]
                yield mode, kind, oid, raw


def read_blobs(repo: Path, blobs: tuple[Blob, ...], *, commit: str) -> Iterator[tuple[Blob, bytes]]:
    """The contents of `blobs`, in their order, through one git process.

    Raises `BundleRefused` for pointers of Git LFS (by path, all of them), links that leave the tree, and blobs
    that are missing or larger than `MAX_BLOB`.
    """
    if not blobs:
        return
    faults = paths.Faults(commit)
    links: dict[str, str] = {}
    for blob, data in _contents(repo, blobs):
        if blob.is_link:
            target, fault = paths.decode_target(data)
            links[blob.path] = target
            if fault:
                faults.add(blob.path, fault)
        elif len(data) < 1024 and data.startswith(_LFS):
            faults.add(blob.path, "a pointer of Git LFS, whose contents are not in this repository")
        yield blob, data
    for path, fault in paths.bad_links(links):
        faults.add(path, fault)
    faults.check()


def _contents(repo: Path, blobs: tuple[Blob, ...]) -> Iterator[tuple[Blob, bytes]]:
    with tempfile.TemporaryFile() as wanted:  # a pipe would block both sides once it is full
        wanted.write("".join(f"{blob.id}\n" for blob in blobs).encode())
        wanted.seek(0)
        with _running(repo, "cat-file", "--batch", "--buffer", stdin=wanted) as git_out:
            total = 0
            for blob in blobs:
                head = git_out.readline().decode("ascii", "replace").split()
                if len(head) != 3 or head[1] != "blob":
                    raise BundleRefused(
                        "the repository lacks this file's contents",
                        where=blob.path,
                        cure="git fsck shows what is damaged; git fetch brings what is missing",
                    )
                size = int(head[2])
                total += size
                if size > MAX_BLOB:
                    raise BundleRefused(f"larger than {MAX_BLOB:,} bytes", where=blob.path, paths=(blob.path,))
                if total > MAX_BYTES:
                    raise BundleRefused(
                        f"all files up to this one have more than {MAX_BYTES:,} bytes", where=blob.path
                    )
                data = git_out.read(size)
                git_out.read(1)
                yield blob, data


@contextlib.contextmanager
def _running(repo: Path, *words: str, stdin: IO[bytes] | None = None) -> Iterator[IO[bytes]]:
    """The standard output of a running git, whose failure is raised when it has been read to its end."""
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                git.argv(repo, *words),
                env=git.environment(),
                stdin=stdin or subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
            )
        except FileNotFoundError:
            raise git.no_git(repo) from None
        assert process.stdout is not None
        try:
            with process.stdout:
                yield process.stdout
        except BaseException:
            process.kill()
            process.wait()
            raise
        if process.wait() != 0:
            said.seek(0)
            raise git.failure(repo, words, process.returncode, said.read())
