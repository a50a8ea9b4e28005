"""Which page shows what: values for the templates, and the list of pages a site consists of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from tagship import config
from tagship.errors import ContentError
from tagship.press import slugs
from tagship.press.content import Page, Post


@dataclass(frozen=True)
class Tag:
    """A tag as templates see it."""

    name: str
    url: str
    count: int


@dataclass(frozen=True)
class Article:
    """A rendered post as templates see it; `content` is trusted HTML, `summary` plain text."""

    title: str
    url: str
    date: dt.datetime
    tags: tuple[Tag, ...]
    summary: str
    content: Markup
    draft: bool
    source: str
    layout: str


@dataclass(frozen=True)
class Output:
    """One page to be made: the template, what it is filled with, its path and what it comes from."""

    layout: str
    url: str
    owner: str
    values: Mapping[str, Any]
    date: dt.datetime | None = None
    in_sitemap: bool = True


def tags_of(posts: Sequence[Post]) -> dict[str, Tag]:
    """Every spelling of every tag to one `Tag` each: `Python` and `python` are one, called as the oldest post does.

    Raises `ContentError` when two different tags would have one address.
    """
    names: dict[str, str] = {}
    by_slug: dict[str, tuple[str, Post]] = {}
    counts: dict[str, int] = {}
    for post in sorted(posts, key=lambda post: (post.date, post.url)):
        for tag in {tag.casefold(): tag for tag in post.tags}.values():
            slug = slugs.slugify(tag)
            name, first = by_slug.setdefault(slug, (tag, post))
            if name.casefold() != tag.casefold():
                raise post.source.error(
                    f"the tag `{tag}` has the address of `{name}` in {first.source.name}: /tags/{slug}/",
                    "tags",
                    "write both alike, or rename one",
                )
            counts[slug] = counts.get(slug, 0) + 1
        names.update({tag: slugs.slugify(tag) for tag in post.tags})
    made = {slug: Tag(name, f"/tags/{slug}/", counts[slug]) for slug, (name, _) in by_slug.items()}
    return {spelling: made[slug] for spelling, slug in names.items()}


def outputs(site: config.Site, articles: Sequence[Article], tags: Sequence[Tag]) -> Iterator[Output]:
    """Every page made from posts; `articles` are newest first, `tags` sorted by name."""
    for index, article in enumerate(articles):
        newer = articles[index - 1] if index else None
        older = articles[index + 1] if index + 1 < len(articles) else None
        yield Output(
            article.layout,
            article.url,
            article.source,
            {
                "title": article.title,
                "summary": article.summary,
                "content": article.content,
                "post": article,
                "newer": newer,
                "older": older,
            },
            date=article.date,
        )
    yield from _index(site, articles)
    yield _listing("archive", "Archive", "/archive/", years=_by_year(articles))
    yield _listing("tags", "Tags", "/tags/", tags=tags)
    for tag in tags:
        tagged = [article for article in articles if tag in article.tags]
        yield _listing("tag", tag.name, tag.url, tag=tag, years=_by_year(tagged))
    yield Output(
        "404", "/404.html", "the page for a wrong address", {"title": "Not found", "summary": ""}, in_sitemap=False
    )


def page_output(page: Page, content: Markup, lead: str) -> Output:
    """A page that somebody wrote."""
    summary = page.summary or lead
    return Output(
        page.layout, page.url, page.source.name, {"title": page.title, "summary": summary, "content": content}
    )


def _index(site: config.Site, articles: Sequence[Article]) -> Iterator[Output]:
    chunks = [articles[at : at + site.paginate] for at in range(0, len(articles), site.paginate)] or [[]]
    addresses = ["/", *(f"/page/{number}/" for number in range(2, len(chunks) + 1))]
    for index, chunk in enumerate(chunks):
        yield Output(
            "index",
            addresses[index],
            "the list of posts",
            {
                "title": "" if index == 0 else f"Page {index + 1}",
                "summary": site.description,
                "posts": chunk,
                "number": index + 1,
                "count": len(chunks),
                "newer": addresses[index - 1] if index else None,
                "older": addresses[index + 1] if index + 1 < len(chunks) else None,
            },
        )


def _listing(layout: str, title: str, url: str, **values: Any) -> Output:
    return Output(layout, url, f"the page {url}", {"title": title, "summary": "", **values})


def _by_year(articles: Sequence[Article]) -> list[tuple[int, list[Article]]]:
    years: dict[int, list[Article]] = {}
    for article in articles:
        years.setdefault(article.date.year, []).append(article)
    return list(years.items())


def newest_first(posts: Sequence[Post]) -> list[Post]:
    """Posts by date, then address: never by the order of files on a disk."""
    return sorted(posts, key=lambda post: (post.date, post.url), reverse=True)


def check_unique(posts: Sequence[Post], pages: Sequence[Page]) -> None:
    """Raise `ContentError` naming both files when two texts have one address."""
    seen: dict[str, str] = {}
    texts: list[Post | Page] = [*posts, *pages]
    for text in sorted(texts, key=lambda text: text.source.name):
        name = text.source.name
        first = seen.setdefault(text.url.casefold(), name)
        if first != name:
            key = "permalink" if "permalink" in text.source.lines else "slug"
            raise ContentError(
                f"has the address {text.url}, and so has {first}",
                path=name,
                line=text.source.lines.get(key, 1),
                cure="give one of them another slug or permalink",
            )
