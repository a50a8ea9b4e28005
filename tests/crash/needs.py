"""What a machine must have for a row: each gives why it can't run here, in words, empty if it can."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

Needs = Callable[[], str]


def nothing() -> str:
    """A row that runs wherever tagship does."""
    return ""


def programs(*names: str) -> Needs:
    """Programs of PATH, or of the folders of those that root runs."""

    def lacking() -> str:
        path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
        absent = [name for name in names if shutil.which(name, path=path) is None]
        return f"needs {', '.join(absent)} (LAB=1 make test installs it)" if absent else ""

    return lacking


def root(*names: str) -> Needs:
    """To be root, and these programs."""
    return lambda: "needs root" if os.geteuid() else programs(*names)()
