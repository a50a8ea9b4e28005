"""Markdown to HTML.

::

    values      what goes in (`Text`, `Links`) and comes out (`Rendered`)
    classic     the default engine: Python-Markdown with what the house adds
    blocks      what Python-Markdown reads differently from what people write: lists and fences
    highlight   code to HTML
    pointing    links to sources and assets, as addresses of the site

An engine is made once a process and renders one text after another.
"""

from tagship.press.markup.classic import Engine
from tagship.press.markup.values import Heading, Links, Rendered, Text, lead_of

__all__ = ["Engine", "Heading", "Links", "Rendered", "Text", "lead_of"]
