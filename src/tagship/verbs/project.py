"""The `tagship` command: `tagship init DIR` begins a project."""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tagship
from tagship.report import Report
from tagship.verbs import console


def main(argv: Sequence[str] | None = None) -> None:
    """Read `argv` (the process's own when left out), carry the verb out, and exit with its code."""
    parser = argparse.ArgumentParser(prog="tagship", description="Tag it, ship it.")
    parser.add_argument("--version", action="version", version=f"tagship {tagship.__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    init = verbs.add_parser("init", help="write a small complete project into DIR")
    init.add_argument("dir", type=Path, metavar="DIR")
    init.add_argument("--name", default=None, help="the app's name (the folder's name when left out)")
    init.add_argument(
        "--host",
        action="append",
        default=[],
        help="a machine of the stage `production`: HOST or USER@HOST; repeatable",
    )
    flags = parser.parse_args(argv)

    def work(report: Report) -> dict[str, Any]:
        from tagship.scaffold import init as scaffold  # kept out of `tagship --version`

        today = dt.datetime.now(dt.UTC).date()
        written = scaffold.write(flags.dir, name=flags.name, today=today, hosts=flags.host)
        report.lines(*(str(path) for path in written), *scaffold.next_steps(flags.dir, flags.host))
        return {"outcome": "written", "files": len(written)}

    console.run(work)
