"""The verb `seal`: a staged release is checked, what its commands made is recorded, and all of it is on disk."""

from __future__ import annotations

import os
import stat
from typing import Any

from tagship.host import assets, contents, files, furnish, generated, hashes, rows, stored
from tagship.host.context import Args, Context
from tagship.host.declare import open_objects
from tagship.host.faults import Problem, failed
from tagship.host.tree import FOLDER_MODE

_PAPERS = (stored.DECLARED, stored.RECORD, furnish.ID_FILE)


def seal(context: Context, args: Args) -> dict[str, Any]:
    """Hash the tree, record the files that `prepare` made, sync the filesystem, journal `staged`."""
    release = args.release()
    layout = context.layout
    declared = stored.read(layout, release)
    generated.take(context, declared)
    folder = layout.release(release)
    hashed = hashes.of(context)
    open_objects(context).tell(hashed.note)
    made = _made(folder, declared, hashed.of)
    assets.adopt(layout, release, made, open_objects(context))
    venv = layout.release(release, "venv")
    installed = contents.of_virtualenv(venv)
    compiled, others = contents.sealed(venv, installed, hashed.of)
    record = {
        "made": made,
        "bytecode": compiled,
        "venv": others,
        "folders": _folders(folder, [*declared.rows, *made]),
        "modes": _modes(folder, made, installed),
        "links": _links(folder),
        "scripts": {name: contents.hash_file(layout.release(release, name)) for name in furnish.scripts(declared)},
        "papers": {name: contents.hash_file(layout.release(release, name)) for name in _PAPERS},
    }
    seal_file = layout.release(release, stored.SEALED)
    files.place_json(seal_file, record, 0o444)
    _sync(context, folder)
    # The journal vouches for the seal, and the seal for all the rest.
    context.note("staged", release, sealed=contents.hash_file(seal_file))
    return {}


def _made(release: str, declared: stored.Declared, hashed: contents.Hash) -> list[rows.Row]:
    """Rows of what is in the tree beside its manifest; raises `tampered` where a file of the manifest changed."""
    expected = {row[0]: row for row in declared.rows}
    made = []
    for path, status in contents.tree(release):
        row = expected.pop(path, None)
        fault = contents.fault_of_object(release, row, status, hashed) if row is not None else ""
        if fault:
            raise Problem(
                "tampered",
                "{} isn't as it was tagged: {}".format(path, fault),
                "a `prepare:` or smoke command changed a file of the tag; have it write elsewhere",
                data={"path": path},
            )
        if row is None:
            made.append(_row(release, path, status, hashed))
    if expected:
        path = sorted(expected)[0]
        raise Problem("tampered", "{} is gone".format(path), "a `prepare:` or smoke command removed it: don't")
    return made


def _row(release: str, path: str, status: os.stat_result, hashed: contents.Hash) -> rows.Row:
    row = contents.row_of(release, path, status, hashed)
    if row is None:
        raise failed(
            "{} is neither a file nor a link".format(path), "have `prepare:` make its sockets and pipes elsewhere"
        )
    if row[1] != "l" and status.st_mode & contents.NEVER:
        raise failed("{} has {}".format(path, contents.mode(status)), "have `prepare:` make plain files")
    return row


def _folders(release: str, found: list[rows.Row]) -> dict[str, int]:
    """Modes of the folders that are not as `tree` makes those of files: empty ones, and what commands made."""
    above = rows.above(row[0] for row in found)
    modes = ((path, stat.S_IMODE(status.st_mode)) for path, status in contents.folders(release))
    return {path: mode for path, mode in modes if path not in above or mode != FOLDER_MODE}


def _modes(release: str, made: list[rows.Row], installed: dict[str, os.stat_result]) -> dict[str, int]:
    """Modes, but for usual ones, of what commands made and of the virtualenv: neither rows nor RECORD tell them."""
    found = [(row[0], os.lstat(os.path.join(release, row[0]))) for row in made]
    found += [("venv/" + path, status) for path, status in installed.items()]
    return contents.modes([*found, *contents.folders_below(os.path.join(release, "venv"), "venv")])


def _links(release: str) -> dict[str, str]:
    """Links at the top of the release: to its environment, and to an adopted service's old folder."""
    paths = {name: os.path.join(release, name) for name in files.names(release) if name != "run"}
    return {name: os.readlink(path) for name, path in paths.items() if os.path.islink(path)}


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
