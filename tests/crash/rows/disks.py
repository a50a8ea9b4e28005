"""The disk: its power cut, and what was only in memory lost; full; out of inodes; read-only midway."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from crash import seen
from crash.carousel import Carousel, carousel
from crash.disks import LoopDisk, SmallDisk, contents, loop, small
from crash.matrix import Trial, Violated, fault
from crash.needs import root
from crash.oracles import journaled, o1_old_or_new, tag_of
from crash.running import Running, eventually, is_step

LEAK = 1 << 20
"""Bytes that a change that was put back may leave."""
PAGE = 4096
PASSING = ("run/", "state/log/", "state/front.json", "state/lock")
"""What is below the root and needn't survive a power cut: notes of processes, their words."""
LATE = 40.0
"""Seconds after a deploy in which the power may go."""


@fault(
    "power-cut", holds="O1-O3: old or new, no empty file, and what was told as done is there", needs=root("mkfs.ext4")
)
def power(trial: Trial) -> None:
    """An ext4 of the stage's own loses power at a random moment of a deploy, or of the time after it."""
    with carousel(trial.scratch) as turns, loop(trial.scratch / "disk", turns.host.root) as disk:
        turns.begin()
        began = time.monotonic()
        turns.world.must("deploy", "--tag", turns.after(turns.current))
        usual = time.monotonic() - began
        for point in trial.times(full=500, quick=4):
            with trial.at(point):
                dice = trial.dice(point)
                old, new = turns.current, turns.after(turns.current)
                if dice.random() < 0.4:  # also before it, and behind its end
                    told = _cut_within(turns, disk, new, dice.uniform(0, 1.1) * usual)
                    allowed, before = [new] if told else [old, new], {}
                else:
                    turns.world.must("deploy", "--tag", new)
                    allowed, before = [new], _lasting(turns.host.root)
                    time.sleep(dice.uniform(0, dice.choice((0.3, 2.0, 2.0, 5.0, LATE) if trial.full else (0.3, 2.0))))
                    disk.cut()
                _boot(turns, disk)
                _intact(turns, allowed, before)
                turns.world.converges(new)


def _cut_within(turns: Carousel, disk: LoopDisk, tag: str, seconds: float) -> bool:
    """Cut the power so long after the beginning of a deploy; gives whether that was told as done before."""
    running = turns.world.start("deploy", "--tag", tag)
    time.sleep(seconds)
    told = running.process.poll() == 0
    disk.cut()
    running.kill()
    running.ended()
    return told


def _boot(turns: Carousel, disk: LoopDisk) -> None:
    """End whatever ran, and mount the disk again as it is."""
    _end_all(turns)
    disk.unmount()
    disk.mount()
    disk.unmount()
    disk.check()
    disk.mount()


def _end_all(turns: Carousel) -> None:
    def nobody() -> bool:
        turns.world.kill()
        return not seen.commands(turns.world.project.home) and not seen.application(turns.host.root)

    eventually(nobody, 10.0, "all processes end by SIGKILL")


def _intact(turns: Carousel, allowed: list[str], before: Mapping[str, tuple[str, str]]) -> None:
    o1_old_or_new(turns.host, allowed)
    now = contents(turns.host.root)
    lost = sorted(name for name, was in before.items() if now.get(name) != was)
    if lost:
        raise Violated(f"O1: told as done, and lost or changed: {lost[:8]}, {len(lost)} in all")
    for release in journaled(turns.host, {"staged"}):
        folder = turns.host.root / "releases" / release
        if empty := _empty(folder):
            raise Violated(f"O1: empty files in {release}: {empty}")


def _lasting(root: Path) -> dict[str, tuple[str, str]]:
    return {name: found for name, found in contents(root).items() if not name.startswith(PASSING)}


def _empty(release: Path) -> list[str]:
    """Files of a release that hold nothing, and should."""
    manifest = release / "manifest.json"
    if not release.is_dir():
        return []
    rows = json.loads(manifest.read_text())["rows"] if manifest.stat().st_size else []
    right = {row[0] for row in rows if row[1] != "l" and row[3] == 0}
    found = (path for path in release.rglob("*") if path.is_file() and not path.is_symlink())
    return sorted({str(path.relative_to(release)) for path in found if not path.stat().st_size} - right)


