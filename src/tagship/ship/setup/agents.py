"""The hosts of a stage, each with an agent under root: what `fab setup` looks at and changes them through."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from tagship.errors import HostFailed, HostRefused, LinkLost, TagshipError
from tagship.host import boot
from tagship.ship.crew import Crew
from tagship.ship.fleet import START, raise_all
from tagship.ship.link import AgentLink, Progress
from tagship.ship.transport import Transport

T = TypeVar("T")
SUDO = ("sudo", "-n", "--")


@dataclass(frozen=True)
class Admin:
    """One host, and how an admin reaches it."""

    host: str
    user: str
    transport: Transport

    def open(self) -> AgentLink:
        """Start an agent under root. Raises `HostRefused`."""
        sudo = () if self.user == "root" else SUDO
        link = AgentLink(self.host, self.transport.connect([*sudo, *boot.argv()]))
        try:
            link.open(boot.greeting(boot.OUTFIT), START)
        except BaseException as error:
            link.close()
            if isinstance(error, HostRefused) and sudo and not self._may_sudo():
                raise HostRefused(
                    f"{self.user} may not become root there without a password",
                    host=self.host,
                    cure="--admin another one, such as root; or let that one: `NOPASSWD:` in sudoers (visudo)",
                    tail=error.tail,
                ) from None
            raise
        return link

    def _may_sudo(self) -> bool:
        channel = self.transport.connect([*SUDO, "true"])
        try:
            return channel.status() == 0
        finally:
            channel.close()


class Agents:
    """Links to the agents of all hosts; a context manager that closes them.

    Entering raises `HostRefused`, or `Refused` that names all hosts which can't be reached.
    """

    def __init__(self, admins: Iterable[Admin], *, parallel: int) -> None:
        self._admins = {admin.host: admin for admin in admins}
        self._parallel = parallel
        self._links: dict[str, AgentLink] = {}

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(self._admins)

    @property
    def bytes_sent(self) -> int:
        """Over all links."""
        return sum(link.bytes_sent for link in self._links.values())

    def __enter__(self) -> Agents:
        crew = Crew(self._open, self.hosts, self._parallel)
        try:
            crew.wait()
            raise_first(crew)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every link; agents that are still at work put back what they changed."""
        links = dict(self._links)
        Crew(lambda host: links[host].close(), links, self._parallel).wait()

    def ask(self, verb: str, questions: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        """Ask each host of `questions` a verb that changes nothing. Raises `HostRefused`, `Refused` for several."""

        def one(host: str) -> dict[str, Any]:
            try:
                return self._links[host].call(verb, questions[host])
            except HostFailed as error:
                raise HostRefused(error.what, host=host, cure=error.cure, tail=error.tail) from error

        crew = Crew(one, questions, self._parallel)
        crew.wait()
        raise_first(crew)
        return {host: crew.results[host] for host in questions}

    def call(self, host: str, verb: str, args: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        """Ask one host for a verb that changes it. Raises as `AgentLink.call`."""
        return self._links[host].call(verb, args, on_progress=progress)

    def crew(self, work: Callable[[str], T], hosts: Iterable[str]) -> Crew[T]:
        """Begin `work` on `hosts` side by side."""
        return Crew(work, hosts, self._parallel)

    def _open(self, host: str) -> None:
        self._links[host] = self._admins[host].open()


def raise_first(crew: Crew[Any]) -> None:
    """Raise what a crew ran into: a bug of ours as it is, all refusals together."""
    problems = list(crew.errors.values())
    for problem in problems:
        if not isinstance(problem, TagshipError) or isinstance(problem, LinkLost):
            raise problem
    raise_all([problem for problem in problems if isinstance(problem, TagshipError)])
