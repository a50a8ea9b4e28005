"""A cell: a program in a control group and in namespaces of its own.

Its mounts and its network interfaces exist only inside: when its last process ends, however it ends, the kernel takes
them apart. The same file is the program that goes in (stdlib only: it is run by its path).
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
"""From linux/sched.h; Python has os.unshare only since 3.12."""

REBOOT = 133
"""The exit status by which systemd-nspawn says that the host wants to boot again."""

KEEPER, INSIDE = "keeper", "inside"
"""Groups below the cell's: of the process that keeps the namespaces, and of the program that it runs."""


def start(cgroup: Path, steps: Iterable[Sequence[str]], program: Sequence[str], log: Path) -> str:
    """Go into `cgroup` and new mount and network namespaces, run `steps` there, then leave `program` running.

    Returns as soon as all steps have run: empty, or what went wrong. `program` writes to `log`; it runs again when it
    ends with `REBOOT`. The groups `keeper` and `inside` must exist below `cgroup`.
    """
    flags = CLONE_NEWNS | CLONE_NEWNET
    return _enter(cgroup=str(cgroup), flags=flags, steps=list(map(list, steps)), program=list(program), log=str(log))


def run(cgroup: Path, steps: Iterable[Sequence[str]]) -> str:
    """Run `steps` in `cgroup` with mounts of their own, on the machine's network; empty, or what went wrong."""
    return _enter(cgroup=str(cgroup), flags=CLONE_NEWNS, steps=list(map(list, steps)), program=[], log=os.devnull)


def _enter(**spec: object) -> str:
    argv = [sys.executable, "-I", "-S", __file__, json.dumps(spec)]
    env = {"PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"}
    env |= {name: value for name, value in os.environ.items() if name.endswith("_proxy")}
    said = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=env,
        cwd="/",
        start_new_session=True,
        check=False,
    )
    if not said.returncode:
        return ""
    return "\n".join(said.stdout.strip().splitlines()[-15:]) or f"exit status {said.returncode}"


def _join(group: Path) -> None:
    (group / "cgroup.procs").write_text("0")


def _keep(group: Path, program: list[str], log: str) -> None:
    """Run `program` until it ends with anything but `REBOOT`."""
    os.setsid()
    for number, flags in ((0, os.O_RDONLY), (1, os.O_WRONLY | os.O_APPEND | os.O_CREAT)):
        os.dup2(os.open(log if number else os.devnull, flags, 0o600), number)
    os.dup2(1, 2)
    status = REBOOT
    while status == REBOOT:
        child = os.fork()
        if not child:
            _join(group)
            os.execvp(program[0], program)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _main(spec: dict[str, object]) -> None:
    cgroup, program = Path(str(spec["cgroup"])), list[str](spec["program"])  # type: ignore[call-overload]
    _join(cgroup / KEEPER)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(spec["flags"]):
        sys.exit(f"unshare: {os.strerror(ctypes.get_errno())}")
    # What is unmounted outside must not stay mounted in here, and what is mounted in here must not show outside.
    for step in [["mount", "--make-rslave", "/"], *spec["steps"]]:  # type: ignore[misc]
        if status := subprocess.run(step, check=False).returncode:
            sys.exit(f"exit status {status}: {' '.join(step)}")
    if program and not os.fork():
        _keep(cgroup / INSIDE, program, str(spec["log"]))


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
