"""Formulas as MathML, drawn at build time: browsers show it without any script.

Both converters leave a formula as a `span` that says its style; here it becomes what a browser draws.
"""

from __future__ import annotations

import html
import re
from functools import lru_cache

INLINE, DISPLAY = "inline", "display"

_SPAN = re.compile(rf'<span data-math-style="({INLINE}|{DISPLAY})">(.*?)</span>', re.S)
_LINK = re.compile(r'\s(?:href|xlink:href|src)="[^"]*"')


def span(tex: str, style: str) -> str:
    """What stands for a formula until it is drawn."""
    return f'<span data-math-style="{style}">{html.escape(tex, quote=False)}</span>'


def draw(body: str) -> tuple[str, list[tuple[str, str]]]:
    """The HTML `body` with its formulas drawn, and the problems: one that can't be drawn stays as code."""
    if "data-math-style" not in body:
        return body, []
    problems: list[tuple[str, str]] = []

    def drawn(found: re.Match[str]) -> str:
        tex = html.unescape(found[2]).strip()
        made = _mathml(tex, "block" if found[1] == DISPLAY else "inline")
        if made is None:
            problems.append(("the formula can't be read", tex))
            return f"<code>{html.escape(tex, quote=False)}</code>"
        return made

    return _SPAN.sub(drawn, body), problems


@lru_cache(maxsize=1024)
def _mathml(tex: str, display: str) -> str | None:
    from latex2mathml.converter import convert  # only texts with formulas pay for it

    try:
        made = convert(tex, display=display)
    except RecursionError:
        raise
    # Its errors have no class of their own in common, and some are plain KeyError and IndexError.
    except Exception:
        return None
    # TeX has commands that make links; a formula needs none, and whoever writes may not be trusted.
    return _LINK.sub("", made).replace("<math ", f'<math alttext="{html.escape(tex)}" ', 1)
