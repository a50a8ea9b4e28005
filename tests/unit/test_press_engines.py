"""What both engines know, by the same ids and classes; and what one of them alone does."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import jinja2
import markdown
import pytest
from unit.press_project import CLOCK, SITE, made, read, site, write

from bench.posts import FIRST_DAY, post
from tagship import config
from tagship.errors import ContentError
from tagship.press.build import Ask
from tagship.press.markup import Engine, Links, Rendered, Text
from tagship.press.markup.classic import Classic
from tagship.press.markup.shortcodes import Calls, Macros
from tagship.press.turns import Turns

ROOT = Path(__file__).parents[2]
BOTH = pytest.mark.parametrize("engine", ["python-markdown", "commonmark"])
LINKS = Links(pages={"posts/other.md": "/other/"}, assets={"a.png": "/assets/a.0123.png"})


def rendered(engine: str, body: str, expand: Macros | None = None, **settings: bool) -> Rendered:
    chosen = config.Markup(engine=engine, **settings)  # type: ignore[arg-type]
    return Engine(LINKS, chosen, expand).render(Text("posts/this.md", body, 5))


@BOTH
def test_headings_have_the_same_ids(engine: str) -> None:
    """So a site may change its engine, and links into its pages still lead somewhere."""
    done = rendered(
        engine, '# Über *uns* & "x" `c`\n\n## Same\n\n## Same\n\n## Same_1\n\n## ?\n\n## A[^n]\n\n[^n]: N\n'
    )
    assert [heading.id for heading in done.headings][:5] == ["über-uns-x-c", "same", "same_1", "same_2", "_1"]
    assert [heading.level for heading in done.headings] == [1, 2, 2, 2, 2, 2]
    assert done.headings[0].text == "Über uns & “x” c"
    assert set(done.ids) > {"same", "same_1"}


@BOTH
def test_the_contents_are_nested_and_stand_where_they_are_asked_for(engine: str) -> None:
    """As a value for templates, and in the text for `[TOC]`; a level that is skipped makes no empty list."""
    done = rendered(engine, "[TOC]\n\n## A\n\n#### B\n\n## C & D\n")
    assert done.toc == (
        '<ul><li><a href="#a">A</a><ul><li><a href="#b">B</a></li></ul></li>'
        '<li><a href="#c-d">C &amp; D</a></li></ul>'
    )
    assert done.html.count('href="#b"') == 1
    assert rendered(engine, "no headings").toc == ""


@BOTH
def test_code_is_highlighted_alike(engine: str) -> None:
    """The classes, the marked lines, the unknown languages: all of it is the house's own."""
    body = "text\n\n```python hl_lines=1 linenums=3\na < 'b'\n```\n\n```pyhton\n&lt;\n```\n\n    :::sh\n    ls\n"
    done = rendered(engine, body)
    assert '<span class="hll"><span class="linenos" data-line="3"></span><span class="n">a</span>' in done.html
    assert "<code>&amp;lt;\n</code>" in done.html
    assert '<div class="highlight" data-language="sh">' in done.html
    assert done.warnings == ("posts/this.md:11: no highlighting is known for `pyhton`",)


@BOTH
def test_tables_tasks_notes_and_definitions(engine: str) -> None:
    """With the ids and classes that the theme and old links know."""
    body = (
        'a | b\n--|:-:\n1 | 2\n\n- [ ] to do\n- [x] *done*\n\ntext[^n] and "quotes" -- it\'s...\n\n'
        "Term\n\n:   Definition\n\n[^n]: The note\n"
    )
    html = rendered(engine, body).html
    assert "<td>1</td>" in html
    assert '<ul class="contains-task-list">' in html
    box = '<li class="task-list-item"><input type="checkbox" class="task-list-item-checkbox" aria-label='
    assert f'{box}"to do" disabled> to do' in html
    assert f'{box}"done" checked disabled> <em>done</em>' in html
    assert '<sup id="fnref:n"><a class="footnote-ref" href="#fn:n">1</a></sup>' in html
    assert '<div class="footnote">\n<hr>\n<ol>\n<li id="fn:n">' in html
    assert 'href="#fnref:n"' in html
    assert "“quotes” – it’s…" in html
    assert re.search(r"<dt>Term</dt>\s*<dd>\s*<p>Definition</p>", html)


