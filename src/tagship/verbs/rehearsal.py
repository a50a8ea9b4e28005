"""Verbs that try migrations out: `fab rehearse` for a stage, `inv check-migrations` in CI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from tagship.config import LOCAL_STAGE
from tagship.report import Report
from tagship.verbs.staged import HELP, carry_out, on_stage, show

if TYPE_CHECKING:
    from tagship.app.stage import OnStage, Table
    from tagship.ship.outcome import Outcome

_TAG = "the tag to try (the newest version tag reachable from HEAD when left out)"


@task(help={"tag": _TAG, "stage": HELP["stage"], "json": HELP["json"]})
def rehearse(context: Context, tag: str = "", stage: str = LOCAL_STAGE, json: bool = False) -> None:
    """Try a tag's migrations up, down and up on copies of databases."""

    def work(fleet: OnStage, report: Report) -> Outcome:
        from tagship.app import rehearsal  # when a verb runs, so that `fab --list` stays quick

        table = rehearsal.rehearse(fleet, tag or None)
        return _show(report, f"rehearsal on {stage}", table)

    on_stage(context, json, stage, "", work)


@task(
    name="check-migrations",
    help={
        "tag": "the tag to check (what HEAD names when left out)",
        "env": "variables of yours that the application needs, such as DATABASE_URL of an empty database: NAME,NAME",
        "json": HELP["json"],
    },
)
def check_migrations(context: Context, tag: str = "", env: str = "", json: bool = False) -> None:
    """Take migrations up, down and up on empty databases."""

    def work(report: Report) -> Outcome:
        from tagship.app import rehearsal  # as above

        names = [name.strip() for name in env.split(",") if name.strip()]
        table = rehearsal.check_migrations(Path.cwd(), tag or None, names, listener=report)
        return _show(report, "migrations on empty databases", table)

    carry_out(context, json, work)


def _show(report: Report, title: str, table: Table) -> Outcome:
    if table.outcome.error is not None and not table.rows:
        return table.outcome
    return show(report, title, table, nothing="nothing is pending")
