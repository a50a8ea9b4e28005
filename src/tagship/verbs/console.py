"""One way for every verb to begin and to end: a report, the errors in words, and the exit code."""

from __future__ import annotations

import atexit
import gc
import math
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from tagship.errors import Interrupted, TagshipError, UsageError
from tagship.events import Event
from tagship.masks import secrets_of
from tagship.report import Report
from tagship.summary import Summary
from tagship.verbs import early

_WEEK = 7 * 86_400.0
WAIT = "queue so long where somebody else is at work (5m); without it, exit 6 at once"
SUMMARY = "append how it ended, as Markdown, to this file; for the page of a CI run"

# At its end Python looks twice through all that was ever imported for what nobody needs: a tenth of a deploy's time.
atexit.register(gc.freeze)


def run(work: Callable[[Report], Mapping[str, Any]], *, json: bool = False, summary: Summary | None = None) -> None:
    """Do `work` and leave with its exit code; whatever happens, a JSON reader gets a last `result` line.

    `work` returns the data of the result event; `exit` in it is the code (0 when left out), `seconds` how long it
    took (measured here when left out). `summary` is told the same as who reads.
    """
    began = time.monotonic()
    # A closed terminal and SIGTERM end a verb as Ctrl-C does: what was begun is put back, and scratch folders go.
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _interrupt)
    with Report(json=json, stream=sys.stdout, err=sys.stderr) as report:
        report.mask(secrets_of(os.environ))
        try:
            early.over()
            if summary is not None:
                summary.begin()
                report.tell_too(summary)
            result = dict(work(report))
        except TagshipError as error:
            result = _failed(report, error)
        except KeyboardInterrupt:
            result = _failed(report, Interrupted("interrupted; nothing was changed"))
        except Exception as error:
            bug = TagshipError(
                f"a bug in tagship: {type(error).__name__}: {error}",
                cure="please report it with the lines below; `fab status` tells how the hosts stand",
                tail=traceback.format_exc().splitlines(),
            )
            result = _failed(report, bug)
        for late in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(late, signal.SIG_IGN)  # how it ended is known, and the exit code must say just that
        report(Event("result", "", {"exit": 0, "seconds": round(time.monotonic() - began, 3), **result}))
    raise SystemExit(result.get("exit", 0))


def summary_of(file: str, verb: str, stage: str) -> Summary | None:
    """The summary that `--summary FILE` asks for; None where it wasn't given."""
    return Summary(Path(file), verb=verb, stage=stage) if file else None


def number(flag: str, text: str, *, least: int, most: int) -> int:
    """The whole number that a flag was given; raises `UsageError` unless it lies between `least` and `most`.

    Flags take numbers as text, because Invoke answers anything else with a traceback.
    """
    if text.isascii() and text.isdigit() and least <= int(text) <= most:
        return int(text)
    raise UsageError(f"`{text}` is not a number from {least} to {most}", where=flag, cure=f"{flag} {least}, for one")


def duration(flag: str, text: str) -> float:
    """The seconds of a flag that takes a duration, in the grammar of tagship.yml; 0 where it wasn't given.

    Raises `UsageError`, also for more than a week.
    """
    from tagship.config.values import Seconds, decode  # only when a verb runs, so that `fab --list` stays quick

    try:
        seconds = float(decode(Seconds, text)) if text else 0.0
    except ValueError:
        seconds = math.inf
    if seconds > _WEEK:
        raise UsageError(f"`{text}` is no duration", where=flag, cure=f"{flag} 5m, for one; with ms, s, m or h")
    return seconds


def refuse_host_flag(context: Any) -> None:
    """Refuse Fabric's `-H`, which runs a verb once for each host and so can't coordinate a fleet."""
    if getattr(context, "host", None) is not None:
        raise UsageError(
            "-H runs a task once for each host and can't coordinate a fleet",
            where="fab",
            cure="name the hosts in a stage of tagship.yml, and pick some of them with --limit HOST,HOST",
        )


def _failed(report: Report, error: TagshipError) -> dict[str, Any]:
    report.failure(error)
    return {"outcome": error.outcome, "exit": error.exit_code}


def _interrupt(number: int, _frame: FrameType | None) -> None:
    if number == signal.SIGHUP:  # it comes twice, from the kernel and from the shell: once is enough
        signal.signal(number, _nothing)  # a handler, for what we run would inherit SIG_IGN
    raise KeyboardInterrupt


def _nothing(_number: int, _frame: FrameType | None) -> None:
    return