@BOTH
@pytest.mark.parametrize(
    "body",
    [
        '!!! warning "Look out"\n    First\n\n    - a\n      - b\n',
        "> [!WARNING] Look out\n> First\n>\n> - a\n>   - b\n",
    ],
)
def test_admonitions_are_written_in_two_ways(engine: str, body: str) -> None:
    """Python-Markdown's and GitHub's: either engine takes both."""
    html = re.sub(r"\s*\n\s*", "", rendered(engine, f"before\n\n{body}\nafter").html)
    assert '<div class="admonition warning"><p class="admonition-title">Look out</p><p>First</p>' in html
    assert "<li>a<ul><li>b</li></ul></li>" in html
    assert html.endswith("</div><p>after</p>")


@BOTH
def test_an_admonition_without_a_title_is_called_by_its_kind(engine: str) -> None:
    """And one in a fence is code."""
    html = rendered(engine, "!!! tip\n    ```text\n    a\n    ```\n\n```text\n!!! no\n    b\n```\n").html
    assert '<p class="admonition-title">Tip</p>' in html
    assert "<code>a\n</code>" in html
    assert "!!! no\n    b" in html


@BOTH
def test_links_lead_to_addresses(engine: str) -> None:
    """Sources, assets, and what isn't there."""
    done = rendered(engine, "[a](other.md#x) ![b](/assets/a.png) [c](gone.md)\n\n[d][nope] and [e][]\n")
    assert 'href="/other/#x"' in done.html
    assert 'src="/assets/a.0123.png"' in done.html
    assert sorted(done.warnings) == [
        "posts/this.md:5: the link leads to posts/gone.md, which is not published",
        "posts/this.md:7: there is no definition for the link [e]",
        "posts/this.md:7: there is no definition for the link [nope]",
    ]
    assert done.links == ("/other/#x", "/assets/a.0123.png", "gone.md")
    with pytest.raises(ContentError, match="there is no asset /assets/b"):
        rendered(engine, "![x](/assets/b.png)")


@BOTH
def test_formulas_are_drawn_at_build_time(engine: str) -> None:
    """As MathML, which needs no script; an escaped `$` is none, nor is code, and nothing is without the setting."""
    body = "Let $x_1 < y_2$ cost \\$5 and `$z$`.\n\n$$\n\\frac{a}{b}\n$$\n\n```math\nc^2\n```\n"
    done = rendered(engine, body, math=True)
    assert done.html.count("<math ") == 3
    assert done.html.count('display="block"') == 2
    assert 'alttext="x_1 &lt; y_2"' in done.html
    assert "cost $5 and <code>$z$</code>" in done.html
    assert "<em>" not in done.html
    assert done.warnings == ()
    assert "<math" not in rendered(engine, body).html


@BOTH
def test_a_formula_that_cannot_be_read_is_told(engine: str) -> None:
    """It stays as it was written."""
    done = rendered(engine, "a\n\n$\\frac$", math=True)
    assert "<code>\\frac</code>" in done.html
    assert done.warnings == ("posts/this.md:7: the formula can't be read",)


@BOTH
def test_the_excerpt_ends_where_it_is_said(engine: str) -> None:
    """`<!--more-->`; without it the first sentences stand for the text."""
    done = rendered(engine, "One *a*.\n\nTwo.\n\n<!--more-->\n\nThree.\n")
    assert done.excerpt == "<p>One <em>a</em>.</p>\n<p>Two.</p>"
    assert rendered(engine, "One.\n\nTwo.").excerpt == ""
    assert done.lead == "One a."


@BOTH
def test_reading_takes_time(engine: str) -> None:
    """Words of prose, code aside; never less than a minute."""
    body = f"{'word ' * 500}\n\n```text\n{'code ' * 500}\n```\n"
    done = rendered(engine, body)
    assert (done.words, done.minutes) == (500, 3)
    assert rendered(engine, "a").minutes == 1


