"""Which paths and links may be in a release; the same rules for the tag's tree and for what a build made."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping

from tagship.errors import BundleRefused

MAX_PATH = 1024
"""Bytes of a whole path: hosts allow 4,096, and the release's own folder comes before it."""
MAX_NAME = 255
"""Bytes of one name, as every file system of Linux and macOS allows."""

_MAX_HOPS = 40
_SHOWN = 20


class Faults:
    """Paths that can't ship, gathered so that one message names them all."""

    def __init__(self, commit: str) -> None:
        self.where = commit[:12]
        self.rows: list[tuple[str, str]] = []

    def add(self, path: str, fault: str) -> None:
        self.rows.append((path, fault))

    def check(self) -> None:
        """Raise `BundleRefused` if there were any; its `paths` are `PATH: FAULT`, some twenty of them."""
        if not self.rows:
            return
        shown = [f"{path}: {fault}" for path, fault in self.rows[:_SHOWN]]
        if len(self.rows) > _SHOWN:
            shown.append(f"and {len(self.rows) - _SHOWN} more")
        path, fault = self.rows[0]
        more = f" (and {len(self.rows) - 1} more like it)" if len(self.rows) > 1 else ""
        raise BundleRefused(
            f"{path} can't be in a release: {fault}{more}",
            where=self.where,
            cure="take it out of the tree or rename it, commit, and make a new tag",
            paths=shown,
        )


def decode(raw: bytes) -> tuple[str, str]:
    """A path from git's bytes, and what is wrong with it (empty if nothing is); a wrong one is safe to show."""
    try:
        path = raw.decode("utf-8")
    except UnicodeDecodeError:
        return ascii(raw)[2:-1], "its name is not UTF-8"
    fault = fault_of(path, len(raw))
    return (path if path.isprintable() else ascii(path)[1:-1]) if fault else path, fault


def fault_of(path: str, length: int) -> str:
    """What is wrong with a relative path of `length` bytes; empty if nothing is."""
    if length > MAX_PATH:
        return f"longer than {MAX_PATH:,} bytes"
    if any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in path):
        return "its name has a control character or a line break"
    for name in path.split("/"):
        if name in {"", ".", ".."}:
            return "its name has an empty part, `.` or `..`"
        if name.casefold() == ".git":
            return "a part of its name is `.git`"
        if len(name) > MAX_NAME // 4 and len(name.encode()) > MAX_NAME:
            return f"a part of its name is longer than {MAX_NAME} bytes"
    return ""


def decode_target(raw: bytes) -> tuple[str, str]:
    """A link's target from its bytes, and what is wrong with it whatever the tree is."""
    try:
        target = raw.decode("utf-8")
    except UnicodeDecodeError:
        return "", "a link whose target is not UTF-8"
    if not target or len(raw) > MAX_PATH:
        return "", "a link whose target is empty or too long"
    if any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in target):
        return "", "a link whose target has a control character or a line break"
    if target.startswith("/"):
        return "", "a link to an absolute path, which is another file on every host"
    return target, ""


def bad_links(links: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Path and fault of each of `links` (path to target) that leaves the tree, through other links too."""
    for path, target in links.items():
        if target and _escapes(path, links):
            yield path, f"a link that leaves the tree, or never ends ({target})"


def _escapes(path: str, links: Mapping[str, str]) -> bool:
    """Walk a link as the kernel would: `a/b/..` is not `a` where `b` is itself a link."""
    at = path.split("/")[:-1]
    todo = links[path].split("/")[::-1]
    hops = 0
    while todo:
        name = todo.pop()
        if name in {"", "."}:
            continue
        if name == "..":
            if not at:
                return True
            at.pop()
            continue
        at.append(name)
        onward = links.get("/".join(at))
        if onward is not None:
            hops += 1
            if hops > _MAX_HOPS or not onward:
                return True
            at.pop()
            todo.extend(onward.split("/")[::-1])
    return False
