"""A project's posts, pages, templates and assets to a site, whole and at once; what is known to be the same stays.

Every file of the site is a function of what it is handed and of what is asked while it is made. A build reads and
hashes all sources, plans every file, and makes those whose plan or whose answers differ from the last build's.
docs/adr/0015 says why that is never stale.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Protocol

import msgspec

from tagship import config
from tagship.errors import ContentError, UsageError
from tagship.press import assets, inputs, layouts, pages, pool, redirects, slugs, sources, urls
from tagship.press.bodies import Body
from tagship.press.content import POSTS, Settings, Text
from tagship.press.planned import Planned
from tagship.press.reads import OF_BODIES, digest
from tagship.press.share import Order
from tagship.press.state import Head, Output, State
from tagship.press.timing import Timing
from tagship.press.tree import Claims, Tree
from tagship.press.trees import put
from tagship.press.views import Model


@dataclass(frozen=True)
class BuildReport:
    """What a build made: counts, the sorted URLs of all pages, what was left out, and what to look at.

    `pages` counts every HTML page, `posts` those that are posts, `assets` fingerprinted and copied files.
    `drafts`, `future` and `expired` name the files that were left out; `warnings` begin with `file:line: `.
    """

    pages: int
    posts: int
    assets: int
    urls: tuple[str, ...]
    drafts: tuple[str, ...] = ()
    future: tuple[str, ...] = ()
    expired: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ask:
    """What is to be built. `clock` (aware) decides which posts lie in the future; `workers` is the number of
    processes, None for as many as pay: the bytes are the same."""

    project: Path
    site: config.Site
    clock: datetime
    drafts: bool = False
    future: bool = False
    workers: int | None = None

    @cached_property
    def settings(self) -> bytes:
        """The digest of all but the clock."""
        return digest(msgspec.json.encode((self.site, self.drafts, self.future), order="deterministic"))


@dataclass(frozen=True)
class Left:
    """The names of what is not published, and why."""

    drafts: list[str]
    future: list[str]
    expired: list[str]


class Target(Protocol):
    """Where files are put."""

    root: Path

    def holds(self, name: str, wanted: bytes, /) -> bool:
        """Whether the file is there with that digest."""
        ...

    def begin(self) -> None:
        """It is about to change."""
        ...


@dataclass
class Done:
    """A build that succeeded: what it leaves to the next, and why each file was made that was."""

    head: Head
    state: State
    report: BuildReport
    model: Model | None
    """What was published; None where nothing changed."""
    templates: Mapping[str, bytes] = field(default_factory=dict)
    """The project's own, by path below their folder."""
    data: Mapping[str, bytes] = field(default_factory=dict)
    written: set[str] = field(default_factory=set)
    reasons: dict[str, str] = field(default_factory=dict)
    site_url: str = ""


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
    """Render the site of `project` into the folder `out`, which must not exist yet; nothing is taken from before.

    Raises `ContentError` for bad input, `ConfigError` for redirects that don't fit the site, and `UsageError` when
    `out` exists; then nothing is left behind.
    """
    if out.exists() or out.is_symlink():
        raise UsageError("is there already", where=str(out), cure="name a folder that does not exist")
    ask = Ask(project.resolve(), site, clock, drafts, future, workers)
    with tempfile.TemporaryDirectory(prefix="tagship-press-") as segments, Tree(out) as tree:
        done = Build(ask, tree, Path(segments)).run(sources.find(ask.project, site))
        tree.finish()
    return done.report


