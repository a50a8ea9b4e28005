"""All trials in one run, on hosts of one lab, and the page that tells of them."""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.hosts import run_hosts
from bench.serving import proof
from bench.serving.proof import Pair
from lab.needs import missing

PAGE = Path(__file__).parents[2] / "docs/serving.md"
NEEDED = {"wrk": "apt install wrk"}


def main(folder: Path, times: int) -> None:
    """Try in `folder` with `times` deploys and as many rollbacks of each kind, and write docs/serving.md."""
    absent = [f"{name} ({cure})" for name, cure in NEEDED.items() if shutil.which(name) is None]
    if why := missing() or ", ".join(absent):
        print(f"serving: skipped, it needs {why}" if absent else f"serving: skipped, {why}")
        return
    pairs: list[Pair] = []
    with run_hosts(1) as (host,):
        for kind in proof.PORTS:
            project = proof.prepare(kind, host, folder)
            for number, keep_alive in enumerate((True, False)):
                pairs.append(proof.come_and_go(project, host, times, number + 1, keep_alive=keep_alive))
            if kind in proof.APPLICATIONS:
                _trial, attempts = proof.refuse_bad(project, host)
                print(attempts)
