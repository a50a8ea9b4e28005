"""The verb `drift`: what can be seen of a release's drift without reading its files."""

from __future__ import annotations

import os
import stat
from typing import Any

from tagship.host import contents, files, objects, rows, stored
from tagship.host.context import Args, Context
from tagship.host.layout import Layout

_TOLD = 20  # differences that are told, of however many there are


def drift(context: Context, args: Args) -> dict[str, Any]:
    """The names in `app/` and `public/`, kinds, links, modes, sizes, times of the tag's files, and the scripts.

    Times follow from digests. Whoever changes content at equal size and sets the time back is found by `verify`
    only, and so is what happens in the virtualenv; this takes some microseconds a file.
    """
    release = args.release()
    layout = context.layout
    declared = stored.read(layout, release)
    sealed = files.read_object(layout.release(release, stored.SEALED))
    folder = layout.release(release)
    of_tag, of_host = {row[0]: row for row in declared.rows}, {row[0]: row for row in sealed.get("made", [])}
    found = []
    for path, status in contents.tree(folder):
        tagged = of_tag.pop(path, None)
        row = tagged or of_host.pop(path, None)
        what = _glance(folder, row, status, is_object=tagged is not None) if row else "not in the release"
        if what:
            found.append([path, what])
    found += [[path, "missing"] for path in sorted({**of_tag, **of_host})] + scripts(layout, release, sealed)
    return {"drift": found[:_TOLD], "count": len(found)}


def scripts(layout: Layout, release: str, sealed: dict[str, Any]) -> list[list[str]]:
    """Those of the release's own scripts that aren't as they were written."""
    noted = sealed.get("scripts", {})
    changed = [name for name in noted if contents.hash_file(layout.release(release, name)) != noted[name]]
    return [[name, "changed"] for name in changed]


def _glance(release: str, row: rows.Row, status: os.stat_result, *, is_object: bool) -> str:
    """`contents.fault` without looking into files; for an object's its time tells too."""
    if row[1] == "l":
        return contents.fault(release, row, status)
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    if status.st_size != row[3] or (is_object and status.st_mtime != objects.mtime(rows.key(row))):
        return "changed"
    right = stat.S_IMODE(status.st_mode) == objects.mode(rows.key(row)) if is_object else True
    return "" if right else contents.mode(status)
