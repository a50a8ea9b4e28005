"""The verb `audit`: what a host has beside its releases, against journal and releases. Sent by `fab verify` only.

`current`, what runs and what the front shows; objects and assets; the folders, links and versions that releases live
by. Nothing is changed.
"""

from __future__ import annotations

import os
import stat
from typing import Any, Iterator, Optional

from tagship.host import (
    assets,
    contents,
    door,
    envfile,
    envs,
    files,
    hashes,
    health,
    helper,
    http,
    lock,
    objects,
    presence,
    probe,
    stored,
    survey,
    units,
)
from tagship.host.context import Args, Context
from tagship.host.layout import ID
from tagship.host.tree import walk
from tagship.host.verify import Guard, Row, journal_rows, told

_GLANCE = 2.0
_COMPILED = "agent"  # `loader.KEPT`: the loader itself is no module here
_UNIT_FOLDER = "/etc/systemd/system/"
_OTHERS, _WRITERS = 0o077, 0o022


def audit(context: Context, args: Args) -> dict[str, Any]:
    """Every difference; `lock` is who is at work there, whose doing it may be."""
    holder = lock.read_holder(context.layout.lock)
    found = _Host(context, probe.Front.read(args), busy=holder is not None)
    return {"drift": sorted(told(context.layout.root, found.parts)), "lock": holder}


