"""A release as plain processes of the agent's own user, each in a session of its own."""

from __future__ import annotations

import os
import signal
import time

from tagship.host import files, presence, procs, stored
from tagship.host.context import Context
from tagship.host.environment import start_path
from tagship.host.faults import failed
from tagship.host.furnish import make_run
from tagship.host.units import WEB

_GRACE = 10.0  # seconds between SIGTERM and SIGKILL
_MANY = 1000  # lines, so that a secret that is folded over several is whole when it is masked


class Plain:
    """The processes of one release; with `start`, those that don't run yet are started."""

    def __init__(self, context: Context, declared: stored.Declared) -> None:
        self._context = context
        self._layout = context.layout
        self._release = declared.release
        self._sizes = {part: _size(context.layout.service_log(self._release, part)) for part in declared.parts}

    def start(self, missing: list[str]) -> None:
        """Start the parts in `missing`."""
        make_run(self._layout, self._release)
        for part in missing:
            self._spawn(part)

    def how(self, part: str) -> str:  # noqa: ARG002
        """Nobody waits for a process that outlives who started it, so nobody knows."""
        return ""

    def last_words(self, part: str) -> list[str]:
        """Many of the last lines that the part has written since it was started, or looked at, here."""
        return files.tail(self._layout.service_log(self._release, part), self._sizes[part], lines=_MANY)

    def _spawn(self, part: str) -> None:
        import subprocess  # only where something is started

        layout, release = self._layout, self._release
        if part == WEB:
            files.remove(layout.socket(release))
        path = layout.service_log(release, part)
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
        self._context.lifeline.check()
        self._context.started.add(release)
        # What tells whose process it is must be there before `start` has been read.
        env = {"TAGSHIP_RELEASE": release, "TAGSHIP_SOCKET": layout.socket(release)}
        if part != WEB:
            env["TAGSHIP_UNIT"] = part
        try:
            child = subprocess.Popen(
                [start_path(layout, release, part)],
                env=env,
                cwd=layout.root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        except OSError as error:
            raise failed(
                "the start script doesn't run: {}".format(error.strerror), "look at it on the host"
            ) from None
        finally:
            os.close(log)
        process = procs.Process.now(child.pid)
        child.returncode = 0  # it outlives us; `Process.alive` reaps it if it doesn't
        if process is None:
            process = procs.Process(child.pid, 0, procs.boot())
        files.place_json(presence.note(layout, release, part), {"release": release, "process": process.row()})


def end(context: Context, parts: dict[str, list[int]]) -> bool:
    """SIGTERM to every process of `parts`, SIGKILL to what is left after 10 s; gives whether that was needed."""
    groups = {pids[0] for pids in parts.values() if procs.leads(pids[0])}
    known = {pid: procs.Process.now(pid) for pids in parts.values() for pid in pids}

    def lives() -> bool:
        alive = [pid for pid, process in known.items() if process is not None and process.alive()]  # reaps ours
        return bool(alive) or any(procs.group_lives(group) for group in groups)

    for number, patience in ((signal.SIGTERM, _GRACE), (signal.SIGKILL, _GRACE)):
        for each in (number, signal.SIGCONT):  # one that is stopped hears of SIGTERM only once it goes on
            for group in groups:
                procs.send_group(group, each)
            for pid, process in known.items():
                if process is not None and pid not in groups and process.alive():
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
