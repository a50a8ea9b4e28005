"""Asking a release whether it is well, and the verb `probe`: the proof that it is the one that answers."""

from __future__ import annotations

import os
import socket
import stat
import time
from typing import Any, Callable, NamedTuple, Optional

from tagship.host import http, presence, stored, units
from tagship.host.context import Args, Context
from tagship.host.faults import Problem, failed, usage
from tagship.host.layout import Layout

_LEAST, _LONGEST = 0.5, 10.0  # seconds for one answer
_GLANCE = 2.0  # seconds for the one answer that a survey waits for
_FIRST, _LAST = 0.01, 0.2  # seconds between two questions, growing
WHICH = "/.well-known/tagship-release"
"""Where a web server of the host's own says, to the host itself only, which release it serves."""
APPLICATION = "/.well-known/tagship-application"
"""What stands before a path there to ask the application, also where the site has a file of that name."""
_LONGEST_ID = 64
_ANYBODY_WRITES = 0o002


class Probe(NamedTuple):
    """What counts as well."""

    path: str
    status: int
    timeout: float
    """Seconds within which `passes` good answers in a row must have come."""
    passes: int
    host: str

    def fault(self, answer: http.Answer) -> str:
        """What is wrong with an answer; empty if nothing is."""
        if answer.status == self.status:
            return ""
        return "GET {} answered {}, not {}".format(self.path, answer.status, self.status)


def of(declared: stored.Declared) -> Probe:
    """How a release wants to be asked: as its tag said, whatever a newer tag says."""
    return read(Args(declared.settings).inner("probe"))


def read(args: Args) -> Probe:
    """A `Probe` as it travels; raises `usage`."""
    path, host = args.text("path"), args.text("host")
    if not path.startswith("/") or any(c in path + host for c in "\r\n "):
        raise usage("a probe's path begins with / and has no blanks")
    timeout, passes = args.number("timeout"), args.number("passes", 1)
    return Probe(path, int(args.number("status")), float(timeout), int(passes), host)


def ask_own(layout: Layout, release: str, asked: Probe, patience: float) -> str:
    """Ask a release once on its own socket, for at most `patience` seconds; gives its fault, empty if it is well.

    Raises `OSError` or `ValueError` where nothing, or no HTTP, answers.
    """
    path = layout.socket(release)
    answer = http.ask(lambda timeout: http.connect_unix(path, timeout), asked.path, asked.host, patience)
    if layout.ready is not None and not os.lstat(path).st_mode & _ANYBODY_WRITES:
        return _SHUT.format(stat.S_IMODE(os.lstat(path).st_mode))
    found = presence.owner_of(layout, answer.pid) if answer.pid else None
    if found != release:
        return "the process behind its socket is of {}".format(found or "no release")
    return asked.fault(answer)


_SHUT = (
    "its socket has mode {:04o}, which keeps nginx out: have the application make it 0666 "
    "(gunicorn and uvicorn do; waitress: --unix-socket-perms 666)"
)


def look(layout: Layout, declared: stored.Declared) -> str:
    """What is wrong with a release that is current, asked once as its own tag said; empty if nothing is."""
    asked = of(declared)
    try:
        return ask_own(layout, declared.release, asked, _GLANCE)
    except socket.timeout:
        return "GET {} had no answer within {:g} s".format(asked.path, _GLANCE)
    except (OSError, ValueError) as error:
        return "GET {}: {}".format(asked.path, http.words(error))


def wait_until_well(context: Context, probe: Probe, ask: Callable[[float], str], alive: Callable[[], bool]) -> None:
    """Ask until `passes` answers in a row had no fault; raises `failed` with the last fault at the deadline.

    `ask(seconds)` gives a fault in words, or none, within that time; `alive` False ends it at once.
    """
    context.takes(probe.timeout)
    deadline = time.monotonic() + probe.timeout
    passed, pause = 0, _FIRST
    while True:
        context.lifeline.check()
        was_alive = alive()
        try:
            fault = ask(min(max(deadline - time.monotonic(), _LEAST), _LONGEST))
        except (OSError, ValueError) as error:
            fault = http.words(error)
        passed = 0 if fault else passed + 1
        if passed >= probe.passes:
            return
        if not was_alive:
            raise failed("the process ended before it answered", "the last lines of its log say why")
        if time.monotonic() > deadline:
            raise failed(
                "not well within {:g} s: {}".format(probe.timeout, fault or "too few good answers in a row"),
                "mend what the last lines of its log say; or, if it is only slow, raise `app.probe.timeout`",
            )
        context.lifeline.wait(pause)
        pause = min(pause * 1.5, _LAST)


