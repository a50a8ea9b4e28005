"""Which paths and links may be in a release; the same rules for the tag's tree and for what a build made.

What is allowed: UTF-8 names without control characters, that no program takes for an option and no reader for
another name; links that stay inside. Names that differ by case only are two names, as they are on every host; those
that differ by their Unicode normal form only are refused, for nobody sees two.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping

from tagship.errors import BundleRefused

MAX_PATH = 1024
"""Bytes of a whole path: hosts allow 4,096, and the release's own folder comes before it."""
MAX_NAME = 255
"""Bytes of one name, as every file system of Linux and macOS allows."""

_MAX_HOPS = 40
_LONG = 60  # characters; no `.git` in disguise has as many
_ORDERS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
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
    if _controls(path):
        return "its name has a control character or a line break"
    return next((fault for fault in map(_fault_of_name, path.split("/")) if fault), "")


def _fault_of_name(name: str) -> str:
    if name in {"", ".", ".."}:
        return "its name has an empty part, `.` or `..`"
    if name.startswith("-"):
        return "a part of its name begins with a dash, as options do"
    if _is_git(name):
        return "a part of its name is `.git`"
    if len(name) > MAX_NAME // 4 and len(name.encode()) > MAX_NAME:
        return f"a part of its name is longer than {MAX_NAME} bytes"
    return ""


def _controls(text: str) -> bool:
    """Control characters, line breaks, and what makes text read in another order than it is written."""
    return not text.isprintable() and any(
        unicodedata.category(one) in {"Cc", "Zl", "Zp"} or unicodedata.bidirectional(one) in _ORDERS for one in text
    )


def _is_git(name: str) -> bool:
    """`.git`, also as file systems that fold case, drop what is invisible or know short names would take it."""
    if len(name) > _LONG:
        return False
    plain = name if name.isascii() else "".join(one for one in name if unicodedata.category(one) != "Cf")
    return plain.casefold() in {".git", "git~1"}


def twins(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Path and fault of each path of which another one, or a folder above it, is the same but for its normal form."""
    known: dict[str, str] = {}
    for path in names:
        if path.isascii():
            continue
        parts = path.split("/")
        for count in range(1, len(parts) + 1):
            part = "/".join(parts[:count])
            if known.setdefault(unicodedata.normalize("NFC", part), part) != part:
                yield path, "another path looks the same, and differs in its Unicode normal form only"
                break


def decode_target(raw: bytes) -> tuple[str, str]:
    """A link's target from its bytes, and what is wrong with it whatever the tree is."""
    try:
        target = raw.decode("utf-8")
    except UnicodeDecodeError:
        return "", "a link whose target is not UTF-8"
    if not target or len(raw) > MAX_PATH:
        return "", "a link whose target is empty or too long"
    if _controls(target):
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
