"""The steps of a plan that this machine takes: hooks and pauses, each of which Ctrl-C ends."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Coroutine, Sequence
from pathlib import Path

from tagship.errors import HookFailed, LinkLost, TagshipError
from tagship.events import Event, Listener, note
from tagship.hooking import Function, Occasion
from tagship.ship.crew import Crew, side_by_side
from tagship.ship.fleet import Fleet
from tagship.ship.hooks import Change, Hooks
from tagship.ship.plan import HERE, Step

TAIL = 20
"""Lines of a failing command's output that its error shows."""
LONGEST_LINE = 4096
"""Characters; what is longer is told in pieces."""
LEFT = 1.0
"""Seconds to read what a command has said, once it has ended: a process that it left behind may hold the pipe."""


class Here:
    """Takes steps, one at a time, in a thread of its caller's; `end` comes from another.

    `grace` is seconds: a command that is to end has half of them between SIGTERM and SIGKILL. A hook may take as long
    as a command on a host.
    """

    def __init__(self, change: Change, hooks: Hooks, fleet: Fleet, tell: Listener, *, grace: float) -> None:
        self._change = change
        self._hooks = hooks
        self._fleet = fleet
        self._tell = tell
        self._grace = grace
        self._limit = fleet.pulse.limits("command", {}).seconds
        self._ended = threading.Event()
        self._guard = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._using: set[str] = set()

    def do(self, step: Step) -> None:
        """Take `step`; raises `HookFailed`, or what a host answered to a function's command."""
        if step.verb == "pause":
            self._pause(step)
        elif step.verb == "run":
            self._command(step.args["argv"])
        else:
            self._call(self._hooks.hooks[step.args["number"]], step)

    def end(self) -> None:
        """Nothing more is to happen here: SIGTERM to the process group of a running command, SIGKILL if it stays."""
        self._ended.set()
        self._end_command()

    def _end_command(self) -> None:
        with self._guard:
            process = self._process
            if process is None or process.poll() is not None:
                return
            _signal(process, signal.SIGTERM)
        killer = threading.Timer(self._grace / 2, _signal, (process, signal.SIGKILL))
        killer.daemon = True
        killer.start()

    def cut(self) -> None:
        """Give up the links over which a function has hosts work: their agents kill what they run for it."""
        for host in tuple(self._using):
            self._fleet.link(host).cut()

    def _pause(self, step: Step) -> None:
        total = float(step.args["seconds"])
        began = time.monotonic()
        while (left := total - (time.monotonic() - began)) > 0:
            data = {"step": step.title, "done": int(total - left), "total": int(total), "unit": "s"}
            self._tell(Event("progress", data=data))
            if self._ended.wait(min(left, 1.0)):
                raise HookFailed("the pause was cut short")
            for host in self._change.hosts:
                if not self._fleet.link(host).alive:  # nobody would hear of it before the pause is over
                    raise LinkLost("the connection was lost during the pause", host=host)

    def _call(self, hook: object, step: Step) -> None:
        if not isinstance(hook, Function):
            raise TagshipError(f"`{step.title}` isn't a function")
        crew = Crew(lambda _here: hook.call(self._occasion(hook)), (HERE,), 1)
        if not crew.wait(self._limit):
            self._end_command()
            self.cut()
            what = f"the hook `{hook.name}` did not end within {self._limit:g} s"
            raise HookFailed(what, where=hook.at, cure="mend the function; until it ends, it goes on by itself")
        for error in crew.errors.values():  # whatever it raises is the project's own, and so is what `exit()` raises
            raise error if isinstance(error, TagshipError) else _raised(hook, error) from error
        answer = crew.results[HERE]
        if isinstance(answer, Coroutine):
            answer.close()
            what = f"the hook `{hook.name}` is `async`, and nothing awaits it"
            raise HookFailed(what, where=hook.at, cure="make it a plain function")

    def _occasion(self, hook: Function) -> Occasion:
        change = self._change
        return Occasion(
            verb=change.verb,
            when=hook.when,
            phase=hook.phase,
            stage=change.stage,
            release=change.release,
            tag=change.tag,
            previous=change.previous,
            hosts=change.hosts,
            roles=change.roles,
            on_hosts=self._on_hosts,
            here=self._command,
            say=lambda text: note(self._tell, str(text)),
        )

    def _on_hosts(self, argv: Sequence[str], *hosts: str) -> None:
        _refuse_text(argv)
        chosen = hosts or self._change.hosts
        unknown = [host for host in chosen if host not in self._change.hosts]
        if unknown:
            known = ", ".join(self._change.hosts)
            raise HookFailed(f"no host of this change is called {', '.join(unknown)}", cure=f"its hosts: {known}")
        title = f"run {shlex.join(argv)}"
        args = {"release": self._change.release, "argv": self._change.argv(argv), "title": title}

        def work(host: str) -> None:
            self._refuse_late()
            self._using.add(host)
            try:
                self._fleet.link(host).call("command", args)
            finally:
                self._using.discard(host)

        side_by_side(work, chosen, self._fleet.parallel)

    def _command(self, argv: Sequence[str]) -> None:
        """Run `argv` in the project's folder; whatever it started is gone when it ends."""
        _refuse_text(argv)
        with self._guard:
            self._refuse_late()
            process = self._process = self._started(argv)
        tail: deque[str] = deque(maxlen=TAIL)
        reader = threading.Thread(target=self._listen, args=(process, tail), daemon=True)
        reader.start()
        try:
            in_time = self._await(process)
        finally:
            with self._guard:
                self._process = None
            _signal(process, signal.SIGKILL)
            reader.join(LEFT)
        if not in_time:
            what = f"run {shlex.join(argv)} did not end within {self._limit:g} s"
            raise HookFailed(what, cure="look at why it hangs: its last lines may say", tail=tuple(tail))
        if status := process.returncode:
            how = f"exit status {status}" if status > 0 else f"signal {-status}"
            cure = "mend what its last lines say, or the hook"
            raise HookFailed(f"run {shlex.join(argv)} failed: {how}", cure=cure, tail=tuple(tail))

    def _await(self, process: subprocess.Popen[str]) -> bool:
        """Whether it ends in its time; afterwards it has ended in any case."""
        try:
            process.wait(self._limit)
        except subprocess.TimeoutExpired:
            self._end_command()
            process.wait()
            return False
        return True

    def _started(self, argv: Sequence[str]) -> subprocess.Popen[str]:
        """The programs beside our own Python come first, so that `python` is the one that tagship runs in."""
        beside = str(Path(sys.executable).parent)
        path = os.pathsep.join([beside, os.environ.get("PATH", os.defpath)])
        environment = {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", **self._change.environment()}
        try:
            return subprocess.Popen(
                argv,
                cwd=self._hooks.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            cure = "name a program of PATH, or one of the project's folder that may be executed"
            raise HookFailed(f"run {shlex.join(argv)} failed: {error.strerror}", cure=cure) from None

    def _listen(self, process: subprocess.Popen[str], tail: deque[str]) -> None:
        assert process.stdout is not None
        with contextlib.suppress(ValueError, OSError):  # closed while the last of it was read
            while line := process.stdout.readline(LONGEST_LINE):
                tail.append(line.rstrip("\n"))
                note(self._tell, f"| {tail[-1]}")

    def _refuse_late(self) -> None:
        if self._ended.is_set():
            raise HookFailed("the change that this hook belongs to is being put back")


def _refuse_text(argv: Sequence[str]) -> None:
    if isinstance(argv, str) or not argv or not all(isinstance(word, str) and "\0" not in word for word in argv):
        raise HookFailed(f"{argv!r} is no list of words", cure='a command is a list such as ["git", "status"]')


def _signal(process: subprocess.Popen[str], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # the whole group has ended by itself
        os.killpg(process.pid, number)


def _raised(hook: Function, error: BaseException) -> HookFailed:
    """What a function raised, with its own lines only: ours, above them, are of no use to anybody."""
    frames = traceback.extract_tb(error.__traceback__)[2:]
    lines = [frame.lineno for frame in frames if frame.filename == _file(hook)]
    at = f"{hook.at.rpartition(':')[0]}:{lines[-1]}" if lines else hook.at
    tail = [f"{frame.filename}:{frame.lineno} in {frame.name}: {frame.line}" for frame in frames]
    what = f"the hook `{hook.name}` raised {type(error).__name__}" + (f": {error}" if str(error) else "")
    return HookFailed(what, where=at, cure="mend the function", tail=tail[-TAIL:])


def _file(hook: Function) -> str:
    """The file that a function was written in, as tracebacks name it."""
    return str(getattr(getattr(hook.call, "__code__", None), "co_filename", ""))
