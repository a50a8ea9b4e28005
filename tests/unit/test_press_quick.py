"""The accelerated Python-Markdown against the plain one: the same bytes, whatever the text and the extensions."""

from __future__ import annotations

import re
import xml.etree.ElementTree as etree
from pathlib import Path
from typing import Any

import markdown
import pytest
from markdown.blockprocessors import BlockProcessor
from markdown.extensions import Extension
from markdown.inlinepatterns import InlineProcessor, Pattern, SimpleTagPattern
from markdown.postprocessors import Postprocessor
from markdown.treeprocessors import Treeprocessor

from tagship.press.markup.quick import Quick
from tagship.press.markup.quick.needs import may_begin, need_of, scanner

ROOT = Path(__file__).parents[2]
SETS: dict[str, dict[str, Any]] = {
    "none": {},
    "issue": {
        "extensions": ["extra", "toc", "smarty", "codehilite"],
        "extension_configs": {"codehilite": {"guess_lang": False}},
    },
    "house": {
        "extensions": [
            "footnotes", "tables", "toc", "smarty", "sane_lists", "attr_list", "def_list", "admonition", "abbr",
        ],
        "output_format": "html",
    },
    "others": {
        "extensions": [
            "extra", "toc", "smarty", "legacy_em", "nl2br", "wikilinks", "meta", "legacy_attrs", "sane_lists",
        ],
        "extension_configs": {
            "toc": {"permalink": True, "anchorlink": True, "toc_depth": "2-3"},
            "smarty": {"smart_angled_quotes": True},
        },
    },
}  # fmt: skip
"""Sets of extensions that the two are compared with."""

MARKS = "` `` ``` \\ \\* \\` [ ] [a] [a](b) ![a](b) ![a][r] [r] <a> <b@c.de> <http://x.y> & &amp; * ** *** _ __ [^n]"
TEXTS = {
    "marks beside marks": "\n\n".join(
        f"a {left} word {right} \"it's\" 'x' --y-- z... <<q>> '90s {{#i .c}}"
        for left in MARKS.split()
        for right in "*`[_<"
    ),
    "headings": "# One *two* [TOC] & <b>\n\nx\n===\n\n## A \\* b {#own data-toc-label='L'}\n\n## A\n\n## A[^n]\n",
    "contents": "# One\n\n[TOC]\n\n## Two\n\n#### Four\n\n## [TOC]\n",
    "lists": "- a\n    - b\n\n        c\n- d\n\n\n1. x\n2. y\n   z\n\n* * *\n\n3) no\n",
    "blocks": "> q\n> > r\nlazy\n\nTerm\n"
    ":   Definition\n\n    more\n\na | b\n--|:-:\n`|` | 2\n\n    code & <b>\n\n***\n",
    "notes": "a[^n] b[^n] c[^m]\n\n[^n]: Note *one*\n\n    more\n[^m]: Two\n\n*[HTML]: Hyper\n\nHTML\n",
    "html": "<div markdown='1'>\n*a*\n</div>\n\n<p>b</p> c <i>d</i> <!-- e -->\n\n"
    "<pre>\n- f\n</pre>\n\n&copy; &#38 &x;\n<",
    "quotes": "'a' \"b\" '\"c\"' \"'d'\" it's "
    "'tis '80s don't\" -- --- ---- ... .... <<x>> a-'b'-\"c\" &nbsp;'x' –'y'",
    "breaks": "a  \nb\\\nc  \n\nd\te\r\nf\rg\n\u2028h\x02klzzwxh:0000\x03 \x02wzxhzdk:0\x03",
    "admonition": "!!! note \"T\"\n    a\n\n    - b\n\n        c\n\n!!! tip\n    d\ne\n",
    "fences": "```python\ndef f(): pass\n```\n\n~~~ {.sh hl_lines='1'}\nls\n~~~\n\n    :::python\n    x\n",
    "references": "[a][b] [b] [b][] ![c][b] [d] [ e ]\n"
    "[x](<y z> 't') [u](v(w) \"t\")\n\n[b]: http://x.y 'T'\n[d]:\n  /e\n",
    "deep": ">" * 30 + " a\n\n" + "".join("    " * n + "- a\n\n" for n in range(12)) + "*" * 40 + "a" + "*" * 40,
}  # fmt: skip