@BOTH
def test_what_is_rendered_travels_between_processes(engine: str) -> None:
    """Also after somebody has looked at it."""
    done = rendered(engine, "# a\n\nb")
    assert done.headings
    assert pickle.loads(pickle.dumps(done)) == done


HOSTILE = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[a](javascript:alert(1))",
    "<iframe src='//x'></iframe>",
    "<a href='jAvAsCrIpT:alert(1)'>x</a>", "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<form action='//x'><input type=password></form>", "<div style='position:fixed'>x</div>",
    "<!-- a --><base href='//x'>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>", "![x](data:text/html;base64,AAAA)",
    "<details open ontoggle=alert(1)>", "<a href=' &#1; javascript:alert(1)'>x</a>",
    "$\\href{javascript:alert(1)}{x}$",
]  # fmt: skip


@BOTH
@pytest.mark.parametrize("body", HOSTILE)
def test_html_of_others_can_run_nothing(engine: str, body: str) -> None:
    """Scripts, handlers, frames, forms, styles and addresses that are none."""
    html = rendered(engine, f"text {body}\n\n{body}\n", untrusted=True, math=True).html
    told = re.sub(r"&lt;.*?&gt;|alttext=\"[^\"]*\"", "", html)
    assert not re.search(
        r"<(script|iframe|form|style|base|svg|mglyph)\b|\son\w+=|(href|src|action)=\"?\s*(java|data)", told
    )
    assert "position" not in told
    assert "password" not in told


@BOTH
def test_what_the_house_makes_survives_sanitising(engine: str) -> None:
    """The ids and classes are the same with it and without it; so are boxes, formulas and the excerpt's mark."""
    body = (
        "# Head\n\na[^n] $x$\n\n<!--more-->\n\n```python hl_lines=1 linenums=1\na = 1\n```\n\n- [x] b\n\n"
        "a | b\n--|:-:\n1 | 2\n\n> [!NOTE]\n> c\n\n[^n]: N\n"
    )
    plain, clean = (rendered(engine, body, untrusted=flag, math=True) for flag in (False, True))
    for pattern in (r'\bid="([^"]*)"', r'\bclass="([^"]*)"', r'data-\w+="[^"]*"', r"<math "):
        assert re.findall(pattern, clean.html) == re.findall(pattern, plain.html)
    assert clean.excerpt
    assert "text-align" in clean.html or 'align="center"' in clean.html
    assert 'type="checkbox"' in clean.html


def macros() -> Macros:
    source = (
        "{% macro figure(name, caption='', width=3) %}<figure class='w{{ width }}'>{{ name }}: {{ caption }}</figure>"
        "{% endmacro %}{% macro fails() %}{{ nothing.here }}{% endmacro %}{% set plain = 1 %}"
    )
    loader = jinja2.DictLoader({"shortcodes.html": source})
    return Macros(jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined))


@BOTH
def test_a_shortcode_is_a_macro_of_the_site(engine: str) -> None:
    """Alone in a paragraph it takes its place; inside code it stays as it was written."""
    body = (
        '{{ figure("a_b.png", caption="It\'s *<x>*", width=-1) }}\n\ninline {{figure(\'c\')}} it\n\n'
        "`{{ figure('d') }}`\n\n```jinja\n{{ figure('e') }}\n```\n\n    {{ figure('f') }}\n\n"
        "{{ other }} {{ x.y() }}\n"
    )
    html = rendered(engine, body, macros()).html
    assert html.startswith("<figure class='w-1'>a_b.png: It&#39;s *&lt;x&gt;*</figure>")
    assert "inline <figure class='w3'>c: </figure> it" in html
    assert "<code>{{ figure('d') }}</code>" in html
    assert "{{ figure(&#39;f&#39;) }}" in html
    assert html.count("<figure") == 2
    assert "{{ other }} {{ x.y() }}" in html
    assert "figure(&quot;a_b" in html or "{{ figure(" in rendered(engine, body).html


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("{{ figur('a') }}", "there is no shortcode `figur`"),
        ("{{ plain() }}", "there is no shortcode `plain`"),
        ("{{ figure() }}", "the shortcode `figure`: "),
        ("{{ figure('a', colour=1) }}", "the shortcode `figure`: "),
        ("{{ figure(name) }}", "can't be read"),
        ("{{ figure(cycler.__init__) }}", "can't be read"),
        ("{{ figure(1,,) }}", "can't be read"),
        ("{{ fails() }}", "the shortcode `fails`: "),
    ],
)
def test_a_wrong_shortcode_is_an_error_at_its_line(call: str, told: str) -> None:
    """Unknown macros, wrong arguments, and anything but plain values."""
    with pytest.raises(ContentError) as caught:
        rendered("commonmark", f"a\n\n{call}\n", macros())
    assert told in str(caught.value)
    assert "posts/this.md:7" in str(caught.value)


