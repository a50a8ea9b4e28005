"""What happens while we work, as values; `report` turns them into words, bars or JSON lines.

Rooms that work (`release`, `press`, `ship`) tell a `Listener`; none of them prints.

========== ===================================================================================
name       data
========== ===================================================================================
tag        `tag`, `commit`: the tag that this is about, and the commit that it names, in full
phase      `phase`: its name, `hosts`: how many, `total` steps of one host
step       `step`: its title, `state`: begin | done | failed | undo | undone | undo-failed, `seconds`
progress   `step`, `done`, `total`, `unit` (`bytes`, `files`, `wheels`)
note       `text`, `level`: info | warning; on hosts that were left alone also `hosts`, `reached`, `stands`,
           `missed`, `by`, `at`, `flag`
plan       `plan`: the rendered lines, `steps`: the plan as JSON, `leg`: 2 for what follows a look at the schema,
           `urls`: `{added, changed, gone}`, lists of URLs, where there is a site; `exposed`: `{feed_ids, drafts}`,
           changes of ids in feeds and texts that were drafts, where there are such
line       `text` of what a host says; of a log also `unit`, and `at` (ISO 8601, null where unknown); of a
           command `stream` (`out`, `err`), `hosts`: how many run it
ended      `status` of a command (null: unknown), `text`: the same in words
sql        `database`, `step`, `text`: the statements of a step of the schema, `down`: of its way back
finding    `check`, `level`: ok | warn | bad, `text`, `cure`, `hosts` that it was found on (none: here)
problem    `path`, `line`, `column`, `code`, `message`, `cure`, `pages` that show it, `severity`: error | warning
result     the last one: outcome, exit, release, previous, hosts, seconds, bytes_sent; `away`: hosts that were
           left alone, where there are such; `schema`: what became of it, where there is one: `state` (fits | ahead
           | unknown), `applied`, `reversed`, `kept`, `partly`, `backup`, `words`
========== ===================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Event:
    """One thing that happened; `host` is empty when it happened on this machine."""

    name: str
    host: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """The JSON line: `{"event": name, "host": ..., ...data}`."""
        head: dict[str, Any] = {"event": self.name}
        if self.host:
            head["host"] = self.host
        return {**head, **self.data}


Listener = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """A listener for callers that want no words."""


def note(listener: Listener, text: str, *, level: str = "info", host: str = "") -> None:
    """Tell `listener` one sentence; `level` is `info` or `warning`."""
    listener(Event("note", host, {"text": text, "level": level}))
