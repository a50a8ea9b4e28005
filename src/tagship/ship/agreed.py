"""What the hosts of a fleet, taken together, know of each release. Pure.

`good` is journaled only after a release has passed on the whole fleet, so one host's word proves it for all; a client
that died between two hosts must not make it worth less. Of two words the later counts: that of the change with the
higher number, and within one change, which may have been put back, that of the later mark. No clock is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tagship.ship.survey import HostSurvey, Release

UNFINISHED = "unfinished"


def agreed(surveys: Mapping[str, HostSurvey]) -> dict[str, HostSurvey]:
    """`surveys` with the fleet's word on each release that is whole on its host; `own` keeps the host's, if another.

    Only releases of one id and digest are the same: hosts that were changed apart may have given an id twice.
    """
    words: dict[tuple[str, str], tuple[tuple[int, int], str]] = {}
    for release in (release for survey in surveys.values() for release in survey.releases):
        if release.marked > (0, 0):
            name, word = (release.id, release.digest), (release.marked, release.state)
            words[name] = max(word, words.get(name, word))

    def told(release: Release) -> Release:
        marked, state = words.get((release.id, release.digest), (release.marked, release.state))
        if not release.staged or state == release.state:
            return release
        return replace(release, state=state, marked=marked, own=release.own or release.state)

    return {
        host: replace(survey, releases=tuple(told(release) for release in survey.releases))
        for host, survey in surveys.items()
    }