def both(settings: dict[str, Any]) -> tuple[markdown.Markdown, Quick]:
    return markdown.Markdown(**settings), Quick(**settings)


@pytest.mark.parametrize("settings", SETS.values(), ids=SETS)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_text_full_of_marks_has_the_same_html(text: str, settings: dict[str, Any]) -> None:
    """Every construct beside every other, and the table of contents and its tokens too."""
    plain, quick = both(settings)
    body = f"{text}\n\n[r]: http://example.org\n"
    assert quick.convert(body) == plain.convert(body)
    assert getattr(quick, "toc", None) == getattr(plain, "toc", None)
    assert getattr(quick, "toc_tokens", None) == getattr(plain, "toc_tokens", None)


@pytest.mark.parametrize("settings", SETS.values(), ids=SETS)
def test_every_markdown_file_of_this_project_has_the_same_html(settings: dict[str, Any]) -> None:
    """One converter after another text, as the press does it."""
    plain, quick = both(settings)
    files = [path for folder in ("docs", "posts", "site", "examples") for path in (ROOT / folder).rglob("*.md")]
    assert len(files) > 20
    for path in [*files, ROOT / "README.md", ROOT / "CHANGELOG.md"]:
        body = path.read_text()
        assert quick.reset().convert(body) == plain.reset().convert(body), path


class _Everything(Extension):
    """What an extension of somebody else may bring: one of each kind, and one of the old kind."""

    def extendMarkdown(self, md: markdown.Markdown) -> None:
        md.inlinePatterns.register(_Shout(r"!!(\w+)!!", md), "shout", 75)
        md.inlinePatterns.register(SimpleTagPattern(r"(\+\+)(.+?)\+\+", "ins"), "ins", 65)
        md.inlinePatterns.register(_Changing(r"never", md), "changing", 55)
        md.parser.blockprocessors.register(_Box(md.parser), "box", 110)
        md.treeprocessors.register(_Count(md), "count", 4)
        md.postprocessors.register(_Stamp(md), "stamp", 1)
        md.block_level_elements.append("box")


class _Shout(InlineProcessor):
    ANCESTOR_EXCLUDES = ("em",)

    def handleMatch(self, m: re.Match[str], data: str) -> tuple[etree.Element | None, int | None, int | None]:
        if m[1] == "no":
            return None, None, None
        element = etree.Element("b")
        element.text = m[1]
        return element, m.start(0), m.end(0)


class _Changing(Pattern):
    """Asks for another expression than the one it was made with."""

    def getCompiledRegExp(self) -> re.Pattern[str]:
        return re.compile(r"^(.*?)(qq)(.*)$", re.S)

    def handleMatch(self, m: re.Match[str]) -> str:
        return "QQ"


class _Box(BlockProcessor):
    def test(self, parent: etree.Element, block: str) -> bool:
        return block.startswith("%%")

    def run(self, parent: etree.Element, blocks: list[str]) -> None:
        self.parser.parseChunk(etree.SubElement(parent, "box"), blocks.pop(0)[2:])


class _Count(Treeprocessor):
    def run(self, root: etree.Element) -> None:
        inline: Any = self.md.treeprocessors["inline"]
        root[0].set("data-seen", f"{len(inline.stashed_nodes)} {len(inline.parent_map)}")


class _Stamp(Postprocessor):
    def run(self, text: str) -> str:
        return f"{text}\n<!-- {len(text)} {self.md.toc_tokens} -->"  # type: ignore[attr-defined]


