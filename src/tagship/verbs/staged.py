"""What the verbs on a stage have in common: their flags, how they begin, and how they show a table."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.context import Context

from tagship.errors import TagshipError
from tagship.events import Listener
from tagship.report import Report
from tagship.verbs import console

if TYPE_CHECKING:
    from tagship.app.stage import OnStage, Table
    from tagship.ship.outcome import Outcome
    from tagship.summary import Summary

HELP = {
    "stage": "the fleet, by its name in tagship.yml (`local` is the embedded one)",
    "json": "one JSON object a line on stdout, and nothing else; the last is the result",
    "limit": "only these hosts of the stage: HOST,HOST",
}
SKIP = {"skip": "leave these hosts alone, such as one that is down: HOST,HOST"}


def on_stage(
    context: Context,
    json: bool,
    stage: str,
    limit: str,
    work: Callable[[OnStage, Report], Outcome],
    page: Summary | None = None,
    *,
    skip: str = "",
) -> None:
    """Do `work` with the stage called `stage`, or only the hosts of `limit`, and without those of `skip`."""

    def on_chosen(report: Report) -> Outcome:
        fleet = chosen(stage, limit, report, skip=skip)
        report.mask(fleet.secrets())
        return work(fleet, report)

    carry_out(context, json, on_chosen, page)


def carry_out(context: Context, json: bool, work: Callable[[Report], Outcome], page: Summary | None = None) -> None:
    """Do `work` and leave with its outcome's exit code, or its error's."""

    def verb(report: Report) -> Mapping[str, Any]:
        began = time.monotonic()
        from tagship.ship.outcome import outcome_of  # only when a verb runs, so that `fab --list` stays quick

        try:
            console.refuse_host_flag(context)
            outcome = work(report)
        except TagshipError as error:
            outcome = outcome_of(error, seconds=time.monotonic() - began)
        if outcome.error is not None:
            report.failure(outcome.error)
        return outcome.row()

    console.run(verb, json=json, summary=page)


def chosen(stage: str, limit: str, listener: Listener, *, skip: str = "") -> OnStage:
    """The stage called `stage` of the project here, only the hosts of `limit` if that names any, without `skip`."""
    from tagship.app.stage import open_stage  # as above

    return open_stage(Path.cwd(), stage, limit=_names(limit), skip=_names(skip), listener=listener)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def show(report: Report, title: str, table: Table, *, nothing: str) -> Outcome:
    """Show what a verb found, or say that it was `nothing`."""
    if table.rows:
        report.table(title, table.columns, table.rows)
    else:
        report.lines(nothing)
    return table.outcome


def is_dry(context: Context) -> bool:
    """Whether `fab --dry` was said: then nothing is changed."""
    return bool(context.config.run.dry)
