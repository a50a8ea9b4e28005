"""What the tools' own configurations read, so that one file does for every fleet and tag."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from bench import timing
from bench.peers.peer import WHEELS, Fleet, Ground

FILES = Path(__file__).with_name("files")
LOCK = Path(__file__).with_name("requirements.lock")
_SERIALS = itertools.count(1)


def surroundings(ground: Ground, fleet: Fleet, tool: str, tag: str, *, action: str = "restart") -> dict[str, str]:
    """Environment variables for one run of a tool; each run's release has a name of its own."""
    host = fleet.hosts[0]
    return {
        "BENCH_HOSTS": ",".join(fleet.addresses),
        "BENCH_ROOT": fleet.root(tool),
        "BENCH_RESTART": fleet.restart(tool, action),
        "BENCH_RELEASE": f"{next(_SERIALS):06}",
        "BENCH_TAG": tag,
        "BENCH_REPOSITORY": ground.repository,
        "BENCH_WHEELS": WHEELS,
        "BENCH_KEY": str(host.identity),
        "BENCH_KNOWN_HOSTS": str(host.known_hosts),
    }


def make_virtualenv(folder: Path) -> str:
    """Install what is locked into a virtualenv at `folder`; why it can't be, in one line, or empty."""
    try:
        timing.run([sys.executable, "-m", "venv", str(folder)], folder.parent)
        pip = [str(folder / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
        timing.run([*pip, "-r", str(LOCK)], folder.parent)
    except SystemExit as error:
        lines = str(error).strip().splitlines()
        return f"can't be installed: {lines[-1] if lines else 'no reason given'}"
    return ""
