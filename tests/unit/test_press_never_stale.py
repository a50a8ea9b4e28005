"""A site brought up to date equals one built from nothing, whatever happened in between (docs/adr/0015)."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from unit.never_stale import NeverStale

SEQUENCES = int(os.environ.get("NEVER_STALE", "50"))
"""`inv never-stale` asks for more."""


def test_a_site_brought_up_to_date_equals_a_clean_one() -> None:
    """Random edits, accidents and crashes; after each both give the same bytes, or the same error."""
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        NeverStale,
        settings=settings(
            max_examples=SEQUENCES,
            stateful_step_count=12,
            deadline=None,
            database=None,
            derandomize=SEQUENCES == 50,
            # What else it offers, to explain a failure, traces every line.
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )
