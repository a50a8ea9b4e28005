"""`build:` commands: run in the scratch copy, with the locked tools on PATH and nothing else of ours.

Their environment is small and the same everywhere: an empty home, UTC, the C.UTF-8 locale, the commit's time as
SOURCE_DATE_EPOCH. Tokens and settings of whoever deploys don't reach them.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from tagship.errors import CommandFailed
from tagship.events import Listener, note
from tagship.release import disk, pip, wheels
from tagship.release.hostpython import HostPython
from tagship.release.lockfile import Lock
from tagship.release.wheelcache import Wheel

_TAIL = 20
_TAIL_BYTES = 16_384
_READY = "tagship-ready"
_MEND = "mend it, commit, and make a new tag; its last lines are below"


def run_all(
    commands: Sequence[Sequence[str]], folder: Path, *, work: Path, tools: Path, epoch: int, progress: Listener
) -> None:
    """Run each of `commands` in `folder`, one after the other.

    `work` is a scratch folder for their home and temporary files, `tools` the virtualenv that comes first on PATH,
    `epoch` the commit's time in seconds since 1970. Raises `CommandFailed` with the last lines of the one that fails.
    """
    environment = environment_of(work, tools, epoch)
    for argv in commands:
        note(progress, f"build: {shlex.join(argv)}")
        run(argv, folder, environment)


def environment_of(work: Path, tools: Path, epoch: int) -> dict[str, str]:
    """The whole environment of a build command; its folders are made below `work`."""
    places = {"HOME": work / "home", "TMPDIR": work / "tmp"}
    for place in places.values():
        place.mkdir(exist_ok=True)
    return {
        "PATH": f"{tools / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "VIRTUAL_ENV": str(tools),
        **{name: str(place) for name, place in places.items()},
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "SOURCE_DATE_EPOCH": str(epoch),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def run(
    argv: Sequence[str], folder: Path, environment: Mapping[str, str], *, where: str = "build", cure: str = _MEND
) -> None:
    """Run one command with a umask of 022; whatever it started is gone when it ends, and when we are interrupted.

    Raises `CommandFailed`.
    """
    with disk.scratch("tagship-out-") as place, (place / "output").open("w+b") as output:
        try:
            process = subprocess.Popen(
                argv,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                umask=0o022,
                start_new_session=True,
            )
        except OSError as error:
            raise CommandFailed(
                f"`{argv[0]}` can't be run ({error.strerror})",
                argv=argv,
                status=127,
                where=where,
                cure="name a program of the build lock, of PATH, or of the tag (and commit it executable)",
            ) from None
        try:
            status = process.wait()
        finally:
            _end(process)
        if status != 0:
            ended = f"ended with status {status}" if status > 0 else f"was killed by signal {-status}"
            raise CommandFailed(
                f"`{shlex.join(argv)}` {ended}",
                argv=argv,
                status=status,
                where=where,
                cure=cure,
                tail=_last_lines(output),
            )


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # the whole group has ended by itself (macOS says EPERM for a zombie)
    process.wait()


def _last_lines(output: IO[bytes]) -> tuple[str, ...]:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - _TAIL_BYTES))
    return tuple(output.read().decode("utf-8", "replace").splitlines()[-_TAIL:])


def tools_for(lock: Lock, cache: Path, *, extra_dir: Path | None, progress: Listener) -> Path:
    """A virtualenv with the packages of `lock` for this machine, made once for each lock and Python.

    Two processes that want the same one make it once. Raises as `wheels.select_and_fetch` does, and `CommandFailed`.
    """
    chosen = wheels.select_and_fetch(lock, HostPython.here(), cache, extra_dir=extra_dir, progress=progress)
    text = "\n".join([sys.version, sys.base_prefix, *sorted(wheel.sha256 for wheel in chosen)])
    venv = cache / "tools" / hashlib.sha256(text.encode()).hexdigest()[:32]
    if (venv / _READY).is_file():
        return venv
    with disk.locked(venv.with_name(f"{venv.name}.lock")), disk.refusals(venv):
        if not (venv / _READY).is_file():
            disk.remove(venv)
            _make(venv, chosen, lock)
            (venv / _READY).touch()
    return venv


def _make(venv: Path, chosen: Sequence[Wheel], lock: Lock) -> None:
    argv = [sys.executable, "-m", "venv", "--without-pip", str(venv)]
    made = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    failed: tuple[str, ...] = ()
    if made.returncode != 0:
        failed = tuple(made.stderr.decode("utf-8", "replace").splitlines()[-_TAIL:]) or ("python -m venv failed",)
    elif chosen:
        failed = pip.install([wheel.path for wheel in chosen], venv)
    if failed:
        disk.remove(venv)
        raise CommandFailed(
            "the virtualenv of the build tools can't be made",
            argv=argv,
            status=made.returncode,
            where=lock.path,
            cure="the last lines say why; install python3-venv if venv is missing",
            tail=failed,
        )


def project_wheel(folder: Path, *, work: Path, tools: Path, epoch: int, cache: Path) -> Wheel:
    """The project's own wheel, built from the copy at `folder` by its build backend, which the build lock has.

    Raises `CommandFailed` when the backend fails, and `BundleRefused` when it makes anything but one wheel.
    """
    made = work / "wheel"
    made.mkdir()
    argv = [sys.executable, "-m", "pip", "--python", str(tools / "bin" / "python"), "wheel", "--no-deps"]
    argv += ["--no-build-isolation", "--no-index", "--no-cache-dir", "--no-input", "--wheel-dir", str(made), "."]
    cure = "its build backend must be in the `build_lock`; the last lines are below"
    run(argv, folder, environment_of(work, tools, epoch), where="app.package", cure=cure)
    return wheels.take_built(made, cache)
