"""What the kinds of resources share: how one differs, commands run as root, and what is owed if one fails."""

from __future__ import annotations

import os
from typing import Any, Callable, NamedTuple, Optional, Sequence

from tagship.host.context import Context
from tagship.host.faults import Problem, failed, refused, usage
from tagship.host.interpreter import PATH

ENVIRONMENT = {"PATH": PATH, "LANG": "C.UTF-8", "HOME": "/", "DEBIAN_FRONTEND": "noninteractive"}
_SAID = 64 << 10  # bytes of a command's output that are kept
_LINES = 20


class State(NamedTuple):
    """How a resource is, beside how it should be."""

    differs: bool
    words: str = ""
    """What is there instead, for people; empty where there is nothing."""
    was: Optional[str] = None
    """The text of a file that is there."""


class Work:
    """One `look` or `apply`: runs its commands, and remembers how to put back what it changed."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._owed: list[tuple[str, Callable[[], Any]]] = []
        self._again: list[tuple[str, Callable[[], Any]]] = []

    def owe(self, what: str, undo: Callable[[], Any]) -> None:
        """Remember how to put `what` back; what was owed last is put back first."""
        self._owed.append((what, undo))

    def owe_again(self, what: str, act: Callable[[], Any]) -> None:
        """Remember to do `what` once more, when everything else has been put back."""
        self._again.append((what, act))

    def put_back(self) -> list[str]:
        """Put everything back; a line for each thing that couldn't be."""
        left = []
        for what, undo in [*reversed(self._owed), *self._again]:
            try:
                undo()
            except (Problem, OSError) as error:
                left.append("not put back: {}: {}".format(what, error))
        return left

    def ask(self, argv: Sequence[str]) -> tuple[int, str]:
        """Run a command and give its exit status and what it said."""
        output = os.memfd_create("said")
        try:
            status = self.context.lifeline.run(argv, ENVIRONMENT, "/", output)
            size = os.fstat(output).st_size
            return status, os.pread(output, _SAID, max(size - _SAID, 0)).decode(errors="replace")
        finally:
            os.close(output)

    def run(self, argv: Sequence[str], title: str, cure: str) -> None:
        """Run a command; raises `failed` with its last lines unless its status is 0."""
        status, said = self.ask(argv)
        if status:
            how = "exit status {}".format(status) if status > 0 else "signal {}".format(-status)
            raise failed("{}: {}".format(title, how), cure, said.splitlines()[-_LINES:])


def mode_of(value: Any) -> int:
    """A row's `mode`, written in octal: `0750`."""
    try:
        return int(str(value), 8)
    except ValueError:
        raise usage("`{}` is not a mode".format(value)) from None


def in_the_way(path: str, what: str) -> Problem:
    """Something that isn't ours lies where a file of ours should be."""
    return refused(
        "{} {}".format(path, what), "look what it is and move it away, or give the app or stage another name"
    )
