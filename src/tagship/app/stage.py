"""A stage of a project, and the verbs that work on its hosts."""

from __future__ import annotations

import datetime as dt
import getpass
import os
import re
import socket
import time
from collections.abc import Callable, Mapping, Set
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tagship.app.project import Project, open_project, tell_tag
from tagship.config import App, Config, Stage
from tagship.errors import Degraded, TagshipError, UsageError
from tagship.events import Event, Listener, note
from tagship.hooking import noted
from tagship.manifest import UrlChanges, url_changes
from tagship.release import tagbook, tags
from tagship.release.tagged import read_config
from tagship.release.tags import Tag
from tagship.ship import again, connecting, waiting
from tagship.ship.fleet import Fleet
from tagship.ship.outcome import HostOutcome, Outcome, outcome_of
from tagship.ship.survey import Release

# What packs and what changes hosts is a third of our code: it is loaded while they let us in (`_load_the_rest`).
if TYPE_CHECKING:
    from tagship.ship.changing import Seen
    from tagship.ship.hooks import Hooks
    from tagship.ship.shipment import Shipment

_LONGEST_OWNER = 100
_LOOPBACK = re.compile(r"https?://(localhost|127\.|\[::1\])")


@dataclass(frozen=True)
class Table:
    """What a verb that only looks has to show: headings, rows, and how it ended."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    outcome: Outcome


@dataclass
class _News:
    """What webhooks are told, as it becomes known."""

    tag: str | None = None
    urls: UrlChanges | None = None
    outcome: Outcome | None = None
    """How it ended, as soon as the hosts are done with."""


@dataclass(frozen=True)
class OnStage:
    """A project and one of its stages; each method is a verb, which connects, works and closes."""

    project: Project
    name: str
    stage: Stage
    """With the hosts that were chosen."""
    listener: Listener
    away: Mapping[str, str] = field(default_factory=dict)
    """The other hosts of the stage, each with the flag that leaves it alone: `--skip` or `--limit`."""

    def deploy(self, tag: str | None, *, dry: bool = False, wait: float = 0, keep_schema: bool = False) -> Outcome:
        """Put `tag` (the newest version tag when None) live on every host; `dry` stops once the plan is told.

        `wait` is seconds to queue for locks that others hold; `keep_schema` leaves steps up that are applied and that
        the tag doesn't have. Raises, with nothing changed, `TagRefused`,
        `ConfigError`, `ContentError`, `BundleRefused`, `CommandFailed`, `HostRefused`, `Refused`, `Locked`,
        `StalePlan`; what failed later is the outcome's `error`.
        """
        return self._announced("deploy", dry, lambda news: self._deploy(tag, dry, wait, news, keep=keep_schema))

    def plan_staged(self, tag: str | None, *, sql: bool = False) -> Outcome:
        """Stage `tag`, tell what it would do to the schema and what follows, and take the staging away again.

        With `sql` also the statements. Raises as `deploy`.
        """
        from tagship.app.schema import teller  # only where it is asked for

        return self._deploy(tag, False, 0, _News(), teller(self.listener, sql=sql))

    def _deploy(
        self,
        tag: str | None,
        dry: bool,
        wait: float,
        news: _News,
        seen: Seen | None = None,
        *,
        keep: bool = False,
    ) -> Outcome:
        root = self.project.root
        chosen = tags.resolve(root, tag)
        news.tag = chosen.name
        tell_tag(chosen, self.listener)
        config = read_config(root, chosen)
        with self._connect(config.app, "plan" if dry else "deploy", tag=tag) as fleet:
            from tagship.app.packing import Packed  # loaded meanwhile
            from tagship.ship.changing import await_schema

            await_schema(fleet, self.stage, config.app.schema_limits, self.listener)
            if not wait:
                waiting.refuse_locked(fleet)  # before minutes of building
            packed = Packed(root, chosen, config, self.listener).shipment()

            def ship() -> Outcome:
                return self._ship(chosen, packed, config, fleet, dry, news, seen, keep)

            outcome = self._in_turn(fleet, wait, ship)
            news.outcome = outcome
            if not dry and seen is None and outcome.outcome in ("live", "unchanged", "degraded"):
                self._remember(chosen)
                if not self.stage.hosts and outcome.exit == 0:
                    note(self.listener, f"http://{self.stage.listens}/ answers from {outcome.release}")
            return outcome

    def _remember(self, tag: Tag) -> None:
        """Note on this machine what was shipped. Its hosts know it too, and are what it ended well or ill on."""
        try:
            tagbook.remember(self.project.root, tag.name, tag.commit)
        except (TagshipError, OSError) as error:
            text = f"this machine couldn't note that {tag.name} was shipped: {error}"
            note(self.listener, text, level="warning")

    def _ship(
        self,
        tag: Tag,
        packed: Shipment,
        config: Config,
        fleet: Fleet,
        dry: bool,
        news: _News,
        seen: Seen | None,
        keep: bool,
    ) -> Outcome:
        """Deploy what was packed to a fleet as its last survey found it."""
        from tagship.app import exposing  # loaded while it was connected
        from tagship.ship import changing, loading
        from tagship.ship.migrations.descent import Wish
        from tagship.ship.shipment import Made

        for survey in fleet.surveys.values():
            tags.check_not_moved(tag, {release.tag: release.commit for release in survey.releases})
        live = loading.live_manifests(fleet, packed)
        shipment = replace(packed, known={m.digest: m for m in live.values()}.get)
        news.urls = url_changes(next(iter(live.values()), None), shipment.manifest)
        exposed = exposing.since(self.project.root, config.site, live, fleet.surveys, shipment.manifest)
        tell = self._with_urls(news.urls, exposed)
        self._warn(tag, config, fleet)
        made = Made(by=owner(), at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"))
        return changing.deploy(
            fleet,
            self.stage,
            shipment,
            tell,
            made=made,
            hooks=self._hooks(),
            dry=dry,
            seen=seen,
            wish=Wish(keep=keep),
        )

    def _in_turn(self, fleet: Fleet, wait: float, work: Callable[[], Outcome]) -> Outcome:
        return waiting.in_turn(fleet, wait, self.listener, work)

    def rollback(
        self,
        to: str | None,
        *,
        dry: bool = False,
        wait: float = 0,
        keep_schema: bool = False,
        drop_data: bool = False,
    ) -> Outcome:
        """Go down to the previous good release, or to the tag or id `to`, and the schema with it.

        `keep_schema` leaves the schema as it is, `drop_data` lets rows go with what holds them. Raises as `deploy`.
        """
        schema = {"keep": keep_schema, "drop": drop_data}
        return self._announced("rollback", dry, lambda news: self._rollback(to, dry, wait, news, schema))

    def _rollback(self, to: str | None, dry: bool, wait: float, news: _News, schema: Mapping[str, bool]) -> Outcome:
        with self._connect(self.project.config.app, "rollback", to=to) as fleet:
            from tagship.ship import changing, loading  # loaded meanwhile
            from tagship.ship.migrations.descent import Wish

            news.tag = to
            limits, wish = self.project.config.app.schema_limits, Wish(**schema)

            def go_down() -> Outcome:
                return changing.rollback(
                    fleet,
                    self.stage,
                    self.listener,
                    owner=owner(),
                    to=to,
                    hooks=self._hooks(),
                    dry=dry,
                    wish=wish,
                    limits=limits,
                )

            outcome = self._in_turn(fleet, wait, go_down)
            news.outcome = outcome
            survey = next(iter(fleet.surveys.values()))
            target = survey.release(outcome.release)
            if target is not None:
                news.tag = target.tag
                if self.project.config.notify and not dry:
                    news.urls = loading.url_changes_between(fleet, survey.live, target)
            return outcome

    def start(self, *, dry: bool = False, wait: float = 0) -> Outcome:
        """Bring up what is current, after a stop or a reboot. Raises as `deploy`."""
        return self._change("start", dry, wait)

    def stop(self, *, dry: bool = False, wait: float = 0) -> Outcome:
        """Stop the application and the front door everywhere. Raises as `deploy`."""
        return self._change("stop", dry, wait)

    def _change(self, name: str, dry: bool, wait: float) -> Outcome:
        with self._connect(self.project.config.app, name) as fleet:
            from tagship.ship import changing  # loaded meanwhile

            told, verb = self.listener, changing.start if name == "start" else changing.stop
            return self._in_turn(fleet, wait, lambda: verb(fleet, self.stage, told, owner=owner(), dry=dry))

    def releases(self) -> Table:
        """The releases on each host, oldest first. Raises `HostRefused`."""
        from tagship.ship import looking

        with self.look() as fleet:
            rows = tuple(
                (host, known.id, known.tag, known.commit[:12], known.state, _role(known, fleet.surveys[host].current))
                for host, on_host in looking.releases(fleet).items()
                for known in on_host
            )
            return Table(("host", "release", "tag", "commit", "state", "role"), rows, looked(fleet))

    def look(self) -> Fleet:
        """The hosts that can be reached, to look at. Raises `HostRefused` where none can."""
        return connecting.look(self.name, self.stage, self.project.config.app, self.project.root, away=self.away)

    def _connect(self, app: App, verb: str, *, tag: str | None = None, to: str | None = None) -> Fleet:
        """Every host, to be changed by `verb`. Raises `HostRefused`, which says how to go on without a host."""

        def without(lost: list[str]) -> str:
            hosts = [host.name or host.host for host in self.stage.hosts]
            limit, skip = again.chosen(self.away, hosts, lost)
            return again.command(verb, self.name, tag=tag, to=to, limit=limit, skip=skip)

        root, away = self.project.root, self.away
        rest = _load_the_rest
        return connecting.connect(self.name, self.stage, app, root, away=away, without=without, meanwhile=rest)

    def _warn(self, tag: Tag, config: Config, fleet: Fleet) -> None:
        """What is allowed, and seldom meant."""
        left = {
            release.id
            for survey in fleet.surveys.values()
            for release in survey.releases
            if release.tag == tag.name and release.state == "left" and release.id != survey.current
        }
        if left:
            text = f"{tag.name} was rolled back from ({', '.join(sorted(left))}); it goes live again"
            note(self.listener, text, level="warning")
        if config.site is not None and self.stage.hosts and _LOOPBACK.match(config.site.url):
            text = f"`site.url` is {config.site.url}: the feed, the sitemap and every canonical link point there"
            note(self.listener, text, level="warning")

    def _hooks(self) -> Hooks:
        """The commands of tagship.yml, then the functions of fabfile.py."""
        from tagship.ship.hooks import Hooks  # loaded meanwhile

        return Hooks((*self.project.config.hooks, *noted()), self.project.root)

    def _announced(self, verb: str, dry: bool, work: Callable[[_News], Outcome]) -> Outcome:
        """Do `work`, and tell the project's webhooks how it ended; what it raises is told and raised again.

        Ctrl-C once the hosts are done with changes nothing of how it ended.
        """
        began, news = time.monotonic(), _News()
        try:
            outcome = work(news)
        except TagshipError as error:
            if not dry:
                self._announce(verb, news, outcome_of(error, seconds=time.monotonic() - began))
            raise
        except KeyboardInterrupt:
            if news.outcome is None:
                raise
            outcome = news.outcome
        if not dry:
            self._announce(verb, news, outcome)
        return outcome

    def _announce(self, verb: str, news: _News, outcome: Outcome) -> None:
        settings = self.project.config.notify
        if settings:
            from tagship.app import notify  # urllib takes 30 ms to import

            app = self.project.config.app.name
            told = notify.News(app, self.name, verb, owner(), outcome, news.tag, news.urls)
            notify.announce(settings, told, self.listener)

    def secrets(self) -> list[str]:
        """What no output may hold, beside what the environment's names say: URLs of webhooks."""
        if not self.project.config.notify:
            return []
        from tagship.app import notify  # as above

        return notify.secret_urls(self.project.config.notify)

    def _with_urls(self, urls: UrlChanges, exposed: Mapping[str, Any] | None = None) -> Listener:
        """The listener, told with the plan which URLs it adds, changes and takes away, and what else it shows."""
        changes = asdict(urls)
        more = {"exposed": exposed} if any((exposed or {}).values()) else {}

        def tell(event: Event) -> None:
            if event.name == "plan" and "leg" not in event.data:
                event = Event(event.name, event.host, {**event.data, "urls": changes, **more})
            self.listener(event)

        return tell


