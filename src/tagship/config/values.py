"""The values of tagship.yml that are more than text and numbers, and how they are read."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import Any

_SECONDS = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)?\Z")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}
_ROLE = re.compile(r"[a-z][a-z0-9-]{0,30}\Z")


class Seconds(float):
    """A duration in seconds; written `250ms`, `20s`, `5m`, `1h` or a bare number of seconds."""


class Argv(tuple[str, ...]):
    """A command as an argument list; written as a list, or as one line split as a shell splits words.

    No shell ever runs it: `|`, `>`, `&&`, `*` and `$NAME` have no meaning.
    """


class HostCommand(Argv):
    """A command that hosts run, on some of them only; written as a command, or as `{run: COMMAND, roles: [ROLE]}`."""

    roles: tuple[str, ...]
    """Only hosts with one of these run it; empty: all do."""

    def __new__(cls, words: Iterable[str], roles: tuple[str, ...] = ()) -> HostCommand:
        made = super().__new__(cls, words)
        made.roles = roles
        return made

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) and self.roles == getattr(other, "roles", ())

    def __hash__(self) -> int:
        return hash((tuple(self), self.roles))


class Portion(str):
    """A part of a fleet; written as a number of hosts, or as `25%`."""

    __slots__ = ()

    def of(self, total: int) -> int:
        """How many of `total` hosts that is, at least one."""
        number = int(self.removesuffix("%"))
        return max(1, total * number // 100 if self.endswith("%") else number)


def decode(kind: type, value: Any) -> Any:
    """msgspec's hook for the types above; raises `ValueError`."""
    if kind is Seconds:
        return _seconds(value)
    if kind is Argv:
        return _argv(value)
    if kind is HostCommand:
        return _host_command(value)
    if kind is Portion:
        return _portion(value)
    raise NotImplementedError(kind)


def _seconds(value: Any) -> Seconds:
    match = _SECONDS.match(str(value)) if isinstance(value, str | int | float) else None
    if match is None or isinstance(value, bool):
        raise ValueError("Expected a duration such as `20s`")
    return Seconds(float(match[1]) * _UNITS[match[2]])


def _argv(value: Any) -> Argv:
    if isinstance(value, list) and value and all(isinstance(word, str) for word in value):
        return _whole(Argv(value))
    if not isinstance(value, str):
        raise ValueError("Expected a command: one line of text, or a list of words")
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise ValueError(f"A command with an open quote ({error})") from None
    for word in words:
        if word in {"|", "||", "&&", "&", ";", ">", ">>", "<"}:
            raise ValueError(f"No shell runs this, so `{word}` means nothing; put it into a script")
    return _whole(Argv(words))


def _whole(argv: Argv) -> Argv:
    """What a kernel would take only a part of is no command."""
    if any("\0" in word for word in argv):
        raise ValueError("A command can't hold the character NUL")
    return argv


def _host_command(value: Any) -> HostCommand:
    if not isinstance(value, dict):
        return HostCommand(_argv(value))
    unknown = set(value) - {"run", "roles"}
    if unknown or "run" not in value:
        raise ValueError("Expected a command, or a mapping of `run` and `roles`")
    roles = value.get("roles", [])
    if not isinstance(roles, list) or not all(isinstance(role, str) and _ROLE.match(role) for role in roles):
        raise ValueError("Expected `roles` to be a list of roles")
    return HostCommand(_argv(value["run"]), tuple(roles))


def _portion(value: Any) -> Portion:
    match = re.match(r"(\d{1,6})(%?)\Z", str(value)) if isinstance(value, str | int) else None
    if match is None or isinstance(value, bool) or int(match[1]) < 1 or (match[2] and int(match[1]) > 100):
        raise ValueError("Expected a number of hosts, or a part of them such as `25%`")
    return Portion(value)
