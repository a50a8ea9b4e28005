"""Queueing where another `fab setup` or `fab adopt` is under way: one at a time may outfit a host."""

from __future__ import annotations

from collections.abc import Callable

from tagship.errors import Locked
from tagship.events import Listener
from tagship.ship.outcome import Outcome
from tagship.ship.setup.agents import Agents
from tagship.ship.waiting import Holder, Turn, held


def outfit_in_turn(agents: Agents, name: str, wait: float, tell: Listener, work: Callable[[], Outcome]) -> Outcome:
    """What `work` returns, which looks at hosts and changes them; where somebody was quicker, again later.

    `name` is APP-STAGE, `wait` seconds to queue. Raises what `work` raises, `Locked` once that time is over,
    `Interrupted`.
    """
    turn, nothing = Turn(wait, tell), {"name": name, "resources": []}

    def look(host: str) -> Holder | None:
        return _told(agents.ask("look", {host: nothing})[host]["holder"])

    while True:
        try:
            for host, answer in agents.ask("look", dict.fromkeys(agents.hosts, nothing)).items():
                if (holder := _told(answer["holder"])) is not None:
                    raise held(holder, host)
            outcome = work()
            if isinstance(outcome.error, Locked):
                raise outcome.error
            return outcome
        except Locked as locked:
            turn.await_free(locked, look)


def _told(holder: Holder | None) -> Holder | None:
    return None if holder is None else {key: str(value) for key, value in holder.items()}
