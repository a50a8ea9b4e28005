"""The environment of a release: one script, `within`, that its processes and all commands go through."""

from __future__ import annotations

import os
import pwd
import shlex
from typing import Sequence

from tagship.host import envfile, helper, units
from tagship.host.interpreter import PATH
from tagship.host.layout import Layout
from tagship.host.stored import Declared

WITHIN = "within"
ENV = "env"
"""The release's link to the version of the environment that it runs with; it need not be there."""


def start_path(layout: Layout, release: str, part: str) -> str:
    """The script that runs a part of a release."""
    return layout.release(release, *(() if part == units.WEB else ("units", part)), "start")


def inside(layout: Layout, release: str, argv: Sequence[str]) -> list[str]:
    """The command that runs `argv` in the tree and the environment of a release, as whom the service runs as.

    Where units serve the stage, that is another user, whose processes end once nobody reads what they say.
    """
    words = [word.replace("{socket}", layout.socket(release)) for word in argv]
    if layout.ready is None:
        return [layout.release(release, WITHIN), *words]
    return helper.argv(layout.ready, "run", units.serial(release), "--", *words)


def base(layout: Layout, release: str) -> dict[str, str]:
    """What `inside` needs of an environment: a PATH, and what tells whose process it is from its very beginning."""
    return {
        "PATH": PATH,
        "TAGSHIP_RELEASE": release,
        "TAGSHIP_SOCKET": layout.socket(release),
        "TAGSHIP_UNIT": "-",  # no part of the release, so that it isn't taken for one
    }


def outer(layout: Layout, release: str) -> dict[str, str]:
    """What the env file may override: a clean PATH with the virtualenv first, HOME, LANG."""
    home = os.path.expanduser("~") if layout.ready is None else pwd.getpwnam(layout.ready.user).pw_dir
    return {"PATH": layout.release(release, "venv", "bin") + ":" + PATH, "HOME": home, "LANG": "C.UTF-8"}


def inner(layout: Layout, release: str) -> dict[str, str]:
    """What the env file can't override.

    Bytecode is compiled while staging; nothing may be written into the tree afterwards. (A PYTHONPYCACHEPREFIX
    instead would hide the bytecode of the standard library and of the virtualenv.) SPT_NOENV keeps setproctitle
    from overwriting /proc/PID/environ, which proves what is running where plain processes do.
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
    """The variables of the env file and of the release's version of the environment. Raises `failed`."""
    env = declared.settings.get("env")
    found = envfile.read(os.path.join(layout.shared, env), layout.ready) if env else {}
    version = layout.release(declared.release, ENV)
    if os.path.lexists(version):
        found.update(envfile.read(os.path.realpath(version), layout.ready))
    return found


_READ_ENV = """\
read_env() {
  while IFS= read -r tagship_l || [ -n "$tagship_l" ]; do
    case $tagship_l in [A-Za-z_]*=*) ;; *) continue ;; esac
    tagship_v=${tagship_l#*=}
    case $tagship_v in
      \\"*\\") tagship_v=${tagship_v#\\"} tagship_v=${tagship_v%\\"} ;;
      \\'*\\') tagship_v=${tagship_v#\\'} tagship_v=${tagship_v%\\'} ;;
    esac
    export "${tagship_l%%=*}=$tagship_v"
  done <"$1" || exit 1
}"""


def within_script(layout: Layout, declared: Declared) -> str:
    """The `sh` script that runs what it is given; it holds no secret, it reads the env files each time."""
    release = declared.release
    version = shlex.quote(layout.release(release, ENV))
    lines = [
        "#!/bin/sh",
        "# Runs a command in the environment of {}; written when it was staged.".format(release),
        _READ_ENV,
        *_umask(layout, declared),
        "cd {} || exit 1".format(shlex.quote(layout.release(release, "app"))),
        _exports(outer(layout, release)),
    ]
    env = declared.settings.get("env")
    if env:
        lines.append("read_env {}".format(shlex.quote(os.path.join(layout.shared, env))))
    lines.append("[ ! -L {0} ] || read_env {0}".format(version))
    lines += [_exports(inner(layout, release)), 'exec "$@"']
    return "\n".join(lines) + "\n"


def _umask(layout: Layout, declared: Declared) -> list[str]:
    """What the web server shows of `shared/` it must be able to read, whichever way it was made."""
    served = declared.settings.get("shared", {}).get("served")
    return ["umask 0002"] if layout.ready is not None and served else []


def start_script(layout: Layout, release: str, argv: Sequence[str]) -> str:
    """The `sh` script that runs one part of the release, through `within`."""
    words = [layout.release(release, WITHIN), *(word.replace("{socket}", layout.socket(release)) for word in argv)]
    return "#!/bin/sh\nexec {}\n".format(" ".join(shlex.quote(word) for word in words))


def _exports(values: dict[str, str]) -> str:
    return "\n".join("export {}={}".format(name, shlex.quote(value)) for name, value in values.items())
