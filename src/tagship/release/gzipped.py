"""`page.html.gz` beside `page.html`, for servers that send it as it is: compressed once, and never kept here.

The same content gives the same bytes: no name, no time, no system in the header. So an object store needs only the
page, and a compressed form is made again when a host lacks it: making a file costs more than compressing its content.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath

from tagship.manifest import Entry, File
from tagship.release.store import ObjectStore

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

MOST = 16 * 1024 * 1024
"""Bytes up to which a file gets a form: each processor holds one, whole, in memory; and what is sent, once more."""

SHARE = 0.9
"""Of the size, what the compressed form may take at most."""

_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
"""RFC 1952: deflate, no name, no time, compressed as well as can be, on an unknown system."""


def forms(entries: Sequence[Entry], store: ObjectStore) -> dict[File, str]:
    """The compressed forms of those `entries` that are worth it, each with the key of the object it is made from.

    A `.gz` that the project itself brings is left alone.
    """
    taken = {entry.path for entry in entries}
    texts = [
        entry
        for entry in entries
        if isinstance(entry, File)
        and LEAST <= entry.size <= MOST
        and PurePosixPath(entry.path).suffix.lower() in SUFFIXES
        and f"{entry.path}.gz" not in taken
    ]

    def form(text: File) -> File:
        content = compressed(store.read(text.key))
        return File(f"{text.path}.gz", hashlib.sha256(content).hexdigest(), len(content))

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # zlib works beside other threads
        made = list(pool.map(form, texts))
    return {form: text.key for form, text in zip(made, texts, strict=True) if form.size <= SHARE * text.size}


def compressed(content: bytes) -> bytes:
    """`content` as a gzip file that tells nothing else."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflate.compress(content) + deflate.flush()
    return _HEADER + body + struct.pack("<II", zlib.crc32(content), len(content) & 0xFFFFFFFF)
