"""What one process does of a build: reads texts, renders bodies, makes files; each step for a list it is given.

The parent and its workers run the same code. Between two steps everybody learns what all of them found: the texts
(`know`), then what became of their bodies (`learn`). Bodies never travel: they lie in segments that all can read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tagship import config
from tagship.errors import ContentError, TagshipError
from tagship.press import content, frontmatter, inputs
from tagship.press.bodies import Body, Segments
from tagship.press.content import Text
from tagship.press.data import Data
from tagship.press.reads import Noted, Reads, digest
from tagship.press.trees import put
from tagship.press.views import Asked, Collections, Model, Views

if TYPE_CHECKING:
    from tagship.press.markup import Engine
    from tagship.press.pages import Tools
    from tagship.press.planned import Planned

Step = TypeVar("Step")


@dataclass(frozen=True)
class Problem:
    """A `ContentError` in transit: exceptions with keyword arguments don't pickle."""

    what: str
    path: str
    line: int | None
    column: int | None
    cure: str

    @classmethod
    def of(cls, error: ContentError) -> Problem:
        return cls(error.what, str(error.path), error.line, error.column, error.cure)

    def error(self) -> ContentError:
        return ContentError(self.what, path=self.path, line=self.line, column=self.column, cure=self.cure)


@dataclass(frozen=True)
class Order:
    """What every process of a build is told first."""

    project: Path
    site: config.Site
    segments: Path
    """The folder of rendered bodies."""
    templates: Mapping[str, bytes]
    """The project's own, by path below their folder."""
    data: Mapping[str, bytes] = field(default_factory=dict)
    """The project's data files, by path below their folder."""


@dataclass(frozen=True)
class Made:
    """A file that was made: its path, its digest, what was asked for it, and how long it took (seconds)."""

    path: str
    digest: bytes
    reads: frozenset[str]
    seconds: float


class SourceChanged(TagshipError):
    """A file is another one than a moment ago: what was read of it and of others may not fit together."""


class Share:
    """One process's part of a build. `own` names its segment."""

    def __init__(self, order: Order, own: str) -> None:
        self.order = order
        self.settings = content.Settings.of(order.site)
        self.segments = Segments(order.segments, own)
        self.reads = Reads()
        self.sources: dict[str, str] = {}
        self.bodies: dict[str, Body] = {}
        self.engine_: Engine | None = None
        self.tools_: Tools | None = None

    def parse(self, names: Sequence[tuple[str, str]]) -> list[Text | Problem]:
        """Read texts, given as (name, kind)."""
        return _until_problem(names, lambda pair: self.parse_data(self.file(pair[0]), *pair))

    def parse_data(self, data: bytes, name: str, kind: str) -> Text:
        """Read one text from its bytes; raises `ContentError`."""
        text, self.sources[name] = content.read_text(data, name, kind, self.settings)
        return text

    def know(self, model: Model) -> None:
        """These are all the texts."""
        self.views = Views(self.order.site, model, self.bodies, self.segments.html, self.reads)
        self.views.data = Data(self.order.data, f"{self.order.site.source}/data", self.reads)
        self.engine_ = self.tools_ = None

    def learn(self, bodies: Mapping[str, Body]) -> None:
        """These bodies were rendered."""
        self.bodies.update(bodies)

    def render(self, texts: Sequence[Text]) -> list[tuple[Body, float] | Problem]:
        """Render the bodies of `texts`; with the seconds that each took."""
        return _until_problem(texts, self.body)

    def make(self, root: Path, planned: Sequence[Planned]) -> list[Made | Problem]:
        """Make files below `root`."""
        return _until_problem(planned, lambda one: self.file_made(root, one))

    def close(self) -> None:
        self.segments.close()

    def file(self, name: str) -> bytes:
        return inputs.read(f"{self.order.project}/{name}", frontmatter.MAX_BYTES)

    def source(self, text: Text) -> str:
        """The body of `text` as it was written; raises `SourceChanged` when the file isn't the one that was read."""
        if text.name not in self.sources:
            try:
                data = self.file(text.name)
            except OSError:
                data = b""
            if digest(data) != text.file:
                raise SourceChanged("changed while the site was being built", where=text.name, cure="build again")
            self.parse_data(data, text.name, text.kind)
        return self.sources[text.name]

    def body(self, text: Text) -> tuple[Body, float]:
        """Render one body; raises `ContentError`."""
        from tagship.press import markup  # costs 0.1 s: only where something has to be rendered

        source = self.source(text)
        began = time.perf_counter()
        self.reads.begin()
        self.reads.note("config:markup")
        self.views.rendering = text.name
        try:
            done = self.engine.render(markup.Text(text.name, source, text.first_line))
        finally:
            self.views.rendering = ""
        segment, offset, length, key = self.segments.append(done.html)
        asked = tuple(sorted(self.reads.keys))
        body = Body(text.file, key, segment, offset, length, done.lead, asked, tuple(done.warnings))
        return body, time.perf_counter() - began

    @property
    def engine(self) -> Engine:
        if self.engine_ is None:
            from tagship.press.markup import Engine, Links  # as in `body`

            pages = Noted(self.views.addresses, "url:", self.reads)
            links = Links(pages, Noted(self.views.model.assets, "asset:", self.reads))
            self.engine_ = Engine(links, self.order.site.markup, self.expand)
        return self.engine_

    def expand(self, call: str, path: str, line: int) -> str | None:
        """The HTML of one shortcode; raises `ContentError`."""
        from tagship.press.markup import Macros  # as in `body`

        return Macros(self.tools.templates.environment)(call, path, line)

    @property
    def tools(self) -> Tools:
        if self.tools_ is None:
            from tagship.press import pages, templates  # Jinja2 costs 0.05 s: only where something has to be made

            folder = f"{self.order.site.source}/templates"
            made = templates.Templates(self.order.project, folder, self.order.templates, self.reads, self.shared())
            made.environment.filters["absolute"] = self.absolute
            self.tools_ = pages.Tools(self.views, made, self.source)
        return self.tools_

    def shared(self) -> dict[str, Any]:
        """What every template sees."""
        from tagship.press.templates import asset_finder  # as in `tools`

        views = self.views
        return {
            "site": views.site,
            "menu": Asked(self.reads, "menu", lambda: views.menu),
            "data": views.data,
            "collections": Collections(views),
            "asset": asset_finder(views.model.assets, self.reads),
        }

    def absolute(self, url: str) -> str:
        from tagship.press import urls  # beside the other filters

        return f"{self.views.site.url}{urls.encoded(url)}"

    def file_made(self, root: Path, planned: Planned) -> Made:
        """Make one file; raises `ContentError`."""
        from tagship.press.pages import KINDS  # as in `tools`

        began = time.perf_counter()
        self.reads.begin()
        data = KINDS[planned.kind].make(self.tools, planned)
        put(root, planned.path, data)
        seconds = time.perf_counter() - began
        return Made(planned.path, digest(data), frozenset(self.reads.keys), seconds)


def _until_problem(items: Iterable[Any], work: Callable[[Any], Step]) -> list[Step | Problem]:
    """`work` of each item, up to and including the first that has a problem: the first met in order counts."""
    done: list[Step | Problem] = []
    for item in items:
        try:
            done.append(work(item))
        except ContentError as error:
            return [*done, Problem.of(error)]
    return done
