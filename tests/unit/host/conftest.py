"""Hosts to send agents to: short paths (a socket's path holds 107 bytes), and nothing left behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from unit.host.client import Host, until


@pytest.fixture
def host() -> Iterator[Host]:
    """A host with an empty home and no root yet; whatever runs below it is ended afterwards."""
    with fresh_host() as made:
        yield made


@contextmanager
def fresh_host() -> Iterator[Host]:
    """Such a host, for as long as the block lasts."""
    place = Path(tempfile.mkdtemp(prefix="ts"))
    home = place / "home"
    home.mkdir()
    made = Host(home, place / "root")
    try:
        yield made
    finally:
        for agent in made.agents:
            agent.close()
        until(lambda: not end_all(place), 20)
        shutil.rmtree(place)


def end_all(place: Path) -> list[int]:
    """Kill every process that was started for a host, by pid; gives those that were still there."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                text = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if os.fsencode(place) + b"/" in text and state not in "ZX":
                found.append(int(entry.name))
                os.kill(int(entry.name), signal.SIGKILL)
    return found


@pytest.fixture
def listen() -> str:
    """An address on the loopback that nothing uses."""
    return free_address()


def free_address() -> str:
    """Such an address, as far as one can tell before it is used."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"
