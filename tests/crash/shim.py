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
#!{python}
import sys
sys.executable = {stand_in!r}
from fabric.main import program
program.run()
"""

STAND_IN = """\
#!/bin/sh
# The agent is the only one that is started with -IS by this name; the first one takes what is meant for one only.
if [ "$1" = -IS ]; then
    [ -e {always} ] && . {always}
    if [ -e {once} ] && mv {once} {taken} 2>/dev/null; then . {taken}; fi
fi
exec {python} "$@"
"""


class Shim:
    """The stand-in, in `folder`; `put_before` makes commands with an environment use it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._once = folder / "once"
        self._taken = folder / "taken"
        self._always = folder / "always"
        self._folder = folder
        stand_in = folder / "python"
        names = {"python": sys.executable, "stand_in": str(stand_in), "once": self._once, "taken": self._taken}
        stand_in.write_text(STAND_IN.format(**names, always=self._always))
        fab = folder / "fab"
        fab.write_text(FAB.format(**names))
        for path in (stand_in, fab):
            path.chmod(0o755)

    def put_before(self, env: dict[str, str]) -> None:
        """Have the `fab` of this environment's PATH be ours."""
        env["PATH"] = f"{self._folder}:{env['PATH']}"

    def next_under(self, argv: Sequence[str]) -> None:
        """The next agent, and only that, runs below `argv`, such as strace and its flags."""
        new = self._once.with_suffix(".new")
        new.write_text(f'exec {shlex.join(argv)} {shlex.quote(sys.executable)} "$@"\n')
        new.rename(self._once)

    def nothing_next(self) -> bool:
        """Take that back; gives whether no agent had come for it."""
        waited = self._once.exists()
        self._once.unlink(missing_ok=True)
        return waited

    def all_with(self, env: Mapping[str, str]) -> None:
        """Every agent from now on has these variables too; none: no agent has any."""
        words = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in env.items())
        self._always.write_text(words)
