"""What an adopted service still looks for behind `current`: the names in its old folder (docs/adr/0010).

They are links at the top of the adopted release, where releases have nothing but a few names of their own; every
release that is staged while that one is kept gets them too. So the old service, which runs on for a rollback, finds
its files whatever is current.
"""

from __future__ import annotations

import os

from tagship.host import files, stored
from tagship.host.layout import ID, Layout

ADOPTED = "-adopted"
COMMIT = "-"
"""What stands for a commit in an adopted release: it was made of none."""
_OWN = ("run", "public", "env")


def link(layout: Layout, release: str) -> None:
    """Give `release` the links of the newest adopted one, but for its own names; an adopted one has its own links."""
    if _is_adopted(layout, release):
        return
    found = [name for name in files.names(layout.releases) if name.endswith(ADOPTED) and ID.match(name)]
    old = next((name for name in reversed(found) if _is_adopted(layout, name)), None)
    for name in files.names(layout.release(old)) if old else ():
        theirs, ours = layout.release(str(old), name), layout.release(release, name)
        if name not in _OWN and os.path.islink(theirs) and not os.path.lexists(ours):
            os.symlink(os.readlink(theirs), ours)


def _is_adopted(layout: Layout, release: str) -> bool:
    return files.read_object(layout.release(release, stored.RECORD)).get("commit") == COMMIT
