"""One run of a whole process and all it starts: wall time, processor time, and the most memory it had at once."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLE = 0.03
"""Seconds between two looks at the memory."""


@dataclass(frozen=True)
class Run:
    """Wall seconds, processor seconds (user and system, of every process), MiB at the most (0: not looked at)."""

    wall: float
    cpu: float
    memory: float = 0.0


def timed(argv: Sequence[str], folder: Path, env: Mapping[str, str]) -> Run:
    """Run a command to its end in `folder`; ends with what it said if it fails."""
    return _run(argv, folder, env, None)


def weighed(argv: Sequence[str], folder: Path, env: Mapping[str, str]) -> Run:
    """The same, looking at its memory all the while, which takes time of its own."""
    return _run(argv, folder, env, _Scale())


def _run(argv: Sequence[str], folder: Path, env: Mapping[str, str], scale: _Scale | None) -> Run:
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    said = folder / ".bench-output"
    with said.open("wb") as out:
        began = time.perf_counter()
        process = subprocess.Popen(argv, cwd=folder, env={**inherited, **env}, stdout=out, stderr=out)
        if scale:
            scale.watch(process.pid)
        # The kernel adds up what the processes used that were waited for.
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(argv)} exited {process.returncode}:\n{said.read_text()[-2000:]}")
    said.unlink()
    return Run(wall, used.ru_utime + used.ru_stime, scale.most() if scale else 0.0)


class _Scale:
    """Adds up the proportional memory of a process and its descendants, again and again."""

    def __init__(self) -> None:
        self.peak = 0
        self.thread: threading.Thread | None = None

    def watch(self, pid: int) -> None:
        self.thread = threading.Thread(target=self._look, args=(pid,))
        self.thread.start()

    def most(self) -> float:
        if self.thread:
            self.thread.join()
        return self.peak / 1024

    def _look(self, pid: int) -> None:
        while total := sum(map(_kilobytes, _family(pid))):
            self.peak = max(self.peak, total)
            time.sleep(SAMPLE)


def _family(pid: int) -> list[int]:
    found = [pid]
    for parent in found:
        try:
            tasks = [path.read_text() for path in Path(f"/proc/{parent}/task").glob("*/children")]
        except OSError:
            continue
        found += [int(child) for children in tasks for child in children.split()]
    return found


def _kilobytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
