"""The virtualenv of the release before, once more: where the lock is the same, its files are linked, not installed.

It is an environment of its own: scripts, and the RECORD that lists them, are written anew for their new place.
Nothing is linked that the old release's seal and RECORD files don't vouch for, or that was written to since.
"""

from __future__ import annotations

import base64
import csv
import errno
import hashlib
import io
import os
import stat
from typing import Any

from tagship.host import bytecode, contents, files, hashes, interpreter, rows, stored
from tagship.host.context import Context
from tagship.host.tree import FOLDER_MODE, walk

_CONFIG = "pyvenv.cfg"
_TOP = (_CONFIG, ".gitignore", "CACHEDIR.TAG", "lib64")
_BIN = ("activate", "deactivate", "Activate", "pydoc", "python")
"""How the names in `bin` begin that no wheel brings."""
_SCRIPT = 1 << 16
"""Bytes; what is larger is a program, which knows no place of its own."""
_LONGEST = 127
"""Characters of a first line that every kernel reads; for a longer path installers write scripts of another kind."""


def relink(context: Context, declared: stored.Declared, python: str) -> bool:
    """Make the virtualenv of the newest sealed release that of `declared`; False where it must be built instead.

    What is there then is a part of it. `python` is the interpreter that it is wanted for.
    """
    layout = context.layout
    base = bytecode.newest_built(layout, declared.release)
    old = stored.whole(layout, base) if base is not None else None
    if base is None or old is None or not _is_alike(old, declared):
        return False
    seal = layout.release(base, stored.SEALED)
    sealed = files.read_object(seal)
    noted = [row.get("sealed") for row in context.journal.rows() if row["event"] == "staged"]
    if "venv" not in sealed or contents.hash_file(seal) not in noted:
        return False
    twin = _Twin(context, layout.release(base, "venv"), layout.release(declared.release, "venv"), base)
    try:
        return twin.suits(python) and twin.make(sealed, os.lstat(seal).st_mtime_ns)
    except OSError as error:
        if error.errno in (errno.EMLINK, errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP):
            return False  # here nothing can be linked, or no more often
        raise


def _is_alike(old: stored.Declared, new: stored.Declared) -> bool:
    """Installed of the same wheels by the same tool."""
    return (old.wheels, old.installer, old.settings["python"]) == (new.wheels, new.installer, new.settings["python"])


class _Twin:
    """One virtualenv made of another, that of the release `base`."""

    def __init__(self, context: Context, old: str, new: str, base: str) -> None:
        self._hashes = hashes.of(context)
        self._old = old
        self._new = new
        self._base = base.encode()
        self._folders: set[str] = set()
        self._moved: dict[str, bytes] = {}
        """Scripts by path that were written anew, and what they hold."""

    def suits(self, python: str) -> bool:
        """It is of this very interpreter, as it is today."""
        program, version = interpreter.version(python)
        if os.path.realpath(os.path.join(self._old, "bin", "python")) != program:
            return False
        lines = (files.read(os.path.join(self._old, _CONFIG)) or b"").decode(errors="replace").splitlines()
        told = {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)}
        return version in (told.get("version_info"), told.get("version"))

    def make(self, sealed: dict[str, Any], at: int) -> bool:
        """Link and write all of it; `at` is when it was sealed, in ns. False where something isn't as it was."""
        found = {path[1:]: status for path, status in walk(self._old, "")}
        vouched = {path for path, noted in contents.listed(self._old, found) if noted}
        known: dict[str, rows.Row] = {row[0]: row for row in sealed["venv"]}
        compiled = {path for path, status in found.items() if path.endswith(".pyc") and stat.S_ISREG(status.st_mode)}
        if not all(map(_is_installers, known.keys() - vouched)):
            return False  # a command put something there
        if found.keys() - compiled != (vouched | known.keys()) - compiled:
            return False

        def sound(path: str) -> bool:
            if path in known:
                return not contents.fault(self._old, known[path], found[path], self._hashes.of)
            return stat.S_ISREG(found[path].st_mode) and found[path].st_mtime_ns <= at

        records = {path for path in known if path.endswith(contents.RECORD)}
        for path in found.keys() - compiled - records:
            if not sound(path) or not self._copy(path, found[path]):
                return False
        for path in compiled:
            self._link_bytecode(path, sealed["bytecode"].get(path, ""))
        for path in records:  # by now it is known which scripts are other ones
            if not sound(path):
                return False
            self._copy_record(path, found[path])
        return True

    def _copy(self, path: str, status: os.stat_result) -> bool:
        """Link it, or write it anew where it names its own place; False where it names that in a way of its own."""
        if stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(os.path.join(self._old, path)), self._place(path))
        elif path == _CONFIG or (path.startswith("bin/") and status.st_size <= _SCRIPT):
            text = files.read(os.path.join(self._old, path)) or b""
            text = text.replace(os.fsencode(self._old), os.fsencode(self._new))
            first = text.partition(b"\n")[0]
            if self._base in text or (text[:2] == b"#!" and len(first) > _LONGEST):
                return False
            self._moved[path] = text
            files.place(self._place(path), text, stat.S_IMODE(status.st_mode))
        else:
            os.link(os.path.join(self._old, path), self._place(path), follow_symlinks=False)
        return True

    def _link_bytecode(self, path: str, sha256: str) -> None:
        """Bytecode that isn't as it was sealed is left out, and compiled anew."""
        new = self._place(path)
        os.link(os.path.join(self._old, path), new, follow_symlinks=False)
        if self._hashes.of(new, os.lstat(new)) != sha256:
            os.unlink(new)

    def _copy_record(self, path: str, status: os.stat_result) -> None:
        """RECORD with the new hashes and sizes of scripts that were written anew."""
        site = os.path.dirname(os.path.dirname(path))
        text = (files.read(os.path.join(self._old, path)) or b"").decode()
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        for line in csv.reader(text.splitlines()):
            moved = self._moved.get(os.path.normpath(os.path.join(site, line[0]))) if len(line) > 1 else None
            writer.writerow(line if moved is None or not line[1] else [line[0], _noted(moved), str(len(moved))])
        files.place(self._place(path), out.getvalue().encode(), stat.S_IMODE(status.st_mode))

    def _place(self, path: str) -> str:
        """Where it comes to lie; its folder is made."""
        new = os.path.join(self._new, path)
        folder = os.path.dirname(new)
        if folder not in self._folders:
            _make(folder)
            self._folders.add(folder)
        return new


def _noted(text: bytes) -> str:
    """Its hash as RECORD files have it."""
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b"=").decode()


def _make(folder: str) -> None:
    if not os.path.isdir(folder):
        _make(os.path.dirname(folder))
        os.mkdir(folder)
        os.chmod(folder, FOLDER_MODE)  # whatever the umask


def _is_installers(path: str) -> bool:
    """Made by what makes virtualenvs and installs wheels, though no RECORD vouches for it; not by a command."""
    inside = path.startswith("bin/") and path[len("bin/") :].startswith(_BIN)
    return inside or path in _TOP or path.endswith(contents.RECORD) or contents.is_furniture(path)
