"""What is on disk against what should be: files of a tree, a virtualenv by its RECORD files."""

from __future__ import annotations

import base64
import os
import stat
from typing import Callable, Iterable, Iterator, Optional

from tagship.host import files, objects, rows
from tagship.host.tree import walk

NEVER = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX
"""Modes that nothing of a release has."""
RECORD = ".dist-info/RECORD"
"""How the paths end of what lists a wheel's files."""
_SHA256 = "sha256="

Hash = Callable[[str, os.stat_result], str]
"""SHA-256 in hex of the file at a path that has just been looked at; empty where it can't be read."""


def tree(release: str) -> Iterator[tuple[str, os.stat_result]]:
    """Every entry of the rooms of a release that isn't a folder."""
    for room in rows.ROOMS:
        top = os.path.join(release, room)
        if os.path.isdir(top) and not os.path.islink(top):
            for entry in walk(top, room):
                yield entry


def folders(release: str) -> Iterator[tuple[str, os.stat_result]]:
    """Every folder of the rooms of a release, the rooms too."""
    for room in rows.ROOMS:
        for found in folders_below(os.path.join(release, room), room):
            yield found


def folders_below(top: str, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    """A folder, and every one below it, called `prefix/...`; nothing where it is none, or a link."""
    try:
        status = os.lstat(top)
    except OSError:
        return
    if not stat.S_ISDIR(status.st_mode):
        return
    yield prefix, status
    with os.scandir(top) as found:
        inner = sorted(entry.name for entry in found if entry.is_dir(follow_symlinks=False))
    for name in inner:
        for each in folders_below(os.path.join(top, name), prefix + "/" + name):
            yield each


def hash_file(path: str, seen: Optional[os.stat_result] = None) -> str:
    """SHA-256 in hex of a regular file, the one that was `seen` there if any was; empty where it can't be read."""
    try:
        fd = os.open(path, files.READ)
    except OSError:
        return ""
    try:
        found = os.fstat(fd)
        same = seen is None or (found.st_dev, found.st_ino) == (seen.st_dev, seen.st_ino)
        return objects.hash_fd(fd) if same and stat.S_ISREG(found.st_mode) else ""
    except OSError:
        return ""
    finally:
        os.close(fd)


def fault(release: str, row: rows.Row, status: os.stat_result, hashed: Hash = hash_file) -> str:
    """What is wrong with an entry that should be as `row` says; empty if nothing is."""
    path = os.path.join(release, row[0])
    if row[1] == "l":
        if not stat.S_ISLNK(status.st_mode):
            return "not a link"
        target = os.readlink(path)
        return "" if target == row[2] else "points to {}".format(target)
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    if status.st_size != row[3] or hashed(path, status) != row[2]:
        return "changed"
    executable = bool(status.st_mode & 0o111)
    return "" if executable == (row[1] == "x") and not status.st_mode & NEVER else mode(status)


def fault_of_object(release: str, row: rows.Row, status: os.stat_result, hashed: Hash = hash_file) -> str:
    """`fault`, and for a file of the tag also a mode other than its object's."""
    found = fault(release, row, status, hashed)
    if not found and row[1] != "l" and stat.S_IMODE(status.st_mode) != objects.mode(rows.key(row)):
        return mode(status)
    return found


def mode(status: os.stat_result) -> str:
    """The permission bits in words: `mode 0644`."""
    return "mode {:04o}".format(stat.S_IMODE(status.st_mode))


def row_of(top: str, path: str, status: os.stat_result, hashed: Hash = hash_file) -> Optional[rows.Row]:
    """The row of a file or link below `top`; `None` for anything else."""
    full = os.path.join(top, path)
    if stat.S_ISLNK(status.st_mode):
        return [path, "l", os.readlink(full)]
    if not stat.S_ISREG(status.st_mode):
        return None
    return [path, "x" if status.st_mode & 0o111 else "f", hashed(full, status), status.st_size]


def sealed(
    venv: str, found: dict[str, os.stat_result], hashed: Hash = hash_file
) -> tuple[dict[str, str], list[rows.Row]]:
    """What no RECORD vouches for of the files `found` in a virtualenv: by path the SHA-256 of its bytecode, and rows
    of all the rest.

    That are the RECORD files, `pyvenv.cfg`, most of `bin/`, what commands left, and files of which RECORD has a hash
    of another kind. A site alone has none of it.
    """
    vouched = {path for path, noted in listed(venv, found) if noted.startswith(_SHA256)}
    compiled, others = {}, []
    for path, status in found.items():
        if path.endswith(".pyc"):
            compiled[path] = hashed(os.path.join(venv, path), status)
        elif path not in vouched:
            row = row_of(venv, path, status, hashed)
            others += [row] if row is not None else []
    return compiled, others


def virtualenv(
    venv: str, compiled: dict[str, str], others: Optional[list[rows.Row]] = None, hashed: Hash = hash_file
) -> list[list[str]]:
    """`[path, what]` for every file of the virtualenv that isn't as its RECORD or its seal says.

    `compiled` and `others` are what `sealed` gave; without `others`, only RECORD and `site-packages` count.
    """
    found = of_virtualenv(venv)
    drift, vouched, named, other = [], set(), set(), set()
    for path, noted in listed(venv, found):
        named.add(path)
        if path not in found:
            drift.append([path, "missing"])
        elif noted and not noted.startswith(_SHA256):
            other.add(path)
        elif noted:
            vouched.add(path)
            if not _matches(hashed(os.path.join(venv, path), found[path]), noted):
                drift.append([path, "changed"])
    known = {row[0]: row for row in others or ()}
    drift += [[path, "missing"] for path in {**known, **compiled} if path not in found and path not in named]
    for path in sorted(found.keys() - vouched):
        if path.endswith(".pyc"):
            if compiled.get(path) != hashed(os.path.join(venv, path), found[path]):
                drift.append([path, "changed" if path in compiled else "not in the release"])
        elif path in known:
            what = fault(venv, known[path], found[path], hashed)
            drift += [[path, what]] if what else []
        elif path in other:
            continue  # sealed before the seal had it
        elif others is not None or ("/site-packages/" in path and path not in named and not is_furniture(path)):
            drift.append([path, "not in the release"])
    return drift


def of_virtualenv(venv: str) -> dict[str, os.stat_result]:
    """Every entry of a virtualenv that isn't a folder; behind a link it is that of a service that was adopted."""
    there = os.path.isdir(venv) and not os.path.islink(venv)
    return {path[1:]: status for path, status in walk(venv, "")} if there else {}


def modes(found: Iterable[tuple[str, os.stat_result]]) -> dict[str, int]:
    """The permission bits of files and folders by path, those that are not as most: 0644, or 0755 of a folder."""
    bits = ((path, stat.S_IMODE(status.st_mode), status.st_mode) for path, status in found)
    return {path: mode for path, mode, kind in bits if not stat.S_ISLNK(kind) and mode != usual(kind)}


def usual(kind: int) -> int:
    """The permission bits of most files, or of most folders, by an `st_mode`."""
    return 0o755 if stat.S_ISDIR(kind) else 0o644


def listed(venv: str, found: Iterable[str]) -> Iterator[tuple[str, str]]:
    """What the RECORD files among `found` list: paths below the virtualenv, with their hash or an empty text."""
    import csv  # only where a virtualenv is sealed or verified

    for record in sorted(path for path in found if path.endswith(RECORD)):
        site = os.path.dirname(os.path.dirname(record))
        text = (files.read(os.path.join(venv, record)) or b"").decode(errors="replace")
        for line in csv.reader(text.splitlines()):
            if line:
                path = os.path.join(site, line[0])
                yield os.path.normpath(path) if "/." in path else path, line[1] if len(line) > 1 else ""


def is_furniture(path: str) -> bool:
    """What an installer puts beside what the wheels list."""
    return os.path.basename(path) in ("_virtualenv.py", "_virtualenv.pth") and path.count("/") == 3


def _matches(found: str, noted: str) -> bool:
    return _SHA256 + base64.urlsafe_b64encode(bytes.fromhex(found)).rstrip(b"=").decode() == noted
