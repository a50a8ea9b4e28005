"""`fab setup`: makes bare hosts ready, as an admin; everything after it goes without one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from tagship.config import LOCAL_STAGE
from tagship.verbs import console
from tagship.verbs.staged import HELP, is_dry, on_stage

if TYPE_CHECKING:
    from tagship.app.stage import OnStage
    from tagship.report import Report
    from tagship.ship.outcome import Outcome

_ADMIN = {
    "admin": "who logs in to set up: root, or somebody who may `sudo` without a password",
    "key": "a file of public keys to let in who deploys, instead of those that you log in with",
    "wait": console.WAIT,
}


@task(help={**HELP, **_ADMIN})
def setup(
    context: Context,
    stage: str = LOCAL_STAGE,
    admin: str = "root",
    key: str = "",
    limit: str = "",
    wait: str = "",
    json: bool = False,
) -> None:
    """Make hosts ready for deploys: users, units, nginx."""

    def work(fleet: OnStage, report: Report) -> Outcome:
        from tagship.app.setup import Setup  # only when the verb runs, so that `fab --list` stays quick
        from tagship.app.stage import owner

        given = Path(key).expanduser() if key else None
        made = Setup(fleet.project, fleet.name, fleet.stage, report)
        patience = console.duration("--wait", wait)
        return made.run(admin=admin, key=given, dry=is_dry(context), owner=owner(), wait=patience)

    on_stage(context, json, stage, limit, work)


_OLD = {
    "upstream": "where the old service listens: ADDRESS:PORT, or unix:/path; none where there are only files",
    "public": "the old document root on the hosts; else the folder `public` of what `current` is",
    "share": "NAME=PATH: what releases find at shared/NAME lives at PATH, and stays there; may be repeated",
    "site": "the old site in nginx's sites-enabled; else the one that names the old service",
    "undo": "give it all back",
}


@task(help={**HELP, **_ADMIN, **_OLD}, iterable=["share"])
def adopt(
    context: Context,
    share: Sequence[str],
    stage: str = LOCAL_STAGE,
    upstream: str = "",
    public: str = "",
    site: str = "",
    undo: bool = False,
    admin: str = "root",
    key: str = "",
    limit: str = "",
    wait: str = "",
    json: bool = False,
) -> None:
    """Take over what serves already, without a gap; or give it back."""

    def work(fleet: OnStage, _report: Report) -> Outcome:
        from tagship.app.adopt import Adopt, Old  # as above

        given = Path(key).expanduser() if key else None
        adoption, patience = Adopt(fleet, admin, given), console.duration("--wait", wait)
        if undo:
            return adoption.undo(dry=is_dry(context), wait=patience)
        return adoption.run(Old(upstream, public, tuple(share), site), dry=is_dry(context), wait=patience)

    on_stage(context, json, stage, limit, work)
