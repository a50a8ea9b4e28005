"""The verb `verify`: a release against everything that was ever recorded of it. Sent by `fab verify` only.

Its manifest vouches for the tag's files, RECORD for the virtualenv's, the seal for what commands made and for the
release's own papers, the journal for manifest and seal. Nothing is changed.
"""

from __future__ import annotations

import os
import pwd
import stat
from typing import Any, Callable, Iterable, Iterator, Optional

from tagship.host import contents, envs, files, hashes, lock, rows, stored
from tagship.host.context import Args, Context
from tagship.host.faults import Problem
from tagship.host.layout import Layout
from tagship.host.tree import FOLDER_MODE, walk

Row = list[str]
"""A path, and what is wrong with it, in words."""
_LATER = ("heads", "steps", "squashed")
"""Of release.json, what its own code said of its schema once it was there: the seal has that too."""
_OWN = (stored.DECLARED, stored.SEALED, stored.RECORD, "id", "within", "start", "units", "venv", "run")
_PAPER_MODE, _SCRIPT_MODE = 0o444, 0o555
NOT_SEALED = "not in the release"


def journal_rows(context: Context) -> list[dict[str, Any]]:
    """The journal's rows; read once while nobody appends."""
    try:
        seen = os.lstat(context.layout.journal)
    except OSError:
        return []
    now = (seen.st_ino, seen.st_size, seen.st_ctime_ns)
    known, found = context.opened.get("rows", (None, []))
    if known != now:
        found = context.journal.rows()
        context.opened["rows"] = now, found
    rows_found: list[dict[str, Any]] = found
    return rows_found


def told(root: str, parts: Iterable[Callable[[], Iterable[Row]]]) -> Iterator[Row]:
    """All rows of `parts`; where one of them can't look further, that is a row too."""
    for part in parts:
        try:
            for row in part():
                yield row
        except OSError as error:
            path = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else root
            yield [os.path.relpath(path, root), "can't be looked at: {}".format(error.strerror or error)]


class Guard:
    """Who may own and write what is deployed."""

    def __init__(self, layout: Layout) -> None:
        self._service: Optional[int] = None
        self._owner = os.lstat(layout.releases).st_uid
        if layout.ready is not None:
            self._service = layout.ready.gid
            self._owner = pwd.getpwnam(layout.ready.row["deploy"]).pw_uid

    def fault(self, status: os.stat_result, *, is_folder: bool = False) -> str:
        """What is wrong with owner and mode; setgid is what folders inherit."""
        if status.st_uid != self._owner:
            return "owned by uid {}".format(status.st_uid)
        if stat.S_ISLNK(status.st_mode):
            return ""
        never = stat.S_ISUID | stat.S_ISVTX if is_folder else contents.NEVER
        by_service = status.st_gid == self._service and status.st_mode & stat.S_IWGRP
        return contents.mode(status) if status.st_mode & (never | stat.S_IWOTH) or by_service else ""


def verify(context: Context, args: Args) -> dict[str, Any]:
    """Compare all that is in a release's folder with what was recorded; answers every difference, sorted.

    What is being staged right now is nobody's drift.
    """
    release = args.release()
    layout = context.layout
    folder = layout.release(release)
    at_work = lock.read_holder(layout.lock)
    if at_work is not None and not os.path.lexists(os.path.join(folder, stored.SEALED)):
        return {"drift": []}
    context.lifeline.check()
    try:
        declared = stored.read(layout, release)
    except Problem as problem:
        return {"drift": [[stored.DECLARED, problem.what]] if os.path.isdir(folder) else []}
    found: dict[str, Row] = {}
    for row in _Release(context, declared).faults():
        found.setdefault(row[0], row)  # of a path that is wrong in two ways, the first says enough
    return {"drift": [found[path] for path in sorted(found)]}


