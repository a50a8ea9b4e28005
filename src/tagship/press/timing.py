"""Where a build's time goes: phases of this process, and each file and text that was made."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Timing:
    """Seconds of each phase, in the order they came, and of each text and file that was rendered."""

    def __init__(self) -> None:
        self.phases: dict[str, float] = {}
        self.texts: dict[str, float] = {}
        self.files: dict[str, float] = {}
        self.began = time.perf_counter()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """The block is part of the phase `name`."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.phases[name] = self.phases.get(name, 0.0) + time.perf_counter() - began
