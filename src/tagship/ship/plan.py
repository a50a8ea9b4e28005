"""What will be done, as a value: phases, each a barrier, of steps, each one verb of the agent with its undo."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tagship.ship.survey import HostSurvey

Act = tuple[str, Mapping[str, Any]]
"""A verb of docs/agent.md and its arguments."""

HERE = ""
"""The host of steps that this machine takes: hooks and pauses."""

LONG = 12
"""Lists longer than this are told by their length in a plan's JSON: a manifest has thousands of rows."""

FEW = 4
"""Neighbours that a plan names one by one are fewer than these."""


@dataclass(frozen=True)
class Step:
    """One act on one host, or `HERE`.

    `undo` is safe if the act never ran or half ran; `None` if there is nothing to undo.
    """

    host: str
    title: str
    verb: str
    args: Mapping[str, Any] = field(default_factory=dict)
    undo: Act | None = None
    sends: bool = False
    """The contents that `declare` reported missing follow the question."""


@dataclass(frozen=True)
class Phase:
    """Steps of one or more hosts; hosts work side by side, and all must end before the next phase begins."""

    name: str
    steps: tuple[Step, ...]
    vital: bool = True
    """`False`: the work is done and proven before; a failure here is a warning and undoes nothing."""
    late: bool = False
    """What came before stays, whatever happens here; a failure leaves the fleet live, and is told as `degraded`."""

    def by_host(self) -> dict[str, tuple[Step, ...]]:
        """The steps of each host, in order; hosts in the order of their first step."""
        grouped: dict[str, list[Step]] = {}
        for step in self.steps:
            grouped.setdefault(step.host, []).append(step)
        return {host: tuple(steps) for host, steps in grouped.items()}


@dataclass(frozen=True)
class Plan:
    """All of a change to a fleet; an empty one means that nothing needs to be done."""

    verb: str
    """`deploy`, `rollback` or `stop`."""
    stage: str
    release: str | None
    """The release that will be live everywhere; `None` after a stop."""
    previous: Mapping[str, str | None]
    """What `current` names on each host now."""
    phases: tuple[Phase, ...]
    headline: str
    tag: str | None = None
    """What `release` was made of."""
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    """Of the surveys that the plan was made from, by host."""
    outline: tuple[Phase, ...] = ()
    """What will follow `phases`, as far as it is known: it is planned anew once they have looked at the schema."""
    ahead: str = ""
    """Why the schema stays ahead of `release` though nothing fails: then that is told as `degraded`."""

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(self.previous)

    @property
    def empty(self) -> bool:
        return not self.phases


def plan_of(
    verb: str,
    stage: str,
    surveys: Mapping[str, HostSurvey],
    release: str | None,
    phases: Iterable[Phase],
    words: str,
    *,
    tag: str | None = None,
    outline: Iterable[Phase] = (),
) -> Plan:
    """A plan for the hosts of `surveys`, without the phases in which nothing happens; `words` begin its headline.

    `tag` is needed only where `release` isn't on the hosts yet.
    """
    known = next((found for survey in surveys.values() if (found := survey.release(release))), None)
    return Plan(
        verb=verb,
        stage=stage,
        release=release,
        previous={host: survey.current for host, survey in surveys.items()},
        phases=phases_of(phases),
        headline=f"{words} {stage} ({_everyone(tuple(surveys))})",
        tag=tag if known is None else known.tag,
        fingerprints={host: survey.fingerprint for host, survey in surveys.items()},
        outline=phases_of(outline),
    )


def phases_of(phases: Iterable[Phase]) -> tuple[Phase, ...]:
    """Drop the phases in which nothing happens."""
    return tuple(phase for phase in phases if phase.steps)


def render(plan: Plan) -> list[str]:
    """The plan as lines for people: a headline, each phase, each step once with the hosts that take it."""
    lines = [plan.headline]
    before = None
    for phase in (*plan.phases, *plan.outline):
        if phase.name != before:  # hooks that run here and hooks of hosts are phases of one name
            lines.append(_named(phase))
        before = phase.name
        for title, steps in _by_title(phase).items():
            hosts = {step.host for step in steps}
            text = f"  {title}" if hosts == set(plan.hosts) else f"  {title} [{named(hosts, plan.hosts)}]"
            undo = _undo_words(steps)
            lines.append(f"{text} · undo: {undo}" if undo else text)
    return lines


def named(hosts: Iterable[str], fleet: Iterable[str]) -> str:
    """`hosts` in the order of their `fleet`; four and more neighbours are told by the first and the last of them."""
    chosen = set(hosts)
    words: list[str] = ["here"] if HERE in chosen else []
    for inside, run in itertools.groupby(fleet, key=chosen.__contains__):
        if inside:
            names = list(run)
            words += names if len(names) < FEW else [f"{names[0]} … {names[-1]}"]
    return ", ".join(words)


def _named(phase: Phase) -> str:
    if phase.late:
        return f"{phase.name} (what came before stays, also if this fails)"
    return phase.name if phase.vital else f"{phase.name} (a failure here is only a warning)"


def _everyone(hosts: tuple[str, ...]) -> str:
    return named(hosts, hosts) + (f", {len(hosts)} hosts" if len(hosts) >= FEW else "")


def _by_title(phase: Phase) -> dict[str, list[Step]]:
    """Hosts that do alike things under other names (a base, an old release) show them side by side, in order."""
    rows = itertools.zip_longest(*phase.by_host().values())
    grouped: dict[str, list[Step]] = {}
    for step in (step for row in rows for step in row if step is not None):
        grouped.setdefault(step.title, []).append(step)
    return grouped


def _undo_words(steps: list[Step]) -> str:
    words = []
    for step in steps:
        if step.undo is None:
            continue
        verb, args = step.undo
        word = f"{verb} to {args['to'] or 'nothing'}" if verb == "flip" else verb
        if word not in words:
            words.append(word)
    return " or ".join(words)


def to_json(plan: Plan) -> list[dict[str, Any]]:
    """The plan for programs: one object a phase; long lists in arguments are told as `{"count": n}`.

    `host` is null for what this machine does.
    """
    return [
        {
            "phase": phase.name,
            "vital": phase.vital,
            **({"late": True} if phase.late else {}),
            "steps": [
                {
                    "host": step.host or None,
                    "title": step.title,
                    "verb": step.verb,
                    "args": _short(step.args),
                    "undo": None if step.undo is None else {"verb": step.undo[0], "args": _short(step.undo[1])},
                }
                for step in phase.steps
            ],
        }
        for phase in (*plan.phases, *plan.outline)
    ]


def _short(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _short(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return {"count": len(value)} if len(value) > LONG else [_short(item) for item in value]
    return value
