"""Migrations tried out: `fab rehearse` on copies of a stage's databases, `inv check-migrations` on empty ones.

Both stage a release as a deploy does, ask the host that migrates for the verb `rehearse`, and take the staging away.
"""

from __future__ import annotations

import datetime as dt
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from tagship import config as config_file
from tagship.app.packing import Packed
from tagship.app.project import open_project, tell_tag
from tagship.app.stage import OnStage, Table, owner
from tagship.config import LOCAL_STAGE, Config, Shared, Stage
from tagship.errors import Refused, TagRefused, TagshipError, UsageError
from tagship.events import Event, Listener, note
from tagship.release import tags
from tagship.release.tagged import read_config
from tagship.release.tags import Tag
from tagship.ship import changing, connecting
from tagship.ship.fleet import Fleet
from tagship.ship.migrations import rehearsing
from tagship.ship.migrations.schema import Look
from tagship.ship.outcome import Outcome
from tagship.ship.shipment import Made

_WAYS = 3
"""Up, down and up again."""
_ENV_FILE = "0001"


@dataclass
class _Tried:
    """What the host said, or why it didn't."""

    databases: Sequence[Mapping[str, Any]] | None = None
    error: TagshipError | None = None


def rehearse(on: OnStage, tag: str | None) -> Table:
    """Try what `tag` would migrate on copies of the stage's databases, on the host that migrates.

    The outcome has an error where a step fails or a way down doesn't restore the schema. Nothing that is live is
    changed. Raises `TagRefused`, `ConfigError`, `BundleRefused`, `HostRefused`, `Refused`, `Locked`.
    """
    chosen = tags.resolve(on.project.root, tag)
    tell_tag(chosen, on.listener)
    config = read_config(on.project.root, chosen)
    _refuse_without_schema(config, chosen)
    return _try(_alone(on), chosen, config, copy=True)


def check_migrations(folder: Path, tag: str | None, names: Sequence[str], *, listener: Listener) -> Table:
    """Take all migrations of `tag`, or of what HEAD names, up, down and up again, on databases that are empty.

    These are what the application makes of `names`, variables of our own environment, and of nothing else. Raises
    as `rehearse`, and `UsageError` for a variable that isn't there.
    """
    project = open_project(folder)
    chosen = tags.resolve(project.root, tag) if tag else tags.of_head(project.root)
    for warning in chosen.warnings:
        note(listener, warning, level="warning")
    config = read_config(project.root, chosen)
    _refuse_without_schema(config, chosen)
    with _embedded(names) as stage:
        # What must be there on a real host, and what makes a site, has no part in it.
        shared = Shared(dirs=config.app.shared.dirs)
        app = msgspec.structs.replace(
            config.app, env=None, prepare=(), generated=(), smoke=None, before_up=None, shared=shared
        )
        bare = msgspec.structs.replace(config, app=app, site=None, build=())
        return _try(OnStage(project, LOCAL_STAGE, stage, listener), chosen, bare, copy=False)


def _refuse_without_schema(config: Config, tag: Tag) -> None:
    if not config.app.schema:
        where = f"{tag.name}:{config_file.FILE_NAME}"
        raise Refused("it has no schema", where=where, cure="name its databases in `app.schema`")


