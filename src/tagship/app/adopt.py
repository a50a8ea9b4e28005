"""`fab adopt`: what serves the hosts of a stage already is taken over, by an admin, and given back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tagship.app.setup import Setup
from tagship.app.stage import OnStage, owner
from tagship.config import FILE_NAME
from tagship.errors import UsageError
from tagship.ship import connecting
from tagship.ship.adopt.findings import Wishes, shares_of
from tagship.ship.fleet import Fleet
from tagship.ship.outcome import Outcome
from tagship.ship.shipment import Made

if TYPE_CHECKING:
    from tagship.ship.adopt.carrying import Order
    from tagship.ship.setup.agents import Agents


@dataclass(frozen=True)
class Old:
    """The old service, in the words of the command line; empty where nothing was said."""

    upstream: str = ""
    public: str = ""
    shares: tuple[str, ...] = ()
    site: str = ""


@dataclass(frozen=True)
class Adopt:
    """A stage whose hosts serve something already; `admin` logs in to change them, `key` lets in who deploys."""

    fleet: OnStage
    admin: str
    key: Path | None

    def run(self, old: Old, *, dry: bool, wait: float = 0) -> Outcome:
        """Take it over; `dry` stops once it is told what was found and what would be done.

        `wait` is seconds to queue where somebody else is at work. Raises, with nothing changed, `UsageError`,
        `ConfigError`, `HostRefused`, `Refused`, `Locked`.
        """
        from tagship.ship.adopt.carrying import adopt  # Fabric and Jinja2, only where there are hosts

        order, agents = self._order(self._wishes(old))
        with agents:
            return self._in_turn(
                agents, order, dry, wait, lambda: adopt(agents, self._connect, order, self.fleet.listener, dry=dry)
            )

    def undo(self, *, dry: bool, wait: float = 0) -> Outcome:
        """Give it back: first a rollback to what was adopted, if something else is live. Raises as `run`."""
        from tagship.ship.adopt.undoing import give_back, notes_of  # as above

        order, agents = self._order(Wishes(None, None, (), None))

        def work() -> Outcome:
            notes = notes_of(agents, order)
            live = give_back(agents, self._connect, order, notes, self.fleet.listener, dry=True)
            if dry or live.outcome == "unchanged":
                return live
            if live.previous != live.release:
                rolled = self.fleet.rollback(live.release, wait=wait)
                if rolled.error is not None:
                    return rolled
            return give_back(agents, self._connect, order, notes, self.fleet.listener, dry=False)

        with agents:
            return self._in_turn(agents, order, dry, wait, work)

    def _in_turn(self, agents: Agents, order: Order, dry: bool, wait: float, work: Callable[[], Outcome]) -> Outcome:
        from tagship.ship.setup.turns import outfit_in_turn  # as above

        return work() if dry else outfit_in_turn(agents, order.name, wait, self.fleet.listener, work)

    def _connect(self) -> Fleet:
        project = self.fleet.project
        return connecting.connect(self.fleet.name, self.fleet.stage, project.config.app, project.root)

    def _order(self, wishes: Wishes) -> tuple[Order, Agents]:
        from tagship.ship.adopt.carrying import Order  # as above
        from tagship.ship.setup.agents import Agents

        stage, name, app = self.fleet.stage, self.fleet.name, self.fleet.project.config.app
        setup = Setup(self.fleet.project, name, stage, self.fleet.listener)
        admins, settings = setup.hosts(self.admin, self.key)
        names = [word for word in stage.nginx.names if not word.startswith("*")]
        asked = names[0] if names else app.probe.host
        made = Made(by=owner(), at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"))
        order = Order(f"{app.name}-{name}", stage, app, settings, wishes, made, dict.fromkeys(settings, asked))
        return order, Agents(admins, parallel=stage.rollout.parallel)

    def _wishes(self, old: Old) -> Wishes:
        shared, shares = self.fleet.project.config.app.shared, shares_of(old.shares)
        for name, _ in shares:
            if name not in (*shared.dirs, *shared.links):
                raise UsageError(
                    f"`{name}` isn't shared",
                    where=f"{FILE_NAME}: app.shared",
                    cure="name it in `dirs` (or `links`, for a file): then releases find it at that path",
                )
        public = old.public.rstrip("/") or None
        return Wishes(old.upstream or None, public, shares, old.site or None, frozenset(shared.links))
