"""Parts of tagship that don't exist yet, and how one sees that they do: then their rows fail until they are shown."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path


def _module(name: str) -> Callable[[], bool]:
    return lambda: importlib.util.find_spec(name) is not None


def _page(name: str) -> Callable[[], bool]:
    """A part of several rooms is here once its page promises something."""
    return (Path(__file__).parents[2] / "docs" / name).exists


PARTS: dict[str, Callable[[], bool]] = {
    "schema": _page("schema.md"),
    "signed tags": _module("tagship.release.signatures"),
}
"""Each part, and whether it has landed."""
