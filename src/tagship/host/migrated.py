"""What the journal says of the steps of schemas, for whoever looks or prunes; moving them is `schema`'s business."""

from __future__ import annotations

from typing import Any, Iterable, NamedTuple, Optional

from tagship.host import files, stored
from tagship.host.layout import ID, Layout

HEADS, STEPS, SQUASHED = "heads", "steps", "squashed"
"""What release.json says of its schema, `{database: [id]}` each: what no step depends on, and all of them; and
`{database: {id: [id]}}`, steps that stand for others."""
TOLD = ("migrated", "reversed", "kept", "backup")
"""Rows of these events belong to the history of a change."""
_BEGAN = ("migrating", "reversing")
_ENDED = ("migrated", "reversed", "broken")


class Record(NamedTuple):
    """What the journal's last rows say of one step of one database."""

    last: dict[str, Any]
    """How it was moved last: `migrating`, `migrated`, `reversing`, `reversed` or `broken`."""
    applied: Optional[dict[str, Any]]
    """How it was applied, while it is."""
    kept: Optional[str]
    """Why it was left up, while it is."""

    @property
    def open(self) -> bool:
        """It began, and nobody knows how it ended."""
        return self.last["event"] in _BEGAN


def records(rows: Iterable[dict[str, Any]]) -> dict[tuple[str, str], Record]:
    """By database and id, in the order in which they were last moved."""
    found: dict[tuple[str, str], Record] = {}
    for row in rows:
        event, place = row["event"], (row.get("database"), row.get("id"))
        if not isinstance(place[0], str) or not isinstance(place[1], str):
            continue
        name = (place[0], place[1])
        before = found.get(name)
        if event == "kept" and before is not None:
            found[name] = before._replace(kept=str(row.get("why") or ""))
        elif event in _BEGAN or event in _ENDED:
            found.pop(name, None)
            applied = before.applied if before else None
            if event in ("migrated", "reversed"):
                applied = row if event == "migrated" else None
            kept = before.kept if before and event not in ("migrated", "reversed") else None
            found[name] = Record(row, applied, kept)
    return found


def heads(layout: Layout, release: str) -> dict[str, Optional[list[str]]]:
    """The databases of a release's record with their heads, `None` where those aren't known."""
    record = files.read_object(layout.release(release, stored.RECORD))
    known: dict[str, Optional[list[str]]] = dict(record.get(HEADS) or {})
    for item in (record.get("settings") or {}).get("schema") or ():
        for name in item.get("databases") or [item["name"]]:
            known.setdefault(name, None)
    return known


def squashed(layout: Layout) -> dict[str, dict[str, list[str]]]:
    """By database, what any release on disk says of steps that stand for others."""
    found: dict[str, dict[str, list[str]]] = {}
    for release in filter(ID.match, files.names(layout.releases)):
        for database, told in (files.read_object(layout.release(release, stored.RECORD)).get(SQUASHED) or {}).items():
            found.setdefault(database, {}).update(told)
    return found


def holders(layout: Layout, current: Optional[str], known: dict[tuple[str, str], Record]) -> set[str]:
    """Releases of which steps are applied that what is current isn't known to have: only they can reverse them."""
    applied = {name: str(found.applied.get("release")) for name, found in known.items() if found.applied}
    applied.update((name, str(found.last.get("release"))) for name, found in known.items() if found.open)
    if not applied:
        return set()
    steps = files.read_object(layout.release(current, stored.RECORD)).get(STEPS) or {} if current else {}
    return {release for (database, step), release in applied.items() if step not in steps.get(database, ())}
