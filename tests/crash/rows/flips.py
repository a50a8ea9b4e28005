"""The flip itself: whoever reads `current` meanwhile, and what is on disk before it and after it."""

from __future__ import annotations

import re
import threading
from pathlib import Path

from crash.matrix import Trial, Violated, fault
from crash.needs import programs
from crash.oracles import Standing, Visitors, current, tag_of
from crash.shim import Shim
from crash.worlds import World, embedded

SLOW = ("rename", "renameat", "renameat2", "symlink", "symlinkat", "unlink", "unlinkat", "link", "linkat")
DELAY = 200_000
"""Microseconds before and after each of these calls, where they name the link."""
STRACE = ("strace", "--daemonize=grandchild", "--quiet=attach,exit,path-resolution,personality", "--signal=none")
_SYNCED = re.compile(r"\b(syncfs|sync)\(.*= 0$|<\.\.\. (syncfs|sync) resumed>.*= 0$")
_CHANGES = (
    "openat(",
    "write(",
    "pwrite64(",
    "rename",
    "link",
    "symlink",
    "unlink",
    "mkdir",
    "fchmod",
    "chmod",
    "utimens",
)


@fault(
    "current-is-read-while-it-flips",
    holds="it names the old release or the new one at every moment; O6",
    needs=programs("strace"),
)
def read(trial: Trial) -> None:
    """Every call by which the agent touches the link is slowed down; a reader looks at it all the while."""
    with embedded(trial.scratch) as world:
        shim = _ready(world, trial.scratch)
        for number in trial.times(full=100, quick=1):
            with trial.at(number):
                words, tag = _next(number)
                root = world.hosts[0].root
                calls = ",".join(SLOW)
                paths = ["-P", str(root / "current"), "-P", str(root / "current.new")]
                slow = f"--inject={calls}:delay_enter={DELAY}:delay_exit={DELAY}"
                log = trial.scratch / "slow.log"
                shim.next_under([*STRACE, f"--output={log}", *paths, f"--trace={calls}", slow])
                with Visitors(world.hosts[0]) as visitors, Reader(world.hosts[0]) as reader:
                    world.must(*words)
                if "DELAYED" not in log.read_text():
                    raise Violated("the harness: no call was slowed down")
                visitors.o6_none_failed()
                reader.never_missing()
                world.whole([tag])


@fault(
    "synced-before-it-is-public",
    holds="all of a release is on disk before `current` names it, and then the link is",
    needs=programs("strace"),
)
def synced(trial: Trial) -> None:
    """What the kernel is asked, in its order, by an agent that deploys: read off strace's log."""
    with embedded(trial.scratch) as world:
        shim = _ready(world, trial.scratch)
        for number in trial.times(full=3, quick=1):
            with trial.at(number):
                tag = f"v{2 + number % 2}"
                log = trial.scratch / f"calls-{number}.log"
                calls = "--trace=%desc,%file,sync,syncfs,fsync"
                shim.next_under([*STRACE, f"--output={log}", "-f", "-y", "--string-limit=200", calls])
                world.must("deploy", "--tag", tag)
                _in_order(log.read_text(errors="replace"), world.hosts[0])


def _ready(world: World, folder: Path) -> Shim:
    for tag in ("v1", "v2", "v3"):
        world.tag(tag)
    world.must("deploy", "--tag", "v1")
    world.must("deploy", "--tag", "v2")
    shim = Shim(folder / "shim")
    shim.put_before(world.project.env)
    return shim


def _next(number: int) -> tuple[tuple[str, ...], str]:
    """A deploy and a rollback in turn: the words, and the tag that is live afterwards."""
    if number % 2:
        return ("deploy", "--tag", "v3"), "v3"
    return ("rollback",), "v2"


def _in_order(log: str, host: Standing) -> None:
    now = current(host)
    release, root = f"{host.root}/releases/{now}/", str(host.root)
    lines = log.splitlines()
    flips = [n for n, line in enumerate(lines) if f'"{root}/current.new", "{root}/current")' in line]
    if len(flips) != 1:
        raise Violated(f"the harness: {len(flips)} flips in strace's log")
    (flip,) = flips
    agent = lines[flip].split()[0]
    mine = [(n, line) for n, line in enumerate(lines) if line.split()[0] == agent]
    syncs = [n for n, line in enumerate(lines[:flip]) if _SYNCED.search(line)]
    late = [
        line
        for n, line in mine
        if (syncs[-1] if syncs else -1) < n < flip and release in line and _is_change(line, release)
    ]
    if not syncs or late:
        raise Violated(f"{now} is made public, and this was never synced: {late[-3:] or 'all of it'}")
    after = [line for n, line in mine if n > flip]
    told = next(n for n, line in enumerate(after) if "journal.jsonl>" in line and " write(" in line)
    if not any(f"<{root}>)" in line and " fsync(" in line for line in after[:told]):
        raise Violated("the flip is journaled before the link is on disk")


def _is_change(line: str, release: str) -> bool:
    call = line.split(maxsplit=1)[1]
    if call.startswith("openat("):
        return "O_CREAT" in call or "O_TRUNC" in call
    return call.startswith(_CHANGES)


class Reader:
    """Somebody who reads `current` again and again."""

    def __init__(self, host: Standing) -> None:
        self._host = host
        self._wrong: list[str] = []
        self._reads = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def _read(self) -> None:
        while not self._over.wait(0.005):
            self._reads += 1
            try:
                if tag_of(current(self._host)) is None:
                    self._wrong.append("nothing")
            except Violated as violated:
                self._wrong.append(str(violated))

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def never_missing(self) -> None:
        """It named a release at every look."""
        if self._wrong or not self._reads:
            raise Violated(f"O1: of {self._reads} looks, {len(self._wrong)} found: {sorted(set(self._wrong))}")
