"""The verb `sound`: what a rollback is about to run and to show, against its seal. Stops at the first difference."""

from __future__ import annotations

import os
from typing import Any, Iterator

from tagship.host import contents, files, hashes, stored
from tagship.host.context import Args, Context
from tagship.host.faults import Problem


def sound(context: Context, args: Args) -> dict[str, Any]:
    """Hash a sealed release: seal, scripts, tree and virtualenv; raises `tampered` where one isn't as it was."""
    declared = stored.read(context.layout, args.release())
    for path, what in _faults(context, declared):
        raise Problem(
            "tampered",
            "{} isn't as it was sealed: {} is {}".format(declared.release, path, what),
            "`fab deploy --tag {}` makes it anew; `fab verify` names all that differs".format(declared.record["tag"]),
            data={"path": path},
        )
    return {}


def _faults(context: Context, declared: stored.Declared) -> Iterator[tuple[str, str]]:
    folder = context.layout.release(declared.release)
    rows = [row for row in context.journal.rows() if row.get("release") == declared.release]
    vouched = {key: row[key] for row in rows for key in ("sealed", "manifest") if key in row}
    seal = files.read_object(os.path.join(folder, stored.SEALED))
    hashed = hashes.of(context).of
    if vouched.get("manifest", declared.manifest) != declared.manifest:
        yield stored.DECLARED, "another"
    papers = {stored.SEALED: vouched["sealed"]} if "sealed" in vouched else {}
    for name, sha256 in {**papers, **seal.get("papers", {}), **seal.get("scripts", {})}.items():
        if contents.hash_file(os.path.join(folder, name)) != sha256:
            yield name, "changed, or gone"
    tagged = {row[0]: row for row in declared.rows}
    made = {row[0]: row for row in seal.get("made", [])}
    for path, status in contents.tree(folder):
        row = tagged.pop(path, None) or made.pop(path, None)
        # An application that runs as who deploys may have written files of its own beside those: `verify` tells them.
        what = contents.fault(folder, row, status, hashed) if row is not None else ""
        if what:
            yield path, what
    for path in {**tagged, **made}:
        yield path, "missing"
    venv, compiled = os.path.join(folder, "venv"), seal.get("bytecode", {})
    for path, what in contents.virtualenv(venv, compiled, seal.get("venv"), hashed):
        yield "venv/" + path, what
