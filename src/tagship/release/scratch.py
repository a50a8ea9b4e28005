"""The scratch copy: the tag's files in a folder of their own, what `build:` commands made of them, and its end."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from tagship.errors import BundleRefused
from tagship.manifest import Entry, Link
from tagship.release import disk, paths
from tagship.release.store import ObjectStore


def lay_out(entries: Iterable[Entry], folder: Path, store: ObjectStore, *, mtime: int) -> None:
    """Write the files and links of `entries` below `folder`, all with one time (`mtime`, seconds since 1970).

    Modes are 0644 and 0755 whatever the umask is. Raises `BundleRefused` on a full disk, or where two paths fall on
    one name (`README` and `readme` on macOS).
    """
    made: set[Path] = set()
    for entry in entries:
        path = folder / entry.path
        if path.parent not in made:
            with disk.refusals(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            made.add(path.parent)
        with disk.refusals(path):
            try:
                _write(entry, path, store, mtime)
            except FileExistsError:
                raise BundleRefused(
                    f"{entry.path} and another path are one name on this file system",
                    cure="rename one of them",
                    paths=(entry.path,),
                ) from None


def _write(entry: Entry, path: Path, store: ObjectStore, mtime: int) -> None:
    if isinstance(entry, Link):
        path.symlink_to(entry.target)
        return
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file, store.open(entry.key) as source:
        shutil.copyfileobj(source, file, 1 << 20)
        file.flush()
        os.fchmod(handle, 0o755 if entry.executable else 0o644)
        os.utime(handle, (mtime, mtime))


def take_in(folder: Path, store: ObjectStore, *, prefix: str, where: str) -> list[Entry]:
    """Put every file below `folder` into the store and return their entries, paths beginning with `prefix`.

    Empty folders and folders' modes are not part of a release; `__pycache__` folders are left out, for their files
    name the scratch copy. Raises `BundleRefused` naming what can't ship: sockets, devices, links that leave it.
    """
    faults = paths.Faults(where)
    links: dict[str, str] = {}
    found: list[Entry] = []
    for path, item in _walk(folder, ""):
        raw = os.fsencode(path)
        shown, fault = paths.decode(raw)
        if fault:
            faults.add(shown, fault)
        elif item.is_symlink():
            target, fault = paths.decode_target(os.fsencode(os.readlink(item.path)))  # noqa: PTH115 - Path tidies
            links[path] = target
            if fault:
                faults.add(path, fault)
            found.append(Link(prefix + path, target))
        elif item.is_file(follow_symlinks=False):
            executable = bool(item.stat(follow_symlinks=False).st_mode & stat.S_IXUSR)
            found.append(store.put(Path(item.path), executable=executable).at(prefix + path))
        else:
            faults.add(path, "neither a file nor a link")
    for path, fault in (*paths.bad_links(links), *paths.twins(entry.path for entry in found)):
        faults.add(path, fault)
    faults.check()
    return found


def _walk(folder: Path | str, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    with os.scandir(folder) as items:
        for item in items:
            if item.is_dir(follow_symlinks=False):
                if item.name != "__pycache__":
                    yield from _walk(item.path, f"{prefix}{item.name}/")
            else:
                yield prefix + item.name, item
