"""The files a site is made from: their names, found anew at each build, and the digests of their bytes."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath

from tagship.errors import ContentError
from tagship.press.reads import digest

_PRESS = Path(__file__).parent
_DIST = re.compile(r"[^/]+\.(?:dist|egg)-info\Z")
_NOT_PUBLISHED = frozenset({".DS_Store", ".gitkeep", ".gitignore"})


def walk(project: Path, folder: str) -> list[str]:
    """The files below `project / folder`, as sorted paths inside the project; nothing if it isn't there.

    Links to folders are not followed. Raises `ContentError` for a link that leads out of the project: it would
    publish what is not in the tag.
    """
    found: list[str] = []
    if os.path.isdir(project / folder):  # noqa: PTH112 - asked for each of ten thousand files, pathlib would be felt
        _walk(project.resolve(), f"{project}/", folder, found)
    found.sort()
    return found


def _walk(root: Path, base: str, folder: str, found: list[str]) -> None:
    with os.scandir(f"{base}{folder}") as entries:
        for entry in entries:
            name = f"{folder}/{entry.name}"
            if entry.is_symlink():
                if not Path(entry.path).resolve().is_relative_to(root):
                    raise ContentError("is a link that leads out of the project", path=name, cure="copy the file")
                if entry.is_file():
                    found.append(name)
            elif entry.is_dir(follow_symlinks=False):
                _walk(root, base, name, found)
            elif entry.is_file(follow_symlinks=False):
                found.append(name)


def hidden(name: str, folder: str) -> bool:
    """Whether `name`, below `folder`, is nobody's business: hidden, or what an editor leaves behind."""
    return "/." in name[len(folder) :] or name.endswith("~")


def published_static(names: list[str]) -> Iterator[str]:
    """Those of the files of static/ that are copied."""
    return (name for name in names if PurePosixPath(name).name not in _NOT_PUBLISHED)


def read(path: str, most: int = sys.maxsize) -> bytes:
    """The bytes of a file; as `Path.read_bytes`, in half the time, which counts for ten thousand of them.

    Of one larger than `most` a little more than that is read, so that it can be refused.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(handle, 65_536)
        if len(data) < 65_536:
            # A regular file gives all it has; a second read would only say so.
            return data
        parts = [data]
        while data and most >= 0:
            data = os.read(handle, 1_048_576)
            parts.append(data)
            most -= len(data)
        return b"".join(parts)
    finally:
        os.close(handle)


@cache
def code() -> bytes:
    """What the press itself is: its own files, Python, and every installed distribution by name and version."""
    own = [path for path in _PRESS.rglob("*") if path.suffix != ".pyc" and path.is_file()]
    beside = [_PRESS.parent / name for name in ("yamltext.py", "config/schema.py", "config/redirects.py")]
    parts = [sys.version.encode()]
    parts += [path.as_posix().encode() + b"\0" + digest(path.read_bytes()) for path in sorted([*own, *beside])]
    installed: set[str] = set()
    for folder in sys.path:
        try:
            installed.update(filter(_DIST.match, os.listdir(folder)))  # noqa: PTH208 - names, no paths
        except OSError:  # an entry that isn't there, or an archive
            continue
    return digest(b"\0".join([*parts, *(name.encode() for name in sorted(installed))]))
