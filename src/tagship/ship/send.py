"""The contents of objects as one zlib stream, cut into pieces that fit a frame."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from tagship.errors import TagshipError

PIECE = 256 * 1024

Feed = Callable[[str, str], BinaryIO]
"""Opens the contents of an object for a host: `feed(host, key)`."""


def compressed(
    host: str, objects: Iterable[tuple[str, int]], feed: Feed, level: int, on_bytes: Callable[[int], None]
) -> Iterator[bytes]:
    """The contents of `objects` (key, size in bytes), one after another, compressed at `level` of zlib.

    `on_bytes` hears how many bytes of the contents have been read so far. Raises `TagshipError` for an object that
    isn't as long as it was when it was packed; what it holds is checked by the host.
    """
    packer = zlib.compressobj(level)
    done = 0
    for key, size in objects:
        left = size
        with feed(host, key) as source:
            while piece := source.read(PIECE):
                left -= len(piece)
                done += len(piece)
                if packed := packer.compress(piece):
                    yield packed
                on_bytes(done)
        if left:
            raise TagshipError(f"the object {key} changed while it was sent", cure="pack the release again")
    yield packer.flush()
