"""The service of a release: a plain process in a session of its own, listening on its release's socket."""

from __future__ import annotations

import os
import signal
import time
from typing import Any, NamedTuple, Optional

from tagship.host import drain, files, presence, probe, procs, stored
from tagship.host.context import Args, Context
from tagship.host.environment import secrets
from tagship.host.faults import Problem, failed
from tagship.host.furnish import make_run

_GRACE = 10.0  # seconds between SIGTERM and SIGKILL


def start(context: Context, args: Args) -> dict[str, Any]:
    """Run the release's service, and wait until its own socket gives `passes` good answers in a row."""
    release = args.release()
    layout = context.layout
    declared = stored.read(layout, release)
    asked = probe.of(declared)
    began = time.monotonic()
    process = presence.find(layout, release)
    size = _size(layout.service_log(release))
    if process is None:
        process = _spawn(context, declared)
    try:
        probe.wait_until_well(
            context, asked, lambda patience: probe.ask_own(layout, release, asked, patience), process.alive
        )
    except Problem as problem:
        from tagship.host.masking import mask  # only where there are last words to show

        problem.tail = mask(files.tail(layout.service_log(release), size), secrets(layout, declared))
        raise
    return {"pid": process.pid, "seconds": round(time.monotonic() - began, 3)}


def halt(context: Context, args: Args) -> dict[str, Any]:
    """Wait until nobody is connected to the release's socket, at most `drain` seconds, and stop its process."""
    release, patience = args.release(), args.number("drain")
    began = time.monotonic()
    stopped = stop(context, release, patience)
    if stopped.cut or stopped.killed:
        context.note("halted", release, cut=stopped.cut, killed=stopped.killed)
    return {"seconds": round(time.monotonic() - began, 3), "cut": stopped.cut, "killed": stopped.killed}


class Stopped(NamedTuple):
    """How a process ended."""

    cut: bool
    """Connections were still open when its drain was over."""
    killed: bool
    """SIGTERM was not enough."""


def stop(context: Context, release: str, patience: float) -> Stopped:
    """`halt` with its drain in seconds; with none, nobody is waited for and no connection counts as cut."""
    layout = context.layout
    process = presence.find(layout, release)
    strays = set(presence.strangers(layout).get(release, ()))
    cut = killed = False
    if process is not None or strays:
        cut = patience > 0 and not drain.wait(context.lifeline, layout.socket(release), patience)
        killed = _end(context, process, strays)
    files.remove(layout.socket(release))
    files.remove(presence.note(layout, release))
    context.started.discard(release)
    return Stopped(cut, killed)


def _spawn(context: Context, declared: stored.Declared) -> procs.Process:
    import subprocess  # only where something is started

    release, layout = declared.release, context.layout
    make_run(layout, release)
    files.remove(layout.socket(release))
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    log = os.open(layout.service_log(release), flags, 0o640)
    context.lifeline.check()
    context.started.add(release)
    try:
        child = subprocess.Popen(
            [layout.release(release, "start")],
            env={"TAGSHIP_RELEASE": release, "TAGSHIP_SOCKET": layout.socket(release)},
            cwd=layout.root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    except OSError as error:
        raise failed("the start script doesn't run: {}".format(error.strerror), "look at it on the host") from None
    finally:
        os.close(log)
    process = procs.Process.now(child.pid)
    child.returncode = 0  # it outlives us; `Process.alive` reaps it if it doesn't
    if process is None:
        process = procs.Process(child.pid, 0, procs.boot())
    files.place_json(presence.note(layout, release), {"release": release, "process": process.row()})
    return process


def _end(context: Context, process: Optional[procs.Process], strays: set[int]) -> bool:
    """SIGTERM, and SIGKILL to what is left after 10 s; gives whether that was needed."""
    groups = {process.pid} if process is not None else set()
    known = {pid: procs.Process.now(pid) for pid in strays}

    def lives() -> bool:
        if process is not None:
            process.alive()  # reaps it if it is our child
        return any(procs.group_lives(group) for group in groups) or any(p and p.alive() for p in known.values())

    for number, patience in ((signal.SIGTERM, _GRACE), (signal.SIGKILL, _GRACE)):
        for each in (number, signal.SIGCONT):  # one that is stopped hears of SIGTERM only once it goes on
            for group in groups:
                procs.send_group(group, each)
            for pid, stray in known.items():
                if stray is not None and pid not in groups and stray.alive():
                    procs.send(pid, each)
        deadline = time.monotonic() + patience
        while lives():
            if time.monotonic() > deadline:
                break
            context.lifeline.wait(0.01)
        else:
            return number == signal.SIGKILL
    raise failed("a process doesn't end, even by SIGKILL", "look at it on the host: it hangs in the kernel")


def _size(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0
