"""The verbs that move a schema: up, down, why a step stays, and whether a dead session's migration goes on."""

from __future__ import annotations

import os
import time
from typing import Any

from tagship.host import access, command, environment, files, migrated, procs, schema_run, schema_talk, stored
from tagship.host.context import Args, Context
from tagship.host.faults import Problem, failed
from tagship.host.schema import loss_of
from tagship.host.schema_asking import LIMITS, Talks, steps_of

BACKUPS = "backups"
"""Below `shared/`: what `before_up` writes."""


def up(context: Context, args: Args) -> dict[str, Any]:
    """Back up, then apply steps in the order given, each journaled before and after."""
    release, steps, limits = args.release(), steps_of(args), _limits(args)
    declared = stored.read(context.layout, release)
    before = args.texts("before") if args.raw().get("before") is not None else []
    settle(context, declared)
    if not steps:
        return {"applied": [], "backup": None}
    backup = None
    try:
        backup = _back_up(context, declared, before) if before else None
        return {**_move(context, release, steps, limits, down=False), "backup": backup}
    except Problem as problem:
        problem.data = {"applied": [], "partly": None, **problem.data, "backup": backup}
        raise


def down(context: Context, args: Args) -> dict[str, Any]:
    """Reverse steps in the order given; with `only`, of what this change applied.

    What has no way back, and unless `drop` allows it what would lose rows, is kept, with all below it in its
    database; the journal is told why.
    """
    release, steps, limits = args.release(), steps_of(args), _limits(args)
    drop = bool(args.raw().get("drop"))
    declared = stored.read(context.layout, release)
    settle(context, declared)
    if args.raw().get("only"):
        mine = _applied_now(context)
        steps = [one for one in mine if not steps or one in steps]
    kept = _kept(steps, _reasons(context, declared, steps, drop=drop)) if steps else []
    for database, step, why in kept:
        context.note("kept", release, database=database, id=step, why=why)
    stays = {(database, step) for database, step, _ in kept}
    chosen = [one for one in steps if one not in stays]
    told = [list(one) for one in kept]
    try:
        done = _move(context, release, chosen, limits, down=True) if chosen else {"reversed": []}
    except Problem as problem:
        problem.data["kept"] = told
        raise
    return {**done, "kept": told}


def stay(context: Context, args: Args) -> dict[str, Any]:
    """Journal why steps stay up though nothing live has them."""
    release, why = args.release(), args.text("why")
    for database, step in steps_of(args):
        context.note("kept", release, database=database, id=step, why=why)
    return {}


