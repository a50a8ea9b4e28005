"""Fabric's verbs, which work on the hosts of a stage.

`fab --dry VERB` is the plan of that verb, made by the same code. The verbs coordinate a whole fleet, so `-H`,
which would run them once for each host, is refused; `--limit` picks hosts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from tagship.config import LOCAL_STAGE
from tagship.errors import UsageError
from tagship.report import Report
from tagship.verbs import console
from tagship.verbs.staged import HELP, SKIP, is_dry, on_stage, show

if TYPE_CHECKING:
    from tagship.app.stage import OnStage
    from tagship.ship.outcome import Outcome

_TAG = {"tag": "the tag to ship (the newest version tag reachable from HEAD when left out)"}
_SUMMARY = {"summary": console.SUMMARY}
_WAIT = {"wait": console.WAIT}


@task(
    help={
        **HELP,
        **SKIP,
        **_TAG,
        **_SUMMARY,
        **_WAIT,
        "keep_schema": "leave steps up that are applied and that the tag doesn't have",
    }
)
def deploy(
    context: Context,
    stage: str = LOCAL_STAGE,
    tag: str = "",
    limit: str = "",
    skip: str = "",
    wait: str = "",
    summary: str = "",
    keep_schema: bool = False,
    json: bool = False,
) -> None:
    """Put a tag live on every host of a stage."""
    dry, page = is_dry(context), console.summary_of(summary, "deploy", stage)

    def work(fleet: OnStage, _report: Report) -> Outcome:
        seconds = console.duration("--wait", wait)
        return fleet.deploy(tag or None, dry=dry, wait=seconds, keep_schema=keep_schema)

    on_stage(context, json, stage, limit, work, page, skip=skip)


@task(
    help={
        **HELP,
        **SKIP,
        **_TAG,
        **_SUMMARY,
        "staged": "stage it too, look at its databases, and take the staging away again",
        "sql": "with --staged: the statements of what would go up",
    }
)
def plan(
    context: Context,
    stage: str = LOCAL_STAGE,
    tag: str = "",
    limit: str = "",
    skip: str = "",
    summary: str = "",
    staged: bool = False,
    sql: bool = False,
    json: bool = False,
) -> None:
    """Show what `fab deploy` would do, and change nothing."""
    page = console.summary_of(summary, "plan", stage)

    def work(fleet: OnStage, _report: Report) -> Outcome:
        if sql and not staged:
            raise UsageError("statements are known once it is staged", where="--sql", cure="--staged --sql")
        return fleet.plan_staged(tag or None, sql=sql) if staged else fleet.deploy(tag or None, dry=True)

    on_stage(context, json, stage, limit, work, page, skip=skip)


@task(
    help={
        **HELP,
        **SKIP,
        "to": "a release, by tag or id (the previous good one when left out)",
        "keep_schema": "go back with the code alone, and leave the schema as it is",
        "yes_drop_data": "reverse also what drops tables and columns that hold data",
        **_SUMMARY,
        **_WAIT,
    }
)
def rollback(
    context: Context,
    stage: str = LOCAL_STAGE,
    to: str = "",
    limit: str = "",
    skip: str = "",
    wait: str = "",
    summary: str = "",
    keep_schema: bool = False,
    yes_drop_data: bool = False,
    json: bool = False,
) -> None:
    """Go down again to an earlier good release."""
    dry, page = is_dry(context), console.summary_of(summary, "rollback", stage)

    def work(fleet: OnStage, _report: Report) -> Outcome:
        if keep_schema and yes_drop_data:
            raise UsageError("what is kept drops nothing", where="--keep-schema", cure="one of the two")
        seconds, schema = console.duration("--wait", wait), {"keep_schema": keep_schema, "drop_data": yes_drop_data}
        return fleet.rollback(to or None, dry=dry, wait=seconds, **schema)

    on_stage(context, json, stage, limit, work, page, skip=skip)


@task(help=HELP)
def status(context: Context, stage: str = LOCAL_STAGE, limit: str = "", json: bool = False) -> None:
    """Tell what is live on each host, and whether it answers."""

    def work(fleet: OnStage, report: Report) -> Outcome:
        from tagship.app.status import status_of  # only this verb needs it

        return show(report, f"status of {stage}", status_of(fleet), nothing=f"{stage} has no hosts")

    on_stage(context, json, stage, limit, work)


@task(help=HELP)
def releases(context: Context, stage: str = LOCAL_STAGE, limit: str = "", json: bool = False) -> None:
    """List the releases on each host, and which of them are good."""

    def work(fleet: OnStage, report: Report) -> Outcome:
        return show(report, f"releases on {stage}", fleet.releases(), nothing=f"no releases on {stage} yet")

    on_stage(context, json, stage, limit, work)


@task(help=HELP)
def migrations(context: Context, stage: str = LOCAL_STAGE, limit: str = "", json: bool = False) -> None:
    """List the steps of each database: applied, pending, whose head."""

    def work(fleet: OnStage, report: Report) -> Outcome:
        from tagship.app.schema import migrations_of  # only this verb needs it

        table = migrations_of(fleet)
        return show(report, f"migrations on {stage}", table, nothing=f"nothing that is live on {stage} has a schema")

    on_stage(context, json, stage, limit, work)


@task(help={**HELP, "last": "how many changes, or rows of each host", "rows": "show the journals as they are"})
def history(
    context: Context,
    stage: str = LOCAL_STAGE,
    limit: str = "",
    last: str = "30",
    rows: bool = False,
    json: bool = False,
) -> None:
    """Tell who did what and when, and how it ended."""

    def work(fleet: OnStage, report: Report) -> Outcome:
        from tagship.app.history import changes_of, rows_of  # as above

        count = console.number("--last", last, least=1, most=1_000_000)
        table = rows_of(fleet, count) if rows else changes_of(fleet, count)
        return show(report, f"history of {stage}", table, nothing=f"nothing happened on {stage} yet")

    on_stage(context, json, stage, limit, work)


@task(help=HELP)
def verify(context: Context, stage: str = LOCAL_STAGE, limit: str = "", json: bool = False) -> None:
    """Compare what is on each host with what was sealed, file by file."""

    def work(fleet: OnStage, report: Report) -> Outcome:
        from tagship.app.verifying import verify_stage  # only this verb needs it

        return show(report, f"drift on {stage}", verify_stage(fleet), nothing=f"no drift on {stage}")

    on_stage(context, json, stage, limit, work)


@task(help={**HELP, **SKIP, **_WAIT})
def start(
    context: Context, stage: str = LOCAL_STAGE, limit: str = "", skip: str = "", wait: str = "", json: bool = False
) -> None:
    """Start what is current again, after a stop or a reboot."""
    dry = is_dry(context)

    def work(fleet: OnStage, _report: Report) -> Outcome:
        return fleet.start(dry=dry, wait=console.duration("--wait", wait))

    on_stage(context, json, stage, limit, work, skip=skip)


@task(help={**HELP, **SKIP, **_WAIT})
def stop(
    context: Context, stage: str = LOCAL_STAGE, limit: str = "", skip: str = "", wait: str = "", json: bool = False
) -> None:
    """Stop application and front door; `fab start` starts them again."""
    dry = is_dry(context)

    def work(fleet: OnStage, _report: Report) -> Outcome:
        return fleet.stop(dry=dry, wait=console.duration("--wait", wait))

    on_stage(context, json, stage, limit, work, skip=skip)
