"""Python-Markdown, the same output in less time: `Quick` stands in for `markdown.Markdown`.

::

    needs      what a regular expression needs in a text, and where
    inline     the inline passes: patterns are tried where they may match
    parser     the block parser: processors are asked about blocks that they may want
    tree       the passes over the tree, and the serialiser
    contents   the table of contents, drawn when asked for

Nothing of upstream is changed and none of it is copied in: each pass whose class is exactly the one known here is
done by a function of the same effect, every other one as it comes. So an extension that brings patterns, processors
or passes of its own finds them called as ever. docs/adr/0014 has the figures and says what was compared.
"""

from tagship.press.markup.quick.markdown import Quick

__all__ = ["Quick"]
