"""In continuous integration a skipped test is a failure: there, nothing that a test needs may be missing."""

from __future__ import annotations

import os

import pytest
from _pytest.terminal import TerminalReporter


def _skips_that_fail(reporter: TerminalReporter | None) -> list[str]:
    """`test: reason` for each skipped test, where CI=true; a worker of xdist has no reporter, and no say."""
    if reporter is None or os.environ.get("CI") != "true":
        return []
    skips = []
    for report in reporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        skips.append(f"{report.nodeid}: {reason.removeprefix('Skipped: ')}")
    return skips


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Name every skip that fails the run, and why it was one."""
    for line in _skips_that_fail(terminalreporter):
        terminalreporter.write_line(f"FAILED because CI=true forbids to skip: {line}", red=True)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Turn a run that skipped into one that failed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED} and _skips_that_fail(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
