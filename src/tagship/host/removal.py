"""The verbs `unstage` and `prune`, and what becomes of a release whose client went away."""

from __future__ import annotations

import os
from typing import Any

from tagship.host import (
    assets,
    damage,
    envs,
    files,
    furnish,
    generated,
    known,
    migrated,
    presence,
    service,
    stored,
    survey,
    units,
)
from tagship.host.context import Args, Context
from tagship.host.declare import open_objects
from tagship.host.faults import refused
from tagship.host.journal import Standing
from tagship.host.layout import Layout
from tagship.host.litter import TRASH

_TOLD = 20  # paths of one release that are told of
_STAGING = {"survey", "manifest", "holder", "lock", "sweep", "declare", "put", "tree", "venv", "furnish", "seal"}
"""Verbs that run nothing of what a release brings."""
_LOGS = 20  # serials whose logs are kept in any case


def unstage(context: Context, args: Args) -> dict[str, Any]:
    """Stop a release's process and remove all that is only its own. Never what `current` names.

    `damaged` of the answer tells which other releases it has damaged, and where. With `objects: keep` its objects
    stay until the next `prune` or `unstage`: what a dead client sent needn't be sent again.
    """
    release = args.release()
    if survey.read_current(context.layout)[1] == release:
        raise refused("{} is current".format(release), "flip to another release first")
    damaged = _withdraw(context, [release], "removed")
    if args.optional("objects") != "keep":
        _collect(context)
    return {"damaged": damaged}


def prune(context: Context, args: Args) -> dict[str, Any]:
    """Remove what nobody will want again: all but current, the last `keep` good ones, and any with a live process.

    What the last rollback left stays for one more deploy too: pages that were loaded from it want their assets. So
    does what alone can reverse steps of a schema that are applied.
    """
    keep = int(args.number("keep"))
    layout = context.layout
    rows = context.journal.rows()
    standings = known.standings(layout, context.journal)
    current = survey.read_current(layout)[1]
    ours = sorted(_ours(layout, standings), key=lambda name: standings[name].serial)
    good = [name for name in ours if name != current and standings[name].state == "good"]
    ends = [row.get(end) for row in rows if row["event"] == "flipped" for end in ("origin", "release")][-4:]
    left = [name for name in ours if name in ends and standings[name].state == "left"]
    holding = migrated.holders(layout, current, migrated.records(rows))
    kept = {current, *left, *good[-max(keep, 1) :], *presence.live(layout), *holding}
    removed = [name for name in ours if name not in kept]
    waiting = service.waiting(context)
    for release in [name for name in removed if units.serial(name) in waiting]:
        service.stop(context, release, 0)
    _remove(context, removed, "removed")
    _collect(context)
    _drop_logs(layout)
    envs.prune(layout)
    return {"removed": removed}


def abandon(context: Context) -> None:
    """The client is gone: take back what it declared and what it started, except what `current` names.

    All of a release is read for what it may have damaged only where something of it ran: the lock waits for this.
    The objects that it sent stay until the next `prune` or `unstage`: most often the same tag comes again.
    """
    if not context.lock.held:
        return
    context.progress = lambda *_: None  # there is nobody to tell
    try:
        current = survey.read_current(context.layout)[1]
        for release in sorted(context.started - context.declared - {current}):
            service.stop(context, release, 0)
        _withdraw(context, sorted(context.declared - {current}), "abandoned")
    finally:
        context.end("lost", "the client went away")


def _withdraw(context: Context, releases: list[str], event: str) -> dict[str, list[str]]:
    """Stop and remove releases that never were, or no longer are, to be used; journals and gives their damage."""
    layout = context.layout
    found: dict[str, list[str]] = {}
    for release in releases:
        service.stop(context, release, 0)  # first: it could go on writing
        _drop_generated(context, release)  # there may be what we can't even look into
        damaged = damage.done(layout, release) if event == "removed" or _may_have_written(context) else {}
        for other, paths in damaged.items():
            context.note("damaged", other, culprit=release, paths=paths[:_TOLD])
            found[other] = sorted({*found.get(other, []), *paths})
        damage.forget_unpacked(layout, damaged)
    _remove(context, releases, event)
    return {other: paths[:_TOLD] for other, paths in found.items()}


def _may_have_written(context: Context) -> bool:
    """Whether code of a release may have run in this session as who owns its files."""
    return context.layout.ready is None and not context.asked <= _STAGING


def _remove(context: Context, releases: list[str], event: str) -> None:
    """Remove releases of which nothing runs, and journal `event` of each; their objects stay.

    One that never was, or went before, is passed over.
    """
    layout = context.layout
    standings = known.standings(layout, context.journal)
    ours = set(_ours(layout, standings))
    gone: list[str] = []
    try:
        for number, release in enumerate(releases):
            context.lifeline.check()
            context.progress(number, len(releases), "releases")
            if layout.ready is None:
                files.remove_tree(layout.run(release))
            if release in ours:
                _drop_generated(context, release)
                _clear(layout, release)
            furnish.unlink_serials(layout, release)
            standing = standings.get(release)
            if release in ours or (standing is not None and standing.there):
                gone.append(release)
            context.declared.discard(release)
            context.started.discard(release)
    finally:
        context.note_all(event, gone)
    if releases:
        assets.collect(layout, stored.all_declared(layout), open_objects(context))


def _ours(layout: Layout, standings: dict[str, Standing]) -> list[str]:
    """The folders in releases/ that tagship made; what else lies there is nobody's business."""
    return [name for name in known.folders(layout) if name in standings]


def _drop_generated(context: Context, release: str) -> None:
    """Of a release that was never sealed, the folders in which a command may have made some of its own user's."""
    layout = context.layout
    if layout.ready is None or os.path.exists(layout.release(release, stored.SEALED)):
        return
    declared = stored.find(layout, release)
    for name in (*declared.settings.get("generated", ()), "taken") if declared else ():
        generated.remove(context, release, layout.release(release, name))


def _clear(layout: Layout, release: str) -> None:
    """Rename it first: a folder under a release's name is always a whole release or one being staged."""
    trash = os.path.join(layout.releases, TRASH + release)
    files.remove_tree(trash)
    os.rename(layout.release(release), trash)
    files.remove_tree(trash)


def _collect(context: Context) -> None:
    """Drop every object and wheel that no release on disk uses; also what a killed session left."""
    layout = context.layout
    objects = open_objects(context)
    left = stored.all_declared(layout)
    used = {key for declared in left for key in declared.objects()}
    used.update(key for one in left for key, _ in assets.of(stored.made(layout, one.release)).values())
    unpacked = stored.installer(layout)
    used.update(one.installer[1] for one in left if one.installer and one.installer[1] != unpacked)
    objects.keep_only(used)
    unused = [sha256 for sha256 in files.names(layout.wheels) if sha256 not in used]
    for sha256 in unused:
        files.remove_tree(os.path.join(layout.wheels, sha256))
    if unused:
        # uv keeps what it unpacked of them, and can't be told to forget one wheel; the next virtualenv fills it anew.
        files.remove_tree(layout.cache)


def _drop_logs(layout: Layout) -> None:
    """Logs go with their releases, but the newest stay: they say why a deploy failed."""
    kept = {name.partition("-")[0] for name in files.names(layout.releases)}
    logs = [name for name in files.names(layout.log) if name.partition(".")[0].isdigit()]
    serials = sorted({name.partition(".")[0] for name in logs}, key=int)
    kept.update(serials[-_LOGS:])
    for name in logs:
        if name.partition(".")[0] not in kept:
            files.remove(os.path.join(layout.log, name))
