"""What runs on a fleet, heard and spoken to: logs of all hosts in one stream, and commands beside what is live.

Hosts are asked page by page, so nothing piles up here or there: whoever reads slowly is waited for, by the
hosts too.
"""

from __future__ import annotations

import base64
import heapq
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tagship.errors import HostFailed, HostRefused, Interrupted, TagshipError
from tagship.ship.crew import Crew
from tagship.ship.fleet import Fleet, raise_all

WAIT = 2.0
"""Seconds that an agent waits for something to tell, before it is asked again."""
QUICK = 0.1
"""The same while somebody may type something for it."""
_PAGES = 2  # of each host that may wait to be shown


@dataclass(frozen=True)
class Line:
    """One line of output, whole and without secrets."""

    host: str
    unit: str
    """Of a log: the serial, or the serial and the unit (`0007.worker`). Of a command: `out` or `err`."""
    text: str
    at: float | None = None
    """Seconds since the epoch, by that host's clock; `None` where nobody noted it."""


@dataclass(frozen=True)
class Ended:
    """How a command ended on one host."""

    host: str
    status: int | None
    """Its exit status, below 0 the signal that ended it; `None` if it never began, or the link was lost."""
    error: TagshipError | None = None
    """Why there is no status."""

    @property
    def words(self) -> str:
        """The end in a few words."""
        if self.status is None:
            return self.error.what if self.error else "unknown"
        return f"exit status {self.status}" if self.status >= 0 else f"ended by signal {-self.status}"


class Source(Protocol):
    """What a command reads, where only one host runs it."""

    def take(self) -> bytes | None:
        """What has come by now, empty if nothing has; `None` at its end."""


def read_logs(fleet: Fleet, *, lines: int, release: str | None = None) -> Iterator[Line]:
    """The last `lines` lines of the services on each host, of `release` or what is current, all in order of time.

    Lines without a time come host by host. Raises `HostRefused`, also where nothing is current.
    """
    question = {"lines": lines, "release": release, "follow": False, "wait": 0}
    return _merged([_pages(fleet, host, question) for host in fleet.hosts])


def follow_logs(
    fleet: Fleet, *, lines: int, release: str | None, lost: Callable[[TagshipError], None]
) -> Iterator[Line]:
    """As `read_logs`, and then whatever comes, whichever release says it, until the caller has heard enough.

    A host whose link ends is told to `lost`, and the others go on; raises `HostRefused` once none is left.
    """
    question = {"lines": lines, "release": release, "follow": True}
    yield from _merged([_pages(fleet, host, {**question, "wait": 0}) for host in fleet.hosts])
    pages: queue.Queue[list[Line] | TagshipError] = queue.Queue(_PAGES * len(fleet.hosts))

    def listen(host: str) -> None:
        try:
            while True:
                page = _ask(fleet, host, {**question, "wait": WAIT})[0]
                if page:
                    pages.put(page)
        except TagshipError as error:
            pages.put(error)

    for host in fleet.hosts:
        threading.Thread(target=listen, args=(host,), name=f"logs of {host}", daemon=True).start()
    problems: list[TagshipError] = []
    while len(problems) < len(fleet.hosts):
        came = [pages.get()]
        while not pages.empty():
            came.append(pages.get())
        for problem in (one for one in came if isinstance(one, TagshipError)):
            problems.append(problem)
            lost(problem)
        found = [line for page in came if isinstance(page, list) for line in page]
        yield from sorted(found, key=_when)
    raise_all([HostRefused(error.what, host=error.where, cure="fab doctor") for error in problems])


def _merged(streams: Sequence[Iterator[Line]]) -> Iterator[Line]:
    return heapq.merge(*streams, key=_when)


def _when(line: Line) -> float:
    return line.at or 0.0


def _pages(fleet: Fleet, host: str, question: Mapping[str, Any]) -> Iterator[Line]:
    more = True
    while more:
        page, more = _ask(fleet, host, question)
        yield from page


def _ask(fleet: Fleet, host: str, question: Mapping[str, Any]) -> tuple[list[Line], bool]:
    answer = fleet.ask(host, "logs", question)
    found = [Line(host, str(unit), str(text), at) for at, unit, text in answer["lines"]]
    return found, bool(answer["more"])


def run_command(
    fleet: Fleet, argv: Sequence[str], *, tell: Callable[[Line], None], source: Source | None = None
) -> tuple[Ended, ...]:
    """Run `argv` in the environment of what is current on every host, side by side; how it ended on each.

    `tell` hears every line, from several threads. `source` is what the command reads, where the fleet is one host;
    otherwise its input is empty. Raises `Interrupted` on Ctrl-C: closing the fleet ends the commands.
    """

    def one(host: str) -> Ended:
        try:
            fleet.link(host).call("run", {"argv": list(argv)})
            return Ended(host, _converse(fleet, host, tell, source))
        except (HostRefused, HostFailed) as error:
            return Ended(host, None, error)

    crew = Crew(one, fleet.hosts, fleet.parallel)
    try:
        crew.wait()
    except KeyboardInterrupt:
        raise Interrupted("interrupted; the command was ended on every host") from None
    for error in crew.errors.values():
        raise error
    return tuple(crew.results[host] for host in fleet.hosts)


def _converse(fleet: Fleet, host: str, tell: Callable[[Line], None], source: Source | None) -> int:
    link, held, ended = fleet.link(host), b"", source is None
    while True:
        if not held and source is not None and not ended:
            came = source.take()
            ended, held = came is None, came or b""
        question = {
            "input": base64.b64encode(held).decode() or None,
            "eof": ended,
            "wait": WAIT if ended else QUICK,
        }
        answer = link.call("talk", question)
        held = held[int(answer["taken"]) :]
        for stream, text in answer["lines"]:
            tell(Line(host, str(stream), str(text)))
        if answer["status"] is not None:
            return int(answer["status"])
