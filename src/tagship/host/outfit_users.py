"""Users, their groups, and the keys that let them in.

`user`: `name`, `part` (`deploy`: who logs in; `service`: who runs the application), `conf` (the path of our own note
below /etc/tagship, whose users are ours). `member`: `user`, `group`. `keys`: `user`, `lines`.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from typing import Optional

from tagship.host import files
from tagship.host.accounts import gid_of
from tagship.host.context import Args
from tagship.host.faults import Problem, refused
from tagship.host.outfit_work import State, Work

_NO_LOGIN = {"nologin", "false", "sync", "halt", "shutdown"}
_OTHERS = {"deploy": ("user",), "service": ("user", "deploy")}
"""As what other apps on the host must not have a user: nobody's service user is shared, nor made to log in."""


def may_log_in(user: pwd.struct_passwd) -> bool:
    """Whether the user's shell lets anybody in."""
    return os.path.basename(user.pw_shell) not in _NO_LOGIN


def look_user(work: Work, row: Args) -> State:  # noqa: ARG001
    """Whether it is there. Raises `refused` where the name is taken by something unfit."""
    name, part = row.text("name"), row.text("part")
    _refuse_claimed(name, part, row.text("conf"))
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return State(True)
    if found.pw_uid == 0:
        cure = "set `user:` of this host to another one" if part == "deploy" else "set `service.user` to another one"
        raise refused("{} is root, and must not be the {} user".format(name, part), cure)
    logs_in = may_log_in(found)
    if part == "deploy" and not logs_in:
        raise refused("{} can't log in: its shell is {}".format(name, found.pw_shell), "chsh -s /bin/bash " + name)
    if part == "service" and logs_in:
        what = "{} is there already, and can log in: it is no service user".format(name)
        raise refused(what, "set `service.user` to another one")
    if part == "service" and gid_of(name) != found.pw_gid:
        raise refused("{} has no group of its own".format(name), "set `service.user` to another one")
    return State(False)


def make_user(work: Work, row: Args) -> None:
    """Make it; no password ever fits. It stays, whatever happens later."""
    name = row.text("name")
    if row.text("part") == "deploy":
        # `*` fits no password, and unlike the default `!` doesn't make sshd without PAM take it for locked.
        kind = ["--create-home", "--user-group", "--shell", "/bin/bash", "--password", "*"]
    else:
        kind = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
        kind += ["--shell", "/usr/sbin/nologin"]
    work.run(["useradd", *kind, name], "the user {} can't be made".format(name), "see what useradd says")


def look_member(work: Work, row: Args) -> State:  # noqa: ARG001
    """Whether `user` is in `group`."""
    return State(not _is_member(row.text("user"), row.text("group")))


def make_member(work: Work, row: Args) -> None:
    """Put it there; whoever is logged in already doesn't notice."""
    user, group = row.text("user"), row.text("group")
    title = "{} can't be put into the group {}".format(user, group)
    work.run(["usermod", "--append", "--groups", group, user], title, "see what usermod says")


def look_keys(work: Work, row: Args) -> State:  # noqa: ARG001
    """Whether all lines stand in its authorized_keys. Raises `refused` where others could write there."""
    try:
        user = pwd.getpwnam(row.text("user"))
    except KeyError:
        return State(True)
    if not os.path.isdir(user.pw_dir):
        what = "the home {} of {} isn't there".format(user.pw_dir, user.pw_name)
        raise refused(what, "make it, owned by {}".format(user.pw_name))
    home = os.open(os.path.realpath(user.pw_dir), files.FOLDER)
    try:
        folder = _ssh(home, user)
        if folder is None:
            return State(True)
        try:
            lacking = missing(_read(folder, user), row.texts("lines"))
        finally:
            os.close(folder)
    finally:
        os.close(home)
    return State(bool(lacking), "{} of {} missing".format(len(lacking), len(row.texts("lines"))) if lacking else "")


