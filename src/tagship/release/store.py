"""Content-addressed objects of this project on this machine: what bundles are made of and hosts are sent.

`.tagship/objects/<first 2 hex digits>/<key>`, where the key is the SHA-256, with an `x` behind it for executables.
Each object is written beside its place and renamed, so that readers, a second packer and a killed one never leave or
see half of it. Its time is derived from its key, so that an edit shows without reading it; whoever opens one gets
bytes that were hashed just then.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tagship.errors import BundleRefused
from tagship.manifest import File
from tagship.release import disk

SMALL = 8 * 1024 * 1024
"""Bytes up to which a file is handled in memory, in one piece."""


@dataclass(frozen=True)
class Stored:
    """An object that is in the store."""

    sha256: str
    size: int
    """Bytes."""
    executable: bool

    @property
    def key(self) -> str:
        return f"{self.sha256}x" if self.executable else self.sha256

    def at(self, path: str) -> File:
        """The manifest's entry that puts this object at `path`."""
        return File(path, self.sha256, self.size, self.executable)


class ObjectStore:
    """The objects below `root`, a folder that is made when the first object comes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @staticmethod
    def of(project: Path) -> ObjectStore:
        """The store of the project at `project`."""
        return ObjectStore(project / ".tagship" / "objects")

    def path(self, key: str) -> Path:
        """Where the object `key` lies or would lie."""
        return self.root / key[:2] / key

    def put(self, source: bytes | Path, *, executable: bool = False) -> Stored:
        """Take in bytes or a file's contents; what is there already is checked by its hash and mended.

        Raises `BundleRefused` on a full or read-only disk.
        """
        if isinstance(source, Path):
            with disk.refusals(source):
                if source.stat().st_size > SMALL:
                    return self._put_large(source, executable=executable)
                source = source.read_bytes()
        stored = Stored(hashlib.sha256(source).hexdigest(), len(source), executable)
        path = self.path(stored.key)
        try:
            intact = path.read_bytes() == source
        except OSError:
            intact = False
        if not intact or not self.has(stored.key, stored.size):
            disk.write(path, source, mode=_mode(stored), mtime=_mtime(stored.key))
        return stored

    def has(self, key: str, size: int | None = None) -> bool:
        """Whether the object is there, with the time it was given (and `size` bytes); its bytes are not read."""
        try:
            found = os.lstat(f"{self.root}/{key[:2]}/{key}")  # Path would take ten times as long
        except OSError:
            return False
        return (
            stat.S_ISREG(found.st_mode)
            and int(found.st_mtime) == _mtime(key)
            and (size is None or found.st_size == size)
        )

    def missing(self, files: Iterable[File]) -> tuple[File, ...]:
        """Those of `files` whose objects are gone or were touched."""
        return tuple(file for file in files if not self.has(file.key, file.size))

    def open(self, key: str) -> BinaryIO:
        """A binary stream of the object, its bytes hashed before the first is handed out.

        Raises `BundleRefused` for a damaged or missing object, and drops it: packing the tag again makes it anew.
        """
        path = self.path(key)
        try:
            file = path.open("rb")
        except FileNotFoundError:
            raise self._gone(key, "is missing") from None
        with contextlib.ExitStack() as undo:
            undo.enter_context(file)
            if os.fstat(file.fileno()).st_size <= SMALL:
                data = file.read()
                if hashlib.sha256(data).hexdigest() != key[:64]:
                    raise self._gone(key, "is damaged")
                return io.BytesIO(data)
            if hashlib.file_digest(file, "sha256").hexdigest() != key[:64]:
                raise self._gone(key, "is damaged")
            file.seek(0)
            undo.pop_all()
            return file

    def read(self, key: str) -> bytes:
        """The object's bytes, checked; raises as `open` does."""
        with self.open(key) as file:
            return file.read()

    def prune(self, keep: Iterable[str], *, before: float) -> int:
        """Remove objects not in `keep`, and unfinished files, that were made before `before` (seconds since 1970).

        Returns how many were removed. Whoever packs meanwhile writes newer ones, which stay.
        """
        kept = set(keep)
        removed = 0
        for path in self._all():
            if path.name not in kept:
                with contextlib.suppress(FileNotFoundError):
                    if path.lstat().st_ctime < before:
                        path.unlink()
                        removed += 1
        return removed

    def _all(self) -> Iterator[Path]:
        if self.root.is_dir():
            for folder in self.root.iterdir():
                if folder.is_dir():
                    yield from folder.iterdir()

    def _put_large(self, source: Path, *, executable: bool) -> Stored:
        stored = Stored(_digest(source), source.stat().st_size, executable)
        if self.has(stored.key, stored.size) and _digest(self.path(stored.key)) == stored.sha256:
            return stored
        with disk.fresh(self.path(stored.key)) as part:
            shutil.copyfile(source, part)
            if _digest(part) != stored.sha256:
                raise BundleRefused("the file changed while it was read", where=str(source), cure="run it again")
            part.chmod(_mode(stored))
            os.utime(part, (_mtime(stored.key), _mtime(stored.key)))
        return stored

    def _gone(self, key: str, what: str) -> BundleRefused:
        with contextlib.suppress(FileNotFoundError):
            self.path(key).unlink()
        return BundleRefused(
            f"the object {what}", where=str(self.path(key)), cure="run it again: it is made anew from the tag"
        )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _mode(stored: Stored) -> int:
    return 0o555 if stored.executable else 0o444


def _mtime(key: str) -> int:
    """A time in the years 2001 to 2017 that only this key's object has; hosts do the same for ETags."""
    return 1_000_000_000 + int(key[:16], 16) % 500_000_000
