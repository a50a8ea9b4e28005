"""What all tests share: the rule about skips, and a PostgreSQL."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from postgres import PACKAGE, Postgres, programs, server
from skips import pytest_sessionfinish, pytest_terminal_summary  # noqa: F401 - hooks

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A run in the background of a script ignores Ctrl-C, and so would all that the tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of this run's own."""
    if programs() is None:
        pytest.skip(f"needs {PACKAGE} (LAB=1 make test installs it)")
    with server() as made:
        yield made
