"""Invoke's verbs, which work on this machine: build, check, serve, new, clean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from invoke.context import Context
from invoke.tasks import task

from tagship.config import LOCAL_STAGE
from tagship.report import Report
from tagship.verbs import console

_JSON = "one JSON object a line on stdout, and nothing else"


@task(
    help={
        "out": "write the site into this folder instead of build/site",
        "drafts": "include posts marked `draft: true`",
        "future": "include posts dated after the commit's clock",
        "engine": "read Markdown by this engine: python-markdown or commonmark",
        "explain": "say why the page at this address was made again or wasn't",
        "profile": "write where the time went into build/profile.html",
        "json": _JSON,
    }
)
def build(
    _context: Context,
    out: str = "",
    drafts: bool = False,
    future: bool = False,
    engine: str = "",
    explain: str = "",
    profile: bool = False,
    json: bool = False,
) -> None:
    """Build the site into build/site; what is unchanged stays."""

    def work(report: Report) -> dict[str, Any]:
        from tagship.app import project as projects  # imported when a verb runs, so that `inv --list` stays quick

        project = projects.open_project(Path.cwd())
        if engine:
            project = projects.with_engine(project, engine)
        wanted = projects.Wanted(Path(out) if out else None, drafts, future, explain, profile)
        built = projects.build(project, wanted, listener=report)
        return {"outcome": "built", **built}

    console.run(work, json=json)


@task(
    help={
        "drafts": "look at drafts too",
        "future": "look at posts dated after the commit's clock too",
        "external": "ask other sites for what is linked to; what they answered well is believed for a week",
        "record": "add what the site publishes to its ledger of URLs, site/urls.lock",
        "cache": "build the site once more from nothing, and hold build/site against it",
        "sarif": "write the findings into this file too, as SARIF 2.1.0",
        "tag": "check this tag instead, and build what a deploy will ship",
        "stage": "check the newest version tag (or --tag) for this fleet, by its name in tagship.yml",
        "summary": console.SUMMARY,
        "json": _JSON,
    }
)
def check(
    _context: Context,
    drafts: bool = False,
    future: bool = False,
    external: bool = False,
    record: bool = False,
    cache: bool = False,
    sarif: str = "",
    tag: str = "",
    stage: str = "",
    summary: str = "",
    json: bool = False,
) -> None:
    """Tell what is wrong with the site, or with a tag to ship."""

    def work(report: Report) -> dict[str, Any]:
        from tagship.app import checking  # imported when a verb runs, so that `inv --list` stays quick

        if cache:
            from tagship.app import project as projects  # as above

            return projects.compare(
                projects.open_project(Path.cwd()), projects.Wanted(None, drafts, future), listener=report
            )
        if tag or stage:
            found = checking.check_tag(Path.cwd(), stage or LOCAL_STAGE, tag or None, listener=report)
            return {"outcome": "checked", **found}
        wanted = checking.Wanted(drafts, future, record, external, Path(sarif) if sarif else None)
        result = checking.check_site(Path.cwd(), wanted, listener=report)
        refusal = checking.refusal(result)
        if refusal is not None:
            report.failure(refusal)
        return result

    console.run(work, json=json, summary=console.summary_of(summary, "check", stage or LOCAL_STAGE))


@task(
    help={
        "port": "TCP port on 127.0.0.1 (0: any free one)",
        "drafts": "include drafts (on by default here)",
        "future": "include posts of the future (on by default here)",
    }
)
def serve(_context: Context, port: str = "8080", drafts: bool = True, future: bool = True) -> None:
    """Serve the site while you write; browsers reload."""

    def work(report: Report) -> dict[str, Any]:
        from tagship.app import project as projects  # imported when a verb runs, so that `inv --list` stays quick

        number = console.number("--port", port, least=0, most=65535)
        project = projects.open_project(Path.cwd())
        projects.serve(project, port=number, drafts=drafts, future=future, listener=report)
        return {"outcome": "stopped"}

    console.run(work)


@task(help={"title": "the title; the file's name is made from it"})
def new(_context: Context, title: str) -> None:
    """Begin a post: posts/YYYY-MM-DD-slug.md, as a draft."""

    def work(report: Report) -> dict[str, Any]:
        from tagship.app import project as projects  # imported when a verb runs, so that `inv --list` stays quick

        path = projects.new_post(projects.open_project(Path.cwd()), title)
        report.lines(str(path))
        return {"outcome": "written", "path": str(path)}

    console.run(work)


@task(help={"json": _JSON})
def next(_context: Context, json: bool = False) -> None:
    """Tell which texts will appear or expire, and when."""

    def work(report: Report) -> dict[str, Any]:
        from tagship.app import project as projects  # imported when a verb runs, so that `inv --list` stays quick

        return projects.upcoming(projects.open_project(Path.cwd()), listener=report)

    console.run(work, json=json)


@task
def clean(_context: Context) -> None:
    """Remove build/ (and nothing else)."""

    def work(report: Report) -> dict[str, Any]:
        from tagship.app import project as projects  # imported when a verb runs, so that `inv --list` stays quick

        removed = projects.clean(projects.open_project(Path.cwd()))
        report.lines("removed build/" if removed else "there is no build/ to remove")
        return {"outcome": "removed"}

    console.run(work)
