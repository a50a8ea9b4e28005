"""From a stage of the configuration to a connected fleet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tagship import config
from tagship.errors import HostRefused, Refused, TagshipError, UsageError
from tagship.host import boot
from tagship.ship.fleet import Fleet, Place, Pulse, Question, raise_all
from tagship.ship.transport import LocalTransport

if TYPE_CHECKING:
    from tagship.ship.ssh import SshTransport

LOCAL_ROOT = ".tagship/local"
DEPLOY = "deploy"
"""Who logs in to hosts with units, where nothing else is said."""


def places(name: str, stage: config.Stage, app: str, project: Path) -> tuple[Place, ...]:
    """Where the hosts of the stage called `name` are, and how to reach them; the embedded stage has one, `local`.

    Relative paths are of `project`. Raises `UsageError` for two hosts of one name, a stage without hosts, or a root
    on a host that isn't absolute.
    """
    if not stage.hosts:
        if name != config.LOCAL_STAGE:
            raise UsageError(f"the stage `{name}` has no hosts", cure=f"give it some in {config.FILE_NAME}")
        root = project / (stage.root or LOCAL_ROOT)
        return (Place(config.LOCAL_STAGE, str(root.absolute()), stage.listens, LocalTransport()),)
    found: dict[str, Place] = {}
    for host in stage.hosts:
        called = host.name or host.host
        root_on_host = host.root or stage.root or f"/srv/{app}"
        if called in found:
            raise UsageError(f"the stage `{name}` has two hosts called {called}", cure="give one another `name:`")
        if not root_on_host.startswith("/"):
            raise UsageError(f"the root {root_on_host} of {called} is not absolute", cure="begin it with /")
        front, way = host.front or stage.listens, transport(host, stage, project)
        found[called] = Place(called, root_on_host, front, way, *_front_words(stage, front))
    return tuple(found.values())


def _front_words(stage: config.Stage, front: str) -> tuple[bool, str | None]:
    """Whether the front of a stage with units speaks TLS, and under which name nginx knows the site."""
    if not stage.runs_units:
        return False, None
    port = front.rpartition(":")[2]
    plain = {listen.rpartition(":")[2] for listen in stage.nginx.listen}
    names = [name for name in stage.nginx.names if not name.startswith("*")]
    return stage.nginx.tls is not None and port not in plain, names[0] if names else None


def transport(host: config.Host, stage: config.Stage, project: Path, *, user: str | None = None) -> SshTransport:
    """The way to a host of `stage`, as `user` instead of the one who deploys there.

    Where neither `user:` nor OpenSSH's configuration says who deploys to a host with units, it is `deploy`: whom
    `fab setup` makes.
    """
    from tagship.ship.ssh import SshTransport  # Fabric and Paramiko, only where they are used

    return SshTransport(
        host.name or host.host,
        host.host,
        user=user or host.user,
        port=host.port,
        identity=_file(project, host.identity),
        known_hosts=_file(project, host.known_hosts),
        usual=DEPLOY if stage.runs_units else None,
    )


def connect(
    name: str,
    stage: config.Stage,
    app: config.App,
    project: Path,
    *,
    pulse: Pulse | None = None,
    away: Mapping[str, str] | None = None,
    without: Callable[[list[str]], str] | None = None,
    meanwhile: Callable[[], None] = lambda: None,
) -> Fleet:
    """Connect to and survey every host of a stage; the caller closes the fleet, or uses it in a `with`.

    `app` is the application's settings, from the tag where there is one. `away` are hosts of the stage that `stage`
    leaves out here, by the flag that said so. `without` gives the command that goes on without the hosts that it is
    told, where there is one; `meanwhile` is called while they connect. Raises `UsageError`, `HostRefused`, or
    `Refused` for several hosts.
    """
    found = places(name, stage, app.name, project)
    asked, parallel = question(name, app), stage.rollout.parallel
    more = (boot.SCHEMA,) if app.schema else ()
    fleet = Fleet(found, asked, parallel=parallel, pulse=pulse or Pulse(), away=away, more=more)
    if lost := fleet.reach(meanwhile):
        fleet.close()
        raise_all(list(lost.values()) if without is None or not fleet.surveys else [unreached(lost, fleet, without)])
    return fleet


def unreached(lost: Mapping[str, TagshipError], fleet: Fleet, without: Callable[[list[str]], str]) -> TagshipError:
    """One refusal for all hosts that can't be reached while others can, with the command that skips them."""
    again = f"or go on without {'it' if len(lost) == 1 else 'them'}: {without(list(lost))}"
    if len(lost) == 1:
        ((host, error),) = lost.items()
        cure = f"{error.cure}; {again}" if error.cure else again
        return HostRefused(error.what, host=host, cure=cure, tail=error.tail)
    lines = [line for error in lost.values() for line in (*str(error).splitlines(), *(f"| {t}" for t in error.tail))]
    what = f"{len(lost)} of {len(fleet.hosts)} hosts can't be reached"
    return Refused(what, where=", ".join(lost), cure=f"see each below; {again}", tail=lines)


def look(
    name: str, stage: config.Stage, app: config.App, project: Path, *, away: Mapping[str, str] | None = None
) -> Fleet:
    """As `connect`, to look only: hosts that can't be reached are `lost`. Raises where there is none that can."""
    found = places(name, stage, app.name, project)
    return Fleet(found, question(name, app), parallel=stage.rollout.parallel, away=away).look()


def connect_live(name: str, stage: config.Stage, app: config.App, project: Path) -> Fleet:
    """As `connect`, with the part of the agent that knows logs, commands and the environment."""
    found = places(name, stage, app.name, project)
    return Fleet(found, question(name, app), parallel=stage.rollout.parallel, more=(boot.LIVE,)).connect()


def connect_to_verify(name: str, stage: config.Stage, app: config.App, project: Path) -> Fleet:
    """As `look`, with the parts of the agent that compare a host with what was recorded."""
    more = (boot.VERIFY, *((boot.OUTFIT,) if stage.runs_units else ()))
    found = places(name, stage, app.name, project)
    return Fleet(found, question(name, app), parallel=stage.rollout.parallel, more=more).look()


def question(name: str, app: config.App) -> Question:
    """What every host of a stage is asked in a survey."""
    return Question(app.name, name, app.python, app.shared.links, app.env)


def _file(project: Path, name: str | None) -> Path | None:
    return None if name is None else project / Path(name).expanduser()