class Front(NamedTuple):
    """Where the world asks."""

    listen: str
    """`ADDRESS:PORT`."""
    tls: bool = False
    name: Optional[str] = None
    """The host to ask for there, where it isn't the probe's."""

    @staticmethod
    def read(args: Args) -> "Optional[Front]":
        """`front`, `tls` and `host` of a question; `None` where the host answers no requests. Raises `usage`."""
        listen = args.optional("front")
        if listen is None:
            return None
        try:
            http.split_listen(listen)
        except ValueError as error:
            raise usage(str(error)) from None
        return Front(listen, bool(args.raw().get("tls")), args.optional("host"))

    def listens(self) -> bool:
        """Whether anything does."""
        try:
            http.connect_tcp(self.listen, 1.0).close()
        except OSError:
            return False
        return True

    def ask(self, probe: Probe, path: str, patience: float, wanted: int = 0) -> http.Answer:
        """Ask it once; raises as `http.ask`."""
        host = self.name or probe.host
        tcp = http.connect_tcp
        connect = (lambda seconds: http.connect_tls(self.listen, host, seconds)) if self.tls else None
        return http.ask(connect or (lambda seconds: tcp(self.listen, seconds)), path, host, patience, wanted)

    def fault_of_web_server(self, probe: Probe, release: str, patience: float) -> str:
        """What is wrong where a web server of the host's own stands in front; empty if nothing is.

        It serves the `id` of what `current` names, so it tells which release it follows.
        """
        answer = self.ask(probe, WHICH, patience, wanted=_LONGEST_ID)
        if answer.status != 200 or answer.body.decode("utf-8", "replace").strip() != release:
            named = answer.body.decode("utf-8", "replace").strip() if answer.status == 200 else ""
            found = "names {}".format(named[:60]) if named else "answered {}".format(answer.status)
            return "{} at {} {}, not {}".format(WHICH, self.listen, found, release)
        return ""


def probe(context: Context, args: Args) -> dict[str, Any]:
    """The verb: `current` names the release, all its parts live, and through the front it is what answers."""
    release, front = args.release(), Front.read(args)
    declared = stored.read(context.layout, release)
    proof = Proof(context.layout, declared, front)
    began = time.monotonic()
    from tagship.host import service  # which asks us

    runner = service.runner_of(context, declared)
    try:
        wait_until_well(context, proof.asked, proof.fault, lambda: True)
    except Problem as problem:
        if declared.parts:
            service.add_last_words(context, declared, problem, runner, declared.parts[0])
        raise
    return {"pid": proof.pid, "seconds": round(time.monotonic() - began, 3)}


class Proof:
    """That a release is the one that is public; `fault` says why it isn't, empty if it is."""

    def __init__(self, layout: Layout, declared: stored.Declared, front: Optional[Front]) -> None:
        self.asked = of(declared)
        self.pid: Optional[int] = None
        self._layout = layout
        self._declared = declared
        self._front = front

    def fault(self, patience: float) -> str:
        """One look at all of it."""
        return self._current() or self._socket(patience) or self._parts() or self._public(patience)

    def _current(self) -> str:
        from tagship.host import survey  # only the verb needs it

        current = survey.read_current(self._layout)[1]
        return "" if current == self._declared.release else "`current` names {}".format(current or "nothing")

    def _socket(self, patience: float) -> str:
        if units.WEB not in self._declared.parts:
            return ""
        with http.connect_unix(presence.public_socket(self._layout), patience) as connection:
            owner = presence.owner_of(self._layout, http.peer(connection))
        if owner == self._declared.release:
            return ""
        return "the process behind `current` is of {}".format(owner or "no release")

    def _parts(self) -> str:
        running = presence.parts(self._layout).get(self._declared.release, {})
        idle = [part for part in self._declared.parts if part not in running]
        self.pid = next((running[part][0] for part in self._declared.parts if part in running), None)
        return "its `{}` doesn't run".format(idle[0]) if idle else ""

    def _public(self, patience: float) -> str:
        """Which release the front answers from, tagship's own front door says in a header of each answer."""
        if self._front is None:
            return ""
        if self._layout.ready is not None:
            return self._through_nginx(self._front, patience)
        answer = self._front.ask(self.asked, self.asked.path, patience)
        named = answer.headers.get("tagship-release")
        if named != self._declared.release:
            return "the front door's answer is of {}".format(named or "no release")
        return self.asked.fault(answer)

    def _through_nginx(self, front: Front, patience: float) -> str:
        """It serves this release's files, reaches its application, and answers the probe as it would anybody."""
        fault = front.fault_of_web_server(self.asked, self._declared.release, patience)
        if not fault and units.WEB in self._declared.parts:
            fault = self.asked.fault(front.ask(self.asked, APPLICATION + self.asked.path, patience))
            fault = fault and "nginx asked the application: " + fault
        return fault or self.asked.fault(front.ask(self.asked, self.asked.path, patience))
