"""`fab setup`: the hosts of a stage, made ready by an admin."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tagship.app.project import Project
from tagship.config import FILE_NAME, Stage
from tagship.errors import ConfigError, UsageError
from tagship.events import Listener
from tagship.ship import connecting
from tagship.ship.outcome import Outcome

if TYPE_CHECKING:
    from tagship.ship.setup.agents import Admin
    from tagship.ship.setup.settings import Settings


@dataclass(frozen=True)
class Setup:
    """A stage whose hosts are to be made ready."""

    project: Project
    name: str
    stage: Stage
    listener: Listener

    def run(self, *, admin: str, key: Path | None, dry: bool, owner: str, wait: float = 0) -> Outcome:
        """Look at every host as `admin`, tell what differs, and make it; `dry` stops once that is told.

        `key` is a file of public keys that are let in, instead of those of the identities used; `wait` is seconds to
        queue where another setup is under way, of which `owner` is told. Raises, with nothing changed, `UsageError`,
        `ConfigError`, `HostRefused`, `Refused`, `Locked`.
        """
        from tagship.ship.setup.agents import Agents  # Fabric and Jinja2, only where there are hosts
        from tagship.ship.setup.carrying import set_up
        from tagship.ship.setup.turns import outfit_in_turn
        from tagship.ship.setup.wanted import wanted

        admins, settings = self.hosts(admin, key)
        outfits = {host: wanted(of) for host, of in settings.items()}
        name = f"{self.project.config.app.name}-{self.name}"
        with Agents(admins, parallel=self.stage.rollout.parallel) as agents:

            def work() -> Outcome:
                return set_up(agents, name, self.name, outfits, self.listener, owner=owner, dry=dry)

            return work() if dry else outfit_in_turn(agents, name, wait, self.listener, work)

    def hosts(self, admin: str, key: Path | None) -> tuple[list[Admin], dict[str, Settings]]:
        """How `admin` reaches every host, and what its outfit depends on. Raises `UsageError`, `ConfigError`."""
        if not self.stage.hosts or not self.stage.runs_units:
            raise UsageError(
                f"the stage `{self.name}` needs no setup: plain processes serve it",
                where=FILE_NAME,
                cure="--stage one with hosts and `service: {kind: systemd}`, which is the default there",
            )
        from tagship.ship.setup.agents import Admin  # as above
        from tagship.ship.setup.keys import keys_for, shown
        from tagship.ship.setup.settings import settings_of

        app, root = self.project.config.app, self.project.root
        template = self._template()
        admins, settings = [], {}
        for host in self.stage.hosts:
            called = host.name or host.host
            endpoint = connecting.transport(host, self.stage, root).endpoint()
            keys = keys_for(endpoint, key)
            settings[called] = settings_of(
                app,
                self.name,
                self.stage,
                host,
                deploy=endpoint.user,
                keys=keys,
                keys_shown=shown(keys),
                template=template,
            )
            admins.append(Admin(called, admin, connecting.transport(host, self.stage, root, user=admin)))
        return admins, settings

    def _template(self) -> str | None:
        """The text of the project's own template of nginx's site. Raises `ConfigError`."""
        name = self.stage.nginx.template
        if name is None:
            return None
        try:
            return (self.project.root / name).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"can't be read: {error}",
                path=name,
                key=f"stages.{self.name}.nginx.template",
                cure="make it, or leave the key out: then tagship's own is used",
            ) from None
