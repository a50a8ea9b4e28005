"""How releases are named on a host: a fleet-wide serial and the tag made safe, `0007-v1.4.0`."""

from __future__ import annotations

import re

TAG_LENGTH = 40
"""Characters of the tag that a release id keeps."""

LAST_SERIAL = 999_999_999
"""The highest that a release id can hold: sockets' paths have no room for more."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_ID = re.compile(r"(\d{4,})-([A-Za-z0-9._-]{1,40})\Z")


def release_id(serial: int, tag: str) -> str:
    """The folder's name of release `serial` (from 1) made of `tag`.

    The serial keeps ids of one fleet apart, so two tags that look alike once made safe do no harm.
    Raises `ValueError` for a serial below 1 or an empty tag.
    """
    if serial < 1 or not tag:
        raise ValueError(f"no release id of serial {serial} and tag {tag!r}")
    return f"{serial:04d}-{_UNSAFE.sub('-', tag)[:TAG_LENGTH]}"


def serial_of(release: str) -> int:
    """The serial inside a release id; raises `ValueError` for anything else."""
    match = _ID.match(release)
    if match is None:
        raise ValueError(f"{release!r} is no release id")
    return int(match[1])
