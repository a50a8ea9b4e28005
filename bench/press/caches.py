"""Where the other tools are installed, once for all runs: outside the project, by hash."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).with_name("requirements.lock")
PACKAGE = Path(__file__).with_name("package-lock.json")


class Caches:
    """A folder of the user's cache, named by what is locked; nothing is fetched twice."""

    def __init__(self) -> None:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tagship-bench"
        self.base = base
        self.python = base / f"python-{_digest(LOCK)}"
        self.node = base / f"node-{_digest(PACKAGE)}"

    def program(self, name: str) -> Path:
        """A program of the locked Python packages."""
        if not self.python.exists():
            _run(sys.executable, "-m", "venv", str(self.python))
            pip = (str(self.python / "bin/pip"), "install", "--quiet", "--disable-pip-version-check")
            try:
                _run(*pip, "--require-hashes", "-r", str(LOCK))
            except SystemExit:
                shutil.rmtree(self.python)
                raise
        return self.python / "bin" / name

    def modules(self) -> Path:
        """The locked packages of npm."""
        if not (self.node / "node_modules").exists():
            self.node.mkdir(parents=True, exist_ok=True)
            for name in ("package.json", "package-lock.json"):
                shutil.copyfile(PACKAGE.with_name(name), self.node / name)
            _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(self.node))
        return self.node / "node_modules"


def _digest(lock: Path) -> str:
    return hashlib.sha256(lock.read_bytes()).hexdigest()[:12]


def _run(*argv: str) -> None:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise SystemExit(f"there is no {argv[0]}") from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise SystemExit(f"can't be installed: {lines[-1] if lines else 'no reason given'}")
