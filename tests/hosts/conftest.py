"""One lab for the whole run of tests, or for each worker of it; what it boots is gone with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.fleet import Lab
from lab.host import Host
from lab.needs import missing

ASKED = os.environ.get("LAB") == "1" or os.environ.get("CI") == "true"


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """An empty lab; skips, by the name of what is missing, where there can't be one."""
    if not ASKED:
        pytest.skip("boots real hosts: LAB=1 asks for them")
    if why := missing():
        pytest.skip(why)
    made = Lab(f"test-{os.getpid()}")
    yield made
    made.down()


@pytest.fixture
def hosts(lab: Lab, used: set[int]) -> Callable[[int], list[Host]]:
    """`hosts(n)` are the first n hosts of the lab, each as freshly installed, and answering."""

    def fresh(count: int) -> list[Host]:
        for number in used.intersection(range(1, count + 1)):
            lab.reset(number)
        made = lab.up(count)
        used.update(host.number for host in made)
        return made

    return fresh


@pytest.fixture(scope="session")
def used() -> set[int]:
    """Numbers of the hosts that a test has had."""
    return set()


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Where nobody asked for hosts, these tests don't count as skipped."""
    return True if not ASKED and collection_path.name.startswith("test_") else None
