"""The one place that runs pip, our own interpreter's; it fetches and installs, and decides nothing.

Which files may come is settled before: each line it gets is one pinned name with its hashes and no marker, and
what it gives back is checked again (`wheels`). Where packages come from is the user's pip configuration.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tagship.release.hostpython import HostPython
from tagship.release.lockfile import Pin

_MEDDLING = (
    "CONSTRAINT", "REQUIREMENT", "REQUIREMENTS", "NO_BINARY", "ONLY_BINARY", "TARGET", "PREFIX", "ROOT", "USER",
    "DEST", "PLATFORM", "PYTHON", "PYTHON_VERSION", "ABI", "IMPLEMENTATION", "REQUIRE_VIRTUALENV", "DRY_RUN", "LOG",
    "EDITABLE", "PRE", "NO_DEPS", "QUIET", "VERBOSE",
)  # fmt: skip
"""pip reads `PIP_X` for any option `--x`; these would change what is fetched, not only from where."""


@dataclass(frozen=True)
class Fetched:
    """What a `pip download` came to."""

    ok: bool
    said: tuple[str, ...]
    """The last lines it wrote."""
    offline: bool = False
    """The index could not be reached."""
    mismatch: bool = False
    """The index offers other bytes than the lock's hashes."""
    only_source: bool = False
    """The version exists, but only as source."""
    needs_python: str = ""
    """The Python it asks for, where that is why: `>=3.12`."""


def download(pins: Sequence[Pin], host: HostPython, folder: Path) -> Fetched:
    """Fetch one wheel for each of `pins` that `host` takes into `folder`, which also gets a log.

    One run may carry many pins: with `--no-deps`, no markers and every name pinned, no line can change another's
    answer, and the caller checks that all are there.
    """
    lines = (f"{pin} {' '.join(f'--hash=sha256:{digest}' for digest in sorted(pin.hashes))}\n" for pin in pins)
    requirements = folder / "requirements.txt"
    requirements.write_text("".join(lines), encoding="utf-8")
    log = folder / "pip.log"
    wheels = folder / "wheels"
    words = ["download", "--no-deps", "--only-binary=:all:", "--require-hashes", "--no-input", "--retries=2"]
    words += ["--progress-bar=off", f"--log={log}", f"--dest={wheels}", f"--implementation={host.implementation}"]
    words += [f"--python-version={host.markers['python_full_version'].rstrip('+')}"]
    words += [f"--abi={abi}" for abi in host.abis] + [f"--platform={platform}" for platform in host.platforms]
    done = _run([*words, "-r", str(requirements)])
    said = _lines(done.stderr)
    if done.returncode == 0:
        return Fetched(True, said)
    text = log.read_text("utf-8", "replace") if log.exists() else done.stderr
    return _failed(text, said, pins[0].version if len(pins) == 1 else "")


def install(wheels: Iterable[Path], venv: Path) -> tuple[str, ...]:
    """Install wheel files into the virtualenv `venv` without index or dependencies; what pip said if it failed,
    else nothing."""
    words = ["--python", str(venv / "bin" / "python"), "install", "--no-deps", "--no-index", "--no-compile"]
    done = _run([*words, "--no-input", "--quiet", *map(str, wheels)])
    return () if done.returncode == 0 else _lines(done.stderr) or (f"pip ended with status {done.returncode}",)


def _run(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name.removeprefix("PIP_") not in _MEDDLING}
    return subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *words],
        env=kept | {"PYTHONWARNINGS": "ignore", "PYTHONSAFEPATH": "1", "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


def _failed(log: str, said: tuple[str, ...], version: str) -> Fetched:
    """Read pip's log; why one pin's own `version` has no wheel can only be told where it was asked for alone."""
    needs = re.search(rf"[ ;]{re.escape(version)} Requires-Python ([^;\n]+)", log) if version else None
    return Fetched(
        False,
        said,
        offline="connection broken by" in log or "Max retries exceeded" in log or "ConnectionError" in log,
        mismatch="DO NOT MATCH THE HASHES" in log,
        only_source=bool(version) and _has_source(log, version) and f"-{version}-" not in log,
        needs_python=needs[1].strip() if needs else "",
    )


def _has_source(log: str, version: str) -> bool:
    return re.search(rf"No sources permitted for .*-{re.escape(version)}\.(tar\.|zip)", log) is not None


def _lines(text: str) -> tuple[str, ...]:
    """The last lines, passwords in addresses left out."""
    return tuple(re.sub(r"://[^/@\s]+@", "://", line) for line in text.strip().splitlines()[-10:])
