"""Filesystems of a stage's own, below its root: one whose power can be cut, one as small as a row wants it."""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import stat
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crash.matrix import Violated

SHUTDOWN = 0x8004587D
"""EXT4_IOC_SHUTDOWN, `_IOR('X', 125, __u32)` of Linux's fs/ext4/ext4.h."""
NOLOGFLUSH = 2
"""EXT4_GOING_FLAGS_NOLOGFLUSH: what hasn't been written is lost, the filesystem's own journal too."""
NEWNS = 0x00020000
"""CLONE_NEWNS of Linux's sched.h."""
SIZE = 96 << 20
SOON = 10.0
"""Seconds in which what held files open must have let go of them."""


class LoopDisk:
    """An ext4 filesystem in an image file, mounted at `place`."""

    def __init__(self, image: Path, place: Path) -> None:
        self.image = image
        self.place = place
        with image.open("wb") as file:
            file.truncate(SIZE)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
        place.mkdir(parents=True, exist_ok=True)

    def mount(self) -> None:
        """Mount it, which replays its journal.

        It commits each second, not every five: what isn't synced is lost after as much shorter a time.
        """
        _run("mount", "-o", "loop,commit=1", str(self.image), str(self.place))

    def cut(self) -> None:
        """The power goes: nothing more is written, and what was only in memory is lost."""
        fd = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        finally:
            os.close(fd)

    def make_read_only(self) -> None:
        """What the kernel does where it finds the filesystem damaged, also with files open for writing."""
        _run("mount", "-o", "remount,abort", str(self.place))

    def unmount(self) -> None:
        """Take it away, once nobody uses it any more."""
        unmount(self.place)

    def repair(self) -> None:
        """What a boot does with a filesystem that the kernel gave up."""
        subprocess.run(["e2fsck", "-f", "-y", str(self.image)], capture_output=True, check=False)

    def check(self) -> None:
        """Raise `Violated` where the filesystem itself, unmounted, isn't as it should be."""
        done = subprocess.run(["e2fsck", "-f", "-n", str(self.image)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Violated(f"O1: e2fsck: {done.stdout}")


@contextmanager
def loop(image: Path, place: Path) -> Iterator[LoopDisk]:
    """A fresh one, mounted; gone afterwards."""
    with own_mounts():
        disk = LoopDisk(image, place)
        disk.mount()
        try:
            yield disk
        finally:
            if place.is_mount():
                subprocess.run(["umount", "--lazy", str(place)], check=False)
            image.unlink()


class SmallDisk:
    """A tmpfs mounted at `place`, made smaller and larger."""

    WHOLE = "size=256m,nr_inodes=20000"

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir(parents=True, exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", self.WHOLE, "tmpfs", str(place))

    @property
    def used(self) -> tuple[int, int]:
        """Bytes and inodes in use."""
        found = os.statvfs(self.place)
        return (found.f_blocks - found.f_bfree) * found.f_frsize, found.f_files - found.f_ffree

    def leave(self, *, size: int | None = None, inodes: int | None = None) -> None:
        """Leave so much room beside what is used; all of it where nothing is said."""
        while True:
            used_bytes, used_inodes = self.used
            options = self.WHOLE
            if size is not None:
                options = f"size={used_bytes + size}"
            elif inodes is not None:
                options = f"nr_inodes={used_inodes + inodes}"
            try:
                return _run("mount", "-o", f"remount,{options}", str(self.place))
            except RuntimeError:
                if self.used == (used_bytes, used_inodes):
                    raise  # else somebody used more meanwhile


@contextmanager
def small(place: Path) -> Iterator[SmallDisk]:
    """A fresh one; gone afterwards."""
    with own_mounts():
        disk = SmallDisk(place)
        try:
            yield disk
        finally:
            subprocess.run(["umount", "--lazy", str(place)], check=False)


@contextmanager
def own_mounts() -> Iterator[None]:
    """What is mounted inside is seen by this thread and what it starts, and by nobody else.

    A lab host that boots meanwhile copies all mounts that it sees, and would hold the disk when we have let go of it.
    """
    libc, here = ctypes.CDLL(None, use_errno=True), Path.cwd()

    def must(status: int) -> None:
        if status:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    before = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY)
    try:
        must(libc.unshare(NEWNS))
        try:
            _run("mount", "--make-rprivate", "/")
            yield
        finally:
            must(libc.setns(before, NEWNS))
            os.chdir(here)  # which it has set to the root
    finally:
        os.close(before)


def unmount(place: Path) -> None:
    """Unmount, once whoever was killed has let go; raises `Violated` where something still uses it."""
    deadline = time.monotonic() + SOON
    while True:
        done = subprocess.run(["umount", str(place)], capture_output=True, text=True, check=False)
        if not done.returncode:
            return
        if time.monotonic() > deadline:
            raise Violated(f"{place} is still in use: {done.stderr}")
        time.sleep(0.02)


def contents(folder: Path) -> dict[str, tuple[str, str]]:
    """By path, every link's target and every file's SHA-256 below `folder`; sockets and folders left out."""
    found = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        name = str(path.relative_to(folder))
        if stat.S_ISLNK(status.st_mode):
            found[name] = ("link", str(path.readlink()))
        elif stat.S_ISREG(status.st_mode):
            found[name] = ("file", hashlib.sha256(path.read_bytes()).hexdigest())
    return found


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr}")
