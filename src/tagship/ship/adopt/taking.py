"""A change of several hosts in phases, each with its way back: all of it is done, or all of it is put back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tagship.errors import Degraded, Interrupted, Locked, Refused, Restored, TagshipError
from tagship.events import Event, Listener, note
from tagship.ship.interrupts import Interrupts
from tagship.ship.setup.agents import Agents
from tagship.ship.setup.resources import Resource

Undo = Callable[[], None]


class Taking:
    """Carries phases out on `agents`' hosts, side by side; remembers by host how to put each back."""

    def __init__(self, agents: Agents, name: str, listener: Listener, interrupts: Interrupts, *, owner: str) -> None:
        self.agents = agents
        self._name = name
        self._owner = owner
        self._tell = listener
        self._interrupts = interrupts
        self._owed: dict[str, list[tuple[str, Undo]]] = {}
        self._left: dict[str, list[str]] = {}

    def phase(self, name: str, work: Callable[[str], None], hosts: Iterable[str]) -> None:
        """`work` on each of `hosts`. Raises what the first ran into, `Interrupted` if that was wished meanwhile."""
        chosen = list(hosts)
        self._tell(Event("phase", data={"phase": name, "hosts": len(chosen), "total": 1}))
        crew = self.agents.crew(work, chosen)
        crew.wait()
        for host in chosen:
            if host in crew.errors:
                raise crew.errors[host]
        if self._interrupts.wished:
            raise Interrupted(f"interrupted during `{name}`")

    def owe(self, host: str, title: str, undo: Undo) -> None:
        """Remember how to put something back; what was owed last comes first."""
        self._owed.setdefault(host, []).append((title, undo))

    def take(self, host: str, resources: tuple[Resource, ...], **more: Any) -> None:
        """Have the agent make `resources`; that is put back by itself if it fails, and owed if it doesn't."""
        args = {"name": self._name, "owner": self._owner, "resources": [one.row() for one in resources], **more}
        self.agents.call(host, "take", args, lambda _done, _total, _unit: None)
        self.owe(host, "files", lambda: self._back(host))

    def keep(self, host: str) -> None:
        """What was made stays."""
        self.agents.call(host, "keep", {"name": self._name}, lambda _done, _total, _unit: None)
        self._owed.pop(host, None)

    def put_back(self, error: TagshipError, stands: Mapping[str, str]) -> TagshipError:
        """Put every host back, and give the error to end with; `stands` tells hosts that stay as they are."""
        crew = self.agents.crew(self._put_back_one, list(self._owed))
        crew.wait()
        for host, problem in crew.errors.items():
            if not isinstance(problem, TagshipError):
                raise problem
            self._left.setdefault(host, []).append(str(problem))
        self._forget()
        if not self._left:
            if isinstance(error, Refused | Locked | Interrupted):
                return error
            return Restored(error.what, where=error.where, cure=error.cure, tail=error.tail)
        hosts = dict.fromkeys(self.agents.hosts, "as it was") | dict(stands)
        hosts |= {host: f"not all was put back: {'; '.join(left)}" for host, left in self._left.items()}
        return Degraded(error.what, hosts=hosts, where=error.where, cure=error.cure, tail=error.tail)

    def _forget(self) -> None:
        """Where all was put back, the agent ends what it had begun."""
        for host in self.agents.hosts:
            if host not in self._left:
                try:
                    self._back(host)
                except TagshipError as error:
                    note(self._tell, f"its agent is gone: {error.what}", level="warning", host=host)

    def _put_back_one(self, host: str) -> None:
        note(self._tell, "putting it back", host=host)
        for title, undo in reversed(self._owed.get(host, [])):
            try:
                undo()
            except TagshipError as error:
                self._left.setdefault(host, []).append(f"{title}: {error.what}")

    def _back(self, host: str) -> None:
        answer = self.agents.call(host, "back", {"name": self._name}, lambda _done, _total, _unit: None)
        if answer["left"]:
            self._left.setdefault(host, []).extend(answer["left"])
