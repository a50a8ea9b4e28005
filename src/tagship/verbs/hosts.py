"""Fabric's verbs, which work on the hosts of a stage.

`fab --dry VERB` is the plan of that verb, made by the same code. The verbs coordinate a whole fleet, so `-H`,
which would run them once for each host, is refused; `--limit` picks hosts.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from invoke.context import Context
from invoke.tasks import task

from tagship.config import LOCAL_STAGE
from tagship.report import Report
from tagship.verbs import console

_HELP = {
    "stage": "the fleet, by its name in tagship.yml (`local` is the embedded one)",
    "json": "one JSON object a line on stdout, and nothing else; the last is the result",
    "limit": "only these hosts of the stage: HOST,HOST",
}
_TAG = {"tag": "the tag to ship (the newest version tag reachable from HEAD when left out)"}


def _run(context: Context, json: bool, stage: str, limit: str, work: Callable[[Any, Report], dict[str, Any]]) -> None:
    def on_stage(report: Report) -> dict[str, Any]:
        console.refuse_host_flag(context)
        from tagship import app  # imported when a verb runs, so that `fab --list` stays quick

        names = tuple(name.strip() for name in limit.split(",") if name.strip())
        return work(app.open_stage(Path.cwd(), stage, limit=names, listener=report), report)

    console.run(on_stage, json=json)


def _is_dry(context: Context) -> bool:
    return bool(context.config.run.dry)


@task(help={**_HELP, **_TAG})
def deploy(context: Context, stage: str = LOCAL_STAGE, tag: str = "", limit: str = "", json: bool = False) -> None:
    """Put a tag live on every host of a stage."""
    dry = _is_dry(context)
    _run(context, json, stage, limit, lambda fleet, _report: dict(fleet.deploy(tag or None, dry=dry)))


@task(help={**_HELP, **_TAG})
def plan(context: Context, stage: str = LOCAL_STAGE, tag: str = "", limit: str = "", json: bool = False) -> None:
    """Show what `fab deploy` would do, and change nothing."""
    _run(context, json, stage, limit, lambda fleet, _report: dict(fleet.deploy(tag or None, dry=True)))


@task(help={**_HELP, "to": "a release, by tag or id (the previous good one when left out)"})
def rollback(context: Context, stage: str = LOCAL_STAGE, to: str = "", limit: str = "", json: bool = False) -> None:
    """Go down again to an earlier good release."""
    dry = _is_dry(context)
    _run(context, json, stage, limit, lambda fleet, _report: dict(fleet.rollback(to or None, dry=dry)))


@task(help=_HELP)
def status(context: Context, stage: str = LOCAL_STAGE, limit: str = "", json: bool = False) -> None:
    """Tell what is live on each host, since when, and whether it answers."""

    def work(fleet: Any, report: Report) -> dict[str, Any]:
        found = fleet.status()
        report.table(f"{stage}", found.columns, found.rows)
        return {"outcome": "unchanged", **found.result}

    _run(context, json, stage, limit, work)


@task(help=_HELP)
def releases(context: Context, stage: str = LOCAL_STAGE, limit: str = "", json: bool = False) -> None:
    """List the releases on each host, and which of them are good."""

    def work(fleet: Any, report: Report) -> dict[str, Any]:
        found = fleet.releases()
        report.table(f"releases on {stage}", found.columns, found.rows)
        return {"outcome": "unchanged", **found.result}

    _run(context, json, stage, limit, work)


@task(help={**_HELP, "last": "how many journal rows of each host"})
def history(context: Context, stage: str = LOCAL_STAGE, limit: str = "", last: int = 30, json: bool = False) -> None:
    """Tell who did what, when, and how it ended: the journals of the hosts."""

    def work(fleet: Any, report: Report) -> dict[str, Any]:
        found = fleet.history(last)
        report.table(f"history of {stage}", found.columns, found.rows)
        return {"outcome": "unchanged", **found.result}

    _run(context, json, stage, limit, work)


@task(help=_HELP)
def verify(context: Context, stage: str = LOCAL_STAGE, limit: str = "", json: bool = False) -> None:
    """Compare every file of every release with its manifest; exit 3 where something drifted."""

    def work(fleet: Any, report: Report) -> dict[str, Any]:
        found = fleet.verify()
        report.table(f"drift on {stage}" if found.rows else f"{stage}: no drift", found.columns, found.rows)
        return (
            {"outcome": "refused", "exit": 3, **found.result}
            if found.rows
            else {"outcome": "unchanged", **found.result}
        )

    _run(context, json, stage, limit, work)


@task(help=_HELP)
def stop(context: Context, stage: str = LOCAL_STAGE, limit: str = "", json: bool = False) -> None:
    """Stop the application and the front door; `fab deploy` starts them again."""
    dry = _is_dry(context)
    _run(context, json, stage, limit, lambda fleet, _report: dict(fleet.stop(dry=dry)))
