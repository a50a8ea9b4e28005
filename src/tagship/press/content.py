"""Posts and pages as values, read from the project's files."""

from __future__ import annotations

import datetime as dt
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

import msgspec

from tagship import config
from tagship.errors import ContentError
from tagship.press import frontmatter, inputs, slugs, urls
from tagship.press.frontmatter import Source
from tagship.press.reads import digest

walk = inputs.walk
POSTS = "posts"
NEVER = 1e18
PAGES = "pages"

_SLUG_CURE = "one part of a URL: letters, digits and `-`; left out, it is made from the file's name"
_PERMALINK_CURE = "a path on this site, such as /about/ or /notes/one.html"
_EVERY_KEYS = frozenset({"title", "layout", "draft", "summary", "permalink", "expires", "aliases", "extra"})
POST_KEYS = _EVERY_KEYS | {"tags", "date", "slug"}
PAGE_KEYS = _EVERY_KEYS
ITEM_KEYS = _EVERY_KEYS | {"date", "weight"}
_DATED = re.compile(r"(\d{4}-\d{2}-\d{2})-(.+)\Z", re.S)


class Text(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """One text of the site as its front matter tells it; its body is kept elsewhere."""

    name: str
    """Its path inside the project."""
    kind: str
    """`posts`, `pages`, or the folder below `collections/` that it stands in."""
    title: str
    layout: str
    url: str
    date: str = ""
    """Of a post: the moment in the site's time zone, as ISO 8601."""
    stamp: float = 0.0
    """The same in seconds since 1970."""
    tags: tuple[str, ...] = ()
    draft: bool = False
    summary: str | None = None
    expires: float = NEVER
    """Seconds since 1970 from which on it isn't published."""
    aliases: tuple[str, ...] = ()
    """Addresses that lead to it."""
    weight: float = 0.0
    """Of a collection's text: the lighter stand first."""
    extra: dict[str, Any] = {}
    """What its front matter says to templates only."""
    is_template: bool = False
    """A page whose body Jinja2 reads."""
    first_line: int = 1
    """The line of the file on which the body begins."""
    lines: dict[str, int] = {}
    """The line of the file on which each key of the front matter stands."""
    file: bytes = b""
    """The digest of the file."""
    key: bytes = b""
    """The digest of all that other pages can show of it, its body left out."""

    def error(self, what: str, key: str = "", cure: str = "") -> ContentError:
        """A `ContentError` at the line of `key`, or at the top when the key isn't there."""
        return ContentError(
            f"`{key}` {what}" if key else what, path=self.name, line=self.lines.get(key, 1), cure=cure
        )


@dataclass(frozen=True)
class Settings:
    """What of tagship.yml decides how a text is read."""

    posts: str
    pages: str
    collections: str
    permalink: str
    zone: ZoneInfo

    @classmethod
    def of(cls, site: config.Site) -> Settings:
        """Those of `site`."""
        return cls(
            site.posts, f"{site.source}/pages", f"{site.source}/collections", site.permalink, ZoneInfo(site.timezone)
        )

    def kind_of(self, name: str) -> str:
        """The kind of the page `name`: `pages`, or the name of a collection."""
        inside = name.removeprefix(f"{self.collections}/")
        return PAGES if inside == name else inside.partition("/")[0]

    @property
    def key(self) -> bytes:
        """Their digest."""
        return digest("\0".join((self.posts, self.pages, self.collections, self.permalink, str(self.zone))).encode())


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
        if not inputs.hidden(name, folder):
            (texts if os.path.splitext(name)[1].lower() in suffixes else others).append(name)  # noqa: PTH122 - as in walk
    return Found(tuple(texts), tuple(others))


def read_text(data: bytes, name: str, kind: str, settings: Settings) -> tuple[Text, str]:
    """A text of that kind from the bytes of its file, and its body.

    Raises `ContentError` with file, line and cure for anything that is wrong with it.
    """
    text, source = _read(data, name, kind, settings)
    seen = msgspec.structs.replace(text, first_line=0, lines={})
    return (
        msgspec.structs.replace(text, file=digest(data), key=digest(msgspec.msgpack.encode(seen))),
        source.body,
    )


class Written(NamedTuple):
    """A text with all its lines and fields, for those who look at what was written: its URL, and its source."""

    url: str
    source: Source


Post: TypeAlias = Written
Page: TypeAlias = Written


def read_post(project: Path, name: str, site: config.Site) -> Post:
    """One post as it was written; raises `ContentError`."""
    text, source = _read((project / name).read_bytes(), name, POSTS, Settings.of(site))
    return Post(text.url, source)


def read_page(project: Path, name: str, folder: str) -> Page:
    """One page below `folder` as it was written; raises `ContentError`."""
    settings = Settings("", folder, "", "/{slug}/", ZoneInfo("UTC"))  # a page needs no more
    text, source = _read((project / name).read_bytes(), name, PAGES, settings)
    return Page(text.url, source)


def _read(data: bytes, name: str, kind: str, settings: Settings) -> tuple[Text, Source]:
    source = frontmatter.parse(data, name)
    return (_read_post(source, settings) if kind == POSTS else _read_page(source, settings)), source


def _read_post(source: Source, settings: Settings) -> Text:
    frontmatter.check_keys(source, POST_KEYS)
    name, zone = source.name, settings.zone
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
        settings.permalink, date, slug
    )
    return Text(
        name=name,
        kind=POSTS,
        title=title,
        **_shared(source, settings),
        layout=frontmatter.text_of(source, "layout") or "post",
        url=url,
        date=date.isoformat(),
        stamp=date.timestamp(),
        tags=_tags(source),
        draft=frontmatter.flag_of(source, "draft"),
        summary=frontmatter.text_of(source, "summary"),
        first_line=source.first_line,
        lines=source.lines,
    )


