"""From a text to what templates show of it: one of two converters, then what is the same for both."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from tagship import config
from tagship.errors import ContentError
from tagship.press.markup import maths, pointing
from tagship.press.markup.shortcodes import Calls, Expand
from tagship.press.markup.values import Links, Rendered, Text, lead_of

DEFAULT = config.Markup()
"""What a site has that says nothing of markup."""


class Converted(NamedTuple):
    """HTML, and what is wrong with the text: each problem with a piece of the text to find its line by."""

    html: str
    problems: list[tuple[str, str]]


class Converter(Protocol):
    """What an engine is: Markdown in, HTML out; it forgets each text before the next."""

    def convert(self, body: str, calls: Calls) -> Converted:
        """The HTML of `body`; code gets back what `calls` took out of it."""


class Engine:
    """Renders one text after another; its parsers are built once.

    `settings` are the site's; `expand` makes HTML of a shortcode, None where a site has none.
    """

    def __init__(self, links: Links, settings: config.Markup = DEFAULT, expand: Expand | None = None) -> None:
        self.links = links
        self.settings = settings
        self.expand = expand
        self.converter = _converter(settings)

    def render(self, text: Text) -> Rendered:
        """`text` as HTML; raises `ContentError` for a missing asset, a bad shortcode, and nesting without end."""
        calls = Calls.taken_from(text.body) if self.expand else Calls.none(text.body)
        try:
            body, problems = self.converter.convert(calls.body, calls)
        except RecursionError:
            raise ContentError("is nested too deeply", path=text.name, line=text.first_line) from None
        if self.settings.untrusted:
            from tagship.press.markup import sanitising  # most sites need no nh3

            body = sanitising.clean(body)
        if self.expand:
            body = calls.put_back(body, text, self.expand)
        warnings = [pointing.warning(text, *problem) for problem in problems]
        body = pointing.resolve(body, text, self.links, warnings)
        lead = lead_of(body)
        if self.settings.math:
            body, problems = maths.draw(body)
            warnings += [pointing.warning(text, *problem) for problem in problems]
        return Rendered(body, lead, tuple(warnings))


def checkbox(*, is_done: bool) -> str:
    """A task's box, the same from both engines."""
    state = 'aria-label="done" checked' if is_done else 'aria-label="to do"'
    return f'<input type="checkbox" class="task-list-item-checkbox" {state} disabled>'


def _converter(settings: config.Markup) -> Converter:
    # Each is imported only where it is used: Python-Markdown alone takes some 40 ms.
    if settings.engine == "commonmark":
        from tagship.press.markup.native import Native

        return Native(math=settings.math)
    from tagship.press.markup.classic import Classic

    return Classic(math=settings.math)
