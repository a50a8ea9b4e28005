"""How long each verb of docs/agent.md may take before its host counts as lost, though its agent still beats.

An agent that beats may hang all the same: on a network filesystem that is gone, in the kernel, on a program that
never returns. These times end that, and nothing that works comes near them; who is impatient presses Ctrl-C.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Deadline:
    """Seconds for a whole answer; where `by_progress`, from each sign that the verb gets on to the next."""

    seconds: float
    by_progress: bool = False


Deadlines = Callable[[str, Mapping[str, Any]], Deadline]
"""The deadline of a verb with its arguments."""

GLANCE, LOOK = 60.0, 300.0
"""Seconds to answer from memory or a few files; to walk through a tree, or ask the host's own programs."""
WORK = 1800.0
"""Seconds to read, write or remove all files of a release, on a disk that is slow and busy."""
COMMAND = 3600.0
"""Seconds for a command of the project's own, for which tagship.yml has no time."""

ADDED = {"wait": 1, "drain": 2}
"""Arguments in seconds which the verb is allowed on top, so often: it was asked to wait. After a drain, systemd gives
a unit as long once more to end."""

VERBS: Mapping[str, Deadline] = {
    "survey": Deadline(120.0),
    "lock": Deadline(LOOK),  # clears what killed sessions left half done
    "unlock": Deadline(GLANCE),
    "holder": Deadline(GLANCE),
    "sweep": Deadline(LOOK),
    "declare": Deadline(WORK),
    "put": Deadline(120.0, by_progress=True),  # however much there is to send, over however thin a line
    "tree": Deadline(WORK),
    "venv": Deadline(WORK),
    "furnish": Deadline(WORK),
    "command": Deadline(COMMAND),
    "seal": Deadline(WORK),
    "unstage": Deadline(WORK),
    "start": Deadline(180.0),  # its agent adds the time of the release's own probe
    "halt": Deadline(180.0),
    "front": Deadline(GLANCE),
    "unfront": Deadline(GLANCE),
    "flip": Deadline(GLANCE),
    "mark": Deadline(GLANCE),
    "probe": Deadline(60.0),  # as `start`
    "prune": Deadline(WORK),
    "history": Deadline(GLANCE),
    "manifest": Deadline(LOOK),
    "verify": Deadline(COMMAND),
    "audit": Deadline(COMMAND),
    "drift": Deadline(LOOK),
    "sound": Deadline(WORK),
    "doctor": Deadline(LOOK),
    "run": Deadline(GLANCE),
    "talk": Deadline(GLANCE),
    "logs": Deadline(GLANCE),
    "env": Deadline(GLANCE),
    "envget": Deadline(GLANCE),
    "envput": Deadline(GLANCE),
    "envdrop": Deadline(GLANCE),
    "look": Deadline(LOOK),
    "apply": Deadline(WORK, by_progress=True),  # a resource may be packages to install
    "scan": Deadline(LOOK),
    "take": Deadline(WORK),
    "back": Deadline(WORK),
    "keep": Deadline(GLANCE),
    "heads": Deadline(LOOK),  # the project's own code is loaded, on a host that may be busy
    "schema": Deadline(LOOK),
    "statements": Deadline(LOOK),
    "loss": Deadline(WORK),  # counts rows
    "settled": Deadline(GLANCE),
    "up": Deadline(COMMAND),  # with a backup before it; a migration's own deadline comes on top
    "down": Deadline(LOOK),
    "stay": Deadline(GLANCE),
    "rehearse": Deadline(COMMAND),  # copies whole databases; what migrations may take comes on top
}


def of(verb: str, args: Mapping[str, Any]) -> Deadline:
    """The deadline of `verb`; what its arguments have it wait for is added."""
    found = VERBS.get(verb, Deadline(LOOK))
    more = sum(times * float(args[name]) for name, times in ADDED.items() if isinstance(args.get(name), int | float))
    limits = args.get("limits")
    more += float(limits["deadline"]) if isinstance(limits, Mapping) else 0.0
    return Deadline(found.seconds + more, found.by_progress)
