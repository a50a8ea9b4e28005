"""Packages, units, and commands that make a change count.

`package`: `name`, `program` (a path that it brings: where that is, nothing is installed). `unit`: `name`, `active`.
`act`: `argv`, `cure`, `back` (run again once what was changed has been put back). `loads`: `name` of a unit.
"""

from __future__ import annotations

import os

from tagship.host.context import Args
from tagship.host.faults import Problem, failed
from tagship.host.outfit_work import State, Work

_WORDS = 6  # lines of a unit's journal that are shown


def look_package(work: Work, row: Args) -> State:  # noqa: ARG001
    """Whether its program is there."""
    return State(not os.path.exists(row.text("program")))


def make_package(work: Work, row: Args) -> None:
    """Install it by apt-get. It stays, whatever happens later."""
    name = row.text("name")
    if not os.path.exists("/usr/bin/apt-get"):
        raise Problem("failed", "{} isn't there, nor apt-get".format(name), "install it by hand, then run this again")
    cure = "give the host a way to a mirror (apt-get update there shows why not), or install {} by hand"
    argv = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", name]
    try:
        work.run(argv, "{} can't be installed".format(name), cure.format(name))
    except Problem:
        # A host that was never updated knows no packages: once more, with fresh lists.
        work.run(["apt-get", "update", "--quiet"], "{} can't be installed".format(name), cure.format(name))
        work.run(argv, "{} can't be installed".format(name), cure.format(name))


def look_unit(work: Work, row: Args) -> State:
    """Whether it is enabled and, where that is wanted, active."""
    name, words = row.text("name"), []
    if work.ask(["systemctl", "is-enabled", "--quiet", name])[0]:
        words.append("not enabled")
    if row.raw().get("active") and work.ask(["systemctl", "is-active", "--quiet", name])[0]:
        words.append("not running")
    return State(bool(words), ", ".join(words))


def make_unit(work: Work, row: Args) -> None:
    """Enable it and, where that is wanted, start it."""
    name, last = row.text("name"), ["journalctl", "--quiet", "--no-pager", "--output=cat", "-n", str(_WORDS)]
    if work.ask(["systemctl", "is-enabled", "--quiet", name])[0]:
        work.owe(name, lambda: work.ask(["systemctl", "disable", "--quiet", name]))
        work.run(["systemctl", "enable", "--quiet", name], "{} can't be enabled".format(name), "see what it says")
    if row.raw().get("active") and work.ask(["systemctl", "is-active", "--quiet", name])[0]:
        work.owe(name, lambda: work.ask(["systemctl", "stop", name]))
        status, said = work.ask(["systemctl", "start", name])
        if status:
            tail = [*said.splitlines(), *work.ask([*last, "--unit=" + name])[1].splitlines()]
            raise failed("{} doesn't start".format(name), "mend what its last lines say", tail)


def look_act(work: Work, row: Args) -> State:  # noqa: ARG001
    """It is no state of anything."""
    return State(False)


def make_act(work: Work, row: Args) -> None:
    """Run it; if it has to be run again after putting back, that is owed from now on."""
    argv, title = row.texts("argv"), " ".join(row.texts("argv"))
    if row.raw().get("back"):
        work.owe_again(title, lambda: work.run(argv, title, row.text("cure")))
    work.run(argv, title, row.text("cure"))


def make_loads(work: Work, row: Args) -> None:
    """Raises `failed` where systemd can't take the unit. (What an old systemd doesn't know in it, it passes over.)"""
    name = row.text("name")
    _, said = work.ask(["systemctl", "show", "--property=LoadState", "--property=LoadError", name])
    if "LoadState=loaded" not in said.splitlines():
        raise failed(
            "systemd can't take {}".format(name), "this is a bug in tagship; please report it", said.splitlines()
        )
