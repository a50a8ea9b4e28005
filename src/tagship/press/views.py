"""The site as templates see it; whatever they ask for that may differ between two builds is noted.

Values that a page is made with (its own post, its neighbours, the posts of a list) are part of the page's key, so
reading their front matter needs no note. What comes from bodies, and what is asked for beyond them, does.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgspec
from markupsafe import Markup

from tagship import config
from tagship.errors import ContentError
from tagship.press import slugs, urls
from tagship.press.bodies import Body
from tagship.press.content import PAGES, Text
from tagship.press.data import Data, frozen
from tagship.press.reads import Reads, digest

if TYPE_CHECKING:
    from tagship.press.markup import Rendered


class Tag:
    """A tag as templates see it: `name`, `url`, and `count`, the number of its posts."""

    __slots__ = ("name", "slug", "url", "views_")

    def __init__(self, views: Views, slug: str, name: str) -> None:
        self.views_ = views
        self.slug = slug
        self.name = name
        self.url = f"/tags/{slug}/"

    @property
    def count(self) -> int:
        self.views_.reads.note(f"count:{self.slug}")
        return len(self.views_.tagged[self.slug])


class Article:
    """A post as templates see it; `content` is trusted HTML, `summary` plain text."""

    __slots__ = ("date", "draft", "extra", "key_", "layout", "source", "tags", "text_", "title", "url", "views_")

    def __init__(self, views: Views, text: Text) -> None:
        self.views_ = views
        self.text_ = text
        self.title = text.title
        self.url = text.url
        self.date = dt.datetime.fromisoformat(text.date).astimezone(views.zone)
        self.draft = text.draft
        self.source = text.name
        self.layout = text.layout
        self.extra = frozen(text.extra)
        self.tags = views.tags_of(text)
        # A tag is called as the oldest post calls it: a name may change without this text.
        self.key_ = digest(b"".join((text.key, *(f"\0{tag.name}".encode() for tag in self.tags))))

    @property
    def summary(self) -> str:
        if self.text_.summary:
            return self.text_.summary
        return self.views_.lead(self.source)

    @property
    def content(self) -> Markup:
        return self.views_.content(self.source)

    @property
    def excerpt(self) -> Markup:
        """What stands above `<!--more-->`, "" where nobody wrote that."""
        return Markup(self.rendered.excerpt)  # noqa: S704 - a part of our own HTML

    @property
    def toc(self) -> Markup:
        """The table of contents as nested lists of links, "" where there is no heading."""
        return Markup(self.rendered.toc)  # noqa: S704 - made of our own HTML

    @property
    def minutes(self) -> int:
        """How long it takes to read, in whole minutes."""
        return self.rendered.minutes

    @property
    def rendered(self) -> Rendered:
        """What else can be read from the HTML: headings, ids, links, words."""
        from tagship.press.markup.values import Rendered  # few templates ask, and all that shows is the HTML

        return Rendered(str(self.content), "")


class Asked(Sequence[Any]):
    """A list of the whole site; that it was asked for is noted when somebody looks into it."""

    __slots__ = ("items_", "key_", "reads_")

    def __init__(self, reads: Reads, key: str, items: Callable[[], Sequence[Any]]) -> None:
        self.reads_ = reads
        self.key_ = key
        self.items_ = items

    def __getitem__(self, index: Any) -> Any:
        self.reads_.note(self.key_)
        return self.items_()[index]

    def __iter__(self) -> Iterator[Any]:
        self.reads_.note(self.key_)
        return iter(self.items_())

    def __len__(self) -> int:
        self.reads_.note(self.key_)
        return len(self.items_())


class SiteView:
    """`site` in templates: the settings, each noted when it is read."""

    __slots__ = ("reads_", "site_")

    def __init__(self, site: config.Site, reads: Reads) -> None:
        self.site_ = site
        self.reads_ = reads

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.site_, name)
        self.reads_.note(f"config:{name}")
        return value


class Item:
    """A page, or a text of a collection, as templates see it in lists."""

    __slots__ = ("date", "draft", "extra", "key_", "layout", "source", "text_", "title", "url", "views_", "weight")

    def __init__(self, views: Views, text: Text) -> None:
        self.views_ = views
        self.text_ = text
        self.title = text.title
        self.url = text.url
        self.date = dt.datetime.fromisoformat(text.date).astimezone(views.zone) if text.date else None
        self.weight = text.weight
        self.extra = frozen(text.extra)
        self.draft = text.draft
        self.source = text.name
        self.layout = text.layout
        self.key_ = text.key

    @property
    def summary(self) -> str:
        return self.text_.summary or self.views_.lead(self.source)

    @property
    def content(self) -> Markup:
        return self.views_.content(self.source)


class Collections:
    """`collections` in templates: `collections.NAME` is the list of that folder's texts, the lightest first."""

    __slots__ = ("views_",)

    def __init__(self, views: Views) -> None:
        self.views_ = views

    def __getitem__(self, name: str) -> list[Item]:
        self.views_.reads.note(f"collection:{name}")
        found = self.views_.collected.get(name)
        if found is None:
            raise KeyError(name)
        return [Item(self.views_, text) for text in found]

    def __contains__(self, name: object) -> bool:
        self.views_.reads.note(f"collection:{name}")
        return name in self.views_.collected


class Model(msgspec.Struct, frozen=True, array_like=True):
    """What every process that makes pages must know: the texts that are published, posts newest first, and assets."""

    posts: list[Text]
    pages: list[Text]
    assets: dict[str, str]
    """The encoded URL of each asset, by plain name."""
    clock: dt.datetime


