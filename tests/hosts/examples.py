"""The projects of examples/, as a new user meets them: what their READMEs say is what is typed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.host import Host

ROOT = Path(__file__).parents[2]
PLACEHOLDER = "host: web1.example.org"
"""The host to fill in, as each tagship.yml has it."""
PATIENCE = 300.0
"""Seconds after which a command counts as stuck."""


@dataclass(frozen=True)
class Example:
    """The project in examples/NAME."""

    name: str

    @property
    def folder(self) -> Path:
        return ROOT / "examples" / self.name

    @property
    def domain(self) -> str:
        """The name to fill in that visitors type."""
        return f"{self.name}.example.org"

    def commands(self, section: str) -> tuple[str, ...]:
        """The commands that its README gives under `## section`, a line each."""
        text = (self.folder / "README.md").read_text(encoding="utf-8")
        parts = re.split(r"(?m)^## (.+)\n", text)
        sections = dict(zip(parts[1::2], parts[2::2], strict=True))
        return tuple(line.strip() for line in sections[section].splitlines() if line.startswith("    "))


class Copy:
    """A copy of an example in a user's home, and the shell that its commands are typed into."""

    def __init__(self, example: Example, home: Path) -> None:
        self.example = example
        self.home = home
        self.folder = ROOT
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "TAGSHIP_"))}
        self.env = {
            **kept,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "HOME": str(home),
            "XDG_CONFIG_HOME": os.environ.get("XDG_CONFIG_HOME", str(Path.home() / ".config")),  # pip's own settings
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            **{f"GIT_{who}_NAME": "Ada" for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_EMAIL": "ada@example.org" for who in ("AUTHOR", "COMMITTER")},
        }

    def type(self, command: str, *, status: int = 0) -> str:
        """Run a line in a shell, which stays in the folder that the line left it in; what it said.

        Fails where it doesn't end with `status`.
        """
        where = self.home / f".{self.example.name}"
        script = f'{command}\nstatus=$?\npwd >"$1"\nexit $status'
        done = subprocess.run(
            ["bash", "-c", script, "bash", str(where)],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        said = done.stdout + done.stderr
        assert done.returncode == status, f"$ {command}\n{said}"
        self.folder = Path(where.read_text().rstrip("\n"))
        return said

    def fill_in(self, host: Host, domain: str) -> None:
        """What the README has a user edit: two names. The key, and the host's, are where ~/.ssh would tell."""
        ssh = self.home / "ssh-config"
        ssh.write_text(f"Host *\n  IdentityFile {host.identity}\n  UserKnownHostsFile {host.known_hosts}\n")
        self.env["TAGSHIP_SSH_CONFIG"] = str(ssh)
        self.replace("tagship.yml", {PLACEHOLDER: f"host: {host.address}"})
        for path in sorted(self.folder.rglob("*")):
            if path.suffix in {".yml", ".py"} and self.example.domain in path.read_text(encoding="utf-8"):
                self.replace(str(path), {self.example.domain: domain})

    def replace(self, name: str, words: Mapping[str, str]) -> None:
        """Put other words into a file; fails where the old ones aren't there exactly once."""
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        for old, new in words.items():
            assert text.count(old) == 1, (name, old)
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")
