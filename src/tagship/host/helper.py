"""The root-owned helper, the one thing that may be done as root: asked here, with the grammar that it takes."""

from __future__ import annotations

import os
from typing import Sequence

from tagship.host.faults import Problem, failed, refused
from tagship.host.layout import Layout
from tagship.host.lifeline import Lifeline
from tagship.host.ready import Ready

PROGRAM = "/usr/local/sbin/tagship-helper"
ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
"""All that the host's own programs get of an environment."""


def argv(ready: Ready, *words: str) -> list[str]:
    """The command that asks it."""
    return ["sudo", "-n", PROGRAM, ready.unit, *words]


def must(layout: Layout) -> Ready:
    """How the host was made ready; raises `refused` where it wasn't."""
    if layout.ready is None:
        raise refused("this host has no units", "fab setup")
    return layout.ready


def ask(lifeline: Lifeline, ready: Ready, *words: str) -> list[str]:
    """What it says, line by line; raises `failed` where it refuses, or what it does fails."""
    status, said = quietly(lifeline, argv(ready, *words))
    must_be_well(status, said, *words)
    return said


def must_be_well(status: int, said: list[str], *words: str) -> None:
    """Raise `failed` for an exit status that isn't 0, of the helper asked for `words`."""
    if status:
        why = next((line for line in said if line.strip()), "exit status {}".format(status))
        cure = "`fab setup` gives it its rights again" if why.startswith("sudo:") else "look at it on the host"
        raise failed("the helper can't {} {}: {}".format(words[0], " ".join(words[1:]), why), cure, said)


def quietly(lifeline: Lifeline, words: Sequence[str]) -> tuple[int, list[str]]:
    """Run a command of the host's own to its end: its exit status, and the lines of both its outputs."""
    output = os.memfd_create("said", os.MFD_CLOEXEC)
    try:
        status = lifeline.run(words, ENV, "/", output)
        size = os.fstat(output).st_size
        return status, os.pread(output, size, 0).decode("utf-8", "replace").splitlines()
    except Problem as problem:
        return 127, [problem.what]
    finally:
        os.close(output)
