"""A manifest's rows, checked again on this side: whatever was sent, nothing may land outside the release.

A row is `[path, "f" | "x", sha256, size]` for a file or `[path, "l", target]` for a symbolic link. All of them are
checked before the first is used, so a bad one refuses the whole release with nothing written.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Iterable, List, Optional

from tagship.host.faults import Problem, refused

Row = List[Any]
ROOMS = ("app", "public", "redirects")
"""The folders of a release that come from its manifest."""

SHA256 = re.compile(r"[0-9a-f]{64}\Z")
MOST = 200_000
"""Rows that a release may have."""
_ADDRESSES = "redirects/"
"""Names there are old addresses of the site's."""
_HOPS = 40
_PART, _PATH = 255, 1024  # bytes
_CONTROL = re.compile("[\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Also what makes text read in another order than it is written."""


def key(row: Row) -> str:
    """The name of a file row's object: its SHA-256, and `x` if it is executable."""
    return row[2] + "x" if row[1] == "x" else str(row[2])


def digest(rows: list[Row]) -> str:
    """SHA-256 of the rows as compact ASCII JSON, in hex: what `tagship.manifest` calls the digest."""
    return hashlib.sha256(json.dumps(rows, separators=(",", ":"), ensure_ascii=True).encode()).hexdigest()


def merge(base: Iterable[Row], put: Iterable[Row], drop: Iterable[str]) -> list[Row]:
    """The rows of `base` without `drop` and with `put`, sorted by path."""
    by_path = {row[0]: row for row in base}
    for path in drop:
        by_path.pop(path, None)
    by_path.update((row[0], row) for row in put)
    return sorted(by_path.values())


def check(put: Any) -> list[Row]:
    """`put` itself if every row has the right form and no path comes twice; raises `refused`."""
    if not isinstance(put, list) or len(put) > MOST:
        raise _hostile("the rows are not a list of at most {}".format(MOST))
    seen = set()
    for row in put:
        _check_row(row)
        if row[0] in seen:
            raise _hostile("`{}` is there twice".format(_show(row[0])))
        seen.add(row[0])
    return put


def check_together(rows: list[Row]) -> None:
    """Raise `refused` where a file is also a folder, or a link leaves the release, in a whole manifest."""
    if len(rows) > MOST:
        raise _hostile("it has more than {} entries".format(MOST))
    paths = {row[0] for row in rows}
    _check_twins(paths)
    for path in paths & above(paths):
        raise _hostile("`{}` is both a file and a folder".format(_show(path)))
    links = {row[0]: row[2] for row in rows if row[1] == "l"}
    for path, target in links.items():
        end = _follow(path, links)
        if end is None or end.split("/", 1)[0] not in ROOMS:
            raise _hostile("the link `{}` leaves the release: {}".format(_show(path), _show(target)))


def _check_twins(paths: Iterable[str]) -> None:
    """Raise `refused` for two names that nobody can tell apart: they differ in their Unicode normal form only."""
    strange = [path for path in paths if not path.isascii()]
    if not strange:
        return
    import unicodedata  # only for such names

    known: dict[str, str] = {}
    for path in {*strange, *(path for path in above(strange) if not path.isascii())}:
        if known.setdefault(unicodedata.normalize("NFC", path), path) != path:
            raise _hostile("`{}` is there in two Unicode forms".format(_show(path)))


def above(paths: Iterable[str]) -> set[str]:
    """All folders that `paths` lie in."""
    folders = set()
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return folders


def path_fault(path: Any) -> str:
    """What is wrong with a relative path, as words; empty if nothing is."""
    if not isinstance(path, str) or not path:
        return "not a path"
    if _CONTROL.search(path):
        return "a NUL, another control character or a line break in it"
    if path.startswith("/"):
        return "absolute"
    return next(filter(None, map(_name_fault, path.split("/"))), "too long" if _bytes(path) > _PATH else "")


def _name_fault(name: str) -> str:
    if name in ("", ".", ".."):
        return "an empty part, `.` or `..` in it"
    if name.lower() == ".git":
        return "a part that is `.git` in it"
    return "too long" if len(name) * 4 > _PART < _bytes(name) else ""


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))


def _check_row(row: Any) -> None:
    if not isinstance(row, list) or len(row) < 3:
        raise _hostile("a row is not [path, kind, ...]: {}".format(_show(row)))
    path, kind = row[0], row[1]
    fault = _encodable(path) or path_fault(path)
    if not fault and "/-" in path and not path.startswith(_ADDRESSES):
        fault = "a part that begins with a dash, as options do"
    if fault:
        raise _hostile("the path `{}`: {}".format(_show(path), fault))
    if path.split("/", 1)[0] not in ROOMS or "/" not in path:
        raise _hostile("the path `{}` is not below one of {}".format(_show(path), ", ".join(ROOMS)))
    if kind == "l" and len(row) == 3:
        target = row[2]
        bad = not isinstance(target, str) or not target or _CONTROL.search(target) or target.startswith("/")
        if bad or _encodable(target) or _bytes(target) > _PATH:
            raise _hostile("the link `{}` points to `{}`".format(_show(path), _show(target)))
        return
    size_ok = len(row) == 4 and isinstance(row[3], int) and not isinstance(row[3], bool) and row[3] >= 0
    if kind not in ("f", "x") or not size_ok or not isinstance(row[2], str) or not SHA256.match(row[2]):
        raise _hostile("the row of `{}` is neither a file nor a link: {}".format(_show(path), _show(row)))


def _encodable(text: Any) -> str:
    """Text that can't become a file's name has no business here (a lone surrogate that no decoder makes)."""
    try:
        str(text).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return "not a name that a filesystem takes"
    return ""


def _follow(path: str, links: dict[str, str]) -> Optional[str]:
    """Where `path` really leads inside a release with these links, or `None` if out of it or round in circles."""
    rest = path.split("/")[::-1]
    at: list[str] = []
    hops = 0
    while rest:
        part = rest.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not at:
                return None
            at.pop()
            continue
        at.append(part)
        target = links.get("/".join(at))
        if target is not None:
            hops += 1
            if hops > _HOPS:
                return None
            at.pop()
            rest.extend(target.split("/")[::-1])
    return "/".join(at)


def _show(value: Any) -> str:
    return repr(value)[:200].strip("'")


def _hostile(what: str) -> Problem:
    return refused(what, "nothing of this release was written; take that entry out of the tag")
