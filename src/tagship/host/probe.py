"""Asking a release whether it is well, and the verb `probe`: the proof that it is the one that answers."""

from __future__ import annotations

import socket
import time
from typing import Any, Callable, NamedTuple

from tagship.host import http, presence, stored
from tagship.host.context import Args, Context
from tagship.host.faults import failed, usage
from tagship.host.layout import Layout

_LEAST, _LONGEST = 0.5, 10.0  # seconds for one answer
_GLANCE = 2.0  # seconds for the one answer that a survey waits for
_FIRST, _LAST = 0.01, 0.2  # seconds between two questions, growing


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
    found = presence.owner_of(layout, answer.pid) if answer.pid else None
    if found != release:
        return "the process behind its socket is of {}".format(found or "no release")
    return asked.fault(answer)


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
                "look at the service's log; or raise `app.probe.timeout`",
            )
        context.lifeline.wait(pause)
        pause = min(pause * 1.5, _LAST)


def probe(context: Context, args: Args) -> dict[str, Any]:
    """The verb: the process behind `current` is of this release, and so are the answers through the front door."""
    from tagship.host import survey  # only the verb needs it

    release, front = args.release(), args.text("front")
    layout = context.layout
    asked = of(stored.read(layout, release))
    try:
        http.split_listen(front)
    except ValueError as error:
        raise usage(str(error)) from None
    pids: list[int] = []

    def through_the_front(patience: float) -> str:
        current = survey.read_current(layout)[1]
        if current != release:
            return "`current` names {}".format(current or "nothing")
        with http.connect_unix(presence.public_socket(layout), patience) as connection:
            pid = http.peer(connection)
        owner = presence.owner_of(layout, pid)
        if owner != release:
            return "the process behind `current` is of {}".format(owner or "no release")
        answer = http.ask(lambda timeout: http.connect_tcp(front, timeout), asked.path, asked.host, patience)
        pids.append(pid)
        named = answer.headers.get("tagship-release")
        if named != release:
            return "the front door's answer is of {}".format(named or "no release")
        return asked.fault(answer)

    began = time.monotonic()
    wait_until_well(context, asked, through_the_front, lambda: True)
    return {"pid": pids[-1], "seconds": round(time.monotonic() - began, 3)}
