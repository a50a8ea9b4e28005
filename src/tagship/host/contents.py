"""What is on disk against what should be: files of a tree, a virtualenv by its RECORD files."""

from __future__ import annotations

import base64
import os
import stat
from typing import Iterator

from tagship.host import files, objects, rows
from tagship.host.tree import walk

_NEVER = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX


def tree(release: str) -> Iterator[tuple[str, os.stat_result]]:
    """Every entry of the rooms of a release that isn't a folder."""
    for room in rows.ROOMS:
        top = os.path.join(release, room)
        if os.path.isdir(top) and not os.path.islink(top):
            for entry in walk(top, room):
                yield entry


def fault(release: str, row: rows.Row, status: os.stat_result) -> str:
    """What is wrong with an entry that should be as `row` says; empty if nothing is."""
    path = os.path.join(release, row[0])
    if row[1] == "l":
        if not stat.S_ISLNK(status.st_mode):
            return "not a link"
        target = os.readlink(path)
        return "" if target == row[2] else "points to {}".format(target)
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    if status.st_size != row[3] or hash_file(path) != row[2]:
        return "changed"
    executable = bool(status.st_mode & 0o111)
    return "" if executable == (row[1] == "x") and not status.st_mode & _NEVER else _mode(status)


def fault_of_object(release: str, row: rows.Row, status: os.stat_result) -> str:
    """`fault`, and for a file of the tag also a mode other than its object's."""
    found = fault(release, row, status)
    if not found and row[1] != "l" and stat.S_IMODE(status.st_mode) != objects.mode(rows.key(row)):
        return _mode(status)
    return found


def glance(release: str, row: rows.Row, status: os.stat_result, *, is_object: bool) -> str:
    """`fault` without looking into files; for an object's also its time tells, which follows from its digest."""
    if row[1] == "l":
        return fault(release, row, status)
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    if status.st_size != row[3] or (is_object and status.st_mtime != objects.mtime(rows.key(row))):
        return "changed"
    right = stat.S_IMODE(status.st_mode) == objects.mode(rows.key(row)) if is_object else True
    return "" if right else _mode(status)


def _mode(status: os.stat_result) -> str:
    return "mode {:04o}".format(stat.S_IMODE(status.st_mode))


def hash_file(path: str) -> str:
    """SHA-256 in hex of a regular file; empty where it can't be read."""
    try:
        fd = os.open(path, files.READ)
    except OSError:
        return ""
    try:
        return objects.hash_fd(fd) if stat.S_ISREG(os.fstat(fd).st_mode) else ""
    except OSError:
        return ""
    finally:
        os.close(fd)


def bytecode(venv: str) -> dict[str, str]:
    """By path below the virtualenv, the SHA-256 of its bytecode, which no RECORD lists; a site alone has none."""
    if not _is_own(venv):
        return {}
    return {path[1:]: hash_file(venv + path) for path, _ in walk(venv, "") if path.endswith(".pyc")}


def virtualenv(venv: str, compiled: dict[str, str]) -> list[list[str]]:
    """`[path, what]` for every file of the virtualenv that isn't as its RECORD, or `compiled`, says."""
    import csv  # only to verify

    drift = []
    found = {path[1:] for path, _ in walk(venv, "")} if _is_own(venv) else set()
    listed = set()
    for record in sorted(path for path in found if path.endswith(".dist-info/RECORD")):
        site = os.path.dirname(os.path.dirname(record))
        text = (files.read(os.path.join(venv, record)) or b"").decode(errors="replace")
        for line in csv.reader(text.splitlines()):
            if not line:
                continue
            path = os.path.normpath(os.path.join(site, line[0]))
            listed.add(path)
            if path not in found:
                drift.append([path, "missing"])
            elif len(line) > 1 and line[1] and not _matches(os.path.join(venv, path), line[1]):
                drift.append([path, "changed"])
    drift += [[path, "missing"] for path in compiled if path not in found]
    for path in sorted(found):
        if path.endswith(".pyc"):
            if compiled.get(path) != hash_file(os.path.join(venv, path)):
                drift.append([path, "changed" if path in compiled else "not in the release"])
        elif "/site-packages/" in path and path not in listed and not _furniture(path):
            drift.append([path, "not in the release"])
    return drift


def _is_own(venv: str) -> bool:
    """Behind a link it is that of a service that was adopted."""
    return os.path.isdir(venv) and not os.path.islink(venv)


def _furniture(path: str) -> bool:
    """What an installer puts beside what the wheels list."""
    return os.path.basename(path) in ("_virtualenv.py", "_virtualenv.pth") and path.count("/") == 3


def _matches(path: str, noted: str) -> bool:
    algorithm, _, value = noted.partition("=")
    if algorithm != "sha256":
        return True  # RECORD may name stronger ones; wheels of today don't
    digest = bytes.fromhex(hash_file(path) or "00")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == value
