"""What runs a release on a host: one small class a kind, all with the steps of `Service`."""

from __future__ import annotations

from typing import Protocol

from tagship.ship.plan import Step


class Service(Protocol):
    """Makes the steps that start, prove and stop what serves a release; changes nothing itself."""

    def start(self, host: str, release: str) -> Step:
        """Start all that `release` has on `host`, and probe it on its own socket where it answers requests."""

    def prove_own(self, host: str, release: str) -> Step:
        """Probe a `release` that runs already on its own socket; nothing to undo."""

    def halt(self, host: str, release: str) -> Step:
        """Wait until nobody is connected to `release`, then stop it; its undo starts it again."""

    def end(self, host: str, release: str) -> Step:
        """Stop a `release` that isn't well, waiting for nobody; its undo starts it again."""

    def discard(self, host: str, release: str) -> Step:
        """Stop a process that nobody needs again: no undo."""

    def open_front(self, host: str) -> tuple[Step, ...]:
        """Start the front door; nothing where the front isn't ours to start."""

    def close_front(self, host: str) -> tuple[Step, ...]:
        """Stop the front door, undone by starting it again; nothing where the front isn't ours to stop."""

    def prove(self, host: str, release: str) -> Step:
        """Prove that `release` answers through the front, where `host` has one, and that its units run."""
