"""What `fab adopt` changes on a host beside its outfit: data linked in, `current`, and who serves the site.

`share`: `path` (below shared/), `target` (where the data lives), `now` (where it is
until `current` is changed), `user` (who must be able to write there). `beside`:
`folder` (a release), `old` (what `current` was), `seen` (its path from now on, where it is moved), `public` (the old
document root).
`current`: `root`, `to` (`link`, `directory` or `none`), `target` (of a link), `kept` (the name below the root of a
directory that was called `current`). `out`: a link at `path`. `gone`: a file at `path`. `reload`: `cure`.
`calm`: `seconds`.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import stat
import time

from tagship.host import files
from tagship.host.context import Args
from tagship.host.faults import failed, refused
from tagship.host.outfit_folders import descend
from tagship.host.outfit_users import may_log_in
from tagship.host.outfit_work import State, Work, in_the_way

_EXCHANGE = 2  # RENAME_EXCHANGE of renameat2(2)
_NEW = "current.new"
_NOBODY = "65534"
_SOON = 5.0  # seconds in which nginx has begun with new workers
_OURS = ("env", "id", "run", "start", "taken", "units", "within", "manifest.json", "release.json", "sealed.json")
"""What lies at the top of a release beside its rooms, where files of the old folder are linked."""
_WORKER, _LEAVING = b"nginx: worker process", "nginx workers"


def look_share(work: Work, row: Args) -> State:
    """Whether it leads there. Raises `refused` where something else is there, or the service couldn't write."""
    path, target, now = row.text("path"), row.text("target"), row.text("now")
    if not os.path.isdir(now) and not os.path.isfile(now):
        raise refused("there is no {}".format(now), "--share NAME=PATH, of a folder or a file on the host")
    _must_be_writable(work, now, row.text("user"))
    if not os.path.lexists(path) or (os.path.isdir(path) and not os.path.islink(path) and not os.listdir(path)):
        return State(True)
    if not os.path.islink(path):
        raise in_the_way(path, "is there, and isn't {}".format(target))
    there = os.readlink(path)
    return State(there != target, "" if there == target else "leads to {}".format(there))


def make_share(work: Work, row: Args) -> None:
    """Link it, in place of another link or an empty folder; the data stays where it is."""
    path, target = row.text("path"), row.text("target")
    folder = descend(os.path.dirname(path))
    try:
        name = os.path.basename(path)
        if os.path.islink(path):
            before = os.readlink(path)
            os.unlink(name, dir_fd=folder)
            work.owe(path, lambda: os.symlink(before, path))
        elif os.path.isdir(path):
            found = os.lstat(path)
            os.rmdir(name, dir_fd=folder)
            work.owe(path, lambda: _make_again(path, found))
        os.symlink(target, name, dir_fd=folder)
        work.owe(path, lambda: files.remove(path))
    finally:
        os.close(folder)


def look_beside(work: Work, row: Args) -> State:  # noqa: ARG001
    """It is always made: the release is new. Raises `refused` where both would have a file of one name."""
    old = row.optional("old")
    for name in files.names(old) if old is not None else ():
        if name in _OURS:
            raise refused(
                "{} has the name of something that each release has".format(os.path.join(str(old), name)),
                "give this stage another `root`, a new folder: then nothing of the old one is touched",
            )
    return State(True)


def make_beside(work: Work, row: Args) -> None:  # noqa: ARG001
    """Link all that the old folder holds into the release: what names `current/...` goes on finding it there.

    Where both have a folder of one name, its content is linked. Goes with the release, so nothing is owed.
    """
    folder = descend(row.text("folder"))
    try:
        public = row.optional("public")
        if public is not None:
            os.rmdir("public", dir_fd=folder)
            os.symlink(public, "public", dir_fd=folder)
        if row.optional("old") is not None:
            _lay(folder, row.text("old"), row.text("seen"), () if public is None else ("public",))
    finally:
        os.close(folder)


