"""The versioned environment of a fleet: one change is one new version, the same on every host, or none at all."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tagship.errors import (
    Degraded,
    HostFailed,
    HostRefused,
    Interrupted,
    LinkLost,
    Restored,
    TagshipError,
    UsageError,
)
from tagship.events import Listener
from tagship.ship.crew import Crew, side_by_side
from tagship.ship.ending import Ending
from tagship.ship.fleet import Fleet, raise_all
from tagship.ship.locks import Claim, give_back, take_all

Values = Mapping[str, str]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_OURS = re.compile(r"TAGSHIP_.*|PATH|VIRTUAL_ENV|PYTHONDONTWRITEBYTECODE|PYTHONUNBUFFERED|SPT_NOENV")
_LARGEST = 100_000
"""Bytes of a value: the kernel gives no program a longer one than 128 KiB."""


@dataclass(frozen=True)
class Version:
    """One version on one host."""

    host: str
    number: int
    names: tuple[str, ...]
    releases: tuple[str, ...]
    """Those that run with it, oldest first."""
    newest: bool
    """It is what the next release on this host runs with."""


@dataclass(frozen=True)
class Changed:
    """What a change came to."""

    version: int
    """The newest one now; 0 if there is none."""
    hosts: tuple[str, ...]
    """Those that were given it; none if it was so already."""


def label(version: int) -> str:
    """How a version is called: `0003`, as its file is."""
    return f"{version:04d}"


def check_name(name: str) -> None:
    """Raise `UsageError` for what can't be a variable, or is one that a release sets itself."""
    if "=" in name:
        raise UsageError(
            f"a value has no place on the command line, where others see it: {name.partition('=')[0]}=...",
            where="fab env",
            cure="fab env set NAME asks for it; what stood here is in your shell's history now",
        )
    if not _NAME.match(name):
        raise UsageError(
            f"`{name}` can't be the name of a variable", where="fab env", cure="letters, digits and _, no digit first"
        )
    if _OURS.fullmatch(name):
        raise UsageError(f"every release sets {name} itself", where="fab env", cure="take another name")


def check_value(name: str, value: bytes) -> str:
    """The value as text; raises `UsageError`, which doesn't show it, for what an env file can't hold."""
    where, as_file = "fab env set", "put it into a file below `shared/` and set its path, or encode it as base64"
    if not value:
        raise UsageError(f"no value came for {name}", where=where, cure=f"fab env unset {name} takes it away")
    if b"\0" in value:
        raise UsageError(f"the value of {name} holds a NUL", where=where, cure=as_file)
    if b"\n" in value or b"\r" in value:
        raise UsageError(f"the value of {name} has more than one line", where=where, cure=as_file)
    if len(value) > _LARGEST:
        raise UsageError(f"the value of {name} has {len(value):,} bytes", where=where, cure=as_file)
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise UsageError(f"the value of {name} is not UTF-8", where=where, cure=as_file) from None


def versions(fleet: Fleet) -> tuple[Version, ...]:
    """Every version on every host, oldest first. Raises `HostRefused`."""
    answers = side_by_side(lambda host: fleet.ask(host, "env", {}), fleet.hosts, fleet.parallel)
    found = []
    for host, answer in answers.items():
        highest = max((int(row["version"]) for row in answer["versions"]), default=0)
        for row in answer["versions"]:
            number = int(row["version"])
            used = sorted(release for release, of in answer["releases"].items() if of == number)
            found.append(Version(host, number, tuple(row["names"]), tuple(used), number == highest))
    return tuple(found)


def set_value(fleet: Fleet, name: str, value: str, *, owner: str, tell: Listener) -> Changed:
    """A new version with `name` set to `value`, on all hosts.

    Raises `Locked`, `HostRefused`, `Restored`, `Interrupted` with nothing changed; `Degraded` where a host was lost.
    """
    return _change(fleet, Claim(owner, name, "env set"), tell, lambda values: {**values, name: value})


def unset(fleet: Fleet, name: str, *, owner: str, tell: Listener) -> Changed:
    """A new version without `name`, on all hosts. Raises as `set_value`."""
    return _change(
        fleet,
        Claim(owner, name, "env unset"),
        tell,
        lambda values: {key: value for key, value in values.items() if key != name},
    )


def copy(fleet: Fleet, *, owner: str, tell: Listener) -> Changed:
    """The newest version of any host to those that lack it, through this machine's memory. Raises as `set_value`."""
    return _change(fleet, Claim(owner, "newest", "env copy"), tell, lambda values: values)


def _change(fleet: Fleet, claim: Claim, tell: Listener, edit: Callable[[Values], Values]) -> Changed:
    take_all(fleet, claim, tell)
    try:
        known = versions(fleet)
        newest = max((version.number for version in known), default=0)
        holders = [version.host for version in known if version.number == newest]
        values: Values = fleet.ask(holders[0], "envget", {"version": newest})["values"] if holders else {}
        edited = edit(values)
        if edited != values:
            hosts, newest = fleet.hosts, newest + 1
        else:
            hosts = tuple(host for host in fleet.hosts if host not in holders) if newest else ()
        _put(fleet, hosts, newest, edited)
    except KeyboardInterrupt:
        # The locks stay: an agent whose client goes while it holds its lock takes back what it was given.
        raise Interrupted("interrupted; the environment is what it was") from None
    except Degraded:
        raise
    except TagshipError as error:
        give_back(fleet, list(fleet.hosts), tell, Ending.failed(error))
        raise
    give_back(fleet, list(fleet.hosts), tell, Ending("changed"))
    return Changed(newest, hosts)


def _put(fleet: Fleet, hosts: tuple[str, ...], version: int, values: Values) -> None:
    data = json.dumps(values).encode()
    question = {"version": version}
    crew = Crew(lambda host: fleet.link(host).call("envput", question, data=[data]), hosts, fleet.parallel)
    crew.wait()
    if not crew.errors:
        return
    back = Crew(lambda host: fleet.link(host).call("envdrop", question), hosts, fleet.parallel)
    back.wait()
    problems = [crew.errors[host] for host in hosts if host in crew.errors]
    for problem in problems:
        if not isinstance(problem, TagshipError):
            raise problem
    if back.errors:
        raise Degraded(
            f"version {label(version)} of the environment is not on every host",
            hosts={host: f"may have it ({_what(back.errors[host])})" for host in back.errors},
            cure="once the host answers: fab env copy makes all of them alike",
        )
    failed = [problem for problem in problems if isinstance(problem, HostFailed)]
    if failed:
        first = failed[0]
        raise Restored(
            f"version {label(version)} can't be written: {first.what}; no host has it",
            where=first.host,
            cure=first.cure,
            tail=first.tail,
        )
    raise_all([problem for problem in problems if isinstance(problem, HostRefused)])


def _what(error: BaseException) -> str:
    if isinstance(error, LinkLost):
        return f"out of reach: {error.what}"
    return error.what if isinstance(error, TagshipError) else repr(error)
