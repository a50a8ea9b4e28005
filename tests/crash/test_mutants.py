"""The harness itself: it sees what is broken on purpose, and nothing where nothing is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from crash.__main__ import lacking
from crash.matrix import ROWS
from crash.mutants import MUTANTS, Mutant, copy

HERE = Path(__file__).parents[2]


def run(package: Path, row: str) -> tuple[dict[str, Any], str]:
    """A short pass of one row with tagship from `package`: its line, and what it said of violations."""
    path = os.pathsep.join(map(str, (package, HERE / "tests", HERE)))
    done = subprocess.run(
        [sys.executable, "-m", "crash", "--only", row, "--json"],
        cwd=HERE,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.stdout.count("\n") == 1, done.stdout + done.stderr
    line = json.loads(done.stdout)
    assert done.returncode == bool(line["violations"]), done.stderr
    return line, done.stderr


def skip_without(row: str) -> None:
    """Skip where the row can't run."""
    if why := lacking(ROWS[row]):
        pytest.skip(why)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_caught(tmp_path: Path, mutant: Mutant) -> None:
    """Its row reports a violation that says what is wrong."""
    skip_without(mutant.row)
    line, said = run(copy(tmp_path, *mutant.patches), mutant.row)
    assert line["violations"] > 0
    assert mutant.says in said, said
    assert "the harness:" not in said


@pytest.mark.parametrize("row", sorted({mutant.row for mutant in MUTANTS}))
def test_a_copy_without_a_mutation_is_not(tmp_path: Path, row: str) -> None:
    """The same rows, the same way of running them, and nothing is broken."""
    skip_without(row)
    line, said = run(copy(tmp_path), row)
    assert line["violations"] == 0, said
