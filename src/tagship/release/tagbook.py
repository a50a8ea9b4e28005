"""Which commit each tag named when it was shipped from here, so that a moved tag is noticed without any host.

The record is `.tagship/tags.json` in the project: `{"v1.4.0": "<commit>"}`. Hosts keep their own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tagship.errors import TagRefused
from tagship.release import disk

_COMMIT_LENGTHS = {40, 64}


def path(repo: Path) -> Path:
    """Where the record of the project at `repo` lies."""
    return repo / ".tagship" / "tags.json"


def read(repo: Path) -> Mapping[str, str]:
    """The record, tag name to commit id; empty where nothing was shipped yet. Raises `TagRefused` if unreadable."""
    record = path(repo)
    try:
        known = json.loads(record.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        known = None
    if not isinstance(known, dict) or not all(
        isinstance(commit, str) and len(commit) in _COMMIT_LENGTHS for commit in known.values()
    ):
        raise TagRefused(
            "the record of shipped tags can't be read",
            where=str(record),
            cure="remove it; the hosts remember their own tags",
        )
    return known


def remember(repo: Path, name: str, commit: str) -> Mapping[str, str]:
    """Add a tag to the record and return the record as it was before; an earlier entry is never replaced."""
    if read(repo).get(name) == commit:
        return {name: commit}
    record = path(repo)
    with disk.locked(record.with_suffix(".lock")):
        known = read(repo)
        if name not in known:
            text = json.dumps({**known, name: commit}, indent=1, sort_keys=True) + "\n"
            disk.write(record, text.encode())
        return known
