"""The verbs by name: where each lives, whether it needs the lock, whether data follows. Loaded when asked for."""

from __future__ import annotations

import importlib
from typing import Any, Callable, NamedTuple

from tagship.host.context import Args, Context
from tagship.host.faults import usage


class Verb(NamedTuple):
    """One verb: `module` of this package and `function` in it."""

    module: str
    function: str
    needs_lock: bool = True
    takes_data: bool = False
    notes: bool = False
    """It journals its intent before it changes anything, and so need not be announced."""
    reserved: bool = False
    """A rollback needs it: where the disk is full, it may have the room that is set aside."""

    def load(self) -> Callable[[Context, Args], dict[str, Any]]:
        """The function that carries it out."""
        module = importlib.import_module("tagship.host." + self.module)
        found: Callable[[Context, Args], dict[str, Any]] = getattr(module, self.function)
        return found


VERBS = {
    "survey": Verb("survey", "survey", needs_lock=False),
    "lock": Verb("locking", "lock", needs_lock=False, reserved=True),
    "sweep": Verb("litter", "sweep"),
    "unlock": Verb("locking", "unlock", needs_lock=False),
    "holder": Verb("locking", "holder", needs_lock=False),
    "declare": Verb("declare", "declare", notes=True),
    "put": Verb("staging", "put", takes_data=True),
    "tree": Verb("staging", "tree"),
    "venv": Verb("venv", "venv"),
    "furnish": Verb("furnish", "furnish"),
    "command": Verb("command", "command"),
    "seal": Verb("seal", "seal"),
    "sound": Verb("soundness", "sound"),
    "unstage": Verb("removal", "unstage", reserved=True),
    "start": Verb("service", "start", reserved=True),
    "halt": Verb("service", "halt", reserved=True),
    "front": Verb("door", "front", reserved=True),
    "unfront": Verb("door", "unfront", reserved=True),
    "flip": Verb("public", "flip", notes=True, reserved=True),
    "mark": Verb("public", "mark", notes=True, reserved=True),
    "probe": Verb("probe", "probe"),
    "prune": Verb("removal", "prune", reserved=True),
    "history": Verb("survey", "history", needs_lock=False),
    "manifest": Verb("survey", "manifest", needs_lock=False),
    "doctor": Verb("live_doctor", "doctor", needs_lock=False),
    "run": Verb("live_running", "run", needs_lock=False),
    "talk": Verb("live_running", "talk", needs_lock=False),
    "logs": Verb("live_logs", "logs", needs_lock=False),
    "env": Verb("live_envs", "env", needs_lock=False),
    "envget": Verb("live_envs", "envget", needs_lock=False),
    "envput": Verb("live_envs", "envput", takes_data=True),
    "envdrop": Verb("live_envs", "envdrop"),
    "heads": Verb("schema", "heads", needs_lock=False),
    "schema": Verb("schema", "schema", needs_lock=False),
    "statements": Verb("schema", "statements", needs_lock=False),
    "loss": Verb("schema", "loss", needs_lock=False),
    "up": Verb("schema_moves", "up"),
    "down": Verb("schema_moves", "down"),
    "stay": Verb("schema_moves", "stay"),
    "settled": Verb("schema_moves", "settled", needs_lock=False),
    "rehearse": Verb("rehearsal", "rehearse"),
    "drift": Verb("drift", "drift", needs_lock=False),
    "verify": Verb("verify", "verify", needs_lock=False),
    "audit": Verb("verify_host", "audit", needs_lock=False),
    "look": Verb("outfit", "look", needs_lock=False),
    "apply": Verb("outfit", "apply", needs_lock=False),
    "scan": Verb("outfit_adopt", "scan", needs_lock=False),
    "take": Verb("outfit_adopt", "take", needs_lock=False),
    "back": Verb("outfit_adopt", "back", needs_lock=False),
    "keep": Verb("outfit_adopt", "keep", needs_lock=False),
}


def find(name: str) -> Verb:
    """The verb of that name; raises `usage` where there is none."""
    try:
        return VERBS[name]
    except KeyError:
        raise usage("there is no verb `{}`".format(name)) from None
