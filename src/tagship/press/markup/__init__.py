"""Markdown to HTML.

::

    values        what goes in (`Text`, `Links`) and comes out (`Rendered`)
    engine        the whole way from one to the other
    classic       the default converter: Python-Markdown with what the house adds
    quick         Python-Markdown, the same output in less time
    blocks        what Python-Markdown reads differently from what people write: lists and fences
    native        the other converter: comrak
    ids           the ids of its headings
    highlight     code to HTML; `lexing` finds its tokens
    admonitions   the two ways to write them
    maths         formulas to MathML
    shortcodes    calls of macros in Markdown
    sanitising    HTML of people who aren't trusted
    pointing      links to sources and assets, as addresses of the site

An engine is made once a process and renders one text after another.
"""

from tagship.press.markup.engine import Engine
from tagship.press.markup.shortcodes import Macros
from tagship.press.markup.values import Heading, Links, Rendered, Text, lead_of

__all__ = ["Engine", "Heading", "Links", "Macros", "Rendered", "Text", "lead_of"]
