"""When what is published changes by itself: texts dated in the future, and texts that expire."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from tagship import config
from tagship.press import content, inputs, sources


@dataclass(frozen=True, order=True)
class Change:
    """One text appears or disappears at `moment` (in the site's time zone)."""

    moment: datetime
    name: str
    what: str
    """`appears` or `disappears`."""


def upcoming(project: Path, site: config.Site, now: datetime) -> list[Change]:
    """All changes after `now` (aware), the next first; drafts don't count. Raises `ContentError`."""
    settings = content.Settings.of(site)
    zone = ZoneInfo(site.timezone)
    found = []
    for name, kind in sources.find(project.resolve(), site).texts.items():
        text, _ = content.read_text(inputs.read(f"{project}/{name}"), name, kind, settings)
        moments = [(text.stamp, "appears")] if text.stamp < text.expires else []
        if text.expires < content.NEVER:
            moments.append((text.expires, "disappears"))
        found += [
            Change(datetime.fromtimestamp(stamp, zone), name, what)
            for stamp, what in moments
            if stamp > now.timestamp() and not text.draft
        ]
    return sorted(found)
