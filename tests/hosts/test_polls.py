"""Schema and code of a fleet go up and down together: three hosts behind nginx, and two PostgreSQL databases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from postgres import programs
from schema import fleet

from lab.host import Host

pytestmark = pytest.mark.lab

TAGS = ("v8", "v9", "v10")


@pytest.mark.skipif(programs() is None, reason="needs postgresql (LAB=1 make test installs it)")
def test_a_fleet_goes_up_and_down_with_its_schema(hosts: Callable[[int], list[Host]], tmp_path: Path) -> None:
    """Each schema is that of a fresh install, all hosts answer from the release; what has no way back is refused."""
    with fleet.fleet(hosts(3), tmp_path, (*TAGS, "v11")) as made:
        moves, wrong = fleet.up_and_down(made, TAGS)
        assert (moves, wrong) == (5, [])
        made.fab("deploy --tag v11")
        said = made.fab("rollback --yes-drop-data", status=3)
        assert "audit.0006_forget_subjects" in said
        assert made.stands_on("v11") == []
        made.fab("rehearse --tag v11", status=3)  # it is live: nothing of it is pending