def test_an_extension_of_somebody_else_is_called_as_ever() -> None:
    """Patterns of either kind, block processors, passes and postprocessors that nobody here has seen before."""
    settings = {"extensions": ["extra", "toc", "smarty", _Everything()], "output_format": "html"}
    plain, quick = both({**settings, "extensions": [*settings["extensions"][:3], _Everything()]})
    body = "# a !!b!! ++c++\n\n*!!d!!* !!no!! !!e!! qq `qq` ++f *g*++\n\n%%in the *box*\n\n- %%x\n\n[TOC]"
    assert "QQ" in plain.convert(body)
    plain.reset()
    plain.stripTopLevelTags = quick.stripTopLevelTags = False
    assert quick.convert(body) == plain.convert(body)
    assert quick.toc == plain.toc  # type: ignore[attr-defined]


def test_a_registry_that_changes_between_texts_is_seen() -> None:
    """What was kept of the last text's patterns and processors is not used for the next."""
    plain, quick = both({"extensions": ["smarty"]})
    body = '*a* "b" `c` [d](e)\n\n# f\n\n> g'
    for md in (plain, quick):
        md.convert(body)
        md.inlinePatterns.deregister("backtick")
        md.inlinePatterns.register(SimpleTagPattern(r"(\")(.+?)\"", "q"), "q", 200)
        md.parser.blockprocessors.deregister("hashheader")
        md.delimiters.add("~", "del,sub")  # type: ignore[union-attr]
        md.block_level_elements.remove("blockquote")
    assert quick.convert(f"{body} ~x~") == plain.convert(f"{body} ~x~")


def test_the_contents_are_there_only_with_their_extension() -> None:
    """`md.toc` is an attribute that upstream has not without it, and an empty one before a text."""
    assert not hasattr(Quick(), "toc")
    quick = Quick(extensions=["toc"])
    assert quick.toc == ""
    quick.convert("# a")
    assert '<a href="#a">a</a>' in quick.toc
    assert quick.reset().toc == ""  # type: ignore[attr-defined]


EXPRESSIONS = [
    r"a", r"(?<!x)ab", r"(?:[ab]|cd)'e", r"\s?'(?=\w)", r"(\s|&nbsp;|--|–)'", r"a{2,3}b", r"(?i)Ab", r"(?i:k)b",
    r"[^a]b", r"a*b", r"(a|b)+?c", r"\d+\.", r"(?=a)\w", r"(?!a)\w", r"^a|b$", r"(a)?(?(1)b|c)", r"\Wx",
    r"[\W\d]x", r"(?>ab?)c", r"a++b", r".b", r"(?s:.)b", r"[aſ]", r"(?i)[k-m]", r"", r"(?:)|x", r"\bword\b",
    r"(\w)\1", r"x(?#c)y",
]  # fmt: skip


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_what_an_expression_needs_is_in_every_match(expression: str) -> None:
    """No text is left out that matches, no start of a match is missed, no first character refused."""
    pattern = re.compile(expression)
    need = need_of(pattern)
    extra = ["ſ", "1.", "never"]
    words = [
        *extra,
        "",
        "a",
        "b",
        "ab",
        "cd'e",
        " 'e",
        "&nbsp;'",
        "--'",
        "–'",
        "aab",
        "aaab",
        "kB",
        "K",
        "ſ",
        "1.",
        "\nb",
        "xx",
    ]
    for text in [f"{one}{two}{three}" for one in words for two in words for three in ("", "abc", " x")]:
        expected = [found.span() for found in pattern.finditer(text)]
        assert [found.span() for found in scanner(pattern, need)(text, 0)] == expected
        if expected and need:
            assert any(each in text for each in need.texts)
        for begin, _ in expected:
            assert begin == len(text) or may_begin(pattern, text[begin])


def test_needs_are_as_telling_as_can_be() -> None:
    """What the speed comes from: quotes, brackets and dashes are found, at their place."""
    for expression, texts in ((r"(?<!-)---(?!-)", ("---",)), (r"\*|_", ("*", "_"))):
        need = need_of(re.compile(expression))
        assert need is not None
        assert need.texts == texts
    quote = need_of(re.compile(r"(\s|&nbsp;|–)'(?=\w)"))
    assert quote is not None
    assert (quote.texts, quote.least, quote.most) == (("'",), 1, 6)
