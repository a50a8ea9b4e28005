"""The verb `venv`: the release's own virtualenv, built offline in its final place, bytecode compiled.

Where the release before was installed of the same wheels, it is linked from there (`relink`).

The installer comes as a wheel: uv's is unpacked once a host, pip's is run as it is. uv's cache recognises a wheel
by its path and ctime, so each wheel gets one lasting path, `state/wheels/SHA256/FILENAME`, and is unpacked once a
host too.
"""

from __future__ import annotations

import os
import time
from typing import Any

from tagship.host import bytecode, command, files, hashes, interpreter, relink, stored, tools
from tagship.host.context import Args, Context
from tagship.host.declare import open_objects
from tagship.host.faults import failed, refused
from tagship.host.layout import Layout
from tagship.host.objects import Objects
from tagship.host.tree import walk


def venv(context: Context, args: Args) -> dict[str, Any]:
    """Build the virtualenv and compile the tree's bytecode; safe to repeat."""
    release = args.release()
    layout = context.layout
    declared = stored.read(layout, release)
    python = interpreter.find(declared.settings["python"])
    if python is None:
        raise refused(
            "there is no `{}` on this host".format(declared.settings["python"]),
            "install it there, or set `app.python` to one that is there",
        )
    began = time.monotonic()
    files.remove_tree(layout.release(release, "venv"))
    builder = Builder(context, layout, release, python)
    if not relink.relink(context, declared, python):
        files.remove_tree(layout.release(release, "venv"))
        builder.install(declared, open_objects(context))
        bytecode.reuse(layout, declared, hashes.of(context), "venv")
    bytecode.reuse(layout, declared, hashes.of(context), "app")
    builder.compile()
    name = "venv" if declared.installer is None else tools.label(declared.installer)
    return {"seconds": round(time.monotonic() - began, 3), "installer": name}


class Builder:
    """The commands that make one virtualenv."""

    def __init__(self, context: Context, layout: Layout, release: str, python: str) -> None:
        self._context = context
        self._layout = layout
        self._release = release
        self._python = python
        self._venv = layout.release(release, "venv")
        self._own = os.path.join(self._venv, "bin", "python")

    def install(self, declared: stored.Declared, objects: Objects) -> None:
        """Make it of the wheels of `declared`, by its installer, without bytecode."""
        layout, installer = self._layout, declared.installer
        wheels = [_shelve(layout, objects, wheel) for wheel in declared.wheels]
        if installer is None:
            self.empty()
        elif tools.is_uv(installer):
            _distrust_cache(layout, self._release)
            self.by_uv(tools.unpacked(layout, objects, installer), wheels)
        else:
            self.by_pip(tools.unpacked(layout, objects, installer), wheels)

    def empty(self) -> None:
        """A virtualenv with nothing in it."""
        self._run("making the virtualenv", [self._python, "-I", "-m", "venv", "--without-pip", self._venv])

    def by_uv(self, uv: str, wheels: list[str]) -> None:
        """With uv, from its cache where it has unpacked a wheel before."""
        common = ["--offline", "--no-config", "--no-progress"]
        self._run(
            "making the virtualenv", [uv, "venv", *common, "--no-project", "--python", self._python, self._venv]
        )
        if wheels:
            install = [uv, "pip", "install", *common, "--python", self._own, "--no-index", "--no-deps"]
            self._run("installing the wheels", [*install, "--no-compile-bytecode", *wheels])
        files.remove(os.path.join(self._venv, ".lock"))  # uv's own, which it lets anybody write

    def by_pip(self, pip: str, wheels: list[str]) -> None:
        """With pip, run from its wheel: the virtualenv gets none of its own."""
        self.empty()
        if wheels:
            install = [self._own, "-I", pip, "install", "--isolated", "--no-index", "--no-deps", "--no-compile"]
            quiet = ["--no-cache-dir", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
            self._run("installing the wheels", [*install, *quiet, *wheels])

    def compile(self) -> None:
        """What has no bytecode yet, of the virtualenv and of the tag: nothing may write beside them later."""
        folder = self._layout.release(self._release)
        tops = (os.path.join(self._venv, "lib"), os.path.join(folder, "app"))
        bytecode.compile_all(
            [path for top in tops for path in bytecode.missing(top)],
            os.path.join(folder, "compile.txt"),
            self._own,
            lambda argv: self._run("compiling", argv, may_fail=True),
        )

    def _run(self, title: str, argv: list[str], *, may_fail: bool = False) -> None:
        log = self._layout.command_log(self._release)
        env = {
            "PATH": interpreter.PATH,
            "HOME": os.path.expanduser("~"),
            "LANG": "C.UTF-8",
            "UV_CACHE_DIR": self._layout.cache,
            "UV_LINK_MODE": "hardlink",
            "UV_PYTHON_DOWNLOADS": "never",
        }
        command.run(
            self._context,
            self._layout,
            argv,
            env=env,
            cwd=self._layout.root,
            log=log,
            title=title,
            secrets={},
            may_fail=may_fail,
        )


def _distrust_cache(layout: Layout, release: str) -> None:
    """Drop what uv has unpacked where somebody has written into a virtualenv since it was sealed.

    Its files are the cache's own, and uv would link the same ones once more.
    """
    base = bytecode.newest_built(layout, release)
    if base is None:
        return
    sealed = os.lstat(layout.release(base, stored.SEALED)).st_mtime_ns
    if any(found.st_mtime_ns > sealed for _, found in walk(layout.release(base, "venv"), "")):
        files.remove_tree(layout.cache)


def _shelve(layout: Layout, objects: Objects, wheel: list[Any]) -> str:
    """The wheel under its real file name, at a path that lasts; hashed before it is used."""
    name, sha256, size = wheel
    folder = os.path.join(layout.wheels, sha256)
    path = os.path.join(folder, name)
    os.makedirs(folder, exist_ok=True)
    fd = os.open(folder, files.FOLDER)
    try:
        if not objects.sound(sha256, size):
            raise failed("the wheel {} isn't here".format(name), "deploy again")
        if not objects.is_linked(sha256, name, fd):
            files.remove(path)
            objects.link(sha256, size, name, fd)
    finally:
        os.close(fd)
    return path
