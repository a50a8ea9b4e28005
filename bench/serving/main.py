"""All trials in one run, on hosts of one lab, and the page that tells of them."""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.figures import machine
from bench.hosts import run_hosts
from bench.serving import capistrano, page, proof
from lab.needs import missing

PAGE = Path(__file__).parents[2] / "docs/serving.md"
FEWER = 4
"""Capistrano's trials have that part of our deploys: each takes it some ten seconds."""


def main(folder: Path, times: int) -> None:
    """Try in `folder` with `times` deploys and as many rollbacks of each kind, and write docs/serving.md."""
    if why := missing() or ("" if shutil.which("wrk") else "it needs apt install wrk"):
        print(f"serving: skipped, {why}")
        return
    others = shutil.which("cap") is not None
    pairs, bad, began = [], [], machine()
    with run_hosts(2) as (host, other):
        for kind in proof.PORTS:
            project = proof.prepare(kind, host, folder)
            for number, keep_alive in enumerate((True, False)):
                pairs.append(proof.come_and_go(project, host, times, number + 1, keep_alive=keep_alive))
            if kind in proof.APPLICATIONS:
                bad.append(proof.refuse_bad(project, host))
        trials = capistrano.try_all(other, folder, -(-times // FEWER)) if others else []
        page.write(PAGE, page.Run(began, page.describe(host), pairs, bad, trials))
    print(f"\n{PAGE.read_text()}")
