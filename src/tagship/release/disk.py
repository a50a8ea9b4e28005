"""Writing on this machine so that a reader sees the old or the new, and a full disk is one clear message."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tagship.errors import BundleRefused

_DAY = 86_400
_FULL = {errno.ENOSPC, errno.EDQUOT}
PART = ".part-"
"""How the names of unfinished files begin."""

_BARRED = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextlib.contextmanager
def refusals(place: Path) -> Iterator[None]:
    """Turn a full, read-only or forbidden disk at `place` into `BundleRefused`; nothing was changed on any host."""
    try:
        yield
    except OSError as error:
        named = error.filename if isinstance(error.filename, str) else str(place)
        if error.errno in _FULL:
            raise BundleRefused(
                "there is no room left on this machine's disk", where=named, cure="free some room and try again"
            ) from None
        if error.errno in _BARRED:
            raise BundleRefused(
                f"this machine keeps us from it ({error.strerror})",
                where=named,
                cure="make it yours, readable and writable",
            ) from None
        raise


@contextlib.contextmanager
def fresh(path: Path) -> Iterator[Path]:
    """A temporary file beside `path`, renamed to `path` when the block ends well and removed when it doesn't."""
    with refusals(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=PART, dir=path.parent)
        os.close(handle)
        part = Path(name)
        try:
            yield part
            part.replace(path)
        except BaseException:  # Ctrl-C too: a half file must not stay
            part.unlink(missing_ok=True)
            raise


def write(path: Path, data: bytes, *, mode: int = 0o644, mtime: int | None = None) -> None:
    """Put `data` at `path` at once or not at all; `mtime` is in seconds since 1970. Raises `BundleRefused`."""
    with fresh(path) as part:
        part.write_bytes(data)
        part.chmod(mode)
        if mtime is not None:
            os.utime(part, (mtime, mtime))


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`: one process at a time; the kernel frees it when its holder dies."""
    with refusals(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def scratch(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """A new folder (in `parent`, or the system's place for them) that is gone after the block, whatever is in it.

    Folders of ours that killed processes left there a day ago go too.
    """
    place = parent or Path(tempfile.gettempdir())
    with refusals(place):
        place.mkdir(parents=True, exist_ok=True)
        _sweep(place, prefix)
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
    try:
        yield folder
    finally:
        remove(folder)


def _sweep(place: Path, prefix: str) -> None:
    for left in place.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):  # another process may be sweeping too
            found = left.lstat()
            if found.st_uid == os.getuid() and time.time() - found.st_mtime > _DAY:
                remove(left)


def remove(folder: Path) -> None:
    """Remove a folder with all it holds, read-only folders included."""

    def unlock(_function: object, name: str, _error: object) -> None:
        parent = Path(name).parent
        if not parent.is_dir():
            return
        parent.chmod(0o700)
        if Path(name).is_dir() and not Path(name).is_symlink():
            Path(name).chmod(0o700)
            shutil.rmtree(name, ignore_errors=True)
        else:
            Path(name).unlink(missing_ok=True)

    shutil.rmtree(folder, onerror=unlock)
