"""Visitors beside the load, each checking every answer: long requests, slow uploads, pages with their assets."""

from __future__ import annotations

import hashlib
import http.client
import random
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

LONG = 10.0
"""Seconds that a long request, a slow upload and a slow download take."""
UPLOAD_BYTES = 4_000_000
PART = 50_000
LINGER = 3.0
"""Seconds, at most, that a visitor reads a page before its assets are fetched."""
PATIENCE = 60.0


@dataclass
class Tally:
    """What one kind of visitor met."""

    name: str
    done: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def failed(self) -> int:
        return len(self.failures)


class Visitors:
    """Visitors of several kinds, each in a thread of its own, from when this is made until `stop`."""

    def __init__(self, visits: Sequence[tuple[str, Callable[[], int], float]]) -> None:
        """`visits`: a name, one visit (how many things it fetched; raises what went wrong), seconds between two."""
        self._ended = threading.Event()
        self.tallies = [Tally(name) for name, _, _ in visits]
        self._threads = [
            threading.Thread(target=self._go_on, args=(tally, visit, pause))
            for tally, (_, visit, pause) in zip(self.tallies, visits, strict=True)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> list[Tally]:
        """Let each end the visit that it is at."""
        self._ended.set()
        for thread in self._threads:
            thread.join()
        return self.tallies

    def _go_on(self, tally: Tally, visit: Callable[[], int], pause: float) -> None:
        while not self._ended.is_set():
            try:
                tally.done += visit()
            except (OSError, http.client.HTTPException, ValueError) as error:
                tally.failures.append(f"{type(error).__name__}: {error}")
            self._ended.wait(pause)


def get(address: str, path: str) -> bytes:
    """A whole 200 answer over a connection of its own. Raises `OSError`, `HTTPException`, `ValueError`."""
    connection = http.client.HTTPConnection(address, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        return _whole(connection.getresponse(), path)
    finally:
        connection.close()


def _whole(response: http.client.HTTPResponse, path: str) -> bytes:
    body = response.read()  # IncompleteRead where it is shorter than it says
    if response.status != 200:
        raise ValueError(f"{path}: {response.status}")
    return body


def ask_long(address: str) -> int:
    """A request that the application takes its time for."""
    said = get(address, f"/slow?{LONG}")
    if not said.endswith(b"whole\n"):
        raise ValueError(f"/slow: {said!r}")
    return 1


def upload(address: str) -> int:
    """A body that comes in slowly; the answer must know all of it."""
    body = random.Random(7).randbytes(UPLOAD_BYTES)
    connection = http.client.HTTPConnection(address, timeout=PATIENCE)
    try:
        connection.putrequest("POST", "/upload")
        connection.putheader("Content-Type", "application/octet-stream")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        for start in range(0, len(body), PART):
            connection.send(body[start : start + PART])
            time.sleep(LONG * PART / len(body))
        said = _whole(connection.getresponse(), "/upload")
    finally:
        connection.close()
    if hashlib.sha256(body).hexdigest().encode() not in said:
        raise ValueError(f"/upload: {said!r}")
    return 1


def download(address: str, path: str, digest: str) -> int:
    """A file that is read slowly, so that it is under way across flips."""
    connection = http.client.HTTPConnection(address, timeout=PATIENCE)
    found = hashlib.sha256()
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        size = int(response.headers["Content-Length"])
        while part := response.read(PART):
            found.update(part)
            time.sleep(LONG * len(part) / size)
    finally:
        connection.close()
    if response.status != 200 or found.hexdigest() != digest:
        raise ValueError(f"{path}: {response.status}, other bytes than were sent")
    return 1


def read_page(address: str, path: str) -> int:
    """A page, and a while later its assets, which must be those that it was made with; how many files."""
    page = get(address, path).decode()
    tag = re.search(r"tag=(\S+)", page)
    assets = re.findall(r"""["'](/assets/[^"']+)["']""", page)
    if not tag or not assets:
        raise ValueError(f"{path}: no page of ours")
    time.sleep(random.random() * LINGER)
    for asset in assets:
        if f"tag={tag[1]} ".encode() not in get(address, asset):
            raise ValueError(f"{asset} isn't of {tag[1]}")
    return 1 + len(assets)
