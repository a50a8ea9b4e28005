"""What a build leaves for the next one: one file, that is right or is not there.

Its head holds what is needed to see that nothing changed; the rest is read only when something did. Both lie behind
their SHA-256: a file that was cut, changed or written by another version means that everything is built anew.
"""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import msgspec

from tagship.press.bodies import Body
from tagship.press.content import Text
from tagship.press.planned import Planned
from tagship.press.trees import write_whole

_HEAD = struct.Struct(">4sQ32s32s")
_MAGIC = b"prs1"


class Head(msgspec.Struct, array_like=True):
    """What must be equal for nothing to have changed."""

    code: bytes
    """The press itself (`inputs.code`)."""
    settings: bytes
    """The digest of the site's settings and of what the build was asked to include."""
    since: float
    until: float
    """Seconds since 1970: while the clock is in [since, until) the same posts are published."""
    clock: bool
    """Whether something shows the clock itself."""
    moment: float
    """The clock of that build."""
    files: dict[str, bytes]
    """The digest of every file that was read; a file that isn't in it wasn't there."""
    manifest: dict[str, bytes]
    """The digest of every file of the site."""
    warnings: list[str]
    drafts: list[str]
    future: list[str]
    expired: list[str]
    pages: int
    posts: int
    assets: int


class Output(msgspec.Struct, frozen=True, array_like=True):
    """A file of the site: its plan, and which questions its bytes are an answer to."""

    planned: Planned
    reads: int
    """The place of its common questions in `State.reads`."""
    own: tuple[str, ...]
    """Those about bodies."""


class State(msgspec.Struct, array_like=True):
    """The rest."""

    settings: bytes
    """The digest of what of the settings decides how texts are read."""
    plan: bytes
    """The digest of what the plan was made from."""
    texts: dict[str, Text]
    bodies: dict[str, Body]
    outputs: dict[str, Output]
    reads: list[list[str]]
    """Sets of questions that outputs have in common."""
    answers: dict[str, bytes]
    """The digest of the answer to each question, bodies left out."""
    assets: dict[str, str]
    """The encoded URL of each asset, by plain name."""


class Memory:
    """The file, read as far as it is needed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rest = b""
        self.digest = b""

    def head(self) -> Head | None:
        """The first part, or None where there is no file that is right."""
        try:
            data = self.path.read_bytes()
            magic, length, head, self.digest = _HEAD.unpack_from(data)
        except (OSError, struct.error):
            return None
        body = data[_HEAD.size : _HEAD.size + length]
        self.rest = data[_HEAD.size + length :]
        if magic != _MAGIC or hashlib.sha256(body).digest() != head:
            return None
        try:
            return msgspec.msgpack.decode(body, type=Head)
        except msgspec.MsgspecError:
            return None

    def state(self) -> State | None:
        """The second part; `head` was asked for before."""
        if not self.rest or hashlib.sha256(self.rest).digest() != self.digest:
            return None
        try:
            return msgspec.msgpack.decode(self.rest, type=State)
        except msgspec.MsgspecError:
            return None

    def write(self, head: Head, state: State) -> None:
        """Put both into their file, by one rename."""
        first, second = msgspec.msgpack.encode(head), msgspec.msgpack.encode(state)
        digests = (hashlib.sha256(part).digest() for part in (first, second))
        write_whole(self.path, _HEAD.pack(_MAGIC, len(first), *digests) + first + second)