@contextmanager
def _embedded(names: Sequence[str]) -> Iterator[Stage]:
    """A stage on this machine that is gone afterwards, whose application has these variables of ours."""
    values = {}
    for name in names:
        value = os.environ.get(name)
        if value is None or any(sign in value for sign in "\0\r\n"):
            raise UsageError(
                f"there is no variable {name}, or none of one line", where="--env", cure=f"export {name}"
            )
        values[name] = f"'{value}'" if value.startswith('"') else f'"{value}"'
    with tempfile.TemporaryDirectory(prefix="tagship-", ignore_cleanup_errors=True) as folder:
        versions = Path(folder, "root", "env")
        versions.mkdir(parents=True)
        with os.fdopen(os.open(versions / _ENV_FILE, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write("".join(f"{name}={value}\n" for name, value in values.items()))
        yield Stage(root=str(versions.parent))


def _alone(on: OnStage) -> OnStage:
    """Only the host that migrates: nothing is to be staged on the others."""
    hosts = on.stage.hosts
    if not hosts:
        return on
    web = [host for host in hosts if "web" in host.roles]
    called = {host.name or host.host: host for host in hosts}
    wanted = on.stage.migrate_on
    if wanted is not None and wanted not in called:
        raise UsageError(f"{wanted} migrates, and was left out", where="--limit", cure="leave it in")
    one = called[wanted] if wanted is not None else (web or list(hosts))[0]
    return replace(on, stage=msgspec.structs.replace(on.stage, hosts=(one,)), away={})


def _try(on: OnStage, tag: Tag, config: Config, *, copy: bool) -> Table:
    """Stage `tag`, have its migrations tried, and tell what came of it."""
    app, tried = config.app, _Tried()

    def ask(fleet: Fleet, host: str, look: Look) -> None:
        try:
            tried.databases = rehearsing.ask(fleet, host, look.release, app, copy=copy)
        except TagshipError as error:
            tried.error = error

    def tell(event: Event) -> None:
        if event.name != "plan":  # of a deploy, which this isn't
            on.listener(event)

    with connecting.connect(on.name, on.stage, app, on.project.root) as fleet:
        rehearsing.equip(fleet)
        shipment = Packed(on.project.root, tag, config, on.listener).shipment()
        made = Made(by=owner(), at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"))
        outcome = changing.deploy(fleet, on.stage, shipment, tell, made=made, seen=ask)
    return _told(tag, outcome, tried)


def _told(tag: Tag, outcome: Outcome, tried: _Tried) -> Table:
    """A row for each step, and an error where not all was well."""
    if outcome.error is not None:
        return Table((), (), outcome)
    error = tried.error
    if tried.databases is None and error is None:
        error = TagRefused("nothing of it is pending: it is live", where=tag.name, cure="name a tag that isn't")
    databases = tried.databases or ()
    rows = tuple(
        (one["name"], step["id"], *_times(step["seconds"]), _remark(one, step))
        for one in databases
        for step in one["steps"]
    )
    if error is None and any(one["left"] or one["again"] for one in databases):
        error = _differs(databases)
    # What was staged for it is gone again, and was never to go live.
    ended = replace(outcome, outcome="unchanged", release=None, previous=None, hosts=())
    if error is not None:
        ended = replace(ended, outcome=Refused.outcome, exit=Refused.exit_code, error=_as_refused(error))
    return Table(("database", "step", "up", "down", "up again", "remark"), rows, ended)


def _times(seconds: Sequence[float]) -> list[str | None]:
    """`0.12 s` for each of the three ways; nothing for one that wasn't gone."""
    told: list[str | None] = [f"{one:.2f} s" for one in seconds]
    return told + [None] * (_WAYS - len(told))


def _remark(database: Mapping[str, Any], step: Mapping[str, Any]) -> str | None:
    if not step["seconds"]:
        return f"went up, and no further: {step['why'] or 'a step above it has no way back'}"
    copy = database["copy"]
    return f"on a copy of {copy['of']}" if copy else None


def _differs(databases: Sequence[Mapping[str, Any]]) -> Refused:
    lines = []
    for one in databases:
        lines += [f"{one['name']}, down again: {line}" for line in one["left"]]
        lines += [f"{one['name']}, up again: {line}" for line in one["again"]]
    where = ", ".join(one["name"] for one in databases if one["left"] or one["again"])
    what = "a way down doesn't restore the schema"
    return Refused(
        what, where=where, cure="mend the step's way down: `+` is what it leaves, `-` what it lacks", tail=lines
    )


def _as_refused(error: TagshipError) -> Refused:
    """The same as a refusal: what is live was never touched."""
    if isinstance(error, Refused):
        return error
    return Refused(error.what, where=error.where, cure=error.cure, tail=error.tail)
