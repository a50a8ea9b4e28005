"""Content-addressed files, hard-linked into releases: only what a host hasn't got travels.

An object's name is the SHA-256 of its content, with `x` if it is executable; mode (0444 or 0555) and mtime follow
from the name. Content is hashed before it gets its name, and again in each session before it is used.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import zlib
from typing import BinaryIO, Callable, Iterable, Iterator, Optional, Union

from tagship.host import files
from tagship.host.faults import Problem, failed, usage

KEY = re.compile(r"[0-9a-f]{64}x?\Z")
PART = ".new-"
"""How the name of an object begins until its hash is right."""
_PIECE = 1 << 20
_EPOCH = 946_684_800  # 2000-01-01, so that no server sees a time to come
_SPAN = 1 << 29  # 17 years


def mtime(key: str) -> int:
    """Seconds since 1970, from the digest: two contents get two ETags even at equal size, one content the same."""
    return _EPOCH + int(key[:8], 16) % _SPAN


def mode(key: str) -> int:
    """The permission bits of an object."""
    return 0o555 if key.endswith("x") else 0o444


class Objects:
    """The object store of a stage, open as a folder; `close` it."""

    def __init__(self, path: str, check: Callable[[], object] = lambda: None) -> None:
        self.path = path
        self._check = check
        """Called before each file is read; it raises where nobody waits for it any more."""
        self.fd = os.open(path, files.FOLDER)
        self._sound: dict[str, tuple[int, int, int]] = {}

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self.fd)

    def missing(self, wanted: dict[str, int]) -> tuple[list[str], list[str]]:
        """Of `wanted` (key to bytes): the keys that aren't here, and those of them whose content is wrong."""
        absent, tampered = [], []
        for key, size in wanted.items():
            if self.sound(key, size):
                continue
            absent.append(key)
            if self._stat(key) is not None:
                tampered.append(key)
        return absent, tampered

    def sound(self, key: str, size: int) -> bool:
        """Whether the object is here and its content is what its name says; hashed once a session while it stays."""
        found = self._stat(key)
        if found is None or not stat.S_ISREG(found.st_mode) or found.st_size != size:
            return False
        if self._sound.get(key) == _print(found):
            return True
        self._check()
        fd = os.open(key, files.READ, dir_fd=self.fd)
        try:
            if hash_fd(fd) != key[:64]:
                return False
            found = os.fstat(fd)
        finally:
            os.close(fd)
        if stat.S_IMODE(found.st_mode) != mode(key) or found.st_mtime != mtime(key):
            self._dress(key)
            found = os.stat(key, dir_fd=self.fd, follow_symlinks=False)
        self._sound[key] = _print(found)
        return True

    def link(self, key: str, size: int, name: str, folder: int) -> None:
        """Give the object a second name in an open folder; raises `tampered`, and drops an object that is wrong."""
        if not self.sound(key, size):
            raise self._tampered(key)
        try:
            os.link(key, name, src_dir_fd=self.fd, dst_dir_fd=folder, follow_symlinks=False)
        except OSError as error:
            if error.errno not in (errno.EMLINK, errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP):
                raise
            self._copy(key, name, folder)
            return
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if (found.st_ino, found.st_size, found.st_mtime) != (self._sound[key][0], size, mtime(key)):
            os.unlink(name, dir_fd=folder)  # another file had taken its place since it was hashed
            raise self._tampered(key)
        self._sound[key] = _print(found)  # a link more changes the inode's ctime

    def _tampered(self, key: str) -> Problem:
        self.drop([key])
        return Problem(
            "tampered",
            "the object {}… is not what its name says".format(key[:12]),
            "deploy again: it will be sent afresh; `fab verify` tells which releases hold the wrong bytes",
            data={"key": key},
        )

    def tell(self, note: Callable[[os.stat_result, str], None]) -> None:
        """Tell of all that was hashed in this session, and that nobody has written to since, its SHA-256 in hex."""
        for key, seen in self._sound.items():
            found = self._stat(key)
            if found is not None and _print(found) == seen:
                note(found, key[:64])

    def _copy(self, key: str, name: str, folder: int) -> None:
        source = os.open(key, files.READ, dir_fd=self.fd)
        try:
            target = os.open(name, files.NEW, 0o600, dir_fd=folder)
            try:
                check = hashlib.sha256()
                for piece in iter(lambda: os.read(source, _PIECE), b""):
                    check.update(piece)
                    files.write_all(target, piece)
                os.fchmod(target, mode(key))
                os.utime(target, (mtime(key), mtime(key)))
            finally:
                os.close(target)
        finally:
            os.close(source)
        if check.hexdigest() != key[:64]:
            os.unlink(name, dir_fd=folder)
            raise Problem("tampered", "the object {}… changed while it was copied".format(key[:12]), "deploy again")

    def receive(
        self, wanted: list[tuple[str, int]], pieces: Iterator[bytes], told: Callable[[int, int], None]
    ) -> int:
        """Write objects from one zlib stream of their contents; gives the bytes they have.

        `told(done, total)` hears of progress in bytes. Nothing gets a name before its hash is right: a wrong one
        raises `tampered`, a stream that is too short or too long `usage`.
        """
        total = sum(size for _, size in wanted)
        stream = _Unpacked(pieces)
        done = 0
        for key, size in wanted:
            self._receive_one(key, size, stream)
            done += size
            told(done, total)
        if stream.read(1):
            raise usage("the stream holds more than the objects it was said to hold")
        return done

    def adopt(self, path: str, key: str, size: int) -> None:
        """Make an object of a copy of a file; raises `tampered` where its content isn't what `key` says."""
        if not self.sound(key, size):
            with open(path, "rb") as file:
                self._receive_one(key, size, file)

    def _receive_one(self, key: str, size: int, stream: Union["_Unpacked", BinaryIO]) -> None:
        name = PART + key
        fd = self._create(name)
        try:
            try:
                check = hashlib.sha256()
                left = size
                while left:
                    piece = stream.read(min(left, _PIECE))
                    if not piece:
                        raise usage("the stream ends before the object {}…".format(key[:12]))
                    check.update(piece)
                    files.write_all(fd, piece)
                    left -= len(piece)
                if check.hexdigest() != key[:64]:
                    raise Problem(
                        "tampered",
                        "what arrived for {}… has another digest".format(key[:12]),
                        "deploy again; if it happens twice, look at this machine's own bundle store",
                    )
                os.fchmod(fd, mode(key))
                os.utime(fd, (mtime(key), mtime(key)))
            finally:
                os.close(fd)
            os.rename(name, key, src_dir_fd=self.fd, dst_dir_fd=self.fd)
        except BaseException:
            try:
                os.unlink(name, dir_fd=self.fd)
            except OSError:
                pass  # the first error is the one to tell of
            raise
        self._sound[key] = _print(os.stat(key, dir_fd=self.fd, follow_symlinks=False))

    def _create(self, name: str) -> int:
        try:
            return os.open(name, files.NEW, 0o600, dir_fd=self.fd)
        except FileExistsError:
            os.unlink(name, dir_fd=self.fd)
            return os.open(name, files.NEW, 0o600, dir_fd=self.fd)

    def drop(self, keys: Iterable[str]) -> None:
        """Unlink objects, those that are here; releases that link them keep their own names for them."""
        for key in keys:
            self._sound.pop(key, None)
            try:
                os.unlink(key, dir_fd=self.fd)
            except FileNotFoundError:
                pass
            except IsADirectoryError:
                raise failed(
                    "objects/{} is a folder".format(key), "remove it on the host; it isn't tagship's"
                ) from None

    def keep_only(self, used: set[str]) -> None:
        """Drop every object that isn't in `used`; what isn't an object by its name stays."""
        self.drop([name for name in files.names(self.path) if KEY.match(name) and name not in used])

    def is_linked(self, key: str, name: str, folder: int) -> bool:
        """Whether `name` in an open folder is the object itself."""
        try:
            other = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        own = self._stat(key)
        return own is not None and (own.st_dev, own.st_ino) == (other.st_dev, other.st_ino)

    def _dress(self, key: str) -> None:
        os.chmod(key, mode(key), dir_fd=self.fd)
        os.utime(key, (mtime(key), mtime(key)), dir_fd=self.fd, follow_symlinks=False)

    def _stat(self, key: str) -> Optional[os.stat_result]:
        try:
            return os.stat(key, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None


def hash_fd(fd: int) -> str:
    """SHA-256 in hex of an open file, from where it stands to its end."""
    check = hashlib.sha256()
    while True:
        piece = os.read(fd, _PIECE)
        if not piece:
            return check.hexdigest()
        check.update(piece)


def _print(found: os.stat_result) -> tuple[int, int, int]:
    """What changes whenever somebody writes to the inode: ctime can't be set."""
    return found.st_ino, found.st_ctime_ns, found.st_size


class _Unpacked:
    """Reads of a given size from a zlib stream that arrives in pieces; memory stays bounded."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._zlib = zlib.decompressobj()

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end of the stream."""
        packed = self._zlib.unconsumed_tail
        while not self._zlib.eof:
            try:
                piece = self._zlib.decompress(packed, size)
            except zlib.error as error:
                raise Problem("tampered", "the stream is not zlib: {}".format(error), "deploy again") from None
            if piece:
                return piece
            packed = self._zlib.unconsumed_tail or next(self._pieces, b"")
            if not packed:
                return b""
        return b""
