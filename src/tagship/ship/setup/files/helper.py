#!/usr/bin/python3 -IS
"""tagship's helper, the only thing that whoever deploys may run as root (sudo): docs/adr/0009 has its grammar.

What it isn't told in these very words it refuses, with exit status 2. It believes nothing but /etc/tagship/NAME.json,
which only root can write: that says who may call it, for which units, and whom it becomes to run a command.

Each deploy starts it on every host, so it does without json, re, typing, and what signal and socket make of `_signal`
and `_socket`: they took two thirds of its time.
"""

from __future__ import annotations

import os
import pwd
import select
import stat
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    import socket
    from typing import Callable, NoReturn
else:
    import _signal as signal
    import _socket as socket

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
LATE = 124
"""Our word for a command that took too long; no program of ours ends so."""
ENDINGS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)

LETTERS, DIGITS = frozenset("abcdefghijklmnopqrstuvwxyz"), frozenset("0123456789")
MOST = 64
"""Instances at a time."""
LONGEST = 1 << 17
"""Bytes of a question."""

PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 36, 38  # prctl(2)


class Refused(Exception):
    """Not in the grammar, or not for this caller."""


def is_name(word: str, longest: int = 63) -> bool:
    """`[a-z][a-z0-9-]*`, of an app and stage or of a unit."""
    return 0 < len(word) <= longest and word[0] in LETTERS and LETTERS.union(DIGITS, "-").issuperset(word)


def is_number(word: str, least: int, most: int) -> bool:
    """So many digits."""
    return least <= len(word) <= most and DIGITS.issuperset(word)


def is_serial(word: str) -> bool:
    return is_number(word, 4, 9)


def is_instance(word: str) -> bool:
    """SERIAL, or SERIAL.UNIT."""
    serial, dot, unit = word.partition(".")
    return is_serial(serial) and (not dot or is_name(unit, 31))


class Conf:
    """One app and stage on this host."""

    def __init__(self, name: str, root: str, deploy: str, user: str) -> None:
        self.name = name
        self.root = root
        self.deploy = deploy
        self.user = user

    def units(self, words: list[str]) -> list[str]:
        """The units of the instances named; raises `Refused` unless all of them are instances."""
        if not 0 < len(words) <= MOST or not all(map(is_instance, words)):
            raise Refused("INSTANCE is SERIAL or SERIAL.UNIT")
        return [f"{self.name}@{instance}.service" for instance in words]

    def by_serial(self, *parts: str) -> str:
        """A path of a release, by its serial."""
        return os.path.join(self.root, "releases", "by-serial", *parts)


def main(words: list[str]) -> int:
    """Do what the words say; the exit status. Raises `Refused`."""
    if len(words) < 2 or not is_name(words[0]) or words[1] not in VERBS:
        raise Refused(f"APP-STAGE {' | '.join(VERBS)}")
    conf = read_conf(words[0])
    check_caller(conf, by_root=words[1] == "boot")
    return VERBS[words[1]](conf, words[2:])


def ask(words: list[str]) -> int:
    """`main`, which says in a line what it refuses, with exit status 2."""
    try:
        return main(words)
    except Refused as refusal:
        sys.stderr.write(f"tagship-helper: refused: {refusal}\n")
        return 2


def read_conf(name: str) -> Conf:
    """The settings of an app and stage; raises `Refused` unless they are root's alone and whole."""
    path = f"{CONF}/{name}.json"
    try:
        found = [os.lstat(CONF), os.lstat(path)]
        with open(path, encoding="utf-8") as file:
            values = read_object(file.read(65536))
    except (OSError, ValueError):
        raise Refused("no such app and stage here") from None
    alone = all(one.st_uid == 0 and not one.st_mode & 0o022 for one in found)
    if not alone or not stat.S_ISDIR(found[0].st_mode) or not stat.S_ISREG(found[1].st_mode):
        raise Refused(f"{path} must be root's, and written by nobody else")
    if set(values) != KEYS or values.pop("helper") != VERSION:
        raise Refused(f"{path} is of another version than this helper: fab setup")
    texts = {key: value for key, value in values.items() if isinstance(value, str)}
    if len(texts) < len(values) or not texts["root"].startswith("/"):
        raise Refused(f"{path} is damaged: fab setup")
    if f"{texts['app']}-{texts['stage']}" != name:
        raise Refused(f"{path} is of another app or stage")
    return Conf(name, texts["root"], texts["deploy"], texts["user"])


