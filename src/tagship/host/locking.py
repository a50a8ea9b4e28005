"""The verbs `lock` and `unlock`."""

from __future__ import annotations

import os
import stat
from typing import Any

from tagship.host import access, files, helper, litter, reserve, survey
from tagship.host.context import Args, Context
from tagship.host.faults import refused
from tagship.host.journal import Change, last_change
from tagship.host.lock import read_holder


def lock(context: Context, args: Args) -> dict[str, Any]:
    """Make the root's folders where missing, take the lock, clear what killed sessions left half done."""
    owner, release, verb = args.text("owner"), args.optional("release"), args.text("verb")
    layout = context.layout
    for path in layout.folders():
        _make(path, access.of_folder(layout, path), units=layout.ready is not None)
    context.lock.take(owner, release, verb)
    try:
        if verb != "deploy":
            reserve.give_early(layout)
        number = args.raw().get("change")
        number = 1 + last_change(context.journal.rows()) if number is None else int(args.number("change", 1))
        context.change = Change(number, verb, release, survey.read_current(layout)[1])
        survey.check_owner(layout, context.app, context.stage)
        if not files.read_object(layout.owner):
            files.write_json(layout.owner, {"app": context.app, "stage": context.stage})
        if layout.ready is not None:
            helper.summon(context.lifeline, layout.ready)  # it starts beside all that comes before it is asked
        litter.clear(layout)
        if verb == "deploy":
            reserve.keep(layout)
    except BaseException:
        context.change = None
        context.lock.free()
        raise
    return {}


def unlock(context: Context, args: Args) -> dict[str, Any]:
    """Journal how it ended, let go of the lock; what this session declared is everybody's from now on, and stays."""
    outcome, why = args.optional("outcome") or "done", args.optional("why")
    context.declared.clear()
    context.started.clear()
    try:
        context.end(outcome, why)
    finally:
        context.lock.free()
    return {}


def holder(context: Context, args: Args) -> dict[str, Any]:  # noqa: ARG001
    """Who holds the lock now, for those who wait for it; `null` where nobody is known to."""
    return {"holder": read_holder(context.layout.lock)}


def _make(path: str, mode: int, *, units: bool) -> None:
    try:
        os.makedirs(path)
        os.chmod(path, mode)  # whatever the umask: web servers read below it
    except FileExistsError:
        if not os.path.isdir(path):
            raise refused("{} is not a folder".format(path), "move it away, then deploy again") from None
        found = os.stat(path)
        own = (found.st_uid, found.st_gid) == (os.geteuid(), os.getegid())  # one given to a group is as it should be
        if own and (units or mode == access.OWN) and stat.S_IMODE(found.st_mode) != mode:
            os.chmod(path, mode)  # it may have served plain processes, which need less
