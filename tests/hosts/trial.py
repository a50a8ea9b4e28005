"""A machine to itself, for the tests of what a lab leaves behind: whatever is more afterwards is the lab's.

What was mounted outside before can go, together with the folder that it was mounted on, but nothing can come.
Run by `unshare --pid --net --mount`: it prints, as JSON, what the machine looked like at each stage of one trial.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from lab.cgroup import Cgroup, hierarchy
from lab.fleet import Lab

Snapshot = dict[str, list[str]]
PATIENCE = 60.0


def snapshot(runs: Path) -> Snapshot:
    """All that a lab could leave: interfaces, named namespaces, mounts, processes, control groups, files."""
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout.splitlines()
    netns = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout.splitlines()
    group = Lab("any", runs=runs).group.path.parts[0]
    _reap()
    processes = {entry.name: _name(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    return {
        "links": sorted(line.split(":")[1].strip() for line in links),
        "network namespaces": sorted(netns),
        "mounts": sorted(line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()),
        "processes": sorted(f"{pid} {name}" for pid, name in processes.items() if name),
        "control groups": sorted(str(found) for found in Path("/sys/fs/cgroup").glob(f"**/{group}")),
        "files": sorted(path.name for path in runs.iterdir() if path.name != "lock") if runs.exists() else [],
    }


def _name(process: Path) -> str:
    """What it is called; empty if it has ended, whether or not anybody has waited for it."""
    try:
        name, _, rest = (process / "stat").read_text().partition(" (")[2].rpartition(") ")
    except OSError:
        return ""
    return "" if rest[0] in "ZX" else name


def _reap() -> None:
    """This is process 1 here: what lost its parent is ours to wait for."""
    while True:
        try:
            if not os.waitpid(-1, os.WNOHANG)[0]:
                return
        except ChildProcessError:
            return


def begin(runs: Path, name: str, count: int, *, kept: bool) -> subprocess.Popen[str]:
    """Another process that brings a lab up, says so, and then sits there."""
    code = (
        "import sys, pathlib; from lab.fleet import Lab\n"
        f"Lab({name!r}, kept={kept}, runs=pathlib.Path({str(runs)!r})).up({count}); print('up', flush=True); input()"
    )
    argv = [sys.executable, "-c", code]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def kill_when(process: subprocess.Popen[str], ready: Callable[[], bool]) -> None:
    """SIGKILL the process as soon as `ready` says so."""
    deadline = time.monotonic() + PATIENCE
    while not ready():
        assert process.poll() is None, f"it ended with {process.returncode}"
        assert time.monotonic() < deadline, "it didn't get that far"
    process.send_signal(signal.SIGKILL)
    process.wait()


def switch_made(_runs: Path, _name: str) -> bool:
    """The lab is halfway up: there is the cable to its switch, and no host yet."""
    return any(line.startswith("lab-") for line in Path("/proc/net/dev").read_text().splitlines())


def host_begun(runs: Path, name: str) -> bool:
    """The first host boots."""
    return Lab(name, runs=runs).group.child("1").alive()


def down(runs: Path) -> list[Snapshot]:
    """Up in one process, down in another."""
    before = snapshot(runs)
    process = begin(runs, "dev", 2, kept=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.communicate("\n")
    during = snapshot(runs)
    Lab("dev", runs=runs).down()
    return [before, during, snapshot(runs)]


def killed(runs: Path, ready: Callable[[Path, str], bool]) -> list[Snapshot]:
    """The starter dies at a bad moment, and a later `down` finds what it left."""
    before = snapshot(runs)
    kill_when(begin(runs, "dev", 2, kept=True), lambda: ready(runs, "dev"))
    during = snapshot(runs)
    Lab("dev", runs=runs).down()
    return [before, during, snapshot(runs)]


def swept(runs: Path) -> list[Snapshot]:
    """A run of tests dies with its lab up; the next lab, by another name, clears it away, and then itself."""
    before = snapshot(runs)
    process = begin(runs, "first", 1, kept=False)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.kill()
    process.wait()
    during = snapshot(runs)
    second = Lab("second", runs=runs)
    second.up(1)
    assert not Lab("first", runs=runs).folder.exists()
    assert not Cgroup(Lab("first", runs=runs).group.path).folder.exists()
    second.down()
    return [before, during, snapshot(runs)]


TRIALS: dict[str, Callable[[Path], list[Snapshot]]] = {
    "down": down,
    "killed-at-switch": lambda runs: killed(runs, switch_made),
    "killed-at-host": lambda runs: killed(runs, host_begun),
    "swept": swept,
}


def main() -> None:
    """One trial, in this folder; whatever happens, the groups that it made are ended."""
    trial, runs = sys.argv[1], Path(sys.argv[2])
    hierarchy()
    try:
        print(json.dumps(TRIALS[trial](runs)))
    finally:
        for folder in runs.iterdir():
            if folder.is_dir():
                Lab(folder.name, runs=runs).down()


if __name__ == "__main__":
    main()
