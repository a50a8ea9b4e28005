"""The system calls by which an agent changes its host: read off strace's log of a clean run, met again in the next.

A point is a call, what it names and which of those it is. Numbers of releases, tags and digests stand in it by what
they mean (`@new`, `@old`, `@key`), so that a point is the same one in each run. Only the agent's own calls count, not
those of what it starts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

NAMING = (
    *("openat", "rename", "renameat", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat"),
    *("mkdir", "mkdirat", "rmdir", "chmod", "fchmod", "fchmodat", "chown", "fchown", "fchownat", "utimensat"),
    *("write", "pwrite64", "writev", "truncate", "ftruncate", "fallocate", "copy_file_range", "sendfile"),
    *("fsync", "fdatasync", "syncfs", "flock"),
)
"""Calls that name a path or a file that is open."""
BARE = ("kill", "vfork", "fork", "clone", "clone3", "sync")
"""Calls that name none."""

_CALL = re.compile(r"^(\w+)\((.*)\) += (-?\d+|\?)")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
_FD = re.compile(r"(?<![\w>])(\d+)<(/[^>]*)>")
_DATA = {"write", "pwrite64", "writev"}
_MET = re.compile(r"^\w+\(.*(= \?|\((INJECTED|DELAYED).*\))$", re.MULTILINE)
_DIGEST = re.compile(r"(\.new-)?[0-9a-f]{64}")


@dataclass(frozen=True)
class Point:
    """The `nth` (from 1) of an agent's calls of this kind that name `where`; empty for those that name nothing."""

    call: str
    where: str
    nth: int

    def __str__(self) -> str:
        return f"{self.call}:{self.where or '-'}:{self.nth}"

    def under(self, log: Path, what: str, names: Mapping[str, str]) -> list[str]:
        """strace and its flags for what `what` (`signal=KILL`, `error=EIO`) does to this call, met by `names`."""
        where = spelt(self.where, names)
        path = ["-P", where] if where else []
        return [*_strace(log), *path, f"--trace={self.call}", f"--inject={self.call}:{what}:when={self.nth}"]


def counting(log: Path) -> list[str]:
    """strace and its flags for a clean run, whose log `points` reads."""
    return [*_strace(log), "--decode-fds=path", "--string-limit=4096", f"--trace={','.join([*NAMING, *BARE])}"]


def _strace(log: Path) -> list[str]:
    # Beside the agent, not above it: whoever started the agent waits for it, and gets its status.
    calm = ["--quiet=attach,exit,path-resolution,personality", "--signal=none"]
    return ["strace", "--daemonize=grandchild", *calm, f"--output={log}"]


def points(log: str, root: Path, names: Mapping[str, str]) -> list[Point]:
    """Every call in a log of `counting` that changed something below `root`, in their order."""
    calls = list(_calls(log))
    seen: Counter[tuple[str, str]] = Counter()
    every = Counter((call, name) for call, args, _ in calls for name in _named(call, args))
    found = []
    for call, args, result in calls:
        named = _named(call, args)
        seen.update((call, name) for name in named)
        if result.startswith("-") or not _changes(call, args, named, root):
            continue
        seen.update([(call, "")] if not named else [])
        told = {name: _told(name, root, names) for name in named}
        steady = [name for name in named if not _DIGEST.fullmatch(told[name])] or named
        where = min(steady, key=lambda name: (every[call, name], -len(name), name), default="")
        found.append(Point(call, told.get(where, ""), seen[call, where]))
    return found


def _calls(log: str) -> Iterator[tuple[str, str, str]]:
    for line in log.splitlines():
        match = _CALL.match(line)
        if match:
            yield match[1], match[2], match[3]


def _named(call: str, args: str) -> list[str]:
    """Paths that strace's own filter would take for this call's, each once."""
    if call in BARE:
        return []
    found = [path for _fd, path in _FD.findall(args)]
    if call not in _DATA:
        found += _TEXT.findall(args)
    return list(dict.fromkeys(found))


def _changes(call: str, args: str, named: Sequence[str], root: Path) -> bool:
    if call in BARE:
        return "CLONE_THREAD" not in args
    below = any(name == str(root) or name.startswith(f"{root}/") for name in named)
    return below and (call != "openat" or "O_CREAT" in args or "O_TRUNC" in args)


def _told(where: str, root: Path, names: Mapping[str, str]) -> str:
    """`where` without what another run would have otherwise."""
    for word, value in sorted(names.items(), key=lambda item: -len(item[1])):
        where = re.sub(rf"(?<![0-9A-Za-z]){re.escape(value)}(?![0-9A-Za-z])", word, where)
    return where.replace(str(root), "@root")


def spelt(where: str, names: Mapping[str, str]) -> str:
    """The reverse: what `where` is in a run with these names, `@root` among them."""
    for word, value in sorted(names.items(), key=lambda item: -len(item[0])):
        where = where.replace(word, value)
    return where


def met(log: Path) -> bool:
    """Whether strace, by its log, did what `Point.under` asks."""
    return bool(log.exists() and _MET.search(log.read_text(errors="replace")))


def once_each(found: Iterable[Point]) -> list[Point]:
    """Each point once, in order."""
    return list(dict.fromkeys(found))
