"""What counts as an excuse for a visit that failed, where hosts are killed at random."""

from __future__ import annotations

import pytest
from crash.rows.chaos import Excuses


@pytest.mark.parametrize(
    ("begin", "end", "excused"),
    [
        (1.0, 9.9, False),  # all of it before the host died
        (9.0, 10.5, True),  # under way when it died
        (12.0, 13.0, True),
        (19.5, 30.0, True),  # begun before it answered again
        (20.1, 21.0, False),
        (38.0, 39.0, False),
        (38.0, 41.0, True),  # what hasn't ended yet began at 40
        (99.0, 99.5, True),
    ],
)
def test_only_a_visit_that_met_the_fault_is_excused(begin: float, end: float, excused: bool) -> None:
    """Dead from 10 to 20, and again since 40: every other failure is a violation."""
    assert Excuses(spans=[(10.0, 20.0)], since=40.0).covers(begin, end) is excused


def test_a_host_that_nothing_was_done_to_excuses_nobody() -> None:
    """Each host has its own."""
    assert not Excuses().covers(0.0, 1e9)
