"""How a host is, in a few words: from its survey alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tagship.ship.parts import WEB
from tagship.ship.survey import HostSurvey, Release, Vitals

NOTHING: Mapping[str, str] = {
    "none": "nothing is live",
    "link": "`current` names a release that isn't there",
    "directory": "`current` is a real directory",
    "foreign": "`current` is no link of ours",
}
"""What is said where no release of ours is current, by what `current` is."""


@dataclass(frozen=True)
class HostStatus:
    """How one host is, for people."""

    host: str
    current: Release | None
    current_kind: str
    """What `current` is: `link`, `none`, `directory` or `foreign`."""
    serving: str | None
    """The release that listens behind the front door; `None`: none does."""
    answers: bool
    """The current release answered its own probe just now."""
    fault: str
    """Why it didn't, where it listens."""
    front: str | None
    """Where the front door listens; `None`: it is closed."""
    web: bool
    """It answers requests, so that there has to be a front."""
    units: bool
    """That front is nginx."""
    process: Vitals | None
    """What runs of the current release."""
    drift: int | None
    """Files of the current release that aren't as they were sealed, at a glance; `None`: it has no seal."""
    lock: Mapping[str, str] | None
    """Who is changing the host now: owner, release, verb, since."""

    @staticmethod
    def of(survey: HostSurvey, drift: int | None = None) -> HostStatus:
        """What a survey comes to, and `drift`."""
        return HostStatus(
            host=survey.host,
            current=survey.live,
            current_kind=survey.current_kind,
            serving=survey.serving,
            answers=survey.well,
            fault=survey.fault,
            front=survey.front.listen if survey.front else None,
            units=survey.service is not None,
            web=survey.live is None or WEB in survey.live.roles,
            process=survey.process,
            drift=drift,
            lock=survey.lock,
        )

    @property
    def well(self) -> bool:
        """A good release is current, reachable, and answers as it should."""
        good = self.current is not None and self.current.state == "good"
        return good and self.answers and (self.front is not None or not self.web)

    @property
    def words(self) -> str:
        """What is the matter with it; `well` if nothing is."""
        if self.current is None:
            return NOTHING[self.current_kind]
        if self.well:
            return "well"
        if self.web and self.serving is None:
            return "not running" if self.current.pid is None else "it runs, and nothing listens on its socket"
        if self.web and self.serving != self.current.id:
            return f"{self.serving} answers"
        if not self.answers:
            return f"not well: {self.fault}"
        closed = "nginx doesn't answer" if self.units else "front door closed"
        return closed if self.front is None else self.current.state
