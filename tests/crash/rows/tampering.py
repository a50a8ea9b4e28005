"""Somebody changes what is on a host, or in the bundle here: refused or repaired, and nothing of it ever runs.

What is changed would leave a mark if it ran: the mark must not be there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from crash.carousel import Carousel, carousel
from crash.matrix import Trial, Violated, fault
from crash.needs import programs
from crash.oracles import Visitors, o5_told, tag_of
from crash.syscalls import Point, met

HOLDS = "refused or repaired, told; nothing of it executed or public: O1-O3, O5, O6"
WINDOW = 0.6
"""Seconds between the check of an object and its use, where strace holds the agent."""
CODE = ("app/serve.py", "app/hold.py")
SCRIPTS = ("start", "within")
RECORDS = ("release.json", "sealed.json", "manifest.json")


@fault("tampered-object", holds=HOLDS)
def stored(trial: Trial) -> None:
    """An object that the next deploy uses again has another content: on the host, or in this machine's store."""
    points = [f"{where}:{name}" for where in ("replaced", "in-place", "bundle") for name in CODE]
    with carousel(trial.scratch) as turns:
        turns.begin()
        for point in trial.choose(points, quick=3):
            with trial.at(point), _untouched(turns) as mark:
                where, _, name = point.partition(":")
                key = _key_of(turns, name)
                store = turns.world.project.folder / ".tagship" / "objects" / key[:2]
                path = (store if where == "bundle" else turns.host.root / "objects") / key
                _change(path, mark, in_place=where == "in-place")
                _deploys(turns, mark)


@fault("swapped-after-it-was-checked", holds=HOLDS, needs=programs("strace"))
def swapped(trial: Trial) -> None:
    """An object becomes another one between its check and its use; strace holds the agent in between."""
    with carousel(trial.scratch) as turns:
        turns.begin()
        for point in trial.choose(["app/hold.py", "app/version.txt", "app/serve.py"], quick=2):
            with trial.at(point), _untouched(turns) as mark:
                new = turns.after(turns.current)
                key = turns.names(new)["@key"] if point.endswith("version.txt") else _key_of(turns, point)
                path = turns.host.root / "objects" / key
                call = Point("linkat", path.name, 1)
                turns.log.unlink(missing_ok=True)
                turns.shim.next_under(call.under(turns.log, f"delay_enter={int(WINDOW * 1e6)}", {}))
                swapping = Thread(target=_swap, args=(turns.log, path, mark))
                swapping.start()
                _deploys(turns, mark)
                swapping.join()
                if not met(turns.log):
                    raise Violated("the harness: the window never opened")


@fault("tampered-release", holds=HOLDS)
def released(trial: Trial) -> None:
    """A file of the release that a rollback goes to, or of the live one, is changed in place, then one is tried."""
    names = (*CODE, *SCRIPTS, *RECORDS, "venv/bin/python3", "public/index.html")
    points = [f"{which}:{name}" for name in names for which in ("earlier", "live")]
    with carousel(trial.scratch) as turns:
        turns.begin()
        for point in trial.choose(points, quick=4):
            with trial.at(point), _untouched(turns) as mark:
                which, _, name = point.partition(":")
                (now,) = turns.world.currents().values()
                release = now if which == "live" else turns.going_back() and turns.before
                path = turns.host.root / "releases" / str(release) / name
                _change(path, mark, in_place=not path.is_symlink())
                if which == "live":
                    _deploys(turns, mark)
                else:
                    _goes_back_or_refuses(turns, mark, path)


@fault("tampered-journal", holds="no serial is given twice, and the next deploy goes through: O1-O3")
def journals(trial: Trial) -> None:
    """A line of the journal is damaged, lost or doubled; or all of it is gone."""
    kinds = ("flipped-byte", "lost-line", "doubled-line", "torn-end", "gone")
    with carousel(trial.scratch) as turns:
        turns.begin()
        for point in trial.choose([f"{kind}-{number}" for number in range(8) for kind in kinds], quick=3):
            with trial.at(point):
                highest = max(_serial(path) for path in (turns.host.root / "releases").glob("[0-9]*"))
                _damage(turns.host.root / "state" / "journal.jsonl", point.rpartition("-")[0], trial, point)
                # What no line is left of counts as `left`, and stays for two more changes.
                for _ in range(2):
                    tag = turns.after(turns.current)
                    turns.world.must("deploy", "--tag", tag)
                    turns.world.whole([tag])
                    (now,) = turns.world.currents().values()
                    if now is None or _serial(Path(now)) <= highest:
                        raise Violated(f"the serial of {now} was given before: there was {highest}")
                    highest = _serial(Path(now))
                turns.world.converges(turns.after(turns.current))


