"""The verb `command`: what a release runs on the host before it is public (prepare, smoke)."""

from __future__ import annotations

import errno
import os
import time
from typing import Any, Callable

from tagship.host import environment, files, stored
from tagship.host.context import Args, Context
from tagship.host.faults import failed, from_os_error, usage
from tagship.host.layout import Layout

_PIECE = 1 << 20  # characters that are masked at once
_SPARE_BYTES, _SPARE_INODES = 64 << 10, 16  # less than this, and a command may well have failed for want of room


def command(context: Context, args: Args) -> dict[str, Any]:
    """Run `argv` in the release's tree with the release's environment; its output goes to a log."""
    release, title, argv = args.release(), args.text("title"), args.texts("argv")
    if not argv:
        raise usage("`argv` is empty")
    layout = context.layout
    declared = stored.read(layout, release)
    seconds = run(
        context,
        layout,
        environment.inside(layout, release, argv),
        env=environment.base(layout, release),
        cwd=layout.root,
        log=layout.command_log(release),
        title=title,
        secrets=environment.secrets(layout, declared),
        relayed=layout.ready is not None,
    )
    return {"seconds": seconds}


def run(
    context: Context,
    layout: Layout,
    argv: list[str],
    *,
    env: dict[str, str],
    cwd: str,
    log: str,
    title: str,
    secrets: dict[str, str],
    may_fail: bool = False,
    relayed: bool = False,
) -> float:
    """Run a command to its end and give its seconds; another user's is `relayed`, for we can't end it but by going.

    Where there are `secrets`, what it says reaches the log once it has ended, without them.

    Raises `failed` with the last 20 lines, secrets masked, where its status isn't 0, unless it `may_fail`.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    output = os.open(log, flags, 0o640)
    began = time.monotonic()
    try:
        size = os.fstat(output).st_size
        run_it = context.lifeline.relay if relayed else context.lifeline.run
        if any(secrets.values()):
            status = _masked(lambda raw: run_it(argv, env, cwd, raw), log, output, secrets)
        else:
            status = run_it(argv, env, cwd, output)
    finally:
        os.close(output)
    if status and not may_fail:
        from tagship.host.masking import mask  # only where there are last words to show

        if is_full(layout.root):  # then its last words, and whatever it was about to write, are lost
            full = from_os_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), title))
            full.tail = mask(files.tail(log, size), secrets)
            raise full
        how = "exit status {}".format(status) if status > 0 else "signal {}".format(-status)
        what = "{} failed: {}".format(title, how)
        where = os.path.relpath(log, layout.root)
        raise failed(
            mask([what], secrets)[0],
            "mend what the last lines say, tag again, deploy; the whole output is in {} on the host".format(where),
            mask(files.tail(log, size), secrets),
        )
    return round(time.monotonic() - began, 3)


def _masked(work: Callable[[int], int], log: str, output: int, secrets: dict[str, str]) -> int:
    """`work`, its output kept in a file without a name, and then appended to `output` without the secrets."""
    from tagship.host.masking import mask  # only where there is something to hide

    name = log + ".raw"
    files.remove(name)
    raw = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.unlink(name)
        try:
            return work(raw)
        finally:
            os.lseek(raw, 0, os.SEEK_SET)
            with os.fdopen(os.dup(raw), "r", errors="surrogateescape", newline="") as said:
                while lines := said.readlines(_PIECE):
                    text = "\n".join(mask("".join(lines).split("\n"), secrets))
                    files.write_all(output, text.encode(errors="surrogateescape"))
    finally:
        os.close(raw)


def is_full(path: str) -> bool:
    """Whether a filesystem has next to no bytes or inodes left."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize < _SPARE_BYTES or bool(found.f_files and found.f_favail < _SPARE_INODES)
