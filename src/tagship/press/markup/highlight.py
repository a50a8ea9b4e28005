"""Code to HTML with Pygments' classes; the language is what the author says, never guessed."""

from __future__ import annotations

from functools import cache

from markupsafe import escape
from pygments import highlight as pygments_highlight
from pygments.formatters.html import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

PLAIN = frozenset({"", "text", "plain", "plaintext", "txt", "none"})


def knows(language: str) -> bool:
    """Whether Pygments has a lexer of that name."""
    return language in PLAIN or _lexer(language) is not None


def to_html(code: str, language: str) -> str:
    """`code` as a block that scrolls by keyboard too; an unknown or empty `language` leaves it plain."""
    lexer = _lexer(language) if language not in PLAIN else None
    text = code.strip("\n")
    # Pygments' formatter ends with a line break; the plain branch keeps to the same shape.
    inner = pygments_highlight(text, lexer, _formatter()) if lexer else f"{escape(text)}\n"
    named = f' data-language="{escape(language)}"' if lexer else ""
    return f'<div class="highlight"{named}><pre tabindex="0"><code>{inner}</code></pre></div>'


@cache
def _lexer(language: str) -> Lexer | None:
    try:
        return get_lexer_by_name(language, stripnl=False)
    except ClassNotFound:
        return None


@cache
def _formatter() -> HtmlFormatter[str]:
    return HtmlFormatter(nowrap=True)
