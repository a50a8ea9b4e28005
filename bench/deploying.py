"""Deploys over SSH to loopback, whole processes, beside what a home-made fabfile does on the same machine.

The floor does the least that a careful script does: rsync the tree, `python -m venv`, pip from wheels that lie there
already, and one rename of a link. It proves nothing, probes nothing, and can't go back; it is what people have.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from contract.projects import free_port
from contract.sshd import Sshd, missing, run_sshd

from bench import project, timing

FAB = str(Path(sys.executable).with_name("fab"))
LOCK = Path(__file__).with_name("requirements.lock")


def main(folder: Path, times: int) -> None:
    """Measure in `folder`, each kind of run `times` times, and print the table; skips by name what can't run here."""
    if missing():
        print(f"deploys over SSH: skipped, {missing()}")
        return
    with run_sshd(folder / "sshd") as sshd:
        home = folder / "project"
        host = {
            "host": "127.0.0.1",
            "name": "loopback",
            "port": sshd.port,
            "user": sshd.user,
            "identity": str(sshd.identity),
            "known_hosts": str(sshd.known_hosts),
        }
        stage = {
            "name": "bench",
            "service": {"kind": "process"},
            "hosts": [host],
            "root": str(folder / "host"),
            "front": f"127.0.0.1:{free_port()}",
        }
        project.write(home, LOCK.read_text(), [stage])
        _fab(home, "deploy")
        try:
            _measure(home, sshd, folder, times)
        finally:
            _fab(home, "stop")


def _measure(home: Path, sshd: Sshd, folder: Path, times: int) -> None:
    sent: list[int] = []

    def second_tag(number: int) -> float:
        project.edit(home, number + 1)
        seconds, result = _fab(home, "deploy")
        sent.append(int(result["bytes_sent"]))
        return seconds

    def again(_number: int) -> float:
        return _fab(home, "deploy")[0]

    def down(_number: int) -> float:
        seconds, _ = _fab(home, "rollback")
        return seconds

    floor = _floor(home, sshd, folder, times)
    rows = [
        timing.repeat("a tag that changes one file", times, second_tag),
        timing.repeat("the same tag again", times, again),
        timing.repeat("rollback", times - 1, down),
    ]
    rows[0] = timing.Timed(rows[0].name, rows[0].seconds, f"{max(sent) / 1000:.0f} KB sent")
    timing.table(
        "Deploying over SSH: 331 files, 9 wheels, own virtualenv",
        [*rows, *([floor] if floor else [])],
        floor or rows[0],
    )


def _fab(home: Path, verb: str) -> tuple[float, dict[str, object]]:
    seconds, out = timing.run([FAB, verb, "--stage", "bench", "--json"], home)
    return seconds, json.loads(out.splitlines()[-1])


def _floor(home: Path, sshd: Sshd, folder: Path, times: int) -> timing.Timed | None:
    if shutil.which("rsync") is None:
        print("rsync, venv and pip: skipped, needs rsync (apt install rsync)")
        return None
    wheels = folder / "wheels"
    python = "python3"
    timing.run(
        [sys.executable, "-m", "pip", "download", "-q", "--require-hashes", "-r", str(LOCK), "-d", str(wheels)], home
    )
    ssh = ["ssh", "-i", str(sshd.identity), "-p", str(sshd.port), "-o", f"UserKnownHostsFile={sshd.known_hosts}"]
    target = f"{sshd.user}@127.0.0.1"

    def once(number: int) -> float:
        release = folder / "byhand" / str(number)
        install = (
            f"{python} -m venv {release}/venv && {release}/venv/bin/pip install -q --no-index --find-links {wheels} "
            f"--require-hashes -r {release}/app/requirements.lock && ln -sfn {release} {release.parent}/next && "
            f"mv -T {release.parent}/next {release.parent}/current"
        )
        seconds = timing.run([*ssh, target, f"mkdir -p {release}/app"], home)[0]
        seconds += timing.run(
            ["rsync", "-a", "--exclude=.git", "-e", " ".join(ssh), f"{home}/", f"{target}:{release}/app/"], home
        )[0]
        return seconds + timing.run([*ssh, target, install], home)[0]

    return timing.repeat("rsync, python -m venv, pip, ln", times, once, "no build, probe or proof")
