"""Two trees that take turns: one is shown, the other is brought up to date, then the link to the shown one moves.

What a tree holds is written beside it once it is whole: each file's digest, size, inode and times. Before a tree is
touched that record is removed, so a tree without one was left in the middle of something, and is read and hashed
before it is used. A record only says where to look: a file whose size, inode or times are others is hashed, and so
is every file after a reboot, since a crash of the machine may have emptied what was never synced.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import msgspec

from tagship.press import inputs
from tagship.press.reads import digest

_TICK_NS = 50_000_000
"""Kernels stamp files in ticks of some milliseconds: what changed this lately might change again unseen."""


_MODE = 0o644


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """A file of a tree as it was left."""

    digest: bytes
    size: int
    inode: int
    mtime: int
    ctime: int
    """Nanoseconds; 0: it was too fresh to be recognised by its times."""


class Record(msgspec.Struct, array_like=True):
    """What a tree holds."""

    boot: str
    files: dict[str, Kept]
    folders: dict[str, int]
    """When an entry of each folder last came or went (nanoseconds); 0 as above."""


class Branch:
    """One of the two trees, with its record."""

    def __init__(self, root: Path, record: Path) -> None:
        self.root = root
        self.record = record
        self.files: dict[str, Kept] = {}
        self.strays: set[str] = set()
        """Files that are there and that no build knows."""
        self.whole = False
        """Whether the record was right; else the tree was read anew."""
        self.twin: Branch | None = None

    def look(self) -> None:
        """Find out what the tree holds."""
        known = self.read_record()
        if known is None or known.boot != boot():
            self.whole = False
            self.files = {name: self.hashed(name) for name in _files(self.root)} if self.root.is_dir() else {}
            return
        self.whole = True
        self.files = dict(known.files)
        base = f"{self.root}/"
        for name, kept in known.files.items():
            try:
                at = os.stat(f"{base}{name}", follow_symlinks=False)  # noqa: PTH116
            except OSError:
                self.forget(name)
                continue
            if at.st_ctime_ns != kept.ctime or at.st_ino != kept.inode or at.st_mtime_ns != kept.mtime:
                self.check(name)
        for folder, mtime in known.folders.items():
            try:
                if os.stat(f"{base}{folder}").st_mtime_ns != mtime:  # noqa: PTH116
                    self.find_strays(folder, known.folders.keys())
            except OSError:
                continue  # its files are missing, which was noticed above

    def recall(self) -> None:
        """What the tree held when it was left; nothing where that isn't known."""
        known = self.read_record()
        self.files = dict(known.files) if known is not None else {}

    def is_exactly(self, manifest: Mapping[str, bytes]) -> bool:
        """Whether the tree holds that and nothing else."""
        return not self.strays and {name: kept.digest for name, kept in self.files.items()} == manifest

    def read_record(self) -> Record | None:
        try:
            return msgspec.msgpack.decode(self.record.read_bytes(), type=Record)
        except (OSError, msgspec.MsgspecError):
            return None

    def check(self, name: str) -> None:
        """Hash a file that may be another one now."""
        try:
            found = self.hashed(name)
        except OSError:
            self.forget(name)
            return
        if found.digest == self.files[name].digest:
            self.files[name] = found
        else:
            self.forget(name)

    def forget(self, name: str) -> None:
        del self.files[name]
        self.strays.add(name)

    def find_strays(self, folder: str, folders: Collection[str]) -> None:
        prefix = f"{folder}/" if folder else ""
        with os.scandir(self.root / folder) as entries:
            names = {f"{prefix}{entry.name}" for entry in entries}
        self.strays |= {name for name in names if name not in self.files and name not in folders}

    def hashed(self, name: str) -> Kept:
        path = f"{self.root}/{name}"
        at = os.stat(path, follow_symlinks=False)  # noqa: PTH116
        if not stat.S_ISREG(at.st_mode) or stat.S_IMODE(at.st_mode) != _MODE:
            return Kept(b"", 0, 0, 0, 0)  # nothing that was ever built
        return _kept(at, digest(inputs.read(path)))

    def holds(self, name: str, wanted: bytes) -> bool:
        """Whether the file is there with that digest."""
        kept = self.files.get(name)
        return kept is not None and kept.digest == wanted

    def begin_as(self, twin: Branch) -> None:
        """There is no such tree yet: once it changes, it begins as `twin`, of which `look` was asked."""
        self.twin = twin
        self.files = dict(twin.files)
        self.whole = True

    def begin(self) -> None:
        """The tree is about to change."""
        self.record.unlink(missing_ok=True)
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o755)
        if self.twin is not None:
            link(self.twin.root, self.root, self.files)
            self.twin = None

    def finish(self, manifest: Mapping[str, bytes], changed: Collection[str]) -> None:
        """Remove all but `manifest`, which is there; `changed` are the files of it that were written since `look`."""
        for name in (self.files.keys() | self.strays) - manifest.keys():
            self.remove(name)
        now = time.time_ns()
        base = f"{self.root}/"
        files = {}
        for name, wanted in manifest.items():
            kept = self.files.get(name)
            if kept is None or name in changed or not kept.ctime:
                files[name] = _kept(os.stat(f"{base}{name}"), wanted, now)  # noqa: PTH116
            else:
                files[name] = kept
        folders = {name.rpartition("/")[0] for name in manifest} | {""}
        folders |= {parent for folder in folders for parent in _parents(folder)}
        if not self.whole:
            for folder in [*_folders(self.root)]:
                if folder not in folders and (self.root / folder).is_dir():
                    _remove_tree(self.root / folder)
        times = {folder: _settled(os.stat(f"{base}{folder}").st_mtime_ns, now) for folder in folders}  # noqa: PTH116
        write_whole(self.record, msgspec.msgpack.encode(Record(boot(), files, times)))
        self.files, self.strays, self.whole = files, set(), True

    def remove(self, name: str) -> None:
        """Remove what stands at `name`, and the folders that are empty without it."""
        path = self.root / name
        if path.is_dir() and not path.is_symlink():
            _remove_tree(path)
        else:
            path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == self.root:
                return
            try:
                folder.rmdir()
            except OSError:
                return


