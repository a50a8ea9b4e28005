"""A project's posts, pages, templates and assets to a site, whole and at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from markupsafe import Markup

from tagship import config
from tagship.errors import ContentError, UsageError
from tagship.press import assets, content, feed, pages, pool, redirects, slugs, urls
from tagship.press.content import Page, Post
from tagship.press.markup import Links, Rendered, Text
from tagship.press.pages import Article, Output, Tag
from tagship.press.templates import Templates, theme_assets
from tagship.press.tree import Claims, Tree

_NOT_PUBLISHED = frozenset({".DS_Store", ".gitkeep", ".gitignore"})


@dataclass(frozen=True)
class BuildReport:
    """What a build made: counts, the sorted URLs of all pages, what was left out, and what to look at.

    `pages` counts every HTML page, `posts` those that are posts, `assets` fingerprinted and copied files.
    `drafts` and `future` name the files that were left out; `warnings` begin with `file:line: `.
    """

    pages: int
    posts: int
    assets: int
    urls: tuple[str, ...]
    drafts: tuple[str, ...] = ()
    future: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def build(
    project: Path,
    out: Path,
    site: config.Site,
    *,
    clock: datetime,
    drafts: bool = False,
    future: bool = False,
    workers: int | None = None,
) -> BuildReport:
    """Render the site of `project` into the folder `out`, which must not exist yet.

    `clock` (aware) decides which posts lie in the future. `workers` is the number of processes, None for as many
    as pay; the bytes are the same. Raises `ContentError` for bad input, `ConfigError` for redirects that don't fit
    the site, and `UsageError` when `out` exists; then nothing is left behind.
    """
    if out.exists() or out.is_symlink():
        raise UsageError("is there already", where=str(out), cure="name a folder that does not exist")
    with Tree(out) as tree:
        report = _Build(project.resolve(), site, clock, drafts=drafts, future=future).into(tree, workers)
        tree.finish()
    return report


@dataclass(frozen=True)
class _Texts:
    """What is published, and what was left out."""

    posts: list[Post]
    pages: list[Page]
    drafts: tuple[str, ...]
    future: tuple[str, ...]
    warnings: list[str]

    @property
    def all(self) -> list[Post | Page]:
        return [*self.posts, *self.pages]


class _Build:
    """One build: read everything, check everything, then render and write."""

    def __init__(self, project: Path, site: config.Site, clock: datetime, *, drafts: bool, future: bool) -> None:
        self.project = project
        self.site = site
        self.clock = clock
        self.with_drafts = drafts
        self.with_future = future
        self.claims = Claims()
        self.claims.claim("feed.xml", "the feed")
        self.claims.claim("sitemap.xml", "the sitemap")

    def into(self, tree: Tree, workers: int | None) -> BuildReport:
        self.check_source()
        texts = self.read()
        found = assets.read_assets(self.project, f"{self.site.source}/assets", theme_assets())
        tags = pages.tags_of(texts.posts)
        templates = self.templates(texts, found)
        for text in texts.all:
            templates.check_layout(text.source, text.layout)
        links = Links(
            {text.source.name: urls.encoded(text.url) for text in texts.all},
            {name: urls.encoded(asset.url) for name, asset in found.items()},
        )
        written = [text for text in texts.all if not (isinstance(text, Page) and text.is_template)]
        rendered = pool.render_all(
            [Text(text.source.name, text.source.body, text.source.first_line) for text in written], links, workers
        )
        by_name = {text.source.name: done for text, done in zip(written, rendered, strict=True)}
        articles = [_article(post, by_name[post.source.name], tags) for post in texts.posts]
        made = self.outputs(templates, articles, texts.pages, by_name, tags)
        self.write_files(tree, found)
        redirects.check(self.site.redirects, self.claims)
        self.write_pages(tree, templates, made)
        self.write_feeds(tree, articles, made)
        return BuildReport(
            pages=len(made),
            posts=len(articles),
            assets=len(found) + self.copied,
            urls=tuple(sorted(output.url for output in made)),
            drafts=texts.drafts,
            future=texts.future,
            warnings=(*texts.warnings, *(warning for done in rendered for warning in done.warnings)),
        )

    def check_source(self) -> None:
        wrong = urls.problem_of(urls.permalink(self.site.permalink, self.clock, "slug"))
        if wrong:
            raise ContentError(
                f"site.permalink {wrong}", path=config.FILE_NAME, cure="such as /{year}/{month}/{slug}/"
            )

    def read(self) -> _Texts:
        found = content.find(self.project, self.site.posts, frozenset({".md"}))
        folder = f"{self.site.source}/pages"
        found_pages = content.find(self.project, folder, frozenset({".md", ".html"}))
        posts = [content.read_post(self.project, name, self.site) for name in found.texts]
        written = [content.read_page(self.project, name, folder) for name in found_pages.texts]
        every: list[Post | Page] = [*posts, *written]
        drafts = tuple(text.source.name for text in every if text.draft and not self.with_drafts)
        future = tuple(
            post.source.name
            for post in posts
            if post.date > self.clock and not self.with_future and post.source.name not in drafts
        )
        left_out = {*drafts, *future}
        posts = pages.newest_first([post for post in posts if post.source.name not in left_out])
        written = [page for page in written if page.source.name not in left_out]
        pages.check_unique(posts, written)
        warnings = [
            f"{name}:1: is not published: images and downloads belong into {self.site.source}/assets"
            for name in (*found.others, *found_pages.others)
        ]
        return _Texts(posts, written, drafts, future, warnings)

    def templates(self, texts: _Texts, found: dict[str, assets.Asset]) -> Templates:
        top = [page for page in texts.pages if page.url.count("/") <= 2 and not page.draft]
        shared = {"site": self.site, "menu": [(page.title, page.url) for page in top]}
        return Templates(self.project, f"{self.site.source}/templates", found, self.site.url, shared)

    def outputs(
        self,
        templates: Templates,
        articles: list[Article],
        written: list[Page],
        by_name: dict[str, Rendered],
        tags: dict[str, Tag],
    ) -> list[Output]:
        """Every page, each with its address claimed."""
        every = sorted(set(tags.values()), key=lambda tag: (tag.name.casefold(), tag.url))
        made = []
        for page in written:
            if page.is_template:
                body, lead = (
                    templates.render_body(page.source, {"page": page, "posts": articles, "url": page.url}),
                    "",
                )
            else:
                done = by_name[page.source.name]
                body, lead = Markup(done.html), done.lead  # noqa: S704 - rendered by us from the project's text
            made.append(pages.page_output(page, body, lead))
        made += pages.outputs(self.site, articles, every)
        # What the press makes itself comes first, so that a clash is reported at the file that somebody wrote.
        names = {page.source.name for page in written} | {article.source for article in articles}
        for output in sorted(made, key=lambda output: output.owner in names):
            self.claims.claim(urls.file_of(output.url), output.owner)
        return made

    def write_files(self, tree: Tree, found: dict[str, assets.Asset]) -> None:
        for asset in found.values():
            path = asset.url.removeprefix("/")
            self.claims.claim(path, asset.source)
            tree.write(path, asset.content)
        self.copied = 0
        folder = f"{self.site.source}/static"
        for name in content.walk(self.project, folder):
            inside = PurePosixPath(name).relative_to(folder)
            if inside.name in _NOT_PUBLISHED:
                continue
            wrong = next((problem for part in inside.parts if (problem := _static_problem(part))), None)
            if wrong:
                raise ContentError(f"its name {wrong}", path=name, cure="rename it")
            self.claims.claim(str(inside), name)
            tree.write(str(inside), (self.project / name).read_bytes())
            self.copied += 1

    def write_pages(self, tree: Tree, templates: Templates, made: list[Output]) -> None:
        for output in made:
            text = templates.render(output.layout, output.owner, {"url": output.url, **output.values})
            tree.write(urls.file_of(output.url), text.encode())

    def write_feeds(self, tree: Tree, articles: list[Article], made: list[Output]) -> None:
        entries = [
            feed.Entry(a.title, a.url, a.date, a.summary, str(a.content), tuple(tag.name for tag in a.tags))
            for a in articles[: self.site.feed_posts]
        ]
        listed = sorted((output.url, output.date) for output in made if output.in_sitemap)
        tree.write("feed.xml", feed.atom(self.site, entries, self.clock))
        tree.write("sitemap.xml", feed.sitemap(self.site, listed))
        if not self.claims.has("robots.txt"):
            tree.write("robots.txt", feed.robots(self.site))


def _static_problem(part: str) -> str | None:
    return None if part == ".well-known" else slugs.problem_of(part.removeprefix("."))


def _article(post: Post, done: Rendered, tags: dict[str, Tag]) -> Article:
    return Article(
        title=post.title,
        url=post.url,
        date=post.date,
        tags=tuple(dict.fromkeys(tags[tag] for tag in post.tags)),
        summary=post.summary or done.lead,
        content=Markup(done.html),  # noqa: S704 - rendered by us from the project's text
        draft=post.draft,
        source=post.source.name,
        layout=post.layout,
    )
