#!/usr/bin/python3 -IS
"""tagship's helper, the only thing that whoever deploys may run as root (sudo): docs/adr/0009 has its grammar.

What it isn't told in these very words it refuses, with exit status 2. It believes nothing but /etc/tagship/NAME.json,
which only root can write: that says who may call it, for which units, and whom it becomes to run a command.
"""

from __future__ import annotations

import ctypes
import json
import os
import pwd
import re
import select
import signal
import stat
import sys
import time
from typing import Any, Callable, NamedTuple, NoReturn

VERSION = 1
CONF = "/etc/tagship"
KEYS = {"helper", "app", "stage", "root", "deploy", "user", "nginx"}
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "SYSTEMD_COLORS": "0",
}
SYSTEMCTL, JOURNALCTL = "/usr/bin/systemctl", "/usr/bin/journalctl"
GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL."""

NAME = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)
SERIAL = re.compile(r"[0-9]{4,9}", re.ASCII)
INSTANCE = re.compile(r"[0-9]{4,9}(?:\.[a-z][a-z0-9-]{0,30})?", re.ASCII)
COUNT = re.compile(r"[0-9]{1,5}", re.ASCII)
MOST_INSTANCES, MOST_WORDS, LONGEST_WORDS = 64, 512, 100_000

PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 36, 38  # prctl(2)


class Refused(Exception):
    """Not in the grammar, or not for this caller."""


class Conf(NamedTuple):
    """One app and stage on this host."""

    name: str
    root: str
    deploy: str
    user: str

    def unit(self, instance: str) -> str:
        return f"{self.name}@{instance}.service"

    def by_serial(self, *parts: str) -> str:
        return os.path.join(self.root, "releases", "by-serial", *parts)


def main(words: list[str]) -> int:
    """Do what the words say; the exit status."""
    if len(words) < 2 or not NAME.fullmatch(words[0]):
        raise Refused("APP-STAGE version | start | stop | run | journal | boot")
    name, verb, rest = words[0], words[1], words[2:]
    conf = read_conf(name)
    if verb not in VERBS:
        raise Refused("there is no such verb")
    check_caller(conf, by_root=verb == "boot")
    return VERBS[verb](conf, rest)


def read_conf(name: str) -> Conf:
    """The settings of an app and stage; raises `Refused` unless they are root's alone and whole."""
    for path in (CONF, f"{CONF}/{name}.json"):
        try:
            found = os.lstat(path)
        except OSError:
            raise Refused("no such app and stage here") from None
        kind = stat.S_ISDIR if path == CONF else stat.S_ISREG
        if not kind(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022:
            raise Refused(f"{path} must be root's, and written by nobody else")
    with open(path, encoding="utf-8") as file:
        try:
            values = json.loads(file.read(65536))
        except ValueError:
            values = None
    if not isinstance(values, dict) or set(values) != KEYS or values["helper"] != VERSION:
        raise Refused(f"{path} isn't of this helper's version: fab setup")
    texts = [values[key] for key in ("app", "stage", "root", "deploy", "user")]
    if not all(isinstance(text, str) and text for text in texts) or not values["root"].startswith("/"):
        raise Refused(f"{path} is damaged: fab setup")
    if "{app}-{stage}".format_map(values) != name:
        raise Refused(f"{path} is of another app or stage")
    return Conf(name, values["root"], values["deploy"], values["user"])


def check_caller(conf: Conf, *, by_root: bool) -> None:
    """`boot` is for root itself, all else for the one who deploys, by sudo."""
    caller = os.environ.get("SUDO_UID")
    if by_root:
        allowed = caller is None and os.getuid() == 0
    else:
        allowed = caller is not None and caller == str(account(conf.deploy).pw_uid) and os.geteuid() == 0
    if not allowed:
        raise Refused("not for you")


def account(name: str) -> pwd.struct_passwd:
    """A user; raises `Refused` for none, and for root."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        raise Refused(f"there is no user {name}") from None
    if found.pw_uid == 0:
        raise Refused(f"{name} is root")
    return found


def version(_conf: Conf, words: list[str]) -> int:
    if words:
        raise Refused("version takes nothing")
    sys.stdout.write(f"{VERSION}\n")
    return 0


def start(conf: Conf, words: list[str]) -> int:
    units = [conf.unit(instance) for instance in instances(words)]
    begin([SYSTEMCTL, "reset-failed", "--quiet", "--", *units], quiet=True)
    return begin([SYSTEMCTL, "start", "--quiet", "--", *units])


def stop(conf: Conf, words: list[str]) -> int:
    return begin([SYSTEMCTL, "stop", "--quiet", "--", *(conf.unit(instance) for instance in instances(words))])


def journal(conf: Conf, words: list[str]) -> int:
    follow = words[2:] == ["follow"]
    if not 2 <= len(words) <= 3 or (len(words) == 3 and not follow) or not COUNT.fullmatch(words[1]):
        raise Refused("journal INSTANCE|all LINES [follow]")
    if words[0] == "all":
        # No other unit's name can match: an instance has no `@`, a name no `*`.
        units = [conf.unit("*"), f"{conf.name}.service"]
    else:
        units = [conf.unit(instance) for instance in instances(words[:1])]
    argv = [JOURNALCTL, "--quiet", "--no-pager", "--no-hostname", "--output=short-iso", f"--lines={words[1]}"]
    argv += [f"--unit={unit}" for unit in units]
    return begin([*argv, "--follow"] if follow else argv)


def run(conf: Conf, words: list[str]) -> int:
    if len(words) < 3 or not SERIAL.fullmatch(words[0]) or words[1] != "--":
        raise Refused("run SERIAL -- WORD...")
    if len(words) > MOST_WORDS or sum(map(len, words)) > LONGEST_WORDS:
        raise Refused("too many words")
    user = account(conf.user)
    if user.pw_uid == account(conf.deploy).pw_uid:
        raise Refused(f"{conf.user} deploys")

    def become() -> None:
        os.setgroups(os.getgrouplist(user.pw_name, user.pw_gid))
        os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
        os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
        prctl(PR_SET_NO_NEW_PRIVS)
        os.umask(0o027)

    return begin([conf.by_serial(words[0], "within"), *words[2:]], become=become)


def boot(conf: Conf, words: list[str]) -> int:
    """Start what `current` names: its serial, and the units that belong to it here."""
    if words:
        raise Refused("boot takes nothing")
    try:
        release = os.path.basename(os.readlink(os.path.join(conf.root, "current")))
        names = sorted(os.listdir(conf.by_serial()))
    except OSError:
        return 0  # nothing was ever live
    serial = release.partition("-")[0]
    if not SERIAL.fullmatch(serial):
        return 0
    mine = [name for name in names if name.partition(".")[0] == serial and INSTANCE.fullmatch(name)]
    units = [conf.unit(name) for name in mine if os.path.exists(conf.by_serial(name, "start"))]
    return begin([SYSTEMCTL, "start", "--quiet", "--", *units]) if units else 0


VERBS: dict[str, Callable[[Conf, list[str]], int]] = {
    "version": version,
    "start": start,
    "stop": stop,
    "journal": journal,
    "run": run,
    "boot": boot,
}


def instances(words: list[str]) -> list[str]:
    if not 0 < len(words) <= MOST_INSTANCES or not all(map(INSTANCE.fullmatch, words)):
        raise Refused("INSTANCE is SERIAL or SERIAL.UNIT")
    return words


def begin(argv: list[str], *, become: Callable[[], None] = lambda: None, quiet: bool = False) -> int:
    """Run a command to its end, and end it, with all that it began, when nobody reads our output any more.

    The exit status; 128 and the number of the signal that ended it.
    """
    prctl(PR_SET_CHILD_SUBREAPER)  # what it leaves in the background becomes our child, and is found
    told, telling = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(telling, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    child = os.fork()
    if child == 0:
        execute(argv, become, quiet)
    try:
        return attend(child, told)
    finally:
        end_all()


def execute(argv: list[str], become: Callable[[], None], quiet: bool) -> NoReturn:
    """In the child: a session of its own, nothing inherited but the three streams, and the program."""
    try:
        os.setsid()
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2) if quiet else (0,):
            os.dup2(nothing, stream)
        os.chdir("/")
        become()
        os.execve(argv[0], argv, ENVIRONMENT)
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def attend(child: int, told: int) -> int:
    """Wait for the child, or for our reader's end."""
    watch = select.poll()
    watch.register(told, select.POLLIN)
    watch.register(1, 0)  # of a pipe's or socket's other end, POLLERR and POLLHUP come unasked
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        ready = dict(watch.poll())
        heard = os.read(told, 512) if told in ready else b""
        if 1 in ready or set(heard) & {signal.SIGTERM, signal.SIGHUP, signal.SIGINT}:
            return 128 + signal.SIGPIPE


def end_all() -> None:
    """End every process that came from us: SIGTERM, and SIGKILL to what is left after the grace."""
    began = time.monotonic()
    asked: set[int] = set()
    while time.monotonic() < began + 2 * GRACE:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return  # whoever lost its parent became our child: nobody is left
        late, left = time.monotonic() > began + GRACE, descendants()
        for pid in left if late else left - asked:
            try:
                os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
            except ProcessLookupError:
                pass
        asked |= left
        time.sleep(0.02)


def descendants() -> set[int]:
    """Processes whose parent, or its parent, is this one."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, IndexError):
            continue
    found, grown = {os.getpid()}, True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return found - {os.getpid()}


def prctl(option: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def answer(words: list[Any]) -> int:
    """The exit status of the whole, a refusal in one line."""
    try:
        return main(words)
    except Refused as refusal:
        sys.stderr.write(f"tagship-helper: refused: {refusal}\n")
        return 2


if __name__ == "__main__":
    sys.exit(answer(sys.argv[1:]))
