"""The native engine: comrak, which is CommonMark and GitHub's dialect, with the ids and classes of the other one.

comrak hands back HTML and has no hooks, so what the house does differently is done to that HTML: code is
highlighted, headings get the ids that Python-Markdown would give them, notes and tasks its classes.
"""

from __future__ import annotations

import html
import re

import comrak

from tagship.press.markup import admonitions, highlight, maths
from tagship.press.markup.engine import Converted, checkbox
from tagship.press.markup.ids import Ids
from tagship.press.markup.shortcodes import Calls
from tagship.press.markup.values import Rendered

# The order of the attributes differs from run to run: they come out of a hash map.
_BLOCK = re.compile(r"<pre><code([^>]*)>(.*?)</code></pre>", re.S)
_META = re.compile(r'\sdata-meta="([^"]*)"')
_LANGUAGE = re.compile(r'\sclass="language-([^"]*)"')
_HEADING = re.compile(
    r'<h([1-6]) id="[^"]*">(.*?)<a href="#[^"]*" aria-label="[^"]*" data-heading-content="([^"]*)" '
    r'class="anchor"></a>',
    re.S,
)
_OWN_ID = re.compile(r'<[a-zA-Z][^<>]*?\sid="([^"]*)"')
_UNDEFINED = re.compile(r"\[([^\[\]<>]+)\]\[([^\[\]<>]*)\]")
_CODE = re.compile(r"<(pre|code)\b.*?</\1>", re.S)
_NOTE = re.compile(r'<sup class="footnote-ref"><a href="#fn-([^"]*)" id="fnref-([^"]*)" data-footnote-ref>')
_BACK = re.compile(r'href="#fnref-([^"]*)" class="footnote-backref" data-footnote-backref data-[a-z-]*="[^"]*"')
_TASK = re.compile(r'<input type="checkbox" class="task-list-item-checkbox"( checked="")? disabled="" />')


class Native:
    """Converts with comrak; `math` says whether `$` begins a formula."""

    def __init__(self, *, math: bool = False) -> None:
        self.extensions = comrak.ExtensionOptions()
        for name in ("table", "tasklist", "strikethrough", "autolink", "footnotes", "description_lists", "alerts"):
            setattr(self.extensions, name, True)
        self.extensions.header_id_prefix = ""
        self.extensions.math_dollars = math
        self.math = math
        self.parsing = comrak.ParseOptions()
        self.parsing.smart = True
        self.writing = comrak.RenderOptions()
        self.writing.unsafe_ = self.writing.full_info_string = self.writing.tasklist_classes = True

    def convert(self, body: str, calls: Calls) -> Converted:
        """The HTML of `body`."""
        problems: list[tuple[str, str]] = []
        if "!!!" in body:
            body = admonitions.as_alerts(body)
        made = comrak.render_markdown(body, self.extensions, self.parsing, self.writing)
        if "][" in made:
            bare = _CODE.sub("", made)
            problems += [_undefined(*each) for each in _UNDEFINED.findall(bare)]
        if "<pre><code" in made:
            made = _BLOCK.sub(lambda block: self.block(block, calls, problems), made)
        made = _with_ids(made)
        if "data-footnotes" in made:
            made = _with_notes(made)
        if 'class="markdown-alert' in made:
            made = made.replace('class="markdown-alert markdown-alert-', 'class="admonition ')
            made = made.replace('class="markdown-alert-title"', 'class="admonition-title"')
        if "task-list-item-checkbox" in made:
            made = _TASK.sub(lambda task: checkbox(is_done=bool(task[1])), made)
        if "<p>[TOC]</p>" in made:
            made = made.replace("<p>[TOC]</p>", f'<div class="toc">{Rendered(made, "").toc}</div>')
        return Converted(made.strip(), problems)

    def block(self, block: re.Match[str], calls: Calls, problems: list[tuple[str, str]]) -> str:
        """A block of code, highlighted."""
        said = [found[1] if (found := each.search(block[1])) else "" for each in (_LANGUAGE, _META)]
        info = html.unescape(" ".join(said).strip())
        code = calls.as_written(_unescaped(block[2]))
        if self.math and info == "math":
            return f"<p>{maths.span(code.strip(), maths.DISPLAY)}</p>"
        if not info:
            wanted, code = highlight.read_first_line(code)
            return highlight.to_html(code, wanted)
        wanted = highlight.read_info(info)
        problems.extend((problem, info) for problem in wanted.problems)
        return highlight.to_html(code, wanted)


def _with_ids(made: str) -> str:
    if 'class="anchor"></a>' not in made:
        return made
    ids = Ids(_OWN_ID.findall(_HEADING.sub("", made)))

    def named(heading: re.Match[str]) -> str:
        level, inside, text = heading.groups()
        return f'<h{level} id="{html.escape(ids.of(html.unescape(text)))}">{inside}'

    return _HEADING.sub(named, made)


def _with_notes(made: str) -> str:
    made = _NOTE.sub(r'<sup id="fnref:\2"><a class="footnote-ref" href="#fn:\1">', made)
    made = _BACK.sub(r'class="footnote-backref" href="#fnref:\1"', made).replace('<li id="fn-', '<li id="fn:')
    made = made.replace('<section class="footnotes" data-footnotes>', '<div class="footnote">\n<hr>')
    return made.replace("</section>", "</div>")


def _undefined(text: str, name: str) -> tuple[str, str]:
    key = " ".join(html.unescape(name or text).lower().split())
    return f"there is no definition for the link [{key}]", f"][{name}]" if name else f"[{text}][]"


def _unescaped(code: str) -> str:
    if "&" not in code:
        return code
    return code.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")
