"""Code to HTML with Pygments' classes; the language is what the author says, never guessed.

The info string of a fence names the language, and after it what else is wanted: `hl_lines="2 4-6"` marks lines,
`linenums="10"` numbers them from 10 on. Braces and a dot around the language are taken too: `{.python linenums=1}`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache

from markupsafe import escape
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from tagship.press.markup import lexing

PLAIN = frozenset({"", "text", "plain", "plaintext", "txt", "none"})
MOST_LINES = 100_000
"""The highest number that a line may have."""

_OPTION = re.compile(r"""([\w-]+)=(?:"([^"]*)"|'([^']*)'|([^\s"'}]+))""")
_LANGUAGE_LINE = re.compile(r"(?::::|#!)([\w+#.-]+)\n")
_RANGE = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?")


@dataclass(frozen=True)
class Wanted:
    """What an info string asks for: the language, marked lines as pairs of first and last, the number of line 1.

    `numbered_from` is 0 where no numbers are wanted; `problems` tells what wasn't understood.
    """

    language: str
    marked: tuple[tuple[int, int], ...] = ()
    numbered_from: int = 0
    problems: tuple[str, ...] = ()


@lru_cache(maxsize=256)
def read_info(info: str) -> Wanted:
    """What an info string asks for."""
    options = {found[1].replace("-", "_"): found[2] or found[3] or found[4] or "" for found in _OPTION.finditer(info)}
    bare = _OPTION.sub("", info).strip("{} ").split()
    language = bare[0].lstrip(".").lower() if bare else ""
    problems = []
    if not knows(language):
        problems.append(f"no highlighting is known for `{language}`")
    marked: list[tuple[int, int]] = []
    for part in re.split(r"[\s,]+", options.pop("hl_lines", "").strip()):
        if found := _RANGE.fullmatch(part):
            marked.append((int(found[1]), int(found[2] or found[1])))
        elif part:
            problems.append(f"hl_lines takes numbers of lines, such as `2 4-6`, not `{part}`")
    number = options.pop("linenums", "0").lower()
    start = {"true": 1, "false": 0}.get(number, int(number) if number.isdecimal() else -1)
    if not 0 <= start <= MOST_LINES:
        problems.append(f"linenums takes the number of the first line, not `{number}`")
        start = 0
    problems += [f"`{name}` means nothing to a block of code" for name in options]
    return Wanted(language, tuple(marked), start, tuple(problems))


def read_first_line(code: str) -> tuple[Wanted, str]:
    """What the first line of indented code asks for, such as `:::python`, and the code without that line."""
    named = _LANGUAGE_LINE.match(code)
    if named is None or not knows(named[1].lower()):
        return Wanted(""), code
    return Wanted(named[1].lower()), code[named.end() :]


def knows(language: str) -> bool:
    """Whether Pygments has a lexer of that name."""
    return language in PLAIN or _lexer(language) is not None


@lru_cache(maxsize=256)
def to_html(code: str, wanted: Wanted) -> str:
    """`code` as a block that scrolls by keyboard too; an unknown or empty language leaves it plain."""
    lexer = _lexer(wanted.language) if wanted.language not in PLAIN else None
    text = code.strip("\n")
    # Pygments' formatter ends with a line break; the plain branch keeps to the same shape.
    lines = lexing.lines_of(lexer, text) if lexer else [f"{escape(line)}\n" for line in text.split("\n")]
    named = f' data-language="{escape(wanted.language)}"' if lexer else ""
    inner = "".join(lines if wanted == Wanted(wanted.language) else _dressed(lines, wanted))
    return f'<div class="highlight"{named}><pre tabindex="0"><code>{inner}</code></pre></div>'


def _dressed(lines: list[str], wanted: Wanted) -> list[str]:
    """Lines with their numbers, and with marks around those that are wanted marked."""
    dressed = []
    for number, line in enumerate(lines, 1):
        shown = line
        if wanted.numbered_from:
            # A number that a style sheet writes is not copied with the code, nor read out.
            shown = f'<span class="linenos" data-line="{number + wanted.numbered_from - 1}"></span>{shown}'
        if any(first <= number <= last for first, last in wanted.marked):
            shown = f'<span class="hll">{shown}</span>'
        dressed.append(shown)
    return dressed


@cache
def _lexer(language: str) -> Lexer | None:
    try:
        return lexing.quicken(get_lexer_by_name(language, stripnl=False))
    except ClassNotFound:
        return None
