"""The only module that joins the rooms: gather what is there, let the rooms work, hand on what they say."""

from __future__ import annotations

import datetime as dt
import getpass
import socket
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from tagship import config as config_file
from tagship.config import App, Config, Site, Stage
from tagship.errors import BundleRefused, ConfigError, UsageError
from tagship.events import Event, Listener, note
from tagship.manifest import Manifest, url_changes
from tagship.release import bundle, tags, wheels
from tagship.release.hostpython import HostPython
from tagship.release.store import ObjectStore
from tagship.release.tags import Tag
from tagship.ship import operations
from tagship.ship.fleet import Fleet
from tagship.ship.outcome import HostOutcome, Outcome
from tagship.ship.shipment import Made, Shipment, Wheel
from tagship.ship.survey import Release, Room


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


def build(project: Project, *, out: Path | None, drafts: bool, future: bool, listener: Listener) -> dict[str, Any]:
    """Build the working tree's site into `out`, or `build/site`; the numbers of what was built.

    Raises `ContentError` and `UsageError`; the last good site then stays.
    """
    from tagship.press import clock, output  # Markdown and Jinja2 cost 0.1 s: only where a site is built

    built = output.publish(
        project.root, project.site, clock=clock.clock_of(project.root), drafts=drafts, future=future, out=out
    )
    for warning in built.warnings:
        note(listener, warning, level="warning")
    for kind, left in (("draft", built.drafts), ("future post", built.future)):
        if left:
            note(listener, f"left out, {kind}: {', '.join(left)}")
    where = str(out or Path(output.FOLDER) / output.LINK)
    note(listener, f"{where}: {built.pages} pages ({built.posts} posts), {built.assets} assets")
    return {"out": where, "pages": built.pages, "posts": built.posts, "assets": built.assets}


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
            note(listener, f"not built{because}: {event.error}", level="warning")
        else:
            note(listener, f"built {event.report.pages} pages in {event.seconds:.2f} s{because}")

    press_serve.serve(project.root, site, port=port, on_event=tell, drafts=drafts, future=future)


def new_post(project: Project, title: str) -> Path:
    """Begin a post dated today in the site's time zone; its path. Raises `UsageError` if there is one already."""
    from tagship.press import new  # as in `build`

    return new.new_post(project.root, project.site, title, now=dt.datetime.now(dt.UTC))


def clean(project: Project) -> bool:
    """Remove build/; False when there was nothing to remove."""
    from tagship.press import output  # as in `build`

    return output.clean(project.root)