class _Release:
    """One release, as it was recorded and as it is."""

    def __init__(self, context: Context, declared: stored.Declared) -> None:
        self._layout = context.layout
        self._declared = declared
        self._name = declared.release
        self._folder = self._layout.release(self._name)
        self._sealed = files.read_object(os.path.join(self._folder, stored.SEALED))
        self._rows = [row for row in journal_rows(context) if row.get("release") == self._name]
        self._hashes = hashes.of(context)
        self._guard = Guard(self._layout)

    def faults(self) -> Iterator[Row]:
        """Every difference."""
        parts = (self._papers, self._top, self._tree, self._folders, self._virtualenv, self._around)
        return told(self._folder, parts)

    def _hash(self, name: str) -> str:
        path = os.path.join(self._folder, name)
        try:
            return self._hashes.of(path, os.lstat(path))
        except OSError:
            return ""

    def _noted(self, event: str, key: str) -> Any:
        return next((row.get(key) for row in reversed(self._rows) if row["event"] == event), None)

    def _papers(self) -> Iterator[Row]:
        """Seal and manifest by the journal, the other papers and the scripts by the seal."""
        sealed = self._noted("staged", "sealed")
        if not self._sealed:
            yield [stored.SEALED, "missing: it was never sealed, and can't be started; the next deploy removes it"]
        elif sealed is not None and sealed != self._hash(stored.SEALED):
            yield [stored.SEALED, "changed"]
        declared = self._noted("staging", "manifest")
        papers = {**self._sealed.get("papers", {}), **self._sealed.get("scripts", {})}
        if declared is not None and declared != self._declared.manifest:
            yield [stored.DECLARED, "isn't what was declared, as the journal tells"]
            papers.pop(stored.DECLARED, None)
        told = files.read_object(os.path.join(self._folder, stored.RECORD))
        if {key: told.get(key) for key in told if key not in _LATER} != self._declared.record:
            yield [stored.RECORD, "changed"]
            papers.pop(stored.RECORD, None)
        for name, sha256 in papers.items():
            if self._hash(name) != sha256:
                yield [name, "changed" if os.path.lexists(os.path.join(self._folder, name)) else "missing"]

    def _top(self) -> Iterator[Row]:
        """What lies beside the rooms: names, kinds, modes and owners."""
        links = self._sealed.get("links")
        for name in files.names(self._folder):
            path = os.path.join(self._folder, name)
            status = os.lstat(path)
            fault = self._guard.fault(status, is_folder=stat.S_ISDIR(status.st_mode))
            if links is not None and name in links:
                same = stat.S_ISLNK(status.st_mode) and os.readlink(path) == links[name]
                fault = "" if same else "isn't the link to {}".format(links[name])
            elif links is not None and name not in _OWN and name not in rows.ROOMS:
                fault = NOT_SEALED
            elif not fault and stat.S_ISREG(status.st_mode):
                fault = "" if stat.S_IMODE(status.st_mode) in (_PAPER_MODE, _SCRIPT_MODE) else contents.mode(status)
            if fault and name not in rows.ROOMS:
                yield [name, fault]
        for name in links or ():
            if not os.path.lexists(os.path.join(self._folder, name)):
                yield [name, "missing"]
        for room in rows.ROOMS:
            if room not in (links or ()) and not os.path.isdir(os.path.join(self._folder, room)):
                yield [room, "missing"]
        scripts = self._sealed.get("scripts", {})
        for path, status in walk(os.path.join(self._folder, "units"), "units") if self._has_units() else ():
            fault = contents.mode(status) if stat.S_IMODE(status.st_mode) != _SCRIPT_MODE else ""
            if path not in scripts or fault:
                yield [path, fault if path in scripts else NOT_SEALED]

    def _has_units(self) -> bool:
        return os.path.isdir(os.path.join(self._folder, "units"))

    def _tree(self) -> Iterator[Row]:
        of_tag = {row[0]: row for row in self._declared.rows}
        of_host = {row[0]: row for row in self._sealed.get("made", [])}
        for path, status in contents.tree(self._folder):
            if path in of_tag:
                what = contents.fault_of_object(self._folder, of_tag.pop(path), status, self._hashes.of)
            elif path in of_host:
                what = contents.fault(self._folder, of_host.pop(path), status, self._hashes.of)
                what = what or self._mode(path, status)
            else:
                what = NOT_SEALED
            what = what or self._guard.fault(status)
            if what:
                yield [path, what]
        for path in {**of_tag, **of_host}:
            yield [path, "missing"]

    def _folders(self) -> Iterator[Row]:
        """Empty folders that nobody sealed, modes other than they had, and owners."""
        own: Optional[dict[str, int]] = self._sealed.get("folders")
        above = rows.above(row[0] for row in [*self._declared.rows, *self._sealed.get("made", [])])
        filled = rows.above(path for path, _ in contents.tree(self._folder))
        seen = set()
        for path, status in contents.folders(self._folder):
            seen.add(path)
            fault = self._guard.fault(status, is_folder=True)
            if own is not None and path not in own and path not in above:
                fault = NOT_SEALED if path not in filled else ""
            elif own is not None and stat.S_IMODE(status.st_mode) != own.get(path, FOLDER_MODE):
                fault = contents.mode(status)
            if fault:
                yield [path, fault]
        for path in own or ():
            if path not in seen and path not in above and path not in rows.ROOMS:
                yield [path, "missing"]

    def _virtualenv(self) -> Iterator[Row]:
        venv = os.path.join(self._folder, "venv")
        named = set()
        compiled, others = self._sealed.get("bytecode", {}), self._sealed.get("venv")
        for path, what in contents.virtualenv(venv, compiled, others, self._hashes.of):
            named.add("venv/" + path)
            yield ["venv/" + path, what]
        for path, status in contents.folders_below(venv, "venv"):
            fault = self._guard.fault(status, is_folder=True) or self._mode(path, status)
            if fault:
                yield [path, fault]
        for path, status in walk(venv, "venv") if os.path.isdir(venv) and not os.path.islink(venv) else ():
            fault = (self._guard.fault(status) or self._mode(path, status)) if path not in named else ""
            if fault:
                yield [path, fault]

    def _mode(self, path: str, status: os.stat_result) -> str:
        """Another mode than it was sealed with: what its service can't read, or can't run, doesn't start again."""
        sealed = self._sealed.get("modes")
        if sealed is None or stat.S_ISLNK(status.st_mode):
            return ""
        was = sealed.get(path, contents.usual(status.st_mode))
        return contents.mode(status) if stat.S_IMODE(status.st_mode) != was else ""

    def _around(self) -> Iterator[Row]:
        """Its links out of the release, and what they lead to."""
        layout, run = self._layout, os.path.join(self._folder, "run")
        if not os.path.islink(run) or os.readlink(run) != layout.run(self._name):
            yield ["run", "doesn't point to {}".format(layout.run(self._name))]
        env = os.path.join(self._folder, envs.LINK)
        if os.path.islink(env) and not os.path.isfile(env):
            yield [envs.LINK, "leads to nothing"]
        shared = self._declared.settings["shared"]
        for path in shared["links"]:
            if not os.path.exists(os.path.join(layout.shared, path)):
                yield ["shared/" + path, "missing"]
        for path in shared["dirs"]:
            if not os.path.isdir(os.path.join(layout.shared, path)):
                yield ["shared/" + path, "missing"]
