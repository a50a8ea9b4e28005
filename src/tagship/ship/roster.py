"""Hosts that missed a change: what is known of them, told by those that went along. Pure.

Each host that is asked tells where it last saw the others (`Roster`). So what one person skipped is shown to all,
until a deploy or a rollback takes that host along; nothing of it is kept on the machine of who skipped it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from tagship.events import Event, Listener
from tagship.ship.layout import serial_of
from tagship.ship.plan import named
from tagship.ship.survey import HostSurvey


@dataclass(frozen=True)
class Known:
    """What is known of one host of a stage."""

    host: str
    reached: bool
    stands: str | None
    """What is current there, or was when others last saw it, if it wasn't asked. `None`: nothing, or unknown."""
    missed: str | None = None
    """The release of the others that it didn't go along to; `None`: it missed nothing that is known."""
    by: str = ""
    at: str = ""
    """Who made that release live without it, and when: UTC, ISO 8601, by a host's clock."""
    flag: str = ""
    """`--skip` or `--limit`: this verb leaves it alone, because it was told so."""

    @property
    def words(self) -> str:
        """For people: what it missed, and where it stands or stood."""
        if self.reached:
            where = f"{self.stands} is current" if self.stands else "nothing is live there"
        else:
            where = f"stood at {self.stands} when last seen" if self.stands else "never seen with the others"
        missed = f"missed {self.missed} ({', '.join(filter(None, (self.by, self.at)))})" if self.missed else ""
        return "; ".join(filter(None, (f"left alone ({self.flag})" if self.flag else "", missed, where)))

    def row(self) -> dict[str, Any]:
        """For programs, and in `words` for people."""
        return {**asdict(self), "words": self.words}


def known_of(host: str, surveys: Mapping[str, HostSurvey]) -> Known:
    """What the hosts that were asked tell of `host`, and itself if it is one of them.

    Where they disagree, who was part of the newest change counts; then who has the newest release; among equals, who
    saw it come along.
    """
    own = surveys.get(host)
    claims = []
    for other, survey in surveys.items():
        roster, current = survey.roster, survey.current
        if other == host or roster is None or current is None or roster.release != current:
            continue
        stood = roster.stood.get(host)
        claims.append(((roster.change, serial_of(current), stood == current), current, stood, roster))
    if own is not None:
        claims = [claim for claim in claims if not claim[0][2] and claim[1] != own.current]
    if not claims:
        return Known(host, own is not None, own.current if own else None)
    (_change, _serial, along), current, stood, roster = max(claims, key=lambda claim: claim[0])
    stands = own.current if own is not None else stood
    if along:
        return Known(host, False, stands)
    return Known(host, own is not None, stands, current, roster.by, roster.at)


def behind(hosts: Iterable[str], surveys: Mapping[str, HostSurvey]) -> tuple[Known, ...]:
    """The hosts that missed a release, in the order of `hosts`."""
    return tuple(known for host in hosts if (known := known_of(host, surveys)).missed is not None)


def tell(listener: Listener, found: Iterable[Known], *, level: str = "info") -> None:
    """A note on hosts, once for all that are alike: the words for people, the facts beside them for programs."""
    alike: dict[Known, list[str]] = {}
    for known in found:
        alike.setdefault(replace(known, host=""), []).append(known.host)
    for known, hosts in alike.items():
        alone = hosts[0] if len(hosts) == 1 else ""
        text = known.words if alone else f"{named(hosts, hosts)}: {known.words}"
        facts = {key: value for key, value in asdict(known).items() if key != "host"}
        listener(Event("note", alone, {"text": text, "level": level, "hosts": hosts, **facts}))


def stands(surveys: Mapping[str, HostSurvey]) -> dict[str | None, list[str]]:
    """Which hosts stand on which release, newest first; on one release they are one fleet."""
    found: dict[str | None, list[str]] = {}
    for host, survey in surveys.items():
        found.setdefault(survey.current, []).append(host)
    order = sorted(found, key=lambda release: serial_of(release) if release else 0, reverse=True)
    return {release: found[release] for release in order}
