"""Posts and pages as values, read from the project's files."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from zoneinfo import ZoneInfo

from tagship import config
from tagship.errors import ContentError
from tagship.press import frontmatter, slugs, urls
from tagship.press.frontmatter import Source

_SLUG_CURE = "one part of a URL: letters, digits and `-`; left out, it is made from the file's name"
_PERMALINK_CURE = "a path on this site, such as /about/ or /notes/one.html"
_POST_KEYS = frozenset({"title", "layout", "tags", "date", "slug", "draft", "summary", "permalink"})
_PAGE_KEYS = frozenset({"title", "layout", "draft", "summary", "permalink"})
_DATED = re.compile(r"(\d{4}-\d{2}-\d{2})-(.+)\Z", re.S)


@dataclass(frozen=True)
class Post:
    """A dated text; `date` is in the site's time zone."""

    source: Source
    title: str
    layout: str
    date: dt.datetime
    slug: str
    url: str
    tags: tuple[str, ...] = ()
    draft: bool = False
    summary: str | None = None


@dataclass(frozen=True)
class Page:
    """An undated text with an address of its own; `is_template` for .html, whose body Jinja2 reads."""

    source: Source
    title: str
    layout: str
    url: str
    is_template: bool
    draft: bool = False
    summary: str | None = None


@dataclass(frozen=True)
class Found:
    """What a folder of posts or pages holds: its texts by name, and the other files, which are not published."""

    texts: tuple[str, ...]
    others: tuple[str, ...]


def find(project: Path, folder: str, suffixes: frozenset[str]) -> Found:
    """List the files below `folder` by the end of their names, sorted; hidden ones are not looked at."""
    texts: list[str] = []
    others: list[str] = []
    for name in walk(project, folder):
        if any(part.startswith(".") for part in PurePosixPath(name).relative_to(folder).parts) or name.endswith("~"):
            continue
        (texts if PurePosixPath(name).suffix.lower() in suffixes else others).append(name)
    return Found(tuple(texts), tuple(others))


def walk(project: Path, folder: str) -> Iterator[str]:
    """The files below `project / folder`, as sorted paths inside the project; nothing if it isn't there.

    Raises `ContentError` for a link that leads out of the project: it would publish what is not in the tag.
    """
    root = project.resolve()
    base = project / folder
    if not base.is_dir():
        return
    for path in sorted(base.rglob("*"), key=lambda path: path.as_posix()):
        name = path.relative_to(project).as_posix()
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            raise ContentError("is a link that leads out of the project", path=name, cure="copy the file")
        if path.is_file():
            yield name


def read_post(project: Path, name: str, site: config.Site) -> Post:
    """Read one post; raises `ContentError` with file, line and cure for anything that is wrong with it."""
    source = frontmatter.read(project / name, name)
    frontmatter.check_keys(source, _POST_KEYS)
    zone = ZoneInfo(site.timezone)
    stem = PurePosixPath(name).stem
    dated = _DATED.match(stem)
    title = _title(source)
    date = frontmatter.date_of(source, "date", zone) or _date_in_name(source, dated, zone)
    slug = frontmatter.text_of(source, "slug", _slug_problem, cure=_SLUG_CURE)
    if slug is None:
        slug = dated[2] if dated else stem
        wrong = slugs.problem_of(slug)
        if wrong:
            raise ContentError(
                f"the slug in the file's name {wrong}",
                path=name,
                line=1,
                cure=f"rename the file, or give a slug: {slugs.slugify(slug)}",
            )
    url = frontmatter.text_of(source, "permalink", urls.problem_of, cure=_PERMALINK_CURE) or urls.permalink(
        site.permalink, date, slug
    )
    return Post(
        source=source,
        title=title,
        layout=frontmatter.text_of(source, "layout") or "post",
        date=date,
        slug=slug,
        url=url,
        tags=_tags(source),
        draft=frontmatter.flag_of(source, "draft"),
        summary=frontmatter.text_of(source, "summary"),
    )


def read_page(project: Path, name: str, folder: str) -> Page:
    """Read one page below `folder`: about.md answers /about/, a folder's index.md the folder's own address."""
    source = frontmatter.read(project / name, name)
    frontmatter.check_keys(source, _PAGE_KEYS)
    inside = PurePosixPath(name).relative_to(folder).with_suffix("")
    parts = inside.parts[:-1] if inside.name == "index" else inside.parts
    url = frontmatter.text_of(source, "permalink", urls.problem_of, cure=_PERMALINK_CURE) or "".join(
        ["/", *(f"{p}/" for p in parts)]
    )
    wrong = urls.problem_of(url)
    if wrong:
        raise ContentError(f"its address {url}: {wrong}", path=name, line=1, cure="rename it, or give a permalink")
    return Page(
        source=source,
        title=_title(source),
        layout=frontmatter.text_of(source, "layout") or "page",
        url=url,
        is_template=name.lower().endswith(".html"),
        draft=frontmatter.flag_of(source, "draft"),
        summary=frontmatter.text_of(source, "summary"),
    )


def _title(source: Source) -> str:
    title = frontmatter.text_of(source, "title")
    if not title:
        raise source.error("has no title", cure="add to its front matter: title: ...")
    return " ".join(title.split())


def _tags(source: Source) -> tuple[str, ...]:
    tags = frontmatter.texts_of(source, "tags")
    for tag in tags:
        if not slugs.slugify(tag):
            raise source.error(f"holds `{tag}`, which has no letter or digit", "tags", "call it something")
    return tags


def _slug_problem(slug: str) -> str | None:
    return slugs.problem_of(slug.strip())


def _date_in_name(source: Source, dated: re.Match[str] | None, zone: ZoneInfo) -> dt.datetime:
    if dated is None:
        raise source.error(
            "has no date", cure="name the file YYYY-MM-DD-slug.md, or add to its front matter: date: ..."
        )
    try:
        day = dt.date.fromisoformat(dated[1])
    except ValueError:
        raise ContentError(f"its name holds no date: {dated[1]}", path=source.name, cure="rename the file") from None
    return dt.datetime(day.year, day.month, day.day, tzinfo=zone)
