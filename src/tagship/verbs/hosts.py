"""Fabric's verbs, which work on the hosts of a stage.

`fab --dry VERB` is the plan of that verb, made by the same code. The verbs coordinate a whole fleet, so `-H`,
which would run them once for each host, is refused; `--limit` picks hosts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.context import Context
from invoke.tasks import task

from tagship.config import LOCAL_STAGE
from tagship.errors import TagshipError
from tagship.report import Report
from tagship.summary import Summary
from tagship.verbs import console

if TYPE_CHECKING:
    from tagship.app.stage import OnStage, Table
    from tagship.ship.outcome import Outcome

_HELP = {
    "stage": "the fleet, by its name in tagship.yml (`local` is the embedded one)",
    "json": "one JSON object a line on stdout, and nothing else; the last is the result",
    "limit": "only these hosts of the stage: HOST,HOST",
}
_TAG = {"tag": "the tag to ship (the newest version tag reachable from HEAD when left out)"}
_SUMMARY = {"summary": console.SUMMARY}


def _run(
    context: Context,
    json: bool,
    stage: str,
    limit: str,
    work: Callable[[OnStage, Report], Outcome],
    page: Summary | None = None,
) -> None:
    def on_stage(report: Report) -> Mapping[str, Any]:
        began = time.monotonic()
        from tagship.app.stage import open_stage  # both only when a verb runs, so that `fab --list` stays quick
        from tagship.ship.outcome import outcome_of

        try:
            console.refuse_host_flag(context)
            names = tuple(name.strip() for name in limit.split(",") if name.strip())
            outcome = work(open_stage(Path.cwd(), stage, limit=names, listener=report), report)
        except TagshipError as error:
            outcome = outcome_of(error, seconds=time.monotonic() - began)
        if outcome.error is not None:
            report.failure(outcome.error)
        return outcome.row()

    console.run(on_stage, json=json, summary=page)


def _show(report: Report, title: str, table: Table, *, nothing: str) -> Outcome:
    """Show what a verb found, or say that it was `nothing`."""
    if table.rows:
        report.table(title, table.columns, table.rows)
    else:
        report.lines(nothing)
    return table.outcome


def _is_dry(context: Context) -> bool:
    return bool(context.config.run.dry)


@task(help={**_HELP, **_TAG, **_SUMMARY})
def deploy(
    context: Context,
    stage: str = LOCAL_STAGE,
    tag: str = "",
    limit: str = "",
    summary: str = "",
    json: bool = False,
) -> None:
    """Put a tag live on every host of a stage."""
    dry, page = _is_dry(context), console.summary_of(summary, "deploy", stage)
    _run(context, json, stage, limit, lambda fleet, _report: fleet.deploy(tag or None, dry=dry), page)


@task(help={**_HELP, **_TAG, **_SUMMARY})
def plan(
    context: Context,
    stage: str = LOCAL_STAGE,
    tag: str = "",
    limit: str = "",
    summary: str = "",
    json: bool = False,
) -> None:
    """Show what `fab deploy` would do, and change nothing."""
    page = console.summary_of(summary, "plan", stage)
    _run(context, json, stage, limit, lambda fleet, _report: fleet.deploy(tag or None, dry=True), page)


@task(help={**_HELP, "to": "a release, by tag or id (the previous good one when left out)", **_SUMMARY})
def rollback(
    context: Context,
    stage: str = LOCAL_STAGE,
    to: str = "",
    limit: str = "",
    summary: str = "",
    json: bool = False,
) -> None:
    """Go down again to an earlier good release."""
    dry, page = _is_dry(context), console.summary_of(summary, "rollback", stage)
    _run(context, json, stage, limit, lambda fleet, _report: fleet.rollback(to or None, dry=dry), page)


@task(help=_HELP)
def status(context: Context, stage: str = LOCAL_STAGE, limit: str = "", json: bool = False) -> None:
    """Tell what is live on each host, and whether it answers."""

    def work(fleet: OnStage, report: Report) -> Outcome:
        return _show(report, f"status of {stage}", fleet.status(), nothing=f"{stage} has no hosts")

    _run(context, json, stage, limit, work)


@task(help=_HELP)
def releases(context: Context, stage: str = LOCAL_STAGE, limit: str = "", json: bool = False) -> None:
    """List the releases on each host, and which of them are good."""

    def work(fleet: OnStage, report: Report) -> Outcome:
        return _show(report, f"releases on {stage}", fleet.releases(), nothing=f"no releases on {stage} yet")

    _run(context, json, stage, limit, work)


@task(help={**_HELP, "last": "how many journal rows of each host"})
def history(
    context: Context, stage: str = LOCAL_STAGE, limit: str = "", last: str = "30", json: bool = False
) -> None:
    """Tell who did what, and when: the journals of the hosts."""

    def work(fleet: OnStage, report: Report) -> Outcome:
        rows = console.number("--last", last, least=1, most=1_000_000)
        return _show(report, f"history of {stage}", fleet.history(rows), nothing=f"nothing happened on {stage} yet")

    _run(context, json, stage, limit, work)


@task(help=_HELP)
def verify(context: Context, stage: str = LOCAL_STAGE, limit: str = "", json: bool = False) -> None:
    """Compare what is live with what was sealed, file by file."""

    def work(fleet: OnStage, report: Report) -> Outcome:
        return _show(report, f"drift on {stage}", fleet.verify(), nothing=f"no drift on {stage}")

    _run(context, json, stage, limit, work)


@task(help=_HELP)
def start(context: Context, stage: str = LOCAL_STAGE, limit: str = "", json: bool = False) -> None:
    """Start what is current again, after a stop or a reboot."""
    dry = _is_dry(context)
    _run(context, json, stage, limit, lambda fleet, _report: fleet.start(dry=dry))


@task(help=_HELP)
def stop(context: Context, stage: str = LOCAL_STAGE, limit: str = "", json: bool = False) -> None:
    """Stop application and front door; `fab start` starts them again."""
    dry = _is_dry(context)
    _run(context, json, stage, limit, lambda fleet, _report: fleet.stop(dry=dry))
