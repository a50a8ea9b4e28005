"""What a host needs to have, one value each; `row()` is what the agent is told (host/outfit*.py)."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar


@dataclass(frozen=True)
class Resource:
    """Something that a host has as it should be, or not."""

    kind: ClassVar[str]
    sign: ClassVar[str] = "+"
    """How a plan marks it."""

    def row(self) -> dict[str, Any]:
        """The agent's form of it."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {"kind": self.kind, **{k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}}

    @property
    def title(self) -> str:
        """What it is, for people."""
        raise NotImplementedError


@dataclass(frozen=True)
class Package(Resource):
    """A Debian package, installed where the `program` that it brings isn't there."""

    kind = "package"
    name: str
    program: str

    @property
    def title(self) -> str:
        return f"package {self.name}"


@dataclass(frozen=True)
class User(Resource):
    """A user; `part` is `deploy` (logs in) or `service` (runs the application)."""

    kind = "user"
    name: str
    part: str
    conf: str
    """Our note of the app, beside which other apps have theirs: no two share a service user."""

    @property
    def title(self) -> str:
        what = "logs in and deploys" if self.part == "deploy" else "runs the application, never logs in"
        return f"user {self.name}, who {what}"


@dataclass(frozen=True)
class Member(Resource):
    """`user` is in `group`."""

    kind = "member"
    user: str
    group: str

    @property
    def title(self) -> str:
        return f"{self.user} in the group {self.group}"


@dataclass(frozen=True)
class Keys(Resource):
    """Public keys that let `user` in, each a line of authorized_keys; others stay."""

    kind = "keys"
    user: str
    lines: tuple[str, ...]
    shown: str
    """The keys in words."""

    @property
    def title(self) -> str:
        return f"let in as {self.user}: {self.shown}"


@dataclass(frozen=True)
class Folder(Resource):
    """A folder; `passed`: others must be able to pass all above it. `ours`: not one of root's with things in it.

    `loose`: one that is there and belongs to somebody else or another group, or is a link, stays as it is.
    """

    kind = "folder"
    path: str
    owner: str
    group: str
    mode: str
    passed: bool = False
    ours: bool = False
    loose: bool = False

    @property
    def title(self) -> str:
        return f"folder {self.path} ({self.owner}:{self.group} {self.mode})"


@dataclass(frozen=True)
class File(Resource):
    """A file of root's. One without `mark` in it isn't ours, and isn't replaced."""

    kind = "file"
    path: str
    text: str
    mode: str
    mark: str
    same: Mapping[str, str] = field(default_factory=dict)
    """Keys of a JSON file that must not change."""
    newest: bool = False
    """A higher `VERSION = N` than ours stays."""
    check: tuple[str, ...] = ()
    """A command that must be content with the text, `{}` being its file."""

    @property
    def title(self) -> str:
        return f"file {self.path} (root:root {self.mode})"


@dataclass(frozen=True)
class Link(Resource):
    """A symbolic link."""

    kind = "link"
    path: str
    target: str

    @property
    def title(self) -> str:
        return f"link {self.path} -> {self.target}"


@dataclass(frozen=True)
class Aside(Resource):
    """A link to another site of nginx, taken away where that is the default one on one of `ports`."""

    kind = "aside"
    sign = "-"
    path: str
    ports: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"take {self.path} out of service"


@dataclass(frozen=True)
class Needs(Resource):
    """A file that must be there already; never made."""

    kind = "needs"
    path: str
    cure: str

    @property
    def title(self) -> str:
        return f"{self.path} is there"


@dataclass(frozen=True)
class Port(Resource):
    """A TCP port that no other program than `program` listens on; never made."""

    kind = "port"
    number: str
    program: str

    @property
    def title(self) -> str:
        return f"port {self.number} is free for {self.program}"


@dataclass(frozen=True)
class Unit(Resource):
    """A unit that starts at boot and, where `active`, runs."""

    kind = "unit"
    name: str
    active: bool = False

    @property
    def title(self) -> str:
        return f"{'enable and start' if self.active else 'enable'} {self.name}"


@dataclass(frozen=True)
class Act(Resource):
    """A command that makes changes count, run whenever anything is changed; `back`: and again after putting back."""

    kind = "act"
    argv: tuple[str, ...]
    cure: str
    back: bool = False

    @property
    def title(self) -> str:
        return shlex.join(self.argv)


@dataclass(frozen=True)
class Loads(Resource):
    """A unit that systemd must be content with; asked whenever anything is changed."""

    kind = "loads"
    name: str

    @property
    def title(self) -> str:
        return f"systemd is content with {self.name}"
