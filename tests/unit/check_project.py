"""What the tests of `inv check` share: a project in a folder, checked as the verb does it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unit.press_project import write

from tagship.app import checking
from tagship.events import Event

YML = "app: {name: blog}\nsite:\n  title: Blog\n  url: https://blog.example\n"
POST = "---\ntitle: Hello\ntags: [one]\n---\n"
"""The front matter of a post, four lines."""


def check(folder: Path, files: Mapping[str, str | bytes], settings: str = "", **wanted: Any) -> list[dict[str, Any]]:
    """The `problem` events of a check of `files` written into `folder`, which holds a tagship.yml then too."""
    write(folder, {"tagship.yml": YML + settings, **files})
    return [dict(event.data) for event in told(folder, **wanted) if event.name == "problem"]


def told(folder: Path, **wanted: Any) -> list[Event]:
    """Every event of a check of the project in `folder`, the result last."""
    events: list[Event] = []
    result = checking.check_site(folder, checking.Wanted(**wanted), listener=events.append)
    return [*events, Event("result", "", result)]


def short(problems: list[dict[str, Any]]) -> list[str]:
    """Each problem as `file:line:column code`."""
    return [f"{found['path']}:{found['line']}:{found['column']} {found['code']}" for found in problems]


def of_body(folder: Path, body: str, settings: str = "") -> list[str]:
    """What is wrong with one post of that body, which begins on line 5: `line:column code` each."""
    found = check(folder, {"posts/2026-11-01-hello.md": POST + body}, settings)
    return [text.removeprefix("posts/2026-11-01-hello.md:") for text in short(found)]
