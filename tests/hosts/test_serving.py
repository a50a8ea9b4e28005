"""What visitors see while releases come and go: the short form of docs/serving.md, with a load of our own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.serving import clients, proof
from bench.serving.clients import Visitors
from bench.serving.projects import PAGE
from bench.serving.trial import well
from lab.host import Host

pytestmark = pytest.mark.lab

FLIPS = 3
AT_ONCE = 8


def test_no_request_fails_while_releases_come_and_go(hosts: Callable[[int], list[Host]], tmp_path: Path) -> None:
    """Every answer is 200, whole and of one release; a page's own assets are there, however it flips meanwhile."""
    (host,) = hosts(1)
    project = proof.prepare("wsgi", host, tmp_path)
    address = f"{host.address}:{proof.PORTS['wsgi']}"
    tags = [f"v2.0.{number}" for number in range(FLIPS)]
    for tag in tags:
        project.release(tag)
    seen: set[str] = set()

    def ask() -> int:
        said = clients.get(address, "/hello").decode()
        if not said.endswith(" whole\n"):
            raise ValueError(said)
        seen.add(said.split()[0].removeprefix("tag="))
        return 1

    visits = [("answers", ask, 0.02)] * AT_ONCE
    visitors = Visitors([*visits, ("pages and assets", lambda: clients.read_page(address, PAGE), 0.1)])
    try:
        for tag in tags:
            well(project, "deploy", "--tag", tag)
            well(project, "rollback")
    finally:
        tallies = visitors.stop()
    assert [tally.failures for tally in tallies] == [[]] * len(tallies)
    assert all(tally.done for tally in tallies)
    assert seen == {"v1.0.0", *tags}
