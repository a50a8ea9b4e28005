"""Imports this package from memory on a host. `BOOT` executes this text, then calls `run`."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from typing import Any, BinaryIO, Optional


class Memory:
    """A finder and loader of modules whose sources are in a dict; tracebacks can show their lines."""

    def __init__(self, archive: bytes, sources: dict[str, str]) -> None:
        self.archive = archive
        self.sources = sources

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Optional[ModuleSpec]:  # noqa: ARG002
        """The import system's question; `None` for modules that are not ours."""
        if name not in self.sources:
            return None
        package = name in ("tagship", "tagship.host")
        spec = ModuleSpec(name, self, origin="<sent: {}>".format(name), is_package=package)  # type: ignore[arg-type]
        spec.has_location = False
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """Nothing special: the import system makes the module."""

    def exec_module(self, module: Any) -> None:
        """Compile and run the module's text in its namespace."""
        name = module.__name__
        exec(compile(self.sources[name], "<sent: {}>".format(name), "exec", dont_inherit=True), module.__dict__)  # noqa: S102

    def get_source(self, name: str) -> str:
        """The module's text, for tracebacks and for `facts`."""
        return self.sources[name]


def run(archive: bytes, sources: dict[str, str], source: BinaryIO) -> None:
    """Install the importer and become what the command line says: the front door, or (without words) the agent."""
    sources.setdefault("tagship", "")
    sys.meta_path.insert(0, Memory(archive, sources))
    if sys.argv[1:2] == ["front"]:
        from tagship.host import front  # asyncio costs the agent 40 ms that it doesn't need

        front.main(sys.argv[2:])
    else:
        from tagship.host import session

        session.main(source, sys.argv[1:])