def _load_the_rest() -> None:
    """Import what is only needed once every host has answered."""
    from tagship.app import packing  # noqa: F401
    from tagship.ship import changing  # noqa: F401


def open_stage(
    folder: Path, name: str, *, limit: tuple[str, ...], listener: Listener, skip: tuple[str, ...] = ()
) -> OnStage:
    """The stage called `name` of the project at or above `folder`: the hosts of `limit`, if any, without `skip`.

    Raises `UsageError` and `ConfigError`.
    """
    project = open_project(folder)
    stage = project.config.stage(name)
    called = {host.name or host.host: host for host in stage.hosts}
    for flag, hosts in ((again.LIMIT, limit), (again.SKIP, skip)):
        unknown = [host for host in hosts if host not in called]
        if unknown:
            known = ", ".join(called) or "the embedded stage has only this machine"
            raise UsageError(f"{flag} names no host of {name}: {', '.join(unknown)}", cure=f"its hosts: {known}")
    away = {host: again.SKIP if host in skip else again.LIMIT for host in called if _left(host, limit, skip)}
    chosen = tuple(called[host] for host in called if host not in away)
    if called and not chosen:
        raise UsageError(f"{again.SKIP} leaves no host of {name}", where=again.SKIP, cure="skip fewer")
    return OnStage(project, name, msgspec.structs.replace(stage, hosts=chosen), listener, away)


