"""The short pass of the matrix, a row a test: `inv faults` prints the same as a table."""

from __future__ import annotations

import os

import pytest
from crash import rows
from crash.__main__ import SEED, lacking, run_row
from crash.matrix import ROWS

assert rows  # importing them fills the matrix
ASKED = os.environ.get("LAB") == "1" or os.environ.get("CI") == "true"
QUICK = [pytest.param(row.name, marks=[pytest.mark.lab] if row.lab else []) for row in ROWS.values() if row.quick]


@pytest.mark.parametrize("name", [param for param in QUICK if ASKED or not ROWS[str(param.values[0])].lab])
def test_a_fault_is_survived(name: str) -> None:
    """Every oracle holds at every point of the short pass; each violation says how it is replayed."""
    row = ROWS[name]
    if why := lacking(row):
        pytest.skip(why)
    trial = run_row(row, full=False, seed=SEED)
    for note in trial.notes:
        print(f"{name}: {note}")
    assert not trial.violations, "\n".join(
        f"inv faults --only {name} --point '{one.point}' --seed {one.seed}\n{one.what}" for one in trial.violations
    )
    if row.waits_for is None:
        assert trial.repetitions, "a row that tried nothing has shown nothing"
