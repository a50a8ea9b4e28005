"""The verbs `flip` and `mark`: the one rename that makes a release public, and the word that it was good."""

from __future__ import annotations

import os
from typing import Any, Optional

from tagship.host import files, known
from tagship.host.context import Args, Context
from tagship.host.faults import refused, usage
from tagship.host.survey import read_current


def flip(context: Context, args: Args) -> dict[str, Any]:
    """Point `current` at a release (or, for `to: null`, at nothing), if it is what `from` says it is."""
    to, origin = args.optional_release("to"), args.optional_release("from")
    layout = context.layout
    kind, current = read_current(layout)
    if kind in ("directory", "foreign"):
        raise refused(
            "{} is not a link that tagship made".format(layout.current), "move it away on the host, then deploy again"
        )
    if current == to:
        return {}
    if current != origin:
        raise refused(
            "`current` is {}, not {}".format(current or "missing", origin or "missing"),
            "somebody changed it: survey again, then deploy again",
        )
    if to is not None:
        standing = known.standings(layout, context.journal).get(to)
        if standing is None or not standing.staged or not os.path.isdir(layout.release(to)):
            raise refused("{} isn't staged on this host".format(to), "deploy it again")
    context.note("flip", to, origin=origin)
    if to is not None:
        context.shown.add(to)
    _switch(layout.root, layout.current, to)
    context.note("flipped", to, origin=origin)
    return {}


def _switch(root: str, current: str, to: Optional[str]) -> None:
    if to is None:
        files.remove(current)
    else:
        new = current + ".new"
        files.remove(new)
        os.symlink("releases/" + to, new)
        os.rename(new, current)
    files.sync_folder(root)


def mark(context: Context, args: Args) -> dict[str, Any]:
    """Journal that a release passed on the whole fleet (`good`), or was rolled back from (`left`).

    `fleet`, where given, names the hosts that go along; then it is journaled even if it was so before.
    """
    release, state = args.release(), args.text("state")
    if state not in ("good", "left"):
        raise usage("a release is marked good or left")
    more = {"fleet": args.texts("fleet")} if args.raw().get("fleet") is not None else {}
    standing = known.standings(context.layout, context.journal).get(release)
    if standing is None:
        raise refused("{} was never here".format(release), "survey again")
    if more or standing.state != state:
        context.note(state, release, **more)
    return {}
