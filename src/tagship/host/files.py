"""Files that survive a crash: written whole or not at all, never through a symbolic link."""

from __future__ import annotations

import json
import os
import stat
from typing import Any, Callable, Optional

NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK

_TAIL = 64 << 10  # bytes at a log's end that are looked at


def write_all(fd: int, data: bytes) -> None:
    """Write every byte of `data`."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def sync_folder(path: str) -> None:
    """Make the names in a folder durable."""
    fd = os.open(path, FOLDER)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write(path: str, data: bytes, mode: int = 0o644) -> None:
    """Give `path` this content and mode at once: a reader sees the old file or the new one, also after a crash."""
    _replace(path, data, mode, os.fsync)
    sync_folder(os.path.dirname(path))


def place(path: str, data: bytes, mode: int = 0o644) -> None:
    """`write`, for what a later sync of the whole filesystem covers, or what a crash may take."""
    _replace(path, data, mode, lambda _fd: None)


def _replace(path: str, data: bytes, mode: int, settle: Callable[[int], None]) -> None:
    new = path + ".new"
    remove(new)
    fd = os.open(new, NEW, 0o600)
    try:
        try:
            write_all(fd, data)
            os.fchmod(fd, mode)
            settle(fd)
        finally:
            os.close(fd)
        os.rename(new, path)
    except OSError:
        remove(new)
        raise


def write_json(path: str, value: Any, mode: int = 0o644) -> None:
    """`write` of compact JSON and a newline."""
    write(path, _json(value), mode)


def place_json(path: str, value: Any, mode: int = 0o644) -> None:
    """`place` of compact JSON and a newline."""
    place(path, _json(value), mode)


def _json(value: Any) -> bytes:
    return (json.dumps(value, separators=(",", ":")) + "\n").encode()


def read(path: str, since: int = 0) -> Optional[bytes]:
    """The bytes of a regular file, from its byte `since` on.

    `None` where there is none that can be read (missing, a folder, a link).
    """
    try:
        fd = os.open(path, READ)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        if since:
            os.lseek(fd, since, os.SEEK_SET)
        chunks: list[bytes] = []
        while True:
            chunk = os.read(fd, 1 << 20)
            if not chunk:
                return b"".join(chunks)
            chunks.append(chunk)
    except OSError:
        return None
    finally:
        os.close(fd)


def tail(path: str, since: int = 0, lines: int = 20) -> list[str]:
    """The last lines of what was written to a log after its byte `since`, however large it has grown."""
    try:
        fd = os.open(path, READ)
    except OSError:
        return []
    try:
        start = max(os.fstat(fd).st_size - _TAIL, since)
        return os.pread(fd, _TAIL, start).decode(errors="replace").splitlines()[-lines:]
    finally:
        os.close(fd)


def read_object(path: str) -> dict[str, Any]:
    """The JSON object in a file; an empty dict where there is none that can be read."""
    data = read(path)
    try:
        value = json.loads(data) if data else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def remove(path: str) -> None:
    """Unlink `path` if it is there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def names(path: str) -> list[str]:
    """The sorted names in a folder; none where it isn't a folder that can be read."""
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []


def remove_tree(path: str) -> None:
    """Remove a folder and all below it, following no link; nothing to do where it isn't there."""
    try:
        top = os.open(path, FOLDER)
    except FileNotFoundError:
        return
    try:
        _empty(top)
    finally:
        os.close(top)
    os.rmdir(path)


def _empty(fd: int) -> None:
    with os.scandir(fd) as found:
        entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
    for name, is_folder in entries:
        if not is_folder:
            os.unlink(name, dir_fd=fd)
            continue
        inner = _open_to_empty(name, fd)
        try:
            _empty(inner)
        finally:
            os.close(inner)
        os.rmdir(name, dir_fd=fd)


def _open_to_empty(name: str, parent: int) -> int:
    """Open a folder to empty it; one that a command made unreadable is made readable first."""
    try:
        inner = os.open(name, FOLDER, dir_fd=parent)
        if os.fstat(inner).st_mode & 0o700 != 0o700:
            os.fchmod(inner, 0o700)
        return inner
    except PermissionError:
        os.chmod(name, 0o700, dir_fd=parent)
        return os.open(name, FOLDER, dir_fd=parent)
