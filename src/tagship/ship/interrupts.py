"""Ctrl-C, SIGTERM, a closed terminal while hosts change: the first is a wish that is heeded, the second an order.

An exception out of a signal can surface between any two lines, also between doing a step and noting that it was done;
so the first signal only sets a flag that the work looks at. The second raises KeyboardInterrupt, and later ones have
nothing to add. A terminal that closes gives no orders: its shell hands the kernel's SIGHUP on, so it comes twice.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Catches the signals inside a `with`; outside the main thread, where none arrive, it does nothing."""

    def __init__(self) -> None:
        self.wished = False
        self.wake: Callable[[], None] = _nothing
        """Called after the first signal, so that whoever waits looks at `wished`."""
        self._ordered = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._caught) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _caught(self, number: int, _frame: FrameType | None) -> None:
        if not self.wished:
            self.wished = True
            self.wake()
        elif number != signal.SIGHUP and not self._ordered:
            self._ordered = True
            raise KeyboardInterrupt


def _nothing() -> None:
    return