def test_the_default_engine_gives_what_upstream_gives_with_the_same_extensions() -> None:
    """The house's own additions included: accelerated or not is no difference."""
    quick, plain = Classic(math=True), Classic(math=True, make=markdown.Markdown)
    files = [path for folder in ("docs", "posts", "examples") for path in (ROOT / folder).rglob("*.md")]
    bodies = [path.read_text() for path in [*files, ROOT / "README.md"]]
    for body in [*bodies, *(post(number, FIRST_DAY).split("---", 2)[2] for number in range(20))]:
        calls = Calls.none(body)
        assert quick.convert(body, calls) == plain.convert(body, calls)


SHORTCODES = "{% macro hi(name) %}<b class='hi'>{{ name }} {{ site.title }}</b>{% endmacro %}"
POST = {
    "posts/2026-11-01-a.md": "---\ntitle: A\n---\n{{ hi('you') }}\n\n<!--more-->\n\n## Part\n\n$x$\n",
    "site/templates/post.html": "{{ post.content }}|{{ post.toc }}|{{ post.excerpt }}|{{ post.minutes }}",
}


@BOTH
def test_a_site_says_by_which_engine_and_templates_see_what_it_made(engine: str, tmp_path: Path) -> None:
    """The settings reach every process, and a post has its contents, its excerpt and its reading time."""
    settings = site(markup=config.Markup(engine=engine, math=True))  # type: ignore[arg-type]
    made(tmp_path, {**POST, "site/templates/shortcodes.html": SHORTCODES}, settings, workers=2)
    content, toc, excerpt, minutes = read(tmp_path, "/2026/11/a/").split("|")
    assert content.startswith("<b class='hi'>you A &lt;site&gt;</b>")
    assert "<math " in content
    assert toc == '<ul><li><a href="#part">Part</a></li></ul>'
    assert excerpt == "<b class='hi'>you A &lt;site&gt;</b>"
    assert minutes == "1"


def test_without_the_template_of_shortcodes_a_call_is_text(tmp_path: Path) -> None:
    """And once it is there, the posts that call it are rendered again."""
    project = write(tmp_path / "project", POST)
    turns = Turns(tmp_path / "build")
    page = tmp_path / "build/site/2026/11/a/index.html"
    turns.build(Ask(project, SITE, CLOCK))
    assert "<p>{{ hi('you') }}</p>" in page.read_text()
    for name in ("you", "them"):
        write(project, {"site/templates/shortcodes.html": SHORTCODES.replace("hi'>", f"{name}'>")})
        turns.build(Ask(project, SITE, CLOCK))
        assert f"<b class='{name}'>you" in page.read_text()


def test_the_page_about_markdown_tells_what_is_so() -> None:
    """What `docs/markup.md` shows as an example works, in both engines, without a warning."""
    page = (ROOT / "docs/markup.md").read_text()
    examples = [block.replace("\n    ", "\n").strip() for block in re.findall(r"(?m)^(?:    .*\n|\n(?=    ))+", page)]
    texts = [text for text in examples if not text.startswith("{%")]
    assert len(texts) >= 3
    for text in texts:
        for engine in ("python-markdown", "commonmark"):
            done = rendered(engine, text.replace('{{ figure("boat.png", caption="At sea") }}', ""), math=True)
            assert done.warnings == ()
            assert "!!!" not in done.html
            assert "[!" not in done.html
            assert "[ ]" not in done.html
