"""The other end of `pool`: does what its parent says, step by step, and answers over its standard streams."""

from __future__ import annotations

import gc
import pickle
import signal
import struct
import sys
from typing import Any, BinaryIO, cast

from tagship.press.share import Order, Share

SILENT = frozenset({"know", "learn"})
"""Steps that nobody waits for an answer to."""


def send(stream: BinaryIO, value: object) -> None:
    """Write one message: its length in eight bytes, then a pickle."""
    data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    stream.write(struct.pack(">Q", len(data)))
    stream.write(data)
    stream.flush()


def receive(stream: BinaryIO) -> object:
    """Read one message; raises `EOFError` when the other side is gone."""
    head = stream.read(8)
    if len(head) < 8:
        raise EOFError
    (length,) = struct.unpack(">Q", head)
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return pickle.loads(data)  # noqa: S301 - a private pipe between a process of ours and its own child


def main() -> None:
    """Serve one build; Ctrl-C reaches the whole group of processes, and the parent decides what it means."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()
    commands, answers = sys.stdin.buffer, sys.stdout.buffer
    share = Share(*cast(tuple[Order, str], receive(commands)))
    while True:
        try:
            step, *args = cast(tuple[Any, ...], receive(commands))
        except EOFError:
            return
        try:
            answer = getattr(share, step)(*args)
        except Exception as error:
            answer = error
        if step not in SILENT:
            send(answers, answer)


if __name__ == "__main__":
    main()
