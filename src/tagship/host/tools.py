"""Installers: wheels of uv or pip that travel once a host and are kept, ready to run, in `state/tools/SHA256/`."""

from __future__ import annotations

import os
from typing import Any

from tagship.host import files
from tagship.host.faults import Problem, failed
from tagship.host.layout import Layout
from tagship.host.objects import Objects, hash_fd

NOTE = "tool.json"


def is_uv(installer: list[Any]) -> bool:
    """Whether a wheel is uv's; the others are taken for pip's."""
    return str(installer[0]).startswith("uv-")


def label(installer: list[Any]) -> str:
    """Name and version of a wheel: `uv 0.13.9`."""
    name, version = str(installer[0]).split("-")[:2]
    return "{} {}".format(name, version)


def unpacked(layout: Layout, objects: Objects, installer: list[Any]) -> str:
    """The path to run: uv's program, or pip inside its wheel. Made from the object where it isn't here yet.

    What was made earlier is hashed again unless its inode is as it was noted (ctime can't be set).
    """
    name, sha256 = installer[:2]
    folder = os.path.join(layout.tools, sha256)
    program = os.path.join(folder, "uv" if is_uv(installer) else name)
    note = files.read_object(os.path.join(folder, NOTE))
    if note:
        if note.get("inode") != _inode(program) and _hash(program) != note.get("sha256"):
            files.remove_tree(folder)
            raise Problem(
                "tampered", "{} is not what was unpacked".format(program), "deploy again: it is sent afresh"
            )
    else:
        _unpack(objects, installer, folder, program)
    return program if is_uv(installer) else os.path.join(program, "pip")


def _unpack(objects: Objects, installer: list[Any], folder: str, program: str) -> None:
    name, sha256, size = installer
    if not objects.sound(sha256, size):
        raise failed("the installer {} isn't here".format(name), "deploy again")
    files.remove_tree(folder)
    os.makedirs(folder)
    if is_uv(installer):
        digest = _extract_uv(os.path.join(objects.path, sha256), installer, program)
    else:
        digest = sha256
        fd = os.open(folder, files.FOLDER)
        try:
            objects.link(sha256, size, name, fd)
        finally:
            os.close(fd)
    note = {"sha256": digest, "inode": _inode(program)}
    files.write_json(os.path.join(folder, NOTE), note)
    for other in files.names(os.path.dirname(folder)):
        if other != sha256:
            files.remove_tree(os.path.join(os.path.dirname(folder), other))


def _extract_uv(wheel: str, installer: list[Any], program: str) -> str:
    """Unpack the program; gives its SHA-256 in hex. The wheel is opened once: what is hashed is what is unpacked."""
    import hashlib  # once a host
    import zipfile

    name, sha256, _size = installer
    member = "-".join(name.split("-")[:2]) + ".data/scripts/uv"
    check = hashlib.sha256()
    try:
        with os.fdopen(os.open(wheel, files.READ), "rb") as whole:
            if hash_fd(whole.fileno()) != sha256:
                raise Problem("tampered", "the wheel {} changed meanwhile".format(name), "deploy again")
            whole.seek(0)
            with zipfile.ZipFile(whole) as archive, archive.open(member) as source:
                fd = os.open(program, files.NEW, 0o700)
                try:
                    for piece in iter(lambda: source.read(1 << 20), b""):
                        check.update(piece)
                        files.write_all(fd, piece)
                    os.fchmod(fd, 0o555)
                    os.fsync(fd)
                finally:
                    os.close(fd)
    except (zipfile.BadZipFile, KeyError) as error:
        raise failed("{} is no wheel of uv: {}".format(name, error), "lock another installer") from None
    return check.hexdigest()


def _inode(path: str) -> list[int]:
    try:
        found = os.lstat(path)
    except OSError:
        return []
    return [found.st_ino, found.st_ctime_ns, found.st_size]


def _hash(path: str) -> str:
    try:
        fd = os.open(path, files.READ)
    except OSError:
        return ""
    try:
        return hash_fd(fd)
    finally:
        os.close(fd)
