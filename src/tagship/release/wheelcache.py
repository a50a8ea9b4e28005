"""Wheels on this machine, outside every tree: each by its SHA-256, and which one a pin became for a kind of host.

`~/.cache/tagship/wheels/<sha256>/<file name>`, and `wheels/picks/<digest>.json`. With both, an unchanged lock
needs neither pip nor a network. A file is hashed when it is handed out, unless its inode is as it was then (ctime
can't be set); a damaged one is dropped.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagship.errors import BundleRefused
from tagship.release import disk
from tagship.release.hostpython import HostPython
from tagship.release.lockfile import Pin

if TYPE_CHECKING:  # they take 10 ms to import, and what was picked before needs none of them
    from packaging.tags import Tag
    from packaging.version import Version


def default_folder() -> Path:
    """tagship's cache folder of this user: `$XDG_CACHE_HOME/tagship`, or `~/.cache/tagship`."""
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(chosen) if chosen.startswith("/") else Path.home() / ".cache"
    return root / "tagship"


@dataclass(frozen=True)
class Wheel:
    """A wheel on this machine."""

    name: str
    """Canonical: lower case, `-` between words."""
    version: str
    filename: str
    sha256: str
    size: int
    """Bytes."""
    path: Path
    unpacked: tuple[int, int]
    """Bytes and files that it takes once installed."""


@dataclass(frozen=True)
class FileName:
    """What a wheel's file name says."""

    name: str
    version: Version
    tags: frozenset[Tag]

    @staticmethod
    def of(filename: str) -> FileName:
        """Raises `BundleRefused` for what is not a wheel's file name."""
        from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename  # as above

        try:
            name, version, _build, tags = parse_wheel_filename(filename)
        except InvalidWheelFilename as error:
            raise BundleRefused(
                f"not a wheel's file name ({error})", where=filename, cure="name it as its builder named it"
            ) from None
        return FileName(canonicalize_name(name), version, tags)

    def fits(self, pin: Pin) -> bool:
        """Whether it is this pin's package and version; a local version (`+cpu`) may be left out of a pin."""
        from packaging.version import Version  # as above

        wanted = Version(pin.version)
        same = self.version == wanted or (wanted.local is None and Version(self.version.public) == wanted)
        return self.name == pin.name and same

    def rank(self, host: HostPython) -> int | None:
        """How good it is for `host`, 0 the best; None where the host doesn't take it."""
        return min((host.ranks[tag] for tag in self.tags if tag in host.ranks), default=None)


class WheelCache:
    """The wheels below `folder`, tagship's cache folder."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "wheels"

    def path(self, sha256: str, filename: str) -> Path:
        return self.root / sha256 / filename

    def find(self, sha256: str, filename: str) -> Wheel | None:
        """The wheel, its bytes hashed just now; None where it is not there, or was damaged and is dropped."""
        path = self.path(sha256, filename)
        try:
            digest, size = hash_file(path)
        except FileNotFoundError:
            return None
        if digest != sha256:
            path.unlink(missing_ok=True)
            return None
        said = FileName.of(filename)
        return Wheel(said.name, str(said.version), filename, sha256, size, path, _unpacked(path))

    def take(self, source: Path, sha256: str) -> Wheel:
        """Copy in a wheel whose SHA-256 the caller knows; raises `BundleRefused` if its bytes are others."""
        found = self.find(sha256, source.name)
        if found is None:
            with disk.fresh(self.path(sha256, source.name)) as part:
                shutil.copyfile(source, part)
                part.chmod(0o644)
                if hash_file(part)[0] != sha256:
                    raise BundleRefused("the wheel changed while it was read", where=str(source), cure="run it again")
            found = self.find(sha256, source.name)
        if found is None:
            raise BundleRefused("the wheel was damaged while it was cached", where=str(source), cure="run it again")
        return found

    def recall(self, pin: Pin, host: HostPython) -> Wheel | None:
        """What `remember` was told for this pin and kind of host, if it is still there and whole."""
        try:
            pick = json.loads(self._pick(pin, host).read_bytes())
            sha256, filename = pick["sha256"], pick["filename"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if sha256 not in pin.hashes or Path(filename).name != filename:
            return None
        wheel = self._as_noted(pick)
        if wheel is None:
            wheel = self.find(sha256, filename)
            if wheel is not None:
                self.remember(pin, host, wheel)
        return wheel

    def _as_noted(self, pick: dict[str, Any]) -> Wheel | None:
        """The wheel of a pick, where nobody has touched its file since it was noted."""
        path = self.path(pick["sha256"], pick["filename"])
        if not pick.get("inode") or pick["inode"] != _inode(path):
            return None
        unpacked = (int(pick["unpacked"][0]), int(pick["unpacked"][1]))
        return Wheel(
            pick["name"], pick["version"], pick["filename"], pick["sha256"], pick["inode"][0], path, unpacked
        )

    def remember(self, pin: Pin, host: HostPython, wheel: Wheel) -> None:
        """Note which wheel, just hashed, the pin became for this kind of host."""
        pick = {
            "filename": wheel.filename,
            "sha256": wheel.sha256,
            "for": f"{pin} on {host.label}",
            "name": wheel.name,
            "version": wheel.version,
            "unpacked": wheel.unpacked,
            "inode": _inode(wheel.path),
        }
        disk.write(self._pick(pin, host), json.dumps(pick).encode())

    def _pick(self, pin: Pin, host: HostPython) -> Path:
        text = "\n".join([pin.name, pin.version, *sorted(pin.hashes), host.key])
        return self.root / "picks" / f"{hashlib.sha256(text.encode()).hexdigest()}.json"


def _inode(path: Path) -> list[int] | None:
    """What changes whenever somebody writes to a file, its size first; None where it isn't there."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return [found.st_size, found.st_ino, found.st_ctime_ns, found.st_mtime_ns]


def _unpacked(path: Path) -> tuple[int, int]:
    with zipfile.ZipFile(path) as wheel:
        files = wheel.infolist()
    return sum(file.file_size for file in files), len(files)


def hash_file(path: Path) -> tuple[str, int]:
    """SHA-256 in hex and size in bytes of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), os.fstat(file.fileno()).st_size
