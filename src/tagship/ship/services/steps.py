"""The steps that are the same whatever runs a release: how a release starts and is probed, its own record says."""

from __future__ import annotations

from dataclasses import dataclass

from tagship.ship.plan import Step
from tagship.ship.shipment import Stage


@dataclass(frozen=True)
class ReleaseSteps:
    """Steps for all that a release has on a host, from its start to its end."""

    stage: Stage

    def start(self, host: str, release: str) -> Step:
        """Start `release` and probe it on its own socket."""
        return Step(
            host,
            f"start {release} and {self._proof(host)}",
            "start",
            {"release": release},
            undo=("halt", {"release": release, "drain": self.stage.drain}),
        )

    def prove_own(self, host: str, release: str) -> Step:
        """Probe a `release` that runs already on its own socket; nothing to undo."""
        where = ", on its own socket" if self.stage.is_web(host) else ""
        return Step(host, f"probe {release}, which runs{where}", "start", {"release": release})

    def halt(self, host: str, release: str) -> Step:
        """Wait until nobody is connected to `release`, then stop it; its undo starts it again."""
        return Step(
            host,
            f"drain and stop {release}",
            "halt",
            {"release": release, "drain": self.stage.drain},
            undo=("start", {"release": release}),
        )

    def end(self, host: str, release: str) -> Step:
        """Stop a `release` that isn't well, waiting for nobody; its undo starts it again."""
        args = {"release": release, "drain": 0}
        return Step(
            host, f"stop {release}, which runs and isn't well", "halt", args, undo=("start", {"release": release})
        )

    def discard(self, host: str, release: str) -> Step:
        """Stop a process that nobody needs again: no undo."""
        args = {"release": release, "drain": self.stage.drain}
        return Step(host, f"stop {release}, which runs and isn't current", "halt", args)

    def _proof(self, host: str) -> str:
        return "probe it on its own socket" if self.stage.is_web(host) else "see that it runs"
