"""Jinja2 with the theme below the project's own templates, and errors that name file and line."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import jinja2
from markupsafe import Markup

from tagship.errors import ContentError
from tagship.press import urls
from tagship.press.assets import Asset
from tagship.press.content import walk
from tagship.press.frontmatter import Source

_THEME = Path(__file__).parent / "theme"
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


class MissingAsset(LookupError):
    """A template asked for an asset that isn't there."""


def theme_assets() -> dict[str, bytes]:
    """The theme's own assets, by name."""
    return {entry.name: entry.read_bytes() for entry in (_THEME / "assets").iterdir() if entry.is_file()}


def has_template(name: str) -> bool:
    """Whether the theme has a template of that name, such as `post.html`."""
    return (_THEME / "templates" / name).is_file()


class Templates:
    """Renders pages by the name of their layout.

    A project's template replaces the theme's of that name; it may still extend it as `theme/NAME`.
    """

    def __init__(
        self, project: Path, folder: str, assets: Mapping[str, Asset], site_url: str, shared: Mapping[str, Any]
    ) -> None:
        self.project = project
        self.folder = folder
        _check_encoding(project, folder)
        theme = jinja2.FileSystemLoader(_THEME / "templates")
        own = jinja2.FileSystemLoader(project / folder)
        self.environment = jinja2.Environment(
            loader=jinja2.ChoiceLoader([own, theme, jinja2.PrefixLoader({"theme": theme})]),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self.environment.globals.update(shared, asset=_asset_finder(assets))
        self.environment.filters.update(
            encoded=urls.encoded, absolute=lambda url: site_url + urls.encoded(url), day=day, iso=datetime.isoformat
        )
        self.layouts = frozenset(
            name.removesuffix(".html")
            for name in self.environment.list_templates(extensions=["html"])
            if "/" not in name and not name.startswith("_")
        )

    def check_layout(self, source: Source, layout: str) -> None:
        """Raise `ContentError` naming the known layouts when `layout` is none of them."""
        if layout not in self.layouts:
            known = ", ".join(sorted(self.layouts))
            raise source.error(f"names `{layout}`, and there is no such layout", "layout", f"known here: {known}")

    def render(self, layout: str, page: str, values: Mapping[str, Any]) -> str:
        """The layout filled with `values`; `page` names what is being made, for messages.

        Raises `ContentError` with the template's file and line for anything that goes wrong inside it.
        """
        return self.guarded(page, lambda: self.environment.get_template(f"{layout}.html").render(values))

    def render_body(self, source: Source, values: Mapping[str, Any]) -> Markup:
        """The body of an .html page, itself a template; line numbers in errors are those of its file."""
        padded = "\n" * (source.first_line - 1) + source.body

        def render() -> str:
            code = self.environment.compile(padded, name=source.name, filename=source.name)
            template = jinja2.Template.from_code(self.environment, code, self.environment.make_globals(None))
            return template.render(values)

        return Markup(self.guarded(source.name, render).lstrip("\n"))  # noqa: S704 - the project's own page

    def guarded(self, page: str, render: Callable[[], str]) -> str:
        """Call `render`; what a template did wrong becomes a `ContentError`."""
        try:
            return render()
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
        elif path.is_relative_to(_THEME):
            name = f"theme/{path.name}"
        made = "" if page == name else f" (while making {page})"
        return ContentError(f"{what}{made}", path=name, line=line, cure="mend the template")


def day(date: datetime, language: str) -> str:
    """`5 November 2026` on an English site, `2026-11-05` on any other: every reader can read that."""
    if language.partition("-")[0] == "en":
        return f"{date.day} {_MONTHS[date.month - 1]} {date.year}"
    return date.date().isoformat()


def _check_encoding(project: Path, folder: str) -> None:
    """Raise `ContentError` for a template that isn't UTF-8: Jinja2 would not say which one it was reading."""
    for name in walk(project, folder):
        data = (project / name).read_bytes()
        try:
            data.decode()
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise ContentError("not UTF-8", path=name, line=line, cure="save it as UTF-8") from None


def _asset_finder(assets: Mapping[str, Asset]) -> Callable[[str], str]:
    def asset(name: str) -> str:
        if name not in assets:
            raise MissingAsset(f"there is no asset `{name}`; known: {', '.join(sorted(assets)) or 'none'}")
        return urls.encoded(assets[name].url)

    return asset


def _said(error: Exception) -> str:
    if isinstance(error, jinja2.TemplateNotFound):
        return f"there is no template `{error.name}`"
    if isinstance(error, RecursionError):
        return "templates include or extend each other without end"
    if isinstance(error, jinja2.TemplateError | MissingAsset):
        return str(error)
    return f"{type(error).__name__}: {error}"