class _Host:
    """What is on disk of a stage, and what runs."""

    def __init__(self, context: Context, front: Optional[probe.Front], *, busy: bool) -> None:
        self._context = context
        self._layout = context.layout
        self._front = front
        self._busy = busy
        self._rows = journal_rows(context)
        self._standings = context.journal.standings(self._rows)
        self._kind, self._current = survey.read_current(self._layout)
        self._on_disk = [name for name in files.names(self._layout.releases) if self._is_ours(name)]
        self._declared = stored.all_declared(self._layout)
        self._hashes = hashes.of(context)
        self._guard = Guard(self._layout)
        self.parts = (
            self._folders,
            self._journal,
            self._public,
            self._running,
            self._serials,
            self._objects,
            self._assets,
            self._environments,
            self._tools,
        )

    def _is_ours(self, name: str) -> bool:
        path = os.path.join(self._layout.releases, name)
        folder = ID.match(name) and os.path.isdir(path) and not os.path.islink(path)
        return bool(folder) and (name in self._standings or stored.is_ours(self._layout, name))

    def _below(self, path: str) -> str:
        return os.path.relpath(path, self._layout.root)

    def _folders(self) -> Iterator[Row]:
        """The folders that all the rest lies in; what is shared is its owners' business."""
        layout = self._layout
        private = (layout.objects, layout.state, layout.log) if layout.ready is not None else ()
        for path in layout.folders():
            try:
                status = os.lstat(path)
            except OSError:
                yield [self._below(path), "missing"]
                continue
            fault = self._guard.fault(status, is_folder=True) if path not in (layout.shared, layout.root) else ""
            if not stat.S_ISDIR(status.st_mode):
                fault = "not a folder"
            elif path in private and status.st_mode & _OTHERS:
                fault = contents.mode(status)
            if fault:
                yield [self._below(path), fault]
        for path in (layout.journal, layout.lock, layout.owner, os.path.join(layout.state, _COMPILED)):
            if os.path.lexists(path):
                status = os.lstat(path)
                fault = self._guard.fault(status) if stat.S_ISREG(status.st_mode) else "not a regular file"
                if fault:
                    yield [self._below(path), fault]

    def _journal(self) -> Iterator[Row]:
        """Releases that only the journal, or only the disk, knows of."""
        for name, standing in self._standings.items():
            if standing.there and name not in self._on_disk and not self._busy:
                yield ["releases/" + name, "missing: the journal tells of no removal"]
        for name in self._on_disk:
            known = self._standings.get(name)
            if known is None:
                yield ["releases/" + name, "isn't in the journal"]
            elif not known.there and not self._busy:
                yield ["releases/" + name, "is there; the journal tells of its removal"]

    def _public(self) -> Iterator[Row]:
        """`current`: what it is, and whether that is what was flipped to last."""
        flips = [row.get("release") for row in self._rows if row["event"] == "flipped"]
        last = flips[-1] if flips else None
        if self._kind in ("directory", "foreign"):
            yield ["current", "is {}".format("a folder" if self._kind == "directory" else "not a link of tagship's")]
        elif self._current != last and not self._busy:
            said = "the journal's last flip was to {}".format(last or "nothing")
            yield ["current", "{}; {}".format("names " + self._current if self._current else "is missing", said)]
        elif self._current is not None and self._current not in self._on_disk:
            yield ["current", "leads to nothing: {}".format(self._current)]

    def _running(self) -> Iterator[Row]:
        """What is current runs, answers and is shown; nothing else of this stage runs."""
        layout, current = self._layout, self._current
        running = presence.parts(layout)
        for release in sorted(running):
            if release != current and not self._busy:
                parts = ["{} (pid {})".format(part, pids[0]) for part, pids in sorted(running[release].items())]
                yield ["releases/" + release, "isn't current and still runs: {}".format(", ".join(parts))]
        declared = stored.whole(layout, current) if current is not None else None
        if current is None or declared is None:
            return
        serving = presence.serving(layout, current)
        if units.WEB in declared.parts and serving != current:
            yield ["current/run/web.sock", "answered by {}".format(serving or "nobody")]
            return
        _, fault = health.judge(layout, current, declared, serving, running, None)
        if fault:
            yield ["current/run/web.sock" if units.WEB in declared.parts else "current/run", fault]
        for row in self._unit_files(declared) if layout.ready is not None else self._gone(running.get(current, {})):
            yield row
        for row in self._shown(declared):
            yield row

    def _gone(self, parts: dict[str, list[int]]) -> Iterator[Row]:
        """Whoever works in a folder that was removed runs what nobody can look at any more."""
        for part, pids in sorted(parts.items()):
            try:
                where = os.readlink("/proc/{}/cwd".format(pids[0]))
            except OSError:
                continue
            if where.endswith(" (deleted)"):
                yield ["current/run", "{} (pid {}) runs in {}".format(part, pids[0], where)]

    def _unit_files(self, declared: stored.Declared) -> Iterator[Row]:
        """Where systemd has the units from, what was added to them, and whether it has read that again."""
        ready = helper.must(self._layout)
        serial = units.serial(declared.release)
        names = ["{}@{}.service".format(ready.unit, units.name(serial, part)) for part in declared.parts]
        words = ["systemctl", "show", "-p", "Id,FragmentPath,DropInPaths,NeedDaemonReload", *names]
        status, said = helper.quietly(self._context.lifeline, words) if names else (0, [])
        if status:
            yield [ready.unit, "systemd tells nothing of it: {}".format((said or ["no systemctl"])[0])]
            return
        template = "{}{}@.service".format(_UNIT_FOLDER, ready.unit)
        told = set()
        for text in "\n".join(said).split("\n\n"):
            found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
            if found and found.get("FragmentPath") != template:
                told.add((found.get("Id", ready.unit), "made from {}".format(found.get("FragmentPath") or "nothing")))
            if found.get("NeedDaemonReload") == "yes":
                told.add((template, "systemd hasn't read it again since it was changed"))
            for path in found.get("DropInPaths", "").split():
                if path.startswith(("/etc/", "/run/")):  # a distribution's own are below /usr
                    told.add((path, "adds to the units, and fab setup didn't write it"))
        for row in sorted(told):
            yield [*row]

    def _shown(self, declared: stored.Declared) -> Iterator[Row]:
        """Whether the front, where this host has one, shows what is current."""
        if self._front is None or "web" not in declared.record.get("roles", ["web"]):
            return
        asked = probe.of(declared)
        try:
            if self._layout.ready is not None:
                fault = self._front.fault_of_web_server(asked, declared.release, _GLANCE)
            elif door.read(self._layout) is None:
                fault = "the front door doesn't run"
            else:
                answer = self._front.ask(asked, asked.path, _GLANCE)
                named = answer.headers.get("tagship-release")
                fault = "" if named == declared.release else "answers from {}".format(named or "no release")
        except (OSError, ValueError) as error:
            fault = http.words(error)
        if fault:
            yield [self._front.listen, fault]

    def _serials(self) -> Iterator[Row]:
        """The links by which units find their releases."""
        if self._layout.ready is None:
            return
        wanted = {}
        for declared in self._declared:
            serial = units.serial(declared.release)
            for part in {units.WEB, *declared.parts}:
                inner = () if part == units.WEB else ("units", part)
                wanted[units.name(serial, part)] = os.path.join("..", declared.release, *inner)
        number = units.serial(self._current) if self._current is not None else ""
        of_current = {name: target for name, target in wanted.items() if name.partition(".")[0] == number}
        for name in files.names(self._layout.serials):
            path = os.path.join(self._layout.serials, name)
            target = os.readlink(path) if os.path.islink(path) else "no link"
            if target != wanted.get(name):
                yield [self._below(path), "leads to {}".format(target)]
            of_current.pop(name, None)
        for name in sorted(of_current):  # a rollback makes those of its target anew; a reboot makes none
            yield [self._below(os.path.join(self._layout.serials, name)), "missing: a reboot wouldn't start it"]

    def _objects(self) -> Iterator[Row]:
        """Each is what its name says; those that releases are made of are all there."""
        layout = self._layout
        there = set(files.names(layout.objects))
        for name in sorted(there):
            path = os.path.join(layout.objects, name)
            status = os.lstat(path)
            if not objects.KEY.match(name):
                fault = "" if self._busy and name.startswith(".new-") else "not an object"
            elif not stat.S_ISREG(status.st_mode) or self._hashes.of(path, status) != name[:64]:
                fault = "isn't what its name says"
            else:
                wrong = stat.S_IMODE(status.st_mode) != objects.mode(name)
                fault = contents.mode(status) if wrong else self._guard.fault(status)
            if fault:
                yield [self._below(path), fault]
        wanted = {key: declared.release for declared in self._declared for key in declared.objects()}
        for key in sorted(wanted.keys() - there) if not self._busy else ():
            yield ["objects/" + key, "missing: {} has it".format(wanted[key])]

    def _assets(self) -> Iterator[Row]:
        """Those of all releases, and no others; of two contents under one name, any release's."""
        wanted: dict[str, set[str]] = {}
        for declared in self._declared:
            found = assets.of([*declared.rows, *stored.made(self._layout, declared.release)])
            for path, (key, _size) in found.items():
                wanted.setdefault(path, set()).add(key)
        seen = set()
        for found_path, status in walk(self._layout.assets, "") if os.path.isdir(self._layout.assets) else ():
            path = found_path[1:]
            seen.add(path)
            full = os.path.join(self._layout.assets, path)
            hashed = self._hashes.of(full, status) if stat.S_ISREG(status.st_mode) else ""
            if path not in wanted:
                fault = "" if self._busy else "of no release"
            else:
                fault = "" if hashed in {key[:64] for key in wanted[path]} else "changed"
            fault = fault or self._guard.fault(status)
            if fault:
                yield ["assets/" + path, fault]
        for path in sorted(wanted.keys() - seen) if not self._busy else ():
            yield ["assets/" + path, "missing"]

    def _environments(self) -> Iterator[Row]:
        """Files with secrets: who owns and who reads them."""
        layout = self._layout
        kept = {"shared/" + one.settings["env"] for one in self._declared if one.settings.get("env")}
        versions = {self._below(envs.path(layout, version)) for version in envs.versions(layout)}
        for path in sorted(kept | versions):
            fault = envfile.fault(layout.below(*path.split("/")), layout.ready)
            if fault != "ok":
                yield [path, fault]
        folder = layout.below(envs.FOLDER)
        if os.path.lexists(folder):
            status = os.lstat(folder)
            if not stat.S_ISDIR(status.st_mode) or status.st_mode & _WRITERS:
                yield [envs.FOLDER, contents.mode(status)]

    def _tools(self) -> Iterator[Row]:
        """What builds virtualenvs: installers as they were unpacked, wheels by their digests."""
        layout = self._layout
        kept: list[tuple[str, Any]] = []
        for sha256 in files.names(layout.tools):
            note = files.read_object(os.path.join(layout.tools, sha256, "tool.json"))
            names = [name for name in files.names(os.path.join(layout.tools, sha256)) if name != "tool.json"]
            kept += [(os.path.join(layout.tools, sha256, name), note.get("sha256")) for name in names]
        for sha256 in files.names(layout.wheels):
            names = files.names(os.path.join(layout.wheels, sha256))
            kept += [(os.path.join(layout.wheels, sha256, name), sha256) for name in names]
        for path, noted in kept:
            status = os.lstat(path)
            fault = "changed" if self._hashes.of(path, status) != noted else self._guard.fault(status)
            if fault:
                yield [self._below(path), fault]
