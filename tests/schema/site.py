"""django-polls in a user's hands: a copy of it with all its releases, on the embedded stage, and its databases."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract.projects import free_port
from postgres import Postgres
from schema.story import ALIASES, EXAMPLE, Visitor, environment, make_releases, schemas
from verbs.project import processes_of

PATIENCE = 300.0
"""Seconds after which a command counts as stuck."""


@dataclass(frozen=True)
class Ended:
    """A `fab` that has ended."""

    exit: int
    events: tuple[dict[str, Any], ...]
    said: str

    @property
    def error(self) -> dict[str, Any]:
        """The one error that was told."""
        (found,) = [event for event in self.events if event["event"] == "error"]
        return found


class Site:
    """The project, its stage, and the names that its databases have on the server."""

    def __init__(self, folder: Path, home: Path, postgres: Postgres | None, name: str) -> None:
        self.folder = folder
        self.home = home
        self.postgres = postgres
        self.names = {alias: f"{name}_{alias}" for alias in ALIASES}
        self.front = f"127.0.0.1:{free_port()}"
        self.visitor = Visitor(self.front)
        self.env = environment(home)

    @property
    def root(self) -> Path:
        """The stage's folder."""
        return self.folder / ".tagship" / "local"

    def begin(self) -> None:
        """The commands of the README, with a port that is free and databases that are empty."""
        shutil.copytree(EXAMPLE, self.folder)
        settings = self.folder / "tagship.yml"
        text = settings.read_text()
        assert text.count("  local:\n") == 1
        settings.write_text(text.replace("  local:\n", f"  local:\n    front: {self.front}\n    drain: 2s\n"))
        make_releases(self.folder, self.env)
        self.set("SECRET_KEY", "only-for-tests")
        if self.postgres is not None:
            for alias, variable in ALIASES.items():
                self.set(variable, self.postgres.create(self.names[alias]))

    def set(self, name: str, value: str) -> None:
        """`fab env set NAME`."""
        done = subprocess.run(
            ["fab", "env", "set", name],
            cwd=self.folder,
            env=self.env,
            input=value,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def fab(self, *words: str, expect: int = 0) -> Ended:
        """`fab WORDS --json` to its end, which must be `expect`."""
        done = subprocess.run(
            ["fab", *words, "--json"],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        said = done.stdout + done.stderr
        assert done.returncode == expect, f"fab {' '.join(words)}: exit {done.returncode}\n{said}"
        return Ended(done.returncode, tuple(json.loads(line) for line in done.stdout.splitlines()), said)

    def schemas(self) -> dict[str, str]:
        """The normalised schema of each database."""
        assert self.postgres is not None
        return schemas(self.postgres, self.names)

    def current(self) -> str | None:
        """The tag that is live."""
        link = self.root / "current"
        return link.readlink().name.partition("-")[2] if link.is_symlink() else None

    def end(self) -> None:
        """Stop what runs, however the test ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._quietly("fab", "stop")
        for pid, _ in processes_of(b"HOME=" + os.fsencode(self.home)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.postgres is not None:
            for name in self.names.values():
                self.postgres.drop(name)
        shutil.rmtree(self.home, ignore_errors=True)

    def _quietly(self, *argv: str) -> None:
        subprocess.run(argv, cwd=self.folder, env=self.env, capture_output=True, timeout=60, check=False)


@contextmanager
def site(folder: Path, postgres: Postgres | None, name: str = "polls") -> Iterator[Site]:
    """A site in `folder`, its databases on `postgres` (SQLite where that is None), gone afterwards."""
    made = Site(folder / "polls", Path(tempfile.mkdtemp(prefix="tagship-")), postgres, name)
    try:
        made.begin()
        yield made
    finally:
        made.end()
