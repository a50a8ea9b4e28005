"""Markdown as people write it, to HTML."""

from __future__ import annotations

import re

import pytest
from markdown_it import MarkdownIt

from tagship.press.markup import Engine, Links, Rendered, Text, lead_of

ENGINE = Engine(
    Links(pages={"posts/other.md": "/2026/11/other/"}, assets={"a b.png": "/assets/a%20b.0123456789ab.png"})
)


def rendered(body: str) -> Rendered:
    return ENGINE.render(Text("posts/this.md", body, 5))


def shape(text: str) -> str:
    """HTML without what two engines may spell differently: paragraphs inside lists, ids, classes, white space."""
    text = re.sub(r'<div class="highlight"[^>]*><pre[^>]*><code>|<pre><code[^>]*>', "<pre>", text)
    text = re.sub(r"</code></pre>(</div>)?", "</pre>", text)
    text = re.sub(r"</?p>|</?span[^>]*>|<br ?/?>", "", text)
    text = re.sub(r"<(h\d|ol) [^>]*>", r"<\1>", text).replace("<hr />", "<hr>")
    return re.sub(r"\s+", "", text)


@pytest.mark.parametrize(
    "body",
    [
        "- one\n  - two\n    wrapped\n  lazy\n- three\n",
        "- one\n  - two\n- three\n  ```python\n  x\n  ```\n- four\n",
        "10. a\n    - b\n      - c\n11. d\n",
        "para\n- a\n- b\nafter\n",
        "- a\n\n  para\n  - b\n- c\n",
        "* a\n    * b\n        * c\n    * d\n* e\n",
        "- a\n1. b\n",
        "> - a\n>   - b\n> lazy\n",
        "- > q\n  > r\n- # H\n  text\n",
        "- a\n\n      code\n- b\n",
        "1. a\n\n   b\n\n2. c\n   1. d\n   2. e\n\n      f\n",
        "- a\n- b\n\n- c\n",
        "- a\n   - b\n      - c\n",
        "-   wide\n    - nested\n\n    para\n",
        "text\n2026. was a year\n",
        "- x\n***\n- y\n",
        "- a\n\n- b\n\n\n- c\n\ntext\n",
        "1. one\n\n   ```text\n   a\n\n   b\n   ```\n\n2. two\n",
        "Text\n> quote\n- list\n",
        "* a\n\n  * b\n\n    * c\n",
        "> ```text\n> - a\n>   - b\n> ```\n",
        "    - code\n      - code\n\ntext\n",
        "```text\n- a\n  - b\n    ```\n```\n",
        "~~~~text\n```\n~~~\n~~~~\n",
        "- a\n\n  > q\n\n  text\n",
        "- a\n\n  | not a table\n- b\n",
        "- item\n\n      indented\n\n      more\n\n  after\n",
    ],
)
def test_containers_nest_as_in_commonmark(body: str) -> None:
    """Lists, quotes and fences inside each other have CommonMark's structure, whatever the indentation."""
    assert shape(rendered(body).html) == shape(MarkdownIt().render(body))


@pytest.mark.parametrize("indent", [2, 3, 4])
def test_a_numbered_list_may_be_nested_by_two_three_or_four(indent: int) -> None:
    """CommonMark wants three under `1.`; people write two."""
    body = "1. a\n{0}- b\n{0}  wrapped\n{0}{0}- c\n2. d\n".format(" " * indent)
    expected = "<ol><li>a<ul><li>bwrapped<ul><li>c</li></ul></li></ul></li><li>d</li></ol>"
    assert shape(rendered(body).html) == expected


def test_code_in_a_list_may_be_indented_in_either_tradition() -> None:
    """Six columns under `- ` by CommonMark, eight by the original Markdown: the same code."""
    six = rendered("- a\n\n      code\n        more\n").html
    eight = rendered("- a\n\n        code\n          more\n").html
    assert six == eight
    assert "<code>code\n  more\n</code>" in six


def test_indented_code_keeps_its_spaces_and_its_lists() -> None:
    """What stands four columns in is code, and nobody reads lists into it."""
    assert (
        "<code>- a\n  - b\n\n      deep\n</code>" in rendered("text\n\n    - a\n      - b\n\n          deep\n").html
    )


def test_html_blocks_are_left_as_they_are() -> None:
    """A <pre> of somebody's own is not Markdown."""
    body = "<pre>\n- a\n  - b\n```\n</pre>\n\ntext\n"
    assert "<pre>\n- a\n  - b\n```\n</pre>" in rendered(body).html


