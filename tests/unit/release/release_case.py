"""What the tests of the release room are made of: a real repository, and the names of the fixtures' types."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

MakeWheel = Callable[..., tuple[Path, str]]

CONFIG = """\
app:
  name: demo
  start: gunicorn --bind unix:{socket} demo:app
"""


class Repo:
    """A git repository in a folder, with an author and a clock of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seconds = 1_700_000_000
        path.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *words: str, stdin: bytes | None = None) -> str:
        stamp = f"{self.seconds} +0200"
        env = os.environ | {
            "GIT_AUTHOR_NAME": "Ada",
            "GIT_AUTHOR_EMAIL": "ada@example.org",
            "GIT_COMMITTER_NAME": "Ada",
            "GIT_COMMITTER_EMAIL": "ada@example.org",
            "GIT_AUTHOR_DATE": stamp,
            "GIT_COMMITTER_DATE": stamp,
        }
        done = subprocess.run(
            ["git", "-C", str(self.path), *words], env=env, input=stdin, capture_output=True, check=True
        )
        return done.stdout.decode().strip()

    def write(self, files: dict[str, str | bytes]) -> None:
        for name, content in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def commit(self, files: dict[str, str | bytes] | None = None) -> str:
        """Write `files`, commit everything a minute later, and return the commit's id."""
        self.write(files or {})
        self.seconds += 60
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "change")
        return self.git("rev-parse", "HEAD")

    def tag(self, name: str) -> None:
        self.git("tag", "-a", name, "-m", name)

    def commit_rows(self, *rows: tuple[str, bytes, bytes | str]) -> str:
        """A commit of exactly these (mode, path, contents or object id): what a hostile client could push."""
        listing = b""
        for mode, path, content in rows:
            oid = content if isinstance(content, str) else self.git("hash-object", "-w", "--stdin", stdin=content)
            kind = {"160000": "commit", "040000": "tree"}.get(mode, "blob")
            listing += f"{mode} {kind} {oid}\t".encode() + path + b"\0"
        tree = self.git("mktree", "-z", "--missing", stdin=listing)
        return self.git("commit-tree", tree, "-m", "made by hand")
