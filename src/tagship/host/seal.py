"""The verb `seal`: a staged release is checked, what its commands made is recorded, and all of it is on disk."""

from __future__ import annotations

import os
import stat
from typing import Any

from tagship.host import assets, contents, files, furnish, generated, rows, stored
from tagship.host.context import Args, Context
from tagship.host.declare import open_objects
from tagship.host.faults import Problem, failed


def seal(context: Context, args: Args) -> dict[str, Any]:
    """Hash the tree, record the files that `prepare` made, sync the filesystem, journal `staged`."""
    release = args.release()
    layout = context.layout
    declared = stored.read(layout, release)
    generated.take(context, declared)
    made = _made(layout.release(release), declared)
    assets.adopt(layout, release, made, open_objects(context))
    record = {
        "made": made,
        "bytecode": contents.bytecode(layout.release(release, "venv")),
        "scripts": {name: contents.hash_file(layout.release(release, name)) for name in furnish.scripts(declared)},
    }
    files.place_json(layout.release(release, stored.SEALED), record, 0o444)
    _sync(context, layout.release(release))
    context.note("staged", release)
    return {}


def _made(release: str, declared: stored.Declared) -> list[rows.Row]:
    """Rows of what is in the tree beside its manifest; raises `tampered` where a file of the manifest changed."""
    expected = {row[0]: row for row in declared.rows}
    made = []
    for path, status in contents.tree(release):
        row = expected.pop(path, None)
        fault = contents.fault_of_object(release, row, status) if row is not None else ""
        if fault:
            raise Problem(
                "tampered",
                "{} isn't as it was tagged: {}".format(path, fault),
                "a `prepare:` or smoke command changed a file of the tag; have it write elsewhere",
                data={"path": path},
            )
        if row is None:
            made.append(_row(release, path, status))
    if expected:
        path = sorted(expected)[0]
        raise Problem("tampered", "{} is gone".format(path), "a `prepare:` or smoke command removed it: don't")
    return made


def _row(release: str, path: str, status: os.stat_result) -> rows.Row:
    full = os.path.join(release, path)
    if stat.S_ISLNK(status.st_mode):
        return [path, "l", os.readlink(full)]
    if not stat.S_ISREG(status.st_mode):
        raise failed(
            "{} is neither a file nor a link".format(path), "have `prepare:` make its sockets and pipes elsewhere"
        )
    kind = "x" if status.st_mode & 0o111 else "f"
    return [path, kind, contents.hash_file(full), status.st_size]


def _sync(context: Context, path: str) -> None:
    """All of the filesystem, for the release's files are on disk only with their folders and objects."""
    log = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        status = context.lifeline.run(["sync", "-f", path], {"PATH": os.defpath}, "/", log)
    except Problem:
        status = 1  # no coreutils
    finally:
        os.close(log)
    if status:
        os.sync()
