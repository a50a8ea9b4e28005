"""One way for every verb to begin and to end: a report, the errors in words, and the exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from tagship.errors import TagshipError, UsageError
from tagship.events import Event
from tagship.report import Report

_OUTCOMES = {2: "refused", 3: "refused", 4: "restored", 5: "degraded", 6: "locked", 130: "restored"}


def run(work: Callable[[Report], Mapping[str, Any]], *, json: bool = False) -> None:
    """Do `work` and leave with its exit code; whatever happens, a JSON reader gets a last `result` line.

    `work` returns the data of the result event; `exit` in it is the code (0 when left out).
    """
    with Report(json=json, stream=sys.stdout, err=sys.stderr) as report:
        try:
            result = dict(work(report))
        except TagshipError as error:
            report.failure(error)
            result = failed(error)
        except KeyboardInterrupt:
            report.failure(TagshipError("interrupted; nothing had been changed"))
            result = {"outcome": "restored", "exit": 130}
        except BrokenPipeError:
            raise
        except Exception as error:
            bug = TagshipError(
                f"a bug in tagship: {type(error).__name__}: {error}",
                cure="please report it with the lines below; `fab status` tells how the hosts stand",
                tail=traceback.format_exc().splitlines(),
            )
            report.failure(bug)
            result = {"outcome": "degraded", "exit": 1}
        result.setdefault("exit", 0)
        report(Event("result", "", result))
    raise SystemExit(result["exit"])


def failed(error: TagshipError) -> dict[str, Any]:
    """The result of a verb that ended in `error`; an error that knows more carries it as `result`."""
    known: Mapping[str, Any] = getattr(error, "result", {})
    return {**known, "outcome": _OUTCOMES.get(error.exit_code, "degraded"), "exit": error.exit_code}


def refuse_host_flag(context: Any) -> None:
    """Refuse Fabric's `-H`, which runs a verb once for each host and so can't coordinate a fleet."""
    if getattr(context, "host", None) is not None:
        raise UsageError(
            "-H runs a task once for each host and can't coordinate a fleet",
            where="fab",
            cure="name the hosts in a stage of tagship.yml, and pick some of them with --limit HOST,HOST",
        )
