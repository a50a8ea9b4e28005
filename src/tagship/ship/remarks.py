"""What an agent's answer holds that people should hear of, though the verb did what it should."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SHOWN = 3
"""Paths of a damaged release that are named; the journal has more."""


def damage(answer: Mapping[str, Any]) -> list[str]:
    """Sentences for releases whose files were changed, through a shared inode, by one that was just removed."""
    return [_damaged(release, paths) for release, paths in (answer.get("damaged") or {}).items()]


def force(args: Mapping[str, Any], answer: Mapping[str, Any]) -> list[str]:
    """Sentences for a process that was halted by force: `args` are those of its `halt`."""
    found = []
    if answer.get("cut"):
        drain, release = args["drain"], args["release"]
        found.append(f"{drain:g} s of drain were not enough: open connections of {release} were cut; raise `drain`")
    if answer.get("killed"):
        found.append(f"{args['release']} didn't end by SIGTERM within 10 s, and was killed")
    return found


def _damaged(release: str, paths: list[str]) -> str:
    named = ", ".join(paths[:SHOWN]) + (f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else "")
    return (
        f"{release} is damaged: a command of the removed release, or its process, wrote into {named}, "
        "which both share; take what writes there out, make a new tag and deploy it: a new release gets sound files"
    )
