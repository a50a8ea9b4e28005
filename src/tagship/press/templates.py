"""Jinja2 with the theme below the project's own templates: what is asked is noted, and errors name file and line."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import jinja2
from jinja2.environment import TemplateModule
from jinja2.runtime import Context
from markupsafe import Markup

from tagship.errors import ContentError, TagshipError
from tagship.press import urls
from tagship.press.content import Text
from tagship.press.layouts import THEME, theme_templates
from tagship.press.reads import Reads

_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


class MissingAsset(LookupError):
    """A template asked for an asset that isn't there."""


def _parts(name: str) -> str:
    """`name` without empty parts and `.`; nothing where it leads up."""
    parts = [part for part in name.split("/") if part not in {"", "."}]
    return "" if ".." in parts else "/".join(parts)


class _Loader(jinja2.BaseLoader):
    """The project's own templates over the theme's; the theme's own stay at `theme/NAME`."""

    def __init__(self, base: Path, own: Mapping[str, bytes]) -> None:
        self.base = base
        self.own = own
        self.theme = theme_templates()

    def get_source(self, _: jinja2.Environment, template: str) -> tuple[str, str, None]:
        name = _parts(template)
        if name in self.own:
            text = self.own[name].decode().replace("\r\n", "\n").replace("\r", "\n")
            return text, str(self.base / name), None
        path = self.theme.get(name.removeprefix("theme/"))
        if path is None:
            raise jinja2.TemplateNotFound(template)
        return path.read_text(encoding="utf-8"), str(path), None


class _Environment(jinja2.Environment):
    """Notes each template that is looked for, found or not, from Python and from templates."""

    reads: Reads

    def _load_template(self, name: str, globals: Any) -> jinja2.Template:
        self.reads.note(f"template:{_parts(name)}")
        return super()._load_template(name, globals)


class _Template(jinja2.Template):
    """An imported template is run once and kept; what it asked for then counts for whoever imports it later."""

    asked: set[str]

    def _get_default_module(self, ctx: Context | None = None) -> TemplateModule:
        if ctx is not None and ctx.globals_keys - self.globals.keys():
            return super()._get_default_module(ctx)
        reads = cast(_Environment, self.environment).reads
        if self._module is None:
            outer, reads.keys = reads.keys, set()
            try:
                super()._get_default_module(ctx)
                self.asked = reads.keys
            finally:
                reads.keys = outer
        reads.keys |= self.asked
        return super()._get_default_module(ctx)


_Environment.template_class = _Template


def has_template(name: str) -> bool:
    """Whether the theme has a template of that name, such as `post.html`."""
    return name in theme_templates()


class Templates:
    """Renders pages by the name of their layout.

    A project's template replaces the theme's of that name; it may still extend it as `theme/NAME`. `own` holds the
    project's templates by their path below `folder`; `shared` is what every template sees.
    """

    def __init__(
        self, project: Path, folder: str, own: Mapping[str, bytes], reads: Reads, shared: Mapping[str, Any]
    ) -> None:
        self.project = project
        self.own = own
        self.loader = _Loader(project / folder, own)
        _check_encoding(folder, own)
        self.environment = _Environment(
            loader=self.loader,
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self.environment.reads = reads
        self.environment.globals.update(shared)
        self.environment.filters.update(encoded=urls.encoded, day=day, iso=datetime.isoformat)
        # What is random would be another page at each build.
        del self.environment.filters["random"], self.environment.globals["lipsum"]

    def render(self, layout: str, page: str, values: Mapping[str, Any]) -> str:
        """The layout filled with `values`; `page` names what is being made, for messages.

        Raises `ContentError` with the template's file and line for anything that goes wrong inside it.
        """
        return self.guarded(page, lambda: self.environment.get_template(f"{layout}.html").render(values))

    def render_body(self, text: Text, body: str, values: Mapping[str, Any]) -> Markup:
        """The body of an .html page, itself a template; line numbers in errors are those of its file."""
        padded = "\n" * (text.first_line - 1) + body

        def render() -> str:
            code = self.environment.compile(padded, name=text.name, filename=text.name)
            template = _Template.from_code(self.environment, code, self.environment.make_globals(None))
            return template.render(values)

        return Markup(self.guarded(text.name, render).lstrip("\n"))  # noqa: S704 - the project's own page

    def guarded(self, page: str, render: Callable[[], str]) -> str:
        """Call `render`; what a template did wrong becomes a `ContentError`."""
        try:
            return render()
        except TagshipError:
            raise  # what was asked for says itself what is wrong
        except jinja2.TemplateSyntaxError as error:
            raise self.error(
                error.message or "bad syntax", error.filename or error.name or page, error.lineno, page
            ) from None
        except Exception as error:
            place = self.place_of(error.__traceback__)
            if place is None:
                raise
            raise self.error(_said(error), *place, page) from None

    def place_of(self, trace: TracebackType | None) -> tuple[str, int] | None:
        """Template name and line of the innermost frame that is a template's."""
        # Jinja2 puts a frame of its own making in place of each frame of a compiled template.
        frames = [
            (f.f_code.co_filename, n) for f, n in traceback.walk_tb(trace) if "__jinja_exception__" in f.f_globals
        ]
        return frames[-1] if frames else None

    def error(self, what: str, template: str, line: int, page: str) -> ContentError:
        """`template`, a file's path or a page's name, as people know it."""
        path = Path(template)
        name = template
        if path.is_relative_to(self.project):
            name = path.relative_to(self.project).as_posix()
        elif path.is_relative_to(THEME):
            name = f"theme/{path.name}"
        made = "" if page == name else f" (while making {page})"
        return ContentError(f"{what}{made}", path=name, line=line, cure="mend the template")


def day(date: datetime, language: str) -> str:
    """`5 November 2026` on an English site, `2026-11-05` on any other: every reader can read that."""
    if language.partition("-")[0] == "en":
        return f"{date.day} {_MONTHS[date.month - 1]} {date.year}"
    return date.date().isoformat()


def _check_encoding(folder: str, own: Mapping[str, bytes]) -> None:
    """Raise `ContentError` for a template that isn't UTF-8: Jinja2 would not say which one it was reading."""
    for name, data in own.items():
        try:
            data.decode()
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            path = f"{folder}/{name}"
            raise ContentError("not UTF-8", path=path, line=line, cure="save it as UTF-8") from None


def asset_finder(assets: Mapping[str, str], reads: Reads) -> Callable[[str], str]:
    """`asset(NAME)` of templates: the URL, from those by plain name; what is asked for is noted."""

    def asset(name: str) -> str:
        reads.note(f"asset:{name}")
        if name not in assets:
            raise MissingAsset(f"there is no asset `{name}`; known: {', '.join(sorted(assets)) or 'none'}")
        return assets[name]

    return asset


_OUR_TYPE = re.compile(r"'tagship\.[\w.]*?(\w+) object'")
"""How Jinja2 names one of our values, which who writes templates has never met."""


def _said(error: Exception) -> str:
    if isinstance(error, jinja2.TemplateNotFound):
        return f"there is no template `{error.name}`"
    if isinstance(error, RecursionError):
        return "templates include or extend each other without end"
    if isinstance(error, jinja2.TemplateError | MissingAsset):
        return _OUR_TYPE.sub(lambda found: f"'{found[1].lower()}'", str(error))
    return f"{type(error).__name__}: {error}"
