"""Figures of several tools at the same work: a Markdown table for people, JSON lines for programs."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Figure:
    """How long one tool took for one kind of work, each time: wall seconds of the whole process."""

    work: str
    tool: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def machine() -> str:
    """When and on what this is measured, in one line; the load is what others made of it at this moment."""
    load, kernel = os.getloadavg()[0], platform.release().partition("-")[0]
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{platform.system()} {kernel}, load {load:.1f}"
    )


def print_table(title: str, figures: Sequence[Figure], ours: str, goals: dict[str, float]) -> None:
    """Print both; ratios are ours to the best of the others, beside the `goals` of each kind of work.

    `ours` begins the name of our tool.
    """
    works = list(dict.fromkeys(figure.work for figure in figures))
    tools = list(dict.fromkeys(figure.tool for figure in figures))
    found = {(figure.tool, figure.work): figure for figure in figures}
    print(f"\n{title}\n{machine()}; medians of {len(figures[0].seconds)}, in seconds (least-most)\n")
    print(f"| | {' | '.join(works)} |\n|---|{'---|' * len(works)}")
    for tool in tools:
        print(f"| {tool} | {' | '.join(_cell(found.get((tool, work))) for work in works)} |")
    ratios = [_ratio(work, figures, ours, goals.get(work)) for work in works]
    print(f"| ours to the best of the others | {' | '.join(ratios)} |\n")
    for figure in figures:
        print(json.dumps({"event": "figure", "median": round(figure.median, 3), **asdict(figure)}))


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    return f"{figure.median:.2f} ({min(figure.seconds):.2f}-{max(figure.seconds):.2f})"


def _ratio(work: str, figures: Sequence[Figure], ours: str, goal: float | None) -> str:
    mine = [figure.median for figure in figures if figure.work == work and figure.tool.startswith(ours)]
    others = [figure.median for figure in figures if figure.work == work and not figure.tool.startswith(ours)]
    if not mine or not others:
        return "-"
    return f"{mine[0] / min(others):.2f} x" + (f" (at most {goal:g})" if goal else "")
