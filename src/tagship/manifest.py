"""What a release consists of, as a value: (path, kind, sha256, size | link target), sorted, with a digest.

`release` makes manifests, `ship` sends them, the agent checks them on the host; so the value belongs to no
room. The digest is SHA-256 over the canonical JSON form, which is also what travels.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any


@dataclass(frozen=True, slots=True)
class File:
    """A regular file: `path` inside the release (`app/...`, `public/...`), contents' SHA-256 in hex, bytes."""

    path: str
    sha256: str
    size: int
    executable: bool = False

    @property
    def key(self) -> str:
        """The name of its object: two files with one content share it when they share the executable bit."""
        return f"{self.sha256}x" if self.executable else self.sha256

    def row(self) -> list[Any]:
        """The JSON form: `[path, "f" | "x", sha256, size]`."""
        return [self.path, "x" if self.executable else "f", self.sha256, self.size]


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link that stays inside the release."""

    path: str
    target: str

    def row(self) -> list[Any]:
        """The JSON form: `[path, "l", target]`."""
        return [self.path, "l", self.target]


Entry = File | Link


@dataclass(frozen=True)
class Manifest:
    """Entries sorted by path (code points), no path twice."""

    entries: tuple[Entry, ...]

    @staticmethod
    def of(entries: Iterable[Entry]) -> Manifest:
        """Sort `entries`; raises `ValueError` for a path given twice or both a file and a folder."""
        ordered = tuple(sorted(entries, key=lambda entry: entry.path))
        paths = {entry.path for entry in ordered}
        if len(paths) != len(ordered):
            seen: set[str] = set()
            twice = next(e.path for e in ordered if e.path in seen or seen.add(e.path))  # type: ignore[func-returns-value]
            raise ValueError(f"{twice} is there twice")
        for entry in ordered:
            parent = entry.path
            while "/" in parent:
                parent = parent.rpartition("/")[0]
                if parent in paths:
                    raise ValueError(f"{parent} is both a file and a folder")
        return Manifest(ordered)

    @staticmethod
    def from_rows(rows: Iterable[list[Any]]) -> Manifest:
        """The inverse of `rows`."""
        return Manifest.of(
            Link(row[0], row[2]) if row[1] == "l" else File(row[0], row[2], row[3], row[1] == "x") for row in rows
        )

    def rows(self) -> list[list[Any]]:
        """The JSON form, a list an entry."""
        return [entry.row() for entry in self.entries]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the rows as compact ASCII JSON, in hex."""
        text = json.dumps(self.rows(), separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def by_path(self) -> Mapping[str, Entry]:
        return {entry.path: entry for entry in self.entries}

    def files(self) -> tuple[File, ...]:
        return tuple(entry for entry in self.entries if isinstance(entry, File))


@dataclass(frozen=True)
class Delta:
    """What turns one manifest into another: rows to put, paths to drop."""

    put: tuple[Entry, ...]
    drop: tuple[str, ...]

    @staticmethod
    def between(old: Manifest, new: Manifest) -> Delta:
        put = tuple(entry for entry in new.entries if old.by_path.get(entry.path) != entry)
        drop = tuple(entry.path for entry in old.entries if entry.path not in new.by_path)
        return Delta(put, drop)


@dataclass(frozen=True)
class UrlChanges:
    """URLs of the built site that a release adds, changes and takes away, each sorted."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    gone: tuple[str, ...]


def url_changes(old: Manifest | None, new: Manifest) -> UrlChanges:
    """Compare the `public/` halves of two manifests; `index.html` counts as its folder's URL."""
    before = _urls(old) if old else {}
    after = _urls(new)
    return UrlChanges(
        added=tuple(sorted(after.keys() - before.keys())),
        changed=tuple(sorted(url for url in after.keys() & before.keys() if after[url] != before[url])),
        gone=tuple(sorted(before.keys() - after.keys())),
    )


def _urls(manifest: Manifest) -> dict[str, str]:
    found = {}
    for file in manifest.files():
        if file.path.startswith("public/") and not _is_compressed(file.path, manifest):
            url = file.path.removeprefix("public")
            found[url.removesuffix("index.html") if url.endswith("/index.html") else url] = file.sha256
    return found


def _is_compressed(path: str, manifest: Manifest) -> bool:
    """Another form of a file beside it, under the same URL."""
    return path.endswith(".gz") and path.removesuffix(".gz") in manifest.by_path