def _lay(folder: int, old: str, seen: str, but: tuple[str, ...] = ()) -> None:
    for name in files.names(old):
        if name in but:
            continue
        ours, theirs = os.path.join(old, name), os.path.join(seen, name)
        try:
            os.symlink(theirs, name, dir_fd=folder)
            continue
        except FileExistsError:
            pass
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISDIR(found.st_mode) or not os.path.isdir(ours):
            raise failed(
                "{} has the name of a file that a release has".format(ours),
                "give this stage another `root` (a new folder): then nothing of the old one is touched",
            )
        inner = os.open(name, files.FOLDER, dir_fd=folder)
        try:
            # The old service may look into it too; all that is ours in there is the relay.
            os.fchmod(inner, stat.S_IMODE(found.st_mode) | 0o055)
            _lay(inner, ours, theirs)
        finally:
            os.close(inner)


def look_current(work: Work, row: Args) -> State:  # noqa: ARG001
    """What it is now. Raises `refused` where it can't be changed."""
    root, to = row.text("root"), row.text("to")
    kind, words = kind_of(os.path.join(root, "current"))
    kept = os.path.join(root, row.optional("kept") or "")
    if kind == "other" or (kind == "directory" and to == "none"):
        raise in_the_way(os.path.join(root, "current"), "is neither a link nor a folder")
    if kind == "directory" and to == "link" and os.path.lexists(kept):
        raise in_the_way(kept, "is there already, and the folder `current` should go there")
    if to == "directory" and kind != "directory" and (os.path.islink(kept) or not os.path.isdir(kept)):
        raise refused("{} is gone, which was `current`".format(kept), "bring it back, then try again")
    if to == "link":
        return State((kind, words) != ("link", row.text("target")), words or kind)
    return State(kind != to, words or kind)


def make_current(work: Work, row: Args) -> None:
    """One rename: of a link over a link, or of a link and a folder that change their names with one another."""
    root, to = os.path.realpath(row.text("root")), row.text("to")
    current, kept = os.path.join(root, "current"), row.optional("kept") or ""
    kind, words = kind_of(current)
    folder = descend(row.text("root"))
    try:
        if to == "link" and kind == "directory":
            os.symlink(row.text("target"), kept, dir_fd=folder)
            work.owe(kept, lambda: _remove_link(root, kept))
            _exchange(folder, kept)
            work.owe(current, lambda: _exchange_in(root, kept))
        elif to == "directory":
            _exchange(folder, kept)
            work.owe(current, lambda: _exchange_in(root, kept))
            target = os.readlink(kept, dir_fd=folder)
            os.unlink(kept, dir_fd=folder)
            work.owe(kept, lambda: os.symlink(target, os.path.join(root, kept)))
        else:
            work.owe(current, lambda: _point_in(root, words if kind == "link" else None))
            _point(folder, row.text("target") if to == "link" else None)
        os.fsync(folder)
    finally:
        os.close(folder)


def kind_of(path: str) -> tuple[str, str]:
    """`none | link | directory | other`, and where a link leads."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return "none", ""
    if stat.S_ISLNK(found.st_mode):
        return "link", os.readlink(path)
    return ("directory" if stat.S_ISDIR(found.st_mode) else "other"), ""


def look_out(work: Work, row: Args) -> State:  # noqa: ARG001
    """Whether there is a site. Raises `refused` where taking it away would lose it."""
    kind, target = kind_of(row.text("path"))
    if kind not in ("none", "link"):
        what = "{} is no link, and can't be put out of service without being lost".format(row.text("path"))
        raise refused(what, "move it to sites-available and link it, `nginx -t && nginx -s reload`, then try again")
    return State(kind == "link", target and "a link to {}".format(target))


def make_out(work: Work, row: Args) -> None:
    """Take the link away."""
    path = row.text("path")
    target = os.readlink(path)
    work.owe(path, lambda: os.symlink(target, path))
    os.unlink(path)


def look_gone(work: Work, row: Args) -> State:  # noqa: ARG001
    """Whether it is still there."""
    return State(os.path.lexists(row.text("path")))


def make_gone(work: Work, row: Args) -> None:
    """Remove a file of root's."""
    path = row.text("path")
    data = files.read(path) or b""
    work.owe(path, lambda: files.write(path, data))
    files.remove(path)


def look_reload(work: Work, row: Args) -> State:  # noqa: ARG001
    """It is done whenever it is asked for."""
    return State(True)


def make_reload(work: Work, row: Args) -> None:
    """Have nginx take in what was changed, and again once that was put back; `calm` knows whom to wait for."""
    work.owe_again("nginx", lambda: _reload(work, row))
    _reload(work, row)


