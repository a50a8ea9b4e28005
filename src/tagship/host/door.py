"""The verbs `front` and `unfront`: the front door's process, started from the archive this agent came in."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from typing import Any, NamedTuple, Optional

from tagship.host import boot, files, http, procs
from tagship.host.context import Args, Context
from tagship.host.faults import failed, refused, usage
from tagship.host.layout import Layout

_BACKLOG = 1024
_GRACE = 10.0  # seconds for open connections to end


class Door(NamedTuple):
    """A front door that runs."""

    listen: str
    process: procs.Process


def read(layout: Layout) -> Optional[Door]:
    """The front door that runs for this stage, if one does: as noted, or as its command line says."""
    note = files.read_object(layout.front)
    process = procs.Process.from_row(note.get("process"))
    listen = note.get("listen")
    if process is not None and isinstance(listen, str) and process.alive():
        return Door(listen, process)
    return _search(layout)


def _search(layout: Layout) -> Optional[Door]:
    """Look for a door whose agent was killed before it could write its note."""
    for pid in procs.pids():
        words = (files.read("/proc/{}/cmdline".format(pid)) or b"").split(b"\0")[:-1]
        if len(words) > 4 and words[-4] == b"front" and words[-2] == os.fsencode(layout.root):
            process = procs.Process.now(pid)
            if process is not None:
                return Door(os.fsdecode(words[-1]), process)
    return None


def front(context: Context, args: Args) -> dict[str, Any]:
    """Have the front door listen at `listen`; one that listens elsewhere is stopped once the new one does."""
    listen = args.text("listen")
    layout = context.layout
    running = read(layout)
    if running is not None and running.listen == listen:
        return {"pid": running.process.pid, "started": False}
    listener = _listen(listen)
    try:
        process = _spawn(layout, listen, listener)
    finally:
        listener.close()
    files.place_json(layout.front, {"listen": listen, "process": process.row()})
    if running is not None:
        _stop(context, running.process)
    return {"pid": process.pid, "started": True}


def unfront(context: Context, args: Args) -> dict[str, Any]:  # noqa: ARG001
    """Stop the front door, if it runs: it takes no new client at once, and open ones have a moment to end."""
    running = read(context.layout)
    if running is not None:
        _stop(context, running.process)
    files.remove(context.layout.front)
    return {}


def _stop(context: Context, process: procs.Process) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        procs.send(process.pid, number)
        deadline = time.monotonic() + _GRACE
        while process.alive():
            if time.monotonic() > deadline:
                break
            context.lifeline.wait(0.01)
        else:
            return
    raise failed("the front door doesn't end, even by SIGKILL", "look at it on the host")


def _listen(listen: str) -> socket.socket:
    try:
        host, port = http.split_listen(listen)
    except ValueError as error:
        raise usage(str(error)) from None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise refused(
            "the front door can't listen at {}: {}".format(listen, error), "mend `front` of the stage"
        ) from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise refused(
            "the front door can't listen at {}: {}".format(listen, error.strerror),
            "stop what uses that address, or set another `front` for this stage",
        ) from None
    return listener


def _spawn(layout: Layout, listen: str, listener: socket.socket) -> procs.Process:
    import subprocess  # only where something is started

    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    log = os.open(os.path.join(layout.log, "front.log"), flags, 0o640)
    try:
        child = subprocess.Popen(
            [*boot.argv(sys.executable), "front", str(listener.fileno()), layout.root, listen],
            env={"PATH": os.environ.get("PATH", os.defpath), "HOME": os.path.expanduser("~")},
            cwd=layout.root,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
    finally:
        os.close(log)
    if child.stdin is not None:
        with child.stdin as pipe:
            pipe.write(boot.greeting())
    child.returncode = 0  # it outlives us
    process = procs.Process.now(child.pid)
    if process is None:
        raise failed("the front door ended at once", "state/log/front.log on the host says why")
    return process