@pytest.mark.parametrize(
    "reference", ["[the text][ref]", "[ref][]", "[ref]", "[Ref]", "## See [ref]", "- [ref]\n", "> [the text][ref]"]
)
def test_reference_links_of_all_kinds_become_links(reference: str) -> None:
    """Full, collapsed and shortcut; in headings, lists and quotes."""
    done = rendered(f"{reference}\n\n[ref]: https://example.org/x 'T'\n")
    assert '<a href="https://example.org/x" title="T">' in done.html
    assert done.warnings == ()


@pytest.mark.parametrize("body", ["a\n\nb [text][Nope]", "a\n\nb [nope][]", "a\n\n![alt][nope]"])
def test_a_reference_without_definition_stays_text_and_is_told(body: str) -> None:
    """It is not an error, people write brackets; but its line is in the report."""
    done = rendered(body)
    assert "<a" not in done.html
    assert "nope" in done.html.lower()
    assert done.warnings == ("posts/this.md:7: there is no definition for the link [nope]",)


def test_plain_brackets_are_no_warning() -> None:
    """`[sic]` and `[x] [y]` are text."""
    assert rendered("It [sic] was [x] [y].").warnings == ()


def test_links_to_sources_lead_to_their_addresses() -> None:
    """A link that works in an editor works on the site; one that leads nowhere is told."""
    done = rendered("[a](other.md#part) and [b](../posts/other.md)\n\nand [c](gone.md) [d](https://x.org/y.md)")
    assert 'href="/2026/11/other/#part"' in done.html
    assert 'href="/2026/11/other/"' in done.html
    assert 'href="https://x.org/y.md"' in done.html
    assert done.warnings == ("posts/this.md:7: the link leads to posts/gone.md, which is not published",)


def test_assets_are_pointed_at_by_their_fingerprinted_names() -> None:
    """In Markdown and in HTML of one's own; code is left alone."""
    engine = Engine(Links(assets={"a.png": "/assets/a.0123456789ab.png"}))
    body = '![x](/assets/a.png)\n\n<img src="/assets/a.png">\n\n`<img src="/assets/a.png">`\n'
    done = engine.render(Text("p.md", body, 1)).html
    assert done.count("/assets/a.0123456789ab.png") == 2
    assert "&lt;img src=" in done


def test_code_has_pygments_classes_when_its_language_is_named() -> None:
    """Fenced, and indented with a first line `:::`."""
    assert '<span class="k">def</span>' in rendered("```python\ndef f(): pass\n```\n").html
    indented = rendered("    :::python\n    def f(): pass\n").html
    assert '<span class="k">def</span>' in indented
    assert ":::" not in indented


@pytest.mark.parametrize("body", ["```\ndef f(): pass\n```\n", "    def f(): pass\n", "#!/bin/sh\n\n    #!/bin/sh\n"])
def test_a_language_is_never_guessed(body: str) -> None:
    """Guessing is slow and wrong in turns."""
    assert "<span" not in rendered(body).html


def test_an_unknown_language_is_plain_and_told() -> None:
    """A misspelt language is not an error, but nobody would notice it otherwise."""
    done = rendered("text\n\n```pyhton\n<b>\n```\n")
    assert "<code>&lt;b&gt;\n</code>" in done.html
    assert done.warnings == ("posts/this.md:7: no highlighting is known for `pyhton`",)


def test_headings_have_ids_of_their_own() -> None:
    """Equal headings get different ids, and letters of any script are kept."""
    done = rendered("# A [link](x) & more\n\n# Über uns\n\n# Same\n\n# Same\n").html
    assert re.findall(r'id="([^"]*)"', done) == ["a-link-more", "über-uns", "same", "same_1"]


def test_footnotes_tables_and_typography() -> None:
    """The rest of what the issue names."""
    body = 'A "quote" -- it\'s... [^1]\n\n[^1]: Note\n    - with\n      - a list\n\na | b\n--|--\n1 | 2\n'
    done = rendered(body).html
    assert "“quote” – it’s…" in done
    assert 'href="#fn:1"' in done
    assert "<li>with<ul>" in done.replace("\n", "")
    assert "<td>2</td>" in done


def test_texts_do_not_leak_into_each_other() -> None:
    """References, footnotes and ids of one text are unknown to the next."""
    rendered("[ref]: https://example.org\n\n[^1]: note\n\n# Same\n\ntext[^1]")
    after = rendered("# Same\n\n[ref] [^1]").html
    assert 'id="same"' in after
    assert "<a" not in after


def test_the_lead_is_the_first_paragraph_as_text() -> None:
    """It describes the post in lists and feeds."""
    assert (
        lead_of('<h2>T</h2><p>A <b>b</b> &amp; c<sup id="fnref:1"><a href="#">1</a></sup></p><p>d</p>') == "A b & c"
    )
    long = lead_of(f"<p>{'word ' * 100}</p>")
    assert len(long) <= 302
    assert long.endswith("word …")
    assert lead_of("<ul></ul>") == ""
