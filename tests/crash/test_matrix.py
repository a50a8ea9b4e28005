"""How a run of the matrix counts, and what it takes for a failure."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from crash import page, rows, waiting
from crash.__main__ import run_row
from crash.matrix import ROWS, Row, Trial, Violated

assert rows
HERE = Path(__file__).parents[2]


def trial(tmp_path: Path, *, full: bool = False, seed: int = 1, only: str | None = None) -> Trial:
    return Trial("row", full, seed, tmp_path, only)


def test_a_row_that_waits_fails_once_its_part_lands(monkeypatch: pytest.MonkeyPatch) -> None:
    """It can't be forgotten: from then on the run is red until somebody shows the row."""
    row = Row("later", "it holds", None, waits_for="a part")
    monkeypatch.setitem(waiting.PARTS, "a part", lambda: False)
    assert run_row(row, full=False, seed=1).violations == []
    monkeypatch.setitem(waiting.PARTS, "a part", lambda: True)
    (violation,) = run_row(row, full=False, seed=1).violations
    assert "a part is here" in violation.what


def test_every_row_that_waits_waits_for_a_known_part() -> None:
    """Nobody waits for ever because of a word spelt wrong."""
    assert {row.waits_for for row in ROWS.values() if row.waits_for} <= set(waiting.PARTS)


def test_every_row_of_the_matrix_runs_or_waits() -> None:
    """One or the other; its name is of words and dashes, which a shell needn't quote."""
    for row in ROWS.values():
        assert (row.run is None) == (row.waits_for is not None)
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", row.name), row.name


@pytest.mark.parametrize("error", [Violated("O1: no"), ValueError("a bug of ours"), AssertionError()])
def test_whatever_goes_wrong_at_a_point_is_a_violation(tmp_path: Path, error: Exception) -> None:
    """Also a bug of the harness: it has shown nothing. The row goes on with its next point."""
    run = trial(tmp_path, seed=7)
    for point in (1, 2):
        with run.at(point):
            if point == 1:
                raise error
    assert (run.points, run.repetitions, len(run.violations)) == (2, 2, 1)
    assert (run.violations[0].point, run.violations[0].seed) == ("1", 7)


def test_what_fails_before_the_first_point_is_one_too() -> None:
    """A row that can't begin isn't green."""

    def run(_trial: Trial) -> None:
        raise Violated("nothing deploys at all")

    (violation,) = run_row(Row("row", "it holds", run), full=False, seed=1).violations
    assert violation.what == "nothing deploys at all"


def test_a_violation_is_told_as_it_occurs() -> None:
    """A row takes hours, and may be ended before it has: what it had found by then was seen."""
    told: list[str] = []

    def run(trial: Trial) -> None:
        for point in (1, 2):
            with trial.at(point):
                assert [*told] == ["1"] * (point - 1)
                raise Violated("no")

    found = run_row(Row("row", "it holds", run), full=False, seed=1, tell=lambda one: told.append(one.point))
    assert told == [one.point for one in found.violations] == ["1", "2"]
    assert [one.what for one in found.violations] == ["no", "no"]


def test_points_are_chosen_evenly_and_replayed_alone(tmp_path: Path) -> None:
    """A short pass takes the first, the last and some between; a full one all; a replay just the one."""
    points = list(range(20))
    assert trial(tmp_path).choose(points, quick=4) == [0, 6, 13, 19]
    assert trial(tmp_path, full=True).choose(points, quick=4) == points
    assert trial(tmp_path, only="17").choose(points, quick=4) == [17]
    assert list(trial(tmp_path).times(full=500, quick=3)) == [1, 2, 3]
    assert list(trial(tmp_path, full=True).times(full=500, quick=3)) == list(range(1, 501))
    assert list(trial(tmp_path, only="400").times(full=500, quick=3)) == [400]


def test_chance_is_the_same_in_a_replay(tmp_path: Path) -> None:
    """It follows from row, point and seed, and from each of them."""
    throws = [trial(tmp_path, seed=seed).dice(point).random() for seed in (1, 1, 2) for point in ("a", "b")]
    assert throws[:2] == throws[2:4]
    assert len(set(throws)) == 4


def test_the_lines_are_json(tmp_path: Path) -> None:
    """`--json` tells of each row its name, counts and seed, and what it waits for."""
    done = subprocess.run(
        [sys.executable, "-m", "crash", "--only", "unsigned-tag", "--seed", "3", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (HERE / "tests", HERE)))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == {
        "fault": "unsigned-tag",
        "points": 0,
        "repetitions": 0,
        "violations": 0,
        "seed": 3,
        "waits_for": "signed tags",
    }


def test_the_page_keeps_the_lines_of_rows_that_did_not_run(tmp_path: Path) -> None:
    """A row shown again replaces its line, one that is no row any more loses it, and the order is the matrix's."""
    path = tmp_path / "faults.md"
    known = {
        name: Row(name, "it holds", None, waits_for="schema" if name == "later" else None)
        for name in ("a", "later", "b")
    }
    path.write_text(f"before\n{page.BEGIN}\n| fault | x |\n|---|---|\n| b | 7 |\n| gone | 8 |\n{page.END}\nafter\n")
    run = trial(tmp_path, seed=4)
    run.notes.append("1.5 s")
    for point in (1, 1, 2):
        with run.at(point):
            pass
    shown = [page.Shown(known["a"], run, 90.0), page.Shown(known["later"], trial(tmp_path), 0.0)]
    for _ in range(2):
        page.write(path, known, shown, "2 cores", date(2026, 1, 2))
    assert path.read_text().splitlines() == [
        "before",
        page.BEGIN,
        "The newest of these lines are of 2026-01-02: 2 cores.",
        "",
        f"| {' | '.join(page.HEAD)} |",
        "|---|---|---|---|---|---|---|---|",
        "| a | 2 | 3 | 0 | 4 | 1.5 | 2026-01-02 | 1.5 s |",
        "| later | waits for schema |  |  |  |  | 2026-01-02 |  |",
        "| b | 7 |",
        page.END,
        "after",
    ]
    path.write_text("no place")
    with pytest.raises(ValueError, match="has no lines"):
        page.write(path, known, shown, "2 cores", date(2026, 1, 2))
