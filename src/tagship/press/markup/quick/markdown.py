"""`Quick`: a `markdown.Markdown` that knows what it need not do."""

from __future__ import annotations

import re
import xml.etree.ElementTree as etree
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import markdown
from markdown.blockparser import BlockParser
from markdown.extensions.attr_list import AttrListTreeprocessor
from markdown.extensions.toc import TocTreeprocessor
from markdown.inlinepatterns import DelimiterProcessor
from markdown.postprocessors import RawHtmlPostprocessor
from markdown.preprocessors import HtmlBlockPreprocessor
from markdown.treeprocessors import InlineProcessor, PrettifyTreeprocessor, UnescapeTreeprocessor
from markdown.util import HTML_PLACEHOLDER, STX

from tagship.press.markup.quick import contents, inline, tree
from tagship.press.markup.quick.parser import Parser, Versioned

_STASHED = re.compile(HTML_PLACEHOLDER % "([0-9]+)")


def _may_hold_html(text: str) -> bool:
    return "<" in text or "&" in text


class Quick(markdown.Markdown):
    """Gives what `markdown.Markdown` gives for the same arguments; `toc` is drawn when it is first read."""

    output_formats: ClassVar[Mapping[str, Callable[[etree.Element], str]]] = {  # type: ignore[assignment]
        "html": tree.to_html,
        "xhtml": tree.to_xhtml,
    }

    def __init__(self, **settings: Any) -> None:
        self._plans: dict[int, inline.Plan] = {}
        self._block_level: dict[Any, bool] = {}
        self._levels: list[str] = []
        super().__init__(**settings)

    def build_parser(self) -> Self:
        """Build upstream's parser; two of its parts, if they are what we know, become ours."""
        super().build_parser()
        # Their state stays as upstream made it: only methods differ.
        if type(self.delimiters) is DelimiterProcessor:
            self.delimiters.__class__ = inline.Delimiters
        if type(self.parser) is BlockParser:
            self.parser.__class__ = Parser
            self.parser.blockprocessors.__class__ = Versioned
        return self

    @property
    def toc(self) -> str:
        """The table of contents as HTML, once the extension `toc` has seen a text."""
        drawn = self.__dict__.get("_toc")
        if drawn is None:
            raise AttributeError("toc")
        if callable(drawn):
            drawn = self._toc = drawn()
        return str(drawn)

    @toc.setter
    def toc(self, drawn: str | Callable[[], str]) -> None:
        self._toc = drawn

    def is_block_level(self, tag: Any) -> bool:
        """Whether `tag` is a block-level element."""
        if len(self._levels) != len(self.block_level_elements):
            self._look_at_levels()
        try:
            return self._block_level[tag]
        except KeyError:
            told = self._block_level[tag] = super().is_block_level(tag)
            return told

    def convert(self, source: str) -> str:
        """Markdown to the output format, as upstream does it."""
        if not source.strip():
            return ""
        self._look_at_levels()
        self.lines = str(source).split("\n")
        for before in self.preprocessors:
            if type(before) is not HtmlBlockPreprocessor or _may_hold_html("\n".join(self.lines)):
                self.lines = before.run(self.lines)
        root: Any = self.parser.parseDocument(self.lines).getroot()
        for over in self.treeprocessors:
            changed = self._pass_over(over, root)
            if changed is not None:
                root = changed
        output = self._without_top(self.serializer(root))
        for after in self.postprocessors:
            output = self._restore(after, output) if type(after) is RawHtmlPostprocessor else after.run(output)
        return output.strip()

    def _pass_over(self, over: Any, root: etree.Element) -> etree.Element | None:
        """Run one pass over the tree: ours if we know it."""
        kind = type(over)
        if kind is InlineProcessor:
            return inline.run(over, self._plan(over), root)
        if kind is PrettifyTreeprocessor:
            tree.prettify(root, self.is_block_level)
        elif kind is UnescapeTreeprocessor:
            tree.unescape(root, over)
        elif kind is AttrListTreeprocessor:
            if tree.has_attribute_lists(root):
                over.run(root)
        elif kind is TocTreeprocessor and contents.can_wait(self):
            drawn = contents.run(over, root)
            if drawn is None:
                over.run(root)
            else:
                self.toc = drawn
        else:
            changed: etree.Element | None = over.run(root)
            return changed
        return None

    def _plan(self, processor: InlineProcessor) -> inline.Plan:
        patterns = list(processor.inlinePatterns)
        plan = self._plans.get(id(processor))
        if plan is None or not plan.still_holds(patterns):
            plan = self._plans[id(processor)] = inline.Plan(patterns)
        return plan

    def _without_top(self, output: str) -> str:
        """What stands inside the one element around it all."""
        if not self.stripTopLevelTags:
            return output
        opening, closing = f"<{self.doc_tag}>", f"</{self.doc_tag}"
        if opening in output and closing in output:
            return output[output.index(opening) + len(opening) : output.rindex(closing)].strip()
        if output.strip().endswith(f"<{self.doc_tag} />"):
            return ""
        raise ValueError(f"Markdown failed to strip top-level tags. Document={output.strip()!r}")

    def _restore(self, stash: Any, output: str) -> str:
        """`RawHtmlPostprocessor`: put raw HTML where its placeholders are."""
        count = self.htmlStash.html_counter
        if not count:
            return output

        def put(text: str) -> str:
            out: list[str] = []
            at = 0
            for found in _STASHED.finditer(text):
                number = int(found[1])
                if number >= count:
                    continue
                start, end = found.span()
                raw = stash.stash_to_string(self.htmlStash.rawHtmlBlocks[number])
                alone = start - 3 >= at and text.startswith("<p>", start - 3) and text.startswith("</p>", end)
                if alone:
                    start, end = start - 3, end + 4
                    if not stash.isblocklevel(raw):
                        raw = f"<p>{raw}</p>"
                out += (text[at:start], put(raw) if STX in raw else raw)
                at = end
            return "".join(out) + text[at:]

        return put(output)

    def _look_at_levels(self) -> None:
        if self._levels != self.block_level_elements:
            self._levels = list(self.block_level_elements)
            self._block_level.clear()
