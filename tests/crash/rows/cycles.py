"""A thousand changes: what a host holds is the same after each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from crash import seen
from crash.matrix import Trial, Violated, fault
from crash.oracles import tag_of
from crash.worlds import World, embedded

WARM = 3
"""Pairs of a deploy and a rollback after which as much goes as comes."""
LOGS = 25
"""Pairs after which that is so of the logs too, of which the newest 20 serials' stay."""
ROOM = 64 << 10
"""Bytes by which the disk's blocks may differ: folders keep the size that they once had."""
GROWS = "state/journal.jsonl"


@dataclass(frozen=True)
class Held:
    """What a host holds."""

    disk: int
    """Bytes of blocks, each inode once; without the journal, which tells all that ever was."""
    inodes: int
    processes: int
    logs: int
    """Files among the logs, which count for neither of the two above."""
    journal: int
    """Bytes."""


@fault("cycles", holds="disk, inodes and processes flat")
def cycles(trial: Trial) -> None:
    """1,000 alternating deploys and rollbacks; every deploy is of a tag that was pruned meanwhile."""
    pairs = trial.times(full=500, quick=6)
    with embedded(trial.scratch) as world:
        world.project.edit("tagship.yml", r"(?m)^  local:\n", "  local:\n    keep: 1\n")
        for tag in ("v1", "v2", "v3"):
            world.tag(tag)
        held: list[Held] = []
        began = time.monotonic()
        with _looping(world) as loop:
            loop.do("deploy v1", "v1")
            for pair in pairs:
                with trial.at(pair):
                    loop.do(f"deploy v{2 + pair % 2}", f"v{2 + pair % 2}")
                    loop.do("rollback", "v1")
                    held.append(_held(world))
                    _flat(held)
                    if pair % 50 == 0 or pair == pairs[-1]:
                        world.whole(["v1"])
                        world.clean()
        _note(trial, held, time.monotonic() - began)


class Loop:
    """Verbs, one after another, in one process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def do(self, words: str, tag: str) -> None:
        """Do as `words` say, which must lead to `tag`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{words}\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or '{"exit": "no answer"}')
        if answer["exit"] != 0 or tag_of(answer["release"]) != tag:
            raise Violated(f"`{words}` should lead to {tag}: {answer}")


@contextmanager
def _looping(world: World) -> Iterator[Loop]:
    paths = [str(Path(__file__).parents[2]), *filter(None, [world.project.env.get("PYTHONPATH")])]
    with subprocess.Popen(
        [sys.executable, "-m", "crash.loop", world.stage],
        cwd=world.project.folder,
        env={**world.project.env, "PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Loop(process)
        finally:
            process.kill()


def _held(world: World) -> Held:
    (host,) = world.hosts
    blocks: dict[int, int] = {}
    logs = 0
    for folder, _folders, files in os.walk(host.root):
        for path in [folder, *(os.path.join(folder, name) for name in files)]:  # noqa: PTH118
            status = os.lstat(path)
            if "/state/log/" in path:
                logs += 1
            elif not path.endswith(GROWS):
                blocks[status.st_ino] = status.st_blocks * 512
    journal = (host.root / GROWS).stat().st_size
    processes = [line for line in seen.commands(world.project.home).values() if "crash.loop" not in line]
    return Held(sum(blocks.values()), len(blocks), len(processes), logs, journal)


def _flat(held: list[Held]) -> None:
    if len(held) <= WARM:
        return
    first, now = held[WARM - 1], held[-1]
    if abs(now.disk - first.disk) > ROOM or now.inodes != first.inodes or now.processes != first.processes:
        raise Violated(f"after {WARM} pairs a host held {first}, after {len(held)} {now}")
    if len(held) > LOGS and now.logs != held[LOGS - 1].logs:
        raise Violated(f"after {LOGS} pairs there were {held[LOGS - 1].logs} logs, after {len(held)} {now.logs}")


def _note(trial: Trial, held: list[Held], seconds: float) -> None:
    if len(held) > WARM:
        first, now = held[WARM - 1], held[-1]
        each = (now.journal - first.journal) / (len(held) - WARM) / 2
        trial.notes.append(
            f"{2 * len(held)} changes, {seconds / 2 / len(held):.2f} s each; from the {2 * WARM}th to the last: "
            f"disk {first.disk / 1e6:.2f} to {now.disk / 1e6:.2f} MB, inodes {first.inodes} to {now.inodes}, "
            f"processes {first.processes} to {now.processes}; the journal grows by {each:.0f} bytes a change"
        )
