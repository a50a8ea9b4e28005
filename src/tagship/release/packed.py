"""Bundles that were packed before, so that the same tag costs a look instead of a build.

`.tagship/bundles/<key>.json` in the project. The key covers whatever could change the result: the commit, the
project's place in it, tagship's own files, the Python and every package beside us (a new Pygments colours code anew).
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import tagship
from tagship.manifest import File, Manifest
from tagship.release import disk, git
from tagship.release.store import ObjectStore
from tagship.release.wheelcache import Wheel, WheelCache

KEPT = 20
"""Saved bundles, the least recently used of which go first, and with them their objects."""


@dataclass(frozen=True)
class Packed:
    """What a pack leaves behind: all that can't be read from the commit again."""

    manifest: Manifest
    project_wheel: Wheel | None
    gzipped: Mapping[str, str] = field(default_factory=dict)
    """Keys of compressed forms, which no store holds, and of the objects that they are made from."""

    def stored(self) -> list[File]:
        """The files whose objects a store must hold."""
        return [file for file in self.manifest.files() if file.key not in self.gzipped]


def key(repo: Path, commit: str, *, pressed: bool) -> str:
    """The name under which the bundle of `commit` is saved; `pressed` says whether a press built its site."""
    prefix = git.run(repo, "rev-parse", "--show-prefix").decode("utf-8", "replace").strip()
    text = json.dumps([commit, prefix, pressed, sys.version, zlib.ZLIB_RUNTIME_VERSION, _ourselves(), _neighbours()])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def load(repo: Path, name: str, store: ObjectStore, cache: Path) -> Packed | None:
    """What was saved as `name`; None where there is nothing, or an object or wheel of it is gone or was touched."""
    path = _path(repo, name)
    try:
        saved = json.loads(path.read_bytes())
        manifest = Manifest.from_rows(saved["rows"])
        wheel = WheelCache(cache).find(*saved["wheel"]) if saved["wheel"] else None
        found = Packed(manifest, wheel, saved["gzipped"])
        if manifest.digest != saved["digest"] or (saved["wheel"] and wheel is None):
            return None
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
    if store.missing(found.stored()):
        return None
    with disk.refusals(path):
        os.utime(path)
    return found


def save(repo: Path, name: str, packed: Packed) -> None:
    """Save a bundle under `name`."""
    wheel = packed.project_wheel
    value = {
        "digest": packed.manifest.digest,
        "wheel": [wheel.sha256, wheel.filename] if wheel else None,
        "gzipped": dict(packed.gzipped),
        "rows": packed.manifest.rows(),
    }
    disk.write(_path(repo, name), json.dumps(value, separators=(",", ":")).encode())


def prune(repo: Path, store: ObjectStore, *, now: float) -> int:
    """Forget all but the `KEPT` bundles used last, and objects no kept one names that are a day old at `now`.

    `now` is in seconds since 1970. Returns how many objects were removed.
    """
    folder = _path(repo, "x").parent
    if not folder.is_dir():
        return 0
    saved = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    if len(saved) <= KEPT:
        return 0
    keep: set[str] = set()
    for path in saved[:KEPT]:
        try:
            keep.update(file.key for file in Manifest.from_rows(json.loads(path.read_bytes())["rows"]).files())
        except (ValueError, KeyError, TypeError, IndexError):
            path.unlink(missing_ok=True)
    for path in saved[KEPT:]:
        path.unlink(missing_ok=True)
    return store.prune(keep, before=now - 86_400)


def _path(repo: Path, name: str) -> Path:
    return repo / ".tagship" / "bundles" / f"{name}.json"


def _ourselves() -> list[list[object]]:
    """Name, size and time of each file of tagship: its version alone would miss a developer's edit."""
    rows: list[list[object]] = []
    todo = [Path(tagship.__file__).parent]
    while todo:
        with os.scandir(todo.pop()) as items:
            for item in items:
                if item.is_dir():
                    if item.name != "__pycache__":
                        todo.append(Path(item.path))
                else:
                    found = item.stat()
                    rows.append([item.path, found.st_size, found.st_mtime_ns])
    return sorted(rows, key=str)


def _neighbours() -> list[str]:
    """The packages we may import, with their versions: the names of their metadata folders."""
    names: set[str] = set()
    for place in sys.path:
        try:
            names.update(name for name in os.listdir(place or ".") if name.endswith(".dist-info"))  # noqa: PTH208
        except OSError:
            continue
    return sorted(names)
