"""tagship with one thing broken, as a tired author might: each must be caught by a row of the matrix."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"


@dataclass(frozen=True)
class Patch:
    """A replacement in one file of tagship's; it must be found there once, so that no mutant silently is none."""

    file: str
    old: str
    new: str

    def apply(self, package: Path) -> None:
        """Make it, in a copy of the package."""
        path = package / self.file
        text = path.read_text(encoding="utf-8")
        assert text.count(self.old) == 1, f"{self.file} has {text.count(self.old)} of: {self.old}"
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


@dataclass(frozen=True)
class Mutant:
    """What is broken, and the row that must see it."""

    name: str
    row: str
    says: str
    """Words of the violation: it is caught for what it is, and not because nothing works any more."""
    patches: tuple[Patch, ...]


NO_SYNC = (Patch("host/seal.py", "    _sync(context, folder)\n", ""),)

MUTANTS = (
    Mutant(
        "no fsync before the flip",
        "synced-before-it-is-public",
        "was never synced",
        NO_SYNC,
    ),
    Mutant(
        "no fsync before the flip, and the power is cut",
        "power-cut",
        "O1 local: ",
        NO_SYNC,
    ),
    Mutant(
        "test-then-write lock",
        "two-locks-at-once",
        "the kernel says that None holds it",  # whoever else thinks so: it shows without luck
        (
            Patch(
                "host/lock.py",
                "                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
                "                if read_holder(self.path) is not None:\n                    raise BlockingIOError\n",
            ),
        ),
    ),
    Mutant(
        "link made in two steps",
        "current-is-read-while-it-flips",
        "nothing",
        (
            Patch(
                "host/public.py",
                '        os.symlink("releases/" + to, new)\n        os.rename(new, current)\n',
                '        files.remove(current)\n        os.symlink("releases/" + to, current)\n',
            ),
        ),
    ),
    Mutant(
        "the loser frees the lock",
        "two-locks-at-once",
        "a second holder",
        (
            Patch(
                "host/lock.py",
                "                os.close(fd)\n                raise _locked",
                "                os.unlink(self.path)\n                os.close(fd)\n                raise _locked",
            ),
        ),
    ),
    Mutant(
        "prune by name order",
        "order-is-the-serial",
        "were kept",
        (
            Patch(
                "host/removal.py",
                "sorted(_ours(layout, standings), key=lambda name: standings[name].serial)",
                "sorted(_ours(layout, standings))",
            ),
        ),
    ),
)


def copy(folder: Path, *patches: Patch) -> Path:
    """A copy of tagship below `folder`, patched; gives what stands on the PYTHONPATH."""
    shutil.copytree(SOURCE / "tagship", folder / "tagship", ignore=shutil.ignore_patterns("__pycache__"))
    for patch in patches:
        patch.apply(folder / "tagship")
    return folder
