"""Markdown to HTML: Python-Markdown with what the house adds, one engine a process."""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as etree
from typing import Any

import markdown
from markdown.extensions import Extension
from markdown.extensions.toc import slugify_unicode
from markdown.inlinepatterns import (
    IMAGE_REFERENCE_RE,
    REFERENCE_RE,
    ImageReferenceInlineProcessor,
    ReferenceInlineProcessor,
)
from markdown.preprocessors import Preprocessor
from markdown.treeprocessors import Treeprocessor

from tagship.errors import ContentError
from tagship.press.markup import blocks, highlight, pointing
from tagship.press.markup.highlight import Wanted
from tagship.press.markup.quick import Quick
from tagship.press.markup.values import Links, Rendered, Text, lead_of

_QUOTES = {
    "left-single-quote": "‘",
    "right-single-quote": "’",
    "left-double-quote": "“",
    "right-double-quote": "”",
    "ellipsis": "…",
    "ndash": "–",
    "mdash": "—",
}
_LANGUAGE_LINE = re.compile(r"(?::::|#!)([\w+#.-]+)\n")


class Engine:
    """Renders one text after another; the parsers are built once."""

    def __init__(self, links: Links) -> None:
        self.links = links
        self.house = _House()
        self.markdown = Quick(
            extensions=["footnotes", "tables", "toc", "smarty", "sane_lists", "attr_list", "def_list", self.house],
            extension_configs={
                "toc": {"slugify": slugify_unicode},
                "smarty": {"substitutions": _QUOTES},
                "footnotes": {"BACKLINK_TITLE": "Back to reference {} in the text"},
            },
            output_format="html",
        )

    def render(self, text: Text) -> Rendered:
        """`text` as HTML; raises `ContentError` for a missing asset and for nesting without end."""
        self.markdown.reset()
        self.house.problems.clear()
        try:
            body = self.markdown.convert(text.body)
        except RecursionError:
            raise ContentError("is nested too deeply", path=text.name, line=text.first_line) from None
        warnings = [pointing.warning(text, *problem) for problem in self.house.problems]
        body = pointing.resolve(body, text, self.links, warnings)
        return Rendered(body, lead_of(body), tuple(warnings))


class _House(Extension):
    """What the house adds to Python-Markdown; `problems` are (what, text to look for) of the current text."""

    def __init__(self) -> None:
        super().__init__()
        self.problems: list[tuple[str, str]] = []

    def extendMarkdown(self, md: markdown.Markdown) -> None:
        # After the white space is normal (30), before HTML blocks are taken out (20).
        md.preprocessors.register(_Blocks(md, self.problems), "house_blocks", 25)
        # Before the inline patterns (20) see the code.
        md.treeprocessors.register(_IndentedCode(md), "house_code", 30)
        md.inlinePatterns.register(_Reference(REFERENCE_RE, md, self.problems), "reference", 170)
        md.inlinePatterns.register(_ImageReference(IMAGE_REFERENCE_RE, md, self.problems), "image_reference", 140)


class _Blocks(Preprocessor):
    def __init__(self, md: markdown.Markdown, problems: list[tuple[str, str]]) -> None:
        super().__init__(md)
        self.problems = problems

    def run(self, lines: list[str]) -> list[str]:
        return blocks.rewrite(lines, self.fence)

    def fence(self, info: str, code: str) -> str:
        wanted = highlight.read_info(info)
        self.problems.extend((problem, info) for problem in wanted.problems)
        stored: str = self.md.htmlStash.store(highlight.to_html(code, wanted))
        return stored


class _IndentedCode(Treeprocessor):
    """Gives indented code the same shape; a first line `:::python` names its language."""

    def run(self, root: etree.Element) -> None:
        for block in root.iter("pre"):
            if len(block) == 1 and block[0].tag == "code" and block[0].text:
                code = html.unescape(str(block[0].text))
                named = _LANGUAGE_LINE.match(code)
                language = named[1].lower() if named and highlight.knows(named[1].lower()) else ""
                stored = self.md.htmlStash.store(
                    highlight.to_html(code[named.end() :] if language and named else code, Wanted(language))
                )
                block.clear()
                block.tag = "p"
                block.text = stored


class _Reference(ReferenceInlineProcessor):
    """Tells of `[text][id]` and `[text][]` whose definition is missing; they stay text."""

    def __init__(self, pattern: str, md: markdown.Markdown, problems: list[tuple[str, str]]) -> None:
        super().__init__(pattern, md)
        self.problems = problems

    def evalId(self, data: str, index: int, text: str) -> tuple[str | None, int, bool]:
        return _told(super().evalId(data, index, text), data, index, self)


class _ImageReference(ImageReferenceInlineProcessor):
    """The same for `![text][id]`."""

    def __init__(self, pattern: str, md: markdown.Markdown, problems: list[tuple[str, str]]) -> None:
        super().__init__(pattern, md)
        self.problems = problems

    def evalId(self, data: str, index: int, text: str) -> tuple[str | None, int, bool]:
        return _told(super().evalId(data, index, text), data, index, self)


def _told(found: Any, data: str, index: int, pattern: _Reference | _ImageReference) -> tuple[str | None, int, bool]:
    name, end, handled = found
    # `[sic] [1]` is two words in brackets, not a link: only what touches counts.
    if handled and data[index : index + 1] == "[":
        key = re.sub(r"\s+", " ", name)
        if key not in pattern.md.references:
            raw = data[index:end]
            needle = f"]{raw}" if raw != "[]" else f"[{name}][]"
            pattern.problems.append((f"there is no definition for the link [{key}]", needle))
    return name, end, handled
