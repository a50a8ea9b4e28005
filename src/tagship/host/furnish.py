"""The verb `furnish`: what a release needs beside its tree and its virtualenv."""

from __future__ import annotations

import os
import stat
from typing import Any

from tagship.host import assets, environment, files, stored
from tagship.host.context import Args, Context
from tagship.host.declare import open_objects
from tagship.host.faults import failed
from tagship.host.layout import Layout
from tagship.host.tree import Folders


def furnish(context: Context, args: Args) -> dict[str, Any]:
    """Write `start`, `release.json` and `run`, link what is shared, fill `assets/`. Safe to repeat."""
    release = args.release()
    layout = context.layout
    declared = stored.read(layout, release)
    environment.secrets(layout, declared)  # refuses an env file that others can read
    make_run(layout, release)
    place, run = layout.run(release), layout.release(release, "run")
    files.remove(run)
    os.symlink(place, run)
    _link_shared(layout, declared)
    files.place(layout.release(release, "start"), environment.start_script(layout, declared).encode(), 0o555)
    files.place_json(layout.release(release, stored.RECORD), declared.record, 0o444)
    assets.add(layout, declared, open_objects(context))
    return {}


def make_run(layout: Layout, release: str) -> None:
    """Make the release's run folder, mode 0700, ours; raises `failed` where it isn't."""
    for path in (os.path.dirname(layout.run(release)), layout.run(release)):
        os.makedirs(path, 0o700, exist_ok=True)
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise failed("{} is not a folder of yours".format(path), "remove it, then deploy again")
        os.chmod(path, 0o700)


def _link_shared(layout: Layout, declared: stored.Declared) -> None:
    shared = declared.settings["shared"]
    for path in shared["dirs"]:
        os.makedirs(os.path.join(layout.shared, path), exist_ok=True)
    for path in shared["links"]:
        if not os.path.exists(os.path.join(layout.shared, path)):
            raise failed("shared/{} is missing".format(path), "put it there on the host, then deploy again")
    with Folders(layout.release(declared.release, "app")) as folders:
        for path in shared["dirs"] + shared["links"]:
            folder, _, name = path.rpartition("/")
            fd = folders.open(folder)
            try:
                os.unlink(name, dir_fd=fd)
            except FileNotFoundError:
                pass
            os.symlink(os.path.join(layout.shared, path), name, dir_fd=fd)
