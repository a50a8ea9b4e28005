"""The one place that runs git, reading only.

Names that people chose never stand where git would read an option: they travel as full refs or after
`--end-of-options`. Replace refs and inherited `GIT_*` variables are switched off, so that a commit means its own
bytes; the user's configuration stays, for `safe.directory` lives there.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tagship.errors import Refused, TagRefused, TagshipError, UsageError

_OPTIONS = ("--no-pager", "--literal-pathspecs", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false")
_DIAGNOSES = (
    ("not a git repository", "this is not a git repository", 'git init && git add . && git commit -m "First"'),
    (
        "dubious ownership",
        "git refuses to read a repository that belongs to someone else",
        "if you trust it: git config --global --add safe.directory {repo}",
    ),
    ("bad config", "git's configuration can't be read: {last}", "mend the file it names"),
)


def environment() -> dict[str, str]:
    """The environment git runs in: ours without `GIT_*`, in the C locale, without locks and replace refs."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return kept | {
        "LC_ALL": "C",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }


def argv(repo: Path, *words: str) -> list[str]:
    """The argument list that runs `git WORDS` in the folder `repo`."""
    return ["git", "-C", str(repo), *_OPTIONS, *words]


def run(repo: Path, *words: str) -> bytes:
    """Run git in `repo` and return its standard output.

    Raises `TagRefused` where `repo` can't be read by git at all, `UsageError` without git, and `GitFailed` for
    every other failure.
    """
    try:
        done = subprocess.run(argv(repo, *words), env=environment(), capture_output=True, check=False)
    except FileNotFoundError:
        raise no_git(repo) from None
    if done.returncode == 0:
        return done.stdout
    raise failure(repo, words, done.returncode, done.stderr)


class GitFailed(Refused):
    """git, which only reads here, ended with `status` for a reason nobody foresaw; `tail` holds what it said."""

    def __init__(self, what: str, *, where: str, status: int, tail: tuple[str, ...]) -> None:
        super().__init__(what, where=where, tail=tail, cure="git fsck shows what is damaged")
        self.status = status


def no_git(repo: Path) -> UsageError:
    """The error of a machine (or a folder) where git can't be started."""
    if not repo.is_dir():
        return UsageError("there is no such folder", where=str(repo))
    return UsageError("git is not installed, or not on PATH", where=str(repo), cure="install git")


def failure(repo: Path, words: tuple[str, ...], status: int, stderr: bytes) -> TagshipError:
    """The error that `git WORDS` in `repo` ended with."""
    said = stderr.decode("utf-8", "replace").strip().splitlines()
    last = said[-1] if said else ""
    for sign, what, cure in _DIAGNOSES:
        if any(sign in line for line in said):
            return TagRefused(what.format(last=last), where=str(repo), cure=cure.format(repo=repo))
    if not repo.is_dir():
        return no_git(repo)
    return GitFailed(f"git {words[0]} failed: {last}", where=str(repo), status=status, tail=tuple(said[-10:]))
