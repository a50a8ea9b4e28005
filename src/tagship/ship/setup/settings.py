"""What a host's outfit depends on: from tagship.yml's stage and application, checked."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tagship import config
from tagship.config import FILE_NAME
from tagship.errors import UsageError

LONGEST_USER = 32
"""Characters that Linux allows a user's name."""
WEB = "web"
_LOGIN = re.compile(r"[a-z_][a-z0-9_.-]{0,31}")
"""Who deploys stands in sudoers, where ALL, %group, #0 and a comma have a meaning of their own."""


@dataclass(frozen=True)
class Settings:
    """One host's part of a stage."""

    app: str
    stage: str
    root: str
    deploy: str
    """Who logs in."""
    user: str
    """The service user."""
    keys: tuple[str, ...]
    """Lines of authorized_keys."""
    keys_shown: str
    web: bool
    """It answers requests, so it has nginx."""
    runs: bool
    """There is an application to pass requests to."""
    shared: tuple[str, ...]
    served: tuple[str, ...]
    stop_seconds: int
    memory: str | None
    nginx: config.Nginx
    template: str | None = None
    """The text of the project's own template of the site."""

    @property
    def name(self) -> str:
        """APP-STAGE: what units, files and folders are called."""
        return f"{self.app}-{self.stage}"

    @property
    def conf(self) -> str:
        """Our note on the host, the helper's only truth."""
        return f"/etc/tagship/{self.name}.json"


def settings_of(
    app: config.App,
    name: str,
    stage: config.Stage,
    host: config.Host,
    *,
    deploy: str,
    keys: Sequence[str],
    keys_shown: str,
    template: str | None,
) -> Settings:
    """What the outfit of `host` depends on; `deploy` is who logs in there. Raises `UsageError`."""
    if not _LOGIN.fullmatch(deploy):
        raise UsageError(
            f"`{deploy}` can't be who deploys: sudoers would take it for something else",
            where=host.name or host.host,
            cure="set `user:` of this host to a name of a-z, 0-9 and . _ -",
        )
    user = service_user(app.name, name, stage)
    for taken, whose in ((deploy, "who deploys"), (stage.nginx.user, "nginx's")):
        if user == taken:
            raise UsageError(
                f"the service user {user} must not be {whose}",
                where=f"{FILE_NAME}: stages.{name}.service.user",
                cure="leave it out: the names of app and stage, joined by `-`",
            )
    return Settings(
        app=app.name,
        stage=name,
        root=(host.root or stage.root or f"/srv/{app.name}").rstrip("/"),
        deploy=deploy,
        user=user,
        keys=tuple(keys),
        keys_shown=keys_shown,
        web=WEB in host.roles,
        runs=app.start is not None,
        shared=app.shared.dirs,
        served=app.shared.served,
        stop_seconds=max(10, math.ceil(stage.drain)),
        memory=stage.service.memory.upper() if stage.service.memory else None,
        nginx=stage.nginx,
        template=template,
    )


def service_user(app: str, name: str, stage: config.Stage) -> str:
    """Who runs releases on the hosts of the stage called `name`; raises `UsageError` where the name is too long."""
    user = stage.service.user or f"{app}-{name}"
    if len(user) > LONGEST_USER:
        raise UsageError(
            f"{user} is too long for a user's name: {len(user)} characters, {LONGEST_USER} are allowed",
            where=f"{FILE_NAME}: stages.{name}.service.user",
            cure="set it to a shorter one",
        )
    return user
