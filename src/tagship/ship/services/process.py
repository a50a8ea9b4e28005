"""A release as plain processes of the agent's user, behind tagship's own front door (docs/agent.md)."""

from __future__ import annotations

from dataclasses import dataclass

from tagship.ship.plan import Step
from tagship.ship.services.steps import ReleaseSteps


@dataclass(frozen=True)
class ProcessService(ReleaseSteps):
    """Steps for plain processes, and for the front door, which is one too."""

    def open_front(self, host: str) -> tuple[Step, ...]:
        """Start the front door."""
        listen = self.stage.fronts[host]
        return (Step(host, f"open the front door at {listen}", "front", {"listen": listen}, undo=("unfront", {})),)

    def close_front(self, host: str) -> tuple[Step, ...]:
        """Stop the front door; its undo starts it again."""
        undo = ("front", {"listen": self.stage.fronts[host]})
        return (Step(host, "close the front door", "unfront", undo=undo),)

    def prove(self, host: str, release: str) -> Step:
        """Prove that `release` is what answers through the front door, and that its units run."""
        if not self.stage.is_web(host):
            return Step(host, f"see that {release} runs", "probe", {"release": release, "front": None})
        args = {"release": release, "front": self.stage.fronts[host]}
        return Step(host, f"probe {release} through the front door", "probe", args)