@fault(
    "disk-full",
    holds="refused before a change, or put back; leak <= 1 MB; no request failed: O1-O3, O5, O6",
    needs=root("mkfs.ext4"),
)
def full_disk(trial: Trial) -> None:
    """A tmpfs with room for any part of a deploy: at its beginning, once it is planned; or none from a step on."""
    _short(trial, "size", step=PAGE)


@fault(
    "inodes-gone",
    holds="refused before a change, or put back; no request failed: O1-O3, O5, O6",
    needs=root("mkfs.ext4"),
)
def no_inodes(trial: Trial) -> None:
    """The same of inodes."""
    _short(trial, "inodes", step=1)


def _short(trial: Trial, what: str, *, step: int) -> None:
    with carousel(trial.scratch) as turns, small(turns.host.root) as disk:
        turns.begin()
        enough, steps = _measure(turns, disk, what)
        points = ["before-0", f"before-{enough}", *(f"midway-{room}" for room in range(0, enough, step))]
        points += [f"step-{number}" for number in range(steps)]
        for point in trial.choose(points, quick=6):
            with trial.at(point):
                when, _, number = point.partition("-")
                old, new, used = turns.current, turns.after(turns.current), disk.used[0]
                room = {what: 0 if when == "step" else int(number)}
                at = _at(int(number) if when == "step" else 0, disk.leave, **room)
                if when == "before":
                    disk.leave(**room)
                turns.watched("deploy", "--tag", new, tag=new, **({} if when == "before" else {"meanwhile": at}))
                disk.leave()
                turns.world.settled()
                if turns.current == old and disk.used[0] - used > LEAK:
                    raise Violated(f"{disk.used[0] - used} bytes are left of what was put back")
                turns.world.converges(trial.dice(point).choice((new, turns.after(old, new))))


@fault("rollback-on-a-full-disk", holds="a rollback needs no room: O1-O3, O5, O6", needs=root("mkfs.ext4"))
def back_on_full(trial: Trial) -> None:
    """A tmpfs without a free byte, or inode, or with a few: the rollback succeeds."""
    with carousel(trial.scratch) as turns, small(turns.host.root) as disk:
        turns.begin()
        rooms = [*(("size", pages * PAGE) for pages in (0, 1, 2, 4)), *(("inodes", count) for count in (0, 1, 2, 4))]
        for point in trial.choose([f"{what}-{room}" for what, room in rooms], quick=2):
            with trial.at(point):
                what, _, room = point.partition("-")
                old, new = tag_of(turns.before), turns.current
                assert old is not None
                disk.leave(**{what: int(room)})
                turns.watched("rollback", tag=old, exits=(0,))
                disk.leave()
                turns.world.converges(turns.after(old, new))


@fault(
    "read-only-midway",
    holds="told; what is live stays; once it can be written to, the next deploy goes through",
    needs=root("mkfs.ext4"),
)
def read_only(trial: Trial) -> None:
    """An ext4 that the kernel makes read-only at each step of a deploy."""
    with carousel(trial.scratch) as turns, loop(trial.scratch / "disk", turns.host.root) as disk:
        turns.begin()
        steps = turns.world.steps("deploy", "--tag", turns.after(turns.current))
        for point in trial.choose(range(steps), quick=3):
            with trial.at(point):
                new = turns.after(turns.current)
                at = _at(point, disk.make_read_only)
                turns.watched("deploy", "--tag", new, tag=new, exits=(0, 3, 4, 5), meanwhile=at)
                _end_all(turns)
                disk.unmount()
                disk.repair()
                disk.mount()
                turns.world.converges(new)


def _at(step: int, act: Callable[..., None], **words: int) -> Callable[[Running], None]:
    def meanwhile(running: Running) -> None:
        running.until(step)
        act(**words)

    return meanwhile


def _measure(turns: Carousel, disk: SmallDisk, what: str) -> tuple[int, int]:
    """How many bytes, or inodes, a deploy uses at its most, and a few more; how many step events it tells."""
    before, most, steps = disk.used, (0, 0), 0
    running = turns.world.start("deploy", "--tag", turns.after(turns.current))
    while (event := running.next()) is not None:
        steps += is_step(event)
        now = disk.used
        most = max(most[0], now[0] - before[0]), max(most[1], now[1] - before[1])
    running.ended()
    return most[what == "inodes"] + 2 * (1 if what == "inodes" else PAGE), steps
