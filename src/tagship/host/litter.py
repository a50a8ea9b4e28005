"""What killed sessions left half done under names of its own, which nothing reads: half removed, half written."""

from __future__ import annotations

import os
import stat
from typing import Any

from tagship.host import files
from tagship.host.context import Args, Context
from tagship.host.layout import Layout
from tagship.host.objects import PART

TRASH = ".gone-"
"""How a release is called while it is removed."""


def find(layout: Layout) -> list[str]:
    """Its paths, sorted by folder; while somebody else holds the lock, it may be what he works on."""
    found = [os.path.join(layout.releases, name) for name in files.names(layout.releases) if name.startswith(TRASH)]
    found += [os.path.join(layout.objects, name) for name in files.names(layout.objects) if name.startswith(PART)]
    links = [os.path.join(layout.serials, name) for name in files.names(layout.serials)]
    found += [path for path in links if not os.path.exists(path)]
    new = [path + ".new" for path in (layout.current, layout.owner, layout.front)]
    return found + [path for path in new if os.path.lexists(path)]


def clear(layout: Layout) -> None:
    """Remove it. Only for the holder of the lock."""
    for path in find(layout):
        if stat.S_ISDIR(os.lstat(path).st_mode):
            files.remove_tree(path)
        else:
            os.unlink(path)


def sweep(context: Context, args: Args) -> dict[str, Any]:  # noqa: ARG001
    """The verb `sweep`, which a plan has where there is nothing else to do: `lock` has cleared it already."""
    clear(context.layout)
    return {}