class Views:
    """Answers what templates ask."""

    def __init__(
        self, site: config.Site, model: Model, bodies: Mapping[str, Body], html: Callable[[Body], str], reads: Reads
    ) -> None:
        self.config = site
        self.site = SiteView(site, reads)
        self.model = model
        self.bodies = bodies
        self.html = html
        self.reads = reads
        self.zone = ZoneInfo(site.timezone)
        self.articles_: dict[str, Article] = {}
        self.tags_: dict[str, Tag] = {}
        self.data = Data({}, "", reads)
        self.rendering = ""
        """The file whose body is being rendered just now."""
        self.listed: list[tuple[str, dt.datetime | None]] = []
        """Path and date of each page of the sitemap; set by who plans."""

    def article(self, text: Text) -> Article:
        """`text`, a post, for templates."""
        found = self.articles_.get(text.name)
        if found is None:
            found = self.articles_[text.name] = Article(self, text)
        return found

    def articles(self, texts: Sequence[Text]) -> list[Article]:
        return [self.article(text) for text in texts]

    def lead(self, name: str) -> str:
        """The first paragraph of a text, as plain text."""
        self.check_made(name)
        self.reads.note(f"lead:{name}")
        body = self.bodies.get(name)
        return body.lead if body else ""

    def content(self, name: str) -> Markup:
        """The body of a text as HTML."""
        self.check_made(name)
        self.reads.note(f"html:{name}")
        body = self.bodies.get(name)
        return Markup(self.html(body) if body else "")  # noqa: S704 - rendered by us from the project's text

    def check_made(self, name: str) -> None:
        """Raise `ContentError` while bodies are rendered: one can't show what another becomes."""
        if self.rendering:
            what = f"a shortcode asks what becomes of the body of {name}"
            raise ContentError(what, path=self.rendering, cure="ask in a template of a page instead")

    @cached_property
    def by_name(self) -> dict[str, Text]:
        return {text.name: text for text in (*self.model.posts, *self.model.pages)}

    @cached_property
    def places(self) -> dict[str, int]:
        """Where each post stands among all."""
        return {text.name: index for index, text in enumerate(self.model.posts)}

    @cached_property
    def slugs(self) -> dict[str, str]:
        """Every spelling of every tag to its slug."""
        return {tag: slugs.slugify(tag) for tag in {tag for text in self.model.posts for tag in text.tags}}

    @cached_property
    def names(self) -> dict[str, str]:
        """What each tag is called, by slug: as the oldest post does. `tagged` holds the same slugs."""
        return {self.slugs[tag]: tag for text in self.model.posts for tag in text.tags}

    @cached_property
    def tagged(self) -> dict[str, list[Text]]:
        """The posts of each tag, newest first."""
        found: dict[str, list[Text]] = {}
        for text in self.model.posts:
            for slug in dict.fromkeys(self.slugs[tag] for tag in text.tags):
                found.setdefault(slug, []).append(text)
        return found

    def tag(self, slug: str) -> Tag:
        found = self.tags_.get(slug)
        if found is None:
            found = self.tags_[slug] = Tag(self, slug, self.names[slug])
        return found

    def tags_of(self, text: Text) -> tuple[Tag, ...]:
        return tuple(self.tag(slug) for slug in dict.fromkeys(self.slugs[tag] for tag in text.tags))

    @cached_property
    def all_tags(self) -> list[Tag]:
        return sorted(map(self.tag, self.tagged), key=lambda tag: (tag.name.casefold(), tag.url))

    @cached_property
    def menu(self) -> list[tuple[str, str]]:
        top = [page for page in self.model.pages if page.url.count("/") <= 2 and not page.draft]
        return [(page.title, page.url) for page in top]

    @cached_property
    def collected(self) -> dict[str, list[Text]]:
        """The texts of each collection: by weight, then date, then title, then file."""
        found: dict[str, list[Text]] = {}
        for text in sorted(self.model.pages, key=lambda text: (text.weight, text.date, text.title, text.name)):
            if text.kind != PAGES:
                found.setdefault(text.kind, []).append(text)
        return found

    @cached_property
    def addresses(self) -> dict[str, str]:
        """The encoded URL of each text, by its file."""
        return {name: urls.encoded(text.url) for name, text in self.by_name.items()}

    @cached_property
    def posts_key(self) -> bytes:
        return digest(b"".join(article.key_ for article in self.articles(self.model.posts)))

    def answer(self, key: str) -> bytes:
        """The digest of the answer to `key`; those of templates and of bodies are known elsewhere."""
        kind, _, name = key.partition(":")
        return digest(msgspec.json.encode(getattr(self, f"answer_{kind}")(name), order="deterministic"))

    def answer_config(self, name: str) -> Any:
        return getattr(self.config, name)

    def answer_asset(self, name: str) -> Any:
        return self.model.assets.get(name)

    def answer_url(self, name: str) -> Any:
        return self.addresses.get(name)

    def answer_count(self, slug: str) -> Any:
        return len(self.tagged.get(slug, ()))

    def answer_posts(self, _: str) -> Any:
        return self.posts_key

    def answer_tags(self, _: str) -> Any:
        return [(tag.name, tag.url, len(self.tagged[tag.slug])) for tag in self.all_tags]

    def answer_collection(self, name: str) -> Any:
        found = self.collected.get(name)
        return None if found is None else [text.key.hex() for text in found]

    def answer_data(self, name: str) -> Any:
        return self.data.key_(name).hex()

    def answer_menu(self, _: str) -> Any:
        return self.menu

    def answer_clock(self, _: str) -> Any:
        return self.model.clock
