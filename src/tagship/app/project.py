"""A project on this machine, and what the press does with it: build, serve, new, clean."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import msgspec

from tagship import config as config_file
from tagship.amounts import counted
from tagship.config import Config, Markup, Site
from tagship.errors import ConfigError, UsageError
from tagship.events import Event, Listener, note

if TYPE_CHECKING:
    from tagship.press.build import BuildReport
    from tagship.release.tags import Tag


@dataclass(frozen=True)
class Project:
    """A folder with a tagship.yml, read from the working tree."""

    root: Path
    config: Config

    @property
    def site(self) -> Site:
        """The press's settings; raises `ConfigError` where the project has none."""
        if self.config.site is None:
            raise ConfigError(
                "there is no `site:`, so there is nothing to build",
                path=self.root / config_file.FILE_NAME,
                key="site",
                cure="add `site: {title: ..., url: https://...}`",
            )
        return self.config.site


def open_project(folder: Path) -> Project:
    """The project at or above `folder`; raises `UsageError` and `ConfigError`."""
    root = config_file.find_project(folder.resolve())
    return Project(root, config_file.load(root / config_file.FILE_NAME))


def with_engine(project: Project, engine: str) -> Project:
    """`project`, its Markdown read by another engine; raises `UsageError` for one that isn't known."""
    known: tuple[str, ...] = get_args(get_type_hints(Markup)["engine"])
    if engine not in known:
        raise UsageError(f"there is no engine `{engine}`", where="--engine", cure=f"one of: {', '.join(known)}")
    markup = msgspec.structs.replace(project.site.markup, engine=engine)
    site = msgspec.structs.replace(project.site, markup=markup)
    return replace(project, config=msgspec.structs.replace(project.config, site=site))


@dataclass(frozen=True)
class Wanted:
    """What a build is asked for: where to, what to include, and what to tell of itself.

    `explain` is an address; `profile` writes build/profile.html. Both are of what is built into `build/site`.
    """

    out: Path | None = None
    drafts: bool = False
    future: bool = False
    explain: str = ""
    profile: bool = False


def build(project: Project, wanted: Wanted, *, listener: Listener) -> dict[str, Any]:
    """Build the working tree's site; the numbers of what was built.

    Raises `ContentError` and `UsageError`; the last good site then stays.
    """
    from tagship.press import clock, output  # where nothing changed, neither Markdown nor Jinja2 is loaded
    from tagship.press.build import Ask

    ask = Ask(project.root, project.site, clock.clock_of(project.root), wanted.drafts, wanted.future)
    if wanted.out is None:
        done = output.bring_up_to_date(ask, explain=wanted.explain, profile=wanted.profile)
        built, explained = done.report, done.explained
    elif wanted.explain or wanted.profile:
        what = "tells of what is built into build/site"
        raise UsageError(what, where="--explain, --profile", cure="leave --out out")
    else:
        explained = ()
        built = output.publish(
            ask.project, ask.site, clock=ask.clock, drafts=ask.drafts, future=ask.future, out=wanted.out
        )
    tell_built(built, listener)
    for line in explained:
        note(listener, line)
    where = str(wanted.out or Path(output.FOLDER) / output.LINK)
    counts = (counted(built.pages, "page"), counted(built.posts, "post"), counted(built.assets, "asset"))
    note(listener, f"{where}: {', '.join(counts)}")
    return {"out": where, "pages": built.pages, "posts": built.posts, "assets": built.assets}


def compare(project: Project, wanted: Wanted, *, listener: Listener) -> dict[str, Any]:
    """Bring build/site up to date, build the site once more from nothing, and compare; the data of the result.

    Files that differ are a bug of ours: they are named, and the exit is 1. Raises `ContentError`.
    """
    from tagship.press import clock, output  # as in `build`
    from tagship.press.build import Ask

    ask = Ask(project.root, project.site, clock.clock_of(project.root), wanted.drafts, wanted.future)
    stale = output.compare(ask)
    for name in stale:
        note(listener, f"build/site/{name} is not what a clean build makes", level="warning")
    if stale:
        note(listener, "this is a bug in tagship: please report it, with the output of inv build --explain /ADDRESS")
        return {"outcome": "stale", "exit": 1, "stale": list(stale)}
    note(listener, "build/site is, byte for byte, what a clean build makes")
    return {"outcome": "checked", "stale": []}


def tell_built(built: BuildReport, listener: Listener) -> None:
    """Say what a build warns of, and what it left out."""
    for warning in built.warnings:
        note(listener, warning, level="warning")
    for kind, left in (
        ("a draft", built.drafts),
        ("dated after the commit", built.future),
        ("expired", built.expired),
    ):
        if left:
            note(listener, f"left out, {kind}: {', '.join(left)}")


def tell_tag(tag: Tag, listener: Listener) -> None:
    """Say which commit the tag names, how HEAD stands to it, and what of it deserves a warning."""
    listener(Event("tag", "", {"tag": tag.name, "commit": tag.commit}))
    ahead = f"; HEAD is {tag.ahead} commit{'s' if tag.ahead != 1 else ''} ahead of it" if tag.ahead else ""
    note(listener, f"{tag.name} is commit {tag.commit[:12]}{ahead}")
    for warning in tag.warnings:
        note(listener, warning, level="warning")


def serve(project: Project, *, port: int, drafts: bool, future: bool, listener: Listener) -> None:
    """Serve the site at 127.0.0.1:`port` until Ctrl-C, built again at every change. Raises `UsageError`."""
    from tagship.press import serve as press_serve  # as in `build`

    def site() -> Site:
        return open_project(project.root).site

    def tell(event: press_serve.Event) -> None:
        if isinstance(event, press_serve.Serving):
            note(listener, f"serving {event.url} (Ctrl-C ends it)")
            return
        because = (
            f" ({', '.join(event.changed[:3])}{', ...' if len(event.changed) > 3 else ''})" if event.changed else ""
        )
        if isinstance(event, press_serve.Failed):
            where = f"{event.error.where}: " if event.error.where else ""
            note(listener, f"not built: {where}{event.error.what}", level="warning")
            if event.error.cure:
                note(listener, f"  cure: {event.error.cure}")
        else:
            for warning in event.report.warnings:
                note(listener, warning, level="warning")
            note(listener, f"built {event.report.pages} pages in {event.seconds:.2f} s{because}")

    press_serve.serve(project.root, site, port=port, on_event=tell, drafts=drafts, future=future)


def upcoming(project: Project, *, listener: Listener) -> dict[str, Any]:
    """Tell which texts appear and disappear from now on, the next first; the data of the result.

    Raises `ContentError`. What is due takes a build by then: a tag's site has the clock of its commit.
    """
    from tagship.press import due  # as in `build`

    changes = due.upcoming(project.root, project.site, dt.datetime.now(dt.UTC))
    for change in changes:
        note(listener, f"{change.moment.isoformat()} {change.name} {change.what}")
    if not changes:
        note(listener, "nothing is due: no text is dated in the future or expires")
    first = changes[0].moment.isoformat() if changes else None
    return {"outcome": "told", "next": first, "changes": len(changes)}


def new_post(project: Project, title: str) -> Path:
    """Begin a post dated today in the site's time zone; its path. Raises `UsageError` if there is one already."""
    from tagship.press import new  # as in `build`

    return new.new_post(project.root, project.site, title, now=dt.datetime.now(dt.UTC))


def clean(project: Project) -> bool:
    """Remove build/; False when there was nothing to remove."""
    from tagship.press import output  # as in `build`

    return output.clean(project.root)
