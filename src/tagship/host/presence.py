"""Which processes of a stage's releases live, and whose process answers: looked at, never touched.

A release has parts: `web`, which answers requests, and its units. Which part of which release a process is, its
control group tells where units serve the stage, else its environment.
"""

from __future__ import annotations

import os
from typing import Callable, Optional

from tagship.host import files, http, procs, units
from tagship.host.layout import ID, SOCKET, Layout
from tagship.host.units import WEB

_NOTE = "pid"
Part = tuple[str, str]
"""A release and the name of a part of it."""


def note(layout: Layout, release: str, part: str = WEB) -> str:
    """The file that holds pid and start time of a plain process."""
    name = _NOTE + ".json" if part == WEB else "{}.{}.json".format(_NOTE, part)
    return os.path.join(layout.run(release), name)


def forget(layout: Layout, release: str) -> None:
    """Drop the notes of a release whose processes have ended."""
    for name in files.names(layout.run(release)):
        if name.startswith(_NOTE + "."):
            files.remove(os.path.join(layout.run(release), name))


def find(layout: Layout, release: str, part: str = WEB) -> Optional[procs.Process]:
    """The living process that leads a part of a release: as noted when it was started, else as /proc tells."""
    process = None if layout.ready else _noted(layout, release, part)
    if process is not None:
        return process
    leaders = [pid for pid in parts(layout).get(release, {}).get(part, ()) if layout.ready or procs.leads(pid)]
    return procs.Process.now(leaders[0]) if leaders else None


def live(layout: Layout) -> dict[str, int]:
    """Releases that have a living process, with the pid of what answers requests, else of a unit."""
    return leaders(parts(layout))


def leaders(found: dict[str, dict[str, list[int]]]) -> dict[str, int]:
    """`live`, of what `parts` gave."""
    return {release: (of[WEB] if WEB in of else next(iter(of.values())))[0] for release, of in found.items()}


def parts(layout: Layout) -> dict[str, dict[str, list[int]]]:
    """By release and part, every living process; the one that leads the part comes first."""
    belongs = _belongs(layout)
    found: dict[str, dict[str, list[tuple[int, int]]]] = {}
    for pid in procs.pids():
        part = belongs(pid)
        stat = procs.read_stat(pid) if part else None
        if part and stat is not None and not stat.dead:
            rank = -1 if layout.ready is None and stat.session == pid else stat.start
            found.setdefault(part[0], {}).setdefault(part[1], []).append((rank, pid))
    known = {r: {p: [pid for _, pid in sorted(pids)] for p, pids in ps.items()} for r, ps in found.items()}
    if layout.ready is None:
        _add_noted(layout, known)
    return known


def owner_of(layout: Layout, pid: int) -> Optional[str]:
    """The release that a process belongs to; a plain one also by the session that a part of the release leads."""
    part = _belongs(layout)(pid)
    if part is not None or layout.ready is not None:
        return part[0] if part else None
    stat = procs.read_stat(pid)
    leaders = {pids[0]: release for release, found in parts(layout).items() for pids in found.values()}
    return leaders.get(stat.session) if stat is not None else None


def serving(layout: Layout, release: Optional[str]) -> Optional[str]:
    """The release whose process listens on the socket of `release` (what `current` names), if one does.

    The kernel takes connections for a process that hangs, so this is no proof that anything answers.
    """
    if release is None:
        return None
    try:
        with http.connect_unix(public_socket(layout), 1.0) as connection:
            pid = http.peer(connection)
    except BlockingIOError:  # its queue is full, which is only so where it listens
        return release if release in live(layout) else None
    except OSError:
        return None
    return owner_of(layout, pid)


def public_socket(layout: Layout) -> str:
    """The path of the socket behind `current`, links resolved: only that is short enough to connect to."""
    return os.path.join(os.path.realpath(layout.below("current", "run")), SOCKET)


def _belongs(layout: Layout) -> Callable[[int], Optional[Part]]:
    """What tells of a pid which part of which release it is."""
    if layout.ready is None:
        return lambda pid: _named(layout, procs.environ(pid))
    groups = units.Groups(layout.ready)
    releases = {name.partition("-")[0]: name for name in files.names(layout.releases) if ID.match(name)}

    def by_group(pid: int) -> Optional[Part]:
        found = groups.part(pid)
        return (releases[found[0]], found[1]) if found and found[0] in releases else None

    return by_group


def _named(layout: Layout, environ: dict[bytes, bytes]) -> Optional[Part]:
    """What an environment names, if its socket is one of this stage's."""
    release = os.fsdecode(environ.get(b"TAGSHIP_RELEASE", b""))
    if ID.match(release) and environ.get(b"TAGSHIP_SOCKET") == os.fsencode(layout.socket(release)):
        return release, os.fsdecode(environ.get(b"TAGSHIP_UNIT", b"")) or WEB
    return None


def _noted(layout: Layout, release: str, part: str) -> Optional[procs.Process]:
    process = procs.Process.from_row(files.read_object(note(layout, release, part)).get("process"))
    return process if process is not None and process.alive() else None


def _add_noted(layout: Layout, known: dict[str, dict[str, list[int]]]) -> None:
    """What was noted leads, also where it has overwritten its environment."""
    for release in filter(ID.match, files.names(layout.releases)):
        for name in files.names(layout.run(release)):
            first, *inner = name.split(".")
            if first != _NOTE or inner[-1:] != ["json"]:
                continue
            part = inner[0] if len(inner) > 1 else WEB
            process = _noted(layout, release, part)
            if process is not None:
                pids = known.setdefault(release, {}).setdefault(part, [])
                pids[:] = [process.pid, *(pid for pid in pids if pid != process.pid)]
