"""The environment of a release: the same for its service, its commands and its start script."""

from __future__ import annotations

import os
import shlex

from tagship.host import envfile
from tagship.host.interpreter import PATH
from tagship.host.layout import Layout
from tagship.host.stored import Declared


def outer(layout: Layout, release: str) -> dict[str, str]:
    """What the env file may override: a clean PATH with the virtualenv first, HOME, LANG."""
    return {
        "PATH": layout.release(release, "venv", "bin") + ":" + PATH,
        "HOME": os.path.expanduser("~"),
        "LANG": "C.UTF-8",
    }


def inner(layout: Layout, release: str) -> dict[str, str]:
    """What the env file can't override.

    Bytecode is compiled while staging; nothing may be written into the tree afterwards. (A PYTHONPYCACHEPREFIX
    instead would hide the bytecode of the standard library and of the virtualenv.) SPT_NOENV keeps setproctitle
    from overwriting /proc/PID/environ, which proves what is running.
    """
    return {
        "TAGSHIP_RELEASE": release,
        "TAGSHIP_SOCKET": layout.socket(release),
        "TAGSHIP_PUBLIC": layout.release(release, "public"),
        "TAGSHIP_ASSETS": layout.assets,
        "VIRTUAL_ENV": layout.release(release, "venv"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "SPT_NOENV": "1",
    }


def secrets(layout: Layout, declared: Declared) -> dict[str, str]:
    """The env file's variables; empty where the release has none. Raises `failed`."""
    env = declared.settings.get("env")
    return envfile.read(os.path.join(layout.shared, env)) if env else {}


def whole(layout: Layout, declared: Declared) -> dict[str, str]:
    """Every variable."""
    found = outer(layout, declared.release)
    found.update(secrets(layout, declared))
    found.update(inner(layout, declared.release))
    return found


_READ_ENV = """\
while IFS= read -r line || [ -n "$line" ]; do
  case $line in [A-Za-z_]*=*) ;; *) continue ;; esac
  value=${{line#*=}}
  case $value in
    \\"*\\") value=${{value#\\"}} value=${{value%\\"}} ;;
    \\'*\\') value=${{value#\\'}} value=${{value%\\'}} ;;
  esac
  export "${{line%%=*}}=$value"
done <{path} || exit 1
"""


def start_script(layout: Layout, declared: Declared) -> str:
    """The `sh` script that runs the release's service; it holds no secret, it reads the env file each time."""
    release = declared.release
    lines = [
        "#!/bin/sh",
        "# Runs {}; written when it was staged.".format(release),
        "cd {} || exit 1".format(shlex.quote(layout.release(release, "app"))),
        _exports(outer(layout, release)),
    ]
    env = declared.settings.get("env")
    if env:
        lines.append(_READ_ENV.format(path=shlex.quote(os.path.join(layout.shared, env))).rstrip("\n"))
    lines.append(_exports(inner(layout, release)))
    argv = [word.replace("{socket}", layout.socket(release)) for word in declared.settings["start"]]
    lines.append("exec " + " ".join(shlex.quote(word) for word in argv))
    return "\n".join(lines) + "\n"


def _exports(values: dict[str, str]) -> str:
    return "\n".join("export {}={}".format(name, shlex.quote(value)) for name, value in values.items())
