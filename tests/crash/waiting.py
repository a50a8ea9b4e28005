"""Parts of tagship that don't exist yet, and how one sees that they do: then their rows fail until they are shown."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable


def _module(name: str) -> Callable[[], bool]:
    return lambda: importlib.util.find_spec(name) is not None


PARTS: dict[str, Callable[[], bool]] = {
    "signed tags": _module("tagship.release.signatures"),
}
"""Each part, and whether it has landed."""
