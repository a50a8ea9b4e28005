"""What differs on each host, as a plan: lines with diffs for people, rows for programs."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tagship.ship.setup.resources import Act, File, Folder, Keys, Link, Resource

CHANGED = (File, Folder, Keys, Link)
"""What a plan marks as changed, where it is there already."""


@dataclass(frozen=True)
class State:
    """How a resource is on a host, as its agent saw it."""

    differs: bool
    words: str = ""
    """What is there instead; empty where there is nothing."""
    was: str | None = None
    """The text of a file that is there."""


@dataclass(frozen=True)
class HostPlan:
    """What is to be made on one host."""

    host: str
    resources: tuple[Resource, ...]
    states: tuple[State, ...]
    unfinished: bool = False
    """An earlier setup was cut off: its last acts are owed."""

    @property
    def changes(self) -> tuple[int, ...]:
        """The numbers of the resources that differ."""
        return tuple(number for number, state in enumerate(self.states) if state.differs)

    @property
    def empty(self) -> bool:
        """Whether the host is ready as it is."""
        return not self.changes and not self.unfinished


def lines(stage: str, plans: Sequence[HostPlan]) -> list[str]:
    """The plan for people; hosts on which the same is to be made are told together."""
    grouped: dict[tuple[str, ...], list[str]] = {}
    for plan in plans:
        grouped.setdefault(tuple(_of_host(plan)), []).append(plan.host)
    told = [f"setup of {stage}"]
    for shown, hosts in grouped.items():
        told += [f"{', '.join(hosts)}: {'to be made ready' if shown else 'ready, nothing to change'}", *shown]
    return told


def rows(plans: Sequence[HostPlan]) -> list[dict[str, Any]]:
    """The plan for programs: one object a host."""
    return [
        {
            "host": plan.host,
            "unfinished": plan.unfinished,
            "changes": [
                {
                    **_row(plan.resources[number].row()),
                    "title": plan.resources[number].title,
                    "was": plan.states[number].words,
                    "diff": list(_diff(plan.resources[number], plan.states[number])),
                }
                for number in plan.changes
            ],
            "acts": [resource.title for resource in plan.resources if isinstance(resource, Act)]
            if not plan.empty
            else [],
        }
        for plan in plans
    ]


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    """What identifies a resource; texts are told by their diff."""
    return {key: value for key, value in row.items() if key in ("kind", "path", "name", "user", "group")}


def _of_host(plan: HostPlan) -> Iterator[str]:
    if plan.empty:
        return
    if plan.unfinished:
        yield "  ! an earlier setup was cut off: its last steps are done again"
    for resource, state in zip(plan.resources, plan.states, strict=True):
        if isinstance(resource, Act):
            yield f"  > {resource.title}"
        elif state.differs:
            sign = "~" if isinstance(resource, CHANGED) and (state.words or state.was is not None) else resource.sign
            yield f"  {sign} {resource.title}" + (f" (now: {state.words})" if state.words else "")
            yield from (f"      {line}" for line in _diff(resource, state))


def _diff(resource: Resource, state: State) -> Iterator[str]:
    """A unified diff of a file that changes."""
    if isinstance(resource, File) and state.was is not None and state.was != resource.text:
        before, after = state.was.splitlines(), resource.text.splitlines()
        yield from list(difflib.unified_diff(before, after, lineterm="", n=1))[2:]
