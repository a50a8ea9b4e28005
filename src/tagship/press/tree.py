"""The tree being written: one owner a URL, and files that look the same whoever writes them."""

from __future__ import annotations

import shutil
import tempfile
import unicodedata
from pathlib import Path

from tagship.errors import ContentError


class Claims:
    """Who publishes which file. Two files that differ only in case would be one on some disks, so they clash."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[str, str]] = {}
        self.folders: dict[str, tuple[str, str]] = {}

    def claim(self, path: str, owner: str) -> None:
        """Take `path` (below the site's root) for `owner`, a file or a description.

        Raises `ContentError` naming both owners when it is taken, or when a file would have to be a folder too.
        """
        key = _same(path)
        taken = self.files.get(key) or self.folders.get(key)
        parents = [key[:index] for index, character in enumerate(key) if character == "/"]
        taken = taken or next((self.files[parent] for parent in parents if parent in self.files), None)
        if taken is not None:
            raise ContentError(
                f"publishes /{path}, and so does {taken[1]}"
                if _same(taken[0]) == key
                else f"publishes /{path}, which can't be beside /{taken[0]} of {taken[1]}",
                path=owner,
                cure="change the slug or permalink of one of them",
            )
        self.files[key] = (path, owner)
        for parent in parents:
            self.folders.setdefault(parent, (path, owner))

    def paths(self) -> set[str]:
        """Every path that is taken, as it is written."""
        return {path for path, _ in self.files.values()}

    def has(self, path: str) -> bool:
        """Whether `path` is taken."""
        return _same(path) in self.files


class Tree:
    """A folder in the making beside its final place; `finish` renames it, leaving the block without it removes it."""

    def __init__(self, out: Path) -> None:
        self.out = out

    def __enter__(self) -> Tree:
        self.out.parent.mkdir(parents=True, exist_ok=True)
        self.root = Path(tempfile.mkdtemp(prefix=f".{self.out.name}.", dir=self.out.parent))
        self.root.chmod(0o755)
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.root, ignore_errors=True)

    def holds(self, _name: str, _wanted: bytes) -> bool:
        """Nothing is there before it is written."""
        return False

    def begin(self) -> None:
        """Nothing has to be done."""

    def finish(self) -> None:
        """Put the tree into its place; raises `OSError` when something is there already."""
        self.root.rename(self.out)


def _same(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()
