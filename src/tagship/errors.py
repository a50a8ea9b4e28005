"""Every error tagship raises on purpose, as one tree; each leaf knows its exit code and its outcome.

::

    TagshipError                 1  a bug in tagship, when nothing below fits
    ├── UsageError               2  wrong flags, wrong place, unknown stage
    │   ├── ConfigError          2  tagship.yml, with file, line, column and key
    │   └── ContentError         2  a post, template or asset, with file and line
    ├── Refused                  3  nothing was changed
    │   ├── TagRefused           3  no tag, hostile tag, moved tag
    │   ├── BundleRefused        3  a tree, lock or wheel that can't become a release
    │   ├── HostRefused          3  a host that doesn't answer, has the wrong key, no room, a missing file
    │   └── StalePlan            3  a host changed between the plan and the lock
    ├── CommandFailed            3  a build command failed on this machine; nothing was changed
    ├── HostFailed               1  a verb failed on a host midway; ship turns it into one of the next two
    │   └── LinkLost             1  the connection ended or went silent
    │       └── Overdue          1  a verb didn't end in its time, though the agent lives
    ├── HookFailed               1  a hook of the project's own failed midway; ship turns it into the same
    ├── Restored                 4  a deploy or rollback failed; everything was put back
    ├── RunFailed                4  a command of `fab run` failed; no release was changed
    ├── Degraded                 5  a person must act; says where each host stands
    ├── Locked                   6  someone else is deploying
    └── Interrupted            130  Ctrl-C or SIGTERM; put back

A message has three parts: *where* it happened, *what* is wrong, and the *cure*. `tail` carries the last lines
of a failing command or service log. No message contains a secret: `report` masks by value before printing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class TagshipError(Exception):
    """The root of the tree.

    `what` is one sentence, `where` names a file, host or step, `cure` says what to do next, `tail` holds the
    last lines of a failing command's output, oldest first.
    """

    exit_code = 1
    outcome = "degraded"
    """The word of the result event: a bug may have left anything."""

    def __init__(self, what: str, *, where: str = "", cure: str = "", tail: Sequence[str] = ()) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.cure = cure
        self.tail = tuple(tail)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n  cure: {self.cure}" if self.cure else text


class UsageError(TagshipError):
    """The command line can't be carried out as it was typed."""

    exit_code = 2
    outcome = "refused"


class _SourceError(UsageError):
    """Something written by hand is wrong; `path`, `line` and `column` (both from 1) point at it."""

    def __init__(
        self,
        what: str,
        *,
        path: Path | str,
        line: int | None = None,
        column: int | None = None,
        cure: str = "",
    ) -> None:
        where = str(path)
        if line is not None:
            where += f":{line}"
            if column is not None:
                where += f":{column}"
        super().__init__(what, where=where, cure=cure)
        self.path = Path(path)
        self.line = line
        self.column = column


class ConfigError(_SourceError):
    """tagship.yml is wrong; `key` is the dotted path of the setting (`stages.production.keep`)."""

    def __init__(
        self,
        what: str,
        *,
        path: Path | str,
        line: int | None = None,
        column: int | None = None,
        key: str = "",
        cure: str = "",
    ) -> None:
        super().__init__(f"`{key}`: {what}" if key else what, path=path, line=line, column=column, cure=cure)
        self.key = key


class ContentError(_SourceError):
    """A post, page, template or asset is wrong."""


class Refused(TagshipError):
    """The order was understood and not carried out; nothing was changed anywhere."""

    exit_code = 3
    outcome = "refused"


class TagRefused(Refused):
    """No such tag, or one that must not be shipped."""


class BundleRefused(Refused):
    """The tagged tree, its lock or its wheels can't become a release; `paths` names the offenders."""

    def __init__(self, what: str, *, where: str = "", cure: str = "", paths: Sequence[str] = ()) -> None:
        super().__init__(what, where=where, cure=cure, tail=paths)
        self.paths = tuple(paths)


class HostRefused(Refused):
    """A host can't take part; `host` is its name in the stage."""

    def __init__(self, what: str, *, host: str, cure: str = "", tail: Sequence[str] = ()) -> None:
        super().__init__(what, where=host, cure=cure, tail=tail)
        self.host = host


class StalePlan(Refused):
    """A host changed between the plan and the lock; the plan shown is no longer the truth."""


class CommandFailed(Refused):
    """A command on this machine failed before any host was touched; `argv` and `status` say which and how."""

    def __init__(
        self,
        what: str,
        *,
        argv: Sequence[str],
        status: int,
        where: str = "",
        cure: str = "",
        tail: Sequence[str] = (),
    ) -> None:
        super().__init__(what, where=where, cure=cure, tail=tail)
        self.argv = tuple(argv)
        self.status = status


class HostFailed(TagshipError):
    """A verb failed on a host; the executor makes Restored or Degraded of it, so that no user meets this one.

    `kind` is the agent's word for it: `failed`, `tampered`, `usage` or, for `LinkLost`, `lost`. `data` is what the
    agent told beside words.
    """

    def __init__(
        self,
        what: str,
        *,
        host: str,
        kind: str = "failed",
        cure: str = "",
        tail: Sequence[str] = (),
        data: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(what, where=host, cure=cure, tail=tail)
        self.host = host
        self.kind = kind
        self.data = dict(data or {})


class LinkLost(HostFailed):
    """The connection to a host's agent ended, or nothing came from it for too long."""

    def __init__(self, what: str, *, host: str, cure: str = "", tail: Sequence[str] = ()) -> None:
        super().__init__(what, host=host, kind="lost", cure=cure, tail=tail)


class Overdue(LinkLost):
    """A verb didn't end in its time; `verb` is its name, `seconds` how long it may take."""

    def __init__(self, what: str, *, host: str, verb: str, seconds: float, cure: str = "") -> None:
        super().__init__(what, host=host, cure=cure)
        self.verb = verb
        self.seconds = seconds


class HookFailed(TagshipError):
    """A hook failed on this machine; the executor makes Restored or Degraded of it, or a warning after `commit`."""


class Restored(TagshipError):
    """The work failed midway and every host is back where its own survey found it."""

    exit_code = 4
    outcome = "restored"


class RunFailed(TagshipError):
    """A command that `fab run` was given failed on a host; what it did there is its own affair."""

    exit_code = 4
    outcome = "failed"


class Degraded(TagshipError):
    """The fleet isn't on one version; `hosts` maps each host to what stands there."""

    exit_code = 5

    def __init__(
        self,
        what: str,
        *,
        hosts: Mapping[str, str],
        where: str = "",
        cure: str = "",
        tail: Sequence[str] = (),
    ) -> None:
        super().__init__(what, where=where, cure=cure, tail=tail)
        self.hosts = dict(hosts)


class Locked(TagshipError):
    """Someone else holds a host's lock; `holder` tells owner, release and since when (UTC, ISO 8601)."""

    exit_code = 6
    outcome = "locked"

    def __init__(self, what: str, *, host: str, holder: Mapping[str, str], cure: str = "") -> None:
        super().__init__(what, where=host, cure=cure)
        self.host = host
        self.holder = dict(holder)


class Interrupted(TagshipError):
    """Ctrl-C or SIGTERM arrived; what had begun was put back."""

    exit_code = 130
    outcome = "restored"
