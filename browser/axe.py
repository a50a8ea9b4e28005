"""axe-core, pinned by version and hash; fetched once through npm, kept in the user's cache."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tarfile
import tempfile
from pathlib import Path

VERSION = "4.14.1"
SHA256 = "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745"
"""Of the package as npm delivers it."""

_SCRIPT = "package/axe.min.js"


class AxeError(Exception):
    """axe-core could not be had, or isn't the one that is pinned."""


def script() -> str:
    """The text of axe.min.js; fetched where the cache lacks it. Raises `AxeError`."""
    kept = _cache() / f"axe-core-{VERSION}.tgz"
    if not kept.is_file():
        _fetch(kept)
    data = kept.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise AxeError(f"{kept} has the SHA-256 {found}, not {SHA256}: remove it")
    with tarfile.open(kept) as archive:
        member = archive.extractfile(_SCRIPT)
        assert member is not None
        return member.read().decode()


def _fetch(kept: Path) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
        argv = ["npm", "pack", f"axe-core@{VERSION}", "--silent", "--pack-destination", scratch]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=scratch)
        except FileNotFoundError:
            raise AxeError("there is no npm: install nodejs and npm") from None
        packed = Path(scratch) / kept.name
        if done.returncode or not packed.is_file():
            raise AxeError(f"npm could not fetch axe-core {VERSION}: {done.stderr.strip()[-500:]}")
        packed.replace(kept)


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "tagship" / "browser"
