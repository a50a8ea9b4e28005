"""Markdown made at random: the accelerated converter against the plain one, for several sets of extensions."""

from __future__ import annotations

from typing import Any

import markdown
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.test_press_quick import SETS

from tagship import config
from tagship.press.markup import Engine, Links, Text
from tagship.press.markup.classic import Classic
from tagship.press.markup.quick import Quick
from tagship.press.markup.shortcodes import Calls

PIECES = st.sampled_from(
    "* ** *** _ __ ` `` ``` ~~~ \\ \\* [ ] ( ) ![ ][ ]( ][r] [r] [r]:x [^n] [^n]: < > </ <b> <div> </div> <!-- --> "  # noqa: SIM905
    "<http://a.b> <a@b.c> & &amp; &#38; ' \" '' -- --- ... << >> # ## === --- * * * - + 1. 2) > : | |- {#i} {.c} "
    "!!! [TOC] *[ABC]: ABC a b word é ſ K 0 90s \u2028 \t \x02 \x03 $ $$ ~ ^ = + {{ }}".split(" ")
)
GAPS = st.sampled_from(
    ["", "", " ", " ", "  ", "    ", "\n", "\n", "  \n", "\n\n", "\n    ", "\n  ", "\n> ", "\n- ", "\r\n"]
)
TEXTS = st.lists(st.tuples(PIECES, GAPS), min_size=1, max_size=40).map(
    lambda parts: "".join(part for pair in parts for part in pair)
)
OFTEN = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
CONVERTERS = {name: (markdown.Markdown(**each), Quick(**each)) for name, each in SETS.items()}


@pytest.mark.parametrize("name", SETS)
@OFTEN
@given(text=TEXTS)
def test_any_text_has_the_same_html(name: str, text: str) -> None:
    """And the same table of contents, the same references, and the same error where upstream has one."""
    plain, quick = (outcome(each, text) for each in CONVERTERS[name])
    assert quick == plain


def outcome(md: Any, text: str) -> tuple[Any, ...]:
    """All that a conversion shows, or the kind of error it ends with."""
    md.reset()
    try:
        html = md.convert(text)
    except Exception as error:
        return (type(error),)
    return html, getattr(md, "toc", None), getattr(md, "toc_tokens", None), dict(md.references)


QUICK, PLAIN = Classic(math=True), Classic(math=True, make=markdown.Markdown)


@OFTEN
@given(text=TEXTS)
def test_the_default_engine_gives_what_plain_python_markdown_gives(text: str) -> None:
    """With all that the house adds."""
    calls = Calls.none(text)
    assert QUICK.convert(text, calls) == PLAIN.convert(text, calls)


ENGINES = {
    f"{name}, {untrusted=}": Engine(Links(), config.Markup(engine=name, math=True, untrusted=untrusted))  # type: ignore[arg-type]
    for name in ("python-markdown", "commonmark")
    for untrusted in (False, True)
}


@pytest.mark.parametrize("name", ENGINES)
@OFTEN
@given(text=TEXTS)
def test_no_text_breaks_an_engine_and_none_is_remembered(name: str, text: str) -> None:
    """The same text gives the same again after another one."""
    engine = ENGINES[name]
    first = engine.render(Text("p.md", text, 1))
    engine.render(Text("q.md", "[r]: x\n\n# a\n\n[^n]: y\n\na[^n]", 1))
    assert engine.render(Text("p.md", text, 1)) == first
    assert first.minutes >= 1
    assert all(heading.id in first.ids for heading in first.headings)
