"""The main job on a host that boots systemd, reached over SSH as a user without rights of any kind."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from contract.ways import Way

from lab.fleet import Lab
from lab.host import Host

pytestmark = pytest.mark.lab

NAME = "web1"


@pytest.fixture
def host(hosts: Callable[[int], list[Host]]) -> Host:
    """One host, freshly installed."""
    return hosts(1)[0]


@pytest.fixture
def way(host: Host) -> Way:
    """As `deploy`, below its home; the front door is on the host's own address, where others see it."""
    from tagship.ship.ssh import SshTransport  # Fabric takes its time to import

    entry = SshTransport(NAME, host.address, user="deploy", identity=host.identity, known_hosts=host.known_hosts)
    return Way("ssh", Path("/home/deploy/srv"), lambda name: entry, fronts={NAME: f"{host.address}:8080"})


def read(way: Way) -> tuple[str, str]:
    """What a visitor gets from outside: the page, and the release that it says answered."""
    with urllib.request.urlopen(f"http://{way.front(NAME)}/", timeout=20) as answer:
        return answer.read().decode(), answer.headers["Tagship-Release"]


def test_deploy_deploy_rollback(way: Way, host: Host) -> None:
    """Each verb leaves the host on the release that it names, and only that one's process runs."""
    way.deploy("v1")
    assert read(way) == ("v1", "0001-v1")
    way.deploy("v2")
    assert read(way) == ("v2", "0002-v2")
    way.rollback()
    assert read(way) == ("v1", "0001-v1")
    assert host.run("readlink", "/home/deploy/srv/web1/current").stdout == "releases/0001-v1\n"
    assert host.run("pgrep", "-c", "-f", "serve.py").stdout == "1\n"
    assert host.run("pgrep", "-c", "-u", "deploy", "-f", "serve.py").stdout == "1\n"


def test_a_host_that_died_is_healed_by_the_next_deploy(way: Way, host: Host, lab: Lab) -> None:
    """After a power cut nothing answers, and nothing holds the lock; a deploy serves again with no manual step."""
    way.deploy("v1")
    way.deploy("v2")
    host.kill()
    lab.boot(host.number)
    with pytest.raises(urllib.error.URLError):
        read(way)
    way.deploy("v2")
    assert read(way)[0] == "v2"
    way.deploy("v3")
    assert read(way)[0] == "v3"
    way.rollback()
    assert read(way)[0] == "v2"
