"""The table of docs/faults.md: what each row of the matrix showed in its latest full run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from crash.matrix import Row, Trial

BEGIN, END = "<!-- the latest full run -->", "<!-- until here it is written by `inv faults --full --page` -->"
HEAD = ("fault", "points", "repetitions", "violations", "seed", "minutes", "run", "measured on the way")


@dataclass(frozen=True)
class Shown:
    """A row that has run, and how long that took, in seconds."""

    row: Row
    trial: Trial
    seconds: float

    def line(self, day: date) -> str:
        """Its line of the table."""
        if self.row.waits_for is not None and not self.trial.violations:
            return _line((self.row.name, f"waits for {self.row.waits_for}", "", "", "", "", str(day), ""))
        trial = self.trial
        counts = (trial.points, trial.repetitions, len(trial.violations), trial.seed)
        notes = "; ".join(trial.notes).replace("|", "\\|")
        return _line((self.row.name, *map(str, counts), f"{self.seconds / 60:.1f}", str(day), notes))


def write(page: Path, known: Mapping[str, Row], shown: Iterable[Shown], machine: str, day: date) -> None:
    """Put what was `shown` into the page's table, in the order of the `known` rows.

    Rows that didn't run this time keep their line; those that are no rows any more lose it. Raises `ValueError` where
    the page has no place for the table.
    """
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    inside, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no lines `{BEGIN}` and `{END}`")
    lines = {line.split("|")[1].strip(): line for line in inside.splitlines() if line.startswith("| ")}
    lines |= {one.row.name: one.line(day) for one in shown}
    table = [_line(HEAD), "|---" * len(HEAD) + "|", *(lines[name] for name in known if name in lines)]
    said = f"The newest of these lines are of {day}: {machine}."
    page.write_text("\n".join([f"{before}{BEGIN}", said, "", *table, f"{END}{after}"]), encoding="utf-8")


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
