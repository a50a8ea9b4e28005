"""Which object each blob of git's became, so that only what a tag changes is read from the repository.

`.tagship/blobs.json` in the project: blob id to SHA-256 and bytes, of the files of the tag packed last. A blob's id
is a hash of its bytes, so a row can't go stale; that the object is still there is for the store to say.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from tagship.manifest import File
from tagship.release import disk
from tagship.release.store import ObjectStore
from tagship.release.tree import Blob


def read(repo: Path) -> Mapping[str, tuple[str, int]]:
    """The record of the project at `repo`; empty where there is none that can be read."""
    try:
        rows = json.loads(_path(repo).read_bytes())
        return {blob: (str(row[0]), int(row[1])) for blob, row in rows.items()}
    except (OSError, ValueError, TypeError, LookupError, AttributeError):
        return {}


def split(
    blobs: Iterable[Blob], record: Mapping[str, tuple[str, int]], store: ObjectStore
) -> tuple[list[File], tuple[Blob, ...]]:
    """The files among `blobs` that are in `store` as the record has them, and the blobs that must be read."""
    found, fresh = [], []
    for blob in blobs:
        row = None if blob.is_link else record.get(blob.id)
        file = None if row is None else File(f"app/{blob.path}", *row, blob.executable)
        if file is None or not store.has(file.key, file.size):
            fresh.append(blob)
        else:
            found.append(file)
    return found, tuple(fresh)


def write(repo: Path, blobs: Iterable[Blob], record: Mapping[str, tuple[str, int]]) -> None:
    """Keep of the record what `blobs` need."""
    rows = {blob.id: record[blob.id] for blob in blobs if blob.id in record}
    disk.write(_path(repo), json.dumps(rows, separators=(",", ":")).encode())


def _path(repo: Path) -> Path:
    return repo / ".tagship" / "blobs.json"
