"""How a change to a fleet ended, as a value that people, programs and the exit code agree on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tagship.errors import TagshipError
from tagship.ship.migrations.ledger import Moved
from tagship.ship.roster import Known


@dataclass(frozen=True)
class HostOutcome:
    """Where one host ended: what `current` names there, as far as we know, and whether it is as it should be."""

    host: str
    release: str | None
    ok: bool


@dataclass(frozen=True)
class Outcome:
    """The end of a verb. `outcome` is `live`, `stopped`, `ready`, `unchanged`, `planned`, or its error's (`refused`,
    `restored`, `degraded`, `locked`); `exit` the exit code.
    """

    outcome: str
    exit: int = 0
    release: str | None = None
    previous: str | None = None
    hosts: tuple[HostOutcome, ...] = ()
    seconds: float = 0.0
    bytes_sent: int = 0
    error: TagshipError | None = None
    """What to raise once the result is told; `None` if all went well."""
    away: tuple[Known, ...] = ()
    """Hosts of the stage that were left alone, or missed what the others have, and what is known of them."""
    schema: Moved | None = None
    """What became of the schema; `None` where there is none."""

    def row(self) -> dict[str, Any]:
        """The data of the `result` event; `away` and `schema` are there only where there is such."""
        schema = {"schema": self.schema.row()} if self.schema is not None else {}
        away = {"away": [known.row() for known in self.away]} if self.away else {}
        return {
            "outcome": self.outcome,
            "exit": self.exit,
            "release": self.release,
            "previous": self.previous,
            "hosts": [{"host": h.host, "release": h.release, "ok": h.ok} for h in self.hosts],
            "seconds": round(self.seconds, 3),
            "bytes_sent": self.bytes_sent,
            **away,
            **schema,
        }


def outcome_of(error: TagshipError, *, seconds: float = 0.0, bytes_sent: int = 0) -> Outcome:
    """The outcome of a verb that ended with `error` before any host was changed."""
    return Outcome(error.outcome, error.exit_code, seconds=seconds, bytes_sent=bytes_sent, error=error)
