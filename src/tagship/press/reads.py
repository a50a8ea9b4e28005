"""What is asked while something is made: each question is a key, and its answer has a digest.

Keys: `template:NAME`, `asset:NAME`, `config:FIELD`, `url:SOURCE`, `count:TAG`, `lead:SOURCE`, `html:SOURCE`,
`data:NAME`, `collection:NAME`, and `posts`, `tags`, `menu`, `clock`, whose answers are lists or a
moment. That something isn't there is an answer too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

OF_BODIES = ("html:", "lead:")
"""The keys that each text has its own of; all others are few for a whole site."""


def digest(data: bytes) -> bytes:
    """The first 16 bytes of the SHA-256 of `data`: what a build compares."""
    return hashlib.sha256(data).digest()[:16]


class Reads:
    """The keys asked for since `begin`."""

    __slots__ = ("keys",)

    def __init__(self) -> None:
        self.keys: set[str] = set()

    def begin(self) -> None:
        """Forget what was asked: something new is being made."""
        self.keys = set()

    def note(self, key: str) -> None:
        """`key` was asked for."""
        self.keys.add(key)


class Noted(Mapping[str, str]):
    """A mapping that notes which of its keys are asked for, those that aren't there too."""

    def __init__(self, items: Mapping[str, str], prefix: str, reads: Reads) -> None:
        self.items_ = items
        self.prefix = prefix
        self.reads = reads

    def __getitem__(self, key: str) -> str:
        self.reads.keys.add(self.prefix + key)
        return self.items_[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.items_)

    def __len__(self) -> int:
        return len(self.items_)
