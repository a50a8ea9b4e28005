"""A client that reads a site without pause while something happens to it, and tells what it saw."""

from __future__ import annotations

import http.client
import itertools
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

RELEASE_HEADER = "Tagship-Release"
FAILURES_KEPT = 5
PAUSE = 0.005
"""Seconds between two requests: enough to leave the processor to what is being watched."""


@dataclass(frozen=True)
class Answer:
    """One answer: its HTTP status, the release that gave it (empty if it doesn't say), and its body."""

    status: int
    release: str
    body: bytes


@dataclass(frozen=True)
class Reading:
    """What was seen: how many requests, how many failed, the first failures in words, answers by release."""

    requests: int
    failed: int
    failures: tuple[str, ...]
    releases: Mapping[str, int]


def get(front: str, path: str, *, timeout: float = 10.0) -> Answer:
    """Ask the front door (`ADDRESS:PORT`) for `path` on a connection of its own; `timeout` is in seconds.

    Raises `OSError` and `http.client.HTTPException`.
    """
    address, _, port = front.rpartition(":")
    connection = http.client.HTTPConnection(address, int(port), timeout=timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers.get(RELEASE_HEADER, ""), answer.read())
    finally:
        connection.close()


class Reader:
    """Reads `paths` in turn, over and over, from entering to leaving; `reading` is there afterwards."""

    def __init__(self, front: str, paths: Sequence[str]) -> None:
        self._front = front
        self._paths = tuple(paths)
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._read, name="reader", daemon=True)
        self._releases: Counter[str] = Counter()
        self._failures: list[str] = []
        self._requests = 0

    @property
    def reading(self) -> Reading:
        """What was seen so far."""
        return Reading(
            self._requests, len(self._failures), tuple(self._failures[:FAILURES_KEPT]), dict(self._releases)
        )

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._enough.set()
        self._thread.join()

    def _read(self) -> None:
        for path in itertools.cycle(self._paths):
            if self._enough.wait(PAUSE):
                return
            self._requests += 1
            try:
                answer = get(self._front, path)
            except (OSError, http.client.HTTPException) as error:
                self._failures.append(f"{path}: {type(error).__name__}: {error}")
                continue
            self._releases[answer.release] += 1
            if answer.status != 200:
                self._failures.append(f"{path}: status {answer.status}")
