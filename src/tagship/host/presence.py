"""Which processes of a stage's releases live, and whose process answers: looked at, never touched."""

from __future__ import annotations

import os
from typing import Optional

from tagship.host import files, http, procs
from tagship.host.layout import ID, SOCKET, Layout

_NOTE = "pid.json"


def note(layout: Layout, release: str) -> str:
    """The file that holds pid and start time of a release's service."""
    return os.path.join(layout.run(release), _NOTE)


def find(layout: Layout, release: str) -> Optional[procs.Process]:
    """The release's living service: as noted when it was started, else as its environment tells."""
    process = procs.Process.from_row(files.read_object(note(layout, release)).get("process"))
    if process is not None and process.alive():
        return process
    leaders = [pid for pid in strangers(layout).get(release, ()) if _leads(pid)]
    return procs.Process.now(leaders[0]) if leaders else None


def live(layout: Layout) -> dict[str, int]:
    """Releases that have a living process, with the pid of their service."""
    found = {}
    for release, pids in strangers(layout).items():
        leaders = [pid for pid in pids if _leads(pid)]
        found[release] = (leaders or pids)[0]
    for release in filter(ID.match, files.names(layout.releases)):
        process = procs.Process.from_row(files.read_object(note(layout, release)).get("process"))
        if process is not None and process.alive():
            found[release] = process.pid
    return found


def strangers(layout: Layout) -> dict[str, list[int]]:
    """By release of this stage, every process whose environment says that it belongs to it."""
    found: dict[str, list[int]] = {}
    for pid in procs.pids():
        release = _names(layout, procs.environ(pid))
        if release:
            stat = procs.read_stat(pid)
            if stat is not None and not stat.dead:
                found.setdefault(release, []).append(pid)
    return found


def _names(layout: Layout, environ: dict[bytes, bytes]) -> Optional[str]:
    """The release that an environment names, if its socket is one of this stage's."""
    release = os.fsdecode(environ.get(b"TAGSHIP_RELEASE", b""))
    if ID.match(release) and environ.get(b"TAGSHIP_SOCKET") == os.fsencode(layout.socket(release)):
        return release
    return None


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


def owner_of(layout: Layout, pid: int) -> Optional[str]:
    """The release that a process belongs to: by its environment, or by the session that its service leads."""
    named = _names(layout, procs.environ(pid))
    if named:
        return named
    stat = procs.read_stat(pid)
    leaders = {leader: release for release, leader in live(layout).items()}
    return leaders.get(stat.session) if stat is not None else None


def _leads(pid: int) -> bool:
    stat = procs.read_stat(pid)
    return stat is not None and stat.session == pid
