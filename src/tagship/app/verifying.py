"""`fab verify`: every release on every host against what was recorded, and what the releases live by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tagship.app.outfits import outfits
from tagship.app.stage import OnStage, Table, looked
from tagship.errors import Refused
from tagship.events import note
from tagship.ship import connecting, looking
from tagship.ship.looking import Drift

_SEVERAL = 2


def verify_stage(on: OnStage) -> Table:
    """What differs, path by path; the outcome then has an error. Changes nothing.

    Degraded where a host can't be reached and nothing differs on the others. Raises `HostRefused`.
    """
    app = on.project.config.app
    made = outfits(on, app)
    with connecting.connect_to_verify(on.name, on.stage, app, on.project.root) as fleet:
        found = looking.verify(fleet, made)
        outcome = looked(fleet, {drift.host for drift in found})
        for host, error in fleet.lost.items():
            note(on.listener, f"it can't be reached: {error.what}", level="warning", host=host)
        for host, survey in fleet.surveys.items():
            if survey.lock is not None:
                text = "{owner} is at work: {verb} {release}; what differs may be their doing".format_map(survey.lock)
                note(on.listener, text, level="warning", host=host)
    rows = tuple((drift.host, drift.release or None, drift.path, drift.what) for drift in found)
    if found:
        outcome = replace(outcome, outcome=Refused.outcome, exit=Refused.exit_code, error=_drifted(found, on.name))
    return Table(("host", "release", "path", "drift"), rows, outcome)


def _drifted(found: Sequence[Drift], stage: str) -> Refused:
    told = "find out who changed it, then make a new tag and deploy it: a new release gets sound files"
    if any(drift.path.startswith("/") for drift in found):
        told += f"; what lies outside of the application's folder, fab setup --stage {stage} puts right"
    return Refused(
        f"not as it was sealed: {len(found)} difference{'s' * (len(found) >= _SEVERAL)}",
        where=", ".join(dict.fromkeys(drift.host for drift in found)),
        cure=told,
    )