def make_keys(work: Work, row: Args) -> None:  # noqa: ARG001
    """Add the lines that are missing. The home is its user's, so no link is followed and nothing of others read."""
    user = pwd.getpwnam(row.text("user"))
    home = os.open(os.path.realpath(user.pw_dir), files.FOLDER)
    try:
        try:
            os.mkdir(".ssh", 0o700, dir_fd=home)
            _give(home, ".ssh", user)
        except FileExistsError:
            pass
        folder = _ssh(home, user)
    finally:
        os.close(home)
    if folder is None:
        raise refused("~{}/.ssh goes away again".format(user.pw_name), "try again")
    try:
        old = _read(folder, user)
        kept = old + "\n" if old and not old.endswith("\n") else old
        _write(folder, user, kept + "".join(line + "\n" for line in missing(old, row.texts("lines"))))
    finally:
        os.close(folder)


def _give(home: int, name: str, user: pwd.struct_passwd) -> None:
    """Give what we have just made there to the user, who may have put something else into its place by now."""
    try:
        folder = os.open(name, files.FOLDER, dir_fd=home)
    except OSError:
        return  # whatever it is, `_ssh` refuses it
    try:
        if os.fstat(folder).st_uid == os.geteuid():
            os.fchown(folder, user.pw_uid, user.pw_gid)
    finally:
        os.close(folder)


def _ssh(home: int, user: pwd.struct_passwd) -> Optional[int]:
    try:
        folder = os.open(".ssh", files.FOLDER, dir_fd=home)
    except FileNotFoundError:
        return None
    except OSError:
        raise refused("~{}/.ssh is not a folder".format(user.pw_name), "move it away") from None
    if os.fstat(folder).st_uid != user.pw_uid:
        os.close(folder)
        raise refused("~{0}/.ssh isn't owned by {0}".format(user.pw_name), "chown it")
    return folder


def _read(folder: int, user: pwd.struct_passwd) -> str:
    try:
        fd = os.open("authorized_keys", files.READ, dir_fd=folder)
    except FileNotFoundError:
        return ""
    except OSError:
        raise _not_own(user) from None
    with os.fdopen(fd, encoding="utf-8", errors="surrogateescape") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != user.pw_uid:
            raise _not_own(user)
        return file.read()


def _not_own(user: pwd.struct_passwd) -> Problem:
    return refused("~{0}/.ssh/authorized_keys isn't a file of {0}'s own".format(user.pw_name), "move it away")


def _write(folder: int, user: pwd.struct_passwd, text: str) -> None:
    new = "authorized_keys.tagship"
    try:
        os.unlink(new, dir_fd=folder)
    except FileNotFoundError:
        pass
    fd = os.open(new, files.NEW, 0o600, dir_fd=folder)
    try:
        os.fchown(fd, user.pw_uid, user.pw_gid)
        files.write_all(fd, text.encode("utf-8", "surrogateescape"))
        os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(new, "authorized_keys", src_dir_fd=folder, dst_dir_fd=folder)
    os.fsync(folder)


def missing(text: str, lines: list[str]) -> list[str]:
    """Those whose key (type and base64, without the comment) stands in no line that sshd reads."""
    rows = [line.split() for line in text.splitlines() if not line.lstrip().startswith("#")]
    there = {tuple(words[at : at + 2]) for words in rows for at in range(len(words))}
    return [line for line in lines if tuple(line.split()[:2]) not in there]


def _refuse_claimed(name: str, part: str, conf: str) -> None:
    for other in files.names(os.path.dirname(conf)):
        path = os.path.join(os.path.dirname(conf), other)
        if not other.endswith(".json") or path == conf:
            continue
        found = files.read_object(path)
        for role in _OTHERS[part]:
            if found.get(role) == name:
                what = "{} is the {} user of {}".format(name, "service" if role == "user" else role, other[:-5])
                key = "`user:` of this host" if part == "deploy" else "`service.user`"
                raise refused(what, "set {} to another one".format(key))


def _is_member(user: str, group: str) -> bool:
    try:
        return user in grp.getgrnam(group).gr_mem or pwd.getpwnam(user).pw_gid == grp.getgrnam(group).gr_gid
    except KeyError:
        return False