def _kept(steps: list[tuple[str, str]], why: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """What stays: a step with a reason, and in its database every step below it, which it may stand on."""
    reasons = {(database, step): line for database, step, line in why}
    held: dict[str, str] = {}
    found = []
    for database, step in steps:
        line = reasons.get((database, step))
        if line is None and database in held:
            line = "{} stays, which came after it".format(held[database])
        if line is not None:
            held.setdefault(database, step)
            found.append((database, step, line))
    return found


def _reasons(
    context: Context, declared: stored.Declared, steps: list[tuple[str, str]], *, drop: bool
) -> list[tuple[str, str, str]]:
    """Why steps can't be reversed: no way back, or rows that would go."""
    found = []
    with Talks(context, declared) as talks:
        for database, step in steps:
            known = talks.step(database, step)
            lost = [] if drop or not known["reversible"] else loss_of(context, talks, [(database, step)])
            if not known["reversible"]:
                found.append((database, step, str(known["why"])))
            elif lost:
                found.append((database, step, "it would lose {}".format(", ".join(map(_what, lost)))))
    return found


def _what(one: dict[str, Any]) -> str:
    place = one["table"] if one["column"] is None else "{}.{}".format(one["table"], one["column"])
    if one["rows"] is None:
        return "what is in {}".format(place)
    return "{} row{} of {}".format(one["rows"], "" if one["rows"] == 1 else "s", place)


def _applied_now(context: Context) -> list[tuple[str, str]]:
    """What the change under way has applied and not reversed, newest first, whichever session it was."""
    change = context.change.number if context.change else 0
    found = migrated.records(context.journal.rows()).items()
    mine = [name for name, record in found if record.applied is not None and record.applied.get("change") == change]
    return mine[::-1]


def settled(context: Context, args: Args) -> dict[str, Any]:
    """Whether a migration goes on, here or in a database; where none does, who holds the lock settles the journal."""
    declared = stored.read(context.layout, args.release())
    sessions = 0
    for item in declared.settings.get("schema", ()):
        with Talks(context, declared) as talks:
            question = {"ask": "sessions", "prefix": schema_talk.MOVER, "end": "", "wait": 0.0}
            sessions += sum(talks.start(item).ask(question)["sessions"].values())
    running = sessions > 0 or _moves(context)
    if not running and context.lock.held:
        settle(context, declared)
    return {"running": running, "sessions": sessions}


def _moves(context: Context) -> bool:
    """Whether a process of this stage migrates, or watches one that does: their command lines tell."""
    layout = context.layout
    folder, mover = os.fsencode(layout.releases + "/"), schema_talk.MOVER.encode()
    for pid in procs.pids():
        words = (files.read("/proc/{}/cmdline".format(pid)) or b"").split(b"\0")[:-1]
        if words[:1] and words[0].startswith(folder) and words[-1].startswith(mover):
            return True
        if words[-1:] == [schema_run.WORD.encode()] and _cwd(pid) == layout.root:
            return True
    return False


def _cwd(pid: int) -> str:
    try:
        return os.readlink("/proc/{}/cwd".format(pid))
    except OSError:
        return ""


def settle(context: Context, declared: stored.Declared) -> None:
    """Journal how steps ended whose warden was killed: by the word of the database, as rows of their own change."""
    known = migrated.records(context.journal.rows())
    left = {name: found.last for name, found in known.items() if found.open}
    with Talks(context, declared) as talks:
        for (database, step), row in left.items():
            found = talks.find(database, step)
            if found is None:
                continue  # of a release that this one knows nothing of: that one settles it
            there = step in talks.of(database).ask({"ask": "applied", "database": database})["applied"]
            down = row["event"] == "reversing"
            told = {**row, "event": "reversed" if down else "migrated", "seconds": 0.0}
            if there == down:
                told = {**row, "event": "broken", "down": down, "partly": not found["atomic"], "why": "it was killed"}
            context.journal.append({key: value for key, value in told.items() if key != "at"})


def _move(
    context: Context, release: str, steps: list[tuple[str, str]], limits: dict[str, float], *, down: bool
) -> dict[str, Any]:
    """Have a warden do it. From now on nobody removes this release because its client went: it may be needed."""
    context.takes(limits["deadline"] + schema_run.MARGIN)
    context.declared.discard(release)
    number = context.change.number if context.change else 0
    return schema_run.start(
        context,
        {
            "release": release,
            "steps": steps,
            "down": down,
            "limits": limits,
            "by": context.lock.owner,
            "change": number,
        },
    )


def _back_up(context: Context, declared: stored.Declared, before: list[str]) -> str:
    """Run the backup; the file that it was to write, which must be there and hold something."""
    layout, release = context.layout, declared.release
    access.share(layout, BACKUPS, False)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    path = os.path.join(layout.shared, BACKUPS, "{}.{}".format(release, stamp))
    log = layout.command_log(release)
    since = os.stat(log).st_size if os.path.exists(log) else 0
    named = any("{backup}" in word for word in before)
    seconds = command.run(
        context,
        layout,
        environment.inside(layout, release, [word.replace("{backup}", path) for word in before]),
        env=environment.base(layout, release),
        cwd=layout.root,
        log=log,
        title="before_up",
        secrets=environment.secrets(layout, declared),
        relayed=layout.ready is not None,
    )
    path = path if named else next(iter(files.tail(log, since)[-1:]), "").strip()
    if not os.path.isabs(path) or not os.path.isfile(path) or not os.path.getsize(path):
        raise failed(
            "before_up wrote no backup{}".format(" to {}".format(path) if named else ""),
            "have it write to `{backup}`, or print the path of what it wrote in its last line",
        )
    context.note("backup", release, path=path, bytes=os.path.getsize(path), seconds=seconds)
    return path


def _limits(args: Args) -> dict[str, float]:
    given = args.inner("limits")
    return {name: given.number(name) if name in given.raw() else default for name, default in LIMITS.items()}
