"""The verbs `start` and `halt`: the parts of a release, as units of systemd or as plain processes."""

from __future__ import annotations

import time
from typing import Any, NamedTuple, Optional

from tagship.host import drain, files, plain, presence, probe, procs, stored, units
from tagship.host.context import Args, Context
from tagship.host.environment import secrets
from tagship.host.faults import Problem, failed
from tagship.host.units import WEB

_SETTLED = 1.0
"""Seconds that a unit, which answers nobody, must live to count as well."""
_OFTEN = 0.05


def start(context: Context, args: Args) -> dict[str, Any]:
    """Run all parts of the release that don't run; its own socket must give `passes` good answers in a row.

    A part that ends, also if systemd starts it again, is a failure at once.
    """
    release = args.release()
    layout = context.layout
    declared = stored.read(layout, release)
    asked = probe.of(declared)
    runner = runner_of(context, declared)
    wanted = declared.parts
    began = time.monotonic()
    running: dict[str, Optional[procs.Process]] = {}
    try:
        missing = [part for part in wanted if presence.find(layout, release, part) is None]
        if missing:
            runner.start(missing)
        running = {part: presence.find(layout, release, part) for part in wanted}
        if WEB in running:
            probe.wait_until_well(
                context,
                asked,
                lambda patience: probe.ask_own(layout, release, asked, patience),
                lambda: not _dead(running),
            )
        _settle(context, running, began + _SETTLED if missing else began)
    except Problem as problem:
        part = (_dead(running) or wanted or [WEB])[0]
        if _dead(running):
            _explain(problem, runner, part)
        add_last_words(context, declared, problem, runner, part)
        raise
    pids = [process.pid for process in running.values() if process is not None]
    return {"pid": pids[0] if pids else None, "seconds": round(time.monotonic() - began, 3)}


def _dead(running: dict[str, Optional[procs.Process]]) -> list[str]:
    return [part for part, process in running.items() if process is None or not process.alive()]


def _settle(context: Context, running: dict[str, Optional[procs.Process]], until: float) -> None:
    """See that the units live until then; one that answers requests has proven more."""
    while True:
        if _dead(running):
            raise failed("it ended", "the last lines of its log say why")
        left = until - time.monotonic()
        if left <= 0 or set(running) <= {WEB}:
            return
        context.lifeline.wait(min(left, _OFTEN))


def _explain(problem: Problem, runner: Any, part: str) -> None:
    """Say which part it was, and how it ended."""
    who = "the process" if part == WEB else "the unit `{}`".format(part)
    how = runner.how(part) or "ended"
    problem.what = "{} {}{}".format(who, how, " before it answered" if part == WEB else "")


def runner_of(context: Context, declared: stored.Declared) -> Any:
    """What runs the parts of a release here, and knows what they say from now on."""
    return (units.Units if context.layout.ready else plain.Plain)(context, declared)


def add_last_words(
    context: Context, declared: stored.Declared, problem: Problem, runner: Any, part: str = WEB
) -> None:
    """Tell in `problem` what a part of the release has said last, secrets masked."""
    from tagship.host import masking  # only where there are last words to show

    problem.tail = masking.last_words(runner.last_words(part) or problem.tail, secrets(context.layout, declared))


def halt(context: Context, args: Args) -> dict[str, Any]:
    """Wait until nobody is connected to the release's socket, at most `drain` seconds, and stop its processes.

    One that was started here and never made current is waited for by nobody but our own probes.
    """
    release, patience = args.release(), args.number("drain")
    if release in context.started and release not in context.shown:
        patience = 0
    began = time.monotonic()
    stopped = stop(context, release, patience)
    if stopped.cut or stopped.killed:
        context.note("halted", release, cut=stopped.cut, killed=stopped.killed)
    return {"seconds": round(time.monotonic() - began, 3), "cut": stopped.cut, "killed": stopped.killed}


class Stopped(NamedTuple):
    """How a process ended."""

    cut: bool
    """Connections were still open when its drain was over."""
    killed: bool
    """SIGTERM was not enough."""


def stop(context: Context, release: str, patience: float) -> Stopped:
    """`halt` with its drain in seconds; with none, nobody is waited for and no connection counts as cut.

    Units then have no more time to end than plain processes, instead of what the drain allows at a reboot.
    """
    layout = context.layout
    parts = presence.parts(layout).get(release, {})
    instances = _instances(context, release, parts) if layout.ready else []
    cut = killed = False
    if parts or instances:
        cut = patience > 0 and not drain.wait(context.lifeline, layout.socket(release), patience)
        ending = units.end if patience > 0 else units.end_soon
        killed = ending(context, release, instances) if layout.ready else plain.end(context, parts)
    if layout.ready is None:
        presence.forget(layout, release)
        files.remove(layout.socket(release))
    context.started.discard(release)
    return Stopped(cut, killed)


def waiting(context: Context) -> set[str]:
    """The serials of which systemd keeps anything up; where plain processes serve, nobody keeps them up."""
    layout = context.layout
    names = units.loaded(context.lifeline, layout) if layout.ready else []
    return {name.partition(".")[0] for name in names}


def _instances(context: Context, release: str, parts: dict[str, list[int]]) -> list[str]:
    """What there is to stop: all that belong to it where one lives, else what waits to be started again."""
    layout = context.layout
    declared = stored.find(layout, release)
    if parts or release in context.started:
        names = {*parts, *(declared.parts if declared else ())}
        return sorted(units.name(units.serial(release), part) for part in names)
    return units.loaded(context.lifeline, layout, release)