def read_object(text: str) -> dict[str, str | int]:
    """A JSON object of whole numbers, and of texts in which nothing is escaped; `ValueError` for anything else."""
    marks = text.split('"')
    words, between = marks[1::2], [mark.strip() for mark in marks[::2]]
    if "\\" in text or len(words) == len(between) or between[0] != "{":
        raise ValueError(text)
    found: dict[str, str | int] = {}
    key, end = None, ","
    for word, after in zip(words, between[1:]):  # noqa: B905 - Python 3.9 has no `strict`
        if end != ",":
            raise ValueError(text)
        if key is not None:
            found[key], key, end = word, None, after
        elif after == ":":
            key = word
        elif after[:1] == ":" and is_number(after[1:-1].strip(), 1, 9):
            found[word], end = int(after[1:-1]), after[-1]
        else:
            raise ValueError(text)
    if key is not None or end != "}":
        raise ValueError(text)
    return found


def check_caller(conf: Conf, *, by_root: bool) -> None:
    """`boot` is for root itself, all else for the one who deploys, by sudo. Raises `Refused`."""
    caller = os.environ.get("SUDO_UID")
    wanted = None if by_root else str(account(conf.deploy).pw_uid)
    if caller != wanted or os.getuid() != 0:
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
        raise Refused("version")
    sys.stdout.write(f"{VERSION}\n")
    return 0


def start(conf: Conf, words: list[str]) -> int:
    units = conf.units(words)
    status = begin([SYSTEMCTL, "start", "--", *units], closed=(0, 1, 2))
    if status == 0:
        return 0
    # One that was started too often is refused until that is forgotten.
    begin([SYSTEMCTL, "reset-failed", "--", *units], closed=(0, 1, 2))
    return begin([SYSTEMCTL, "start", "--", *units])


def stop(conf: Conf, words: list[str]) -> int:
    units = conf.units(words)
    status = begin([SYSTEMCTL, "stop", "--", *units])
    # Whatever it was, it is over: else a release that was put back would count as this host's failure for ever.
    begin([SYSTEMCTL, "reset-failed", "--", *units], closed=(0, 1, 2))
    return status


def end(conf: Conf, words: list[str]) -> int:
    """`stop`, and SIGKILL for what still lives 10 s after it: `killed` tells that this was so."""
    units = conf.units(words)
    if begin([SYSTEMCTL, "stop", "--", *units], limit=GRACE) == LATE:
        begin([SYSTEMCTL, "kill", "--signal=SIGKILL", "--", *units], closed=(0, 1, 2))
        sys.stdout.write("killed\n")
    return stop(conf, words)


def journal(conf: Conf, words: list[str]) -> int:
    if len(words) not in (2, 3) or words[2:] not in ([], ["rows"], ["follow"]) or not is_number(words[1], 1, 5):
        raise Refused("journal INSTANCE|all LINES [rows|follow]")
    if words[0] == "all":
        # By the slice that all instances share: a pattern of names would only know those that there are by now.
        group = "system-{}.slice".format(conf.name.replace("-", "\\x2d"))
        chosen = [f"_SYSTEMD_SLICE={group}", "+", f"_SYSTEMD_UNIT={conf.name}.service"]
    else:
        chosen = [f"--unit={unit}" for unit in conf.units(words[:1])]
    # Rows are for programs: they tell unit and microsecond, and hold whatever was said.
    rows = ["--output=json", "--all", "--output-fields=MESSAGE,UNIT,_SYSTEMD_UNIT"]
    argv = [JOURNALCTL, "--quiet", "--no-pager", "--no-hostname", *(rows if words[2:] else ["--output=short-iso"])]
    return begin([*argv, f"--lines={words[1]}", *(["--follow"] if words[2:] == ["follow"] else []), *chosen])


def run(conf: Conf, words: list[str]) -> int:
    if len(words) < 3 or not is_serial(words[0]) or words[1] != "--":
        raise Refused("run SERIAL -- WORD...")
    user = account(conf.user)
    if user.pw_uid == account(conf.deploy).pw_uid:
        raise Refused(f"{conf.user} deploys")

    def become() -> None:
        os.setgroups(os.getgrouplist(user.pw_name, user.pw_gid))
        os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
        os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
        prctl(PR_SET_NO_NEW_PRIVS)
        os.umask(0o007)

    return begin([conf.by_serial(words[0], "within"), *words[2:]], become, closed=())


