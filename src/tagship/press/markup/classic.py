"""The default engine: Python-Markdown with what the house adds."""

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
    InlineProcessor,
    ReferenceInlineProcessor,
)
from markdown.preprocessors import Preprocessor
from markdown.treeprocessors import Treeprocessor

from tagship.press.markup import admonitions, blocks, highlight, maths
from tagship.press.markup.engine import Converted, checkbox
from tagship.press.markup.quick import Quick
from tagship.press.markup.shortcodes import Calls

_QUOTES = {
    "left-single-quote": "‘",
    "right-single-quote": "’",
    "left-double-quote": "“",
    "right-double-quote": "”",
    "ellipsis": "…",
    "ndash": "–",
    "mdash": "—",
}
_EXTENSIONS = (
    "footnotes", "tables", "toc", "smarty", "sane_lists", "attr_list", "def_list", "abbr", "admonition",
)  # fmt: skip
_TASK = re.compile(r"\[([ xX])\] +(?=\S)")
_FORMULA = r"(?<![\\$])(?:\$\$((?:\\.|[^$\\])+?)\$\$(?!\$)|\$(?![\s$])((?:\\.|[^$\\])+?)(?<!\s)\$(?![$\d]))"


class Classic:
    """Converts with Python-Markdown; `math` says whether `$` begins a formula."""

    def __init__(self, *, math: bool = False, make: type[markdown.Markdown] = Quick) -> None:
        self.house = House(math=math)
        self.markdown = make(
            extensions=[*_EXTENSIONS, self.house],
            extension_configs={
                "toc": {"slugify": slugify_unicode},
                "smarty": {"substitutions": _QUOTES},
                "footnotes": {"BACKLINK_TITLE": "Back to reference {} in the text"},
            },
            output_format="html",
        )

    def convert(self, body: str, calls: Calls) -> Converted:
        """The HTML of `body`."""
        self.markdown.reset()
        self.house.calls = calls
        self.house.problems.clear()
        return Converted(self.markdown.convert(body), list(self.house.problems))


class House(Extension):
    """What the house adds to Python-Markdown; `problems` are (what, text to look for) of the current text."""

    def __init__(self, *, math: bool = False) -> None:
        super().__init__()
        self.math = math
        self.problems: list[tuple[str, str]] = []
        self.calls = Calls("")

    def extendMarkdown(self, md: markdown.Markdown) -> None:
        # After the white space is normal (30), before HTML blocks are taken out (20).
        md.preprocessors.register(_Blocks(md, self), "house_blocks", 25)
        # Before the inline patterns (20) see the code, the boxes and the kinds.
        md.treeprocessors.register(_IndentedCode(md, self), "house_code", 30)
        md.treeprocessors.register(_Alerts(md), "house_alerts", 29)
        md.treeprocessors.register(_Tasks(md), "house_tasks", 28)
        md.inlinePatterns.register(_Reference(REFERENCE_RE, md, self.problems), "reference", 170)
        md.inlinePatterns.register(_ImageReference(IMAGE_REFERENCE_RE, md, self.problems), "image_reference", 140)
        if self.math:
            # After code (190), before backslashes (180) and all else that means something in TeX too.
            md.inlinePatterns.register(_Formula(_FORMULA, md), "house_formula", 185)
            md.ESCAPED_CHARS.append("$")


class _Blocks(Preprocessor):
    def __init__(self, md: markdown.Markdown, house: House) -> None:
        super().__init__(md)
        self.house = house

    def run(self, lines: list[str]) -> list[str]:
        return blocks.rewrite(lines, self.fence)

    def fence(self, info: str, code: str) -> str:
        code = self.house.calls.as_written(code)
        if self.house.math and info == "math":
            return str(self.md.htmlStash.store(f"<p>{maths.span(code, maths.DISPLAY)}</p>"))
        wanted = highlight.read_info(info)
        self.house.problems.extend((problem, info) for problem in wanted.problems)
        return str(self.md.htmlStash.store(highlight.to_html(code, wanted)))


class _IndentedCode(Treeprocessor):
    """Gives indented code the same shape; a first line `:::python` names its language."""

    def __init__(self, md: markdown.Markdown, house: House) -> None:
        super().__init__(md)
        self.house = house

    def run(self, root: etree.Element) -> None:
        for block in root.iter("pre"):
            if len(block) == 1 and block[0].tag == "code" and block[0].text:
                wanted, code = highlight.read_first_line(html.unescape(str(block[0].text)))
                stored = self.md.htmlStash.store(highlight.to_html(self.house.calls.as_written(code), wanted))
                block.clear()
                block.tag = "p"
                block.text = stored


class _Alerts(Treeprocessor):
    """`> [!NOTE]` becomes what `!!! note` becomes."""

    def run(self, root: etree.Element) -> None:
        for quote in root.iter("blockquote"):
            first = quote[0] if len(quote) else None
            begun = (
                admonitions.ALERT.match(first.text) if first is not None and first.tag == "p" and first.text else None
            )
            if begun is None or first is None or first.text is None:
                continue
            quote.tag = "div"
            quote.set("class", f"admonition {begun[1].lower()}")
            first.text = first.text[begun.end() :]
            if not first.text and not len(first):
                quote.remove(first)
            above = etree.Element("p", {"class": "admonition-title"})
            above.text = admonitions.title(begun[1], begun[2])
            quote.insert(0, above)


class _Tasks(Treeprocessor):
    """`- [ ] to do` and `- [x] done`."""

    def run(self, root: etree.Element) -> None:
        for items in root.iter("ul"):
            found = [item for item in items if item.tag == "li" and self.mark(item)]
            if found:
                items.set("class", "contains-task-list")
                for item in found:
                    item.set("class", "task-list-item")

    def mark(self, item: etree.Element) -> bool:
        """Put a box in the place of brackets, if an item begins with them."""
        bearer = (
            item if item.text and item.text.strip() else next((each for each in item[:1] if each.tag == "p"), item)
        )
        task = _TASK.match(bearer.text or "")
        if task is None:
            return False
        box = self.md.htmlStash.store(checkbox(is_done=task[1] != " "))
        bearer.text = f"{box} {(bearer.text or '')[task.end() :]}"
        return True


class _Formula(InlineProcessor):
    """`$x^2$` in a line, `$$x^2$$` on its own; the same rules as Pandoc's."""

    def handleMatch(  # type: ignore[override]
        self,
        m: re.Match[str],
        data: str,  # noqa: ARG002
    ) -> tuple[str, int, int]:
        made = maths.span(m[1], maths.DISPLAY) if m[1] else maths.span(m[2], maths.INLINE)
        return self.md.htmlStash.store(made), m.start(0), m.end(0)


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
