"""Fabric's verbs beside what is live: its logs, a command in its environment, the environment itself, its health.

Two of them are typed as users of other tools type them, which Invoke's parser doesn't know: `fab run -- CMD ARG...`,
whose words after `--` Fabric would run itself on the hosts of `-H`, and `fab env set NAME`, which may be alone.
"""

from __future__ import annotations

import getpass
import os
import queue
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from tagship.config import LOCAL_STAGE
from tagship.errors import UsageError
from tagship.events import ignore
from tagship.report import Report
from tagship.verbs import console
from tagship.verbs.staged import HELP, carry_out, chosen, is_dry, on_stage, show

if TYPE_CHECKING:
    from tagship.app.stage import OnStage
    from tagship.ship.outcome import Outcome

_PIECE = 1 << 15
_LARGEST = 1 << 20  # bytes of stdin that are read for a value, before it is refused as too long
_ACTIONS = ("set", "unset", "copy")


def words_after_dashes(argv: list[str]) -> tuple[str, ...]:
    """The command of `fab run -- CMD ARG...`; takes it from Fabric, which refuses to go on while it has it.

    Fabric holds what follows `--` for a command of its own, for each host of `-H`. It is taken only where the verb
    `run` was typed: on any other, Fabric's own complaint is right.
    """
    before, dashes, after = argv[1:], "--", []
    if dashes in before:
        after = before[before.index(dashes) + 1 :]
        before = before[: before.index(dashes)]
    program = getattr(sys.modules.get("fabric.main"), "program", None)
    core = getattr(program, "core", None)
    if "run" not in before or core is None:
        return ()
    core.remainder = ""
    return tuple(after)


def words_of_env(argv: list[str]) -> list[str]:
    """Which words `env` takes by their place, in this command line: Invoke has none that may be left out."""
    after = argv[argv.index("env") + 1 :] if "env" in argv else []
    if not any(word in _ACTIONS for word in after):
        return []
    return ["action"] if "copy" in after else ["action", "name"]


_COMMAND = words_after_dashes(sys.argv)


@task(
    help={
        **HELP,
        "follow": "go on with what comes, until Ctrl-C",
        "lines": "how many of the last lines of each host",
        "release": "another release than the current one, by id",
    }
)
def logs(
    context: Context,
    stage: str = LOCAL_STAGE,
    follow: bool = False,
    lines: str = "100",
    limit: str = "",
    release: str = "",
    json: bool = False,
) -> None:
    """Show what the services of a stage say, all hosts in one stream."""

    def work(report: Report) -> Outcome:
        from tagship.app import live  # when a verb runs, so that `fab --list` stays quick

        count = console.number("--lines", lines, least=0, most=1_000_000)
        fleet = replace(chosen(stage, limit, ignore), listener=report)
        return live.logs(fleet, lines=count, release=release or None, follow=follow)

    carry_out(context, json, work)


@task(help={**HELP, "role": "only hosts that are for this"})
def run(context: Context, stage: str = LOCAL_STAGE, limit: str = "", role: str = "", json: bool = False) -> None:
    """Run what follows `--` in the environment of what is live."""

    def work(report: Report) -> Outcome:
        from tagship.app import live  # as above

        if not _COMMAND:
            cure = f"fab run --stage {stage} -- python manage.py check"
            raise UsageError("no command was given", where="fab run", cure=cure)
        fleet = live.of_role(replace(chosen(stage, limit, ignore), listener=report), role)
        return live.run(fleet, _COMMAND, dry=is_dry(context), source=Stdin())

    carry_out(context, json, work)


@task(
    positional=words_of_env(sys.argv),
    help={
        **HELP,
        "action": "`set`, `unset` or `copy`; without it, the names are listed",
        "name": "of the variable",
        "wait": console.WAIT,
    },
)
def env(
    context: Context,
    action: str | None = None,
    name: str | None = None,
    stage: str = LOCAL_STAGE,
    limit: str = "",
    wait: str = "",
    json: bool = False,
) -> None:
    """List the stage's variables; `set NAME`, `unset NAME`, `copy`."""

    def work(fleet: OnStage, report: Report) -> Outcome:
        from tagship.app import live  # as above
        from tagship.app.stage import owner

        if action is None:
            return show(report, f"environment of {stage}", live.environment(fleet), nothing=f"{stage} has none yet")
        if limit:
            raise UsageError("a stage has one environment", where="--limit", cure=f"fab env {action} without --limit")
        if is_dry(context):
            raise UsageError("there is nothing to show beforehand", where="fab --dry", cure="fab env lists what is")
        patience = console.duration("--wait", wait)
        if action == "copy":
            return live.copy(fleet, owner=owner(), wait=patience)
        live.check_name(name or "")
        if action == "unset":
            return live.unset(fleet, name or "", owner=owner(), wait=patience)
        value = live.check_value(name or "", _read_value(name or "", stage))
        report.mask([value])
        return live.set_value(fleet, name or "", value, owner=owner(), wait=patience)

    on_stage(context, json, stage, limit, work)


@task(help=HELP)
def doctor(context: Context, stage: str = LOCAL_STAGE, limit: str = "", json: bool = False) -> None:
    """Check all that a deploy needs, before it is needed."""

    def work(report: Report) -> Outcome:
        from tagship.app.doctor import examine_stage  # as above

        return examine_stage(replace(chosen(stage, limit, ignore), listener=report))

    carry_out(context, json, work)


def _read_value(name: str, stage: str) -> bytes:
    """From a prompt that shows nothing, or all of stdin but for one line end; never from the command line."""
    if sys.stdin.isatty():
        return getpass.getpass(f"{name} on {stage}: ").encode("utf-8", "surrogateescape")
    text = sys.stdin.buffer.read(_LARGEST)
    return text[: -len(b"\r\n")] if text.endswith(b"\r\n") else text.removesuffix(b"\n")


class Stdin:
    """Our stdin for a command on one host, read ahead by one piece, and by a thread that nobody waits for."""

    def __init__(self) -> None:
        self._pieces: queue.Queue[bytes] = queue.Queue(1)
        self._begun = False

    def take(self) -> bytes | None:
        """What has come by now; `None` at its end."""
        if not self._begun:
            self._begun = True
            threading.Thread(target=self._read, name="stdin", daemon=True).start()
        try:
            return self._pieces.get_nowait() or None
        except queue.Empty:
            return b""

    def _read(self) -> None:
        try:
            while piece := os.read(sys.stdin.fileno(), _PIECE):
                self._pieces.put(piece)
        except (OSError, ValueError, AttributeError):
            pass  # closed, or never open: then it is at its end
        self._pieces.put(b"")