def boot(conf: Conf, words: list[str]) -> int:
    """Start what `current` names: its serial, and the units that belong to it here."""
    if words:
        raise Refused("boot")
    try:
        serial = os.path.basename(os.readlink(os.path.join(conf.root, "current"))).partition("-")[0]
        names = sorted(os.listdir(conf.by_serial()))
    except OSError:
        return 0  # nothing was ever live
    mine = [name for name in names if name.partition(".")[0] == serial and is_instance(name)]
    mine = [name for name in mine if os.path.exists(conf.by_serial(name, "start"))]
    return begin([SYSTEMCTL, "start", "--", *conf.units(mine)]) if mine else 0


def serve(conf: Conf, words: list[str]) -> int:
    """Do the other verbs, as our input, a socket, asks for them: until it ends, each in a process of its own.

    A question is a message, its words with a NUL between each two, and one descriptor: where both outputs go. The
    answer is the exit status, in digits. What is asked is checked as if it had been asked of a helper of its own.
    """
    if words:
        raise Refused("serve")
    try:
        line = socket.socket(fileno=0)
        line.send(f"{VERSION}".encode())
    except OSError:
        raise Refused("serve, with a socket as input") from None
    while True:
        question, more, flags, _ = line.recvmsg(LONGEST, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC)
        if not question:
            return 0
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC) or len(more) != 1 or len(more[0][2]) != 4:
            return 2
        output = int.from_bytes(more[0][2], sys.byteorder)
        child = os.fork()
        if child == 0:
            answer(conf.name, list(map(os.fsdecode, question.split(b"\0"))), output)
        os.close(output)
        _, status = os.waitpid(child, 0)
        told = 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        try:
            line.send(f"{told}".encode())
        except OSError:
            return 0  # who asked has gone


def answer(name: str, words: list[str], output: int) -> NoReturn:
    """In the child: what a helper called with these words would do."""
    status = 1
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, stream in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(source, stream)
        os.close(nothing)
        os.close(output)
        status = ask([name, *words])
        sys.stdout.flush()
    finally:
        os._exit(status)


VERBS: dict[str, Callable[[Conf, list[str]], int]] = {
    "version": version,
    "start": start,
    "stop": stop,
    "end": end,
    "run": run,
    "journal": journal,
    "boot": boot,
    "serve": serve,
}


def begin(
    argv: list[str],
    become: Callable[[], None] | None = None,
    *,
    closed: tuple[int, ...] = (0,),
    limit: float | None = None,
) -> int:
    """Run a command to its end, and end it, with all that it began, once nobody reads our output any more.

    It gets our streams, but nothing for those in `closed`. The exit status; 128 and the number of the signal that
    ended it; `LATE` where it takes longer than `limit` seconds.
    """
    if become is not None:  # what another's leaves in the background becomes our child, and is found
        prctl(PR_SET_CHILD_SUBREAPER)
    told, telling = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(telling, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, *ENDINGS):
        signal.signal(number, lambda *_: None)
    child = os.fork()
    if child == 0:
        execute(argv, become, closed)
    try:
        return attend(child, told, limit)
    finally:
        end_all()
        signal.set_wakeup_fd(-1)
        os.close(told)
        os.close(telling)


def execute(argv: list[str], become: Callable[[], None] | None, closed: tuple[int, ...]) -> NoReturn:
    """In the child: a session of its own, nothing inherited but the streams, and the program."""
    try:
        os.setsid()
        for number in (signal.SIGCHLD, signal.SIGPIPE, *ENDINGS):
            signal.signal(number, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in closed:
            os.dup2(nothing, stream)
        os.chdir("/")
        if become is not None:
            become()
        os.execve(argv[0], argv, ENVIRONMENT)
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def attend(child: int, told: int, limit: float | None) -> int:
    """Wait for the child, or for our reader's end, or until it is late."""
    until = None if limit is None else time.monotonic() + limit
    watch = select.poll()
    watch.register(told, select.POLLIN)
    watch.register(1, 0)  # the end of a pipe's or a socket's reader comes unasked: POLLERR, POLLHUP
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        left = None if until is None else 1000 * (until - time.monotonic())
        if left is not None and left <= 0:
            return LATE
        ready = dict(watch.poll(left))
        heard = os.read(told, 512) if told in ready else b""
        if 1 in ready or set(heard).intersection(ENDINGS):
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
    """Our children, theirs, and so on."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, IndexError):
            continue  # it has ended meanwhile
    found: set[int] = set()
    more = {os.getpid()}
    while more:
        more = {pid for pid, parent in parents.items() if parent in more} - found
        found |= more
    return found


def prctl(option: int) -> None:
    import ctypes  # only to become another user

    if ctypes.CDLL(None, use_errno=True).prctl(option, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    sys.exit(ask(sys.argv[1:]))