class Build:
    """One build. `segments` is the folder of rendered bodies, `own` the name of those that this build adds.

    `past` is what the last build left, if it was of the same code and settings of texts; `live` another tree that
    files may be copied from.
    """

    def __init__(
        self,
        ask: Ask,
        target: Target,
        segments: Path,
        *,
        own: str = "bodies-0",
        past: tuple[Head, State] | None = None,
        live: Target | None = None,
        timing: Timing | None = None,
    ) -> None:
        self.ask = ask
        self.site = ask.site
        self.target = target
        self.segments = segments
        self.own = own
        self.live = live
        self.timing = timing or Timing()
        self.head = past[0] if past else None
        self.state = past[1] if past else None
        self.reasons: dict[str, str] = {}

    def run(self, found: sources.Sources) -> Done:
        """Build the site from `found`."""
        self.check_source()
        self.found = found
        order = Order(self.ask.project, self.site, self.segments, found.templates, found.data)
        count = self.ask.workers or pool.processes_for(len(found.changed) if self.state else len(found.texts))
        with pool.Pool(order, self.own, count) as self.pool:
            with self.timing.phase("texts"):
                self.texts = self.read_texts()
                model, left = self.published()
                self.pool.know(model)
            self.views = self.pool.share.views
            with self.timing.phase("plan"):
                planned = self.plan(model)
            with self.timing.phase("bodies"):
                bodies, fresh = self.render(model)
            with self.timing.phase("pages"):
                outputs, manifest, written = self.make(planned, fresh)
        return self.done(model, left, bodies, outputs, manifest, written)

    def check_source(self) -> None:
        wrong = urls.problem_of(urls.permalink(self.site.permalink, self.ask.clock, "slug"))
        if wrong:
            raise ContentError(
                f"site.permalink {wrong}", path=config.FILE_NAME, cure="such as /{year}/{month}/{slug}/"
            )

    def read_texts(self) -> dict[str, Text]:
        """Every text, in the order of `Sources.texts`; those that didn't change are known."""
        found, share = self.found, self.pool.share
        if self.state is None:
            return {text.name: text for text in self.pool.parse(list(found.texts.items()))}
        known = self.state.texts
        return {
            name: share.parse_data(found.changed[name], name, kind) if name in found.changed else known[name]
            for name, kind in found.texts.items()
        }

    def published(self) -> tuple[Model, Left]:
        """What is published, and what is left out."""
        ask, every = self.ask, self.texts.values()
        now = ask.clock.timestamp()
        drafts = [text.name for text in every if text.draft and not ask.drafts]
        left_out = {*drafts}
        future = [text.name for text in every if text.stamp > now and not ask.future and text.name not in left_out]
        left_out.update(future)
        expired = [text.name for text in every if text.expires <= now and text.name not in left_out]
        left_out.update(expired)
        posts = [text for text in every if text.kind == POSTS and text.name not in left_out]
        written = [text for text in every if text.kind != POSTS and text.name not in left_out]
        pages.check_unique([*posts, *written])
        layout_names = layouts.known(self.found.templates)
        model = Model(pages.newest_first(posts), written, self.asset_urls(), ask.clock)
        for text in (*model.posts, *model.pages):
            layouts.check(text, layout_names)
        return model, Left(drafts, future, expired)

    @cached_property
    def assets(self) -> dict[str, assets.Asset]:
        """The fingerprinted assets with their bytes."""
        return assets.read_assets(self.ask.project, f"{self.site.source}/assets", self.found.assets)

    def asset_urls(self) -> dict[str, str]:
        if self.state and self.head and not self.assets_changed(self.head.files):
            return self.state.assets
        return {name: urls.encoded(asset.url) for name, asset in self.assets.items()}

    def assets_changed(self, known: Mapping[str, bytes]) -> bool:
        folder = f"{self.site.source}/assets/"
        before = {name: key for name, key in known.items() if name.startswith(folder)}
        return before != {name: self.found.files[name] for name in self.found.assets}

    def plan(self, model: Model) -> dict[str, Planned]:
        """Every file of the site, by path: planned anew, or as it was when all that plans look at is the same."""
        key = self.plan_key(model)
        if self.state and self.state.plan == key:
            planned = {path: output.planned for path, output in self.state.outputs.items()}
            self.plan_is = key
            self.views.listed = pages.listed(list(planned.values()))
            return planned
        self.plan_is = key
        pages.check_tags(self.views)
        made = [one for name, kind in pages.KINDS.items() if name != "sitemap" for one in kind.plan(self.views)]
        self.views.listed = pages.listed(made)
        made += pages.KINDS["sitemap"].plan(self.views)
        claims = Claims()
        claims.claim("feed.xml", "the feed")
        claims.claim("sitemap.xml", "the sitemap")
        # What the press makes itself comes first, so that a clash is reported at the file that somebody wrote.
        for one in sorted(made, key=lambda one: one.owner in self.texts):
            if one.kind not in {"feed", "sitemap"}:
                claims.claim(one.path, one.owner)
        for one in [*self.planned_assets(), *self.planned_static()]:
            claims.claim(one.path, one.owner)
            made.append(one)
        if not claims.has("robots.txt"):
            made.append(pages.robots(self.site))
        redirects.check(self.site.redirects, claims)
        return {one.path: one for one in made}

    def plan_key(self, model: Model) -> bytes:
        """The digest of all that plans look at: no body of a post or page in Markdown is part of it."""
        parts = [self.ask.settings]
        parts += [text.key for text in model.posts]
        parts += [b"|", *(text.key + (text.file if text.is_template else b"") for text in model.pages)]
        parts += [b"|", *(f"{name}={url}".encode() for name, url in model.assets.items())]
        parts += [b"|", *(name.encode() + self.found.files[name] for name in self.found.static)]
        return digest(b"\0".join(parts))

    def planned_assets(self) -> list[Planned]:
        return [
            Planned(asset.url.removeprefix("/"), "asset", name, b"", owner=asset.source)
            for name, asset in self.assets.items()
        ]

    def planned_static(self) -> list[Planned]:
        folder = f"{self.site.source}/static"
        made = []
        for name in self.found.static:
            inside = PurePosixPath(name).relative_to(folder)
            wrong = next((problem for part in inside.parts if (problem := _static_problem(part))), None)
            if wrong:
                raise ContentError(f"its name {wrong}", path=name, cure="rename it")
            made.append(Planned(str(inside), "static", name, self.found.files[name], owner=name))
        return made

    def render(self, model: Model) -> tuple[dict[str, Body], set[str]]:
        """The bodies of all published texts, and the questions about bodies that have other answers now."""
        known = self.state.bodies if self.state else {}
        written = [text for text in (*model.posts, *model.pages) if not text.is_template]
        asked = {key for body in known.values() for key in body.reads}
        self.changed = self.changed_answers(asked.union(*(self.state.reads if self.state else ())))
        stale = [
            text
            for text in written
            if (body := known.get(text.name)) is None
            or body.file != text.file
            or not self.changed.isdisjoint(body.reads)
        ]
        rendered, seconds = self.pool.render(stale)
        self.timing.texts.update(seconds)
        bodies = {text.name: rendered.get(text.name) or known[text.name] for text in written}
        self.pool.learn(bodies)
        fresh = set()
        for name in rendered.keys() | (known.keys() ^ bodies.keys()):
            old, new = known.get(name), bodies.get(name)
            if old is None or new is None or old.html != new.html:
                fresh.add(f"html:{name}")
            if old is None or new is None or old.lead != new.lead:
                fresh.add(f"lead:{name}")
        return bodies, fresh

    def changed_answers(self, keys: Collection[str]) -> set[str]:
        """Those of `keys` that have another answer than at the last build."""
        if self.state is None:
            return set()
        return {key for key in keys if self.state.answers.get(key) != self.answer(key)}

    def answer(self, key: str) -> bytes:
        if key.startswith("template:"):
            name = key.removeprefix("template:")
            return layouts.answer(self.template_keys, name)
        return self.views.answer(key)

    @cached_property
    def template_keys(self) -> dict[str, bytes]:
        return {name: digest(data) for name, data in self.found.templates.items()}

    def make(
        self, planned: dict[str, Planned], fresh: set[str]
    ) -> tuple[dict[str, Output], dict[str, bytes], set[str]]:
        """Bring the target to `planned`: the outputs, their digests, and the files that were written."""
        known = self.state.outputs if self.state else {}
        before = self.head.manifest if self.head and self.state else {}
        sets = [frozenset(keys) for keys in self.state.reads] if self.state else []
        touched = [not self.changed.isdisjoint(keys) for keys in sets]
        outputs: dict[str, Output] = {}
        manifest: dict[str, bytes] = {}
        dirty: list[Planned] = []
        self.writer = _Writer(self.target, self.live)
        for path, one in planned.items():
            if one.kind in _COPIED:
                outputs[path] = Output(one, -1, ())
                manifest[path] = self.copied(one)
                continue
            old = known.get(path)
            why = self.why(old, one, sets, touched, fresh)
            if not why and old is not None:
                if self.writer.has(path, before[path]):
                    outputs[path], manifest[path] = old, before[path]
                    continue
                why = "the file is not there any more as it was built"
            dirty.append(one)
            self.reasons[path] = why
        if dirty:
            self.writer.begin()
        places = {keys: index for index, keys in enumerate(sets)}
        # The sitemap shows the plan, which is known here only; it comes last.
        dirty.sort(key=lambda one: one.kind == "sitemap")
        shared = [one for one in dirty if one.kind != "sitemap"]
        root, last = self.target.root, dirty[len(shared) :]
        result = [*self.pool.make(root, shared), *self.pool.make_here(root, last)]
        for one, made in zip(dirty, result, strict=True):
            own = tuple(sorted(key for key in made.reads if key.startswith(OF_BODIES)))
            place = places.setdefault(made.reads.difference(own), len(places))
            outputs[one.path] = Output(one, place, own)
            manifest[one.path] = made.digest
            self.timing.files[one.path] = made.seconds
            self.writer.written.add(one.path)
        self.sets = list(places)
        return outputs, manifest, self.writer.written

    def why(
        self, old: Output | None, one: Planned, sets: list[frozenset[str]], touched: list[bool], fresh: set[str]
    ) -> str:
        """Why a file has to be made, or nothing."""
        if old is None:
            return "it is new" if self.state else "nothing is known of an earlier build"
        if old.planned.kind != one.kind or old.planned.arg != one.arg or old.planned.owner != one.owner:
            return "something else is published there now"
        if old.planned.key != one.key:
            return "what it shows changed: its own front matter, its neighbours, or the posts that it lists"
        if touched[old.reads]:
            return f"changed since: {', '.join(sorted(self.changed & sets[old.reads]))}"
        if not fresh.isdisjoint(old.own):
            return f"changed since: {', '.join(sorted(fresh.intersection(old.own)))}"
        return ""

    def copied(self, one: Planned) -> bytes:
        """Put a file that is copied as it is; returns its digest."""
        if one.kind == "static" and self.writer.has(one.path, one.key):
            return one.key
        old = self.head.manifest.get(one.path) if one.kind == "asset" and self.head and self.state else None
        if old is not None and self.writer.has(one.path, old):
            return old
        data = self.assets[one.arg].content if one.kind == "asset" else sources.read(self.ask.project, one.arg)
        if one.kind == "static":  # it may have changed since it was hashed: what is put is what counts
            self.found.files[one.arg] = digest(data)
        self.writer.put(one.path, data)
        return digest(data)

    def done(
        self,
        model: Model,
        left: Left,
        bodies: dict[str, Body],
        outputs: dict[str, Output],
        manifest: dict[str, bytes],
        written: set[str],
    ) -> Done:
        used = sorted({output.reads for output in outputs.values()} - {-1})
        places = {old: new for new, old in enumerate(used)}
        places[-1] = -1
        outputs = {
            path: output if places[output.reads] == output.reads else msgspec.structs.replace(
                output, reads=places[output.reads]
            )
            for path, output in outputs.items()
        }  # fmt: skip
        reads = [sorted(self.sets[old]) for old in used]
        keys = {key for each in reads for key in each} | {key for body in bodies.values() for key in body.reads}
        stamps = [stamp for text in self.texts.values() for stamp in (text.stamp, text.expires) if stamp]
        now = self.ask.clock.timestamp()
        beside = "is not published: images and downloads belong into"
        warnings = [f"{name}:1: {beside} {self.site.source}/assets" for name in self.found.others]
        warnings += [line for text in (*model.posts, *model.pages) if text.name in bodies
                     for line in bodies[text.name].warnings]  # fmt: skip
        made = [one for one in outputs.values() if one.planned.is_page]
        files = {**self.found.files, **{name: text.file for name, text in self.texts.items()}}
        copies = sum(output.planned.kind in _COPIED for output in outputs.values())
        head = Head(
            inputs.code(), self.ask.settings,
            max((stamp for stamp in stamps if stamp <= now), default=-1e18),
            min((stamp for stamp in stamps if stamp > now), default=1e18),
            "clock" in keys, now, files, manifest, warnings, left.drafts, left.future, left.expired,
            len(made), len(model.posts), copies,
        )  # fmt: skip
        answers = {key: self.answer(key) for key in keys}
        state = State(
            Settings.of(self.site).key, self.plan_is, self.texts, bodies, outputs, reads, answers, model.assets
        )
        return Done(
            head,
            state,
            report_of(head, outputs),
            model,
            self.found.templates,
            self.found.data,
            written,
            self.reasons,
            self.site.url,
        )


