"""Looks at each host of a stage by itself, for `doctor` to judge: one that can't be reached stops no other."""

from __future__ import annotations

import base64
import datetime as dt
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tagship import config
from tagship.errors import TagshipError
from tagship.host import boot
from tagship.ship.connecting import question
from tagship.ship.crew import side_by_side
from tagship.ship.doctor import Asked, Seen
from tagship.ship.fleet import Fleet, Place
from tagship.ship.survey import HostSurvey

UNSEEN = ("keys", "act", "needs")
"""Resources of an outfit that only root can compare, or that are no state."""
_SUDOERS = "/etc/sudoers.d/"


def examine(
    places: Iterable[Place],
    asked: Mapping[str, Asked],
    outfits: Mapping[str, Sequence[tuple[str, Mapping[str, Any]]]],
    *,
    name: str,
    app: config.App,
    tls: str | None,
    parallel: int,
) -> tuple[Seen, ...]:
    """Every host as it is now, or why it can't be seen; what raises is only a bug, or Ctrl-C.

    `outfits` are the titles and rows of what `fab setup` makes; `tls` is the name to ask the front for a
    certificate with, `None` where it speaks plain HTTP.
    """
    by_name = {place.name: place for place in places}

    def look(host: str) -> Seen:
        began = time.monotonic()
        more = (boot.LIVE, boot.OUTFIT, boot.FRONT)
        try:
            with Fleet([by_name[host]], question(name, app), more=more).connect() as fleet:
                return _look(fleet, host, asked[host], outfits.get(host, ()), tls, began)
        except TagshipError as error:
            return Seen(host, seconds=time.monotonic() - began, error=error)

    return tuple(side_by_side(look, by_name, parallel).values())


def _look(
    fleet: Fleet,
    host: str,
    asked: Asked,
    outfit: Sequence[tuple[str, Mapping[str, Any]]],
    tls: str | None,
    began: float,
) -> Seen:
    survey = fleet.surveys[host]
    seconds = time.monotonic() - began
    before = time.time()
    args = {"front": asked.wanted.front, "tls": tls if asked.web else None, "releases": _kept(survey)}
    facts = fleet.ask(host, "doctor", args)
    # Its clock was read early in what it did: the moment before the question is nearer than the middle.
    skew = float(facts["time"]) - before
    return Seen(
        host,
        seconds=seconds,
        survey=survey,
        facts=facts,
        skew=skew,
        differs=_differs(fleet, host, outfit),
        certificate=_certificate(facts["certificate"]),
    )


def _kept(survey: HostSurvey) -> list[str]:
    """What is live, and what can be gone down to."""
    return [one.id for one in survey.releases if one.id == survey.current or (one.staged and one.state == "good")]


def _differs(fleet: Fleet, host: str, outfit: Sequence[tuple[str, Mapping[str, Any]]]) -> tuple[str, ...]:
    """What of the outfit isn't as it should be; where even looking is refused, that is what is told."""
    seen = [
        (title, row)
        for title, row in outfit
        if row["kind"] not in UNSEEN and not str(row.get("path", "")).startswith(_SUDOERS)
    ]
    if not seen:
        return ()
    answer = fleet.ask(host, "look", {"name": fleet.question.app, "resources": [row for _title, row in seen]})
    differing = [title for (title, _row), state in zip(seen, answer["states"], strict=True) if state["differs"]]
    return (*differing, *(str(reason["what"]) for reason in answer["refusals"]))


def _certificate(shown: Mapping[str, str] | None) -> float | str | None:
    """Days until it ends; or why there is none."""
    if shown is None:
        return None
    if "fault" in shown:
        return shown["fault"]
    from cryptography import x509  # Paramiko brings it

    certificate = x509.load_der_x509_certificate(base64.b64decode(shown["der"]))
    return (certificate.not_valid_after_utc - dt.datetime.now(dt.UTC)).total_seconds() / 86_400
