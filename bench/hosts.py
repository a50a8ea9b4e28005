"""Lab hosts for measurements: real Debian hosts that also have what peers need there, git and python3-venv."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from lab.base import RECIPE
from lab.fleet import Lab
from lab.host import Host

EQUIPPED = replace(RECIPE, packages=(*RECIPE.packages, "git", "python3-venv"))
"""Ours needs nothing of what is added."""


@contextmanager
def run_hosts(count: int) -> Iterator[list[Host]]:
    """Hosts 1 to `count`, freshly installed; gone when the context is left. Raises `LabError`."""
    lab = Lab(f"bench-{os.getpid()}", recipe=EQUIPPED, say=print)
    try:
        yield lab.up(count)
    finally:
        lab.down()


@contextmanager
def serve_repositories(folder: Path, host: Host) -> Iterator[str]:
    """Serve those in `folder` to the hosts of `host`'s lab by git's own protocol, the quickest there is; its URL."""
    address = host.subnet.gateway
    with socket.create_server((address, 0)) as probe:
        port = probe.getsockname()[1]
    argv = ["git", "daemon", "--export-all", f"--base-path={folder}", f"--listen={address}", f"--port={port}"]
    daemon = subprocess.Popen([*argv, str(folder)], start_new_session=True)
    try:
        yield f"git://{address}:{port}"
    finally:
        daemon.terminate()
        daemon.wait()


def send_wheels(hosts: Sequence[Host], lock: Path, folder: Path, target: str) -> None:
    """Fetch what `lock` names into `folder`, and lay it into `target` on every host."""
    flags = ["--quiet", "--require-hashes", "--only-binary=:all:", "--python-version", "3.11"]
    argv = [sys.executable, "-m", "pip", "download", *flags, "-r", str(lock), "-d", str(folder)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"no wheels of {lock}: {done.stderr.strip()}")
    for host in hosts:
        send(host, folder, target)


def send(host: Host, folder: Path, target: str) -> None:
    """Copy what is in `folder` into `target` on the host, as root; whoever logs in there can read it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, path.name)
    script = 'mkdir -p "$1" && tar --extract --no-same-owner --directory "$1"'
    argv = host.ssh("sh", "-ec", script, "sh", target, user="root")
    subprocess.run(argv, input=packed.getvalue(), check=True)


def write(host: Host, path: str, text: str) -> None:
    """Write a file of root's there."""
    host.run("sh", "-ec", 'cat > "$1"', "sh", path, user="root", stdin=text)


def own(host: Host, *folders: str, user: str = "deploy") -> None:
    """Make folders that belong to `user`."""
    host.run("install", "-d", "-o", user, "-g", user, *folders, user="root")
