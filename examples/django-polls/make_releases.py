"""Makes the history of this project: a git repository here, with what lies in releases/ committed and tagged in turn.

Each patch is a release: its first line is the commit's, its number the tag's. `v1` is the tree as it stands.
The branch `main` ends with v10; v11, from which there is no way back, is beside it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
LEFT_OUT = ("make_releases.py", "releases/")
"""What is of this example, and of no release."""
NEWEST = "v10"
"""Where `main` ends."""


def git(*words: str) -> None:
    subprocess.run(["git", *words], cwd=HERE, check=True)


def release(tag: str, subject: str) -> None:
    """Commit and tag all that there is."""
    git("add", "--all")
    git("commit", "--quiet", "--message", subject)
    git("tag", "--annotate", tag, "--message", subject)


def main() -> None:
    """Begin with `v1`, then take one patch after another."""
    if (HERE / ".git").exists():
        sys.exit(f"{HERE} is a git repository already")
    git("init", "--quiet", "--initial-branch", "main")
    (HERE / ".git" / "info" / "exclude").write_text("".join(f"/{name}\n" for name in LEFT_OUT), encoding="utf-8")
    release("v1", "Ask, choose, and keep who did what")
    for patch in sorted((HERE / "releases").glob("*.patch")):
        git("apply", "--index", str(patch))
        release(f"v{int(patch.name.partition('-')[0])}", patch.read_text(encoding="utf-8").splitlines()[0])
    git("checkout", "--quiet", "-B", "main", NEWEST)


if __name__ == "__main__":
    main()
