"""What of a release is for a host: its roles choose what runs there, and with what it is prepared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from tagship.config import App, Argv

WEB = "web"
"""The role of hosts that answer requests, and the name of the process that does."""


@dataclass(frozen=True)
class Part:
    """What one host gets of a release beside its files; equal parts of equal digests are the same release."""

    web: bool
    """The host answers requests: it has a front, through which the release is proven."""
    start: Argv | None
    """What answers them; `None` on other hosts, and where there is only a site."""
    units: Mapping[str, Argv]
    """The other processes, by name."""
    prepare: tuple[Argv, ...]
    smoke: Argv | None
    schema: bool = field(default=False, compare=False)
    """Its databases have a schema, and their heads are noted here: what moves a schema runs nothing by that."""

    @property
    def runs(self) -> tuple[str, ...]:
        """The names of the processes: `web`, then the units'."""
        return (*((WEB,) if self.start else ()), *self.units)

    @property
    def needs_venv(self) -> bool:
        """Anything of the application runs there at all."""
        return bool(self.runs or self.prepare or self.smoke or self.schema)


def part_of(app: App, roles: Iterable[str]) -> Part:
    """What a host with `roles` gets of `app`; a unit without roles of its own is for those named like it."""
    has = frozenset(roles)
    part = Part(
        web=WEB in has,
        start=app.start if WEB in has else None,
        units={name: unit.start for name, unit in sorted(app.units.items()) if has & {*(unit.roles or (name,))}},
        prepare=tuple(command for command in app.prepare if not command.roles or has & {*command.roles}),
        smoke=app.smoke,
    )
    return replace(part, schema=bool(app.schema) and part.needs_venv)
