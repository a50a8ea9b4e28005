"""Imports this package from memory on a host. `BOOT` executes this text, then calls `run`.

What the interpreter made of the archive is kept in the stage's `state/agent` by a session that changed something: to
unpack and compile it anew takes a fifth of an agent's time. It counts only for the same archive and interpreter.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec
from typing import Any, BinaryIO, Optional

PACKAGE = "tagship.host"
KEPT = "agent"
_DIGEST = 32


class Memory:
    """A finder and loader of modules that were sent; tracebacks can show their lines."""

    def __init__(self, text: bytes, archive: bytes, root: str) -> None:
        self.parts = (text, archive)
        """What was sent: this module's text, and the archive."""
        kept = _kept(root, archive) if root else {}
        self._codes = kept
        self._keeps = bool(root) and not kept
        self._sources: dict[str, str] = {} if kept else self._unpacked()

    def _unpacked(self) -> dict[str, str]:
        import bz2  # 8 ms with what it has to do

        texts = iter(bz2.decompress(self.parts[1]).decode().split("\0"))
        return {"tagship": "", **dict(zip(texts, texts))}  # noqa: B905 - Python 3.9 has no `strict`

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Optional[ModuleSpec]:  # noqa: ARG002
        """The import system's question; `None` for modules that are not ours."""
        if name not in self._codes and name not in self._sources:
            return None
        package = name in ("tagship", PACKAGE)
        spec = ModuleSpec(name, self, origin=_origin(name), is_package=package)  # type: ignore[arg-type]
        spec.has_location = False
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """Nothing special: the import system makes the module."""

    def exec_module(self, module: Any) -> None:
        """Compile and run the module's text in its namespace."""
        exec(self._code(module.__name__), module.__dict__)  # noqa: S102

    def get_source(self, name: str) -> str:
        """The module's text, for tracebacks and for `facts`."""
        self._sources = self._sources or self._unpacked()
        return self._sources[name]

    def keep(self, folder: str) -> None:
        """Keep all of it, compiled, in the `state/` of a stage, where it was looked for and not found."""
        if not self._keeps:
            return
        import marshal

        codes = {name: self._code(name) for name in self._sources}
        data = marshal.dumps(codes)
        path = os.path.join(folder, KEPT)
        new = path + ".new"
        try:
            fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                with os.fdopen(fd, "wb") as file:
                    file.write(_key(self.parts[1]) + _digest(data) + data)
                os.rename(new, path)
            except OSError:
                os.unlink(new)
        except OSError:
            pass  # a full or broken disk: the next session compiles once more

    def _code(self, name: str) -> Any:
        if name not in self._codes:
            self._codes[name] = compile(self._sources[name], _origin(name), "exec", dont_inherit=True)
        return self._codes[name]


def _origin(name: str) -> str:
    return "<sent: {}>".format(name)


def _digest(data: bytes) -> bytes:
    import hashlib  # which `layout` needs in any case

    return hashlib.sha256(data).digest()


def _key(archive: bytes) -> bytes:
    """What tells apart archives and builds of Python: `marshal` is none's but its own."""
    return _digest(archive + sys.version.encode() + sys.implementation.name.encode())


def _kept(root: str, archive: bytes) -> dict[str, Any]:
    """What `keep` wrote for this archive and interpreter; nothing where others could have written it."""
    path = os.path.join(os.path.expanduser(root), "state", KEPT)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            found = os.fstat(file.fileno())
            data = file.read() if found.st_uid == os.geteuid() and not found.st_mode & 0o022 else b""
    except OSError:
        return {}
    content = data[2 * _DIGEST :]
    if data[: 2 * _DIGEST] != _key(archive) + _digest(content):
        return {}
    import marshal

    codes: dict[str, Any] = marshal.loads(content)  # noqa: S302 - it has the digest that was written with it
    return codes


def run(text: bytes, archive: bytes, source: BinaryIO) -> None:
    """Install the importer and become what the command line says: the front door, what migrates, or the agent."""
    word = "".join(sys.argv[1:2])
    other = word in ("front", "schema_run")
    root = "" if other else next((word for word in sys.argv[1:] if word[:1] in "/~"), "")
    sys.meta_path.insert(0, Memory(text, archive, root))
    if word == "front":
        from tagship.host import front  # asyncio costs the agent 40 ms that it doesn't need

        front.main(sys.argv[2:])
    elif other:
        from tagship.host import schema_run

        schema_run.main(source)
    else:
        from tagship.host import session

        session.main(source, [word for word in sys.argv[1:] if word != root])
