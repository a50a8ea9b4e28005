"""Blocks of code: Pygments' own HTML in less time, marked and numbered lines."""

from __future__ import annotations

from pathlib import Path

import pytest
from pygments import highlight as upstream
from pygments.formatters.html import HtmlFormatter
from pygments.lexers import get_lexer_by_name

from tagship.press.markup import Engine, Links, Rendered, Text, lexing

ROOT = Path(__file__).parents[2]
LANGUAGES = [
    "python", "sh", "html", "css", "js", "ts", "json", "yaml", "toml", "ini", "sql", "c", "cpp", "java", "rust", "go",
    "ruby", "perl", "php", "make", "docker", "nginx", "diff", "html+jinja", "pycon", "console", "md", "tex", "xml",
    "haskell", "lua", "kotlin", "swift", "powershell", "bat", "r", "vim", "groovy", "scala", "elixir",
]  # fmt: skip
SAMPLES = [
    "x = {'a': f\"{b!r} {{c}}\"}  # é <&>\n\n\n\tdef f(x): return '''\nq\n''' + \"unclosed\n",
    "$ ls -l | awk '{print $1}' && echo \"$(date)\" <<EOF\n`x` ${y:-z}\nEOF\n/* c */ // d\n<a href='b'>&amp;</a>\n",
    "a: [1, 2]\nb: >\n  text\n--- \n+++ b\n@@ -1 +1 @@\n-x\n+y\n%% {# e #} "
    "{% if f %}{{ g }}{% endif %}\n>>> h\n... i\n",
    "\ufeffé\u2028\x00\r\n\\\n\"\"\"\n'''\n",
    "",
]


@pytest.mark.parametrize("language", LANGUAGES)
def test_code_has_the_html_that_pygments_gives(language: str) -> None:
    """Whatever the text: code of this language, of another one, and broken code."""
    plain = get_lexer_by_name(language, stripnl=False)
    quick = lexing.quicken(get_lexer_by_name(language, stripnl=False))
    own = [(ROOT / name).read_text()[:3000] for name in ("src/tagship/yamltext.py", "README.md", "Makefile")]
    for code in [*SAMPLES, *own]:
        expected = upstream(code, plain, HtmlFormatter(nowrap=True))
        assert "".join(lexing.lines_of(quick, code)) == expected


def rendered(info: str, code: str = "a = 1\nb = '''\nc\n'''\n") -> Rendered:
    return Engine(Links()).render(Text("p.md", f"```{info}\n{code}```\n", 1))


@pytest.mark.parametrize("info", ["python hl_lines='2 4'", '{.python hl_lines="2,4-4"}', "python hl-lines=2,4"])
def test_lines_are_marked(info: str) -> None:
    """Whole lines with their ends, each by itself."""
    done = rendered(info)
    assert done.warnings == ()
    assert done.html.count('<span class="hll">') == 2
    assert '<span class="hll"><span class="n">b</span>' in done.html


def test_lines_are_numbered_where_nobody_copies_the_numbers() -> None:
    """The numbers are attributes, which the style sheet shows; plain text can be numbered too."""
    assert 'data-line="10"></span><span class="n">a</span>' in rendered("python linenums=10").html
    assert rendered("text linenums=true").html.count("data-line=") == 4
    both = rendered("python linenums=1 hl_lines=1").html
    assert '<span class="hll"><span class="linenos" data-line="1"></span><span class="n">a</span>' in both


@pytest.mark.parametrize(
    ("info", "told"),
    [
        ("python hl_lines='x'", "hl_lines takes numbers of lines, such as `2 4-6`, not `x`"),
        ("python linenums=no", "linenums takes the number of the first line, not `no`"),
        ("python colour=red", "`colour` means nothing to a block of code"),
        ("pyhton linenums=1", "no highlighting is known for `pyhton`"),
    ],
)
def test_an_option_that_is_not_understood_is_told(info: str, told: str) -> None:
    """With the line that it stands in; the code is there all the same."""
    done = rendered(info)
    assert done.warnings == (f"p.md:1: {told}",)
    assert "<code>" in done.html
