"""What a verb answers when it can't do its work; the session turns these into error frames."""

from __future__ import annotations

import errno
import os
from typing import Any, Optional, Sequence


class Problem(Exception):
    """An answer of the kind `error`.

    `kind` is `refused` (nothing was changed), `failed` (the verb began), `locked`, `tampered` or `usage`. `tail`
    holds the last lines of a failing command, `data` what a program needs to know.
    """

    def __init__(
        self,
        kind: str,
        what: str,
        cure: str = "",
        tail: Sequence[str] = (),
        data: Optional[dict[str, Any]] = None,
    ) -> None:
        super().__init__(what)
        self.kind = kind
        self.what = what
        self.cure = cure
        self.tail = list(tail)
        self.data = data or {}

    def row(self) -> dict[str, Any]:
        """The JSON form, as docs/agent.md has it."""
        return {"kind": self.kind, "what": self.what, "cure": self.cure, "tail": self.tail, "data": self.data}


class Gone(BaseException):
    """The client is gone, so nothing else starts. Not an `Exception`: no verb may swallow it."""


def usage(what: str) -> Problem:
    """A question that the contract doesn't allow: a bug on the asking side."""
    return Problem("usage", what, "this is a bug in tagship; please report it")


def refused(what: str, cure: str) -> Problem:
    """Nothing was changed."""
    return Problem("refused", what, cure)


def failed(what: str, cure: str, tail: Sequence[str] = ()) -> Problem:
    """The verb began; its undo is owed."""
    return Problem("failed", what, cure, tail)


_CURES = {
    errno.ENOSPC: "free space or inodes there, then deploy again",
    errno.EDQUOT: "raise the quota or free space there, then deploy again",
    errno.EROFS: "the filesystem is mounted read-only: look at the host's kernel log, remount it, then deploy again",
    errno.EACCES: "give the deploying user write permission there",
    errno.EPERM: "give the deploying user write permission there",
    errno.EMFILE: "raise the limit of open files (ulimit -n) for the deploying user",
    errno.EIO: "the disk fails: look at the host's kernel log",
}


def from_os_error(error: OSError) -> Problem:
    """`failed`, with what the system said, the path it said it of, and a cure where one is known."""
    text = error.strerror or str(error)
    path = error.filename2 or error.filename
    if path is not None and not isinstance(path, int):
        text = "{}: {}".format(os.fsdecode(path), text)
    return failed(text, _CURES.get(error.errno or 0, "look at that path on the host, then deploy again"))
