"""Whole processes timed from outside, and medians told as ratios against a floor of the same run."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Timed:
    """One kind of run: its name and the wall time of each repetition, in seconds."""

    name: str
    seconds: tuple[float, ...]
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def run(argv: Sequence[str], folder: Path, *, env: Mapping[str, str] | None = None) -> tuple[float, str]:
    """Run a command to its end in `folder`; its wall seconds and stdout. Ends with its output if it fails."""
    # As a user has it: with Python's bytecode cache.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    done = subprocess.run(
        argv, cwd=folder, env={**inherited, **(env or {})}, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{' '.join(argv)} exited {done.returncode}:\n{done.stdout}{done.stderr}")
    return seconds, done.stdout


def repeat(name: str, times: int, once: Callable[[int], float], note: str = "") -> Timed:
    """`once(i)` for i in 0..times-1, each giving seconds."""
    return Timed(name, tuple(once(number) for number in range(times)), note)


def table(title: str, rows: Sequence[Timed], floor: Timed) -> None:
    """Print rows as medians, ranges and ratios to the floor's median."""
    print(f"\n{title}   (medians of {len(rows[0].seconds)}; ratio: against {floor.name}, {floor.median:.2f} s)")
    width = max(len(row.name) for row in rows)
    for row in rows:
        low, high = min(row.seconds), max(row.seconds)
        ratio = row.median / floor.median
        print(
            f"  {row.name:<{width}}  {row.median:6.2f} s  [{low:.2f}-{high:.2f}]  {ratio:5.2f} x  {row.note}".rstrip()
        )