def report_of(head: Head, outputs: Mapping[str, Output]) -> BuildReport:
    """What is told of a build."""
    addresses = sorted(output.planned.url for output in outputs.values() if output.planned.is_page)
    return BuildReport(
        head.pages, head.posts, head.assets, tuple(addresses), tuple(head.drafts), tuple(head.future),
        tuple(head.expired), tuple(head.warnings),
    )  # fmt: skip


_COPIED = frozenset({"asset", "static"})


class _Writer:
    """Puts files that need not be made: those that are right stay, others come from the live tree."""

    def __init__(self, target: Target, live: Target | None) -> None:
        self.target = target
        self.live = live
        self.written: set[str] = set()
        self.begun = False

    def begin(self) -> None:
        if not self.begun:
            self.target.begin()
            self.begun = True

    def put(self, path: str, data: bytes) -> None:
        self.begin()
        put(self.target.root, path, data)
        self.written.add(path)

    def has(self, path: str, wanted: bytes) -> bool:
        """Whether the target holds that file, if need be copied from the live tree just now."""
        if self.target.holds(path, wanted):
            return True
        if self.live is None or not self.live.holds(path, wanted):
            return False
        try:
            data = inputs.read(f"{self.live.root}/{path}")
        except OSError:
            return False
        if digest(data) != wanted:
            return False
        self.put(path, data)
        return True


def _static_problem(part: str) -> str | None:
    return None if part == ".well-known" else slugs.problem_of(part.removeprefix("."))
