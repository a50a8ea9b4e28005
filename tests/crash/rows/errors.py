"""The kernel refuses a call of the agent: no room, no quota, a broken disk, a filesystem gone read-only."""

from __future__ import annotations

from crash.carousel import TAGS, carousel
from crash.matrix import Trial, fault
from crash.needs import programs

ERRORS = ("ENOSPC", "EIO", "EDQUOT", "EROFS")
MAY_FAIL = (
    *("openat", "write", "pwrite64", "writev", "fsync", "fdatasync", "syncfs", "ftruncate", "fallocate"),
    *("rename", "renameat", "link", "linkat", "symlink", "symlinkat", "mkdir", "mkdirat", "utimensat", "fchmod"),
    *("unlink", "unlinkat", "rmdir"),
)


@fault(
    "syscall-fails-in-a-deploy",
    holds="put back, or live with a warning; told so; no request failed; the next deploy goes through: O1-O3, O5, O6",
    needs=programs("strace"),
)
def deploy(trial: Trial) -> None:
    """Each call that changes anything fails once, with each error that a disk has; strace sees to it."""
    with carousel(trial.scratch) as turns:
        turns.begin()
        tag = turns.after(turns.current)
        calls = [point for point in turns.counted("deploy", "--tag", tag, tag=tag) if point.call in MAY_FAIL]
        points = {f"{error}:{call}": (error, call) for call in calls for error in ERRORS}
        for point in trial.choose(list(points), quick=5):
            with trial.at(point):
                error, call = points[point]
                _, met = turns.struck(call, f"error={error}", turns.deploying)
                if not met:
                    trial.notes.append(f"{point} did not come again")
                turns.world.converges(trial.dice(point).choice(TAGS))
