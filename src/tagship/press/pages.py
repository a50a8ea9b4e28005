"""Which files a site consists of, and how each is made: a kind of file plans and makes its own.

`plan` is cheap and total: every file of that kind with its path and its key, the digest of all that it is handed.
`make` gives the bytes; what it asks for beyond that is noted by the views.
"""

from __future__ import annotations

import datetime as dt
import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from tagship import config
from tagship.errors import ContentError
from tagship.press import urls
from tagship.press.content import Text
from tagship.press.planned import Planned
from tagship.press.reads import digest
from tagship.press.views import Article, Asked, Views

if TYPE_CHECKING:
    from tagship.press.templates import Templates


@dataclass(frozen=True)
class Tools:
    """What files are made with."""

    views: Views
    templates: Templates
    source: Callable[[Text], str]
    """The body of a text as it was written."""

    def page(self, planned: Planned, layout: str, values: Mapping[str, Any]) -> bytes:
        text = self.templates.render(layout, planned.owner, {"url": planned.url, **values})
        return text.encode()


class Kind(Protocol):
    """One kind of file."""

    def plan(self, views: Views) -> Iterator[Planned]:
        """Every file of this kind."""
        ...

    def make(self, tools: Tools, planned: Planned) -> bytes:
        """The bytes of one of them; raises `ContentError`."""
        ...


class Posts:
    """A page for each post, with its neighbours in time."""

    def plan(self, views: Views) -> Iterator[Planned]:
        articles = views.articles(views.model.posts)
        keys = [b"", *(article.key_ for article in articles), b""]
        for index, article in enumerate(articles):
            key = digest(b"".join((keys[index], b"<", keys[index + 1], b">", keys[index + 2])))
            date = article.text_.date
            yield _page("posts", article.source, article.url, article.source, key, date=date)

    def make(self, tools: Tools, planned: Planned) -> bytes:
        views = tools.views
        posts = views.model.posts
        index = views.places[planned.arg]
        article = views.article(posts[index])
        values = {
            "title": article.title,
            "summary": article.summary,
            "content": article.content,
            "post": article,
            "newer": views.article(posts[index - 1]) if index else None,
            "older": views.article(posts[index + 1]) if index + 1 < len(posts) else None,
        }
        return tools.page(planned, article.layout, values)


class Pages:
    """The pages that somebody wrote: Markdown, or a template of their own."""

    def plan(self, views: Views) -> Iterator[Planned]:
        for text in views.model.pages:
            # Only the body of a template is read here; that of Markdown is rendered, and noted.
            key = digest(text.key + (text.file if text.is_template else b""))
            yield _page("pages", text.name, text.url, text.name, key)

    def make(self, tools: Tools, planned: Planned) -> bytes:
        views = tools.views
        text = views.by_name[planned.arg]
        if text.is_template:
            posts = Asked(views.reads, "posts", lambda: views.articles(views.model.posts))
            values = {"page": text, "posts": posts, "url": text.url}
            body, lead = tools.templates.render_body(text, tools.source(text), values), ""
        else:
            body, lead = views.content(text.name), views.lead(text.name)
        summary = text.summary or lead
        return tools.page(planned, text.layout, {"title": text.title, "summary": summary, "content": body})


class Aliases:
    """A small page at each old address of a text, which leads to the new one."""

    def plan(self, views: Views) -> Iterator[Planned]:
        for text in (*views.model.posts, *views.model.pages):
            for alias in text.aliases:
                key = digest(f"{text.url} {views.config.url} {views.config.language}".encode())
                yield Planned(urls.file_of(alias), "aliases", text.name, key, owner=text.name)

    def make(self, tools: Tools, planned: Planned) -> bytes:
        url = urls.encoded(tools.views.by_name[planned.arg].url)
        whole = html.escape(tools.views.config.url + url)
        return (
            f'<!doctype html><html lang="{html.escape(tools.views.config.language)}"><meta charset="utf-8">'
            f'<title>Moved</title><meta name="robots" content="noindex"><link rel="canonical" href="{whole}">'
            f'<meta http-equiv="refresh" content="0; url={html.escape(url)}">'
            f'<p>This page has moved: <a href="{html.escape(url)}">{whole}</a></p></html>\n'
        ).encode()


