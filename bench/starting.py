"""How long `fab --list` takes, beside Fabric with an empty fabfile."""

from __future__ import annotations

import sys
from pathlib import Path

from bench import timing

FAB = str(Path(sys.executable).with_name("fab"))


def main(folder: Path, times: int) -> None:
    """Measure in `folder`, `times` times, and print the table."""
    verbs = "deploy, history, plan, releases, rollback, start, status, stop, verify"
    texts = {
        "ours": f"from tagship.verbs.hosts import {verbs}\n",
        "bare": "from invoke import task\n\n\n@task\ndef nothing(c):\n    pass\n",
    }
    rows = []
    for name, text in texts.items():
        home = folder / name
        home.mkdir()
        (home / "fabfile.py").write_text(text)
        called = "fab --list" if name == "ours" else "fab --list, Fabric alone"
        rows.append(timing.repeat(called, times, lambda _n, home=home: timing.run([FAB, "--list"], home)[0]))
    timing.table("Starting", rows, rows[1])
