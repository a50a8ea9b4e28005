"""The verbs `put` and `tree`: the objects that were missing, and the tree made of them."""

from __future__ import annotations

from typing import Any

from tagship.host import access, rows, stored
from tagship.host.context import Args, Context
from tagship.host.declare import open_objects
from tagship.host.faults import usage
from tagship.host.tree import plant


def put(context: Context, args: Args) -> dict[str, Any]:
    """Take in objects that the last declaration missed; each is hashed before it gets its name."""
    missing: dict[str, int] = context.opened.get("missing", {})
    wanted = []
    for item in args.items("objects"):
        if not isinstance(item, list) or len(item) != 2 or missing.get(item[0]) != item[1]:
            raise usage("an object that wasn't missing: {!r}".format(item))
        wanted.append((item[0], item[1]))
    taken = open_objects(context).receive(
        wanted, context.pieces(), lambda done, total: context.progress(done, total, "bytes")
    )
    return {"bytes": taken}


def tree(context: Context, args: Args) -> dict[str, Any]:
    """Make the release's app/ and public/ from its objects."""
    release = args.release()
    declared = stored.read(context.layout, release)
    rows.check(declared.rows)
    rows.check_together(declared.rows)
    objects, group = open_objects(context), access.group(context.layout)
    return {"files": plant(context.layout.release(release), declared.rows, objects, group)}
