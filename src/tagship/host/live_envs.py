"""The verbs that list and change the versioned environment (`envs`).

The values come in the client's data stream and leave only by `envget`, to a client that merges a change or gives them
to another host.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any

from tagship.host import access, envs, files
from tagship.host.context import Args, Context
from tagship.host.faults import failed, refused, usage
from tagship.host.layout import Layout

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_LARGEST = 1 << 20  # bytes of all values together
_KEY = "env"


def env(context: Context, args: Args) -> dict[str, Any]:  # noqa: ARG001
    """The verb `env`: the names of each version, which release uses which; no value."""
    layout = context.layout
    found = [{"version": version, "names": sorted(envs.read(layout, version))} for version in envs.versions(layout)]
    return {"versions": found, "releases": envs.used(layout)}


def envget(context: Context, args: Args) -> dict[str, Any]:
    """The verb `envget`: all values of a version; nothing else of ours ever gives them away."""
    version = int(args.number("version", 1))
    if version not in envs.versions(context.layout):
        raise refused(
            "there is no version {:04d} of the environment".format(version), "`fab env` lists those there are"
        )
    return {"values": envs.read(context.layout, version)}


def envput(context: Context, args: Args) -> dict[str, Any]:
    """The verb `envput`: write a version; the data is a JSON object of its values. It goes with the client, unless
    that lets go of the lock in peace.
    """
    layout, version = context.layout, int(args.number("version", 1))
    values = _values(context)
    if version <= envs.newest(layout):
        raise refused("there is a version {:04d} already".format(envs.newest(layout)), "try again")
    folder = layout.below(envs.FOLDER)
    os.makedirs(folder, exist_ok=True)
    os.chmod(folder, 0o700 if layout.ready is None else 0o711)  # the service user passes through it
    context.opened[_KEY] = version
    context.endings.append(lambda: _forget(context, version))
    where = envs.path(layout, version)
    files.write(where, _text(values), 0o600)
    if layout.ready is not None:
        access.grant(where, layout.ready.gid, 0o640)
    files.sync_folder(layout.root)
    if envs.read(layout, version) != values:  # what the start script would read is what counts
        files.remove(where)
        raise failed("a value can't be written so that a shell reads it back", "encode it, as base64 for one")
    context.note("env", None, version=version, names=sorted(values))
    return {}


def envdrop(context: Context, args: Args) -> dict[str, Any]:
    """The verb `envdrop`, the undo of `envput`; only what this session wrote."""
    version = int(args.number("version", 1))
    if context.opened.get(_KEY) == version:
        _drop(context.layout, version)
        del context.opened[_KEY]
    return {}


def _forget(context: Context, version: int) -> None:
    """The client went before every host had it."""
    if context.lock.held and context.opened.get(_KEY) == version:
        _drop(context.layout, version)


def _drop(layout: Layout, version: int) -> None:
    files.remove(envs.path(layout, version))
    files.sync_folder(layout.below(envs.FOLDER))


def _values(context: Context) -> dict[str, str]:
    """The data of `envput`; no error names more of it than a variable."""
    data = b""
    for piece in context.pieces():
        data += piece
        if len(data) > _LARGEST:
            raise refused("the environment is larger than {:,} bytes".format(_LARGEST), "keep large things in files")
    try:
        values = json.loads(data)
    except ValueError:
        raise usage("the data of `envput` is not JSON") from None
    if not isinstance(values, dict):
        raise usage("the data of `envput` is not an object")
    for name, value in values.items():
        if not _NAME.match(name) or not isinstance(value, str) or any(sign in value for sign in "\0\r\n"):
            raise usage("`{}` can't be a line of an env file".format(name))
    return values


def _text(values: dict[str, str]) -> bytes:
    """Quoted once, whatever the value: one pair of quotes is taken off by whoever reads it."""
    lines = [
        "# Written by `fab env set`; releases link to it.",
        *('{}="{}"'.format(*item) for item in values.items()),
    ]
    return ("\n".join(lines) + "\n").encode()