def _left(host: str, limit: tuple[str, ...], skip: tuple[str, ...]) -> bool:
    return host in skip or bool(limit and host not in limit)


def looked(fleet: Fleet, ill: Set[str] = frozenset()) -> Outcome:
    """The end of a verb that changes nothing: degraded where hosts can't be reached.

    The hosts in `ill` aren't as they should be.
    """
    found = {host: HostOutcome(host, survey.current, host not in ill) for host, survey in fleet.surveys.items()}
    hosts = tuple(found.get(host) or HostOutcome(host, None, False) for host in fleet.places)
    outcome = Outcome("unchanged", hosts=hosts, seconds=time.monotonic() - fleet.started, bytes_sent=fleet.bytes_sent)
    if not fleet.lost:
        return outcome
    error = Degraded(
        f"{len(fleet.lost)} of {len(fleet.places)} hosts can't be reached, and what is shown isn't all",
        hosts={host: error.what for host, error in fleet.lost.items()},
        where=", ".join(fleet.lost),
        cure="; ".join(dict.fromkeys(error.cure for error in fleet.lost.values() if error.cure)),
    )
    return replace(outcome, outcome=error.outcome, exit=error.exit_code, error=error)


def owner() -> str:
    """Who locks hosts and stands in their journals: `TAGSHIP_OWNER`, where a CI's user and machine say nothing."""
    given = "".join(letter for letter in os.environ.get("TAGSHIP_OWNER", "") if letter.isprintable()).strip()
    return given[:_LONGEST_OWNER] or f"{getpass.getuser()}@{socket.gethostname()}"


def _role(release: Release, current: str | None) -> str | None:
    return "current" if release.id == current else ("running" if release.pid else None)
