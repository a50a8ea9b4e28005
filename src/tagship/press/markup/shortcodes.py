"""Shortcodes: calls such as `{{ figure("boat.png", caption="At sea") }}` in Markdown, expanded by macros.

A call is taken out before the text is converted and put back afterwards, so that no engine reads it; inside code it
is put back as it was written. Who expands it is told by the port `Expand`; `Macros` is the one that asks Jinja2.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jinja2
from jinja2 import nodes

from tagship.errors import ContentError
from tagship.press.markup.values import Text

Expand = Callable[[str, str, int], str | None]
"""Takes a call such as `figure("a.png")`, the name of the file and the line it stands in; returns HTML.

None where a site has no shortcodes: the call is text. Raises `ContentError` for a call that can't be expanded."""

TEMPLATE = "shortcodes.html"
"""The template whose macros can be called."""

_OPEN, _CLOSE = "\ue000", "\ue001"
_CALL = re.compile(r"\{\{[ \t]*([a-z_]\w*\((?:\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|[^'\"{}])*\))[ \t]*\}\}")
_MARK = re.compile(f"{_OPEN}(\\d+){_CLOSE}")
_ALONE = re.compile(f"<p>{_OPEN}(\\d+){_CLOSE}</p>")
_CODE = re.compile(r"<(code|pre)\b[^>]*>.*?</\1>", re.S)


@dataclass(frozen=True)
class Calls:
    """A text without its shortcodes, each of which left a mark: `found` are call, source and place in the text."""

    body: str
    found: tuple[tuple[str, str, int], ...] = ()

    @classmethod
    def none(cls, body: str) -> Calls:
        """A text that is left as it is."""
        return cls(body)

    @classmethod
    def taken_from(cls, body: str) -> Calls:
        """Take the shortcodes out of `body`."""
        if "{{" not in body or _OPEN in body:
            return cls(body)
        found: list[tuple[str, str, int]] = []

        def take(call: re.Match[str]) -> str:
            found.append((call[1], call[0], call.start()))
            return f"{_OPEN}{len(found) - 1}{_CLOSE}"

        return cls(_CALL.sub(take, body), tuple(found))

    def as_written(self, code: str) -> str:
        """Some code with its shortcodes as they were written."""
        return _MARK.sub(lambda mark: self.found[int(mark[1])][1], code) if self.found else code

    def put_back(self, body: str, text: Text, expand: Expand) -> str:
        """The HTML `body` with what its shortcodes mean; alone in its paragraph, one takes the paragraph's place."""
        if not self.found:
            return body

        def shown(mark: re.Match[str]) -> str:
            call, source, at = self.found[int(mark[1])]
            made = expand(call, text.name, text.first_line + text.body.count("\n", 0, at))
            return (
                mark[0].replace(f"{_OPEN}{mark[1]}{_CLOSE}", html.escape(source, quote=False))
                if made is None
                else made
            )

        def written(code: re.Match[str]) -> str:
            return _MARK.sub(lambda mark: html.escape(self.found[int(mark[1])][1], quote=False), code[0])

        return _MARK.sub(shown, _ALONE.sub(shown, _CODE.sub(written, body)))


class Macros:
    """Expands calls with the macros of the template `shortcodes.html`; arguments are plain values."""

    def __init__(self, environment: jinja2.Environment) -> None:
        self.environment = environment

    def __call__(self, call: str, path: str, line: int) -> str | None:
        """The HTML of one call, None without the template; raises `ContentError` for what can't be expanded."""
        fault = partial(ContentError, path=path, line=line)
        try:
            macros = self.environment.get_template(TEMPLATE).module
        except jinja2.TemplateNotFound as error:
            if error.name == TEMPLATE:
                return None
            raise fault(f"the shortcodes' template needs {error.name}, which is not there") from None
        try:
            name, positional, named = self._read(call)
        except (jinja2.TemplateSyntaxError, nodes.Impossible, ValueError) as error:
            raise fault(f"the shortcode {call} can't be read: {error}", cure="give it plain values") from None
        macro = getattr(macros, name, None)
        if not isinstance(macro, jinja2.runtime.Macro):
            known = sorted(each for each in dir(macros) if isinstance(getattr(macros, each), jinja2.runtime.Macro))
            raise fault(f"there is no shortcode `{name}`", cure=f"known here: {', '.join(known) or 'none'}")
        try:
            return str(macro(*positional, **named))
        except (TypeError, jinja2.TemplateError) as error:
            raise fault(f"the shortcode `{name}`: {error}", cure="mend the call or the macro") from None

    def _read(self, call: str) -> tuple[str, list[Any], dict[str, Any]]:
        parsed = self.environment.parse(f"{{{{ {call} }}}}").find(nodes.Call)
        if parsed is None or not isinstance(parsed.node, nodes.Name) or parsed.dyn_args or parsed.dyn_kwargs:
            raise ValueError("it is no call of a macro")
        named = {each.key: each.value.as_const() for each in parsed.kwargs}
        return parsed.node.name, [each.as_const() for each in parsed.args], named
