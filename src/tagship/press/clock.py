"""What time it is for a build: an input, so that the same commit gives the same site anywhere."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from tagship.errors import UsageError

VARIABLE = "SOURCE_DATE_EPOCH"


def clock_of(project: Path) -> datetime:
    """SOURCE_DATE_EPOCH (seconds since 1970, https://reproducible-builds.org/specs/source-date-epoch/) if it is
    set, else the commit time of HEAD, else now; in UTC.

    Raises `UsageError` when the variable holds something else than a whole number of seconds.
    """
    given = os.environ.get(VARIABLE)
    if given is not None:
        return _of_seconds(given)
    return _of_head(project) or datetime.now(UTC)


def _of_seconds(text: str) -> datetime:
    try:
        return datetime.fromtimestamp(int(text), UTC)
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"`{text}` is not a whole number of seconds since 1970",
            where=VARIABLE,
            cure=f"unset {VARIABLE}, or set it to the output of: git log -1 --format=%ct",
        ) from None


def _of_head(project: Path) -> datetime | None:
    argv = ["git", "-C", str(project), "log", "-1", "--no-show-signature", "--format=%ct"]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except OSError:
        return None  # no git here: the clock is the machine's
    text = done.stdout.strip()
    return datetime.fromtimestamp(int(text), UTC) if done.returncode == 0 and text.isdigit() else None
