"""The rule of tests/skips.py, in a pytest of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RULE = Path(__file__).parents[1] / "skips.py"
TESTS = """
import pytest
def test_runs(): pass
@pytest.mark.skipif(True, reason="no sshd here")
def test_needs_sshd(): pass
"""


def run(folder: Path, *flags: str, ci: str | None) -> subprocess.CompletedProcess[str]:
    shutil.copy(RULE, folder / "conftest.py")
    (folder / "test_case.py").write_text(TESTS)
    env = {name: value for name, value in os.environ.items() if name != "CI" and not name.startswith("PYTEST_")}
    env |= {"CI": ci} if ci else {}
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *flags]
    return subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("flags", [(), ("-n", "2")])
def test_a_skip_fails_in_ci(tmp_path: Path, flags: tuple[str, ...]) -> None:
    """CI=true: exit 1, and the skipped test stands there with its reason, also with several workers."""
    done = run(tmp_path, *flags, ci="true")
    assert done.returncode == 1
    assert "test_case.py::test_needs_sshd: no sshd here" in done.stdout
    assert done.stdout.count("forbids to skip") == 1


def test_a_skip_is_fine_elsewhere(tmp_path: Path) -> None:
    """Without CI=true a skip is only a skip."""
    assert run(tmp_path, ci=None).returncode == 0