@dataclass(frozen=True)
class Table:
    """What a verb has to show: headings, rows, and the data of its result."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    hosts: tuple[HostOutcome, ...]
    ok: bool = True


@dataclass(frozen=True)
class OnStage:
    """A project and one of its stages; each method is a verb, which connects, works and closes."""

    project: Project
    name: str
    stage: Stage
    listener: Listener

    def deploy(self, tag: str | None, *, dry: bool = False) -> Outcome:
        """Put `tag` (the newest version tag when None) live on every host; `dry` stops once the plan is told.

        Raises, with nothing changed, `TagRefused`, `ConfigError`, `ContentError`, `BundleRefused`, `CommandFailed`,
        `HostRefused`, `Refused`, `Locked`, `StalePlan`; what failed later is the outcome's `error`.
        """
        root = self.project.root
        chosen = tags.resolve(root, tag)
        self._tell_tag(chosen)
        config = bundle.read_config(root, chosen)
        with self._connect(config.app) as fleet:
            for survey in fleet.surveys.values():
                tags.check_not_moved(chosen, {release.tag: release.commit for release in survey.releases})
            shipment = _Packed(root, chosen, config, self.listener).shipment()
            live = operations.live_manifests(fleet, shipment)
            shipment = replace(shipment, known={m.digest: m for m in live.values()}.get)
            tell = self._with_urls(next(iter(live.values()), None), shipment.manifest)
            made = Made(by=_owner(), at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"))
            return operations.deploy(fleet, self.stage, shipment, tell, made=made, dry=dry)

    def rollback(self, to: str | None, *, dry: bool = False) -> Outcome:
        """Go down to the previous good release, or to the tag or id `to`. Raises as `deploy`."""
        app = self.project.config.app
        with self._connect(app) as fleet:
            return operations.rollback(fleet, self.stage, app.probe, self.listener, owner=_owner(), to=to, dry=dry)

    def stop(self, *, dry: bool = False) -> Outcome:
        """Stop the application and the front door everywhere. Raises as `deploy`."""
        app = self.project.config.app
        with self._connect(app) as fleet:
            return operations.stop(fleet, self.stage, app.probe, self.listener, owner=_owner(), dry=dry)

    def status(self) -> Table:
        """What is live on each host and whether it answers. Raises `HostRefused`."""
        with self._connect(self.project.config.app) as fleet:
            found = operations.status(fleet)
        rows = tuple(
            (
                status.host,
                status.current.id if status.current else "-",
                status.current.state if status.current else "-",
                str(status.current.pid or "-") if status.current else "-",
                f"http://{status.front}/" if status.front else "closed",
                _words_of(status),
            )
            for status in found
        )
        hosts = tuple(HostOutcome(s.host, s.current.id if s.current else None, s.well) for s in found)
        return Table(("host", "release", "state", "pid", "front", "health"), rows, hosts)

    def releases(self) -> Table:
        """The releases on each host, oldest first. Raises `HostRefused`."""
        with self._connect(self.project.config.app) as fleet:
            found = operations.releases(fleet)
            current = {host: survey.current for host, survey in fleet.surveys.items()}
        rows = tuple(
            (host, release.id, release.tag, release.commit[:12], release.state, _role(release, current[host]))
            for host, known in found.items()
            for release in known
        )
        hosts = tuple(HostOutcome(host, current[host], True) for host in found)
        return Table(("host", "release", "tag", "commit", "state", ""), rows, hosts)

    def history(self, last: int) -> Table:
        """The newest `last` journal rows of each host, oldest first. Raises `HostRefused`."""
        with self._connect(self.project.config.app) as fleet:
            found = operations.history(fleet, last)
            current = {host: survey.current for host, survey in fleet.surveys.items()}
        rows = tuple(
            (host, row.get("at", ""), row.get("event", ""), row.get("release") or "-", row.get("by") or "-")
            for host, journal in found.items()
            for row in journal
        )
        hosts = tuple(HostOutcome(host, current[host], True) for host in found)
        return Table(("host", "at", "event", "release", "by"), rows, hosts)

    def verify(self) -> Table:
        """What differs from what was sealed, path by path; `ok` is false if anything does. Raises `HostRefused`."""
        with self._connect(self.project.config.app) as fleet:
            found = operations.verify(fleet)
            current = {host: survey.current for host, survey in fleet.surveys.items()}
        drifted = {drift.host for drift in found}
        rows = tuple((drift.host, drift.release, drift.path, drift.what) for drift in found)
        hosts = tuple(HostOutcome(host, release, host not in drifted) for host, release in current.items())
        return Table(("host", "release", "path", "drift"), rows, hosts, ok=not found)

    def _connect(self, app: App) -> Fleet:
        return operations.connect(self.name, self.stage, app, self.project.root)

    def _tell_tag(self, tag: Tag) -> None:
        ahead = f"; HEAD is {tag.ahead} commit{'s' if tag.ahead != 1 else ''} ahead of it" if tag.ahead else ""
        note(self.listener, f"{tag.name} is commit {tag.commit[:12]}{ahead}")
        for warning in tag.warnings:
            note(self.listener, warning, level="warning")

    def _with_urls(self, live: Manifest | None, new: Manifest) -> Listener:
        """The listener, told with the plan which URLs it adds, changes and takes away."""
        changes = asdict(url_changes(live, new))

        def tell(event: Event) -> None:
            if event.name == "plan":
                event = Event(event.name, event.host, {**event.data, "urls": changes})
            self.listener(event)

        return tell


def open_stage(folder: Path, name: str, *, limit: tuple[str, ...], listener: Listener) -> OnStage:
    """The stage called `name` of the project at or above `folder`, only the hosts of `limit` if it names any.

    Raises `UsageError` and `ConfigError`.
    """
    project = open_project(folder)
    stage = project.config.stage(name)
    if limit:
        called = {host.name or host.host: host for host in stage.hosts}
        unknown = [host for host in limit if host not in called]
        if unknown:
            known = ", ".join(called) or "the embedded stage has only this machine"
            raise UsageError(f"--limit names no host of {name}: {', '.join(unknown)}", cure=f"its hosts: {known}")
        if len(limit) < len(called):
            left = ", ".join(host for host in called if host not in limit)
            note(listener, f"only {', '.join(limit)}; left as it is: {left}", level="warning")
        stage = msgspec.structs.replace(stage, hosts=tuple(called[host] for host in called if host in limit))
    return OnStage(project, name, stage, listener)


class _Packed:
    """A tag packed on this machine, as `ship` wants it: what `release` makes, in the words of `ship`."""

    def __init__(self, root: Path, tag: Tag, config: Config, listener: Listener) -> None:
        self.config = config
        self.cache = wheels.default_folder()
        self.store = ObjectStore.of(root)
        self.listener = listener
        self.bundle = bundle.pack(
            root, tag, config, press=_press, store=self.store, cache=self.cache, progress=listener
        )
        self.fetched: dict[str, tuple[Wheel, ...]] = {}

    def shipment(self) -> Shipment:
        packed = self.bundle
        return Shipment(
            tag=packed.tag.name,
            commit=packed.tag.commit,
            digest=packed.digest,
            lock=packed.lock_digest,
            manifest=packed.manifest,
            app=self.config.app,
            open_object=self.store.open,
            wheels=self.wheels,
            installer=self.installer,
            known=lambda _digest: None,
        )

    def wheels(self, facts: Mapping[str, Any]) -> Sequence[Wheel]:
        """The wheels for the interpreter that `facts` describe; fetched once for hosts that are alike."""
        python = self.python(facts)
        if python.key not in self.fetched:
            found = bundle.wheels_for(self.bundle, python, self.store, self.cache, progress=self.listener)
            self.fetched[python.key] = tuple(_wheel(wheel) for wheel in found)
        return self.fetched[python.key]

    def installer(self, facts: Mapping[str, Any]) -> Wheel | None:
        """What builds the virtualenv there; None where there is nothing to install."""
        if not self.wheels(facts):
            return None
        return _wheel(wheels.installer_wheel(self.python(facts), self.cache, progress=self.listener))

    def python(self, facts: Mapping[str, Any]) -> HostPython:
        """The kind of host: as it said itself, or the one of `targets:` that it is, where there are any."""
        surveyed = HostPython.from_facts(facts)
        if not self.config.targets:
            return surveyed
        for target in self.config.targets:
            wanted = HostPython.from_target(target)
            if (
                wanted.version == surveyed.version
                and wanted.markers["platform_machine"] == (surveyed.markers["platform_machine"])
            ):
                return wanted
        raise BundleRefused(
            f"no entry of `targets:` is {surveyed.label}",
            where=f"{self.bundle.tag.name}:{config_file.FILE_NAME}",
            cure="add one, or leave `targets:` out: then each host is asked",
        )


def _press(project: Path, out: Path, config: Config, clock: dt.datetime) -> None:
    if config.site is None:
        return
    from tagship.press.build import build as press_build  # as in `build`; a bundle packed before needs none

    press_build(project, out, config.site, clock=clock)


def _wheel(wheel: wheels.Wheel) -> Wheel:
    return Wheel(wheel.filename, wheel.sha256, wheel.size, wheel.path, _unpacked(wheel.path))


def _unpacked(path: Path) -> Room:
    with zipfile.ZipFile(path) as wheel:
        files = wheel.infolist()
    return Room(bytes=sum(file.file_size for file in files), files=len(files))


def _owner() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"


def _role(release: Release, current: str | None) -> str:
    return "current" if release.id == current else ("running" if release.pid else "")


def _words_of(status: operations.HostStatus) -> str:
    if status.well:
        return "well"
    if status.current is None:
        return "nothing is live"
    if status.serving is None:
        return "not running"
    if status.serving != status.current.id:
        return f"{status.serving} answers"
    return "front door closed" if status.front is None else status.current.state
