"""Bytecode of a release: linked from the release before where the source is the very same file, else compiled.

Sources are hard links (of objects, or of uv's cache), and bytecode is hash-based and unchecked, so one inode of
source has one bytecode. Compiling everything anew was two thirds of the time of a deploy that changes one file.
"""

from __future__ import annotations

import os
from typing import Any, Callable, Iterator, Optional

from tagship.host import contents, files, stored
from tagship.host.layout import Layout

COMPILE = ("-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash")
_MANY = 200  # files from which a process a core pays


def reuse(layout: Layout, release: str) -> int:
    """Link what the newest other sealed release compiled from the same files; gives how many.

    What isn't as that release's seal recorded is left out: a changed file must not spread.
    """
    base = newest_built(layout, release)
    if base is None:
        return 0
    linked = 0
    for path, sha256 in _recorded(layout, base):
        source = _source(path)
        old, new = layout.release(base, path), layout.release(release, path)
        if not source or not _same(layout.release(base, source), layout.release(release, source)):
            continue
        if sha256 and contents.hash_file(old) == sha256:
            linked += _link(old, new)
    return linked


def compile_rest(layout: Layout, release: str, python: str, run: Callable[[list[str]], None]) -> int:
    """Compile every source of the virtualenv and the tree that has no bytecode yet; gives how many there were.

    `run` is given the command. A file that isn't Python of this version is no matter: it is not imported.
    """
    todo = [
        path
        for top in ("venv/lib", "app")
        for path in _sources(layout.release(release, *top.split("/")))
        if "\n" not in path
    ]
    if not todo:
        return 0
    listed = layout.release(release, "compile.txt")
    files.place(listed, os.fsencode("".join(path + "\n" for path in todo)))
    jobs = ["-j", "0"] if len(todo) >= _MANY else []
    try:
        run([python, "-IS", *COMPILE, *jobs, "-i", listed])
    finally:
        files.remove(listed)
    return len(todo)


def newest_built(layout: Layout, release: str) -> Optional[str]:
    """The newest release on disk, other than `release`, that was sealed with a virtualenv: a mere site has none."""
    names = [declared.release for declared in stored.all_declared(layout) if declared.release != release]
    sealed = [name for name in names if os.path.isfile(layout.release(name, stored.SEALED))]
    built = [name for name in sealed if os.path.isdir(layout.release(name, "venv"))]
    return built[-1] if built else None


def _recorded(layout: Layout, release: str) -> Iterator[tuple[str, Any]]:
    sealed = files.read_object(layout.release(release, stored.SEALED))
    for path, sha256 in sealed.get("bytecode", {}).items():
        yield "venv/" + path, sha256
    for row in sealed.get("made", []):
        if row[0].endswith(".pyc") and row[1] != "l":
            yield row[0], row[2]


def _source(path: str) -> str:
    """`a/b.py` for `a/__pycache__/b.cpython-311.pyc`; empty for bytecode that lies elsewhere."""
    folder, name = os.path.split(path)
    parent, cache = os.path.split(folder)
    return os.path.join(parent, name.split(".", 1)[0] + ".py") if cache == "__pycache__" else ""


def _same(one: str, other: str) -> bool:
    try:
        first, second = os.lstat(one), os.lstat(other)
    except OSError:
        return False
    return os.path.samestat(first, second)


def _link(old: str, new: str) -> bool:
    try:
        os.makedirs(os.path.dirname(new), mode=0o755, exist_ok=True)
        os.link(old, new, follow_symlinks=False)
    except FileExistsError:
        return True
    except OSError:
        return False  # too many links, another filesystem: it is compiled instead
    return True


def _sources(top: str) -> Iterator[str]:
    """Every .py file below a folder without bytecode beside it."""
    for folder, _, names in os.walk(top):
        have = {name.split(".", 1)[0] for name in files.names(os.path.join(folder, "__pycache__"))}
        for name in sorted(names):
            if name.endswith(".py") and name.split(".", 1)[0] not in have:
                yield os.path.join(folder, name)
