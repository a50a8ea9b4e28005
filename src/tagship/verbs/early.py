"""Ctrl-C before a verb has begun: Invoke would leave with 1 and without a word, as if the verb had failed.

What comes before the first import of ours, and is Fabric's own, ends as Python ends: by the signal itself.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

EXIT = 130
WORDS = b"interrupted: nothing was begun\n"


def watch() -> None:
    """Until `over`, Ctrl-C ends the program with exit code 130, unless a task of the project's own runs."""
    plain = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if plain and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _caught)


def over() -> None:
    """A verb begins, and says by itself what becomes of it."""
    if signal.getsignal(signal.SIGINT) is _caught:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _caught(number: int, frame: FrameType | None) -> None:
    if _is_early(frame):
        os.write(2, WORDS)
        os._exit(EXIT)  # nothing is open, and Invoke would make another code of any exception
    signal.default_int_handler(number, frame)


def _is_early(frame: FrameType | None) -> bool:
    """Whether a program of Invoke's has been started, and no task of it but, perhaps, a verb of ours."""
    while frame is not None:
        name = str(frame.f_globals.get("__name__"))
        if name.startswith("tagship.verbs."):
            return True
        if (name, frame.f_code.co_name) == ("invoke.tasks", "__call__"):
            return False
        if (name, frame.f_code.co_name) == ("invoke.program", "run"):
            return True
        frame = frame.f_back
    return False