@contextmanager
def _untouched(turns: Carousel) -> Iterator[Path]:
    """The mark's path; afterwards what was changed has gone from the host, by deploys alone, and left no mark."""
    mark = turns.log.with_name("mark")
    mark.unlink(missing_ok=True)
    yield mark
    for _ in range(2):
        turns.world.converges(turns.after(turns.current))
    _no_mark(mark)


def _deploys(turns: Carousel, mark: Path) -> None:
    """A deploy, or a second one where the first was refused, makes a sound release live."""
    new = turns.after(turns.current)
    for _ in range(2):
        old = turns.world.currents()
        with Visitors(turns.host) as visitors:
            ended = turns.world.fab("deploy", "--tag", new)
        visitors.o6_none_failed()
        _no_mark(mark)
        if ended.exit not in (0, 3, 4):
            raise Violated(f"O5: {ended.words}")
        o5_told(turns.world.hosts, ended.exit, ended.result, old=old, new=new)
        if ended.exit == 0:
            return turns.world.whole([new])
    raise Violated(f"O3: also the second deploy is refused: {ended.words}")


def _goes_back_or_refuses(turns: Carousel, mark: Path, path: Path) -> None:
    old, target = turns.world.currents(), str(tag_of(turns.before))
    with Visitors(turns.host) as visitors:
        ended = turns.world.fab("rollback")
    visitors.o6_none_failed()
    _no_mark(mark)
    if ended.exit not in (0, 3, 4):
        raise Violated(f"O5: {ended.words}")
    o5_told(turns.world.hosts, ended.exit, ended.result, old=old, new=target)
    if ended.exit == 0 and path.exists() and str(mark) in path.read_text(errors="replace"):
        raise Violated(f"{path} is as it was changed, and public")


def _key_of(turns: Carousel, name: str) -> str:
    """The object of a file of the live release: the name of its inode among the objects."""
    inode = (turns.host.root / "current" / name).stat().st_ino
    return next(path.name for path in (turns.host.root / "objects").iterdir() if path.stat().st_ino == inode)


def _changed(content: bytes, mark: Path) -> bytes:
    """Another content, which leaves a mark where it is run as Python or by sh."""
    if content.startswith(b"#!/bin/sh"):
        return content.replace(b"#!/bin/sh\n", f"#!/bin/sh\n: > '{mark}'\n".encode(), 1)
    if content.startswith((b"{", b"[")):
        return content.replace(b"python3 serve.py", f"touch {mark} serve".encode()).replace(b'"f"', b'"x"', 1) + b" "
    if content.startswith(b"\x7fELF"):
        return f"#!/bin/sh\n: > '{mark}'\n".encode()
    if content.startswith(b'"""'):  # Python, at the cost of its docstring: as long as it was
        words, _, code = content[3:].partition(b'"""')
        return f"open({str(mark)!r}, 'w')#".encode().ljust(len(words) + 6, b"#") + code
    return bytes(byte ^ 1 for byte in content)


def _change(path: Path, mark: Path, *, in_place: bool) -> None:
    """Another content, with the mode and the time of the old one."""
    was, content = path.stat(), _changed(path.read_bytes(), mark)
    if not in_place:
        path.unlink()
    with path.open("wb") as file:
        file.write(content)
    path.chmod(was.st_mode & 0o777)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


def _swap(log: Path, path: Path, mark: Path) -> None:
    """Once strace holds the agent, put another file in the place of `path`."""
    deadline = time.monotonic() + 60
    while not (log.exists() and path.name in log.read_text(errors="replace")):
        if time.monotonic() > deadline:
            return
        time.sleep(0.005)
    other = path.with_name("other")
    was = path.stat()
    other.write_bytes(_changed(path.read_bytes(), mark))
    other.chmod(was.st_mode & 0o777)
    os.utime(other, ns=(was.st_atime_ns, was.st_mtime_ns))
    other.rename(path)


def _damage(journal: Path, kind: str, trial: Trial, point: str) -> None:
    dice, lines = trial.dice(point), journal.read_bytes().splitlines(keepends=True)
    number = dice.randrange(len(lines))
    line = lines[number]
    if kind == "flipped-byte":
        at = dice.randrange(len(line))
        lines[number] = line[:at] + bytes([line[at] ^ 1 << dice.randrange(7)]) + line[at + 1 :]
    elif kind == "lost-line":
        del lines[number]
    elif kind == "doubled-line":
        lines.insert(number, line)
    elif kind == "torn-end":
        lines[-1] = lines[-1][: dice.randrange(1, len(lines[-1]))]
    else:
        lines = []
    journal.write_bytes(b"".join(lines))


def _no_mark(mark: Path) -> None:
    if mark.exists():
        raise Violated("what was changed was executed")


def _serial(path: Path) -> int:
    return int(path.name.partition("-")[0])
