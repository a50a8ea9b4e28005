"""Bytecode of a release: linked from the release before where the source is the very same file, else compiled.

Sources are hard links (of objects, or of uv's cache), and bytecode is hash-based and unchecked, so one source has one
bytecode. Compiling everything anew was two thirds of the time of a deploy that changes one file.
"""

from __future__ import annotations

import os
import sys
from typing import Callable, Iterable, Iterator, Optional

from tagship.host import files, rows, stored
from tagship.host.hashes import Hashes
from tagship.host.layout import ID, Layout, serial_of

COMPILE = ("-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash")
_MANY = 200  # files from which a process a core pays
_FEW, _SMALL = 16, 256 << 10  # files, and bytes of each, that aren't worth a process
_UNCHECKED = 0b01  # PEP 552: its hash is there, and nobody compares it


def reuse(layout: Layout, declared: stored.Declared, hashed: Hashes, top: str) -> None:
    """Link what the newest other sealed release compiled of the same files below `top`: `app` or `venv`.

    What isn't as that release's seal recorded is left out: a changed file must not spread.
    """
    base = newest_built(layout, declared.release)
    old = stored.find(layout, base) if base is not None else None
    if base is None or old is None:
        return
    tagged, before = _by_path(declared.rows), _by_path(old.rows)
    folder, other = layout.release(declared.release), layout.release(base)
    made: set[str] = set()
    for path, sha256 in _recorded(layout, base, top):
        source = _source(path)
        if top == "app":
            alike = source in tagged and tagged[source] == before.get(source)
        else:
            alike = _same(os.path.join(other, source), os.path.join(folder, source))
        if not source or not alike:
            continue
        new = os.path.join(folder, path)
        cache = os.path.dirname(new)
        if cache not in made:
            os.makedirs(cache, mode=0o755, exist_ok=True)
            made.add(cache)
        if _link(os.path.join(other, path), new) and hashed.of(new, os.lstat(new)) != sha256:
            os.unlink(new)


def compile_all(paths: Iterable[str], listed: str, python: str, run: Callable[[list[str]], None]) -> None:
    """Compile the sources at `paths`, for the interpreter `python`, whose own process `run` is given.

    `listed` is a file to write their names to, which goes again. One that isn't Python of this version is no matter:
    it is not imported.
    """
    todo = [path for path in paths if "\n" not in path]
    if not todo:
        return
    small = len(todo) <= _FEW and all(os.lstat(path).st_size <= _SMALL for path in todo)
    if small and os.path.realpath(python) == os.path.realpath(sys.executable):
        for path in todo:
            _compile_here(path)
        return
    files.place(listed, os.fsencode("".join(path + "\n" for path in todo)))
    jobs = ["-j", "0"] if len(todo) >= _MANY else []
    try:
        run([python, "-IS", *COMPILE, *jobs, "-i", listed])
    finally:
        files.remove(listed)


def _compile_here(path: str) -> None:
    """What `COMPILE` does: the agent runs on the same interpreter, and is there already."""
    import importlib.util  # only where something is compiled
    import warnings

    source = files.read(path)
    if source is None:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            code = compile(source, path, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return  # a template of Python code, or text that no parser gets through
    import marshal

    head = importlib.util.MAGIC_NUMBER + _UNCHECKED.to_bytes(4, "little") + importlib.util.source_hash(source)
    target = importlib.util.cache_from_source(path)
    os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
    files.place(target, head + marshal.dumps(code))


def newest_built(layout: Layout, release: str) -> Optional[str]:
    """The newest release on disk, other than `release`, that was sealed with a virtualenv: a mere site has none."""
    names = [name for name in files.names(layout.releases) if ID.match(name) and name != release]
    for name in sorted(names, key=serial_of, reverse=True):
        built = os.path.isfile(layout.release(name, stored.SEALED)) and os.path.isdir(layout.release(name, "venv"))
        if built and stored.find(layout, name) is not None:
            return name
    return None


def missing(top: str) -> Iterator[str]:
    """Every .py file below a folder without bytecode beside it."""
    for folder, _, names in os.walk(top):
        sources = [name for name in names if name.endswith(".py")]
        have = {name.split(".", 1)[0] for name in files.names(os.path.join(folder, "__pycache__"))} if sources else ()
        for name in sorted(sources):
            if name.split(".", 1)[0] not in have:
                yield os.path.join(folder, name)


def _by_path(found: list[rows.Row]) -> dict[str, rows.Row]:
    return {row[0]: row for row in found if row[0].endswith(".py") and row[1] != "l"}


def _recorded(layout: Layout, release: str, top: str) -> Iterator[tuple[str, str]]:
    """Bytecode below `top`, by path in the release, and its hash at the seal."""
    sealed = files.read_object(layout.release(release, stored.SEALED))
    if top == "venv":
        for path, sha256 in sealed.get("bytecode", {}).items():
            yield "venv/" + path, sha256
        return
    for row in sealed.get("made", []):
        if row[0].endswith(".pyc") and row[1] != "l" and row[0].startswith(top + "/"):
            yield row[0], row[2]


def _source(path: str) -> str:
    """`a/b.py` for `a/__pycache__/b.cpython-311.pyc`; empty for bytecode that lies elsewhere."""
    folder, _, name = path.rpartition("/")
    parent, _, cache = folder.rpartition("/")
    return parent + "/" + name.split(".", 1)[0] + ".py" if cache == "__pycache__" else ""


def _same(one: str, other: str) -> bool:
    try:
        first, second = os.lstat(one), os.lstat(other)
    except OSError:
        return False
    return os.path.samestat(first, second)


def _link(old: str, new: str) -> bool:
    try:
        os.link(old, new, follow_symlinks=False)
    except OSError:
        return False  # too many links, another filesystem: it is compiled instead
    return True
