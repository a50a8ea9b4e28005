"""A stage of lab hosts for `fab setup`, and a hand-made release to see what a host that is ready makes of it."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab.host import Host

APP = {"name": "blog", "start": "serve {socket}", "shared": {"dirs": ["data", "media"], "served": ["media"]}}
USER, DEPLOY, ROOT = "blog-lab", "ship", "/srv/blog"
"""The service user, who deploys (a user that no lab host has), and where the stage lies."""
HELPER = "/usr/local/sbin/tagship-helper"

SNAPSHOT = r"""
import json, os
found = {}
for top in ("/etc", "/usr/local", "/srv", "/home", "/run/blog-lab"):
    for folder, folders, files in os.walk(top):
        for name in [".", *folders, *files]:
            path = os.path.normpath(os.path.join(folder, name))
            one = os.lstat(path)
            found[path] = [one.st_ino, one.st_mode, one.st_uid, one.st_gid, one.st_mtime_ns, one.st_size]
print(json.dumps(found))
"""

MANY = """
import json, subprocess, sys
for argv in json.loads(sys.stdin.read()):
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
        said = [done.returncode, done.stdout.decode(), done.stderr.decode()]
    except OSError as error:
        said = [None, "", str(error)]
    print(json.dumps(said))
"""


@dataclass(frozen=True)
class Said:
    """How a verb ended, and its JSON lines."""

    exit: int
    events: tuple[dict[str, Any], ...]

    @property
    def result(self) -> dict[str, Any]:
        return self.events[-1]

    @property
    def error(self) -> dict[str, Any]:
        (found,) = [event for event in self.events if event["event"] == "error"]
        return found

    @property
    def plan(self) -> list[dict[str, Any]]:
        (found,) = [event["steps"] for event in self.events if event["event"] == "plan"]
        return found

    def changes(self, host: int = 0) -> set[tuple[str, str]]:
        """Kind, and path or name, of what was to be made on a host."""
        return {
            (row["kind"], row.get("path") or row.get("name") or row["user"]) for row in self.plan[host]["changes"]
        }


class Stage:
    """A project in `folder` whose stage `lab` is `hosts`."""

    def __init__(self, folder: Path, hosts: Sequence[Host]) -> None:
        self.folder = folder
        self.hosts = hosts
        (folder / "fabfile.py").write_text("from tagship.verbs.setup import setup\n")
        self.write()

    def write(self, *, app: dict[str, Any] | None = None, host: dict[str, Any] | None = None, **stage: Any) -> None:
        """Write tagship.yml; what isn't given is as usual."""
        entries = [
            {
                "host": one.address,
                "name": one.name,
                "user": DEPLOY,
                "identity": str(one.identity),
                "known_hosts": str(one.known_hosts),
                **(host or {}),
            }
            for one in self.hosts
        ]
        document = {"app": {**APP, **(app or {})}, "stages": {"lab": {"hosts": entries, **stage}}}
        (self.folder / "tagship.yml").write_text(yaml.safe_dump(document))

    def setup(self, *flags: str, dry: bool = False) -> Said:
        """Run `fab setup --json`."""
        argv = self._argv(*flags, dry=dry)
        done = subprocess.run(argv, cwd=self.folder, capture_output=True, text=True, timeout=120, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        return Said(done.returncode, tuple(json.loads(line) for line in done.stdout.splitlines()))

    def begun(self) -> subprocess.Popen[bytes]:
        """Begin to run it; nobody reads what it says."""
        return subprocess.Popen(self._argv(), cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _argv(self, *flags: str, dry: bool = False) -> list[str]:
        fab = [str(Path(sys.executable).with_name("fab")), *(["--dry"] if dry else [])]
        return [*fab, "setup", "--stage", "lab", "--json", *flags]

    def made_ready(self, *flags: str) -> Said:
        """Run it, and see it succeed."""
        said = self.setup(*flags)
        assert said.exit == 0, said.events[-2:]
        return said


def snapshot(host: Host) -> dict[str, list[int]]:
    """Inode, mode, owner, mtime and size of everything that a setup could touch."""
    found: dict[str, list[int]] = json.loads(host.run("python3", "-c", SNAPSHOT, user="root").stdout)
    return found


def as_user(host: Host, user: str, script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script there as any user, also one that can't log in."""
    return host.run("runuser", "-u", user, "--", "sh", "-c", script, user="root", check=False)


def ask_all(host: Host, questions: Sequence[Sequence[str]], user: str = DEPLOY) -> list[tuple[int, str, str]]:
    """Run many commands in one connection; exit status, stdout and stderr of each."""
    argvs = json.dumps([list(question) for question in questions])
    done = host.run("python3", "-X", "utf8", "-c", MANY, user=user, stdin=argvs)
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def put(host: Host, path: str, text: str, mode: str = "0644", user: str = DEPLOY) -> None:
    """Write a file there as a user."""
    quoted = shlex.quote(path)
    host.run(
        "sh", "-c", f"mkdir -p $(dirname {quoted}) && cat >{quoted} && chmod {mode} {quoted}", user=user, stdin=text
    )


def stage_by_hand(host: Host, serial: str, start: str, *, current: bool = True) -> None:
    """Lay a release out as a deploy does, with `start` as its start script; `within` only runs what it is given."""
    release = f"{ROOT}/releases/{serial}-v1"
    put(host, f"{release}/start", start, "0755")
    put(host, f"{release}/within", '#!/bin/sh\nexec "$@"\n', "0755")
    put(host, f"{release}/id", f"{serial}-v1")
    put(host, f"{release}/public/index.html", "<p>a page</p>")
    put(host, f"{release}/app/code.py", "secret = 1\n")
    script = (
        f"chgrp {USER} {release}/app && chmod 0750 {release}/app && ln -sfn /run/{USER}/{serial} {release}/run &&"
        f"mkdir -p {ROOT}/releases/by-serial && ln -sfn ../{serial}-v1 {ROOT}/releases/by-serial/{serial}"
    )
    if current:
        script += f"&& ln -sfn releases/{serial}-v1 {ROOT}/current"
    host.run("sh", "-c", script, user=DEPLOY)


def until(done: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait for something to come true."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)
