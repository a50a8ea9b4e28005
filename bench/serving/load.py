"""Load by wrk, which opens its connections at once and asks on each as soon as it has its answer."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("files") / "load.lua"
CONNECTIONS = 64
TIMEOUT = 15
"""Seconds without an answer that count as a failure."""
FOREVER = 3600


@dataclass(frozen=True)
class Answers:
    """What wrk saw; latencies in milliseconds. An answer is torn if it is 200 and not whole."""

    requests: int
    seconds: float
    connect: int
    read: int
    write: int
    timeout: int
    torn: int
    wrong: dict[str, int]
    """Answers by status, of those that weren't 200."""
    seen: dict[str, int]
    """Answers by the tag that they named."""
    p50: float
    p99: float
    worst: float

    @property
    def failed(self) -> int:
        return self.connect + self.read + self.write + self.timeout + self.torn + sum(self.wrong.values())


class Load:
    """wrk at work from when this is made until `stop`."""

    def __init__(self, address: str, paths: Sequence[str], *, keep_alive: bool) -> None:
        argv = ["wrk", "--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{FOREVER}s"]
        argv += ["--timeout", f"{TIMEOUT}s", "--script", str(SCRIPT)]
        if not keep_alive:
            argv += ["--header", "Connection: close"]
        self._wrk = subprocess.Popen(
            [*argv, f"http://{address}/", "--", *paths],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def stop(self) -> Answers:
        """End it and count. Raises `SystemExit` with what it said where it counted nothing."""
        self._wrk.send_signal(signal.SIGINT)
        said, _ = self._wrk.communicate(timeout=60)
        lines = [line for line in said.splitlines() if line.startswith("{")]
        if not lines:
            raise SystemExit(f"wrk: {said.strip()}")
        found = json.loads(lines[-1])
        return Answers(
            requests=found["requests"],
            seconds=found["microseconds"] / 1e6,
            connect=found["connect"],
            read=found["read"],
            write=found["write"],
            timeout=found["timeout"],
            torn=found["torn"],
            wrong=found["wrong"],
            seen=found["seen"],
            p50=found["p50"] / 1e3,
            p99=found["p99"] / 1e3,
            worst=found["max"] / 1e3,
        )