class Index:
    """The list of posts, some on each page."""

    def plan(self, views: Views) -> Iterator[Planned]:
        posts, size = views.model.posts, views.config.paginate
        count = _pages_of(len(posts), size)
        for number in range(count):
            chunk = views.articles(posts[number * size : (number + 1) * size])
            key = _key_of(chunk, f"{number} {count}")
            yield _page("index", str(number), _turned(number), "the list of posts", key)

    def make(self, tools: Tools, planned: Planned) -> bytes:
        views = tools.views
        posts, size = views.model.posts, views.config.paginate
        count, number = _pages_of(len(posts), size), int(planned.arg)
        values = {
            "title": f"Page {number + 1}" if number else "",
            "summary": views.site.description,
            "posts": views.articles(posts[number * size : (number + 1) * size]),
            "number": number + 1,
            "count": count,
            "newer": _turned(number - 1) if number else None,
            "older": _turned(number + 1) if number + 1 < count else None,
        }
        return tools.page(planned, "index", values)


class Archive:
    """All posts, by year."""

    def plan(self, views: Views) -> Iterator[Planned]:
        yield _listing("archive", "", "/archive/", views.posts_key)

    def make(self, tools: Tools, planned: Planned) -> bytes:
        years = by_year(tools.views.articles(tools.views.model.posts))
        return tools.page(planned, "archive", {"title": "Archive", "summary": "", "years": years})


class Tags:
    """All tags, and a page for each with its posts by year."""

    def plan(self, views: Views) -> Iterator[Planned]:
        yield _listing("tags", "", "/tags/", views.answer("tags"))
        for tag in views.all_tags:
            key = _key_of(views.articles(views.tagged[tag.slug]), tag.name)
            yield _listing("tags", tag.slug, tag.url, key)

    def make(self, tools: Tools, planned: Planned) -> bytes:
        views = tools.views
        if not planned.arg:
            return tools.page(planned, "tags", {"title": "Tags", "summary": "", "tags": views.all_tags})
        tag = views.tag(planned.arg)
        years = by_year(views.articles(views.tagged[planned.arg]))
        return tools.page(planned, "tag", {"title": tag.name, "summary": "", "tag": tag, "years": years})


class NotFound:
    """The page for a wrong address."""

    def plan(self, views: Views) -> Iterator[Planned]:  # noqa: ARG002 - it shows nothing of the site
        yield _page("404", "", "/404.html", "the page for a wrong address", b"", listed=False)

    def make(self, tools: Tools, planned: Planned) -> bytes:
        return tools.page(planned, "404", {"title": "Not found", "summary": ""})


class Feed:
    """The feeds of the newest posts: of the site, and of each tag where the settings want that."""

    def plan(self, views: Views) -> Iterator[Planned]:
        settings = msgspec.json.encode(views.config).decode()
        for slug in ("", *(views.tagged if views.config.tag_feeds else ())):
            posts = views.tagged[slug] if slug else views.model.posts
            name = views.names[slug] if slug else ""
            key = _key_of(views.articles(posts[: views.config.feed_posts]), settings + name)
            for form in ("atom", *dict.fromkeys(views.config.feeds)):
                path = f"{f'tags/{slug}/' if slug else ''}{_FEEDS[form]}"
                owner = "the feed" if form == "atom" and not slug else f"the feed /{path}"
                yield Planned(path, "feed", f"{form}:{slug}", key, owner=owner)

    def make(self, tools: Tools, planned: Planned) -> bytes:
        from tagship.press import feed  # XML and mail dates cost 10 ms, which a build that changes nothing would feel

        views = tools.views
        form, _, slug = planned.arg.partition(":")
        posts = views.tagged[slug] if slug else views.model.posts
        newest = views.articles(posts[: views.config.feed_posts])
        if not newest:
            views.reads.note("clock")
        entries = [
            feed.Entry(a.title, a.url, a.date, a.summary, str(a.content), tuple(tag.name for tag in a.tags))
            for a in newest
        ]
        title = f"{views.config.title}: {views.names[slug]}" if slug else views.config.title
        channel = feed.Channel(title, f"/tags/{slug}/" if slug else "/", f"/{planned.path}")
        if form == "json":
            return feed.json_feed(views.config, entries, channel)
        written = feed.rss if form == "rss" else feed.atom
        return written(views.config, entries, views.model.clock, channel)


