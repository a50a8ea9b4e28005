"""What an entry of `site.redirects` means: which addresses it answers, and what its target names on the site."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_to_bytes

_OLD = re.compile(r"/(?:[A-Za-z0-9._~/-]|%[0-9A-Fa-f]{2})*\Z")
_NEW = re.compile(r"(?:https?://[^\s/?#]+)?(/[^\s\\]*)\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
LONGEST_PART = 200
LONGEST = 900
"""Bytes of a target between two slashes, and in all: it becomes the path of a file (a name holds 255 of them)."""


def answered(old: str) -> str:
    """The path that `old` stands for, decoded and without slashes at its ends: `/caf%C3%A9/` is `café`.

    With a slash or without one, both are answered. Raises `ValueError` saying why `old` can be no redirect.
    """
    try:
        path = unquote_to_bytes(old).decode("utf-8")
    except UnicodeDecodeError:
        path = ""
    name = path.strip("/")
    if not _OLD.match(old) or not name or _CONTROL.search(path):
        raise ValueError("must be a path such as /old/")
    for part in name.split("/"):
        if not part or (part.startswith(".") and part != ".well-known"):
            raise ValueError("must be a path without empty parts, and no part begins with `.`")
        if len(part.encode()) > LONGEST_PART:
            raise ValueError(f"has a part of more than {LONGEST_PART} bytes")
    if len(name.encode()) > LONGEST:
        raise ValueError(f"is longer than {LONGEST} bytes")
    return name


def target(new: str) -> str:
    """`new` as it stands in a Location, percent-encoded where it isn't ASCII. Raises `ValueError` saying why not."""
    match = _NEW.match(new)
    if match is None or _CONTROL.search(new):
        raise ValueError("must lead to a path or a whole URL")
    encoded = quote(new, safe="/-_.~!$&'()*+,;=:@%?#[]")
    parts = encoded.removeprefix("https://").removeprefix("http://").split("/")[1:]
    if any(part in (".", "..") or (not part and index < len(parts) - 1) for index, part in enumerate(parts)):
        raise ValueError("must lead somewhere without `//`, `/./` and `/../`")
    if len(encoded) > LONGEST or any(len(part) > LONGEST_PART for part in parts):
        raise ValueError(f"leads to more than {LONGEST} bytes, or {LONGEST_PART} between two slashes")
    return encoded


def file_of(new: str) -> str | None:
    """The file of the site that a target such as `/new/#part` names, by its path there; None for a whole URL."""
    if not new.startswith("/"):
        return None
    path = unquote_to_bytes(re.split("[?#]", target(new))[0]).decode("utf-8", "replace").removeprefix("/")
    return f"{path}index.html" if not path or path.endswith("/") else path
