"""Who took part in a change: each `good` row of the journal names the hosts that went along.

So every host tells where the others stood when it last went anywhere with them; one that was skipped, or can't be
asked any more, is missed by those that were there. And what was being left, where nobody lived to say so.
"""

from __future__ import annotations

from typing import Any, Iterable, Optional

from tagship.host.journal import number_of


def told(rows: Iterable[dict[str, Any]]) -> Optional[dict[str, Any]]:
    """By whom, when and by which change `release`, the current one, was marked good; and where hosts stood.

    `stood` maps a host to the newest release that was current here and went live on it too. Where what is current was
    never marked, `release` is `None`. `None` where no row names a fleet.
    """
    last: dict[str, dict[str, Any]] = {}
    spans: list[list[Any]] = []
    """What was current here, in order, each with the `good` row that counted at its end."""
    for row in rows:
        event, release = row["event"], row.get("release")
        if event == "good" and isinstance(row.get("fleet"), list):
            last[str(release)] = row
            if spans and spans[-1][0] == release:
                spans[-1][1] = row
        elif event == "flipped":
            spans.append([release, last.get(str(release))])
        elif event == "removed" and len(spans) > 1 and spans[-2][0] == release:
            del spans[-2]  # it was taken back: whoever went along has gone back too
    if not last:
        return None
    now = (spans[-1][1] if spans else None) or {}
    found: dict[str, Any] = {key: now.get(key) for key in ("release", "by", "at", "change")}
    found["stood"] = {str(host): release for release, row in spans if row for host in row["fleet"]}
    return found


def fled(rows: Iterable[dict[str, Any]]) -> Optional[str]:
    """What the last flip led away from, where that was a rollback's and nobody lived to mark what it led to.

    One that was put back was not cut off: then the flip's way back is the last.
    """
    verbs: dict[int, Any] = {}
    last: dict[str, Any] = {}
    for row in rows:
        event, change = row["event"], number_of(row)
        if event == "begun":
            verbs[change] = row.get("verb")
        elif event == "flipped":
            undone = bool(last) and number_of(last) == change and row.get("release") == last.get("origin")
            last = row if verbs.get(change) == "rollback" and not undone else {}
        elif event == "good" and row.get("release") == last.get("release"):
            last = {}
    return last.get("origin")
