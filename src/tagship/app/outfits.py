"""What `fab setup` makes on each host of a stage, for the verbs that look whether it is still so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tagship import config
from tagship.app.stage import OnStage
from tagship.errors import ConfigError
from tagship.ship import connecting

Outfits = Mapping[str, list[tuple[str, Mapping[str, Any]]]]
"""By host, the titles and rows of its resources, in the order in which they are made."""


def outfits(on: OnStage, app: config.App) -> Outfits:
    """The outfit of every host; none where plain processes serve the stage.

    Raises `HostRefused` where it can't be told how a host is reached, `ConfigError` for a template of nginx's site
    that can't be read or filled in.
    """
    if not on.stage.hosts or not on.stage.runs_units:
        return {}
    from tagship.ship.setup.settings import settings_of  # Jinja2, only where there is something to fill in
    from tagship.ship.setup.wanted import wanted

    found: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    text = _template(on)
    for host in on.stage.hosts:
        endpoint = connecting.transport(host, on.stage, on.project.root).endpoint()
        settings = settings_of(
            app, on.name, on.stage, host, deploy=endpoint.user, keys=(), keys_shown="", template=text
        )
        found[host.name or host.host] = [(one.title, one.row()) for one in wanted(settings)]
    return found


def _template(on: OnStage) -> str | None:
    name = on.stage.nginx.template
    if name is None:
        return None
    path = on.project.root / name
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"can't be read ({error})", path=path, cure="mend the template") from None
