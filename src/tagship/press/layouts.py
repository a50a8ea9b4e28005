"""Which layouts there are: the theme's templates and the project's own, known without Jinja2."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from tagship.press.content import Text

THEME = Path(__file__).parent / "theme"


@cache
def theme_templates() -> dict[str, Path]:
    """The theme's templates, by name."""
    return {name: THEME / "templates" / name for name in sorted(os.listdir(THEME / "templates"))}  # noqa: PTH208


def known(own: Iterable[str]) -> frozenset[str]:
    """The names of all layouts, with the project's `own` templates."""
    return frozenset(
        name.removesuffix(".html")
        for name in (*own, *theme_templates())
        if name.endswith(".html") and "/" not in name and not name.startswith("_")
    )


def check(text: Text, layouts: frozenset[str]) -> None:
    """Raise `ContentError` naming the known layouts when that of `text` is none of them."""
    if text.layout not in layouts:
        names = ", ".join(sorted(layouts))
        raise text.error(f"names `{text.layout}`, and there is no such layout", "layout", f"known here: {names}")


def answer(own: dict[str, bytes], name: str) -> bytes:
    """What `template:NAME` finds now: the digest of one of the project's `own`, the theme's, or nothing."""
    if name in own:
        return own[name]
    return b"theme" if name.removeprefix("theme/") in theme_templates() else b""
