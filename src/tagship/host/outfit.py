"""The verbs `look` and `apply`: what a host lacks of its outfit, and giving it that. Sent by `fab setup` only.

The outfit is a list of resources, each a row with a `kind`; what each kind's row holds is told in its module. Whoever
asks is root here; what another user could have put into the way is refused, not followed.
"""

from __future__ import annotations

import os
from typing import Any, Callable

from tagship.host import (
    files,
    outfit_files,
    outfit_folders,
    outfit_ports,
    outfit_system,
    outfit_takeover,
    outfit_users,
)
from tagship.host.context import Args, Context
from tagship.host.faults import Gone, Problem, failed, from_os_error, usage
from tagship.host.lifeline import Lifeline
from tagship.host.lock import Lock, read_holder
from tagship.host.outfit_work import State, Work

LOCK = "/run/tagship-setup.lock"
NOTES = "/etc/tagship"

KINDS: dict[str, tuple[Callable[[Work, Args], State], Callable[[Work, Args], None]]] = {
    "package": (outfit_system.look_package, outfit_system.make_package),
    "user": (outfit_users.look_user, outfit_users.make_user),
    "member": (outfit_users.look_member, outfit_users.make_member),
    "keys": (outfit_users.look_keys, outfit_users.make_keys),
    "folder": (outfit_folders.look_folder, outfit_folders.make_folder),
    "file": (outfit_files.look_file, outfit_files.make_file),
    "link": (outfit_files.look_link, outfit_files.make_link),
    "aside": (outfit_files.look_aside, outfit_files.make_aside),
    "needs": (outfit_files.look_needs, outfit_files.make_needs),
    "unit": (outfit_system.look_unit, outfit_system.make_unit),
    "port": (outfit_ports.look_port, outfit_ports.make_port),
    "act": (outfit_system.look_act, outfit_system.make_act),
    "loads": (outfit_system.look_act, outfit_system.make_loads),
    "share": (outfit_takeover.look_share, outfit_takeover.make_share),
    "beside": (outfit_takeover.look_beside, outfit_takeover.make_beside),
    "current": (outfit_takeover.look_current, outfit_takeover.make_current),
    "out": (outfit_takeover.look_out, outfit_takeover.make_out),
    "gone": (outfit_takeover.look_gone, outfit_takeover.make_gone),
    "reload": (outfit_takeover.look_reload, outfit_takeover.make_reload),
    "calm": (outfit_takeover.look_calm, outfit_takeover.make_calm),
}
"""Who looks at a kind of resource, and who makes it."""
ALWAYS = ("act", "loads")
"""Kinds that are made in their place whenever anything is."""


def look(context: Context, args: Args) -> dict[str, Any]:
    """The verb `look`: how each resource differs, and every reason why it can't be had; changes nothing."""
    states, refusals = look_at(Work(context), rows(args))
    return {
        "states": [state._asdict() for state in states],
        "refusals": [{"what": problem.what, "cure": problem.cure} for problem in refusals],
        "unfinished": os.path.lexists(note(args)),
        "holder": read_holder(LOCK),
    }


def apply(context: Context, args: Args) -> dict[str, Any]:
    """The verb `apply`: make what differs, in order, or put the changed files back.

    `changes` are the numbers of the resources that differed when the plan was made: if others do now, it is refused.
    """
    work, resources, path = Work(context), rows(args), note(args)
    lock = take_lock(args, "setup")
    try:
        states, refusals = look_at(work, resources)
        if refusals:
            raise refusals[0]
        changes = [number for number, state in enumerate(states) if state.differs]
        if changes != args.items("changes"):
            raise Problem("refused", "it changed after it was looked at", "run it again: it will plan anew")
        os.makedirs(NOTES, 0o755, exist_ok=True)
        files.write(path, b"")  # until its end: a setup that was cut off is known by it, and all acts are done again
        make_all(work, resources, set(changes), lambda: files.remove(path))
    finally:
        lock.free()
    return {"made": len(changes)}


def make_all(work: Work, resources: list[Args], changes: set[int], end: Callable[[], None]) -> None:
    """Make what is in `changes`, and the acts, or put it back; `end` is called once that is so. Raises `failed`."""
    try:
        for number, row in enumerate(resources):
            work.context.progress(number, len(resources), "resources")
            if number in changes or row.text("kind") in ALWAYS:
                KINDS[row.text("kind")][1](work, row)
    except (Problem, OSError, Gone) as error:
        work.context.lifeline = Lifeline()  # also where the client is gone: what was changed is still put back
        left = work.put_back()
        if not left:
            end()
        if isinstance(error, Gone):
            raise
        problem = error if isinstance(error, Problem) else from_os_error(error)
        raise _told(problem, left) from error
    end()


def _told(problem: Problem, left: list[str]) -> Problem:
    told = failed(problem.what, problem.cure, [*problem.tail, *left])
    told.data = {"back": not left}
    return told


def look_at(work: Work, rows: list[Args]) -> tuple[list[State], list[Problem]]:
    """How each differs, and what stands against it."""
    states, refusals = [], []
    for row in rows:
        try:
            states.append(KINDS[row.text("kind")][0](work, row))
        except Problem as problem:
            if problem.kind != "refused":
                raise
            states.append(State(False))
            refusals.append(problem)
    return states, refusals


def rows(args: Args) -> list[Args]:
    """The resources of a question. Raises `usage`."""
    found = [Args(row) for row in args.items("resources")]
    for row in found:
        if row.text("kind") not in KINDS:
            raise usage("there is no resource of the kind `{}`".format(row.text("kind")))
    return found


def note(args: Args) -> str:
    """The file that is there while something is being made."""
    return os.path.join(NOTES, ".{}.unfinished".format(os.path.basename(args.text("name"))))


def take_lock(args: Args, verb: str) -> Lock:
    """One setup at a time on a host, whatever its stage. Raises `locked`, telling by whom and for which stage."""
    lock = Lock(LOCK)
    lock.take(args.optional("owner") or "root", args.text("name"), verb)
    return lock
