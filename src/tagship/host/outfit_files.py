"""Files and links of root's own.

`file`: `path`, `text`, `mode` (octal), `mark` (what a file of ours holds: one without it isn't replaced), and, if
given, `same` (keys of a JSON file that must not change), `newest` (a line `VERSION = N`: a higher one stays),
`check` (a command that must be content with the new text, `{}` in its place). `link`: `path`, `target`. `aside`: a
site of nginx at `path` that is taken out of service where it is the default one on one of `ports`. `needs`: `path`.
"""

from __future__ import annotations

import json
import os
import re
import stat
from typing import Any, Optional

from tagship.host import files
from tagship.host.context import Args
from tagship.host.faults import refused
from tagship.host.outfit_work import State, Work, in_the_way, mode_of

_TRIAL = "/run/tagship-setup.trial"
_VERSION = re.compile(r"^VERSION = ([0-9]{1,6})$", re.M)
_LISTEN = re.compile(r"^[ \t]*listen[ \t]+([^;#\n]*\bdefault_server\b[^;#\n]*);", re.M)


def look_file(work: Work, row: Args) -> State:  # noqa: ARG001
    """Whether content, owner (root) and mode are as wanted. Raises `refused` for what isn't ours."""
    path, text = row.text("path"), row.text("text")
    found = _lstat(path)
    if found is None:
        return State(True)
    if not stat.S_ISREG(found.st_mode):
        raise in_the_way(path, "is not a regular file")
    old = (files.read(path) or b"").decode(errors="replace")
    if row.text("mark") not in old:
        raise in_the_way(path, "is there, and not of tagship's making")
    _must_be_same(path, old, row.raw().get("same") or {})
    if row.raw().get("newest") and _version(old) > _version(text):
        text = old
    words = []
    if (found.st_uid, found.st_gid) != (0, 0):
        words.append("owner {}:{}".format(found.st_uid, found.st_gid))
    if stat.S_IMODE(found.st_mode) != mode_of(row.text("mode")):
        words.append("mode {:04o}".format(stat.S_IMODE(found.st_mode)))
    return State(bool(words) or old != text, ", ".join(words), old)


def make_file(work: Work, row: Args) -> None:
    """Write it whole; if a `check` isn't content nothing was changed."""
    path, text = row.text("path"), row.text("text")
    old = (files.read(path) or b"").decode(errors="replace")
    if row.raw().get("newest") and _version(old) > _version(text):
        text = old
    if row.raw().get("check"):
        _try(work, row, text)
    work.owe(path, _putting_back(path))
    files.write(path, text.encode(), mode_of(row.text("mode")))


def look_link(work: Work, row: Args) -> State:  # noqa: ARG001
    """Whether it leads to `target`. Raises `refused` for anything but a link."""
    path, target = row.text("path"), row.text("target")
    found = _lstat(path)
    if found is None:
        return State(True)
    if not stat.S_ISLNK(found.st_mode):
        raise in_the_way(path, "is not a link")
    there = os.readlink(path)
    return State(there != target, "" if there == target else "leads to {}".format(there))


def make_link(work: Work, row: Args) -> None:
    """Make it, in place of another one."""
    path = row.text("path")
    _unlink(work, path)
    work.owe(path, lambda: files.remove(path))
    os.symlink(row.text("target"), path)
    files.sync_folder(os.path.dirname(path))


def look_aside(work: Work, row: Args) -> State:  # noqa: ARG001
    """Whether a foreign default site stands in our way. Raises `refused` where taking it away would lose it."""
    path = row.text("path")
    found = _lstat(path)
    text = (files.read(os.path.realpath(path)) or b"").decode(errors="replace") if found else ""
    taken = sorted({port for port in map(_port, _LISTEN.findall(text)) if port in row.texts("ports")})
    if found is None or not taken:
        return State(False)
    ports = ", ".join(taken)
    if not stat.S_ISLNK(found.st_mode):
        what = "{} is the default site on port {} already".format(path, ports)
        raise refused(what, "move it to sites-available and link it, or give this stage `nginx.names`")
    return State(True, "default site on port {}, a link to {}".format(ports, os.readlink(path)))


def make_aside(work: Work, row: Args) -> None:
    """Take the link away; the site itself stays in sites-available."""
    _unlink(work, row.text("path"))


def look_needs(work: Work, row: Args) -> State:  # noqa: ARG001
    """Raises `refused` where a file isn't there."""
    if not os.path.isfile(row.text("path")):
        raise refused("there is no {}".format(row.text("path")), row.text("cure"))
    return State(False)


def make_needs(work: Work, row: Args) -> None:
    """Never asked for: it never differs."""


def _unlink(work: Work, path: str) -> None:
    if os.path.lexists(path):
        target = os.readlink(path)
        work.owe(path, lambda: os.symlink(target, path))
        os.unlink(path)


def _putting_back(path: str) -> Any:
    found, data = _lstat(path), files.read(path)
    if found is None or data is None:
        return lambda: files.remove(path)
    mode, uid, gid = stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid

    def undo() -> None:
        files.write(path, data, mode)
        os.chown(path, uid, gid)
        os.chmod(path, mode)

    return undo


def _try(work: Work, row: Args, text: str) -> None:
    try:
        files.place(_TRIAL, text.encode(), mode_of(row.text("mode")))
        argv = [word.replace("{}", _TRIAL) for word in row.texts("check")]
        work.run(argv, "{} is not content with {}".format(argv[0], row.text("path")), "this is a bug in tagship")
    finally:
        files.remove(_TRIAL)


def _must_be_same(path: str, text: str, same: dict[str, Any]) -> None:
    try:
        there = json.loads(text) if same else {}
    except ValueError:
        there = None
    if not isinstance(there, dict):
        raise in_the_way(path, "is not JSON")
    for name, value in same.items():
        if there.get(name) != value:
            what = "{} belongs to the {} {}, not {}".format(path, name, there.get(name), value)
            cure = (
                "give the app, or the stage, another name; if the {} has changed on purpose, remove that file first"
            )
            raise refused(what, cure.format(name))


def _version(text: str) -> int:
    found = _VERSION.search(text)
    return int(found.group(1)) if found else 0


def _port(listen: str) -> str:
    """The port of a `listen` directive: `80`, `[::]:80`, `10.0.0.1:80`, or 80 for an address alone."""
    return re.sub(r"^.*[:\]]", "", listen.split(maxsplit=1)[0].replace("]:", "]")) or "80"


def _lstat(path: str) -> Optional[os.stat_result]:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None
