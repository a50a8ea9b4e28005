"""Work on several hosts side by side, in threads that never keep the program from ending."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Crew(Generic[T]):
    """`work(host)` for each of `hosts`, at most `parallel` at a time; begins at once.

    `results` holds what was returned, `errors` what was raised, by host. The threads are daemons, and waiting can be
    interrupted: signals reach the main thread while the others work on.
    """

    def __init__(self, work: Callable[[str], T], hosts: Iterable[str], parallel: int) -> None:
        self.results: dict[str, T] = {}
        self.errors: dict[str, BaseException] = {}
        ordered = list(dict.fromkeys(hosts))
        self.busy = set(ordered)
        self._work = work
        self._ended: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._todo: queue.SimpleQueue[str] = queue.SimpleQueue()
        for host in ordered:
            self._todo.put(host)
        for number in range(min(parallel, len(ordered))):
            threading.Thread(target=self._run, name=f"crew {number}", daemon=True).start()

    def wait(self, seconds: float | None = None, *, until: Callable[[], bool] = lambda: False) -> bool:
        """Wait for every host, at most `seconds`, and only while `until()` is false; did all end?

        `until` is asked again whenever a host ends, and after `wake`.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while self.busy and not until():
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                host = self._ended.get(timeout=left)
            except queue.Empty:
                break
            if host is not None:
                self.busy.discard(host)
        return not self.busy

    def wake(self) -> None:
        """Make `wait` ask `until` again; safe in a signal handler."""
        self._ended.put(None)

    def _run(self) -> None:
        while True:
            try:
                host = self._todo.get_nowait()
            except queue.Empty:
                return
            try:
                self.results[host] = self._work(host)
            except BaseException as error:  # every one is kept, and raised or told by the caller
                self.errors[host] = error
            self._ended.put(host)


def side_by_side(work: Callable[[str], T], hosts: Iterable[str], parallel: int) -> dict[str, T]:
    """What `work` returns for each host, in the order of `hosts`; raises the first host's error, if any."""
    ordered = list(hosts)
    crew = Crew(work, ordered, parallel)
    crew.wait()
    for host in ordered:
        if host in crew.errors:
            raise crew.errors[host]
    return {host: crew.results[host] for host in ordered}
