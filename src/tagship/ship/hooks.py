"""The project's own commands and functions around the phases of a plan: pure, so that plans show them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from tagship import config
from tagship.hooking import Function
from tagship.ship.plan import HERE, Phase, Plan, Step, phases_of

Hook = config.Hook | Function


@dataclass(frozen=True)
class Change:
    """What hooks are told of a deploy or rollback."""

    verb: str
    stage: str
    release: str
    tag: str
    previous: str | None
    """What was current on the first host."""
    hosts: tuple[str, ...]
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @staticmethod
    def of(plan: Plan, roles: Mapping[str, tuple[str, ...]]) -> Change:
        """What `plan` comes to."""
        previous = next(iter(plan.previous.values()), None)
        return Change(plan.verb, plan.stage, plan.release or "", plan.tag or "", previous, plan.hosts, roles)

    def environment(self) -> dict[str, str]:
        """The variables that commands find; hosts are separated by commas."""
        return {
            "TAGSHIP_VERB": self.verb,
            "TAGSHIP_STAGE": self.stage,
            "TAGSHIP_TAG": self.tag,
            "TAGSHIP_RELEASE": self.release,
            "TAGSHIP_PREVIOUS": self.previous or "",
            "TAGSHIP_HOSTS": ",".join(self.hosts),
        }

    def argv(self, argv: Sequence[str]) -> list[str]:
        """`argv` as a host runs it: its environment there is the release's own, so these come by `env`."""
        return ["env", *(f"{name}={value}" for name, value in self.environment().items()), *argv]


@dataclass(frozen=True)
class Hooks:
    """All hooks of a project, in the order in which they run: those of tagship.yml, then functions."""

    hooks: tuple[Hook, ...] = ()
    folder: Path = Path()
    """The project's, where commands of this machine run."""

    def around(self, name: str, change: Change, *phases: Phase) -> tuple[Phase, ...]:
        """`phases`, which together are the phase called `name`, between the hooks before and after it.

        They run also where the phase itself has nothing to do. After `commit` the release is live and marked good,
        with nothing left to put back: there a failure is a warning.
        """
        return (
            *self._phases("before", name, change, vital=True),
            *phases_of(phases),
            *self._phases("after", name, change, vital=name != "commit"),
        )

    def _phases(self, when: str, name: str, change: Change, *, vital: bool) -> tuple[Phase, ...]:
        """One phase for neighbours that run on the same side, so that hooks run one after another."""
        steps = list(self._steps(when, name, change))
        sides = groupby(steps, key=lambda step: step.host == HERE)
        return tuple(Phase(f"{when} {name}", tuple(of_side), vital=vital) for _side, of_side in sides)

    def _steps(self, when: str, name: str, change: Change) -> Iterator[Step]:
        for number, hook in enumerate(self.hooks):
            if isinstance(hook, Function):
                if (hook.when, hook.phase) == (when, name):
                    args = {"number": number, "function": hook.name, "at": hook.at, "when": when, "phase": name}
                    yield Step(HERE, f"call {hook.name} ({hook.at})", "call", args)
            elif (hook.before if when == "before" else hook.after) == name:
                yield from _command(hook, change)


NO_HOOKS = Hooks()


def _command(hook: config.Hook, change: Change) -> Iterator[Step]:
    title = f"run {shlex.join(hook.run)}"
    if hook.on == "here":
        yield Step(HERE, title, "run", {"argv": list(hook.run)})
        return
    for host in change.hosts:
        if not hook.roles or set(hook.roles) & {*change.roles.get(host, ())}:
            args = {"release": change.release, "argv": change.argv(hook.run), "title": title}
            yield Step(host, title, "command", args)
