"""How the agent gets onto a host: one `-c` line, and an archive of this package written to its stdin.

This module and `frames` are the only ones of `host` that the client side imports. On a host `greeting` returns the
very bytes that were sent, so that the front door can be started the same way.
"""

from __future__ import annotations

import bz2
import functools
import os
import re

PACKAGE = "tagship.host"
OUTFIT, LIVE, FRONT, VERIFY, SCHEMA = "outfit", "live_", "front", "verify", "schema"
REHEARSAL = "rehearsal"
"""How the names of modules begin that only `fab setup` needs, only the verbs beside what is live, only where there is
no other front than tagship's own door, only `fab verify`, only where a release has a schema, only to rehearse one."""

BOOT = "import sys;f=sys.stdin.buffer;r=lambda:f.read(int.from_bytes(f.read(4),'big'));t=r();exec(t);run(t,r(),f)"
"""Reads the text of `loader` and the archive, each behind its length (four bytes, big-endian); then `loader.run`."""
_LOADER = "loader"

_WORDS = re.compile(r'^([ \t]*)(?:"""(?=\S)(?:.|\n)*?"""|#.*)[ \t]*$', re.M)
_INDENT = re.compile(r'"""(?:.|\n)*?"""|^(?: {4})+', re.M)


def argv(python: str = "python3", *, root: str = "") -> list[str]:
    """The command that starts the agent; `greeting()` is the first thing to write to it.

    `-I` and `-S` keep the host's own site-packages and environment out, `-X utf8` its locale. Below a `root` it finds
    itself compiled, where one that changed something there was the same.
    """
    return [python, "-IS", "-X", "utf8", "-c", BOOT, *([root] if root else [])]


@functools.lru_cache(maxsize=4)
def archive(*more: str) -> bytes:
    """The package: module names and sources in turn, with a NUL between each two; a fifth less than by zlib.

    `more` are of the names above: modules that begin with them travel only where asked for.
    """
    folder = os.path.dirname(os.path.abspath(__file__))
    sources = {}
    for name in sorted(os.listdir(folder)):
        stem, extension = os.path.splitext(name)
        wanted = not stem.startswith((OUTFIT, LIVE, FRONT, VERIFY, SCHEMA, REHEARSAL)) or stem.startswith(more)
        if extension == ".py" and wanted and stem != _LOADER:
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                sources[PACKAGE if stem == "__init__" else PACKAGE + "." + stem] = without_words(file.read())
    return bz2.compress("\0".join(text for item in sources.items() for text in item).encode())


def without_words(source: str) -> str:
    """`source` without docstrings, comment lines and most of its indentation, every statement on its old line.

    That is half as much to send. It knows only how this package is written (a docstring has lines of its own, and
    text right behind its three double quotes); a test holds it to the syntax tree of every module.
    """

    def blank(match: re.Match[str]) -> str:
        words = match.group(0).lstrip()
        return (match.group(1) + '""' if words.startswith('"') else "") + "\n" * words.count("\n")

    def narrow(match: re.Match[str]) -> str:
        found = match.group(0)
        return " " * (len(found) // 4) if found.startswith(" ") else found  # of a text each blank counts

    return _INDENT.sub(narrow, _WORDS.sub(blank, source))


def greeting(*more: str) -> bytes:
    """What is written first: the loader's text and the archive, `more` modules in it, each behind its length."""
    parts = getattr(globals().get("__loader__"), "parts", None)
    if parts is None:
        loader = os.path.join(os.path.dirname(os.path.abspath(__file__)), _LOADER + ".py")
        with open(loader, encoding="utf-8") as file:
            parts = (without_words(file.read()).encode(), archive(*more))
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
