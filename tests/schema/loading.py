"""Load by wrk on one address, and how many of its requests failed."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

CONNECTIONS = 16
FOREVER = 3600


@dataclass
class Seen:
    """What wrk counted, once it has ended."""

    requests: int = 0
    failed: int = 0
    """Answers other than 2xx and 3xx, and connections, reads and writes that failed or came too late."""


@contextmanager
def load(url: str) -> Iterator[Seen]:
    """wrk at work on `url` as long as the block lasts."""
    argv = ["wrk", "--threads", "1", "--connections", str(CONNECTIONS), "--timeout", "20s"]
    seen = Seen()
    with subprocess.Popen(
        [*argv, "--duration", f"{FOREVER}s", url], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield seen
        finally:
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=60)
    seen.requests = int(_one(r"(\d+) requests in", said))
    seen.failed = int(_one(r"Non-2xx or 3xx responses: (\d+)", said))
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    seen.failed += sum(map(int, errors.groups())) if errors else 0


def _one(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1] if found else "0"
