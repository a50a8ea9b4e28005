"""Something between `fab` and the agent of the embedded stage: strace, another clock.

The embedded stage starts its agent with the interpreter that runs `fab`. Here `fab` is told that this is a script of
ours, which runs the interpreter as it was asked, under whatever a row wants. tagship knows nothing of it.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

FAB = """\
#!/bin/sh
[ -e {clients} ] && . {clients}
exec {python} -c "
import sys
sys.argv[0], sys.executable = 'fab', '{stand_in}'
from fabric.main import program
program.run()
" "$@"
"""

STAND_IN = """\
#!/bin/sh
# The agent is the only one that is started with -IS by this name; the first one takes what is meant for one only.
if [ "$1" = -IS ]; then
    unset {theirs}
    [ -e {agents} ] && . {agents}
    if [ -e {once} ] && mv {once} {taken} 2>/dev/null; then . {taken}; fi
fi
exec {python} "$@"
"""
THEIRS = ("LD_PRELOAD", "FAKETIME")
"""What a client has for itself, and not for what it starts."""


class Shim:
    """The stand-in, in `folder`; `put_before` makes commands with an environment use it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        names = {name: str(folder / name) for name in ("once", "taken", "agents", "clients")}
        self._scripts = {name: Path(path) for name, path in names.items()}
        words = {**names, "python": sys.executable, "stand_in": str(folder / "python"), "theirs": " ".join(THEIRS)}
        for name, text in (("fab", FAB), ("python", STAND_IN)):
            (folder / name).write_text(text.format(**words))
            (folder / name).chmod(0o755)

    def put_before(self, env: dict[str, str]) -> None:
        """Have the `fab` of this environment's PATH be ours."""
        env["PATH"] = f"{self._folder}:{env['PATH']}"

    def next_under(self, argv: Sequence[str]) -> None:
        """The next agent, and only that, runs below `argv`, such as strace and its flags."""
        self._scripts["once"].write_text(f'exec {shlex.join(argv)} {shlex.quote(sys.executable)} "$@"\n')

    def nothing_next(self) -> None:
        """Take that back, if no agent came for it."""
        self._scripts["once"].unlink(missing_ok=True)

    def agents_with(self, env: Mapping[str, str]) -> None:
        """Every agent from now on has these variables, and none that were set so before."""
        self._set("agents", env)

    def clients_with(self, env: Mapping[str, str]) -> None:
        """The same of every client, whose agents don't get them."""
        self._set("clients", env)

    def _set(self, which: str, env: Mapping[str, str]) -> None:
        words = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in env.items())
        self._scripts[which].write_text(words)
