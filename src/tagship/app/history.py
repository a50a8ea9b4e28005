"""`fab history`: who did what to a stage and how it ended, and the journals of its hosts as they are."""

from __future__ import annotations

from tagship.app.stage import OnStage, Table, looked
from tagship.ship import looking

CHANGES = ("change", "at", "by", "verb", "from", "to", "ended", "hosts", "why")
ROWS = ("host", "change", "at", "what", "release", "by")


def changes_of(on: OnStage, last: int) -> Table:
    """The newest `last` changes of the fleet, oldest first; what moved the schema has a column where anything did.

    Raises `HostRefused` where no host can be reached.
    """
    with on.look() as fleet:
        found = looking.changes(fleet, last)
        moved = any(change.moves for change in found)
        rows = tuple(
            (
                change.number,
                change.at,
                change.by,
                change.verb,
                change.origin,
                change.release,
                change.ended,
                list(change.ends),
                change.why,
                *((list(change.moves),) if moved else ()),
            )
            for change in found
        )
        return Table((*CHANGES, *(("schema",) if moved else ())), rows, looked(fleet))


def rows_of(on: OnStage, last: int) -> Table:
    """The newest `last` journal rows of each host, oldest first. Raises as `changes_of`."""
    with on.look() as fleet:
        rows = tuple(
            (host, *(row.get(key) for key in ("change", "at", "event", "release", "by")))
            for host, journal in looking.history(fleet, last).items()
            for row in journal
        )
        return Table(ROWS, rows, looked(fleet))
