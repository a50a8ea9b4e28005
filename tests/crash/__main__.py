"""`python -m crash [--full] [--only NAME] [--point P] [--seed N] [--json]`: run the matrix of faults."""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

from crash import page, rows
from crash.matrix import ROWS, Row, Trial, Violation
from crash.page import Shown
from crash.waiting import PARTS

from lab.needs import missing

assert rows  # importing them fills the matrix
SEED = 1
PAGE = Path(__file__).parents[2] / "docs" / "faults.md"


def run_row(
    row: Row, *, full: bool, seed: int, only: str | None = None, tell: Callable[[Violation], None] = lambda _: None
) -> Trial:
    """One row, in a scratch folder of its own; `tell` hears of each violation as it occurs."""
    with tempfile.TemporaryDirectory(prefix="tf-") as folder:  # short: sockets lie below it
        trial = Trial(row.name, full, seed, Path(folder).resolve(), only, tell=tell)
        if row.waits_for is not None:
            if PARTS[row.waits_for]():
                trial.violated("-", f"{row.waits_for} is here, and nothing shows this row")
        elif why := lacking(row):
            trial.violated("-", f"not run: {why}")
        else:
            assert row.run is not None
            with trial.told():  # also what its preparations meet
                row.run(trial)
        return trial


def lacking(row: Row) -> str:
    """Why `row` can't run on this machine; empty if it can."""
    return (missing() if row.lab else "") or row.needs()


def main() -> None:
    """Read the command line, run what it names, print a line a row; the exit status is 1 if anything was violated."""
    parser = argparse.ArgumentParser(prog="python -m crash", description=__doc__)
    parser.add_argument("--full", action="store_true", help="all points and repetitions (else a short pass)")
    parser.add_argument("--quick", action="store_true", help="the short pass, which is what happens without --full")
    parser.add_argument("--only", choices=list(ROWS), help="one row")
    parser.add_argument("--point", help="one point of that row, as a violation names it")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--json", action="store_true", help="JSON Lines")
    parser.add_argument("--page", action="store_true", help="write the lines of a full run into docs/faults.md")
    flags = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background, and by all that it starts
    if flags.point is not None and flags.only is None:
        parser.error("--point needs --only")
    if flags.full and flags.quick:
        parser.error("--full or --quick")
    if flags.page and (not flags.full or flags.point is not None):
        parser.error("--page needs --full, and every point of what it tells")
    chosen = [ROWS[flags.only]] if flags.only else [row for row in ROWS.values() if row.quick or flags.full]
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()} {platform.release()}"
    if not flags.json:
        print(f"{'full' if flags.full else 'quick'} run, {date.today()}, seed {flags.seed}, {machine}\n", flush=True)
        print("| fault | points | repetitions | violations | seconds |\n|---|---|---|---|---|", flush=True)
    shown: list[Shown] = []
    for row in chosen:
        began = time.monotonic()
        cry = functools.partial(_cry, row)
        trial = run_row(row, full=flags.full, seed=flags.seed, only=flags.point, tell=cry)
        shown.append(Shown(row, trial, time.monotonic() - began))
        _tell(row, trial, shown[-1].seconds, as_json=flags.json)
        if flags.page:  # after each: a full run takes hours
            page.write(PAGE, ROWS, shown, machine, date.today())
    sys.exit(any(one.trial.violations for one in shown))


def _tell(row: Row, trial: Trial, seconds: float, *, as_json: bool) -> None:
    waits = row.waits_for is not None and not trial.violations
    if as_json:
        counts = {"points": trial.points, "repetitions": trial.repetitions, "violations": len(trial.violations)}
        more = {"waits_for": row.waits_for} if waits else {}
        print(json.dumps({"fault": row.name, **counts, "seed": trial.seed, **more}), flush=True)
    elif waits:
        print(f"| {row.name} | waits for {row.waits_for} | | | |", flush=True)
    else:
        cells = (row.name, trial.points, trial.repetitions, len(trial.violations), f"{seconds:.0f}")
        print("| {} | {} | {} | {} | {} |".format(*cells), flush=True)
    for note in trial.notes:
        print(f"  {row.name}: {note}", file=sys.stderr, flush=True)


def _cry(row: Row, violation: Violation) -> None:
    """Tell of a violation at once, with the words that replay it."""
    print(f"VIOLATED {row.name} --point {violation.point} --seed {violation.seed}", file=sys.stderr)
    print("".join(f"  | {line}\n" for line in violation.what.splitlines()), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
