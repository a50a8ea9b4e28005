"""A release as units of systemd: one template for all of them, an instance for each process of a release.

The kernel tells what runs: a process's control group names its unit, the unit the serial. The helper starts and
stops; nothing here needs any right.
"""

from __future__ import annotations

import re
import time
from typing import Optional

from tagship.host import files, helper, procs, stored
from tagship.host.context import Context
from tagship.host.faults import failed
from tagship.host.layout import Layout, serial_of
from tagship.host.lifeline import Lifeline
from tagship.host.ready import Ready

WEB = "web"
_LINES, _MANY = "20", "200"
_LONG = 9.0
"""Seconds before which no unit is killed for not ending: TimeoutStopSec is at least 10."""
_GONE = 5.0
_UNKNOWN = 2
"""The helper's exit status for words that aren't in its grammar."""
# Nobody but root makes groups below system.slice; in user.slice, users may make some that are named alike.
_GROUP = (
    rb"^[^:\n]*:[^:\n]*:(?:/(?!user\.slice)[^/\n]+)*?/system\.slice/system-[^/\n]+\.slice/%s@([0-9.a-z-]+)\.service"
)


def name(serial: str, part: str) -> str:
    """The instance of a part of a release: `0007`, or `0007.worker`."""
    return serial if part == WEB else "{}.{}".format(serial, part)


def serial(release: str) -> str:
    """The serial as instances and run folders have it: `0007`."""
    return "{:04d}".format(serial_of(release))


class Groups:
    """Tells by its control group which instance of the stage's template a process belongs to."""

    def __init__(self, ready: Ready) -> None:
        self._pattern = re.compile(_GROUP % re.escape(ready.unit.encode()) + rb"(?:/|$)", re.M)

    def part(self, pid: int) -> Optional[tuple[str, str]]:
        """Serial and part, `("0007", "web")`; `None` for a process of something else."""
        return self.told(files.read("/proc/{}/cgroup".format(pid)) or b"")

    def told(self, text: bytes) -> Optional[tuple[str, str]]:
        """`part`, of what /proc/PID/cgroup holds."""
        found = self._pattern.search(text)
        if found is None:
            return None
        number, _, part = found.group(1).decode().partition(".")
        return number, part or WEB


class Units:
    """The units of one release; with `start`, those that don't run yet are started."""

    def __init__(self, context: Context, declared: stored.Declared) -> None:
        self._context = context
        self._declared = declared
        self._ready = helper.must(context.layout)
        self._serial = serial(declared.release)

    def start(self, missing: list[str]) -> None:
        """Have systemd start the parts in `missing`, all at once; returns when their commands have been executed."""
        from tagship.host.furnish import link_serials  # only where something is started

        link_serials(self._context.layout, self._declared)  # a rollback's may be gone: what is older had none
        self._context.started.add(self._declared.release)
        helper.ask(self._context.lifeline, self._ready, "start", *(name(self._serial, part) for part in missing))

    def how(self, part: str) -> str:
        """How the part's process has ended, in words; empty where nobody knows."""
        unit = "{}@{}.service".format(self._ready.unit, name(self._serial, part))
        _, said = helper.quietly(
            self._context.lifeline, ["systemctl", "show", "-p", "Result,ExecMainCode,ExecMainStatus", unit]
        )
        found = dict(line.split("=", 1) for line in said if "=" in line)
        if found.get("Result") == "oom-kill":
            return "used more memory than there is for it, and the kernel ended it"
        kind, status = found.get("ExecMainCode"), found.get("ExecMainStatus")
        if kind == "1":
            return "ended with exit status {}".format(status)
        return "was ended by signal {}".format(status) if kind in ("2", "3") else ""

    def last_words(self, part: str) -> list[str]:
        """Many of the last lines of the part's journal: a secret that is folded over several must be masked whole."""
        words = helper.argv(self._ready, "journal", name(self._serial, part), _MANY)
        return helper.quietly(self._context.lifeline, words)[1]


def loaded(lifeline: Lifeline, layout: Layout, release: Optional[str] = None) -> list[str]:
    """Instances, the release's or all, that systemd keeps up: also one that waits to be started again.

    That has no process.
    """
    pattern = "{}@{}".format(helper.must(layout).unit, "*" if release is None else serial(release))
    words = ["systemctl", "list-units", "--all", "--plain", "--no-legend"]
    status, said = helper.quietly(lifeline, [*words, pattern + ".service", pattern + ".*.service"])
    rows = [] if status else [line.split() for line in said]
    up = [row[0] for row in rows if len(row) > 2 and "@" in row[0] and row[2] not in ("inactive", "failed")]
    return [unit.partition("@")[2][: -len(".service")] for unit in up]


def end(context: Context, release: str, instances: list[str]) -> bool:
    """Have systemd stop `instances`; gives whether SIGTERM was not enough. Raises `failed` where one lives on."""
    began = time.monotonic()
    ready = helper.must(context.layout)
    helper.ask(context.lifeline, ready, "stop", *instances)
    killed = time.monotonic() - began > _LONG and any(_was_killed(context, ready, one) for one in instances)
    _see_gone(context, ready, release)
    return killed


def end_soon(context: Context, release: str, instances: list[str]) -> bool:
    """As `end`, with SIGKILL 10 s after SIGTERM: nobody was ever connected to it, or somebody waited for them."""
    ready = helper.must(context.layout)
    status, said = helper.quietly(context.lifeline, helper.argv(ready, "end", *instances))
    if status == _UNKNOWN:  # an older helper
        return end(context, release, instances)
    helper.must_be_well(status, said, "end", *instances)
    _see_gone(context, ready, release)
    return "killed" in said


def _see_gone(context: Context, ready: Ready, release: str) -> None:
    groups, number = Groups(ready), serial(release)
    deadline = time.monotonic() + _GONE
    while any((groups.part(pid) or ("",))[0] == number and not _dead(pid) for pid in procs.pids()):
        if time.monotonic() > deadline:
            raise failed("a process of {} doesn't end".format(release), "look at it on the host")
        context.lifeline.wait(0.02)


def _was_killed(context: Context, ready: Ready, instance: str) -> bool:
    _, said = helper.quietly(context.lifeline, helper.argv(ready, "journal", instance, _LINES))
    return any("timed out. Killing" in line and "systemd[1]" in line for line in said)


def _dead(pid: int) -> bool:
    stat = procs.read_stat(pid)
    return stat is None or stat.dead
