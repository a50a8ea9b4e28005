"""The versioned environment: files `env/0003` below the root, each whole and never changed, newest the highest.

A release's link `env` names the version that it runs with. The values come in the client's data stream and leave
only by `envget`, to a client that merges a change or gives them to another host.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any, Optional

from tagship.host import access, envfile, files
from tagship.host.context import Args, Context
from tagship.host.faults import failed, refused, usage
from tagship.host.layout import ID, Layout

LINK = "env"
"""The name of the link in a release, and of the folder below the root."""
_VERSION = re.compile(r"[0-9]{4,9}\Z")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_LARGEST = 1 << 20  # bytes of all values together


def env(context: Context, args: Args) -> dict[str, Any]:  # noqa: ARG001
    """The verb `env`: the names of each version, which release uses which; no value."""
    layout = context.layout
    found = [{"version": version, "names": sorted(read(layout, version))} for version in versions(layout)]
    return {"versions": found, "releases": used(layout)}


def envget(context: Context, args: Args) -> dict[str, Any]:
    """The verb `envget`: all values of a version; nothing else of ours ever gives them away."""
    version = int(args.number("version", 1))
    if version not in versions(context.layout):
        raise refused(
            "there is no version {:04d} of the environment".format(version), "`fab env` lists those there are"
        )
    return {"values": read(context.layout, version)}


def envput(context: Context, args: Args) -> dict[str, Any]:
    """The verb `envput`: write a version; the data is a JSON object of its values. It goes with the client, unless
    that lets go of the lock in peace.
    """
    layout, version = context.layout, int(args.number("version", 1))
    values = _values(context)
    if version <= newest(layout):
        raise refused("there is a version {:04d} already".format(newest(layout)), "try again")
    folder = layout.below(LINK)
    os.makedirs(folder, exist_ok=True)
    os.chmod(folder, 0o700 if layout.ready is None else 0o711)  # the service user passes through it
    context.opened[LINK] = version
    context.endings.append(lambda: _forget(context, version))
    where = path(layout, version)
    files.write(where, _text(values), 0o600)
    if layout.ready is not None:
        access.grant(where, layout.ready.gid, 0o640)
    files.sync_folder(layout.root)
    if read(layout, version) != values:  # what the start script would read is what counts
        files.remove(where)
        raise failed("a value can't be written so that a shell reads it back", "encode it, as base64 for one")
    context.note("env", None, version=version, names=sorted(values))
    return {}


def envdrop(context: Context, args: Args) -> dict[str, Any]:
    """The verb `envdrop`, the undo of `envput`; only what this session wrote."""
    version = int(args.number("version", 1))
    if context.opened.get(LINK) == version:
        drop(context.layout, version)
        del context.opened[LINK]
    return {}


def _forget(context: Context, version: int) -> None:
    """The client went before every host had it."""
    if context.lock.held and context.opened.get(LINK) == version:
        drop(context.layout, version)


def drop(layout: Layout, version: int) -> None:
    """Remove a version; nothing to do where it isn't there."""
    files.remove(path(layout, version))
    files.sync_folder(layout.below(LINK))


def path(layout: Layout, version: int) -> str:
    """The file of a version."""
    return layout.below(LINK, "{:04d}".format(version))


def versions(layout: Layout) -> list[int]:
    """Those there are, oldest first."""
    return sorted(int(name) for name in files.names(layout.below(LINK)) if _VERSION.match(name))


def newest(layout: Layout) -> int:
    """The highest version there is, 0 where there is none."""
    return max(versions(layout), default=0)


def read(layout: Layout, version: int) -> dict[str, str]:
    """The values of a version; raises `failed` where it can't be read."""
    return envfile.read(path(layout, version), layout.ready)


def link(layout: Layout, release: str) -> None:
    """Give a release that is being staged the newest version, if there is one."""
    where, version = layout.release(release, LINK), newest(layout)
    files.remove(where)
    if version:
        os.symlink(os.path.join(os.pardir, os.pardir, LINK, "{:04d}".format(version)), where)


def of_release(layout: Layout, release: str) -> int:
    """The version that a release runs with, 0 for none."""
    try:
        name = os.path.basename(os.readlink(layout.release(release, LINK)))
    except OSError:
        return 0
    return int(name) if _VERSION.match(name) else 0


def used(layout: Layout) -> dict[str, int]:
    """The version of each release that has one."""
    found = {name: of_release(layout, name) for name in files.names(layout.releases) if ID.match(name)}
    return {name: version for name, version in found.items() if version}


def prune(layout: Layout) -> None:
    """Remove the versions that no release on disk uses, but for the newest."""
    kept = set(used(layout).values())
    for version in versions(layout)[:-1]:
        if version not in kept:
            files.remove(path(layout, version))


def secrets(layout: Layout, env_file: Optional[str]) -> dict[str, str]:
    """Every value that this stage keeps, of all versions and of the env file kept by hand: what no log may show."""
    places = [path(layout, version) for version in versions(layout)]
    if env_file and os.path.exists(os.path.join(layout.shared, env_file)):
        places.append(os.path.join(layout.shared, env_file))
    found: dict[str, str] = {}
    for where in places:
        found.update((where + " " + name, value) for name, value in envfile.read(where, layout.ready).items())
    return found


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
