"""A release as units of systemd behind nginx, which `fab setup` made and which runs by itself (docs/adr/0009)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tagship.ship.plan import Step
from tagship.ship.services.steps import ReleaseSteps


@dataclass(frozen=True)
class SystemdService(ReleaseSteps):
    """Steps for units; the front is nginx's and no part of a deploy: it is asked, and neither opened nor closed."""

    asked: Mapping[str, Mapping[str, Any]]
    """Of each host, how its front is asked: `front` (ADDRESS:PORT), `tls`, `host`."""

    def open_front(self, host: str) -> tuple[Step, ...]:  # noqa: ARG002
        """Nothing: a host on which nginx doesn't listen is refused."""
        return ()

    def close_front(self, host: str) -> tuple[Step, ...]:  # noqa: ARG002
        """Nothing: it may serve others too."""
        return ()

    def prove(self, host: str, release: str) -> Step:
        """Prove that `release` is what answers through nginx, and that its units run."""
        if not self.stage.is_web(host):
            return Step(host, f"see that {release} runs", "probe", {"release": release, "front": None})
        return Step(host, f"probe {release} through nginx", "probe", {"release": release, **self.asked[host]})
