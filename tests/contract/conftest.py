"""The three ways to an agent that all must keep the same contract."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from contract.fake import FakeHost, FakeTransport
from contract.sshd import Sshd, sshd
from contract.ways import Way, ssh_transport

from tagship.ship.fleet import Pulse
from tagship.ship.transport import LocalTransport

__all__ = ["sshd"]


@pytest.fixture(scope="session", autouse=True)
def home() -> Iterator[Path]:
    """A home folder of the tests' own, for every agent that they start; short, because a socket's path must be."""
    place = Path(tempfile.mkdtemp(prefix="ts"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(place))
        yield place
    shutil.rmtree(place)


@pytest.fixture(params=["fake", "local", pytest.param("ssh", marks=pytest.mark.lab)])
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Way]:
    """A host, empty at first; whatever a test started on it is stopped at its end."""
    made = _make(request, tmp_path)
    yield made
    if made.real:
        made.pulse = Pulse()
        made.stop()


def _make(request: pytest.FixtureRequest, folder: Path) -> Way:
    if request.param == "fake":
        hosts: dict[str, FakeHost] = {}
        made = Way("fake", folder, lambda name: FakeTransport(hosts.setdefault(name, FakeHost())))
        made.hang = lambda: hosts["web1"].sick.update(hosts["web1"].running)
        made.cling = lambda: hosts["web1"].clinging.update(hosts["web1"].running)
        return made
    if request.param == "local":
        return Way("local", folder, lambda name: LocalTransport())
    server: Sshd = request.getfixturevalue("sshd")
    return Way("ssh", folder, lambda name: ssh_transport(server, name))
