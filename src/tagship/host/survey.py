"""Looking at a stage without touching it: what a host looks like now, its history, a release's manifest."""

from __future__ import annotations

import os
import stat
from typing import Any, Optional

from tagship.host import envfile, files, known, lock, migrated, stored
from tagship.host.accounts import user_name
from tagship.host.context import Args, Context
from tagship.host.faults import refused, usage
from tagship.host.journal import Standing, last_change, number_of
from tagship.host.layout import ID, Layout


def survey(context: Context, args: Args) -> dict[str, Any]:
    """The verb `survey`: creates nothing, and takes whatever it finds below the root for what it is."""
    root = os.path.expanduser(args.text("root"))
    if not os.path.isabs(root):
        raise usage("the root `{}` is not absolute".format(root))
    app, stage = args.text("app"), args.text("stage")
    _check_owner(Layout(root), app, stage)
    context.open(root, app, stage)
    # After the checks that refuse:
    from tagship.host import envs, health, interpreter, litter, presence, probe, roster, vitals

    layout = context.layout
    front = probe.Front.read(args)

    context.opened.pop("journal", None)  # whatever became of the file: from its beginning
    rows = context.journal.rows()
    standings = known.standings(layout, context.journal)
    parts = presence.parts(layout)
    kind, current = read_current(layout)
    serving = presence.serving(layout, current)
    declared = stored.whole(layout, current) if current is not None else None
    well, fault = health.judge(layout, current, declared, serving, parts, front)
    env = args.optional("env")
    steps = migrated.records(rows)
    found = {
        "root": layout.root,
        "exists": os.path.isdir(layout.root),
        "writable": os.access(_nearest(layout.root), os.W_OK | os.X_OK),
        "app": app,
        "stage": stage,
        "current": current,
        "current_kind": kind,
        "releases": _with_schema(
            context, _releases(layout, standings, presence.leaders(parts), current if declared is None else None)
        ),
        "highest": known.highest(standings),
        "change": last_change(rows),
        "fleet": roster.told(rows),
        "fled": roster.fled(rows),
        "midway": any(step.open for step in steps.values()),
        "serving": serving,
        "well": well,
        "fault": fault,
        "process": vitals.of(parts.get(current or "", {})),
        "front": _front(layout, front),
        "service": context.ready.row if context.ready else None,
        "lock": lock.read_holder(layout.lock),
        "litter": len(litter.find(layout)),
        "missing": [link for link in args.texts("links") if not os.path.exists(os.path.join(layout.shared, link))],
        "env": "ok" if env is None else envfile.fault(os.path.join(layout.shared, env), layout.ready),
        "versions": {"newest": envs.newest(layout), "used": envs.used(layout)},
        "installer": stored.installer(layout),
        "python": interpreter.ask(args.text("python")),
    }
    found.update(_room(layout))
    return found


def history(context: Context, args: Args) -> dict[str, Any]:
    """The verb `history`: the last rows of the journal, or of its last `changes` how they began, moved, and ended."""
    rows = context.journal.rows()
    if args.raw().get("changes") is None:
        limit = int(args.number("limit"))
        return {"rows": rows[-limit:] if limit else []}
    ends = [row for row in rows if row["event"] in ("begun", "ended")]
    numbers = sorted({number_of(row) for row in ends})[-int(args.number("changes", 1)) :]
    wanted = ("begun", "ended", *migrated.TOLD)
    return {"rows": [row for row in rows if row["event"] in wanted and number_of(row) in numbers]}


def manifest(context: Context, args: Args) -> dict[str, Any]:
    """The verb `manifest`: what a release consists of, and its digest."""
    declared = stored.read(context.layout, args.release())
    return {"rows": declared.rows, "manifest": declared.manifest}


def read_current(layout: Layout) -> tuple[str, Optional[str]]:
    """What `current` is (`link | none | directory | foreign`), and the release that it names if it is a link."""
    try:
        found = os.lstat(layout.current)
    except OSError:
        return "none", None
    if stat.S_ISDIR(found.st_mode):
        return "directory", None
    if stat.S_ISLNK(found.st_mode):
        folder, _, name = os.readlink(layout.current).rpartition("/")
        if folder == "releases" and ID.match(name):
            return "link", name
    return "foreign", None


def _releases(
    layout: Layout, standings: dict[str, Standing], live: dict[str, int], broken: Optional[str]
) -> list[dict[str, Any]]:
    """A row for each release on disk; the one that is `broken` can't be started again, and so isn't staged."""
    found = []
    for name in known.folders(layout):
        standing = standings.get(name)
        if standing is None:
            continue
        row: dict[str, Any] = {"id": name, "serial": standing.serial, "marked": standing.marked}
        row.update({key: standing.row.get(key, "") for key in ("tag", "commit", "digest", "manifest")})
        staged = standing.staged and name != broken and _startable(layout, name)
        row.update({"state": standing.state, "staged": staged, "pid": live.get(name)})
        row.update({key: standing.row.get(key, []) for key in ("roles", "runs")})
        found.append(row)
    return sorted(found, key=lambda row: (row["serial"], row["id"]))


def _with_schema(context: Context, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each with its databases' heads, and whether it alone can reverse what is applied."""
    layout = context.layout
    holding = migrated.holders(layout, read_current(layout)[1], migrated.records(context.journal.rows()))
    return [{**row, "schema": migrated.heads(layout, row["id"]), "holds": row["id"] in holding} for row in found]


def _startable(layout: Layout, release: str) -> bool:
    """Where units serve the stage, what was staged for plain processes has nothing that they could start."""
    return layout.ready is None or os.path.lexists(layout.release(release, "within"))


def _check_owner(layout: Layout, app: str, stage: str) -> None:
    if os.path.lexists(layout.root) and not os.path.isdir(layout.root):
        raise refused("{} is not a folder".format(layout.root), "move it away, or set another `root` for this stage")
    check_owner(layout, app, stage)


def check_owner(layout: Layout, app: str, stage: str) -> None:
    """Raise `refused` where the root says that it belongs to another app or stage."""
    owner = files.read_object(layout.owner)
    if owner and (owner.get("app"), owner.get("stage")) != (app, stage):
        raise refused(
            "{} belongs to the app `{}`, stage `{}`".format(layout.root, owner.get("app"), owner.get("stage")),
            "give this stage a `root` of its own; if the app was renamed, first stop it under its old name",
        )


def _front(layout: Layout, front: Any) -> Optional[dict[str, Any]]:
    if layout.ready is not None:
        return {"listen": front.listen, "pid": None} if front is not None and front.listens() else None
    from tagship.host import door

    running = door.read(layout)
    return None if running is None else {"listen": running.listen, "pid": running.process.pid}


def _nearest(path: str) -> str:
    """The path itself, or the nearest folder above it that is there."""
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return path


def _room(layout: Layout) -> dict[str, Any]:
    disk = os.statvfs(_nearest(layout.root))
    uid = os.geteuid()
    return {
        "disk_free": disk.f_bavail * disk.f_frsize,
        # Some filesystems (btrfs) count no inodes.
        "inodes_free": disk.f_favail if disk.f_files else None,
        "uid": uid,
        "user": user_name(uid),
    }