_FEEDS = {"atom": "feed.xml", "rss": "rss.xml", "json": "feed.json"}


class Sitemap:
    """The list of all pages, and robots.txt, which says where it is. Its plan wants `views.listed`."""

    def plan(self, views: Views) -> Iterator[Planned]:
        key = digest(msgspec.json.encode((views.config.url, views.listed)))
        yield Planned("sitemap.xml", "sitemap", "sitemap", key, owner="the sitemap")

    def make(self, tools: Tools, planned: Planned) -> bytes:
        from tagship.press import feed  # as above

        if planned.arg == "robots":
            return feed.robots(tools.views.config)
        return feed.sitemap(tools.views.config, tools.views.listed)


KINDS: Mapping[str, Kind] = {
    "posts": Posts(),
    "pages": Pages(),
    "aliases": Aliases(),
    "index": Index(),
    "archive": Archive(),
    "tags": Tags(),
    "404": NotFound(),
    "feed": Feed(),
    "sitemap": Sitemap(),
}
"""Every kind of file that is made; assets and static files are copied."""


def robots(site: config.Site) -> Planned:
    """robots.txt, where the project has none of its own."""
    return Planned("robots.txt", "sitemap", "robots", digest(site.url.encode()), owner="robots.txt")


def listed(planned: Sequence[Planned]) -> list[tuple[str, dt.datetime | None]]:
    """What the sitemap holds of `planned`, sorted."""
    found = [(one.url, dt.datetime.fromisoformat(one.date) if one.date else None) for one in planned if one.listed]
    return sorted(found, key=lambda pair: pair[0])


def by_year(articles: Sequence[Article]) -> list[tuple[int, list[Article]]]:
    """Posts by the year of their date, in the order they come in."""
    years: dict[int, list[Article]] = {}
    for article in articles:
        years.setdefault(article.date.year, []).append(article)
    return list(years.items())


def newest_first(posts: Sequence[Text]) -> list[Text]:
    """Posts by date, then address: never by the order of files on a disk."""
    return sorted(posts, key=lambda post: (post.stamp, post.url), reverse=True)


def check_unique(texts: Sequence[Text]) -> None:
    """Raise `ContentError` naming both files when two texts have one address."""
    seen: dict[str, str] = {}
    for text in sorted(texts, key=lambda text: text.name):
        first = seen.setdefault(text.url.casefold(), text.name)
        if first != text.name:
            key = "permalink" if "permalink" in text.lines else "slug"
            raise ContentError(
                f"has the address {text.url}, and so has {first}",
                path=text.name,
                line=text.lines.get(key, 1),
                cure="give one of them another slug or permalink",
            )


def check_tags(views: Views) -> None:
    """Raise `ContentError` when two different tags would have one address."""
    first: dict[str, tuple[str, str]] = {}
    for text in reversed(views.model.posts):
        for tag in text.tags:
            slug = views.slugs[tag]
            name, where = first.setdefault(slug, (tag, text.name))
            if name.casefold() != tag.casefold():
                raise text.error(
                    f"the tag `{tag}` has the address of `{name}` in {where}: /tags/{slug}/",
                    "tags",
                    "write both alike, or rename one",
                )


def _page(kind: str, arg: str, url: str, owner: str, key: bytes, *, date: str = "", listed: bool = True) -> Planned:
    return Planned(urls.file_of(url), kind, arg, key, url, owner, date, listed)


def _listing(kind: str, arg: str, url: str, key: bytes) -> Planned:
    return _page(kind, arg, url, f"the page {url}", key)


def _pages_of(posts: int, size: int) -> int:
    return max(1, -(-posts // size))


def _turned(number: int) -> str:
    return f"/page/{number + 1}/" if number else "/"


def _key_of(articles: Sequence[Article], also: str) -> bytes:
    return digest(b"".join((*(article.key_ for article in articles), also.encode())))
