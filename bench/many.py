"""How the client bears a large fleet: 32 agents and 8 on four hosts, whose long steps only sleep.

A machine that carries four hosts can't carry 32 that install and start something: what takes a host its time is
slept instead, for as long as it was recorded to take. Agents, connections and all that the client does are real.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from bench import timing
from bench.figures import machine
from bench.hosts import own, run_hosts
from bench.project import git, tag
from lab.host import Host
from lab.needs import missing

FAB = str(Path(sys.executable).with_name("fab"))
HOSTS = 4
SIZES = (8, 32)
RECORDED = {"install": 0.34, "smoke": 0.39, "start": 0.43, "drain and stop": 0.39}
"""Seconds of the second tag's steps on one lab host: nine wheels, an unchanged lock (`fab deploy --json`)."""
RATIO, MEGABYTES = 1.5, 200
"""At most: the wall time of 32 to that of 8, and the client's resident memory at 32."""


@dataclass(frozen=True)
class Run:
    """One whole `fab` process: wall and CPU seconds, and its largest resident memory."""

    seconds: float
    cpu: float
    megabytes: float


def main(folder: Path, times: int) -> None:
    """Measure in `folder`, `times` times, and print the table; skips by name what can't run here."""
    if why := missing():
        print(f"many: skipped, {why}")
        return
    home = folder / "project"
    with run_hosts(HOSTS) as hosts:
        _write(home, hosts)
        for size in SIZES:
            _deploy(home, size)
        rows: dict[int, list[Run]] = {size: [] for size in SIZES}
        for number in range(times):
            (home / "number").write_text(f"{number}\n")
            tag(home, f"v1.{number + 1}.0")
            for size in SIZES:
                rows[size].append(_deploy(home, size))
    _print(rows)


def _write(home: Path, hosts: Sequence[Host]) -> None:
    """A site with a hook that sleeps on hosts, and a stage of each size, of as many roots as that takes."""
    sleeps = ["sleep", f"{sum(RECORDED.values()):.2f}"]
    stages = {f"of-{size}": _stage(hosts, size) for size in SIZES}
    settings = {
        "app": {"name": "many"},
        "hooks": [{"run": sleeps, "after": "stage", "on": "hosts"}],
        "site": {"title": "Many", "url": "http://www.example.org"},
        "stages": stages,
    }
    (home / "posts").mkdir(parents=True)
    (home / "tagship.yml").write_text(yaml.safe_dump(settings))
    (home / "fabfile.py").write_text("from tagship.verbs.hosts import deploy\n")
    (home / ".gitignore").write_text(".tagship/\n__pycache__/\n")
    git(home, "init", "--quiet", "--initial-branch=main")
    tag(home, "v1.0.0")


def _stage(hosts: Sequence[Host], size: int) -> dict[str, object]:
    entries = []
    for number in range(size):
        host, root = hosts[number % len(hosts)], f"/srv/of-{size}/{number}"
        own(host, root)
        entries.append(
            {
                "host": host.address,
                "name": f"agent{number:02}",
                "user": "deploy",
                "identity": str(host.identity),
                "known_hosts": str(host.known_hosts),
                "root": root,
                "front": f"127.0.0.1:{9000 + size * 10 + number}",
            }
        )
    return {"service": {"kind": "process"}, "hosts": entries}


def _deploy(home: Path, size: int) -> Run:
    """Deploy to that many agents. Ends the run unless all are live."""
    log = home.parent / f"deploy-{size}.log"
    began = time.perf_counter()
    with log.open("wb") as out:
        fab = subprocess.Popen(
            [FAB, "deploy", "--stage", f"of-{size}", "--json"], cwd=home, stdout=out, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(fab.pid, 0)
    seconds = time.perf_counter() - began
    fab.returncode = os.waitstatus_to_exitcode(status)
    said = log.read_text()
    if fab.returncode:
        raise SystemExit(f"fab deploy --stage of-{size} exited {fab.returncode}:\n{said}")
    live = [host for host in json.loads(said.splitlines()[-1])["hosts"] if host["ok"]]
    if len(live) != size:
        raise SystemExit(f"{len(live)} of {size} are live")
    run = Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
    print(f"  {size} agents: {run}", file=sys.stderr, flush=True)
    return run


def _print(rows: dict[int, list[Run]]) -> None:
    timed = {size: timing.Timed(f"{size} agents", tuple(run.seconds for run in runs)) for size, runs in rows.items()}
    small, large = (timed[size] for size in SIZES)
    print(f"\nA deploy to {SIZES[-1]} agents on {HOSTS} hosts; long steps sleep for {sum(RECORDED.values()):.2f} s")
    print(f"{machine()}\n")
    print("| | seconds, median (least-most) | ratio | client's CPU | client's memory |\n|---|---|---|---|---|")
    for size, each in timed.items():
        low, high = min(each.seconds), max(each.seconds)
        goal = f" (at most {RATIO:g})" if each is large else ""
        limit = f" (at most {MEGABYTES})" if each is large else ""
        cpu = f"{statistics.median(run.cpu for run in rows[size]):.2f} s"
        memory = f"{max(run.megabytes for run in rows[size]):.0f} MB"
        ratio = f"{each.median / small.median:.2f} x"
        print(f"| {each.name} | {each.median:.2f} ({low:.2f}-{high:.2f}) | {ratio}{goal} | {cpu} | {memory}{limit} |")
    for size, runs in rows.items():
        print(json.dumps({"event": "many", "agents": size, "runs": [asdict(run) for run in runs]}))
