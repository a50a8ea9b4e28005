"""How a change ended, as the hosts' journals keep it: a word and one line, without secrets."""

from __future__ import annotations

import os
from dataclasses import dataclass

from tagship.errors import Interrupted, TagshipError
from tagship.masks import Mask, secrets_of
from tagship.ship.outcome import Outcome

LONGEST = 200
"""Characters of the reason that are kept."""


@dataclass(frozen=True)
class Ending:
    """What `unlock` tells each host, which journals it if anything was changed there."""

    outcome: str
    """`live`, `stopped`, `changed`, `restored`, `interrupted` (and put back) or `degraded`."""
    why: str = ""
    """Empty where all went well."""

    @staticmethod
    def of(outcome: Outcome) -> Ending:
        """How a plan ended."""
        if outcome.error is None:
            return Ending(outcome.outcome)
        return Ending.failed(outcome.error)

    @staticmethod
    def failed(error: TagshipError) -> Ending:
        """The end that `error` is."""
        word = "interrupted" if isinstance(error, Interrupted) else error.outcome
        text = f"{error.where}: {error.what}" if error.where else error.what
        line = next(iter(text.splitlines()), "")
        return Ending(word, Mask(secrets_of(os.environ)).text(line)[:LONGEST])

    def args(self) -> dict[str, str]:
        """The arguments of `unlock`."""
        return {"outcome": self.outcome, **({"why": self.why} if self.why else {})}
