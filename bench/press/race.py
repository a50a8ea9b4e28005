"""The same blog by every tool in turn, cold: wall time, processor time and memory, as ratios to Hugo's."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from bench.figures import Figure, machine
from bench.press import tools
from bench.press.caches import Caches
from bench.press.measuring import Run, timed, weighed
from bench.press.tools import Tool

GOALS = {1_000: {"python-markdown": 0.95, "commonmark": 0.4}, 10_000: {"python-markdown": 0.85, "commonmark": 0.22}}
"""By the number of posts and our engine: at most this many times Hugo's wall time."""
SLOW = 2_000
"""From so many posts on, only Hugo is measured beside ours: the others take minutes each time."""


def main(folder: Path, times: int, count: int = 1_000) -> None:
    """Measure `count` posts in `folder`, `times` times by each tool in turn, and print the table."""
    present = list(_present(folder, count))
    runs: dict[str, list[Run]] = {tool.name: [] for tool in present}
    files: dict[str, int] = {}
    for tool in present:
        # Once for nothing: programs and posts are then in the kernel's cache for all alike, and pages are checked.
        _cold(tool, timed)
        files[tool.name] = tool.check(count)
    for turn in range(times):
        for tool in [*present[turn % len(present) :], *present[: turn % len(present)]]:
            run = _cold(tool, timed)
            runs[tool.name].append(run)
            print(f"  {tool.name}: {run.wall:.2f} s, {run.cpu:.2f} s of processor", file=sys.stderr, flush=True)
    memory = {tool.name: _cold(tool, weighed).memory for tool in present}
    _print(count, runs, files, memory)


def _present(folder: Path, count: int) -> Iterator[Tool]:
    caches = Caches()
    makers: list[Callable[[], Tool]] = [
        lambda: tools.hugo(folder, count, caches),
        lambda: tools.ours(folder, count, "python-markdown"),
        lambda: tools.ours(folder, count, "commonmark"),
    ]
    if count < SLOW:
        makers += [
            lambda: tools.eleventy(folder, count, caches),
            lambda: tools.pelican(folder, count, caches),
            lambda: tools.nikola(folder, count, caches),
        ]
    for make in makers:
        try:
            yield make()
        except SystemExit as error:
            print(f"skipped, {error}")


def _cold(tool: Tool, measure: Callable[..., Run]) -> Run:
    tool.forget()
    return measure(tool.argv, tool.home, tool.env)


def _print(
    count: int, runs: dict[str, Sequence[Run]] | dict[str, list[Run]], files: dict[str, int], memory: dict[str, float]
) -> None:
    """A Markdown table for people; JSON lines for programs."""
    first = next(iter(runs))
    walls = {name: statistics.median(run.wall for run in each) for name, each in runs.items()}
    cpus = {name: statistics.median(run.cpu for run in each) for name, each in runs.items()}
    print(
        f"\nCold, {count:,} posts of 3 KB, the same pages\n{machine()}; medians of {len(runs[first])} (least-most)\n"
    )
    print(
        "| | seconds | to Hugo | processor seconds | to Hugo | MiB at most | files |\n|---|---|---|---|---|---|---|"
    )
    for name, each in runs.items():
        least, most = min(run.wall for run in each), max(run.wall for run in each)
        goal = next((goal for engine, goal in GOALS.get(count, {}).items() if name.endswith(engine)), None)
        told = f" (at most {goal:g})" if goal else ""
        print(
            f"| {name} | {walls[name]:.2f} ({least:.2f}-{most:.2f}) | {walls[name] / walls[first]:.2f} x{told} "
            f"| {cpus[name]:.2f} | {cpus[name] / cpus[first]:.2f} x | {memory[name]:.0f} | {files[name]} |"
        )
    print()
    for name, each in runs.items():
        print(
            json.dumps(
                {"event": "figure", **asdict(Figure(f"cold, {count} posts", name, tuple(r.wall for r in each)))}
            )
        )
