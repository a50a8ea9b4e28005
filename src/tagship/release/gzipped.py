"""`page.html.gz` beside `page.html`: compressed once, when a site is packed, for servers that send it as it is.

The same content gives the same bytes: no name, no time, no system in the header.
"""

from __future__ import annotations

import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SUFFIXES = frozenset(
    f".{kind}"
    for kind in (
        *("atom", "css", "csv", "html", "ics", "js", "json", "map", "md"),
        *("mjs", "rss", "svg", "txt", "vtt", "wasm", "webmanifest", "xml", "xsl"),
    )
)
"""Kinds of file that are text; what has been compressed in its own way only grows."""

LEAST = 1024
"""Bytes of a file from which on it pays: a smaller one fits a packet anyway."""

SHARE = 0.9
"""Of the size, what the compressed form may take at most."""

_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
"""RFC 1952: deflate, no name, no time, compressed as well as can be, on an unknown system."""


def add(folder: Path) -> int:
    """Write the compressed form of each file below `folder` that is worth it; how many there are now.

    A `.gz` that the project itself brings stays as it is.
    """
    files = [
        Path(place, name)
        for place, _, names in os.walk(folder)
        for name in names
        if os.path.splitext(name)[1].lower() in SUFFIXES and f"{name}.gz" not in names  # noqa: PTH122 - thousands
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # zlib works beside other threads
        return sum(pool.map(_add, files, chunksize=16))


def _add(path: Path) -> bool:
    if path.is_symlink() or path.stat().st_size < LEAST:
        return False
    content = path.read_bytes()
    packed = compressed(content)
    if len(packed) > SHARE * len(content):
        return False
    path.with_name(f"{path.name}.gz").write_bytes(packed)
    return True


def compressed(content: bytes) -> bytes:
    """`content` as a gzip file that tells nothing else."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflate.compress(content) + deflate.flush()
    return _HEADER + body + struct.pack("<II", zlib.crc32(content), len(content) & 0xFFFFFFFF)