def _reload(work: Work, row: Args) -> None:
    before = work.context.opened[_LEAVING] = _workers()
    work.run(["systemctl", "reload", "nginx.service"], "nginx can't be reloaded", row.text("cure"))
    # It returns before there are new workers; a second reload must not take them for none.
    deadline = time.monotonic() + _SOON
    while not _workers() - before and time.monotonic() < deadline:
        work.context.lifeline.wait(0.02)


def look_calm(work: Work, row: Args) -> State:  # noqa: ARG001
    """It is waited for whenever it is asked for."""
    return State(True)


def make_calm(work: Work, row: Args) -> None:
    """Wait until nginx's workers from before the last reload have ended; putting back waits for that first, too."""
    seconds = row.number("seconds")
    work.owe("nginx's workers", lambda: _wait_for_workers(work, seconds))
    _wait_for_workers(work, seconds)


def _wait_for_workers(work: Work, seconds: float) -> None:
    """They finish what they have begun by the old configuration, and look `current` up until then."""
    deadline = time.monotonic() + seconds
    while work.context.opened.get(_LEAVING, set()) & _workers() and time.monotonic() < deadline:
        work.context.lifeline.wait(0.05)


def _workers() -> set[str]:
    names = filter(str.isdigit, os.listdir("/proc"))
    return {name for name in names if (files.read("/proc/{}/cmdline".format(name)) or b"").startswith(_WORKER)}


def _must_be_writable(work: Work, target: str, user: str) -> None:
    """As the kernel sees it, for the folder and all that lies right in it; a user who isn't there yet is nobody."""
    who = ["--reuid=" + user, "--regid=" + user, "--init-groups"]
    if work.ask(["getent", "passwd", user])[0]:
        who = ["--reuid=" + _NOBODY, "--regid=" + _NOBODY, "--clear-groups"]
    argv = ["setpriv", *who, "find", target, "-maxdepth", "1", "!", "-type", "l", "!", "-writable", "-print", "-quit"]
    status, said = work.ask(argv)
    first = next(iter(said.splitlines()), target)
    if status or said.strip():
        what = "{} couldn't write to {}".format(user, first if first.startswith("/") else target)
        cure, owner = "let {0} write there, to its files too (chgrp -R {0}, chmod -R g+w)", _owner(work, target)
        if _could_be_service(owner):
            cure += "; or say `service.user: {1}` in the stage, who owns it"
        raise refused(what, cure.format(user, owner))


def _could_be_service(user: str) -> bool:
    """Whether `fab setup` would take it for a service user: it isn't root, and nobody logs in as it."""
    try:
        found = pwd.getpwnam(user)
    except KeyError:
        return False
    return found.pw_uid != 0 and not may_log_in(found)


def _owner(work: Work, path: str) -> str:
    return work.ask(["stat", "--format=%U", path])[1].strip()


def _make_again(path: str, found: os.stat_result) -> None:
    os.mkdir(path, 0o700)
    os.chown(path, found.st_uid, found.st_gid)
    os.chmod(path, stat.S_IMODE(found.st_mode))


def _point(folder: int, target: object) -> None:
    if target is None:
        os.unlink("current", dir_fd=folder)
        return
    try:
        os.unlink(_NEW, dir_fd=folder)
    except FileNotFoundError:
        pass
    os.symlink(str(target), _NEW, dir_fd=folder)
    os.rename(_NEW, "current", src_dir_fd=folder, dst_dir_fd=folder)


def _point_in(root: str, target: object) -> None:
    folder = os.open(root, files.FOLDER)
    try:
        _point(folder, target)
        os.fsync(folder)
    finally:
        os.close(folder)


def _remove_link(root: str, kept: str) -> None:
    if os.path.islink(os.path.join(root, kept)):
        os.unlink(os.path.join(root, kept))


def _exchange_in(root: str, kept: str) -> None:
    folder = os.open(root, files.FOLDER)
    try:
        _exchange(folder, kept)
        os.fsync(folder)
    finally:
        os.close(folder)


def _exchange(folder: int, kept: str) -> None:
    """`current` and `kept` change their names with one another, in one step."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(folder, b"current", folder, os.fsencode(kept), _EXCHANGE):
        error = os.strerror(ctypes.get_errno())
        raise failed(
            "`current` and `{}` can't change their names: {}".format(kept, error),
            "its filesystem can't do that: give this stage another `root`",
        )