def put(root: Path, name: str, data: bytes) -> None:
    """Write one file, mode 0644 whatever the umask, and the folders it needs, 0755; one that is right already stays.

    What is there is written over where nobody else holds it by a hard link.
    """
    path = f"{root}/{name}"
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
    except OSError:
        _make_way(root, name)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
    try:
        at = os.fstat(handle)
        if at.st_nlink > 1:
            if at.st_size == len(data) and os.pread(handle, len(data) + 1, 0) == data:
                return
            os.unlink(path)  # noqa: PTH108 - beside os.open
            os.close(handle)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
            at = os.fstat(handle)
        if at.st_mode & 0o7777 != _MODE:
            os.fchmod(handle, _MODE)
        if at.st_size:
            if at.st_size == len(data) and os.pread(handle, len(data) + 1, 0) == data:
                return
            os.ftruncate(handle, 0)
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
    finally:
        os.close(handle)


def _make_way(root: Path, name: str) -> None:
    """Make the folders of `name`, and remove what stands where they, or it, should be."""
    path = root
    parts = name.split("/")
    for part in parts[:-1]:
        path = path / part
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            path.unlink()
        try:
            path.mkdir()
        except FileExistsError:  # a worker beside us was quicker
            continue
        path.chmod(0o755)
    last = path / parts[-1]
    if last.is_symlink():
        last.unlink()
    elif last.is_dir():
        _remove_tree(last)


def _remove_tree(folder: Path) -> None:
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            _remove_tree(Path(entry.path))
        else:
            Path(entry.path).unlink()
    folder.rmdir()


def link(source: Path, target: Path, names: Collection[str]) -> None:
    """Give `target`, which is new, hard links to those files of `source`: cheaper than to write them again."""
    made = {""}
    for name in names:
        folder = name.rpartition("/")[0]
        if folder not in made:
            for parent in (*_parents(folder), folder):
                if parent not in made:
                    (target / parent).mkdir(exist_ok=True)
                    (target / parent).chmod(0o755)
                    made.add(parent)
        os.link(f"{source}/{name}", f"{target}/{name}")


def write_whole(path: Path, data: bytes) -> None:
    """Put `data` at `path` by one rename."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(data)
    fresh.rename(path)


def boot() -> str:
    """Which boot of this machine it is; nothing where that can't be told."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _kept(at: os.stat_result, found: bytes, now: int | None = None) -> Kept:
    ctime = at.st_ctime_ns if now is None else _settled(at.st_ctime_ns, now)
    return Kept(found, at.st_size, at.st_ino, at.st_mtime_ns, ctime)


def _settled(stamp: int, now: int) -> int:
    return stamp if stamp < now - _TICK_NS else 0


def _parents(folder: str) -> list[str]:
    """The folders above `folder`, the highest first."""
    return [folder[:index] for index, character in enumerate(folder) if character == "/"]


def _files(root: Path) -> Iterator[str]:
    """Every file below `root`, and every link and special file."""
    return (path for path, is_folder in _found(root) if not is_folder)


def _folders(root: Path) -> Iterator[str]:
    """Every folder below `root`."""
    return (path for path, is_folder in _found(root) if is_folder)


def _found(root: Path) -> Iterator[tuple[str, bool]]:
    """The path of everything below `root`, and whether it is a folder."""
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        with os.scandir(root / prefix) as entries:
            for entry in entries:
                is_folder = entry.is_dir(follow_symlinks=False)
                if is_folder:
                    waiting.append(f"{prefix}{entry.name}/")
                yield f"{prefix}{entry.name}", is_folder
