"""The verb `furnish`: what a release needs beside its tree and its virtualenv."""

from __future__ import annotations

import os
import stat
from typing import Any

from tagship.host import access, assets, beside, environment, envs, files, generated, stored, units
from tagship.host.context import Args, Context
from tagship.host.declare import open_objects
from tagship.host.faults import failed
from tagship.host.layout import Layout
from tagship.host.tree import Folders

ID_FILE = "id"
"""What tells through a web server which release it serves."""


def furnish(context: Context, args: Args) -> dict[str, Any]:
    """Write the scripts, `id`, `release.json` and `run`, link what is shared and the environment, fill `assets/`.

    Safe to repeat.
    """
    release = args.release()
    layout = context.layout
    declared = stored.read(layout, release)
    environment.secrets(layout, declared)  # refuses an env file that others can read
    if layout.ready is None:
        make_run(layout, release)
    place, run = layout.run(release), layout.release(release, "run")
    files.remove(run)
    os.symlink(place, run)
    _link_shared(layout, declared)
    generated.make(layout, declared)
    _write_scripts(layout, declared)
    envs.link(layout, release)
    files.place(layout.release(release, ID_FILE), (release + "\n").encode(), 0o444)
    files.place_json(layout.release(release, stored.RECORD), declared.record, 0o444)
    if layout.ready is not None:
        link_serials(layout, declared)
    assets.add(layout, declared.rows, open_objects(context))
    beside.link(layout, release)
    return {}


def scripts(declared: stored.Declared) -> list[str]:
    """The release's own scripts, relative to it: `within`, and a `start` for each part."""
    return [environment.WITHIN, *map(_script, declared.parts)]


def link_serials(layout: Layout, declared: stored.Declared) -> None:
    """Links by which the units' one template finds each part: `by-serial/0007`, `by-serial/0007.worker`."""
    number = units.serial(declared.release)
    os.makedirs(layout.serials, mode=0o755, exist_ok=True)
    for part in {units.WEB, *declared.parts}:
        inner = () if part == units.WEB else ("units", part)
        link = os.path.join(layout.serials, units.name(number, part))
        files.remove(link)
        os.symlink(os.path.join("..", declared.release, *inner), link)


def unlink_serials(layout: Layout, release: str) -> None:
    """Drop those links."""
    number = units.serial(release)
    for name in files.names(layout.serials):
        if name.partition(".")[0] == number:
            files.remove(os.path.join(layout.serials, name))


def make_run(layout: Layout, release: str) -> None:
    """Make the release's run folder, mode 0700, ours; raises `failed` where it isn't."""
    for path in (os.path.dirname(layout.run(release)), layout.run(release)):
        os.makedirs(path, 0o700, exist_ok=True)
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise failed("{} is not a folder of yours".format(path), "remove it, then deploy again")
        os.chmod(path, 0o700)


def _script(part: str) -> str:
    return "start" if part == units.WEB else "units/{}/start".format(part)


def _write_scripts(layout: Layout, declared: stored.Declared) -> None:
    release, settings = declared.release, declared.settings
    texts = {environment.WITHIN: environment.within_script(layout, declared)}
    for part in declared.parts:
        argv = settings["start"] if part == units.WEB else settings["units"][part]
        texts[_script(part)] = environment.start_script(layout, release, argv)
    for name, text in texts.items():
        path = layout.release(release, name)
        folder = os.path.dirname(path)
        if not os.path.isdir(folder):
            os.makedirs(folder, mode=0o755)
        files.place(path, text.encode(), 0o555)


def _link_shared(layout: Layout, declared: stored.Declared) -> None:
    shared = declared.settings["shared"]
    for path in shared["dirs"]:
        access.share(layout, path, path in shared.get("served", ()))
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