def _read_page(source: Source, settings: Settings) -> Text:
    """about.md answers /about/, a folder's index.md the folder's own address; NAME/a.md of a collection /NAME/a/."""
    name = source.name
    kind = settings.kind_of(name)
    frontmatter.check_keys(source, PAGE_KEYS if kind == PAGES else ITEM_KEYS)
    folder = settings.pages if kind == PAGES else settings.collections
    date = frontmatter.date_of(source, "date", settings.zone)
    inside = PurePosixPath(name).relative_to(folder).with_suffix("")
    parts = inside.parts[:-1] if inside.name == "index" else inside.parts
    url = frontmatter.text_of(source, "permalink", urls.problem_of, cure=_PERMALINK_CURE) or "".join(
        ["/", *(f"{p}/" for p in parts)]
    )
    wrong = urls.problem_of(url)
    if wrong:
        raise ContentError(f"its address {url}: {wrong}", path=name, line=1, cure="rename it, or give a permalink")
    return Text(
        name=name,
        kind=kind,
        title=_title(source),
        date=date.isoformat() if date else "",
        weight=frontmatter.number_of(source, "weight"),
        **_shared(source, settings),
        layout=frontmatter.text_of(source, "layout") or "page",
        url=url,
        is_template=name.lower().endswith(".html"),
        draft=frontmatter.flag_of(source, "draft"),
        summary=frontmatter.text_of(source, "summary"),
        first_line=source.first_line,
        lines=source.lines,
    )


def _shared(source: Source, settings: Settings) -> dict[str, Any]:
    """What every kind of text may say."""
    expires = frontmatter.date_of(source, "expires", settings.zone)
    aliases = frontmatter.texts_of(source, "aliases")
    for alias in aliases:
        wrong = urls.problem_of(alias)
        if wrong:
            raise source.error(f"holds `{alias}`, which {wrong}", "aliases", _PERMALINK_CURE)
    return {
        "expires": expires.timestamp() if expires else NEVER,
        "aliases": aliases,
        "extra": frontmatter.mapping_of(source, "extra"),
    }


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
