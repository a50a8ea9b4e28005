"""A host is used for a stage only as `fab setup` made it ready for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from unit.ship.test_plans import survey

from tagship.ship.readiness import Wanted, no_front, unready

MADE = {
    "helper": 1,
    "app": "app",
    "stage": "lab",
    "root": "/srv/app",
    "deploy": "deploy",
    "user": "app-lab",
    "nginx": "www-data",
}
WANTED = Wanted("lab", units=True, user="app-lab", nginx="www-data", front="127.0.0.1:80")
SETUP = "fab setup --stage lab"


@pytest.mark.parametrize(
    ("made", "wanted", "what", "cure"),
    [
        (MADE, {}, "", ""),
        (None, {}, "it isn't made ready for the stage lab", SETUP),
        (None, {"units": False}, "", ""),
        (MADE, {"units": False}, "made ready for systemd", "/etc/tagship/app-lab.json"),
        ({**MADE, "helper": 2}, {}, "its helper is of version 2, not 1", SETUP),
        ({**MADE, "root": "/srv/old"}, {}, "made ready at /srv/old, not at /srv/app", SETUP),
        ({**MADE, "deploy": "ship"}, {}, "deploy logged in", "log in as ship"),
        (MADE, {"user": "www"}, "the service user app-lab, not www", SETUP),
        (MADE, {"nginx": "nginx"}, "nginx run by www-data, not by nginx", SETUP),
        ({**MADE, "nginx": ""}, {}, "for no nginx, not by www-data", SETUP),
        ({**MADE, "nginx": ""}, {"nginx": None}, "", ""),
    ],
)
def test_a_host_is_ready_for_its_stage_or_told_why_not(
    made: dict[str, Any] | None, wanted: dict[str, Any], what: str, cure: str
) -> None:
    """One reason, with the command that cures it."""
    reason = unready(survey("web1", {"survey": {"service": made}}), replace(WANTED, **wanted))
    assert (reason is not None) == bool(what)
    assert reason is None or (what in reason.what and cure in reason.cure)


def test_a_front_that_is_closed_is_told_only_where_nginx_is_one() -> None:
    """Our own front door is opened by the deploy itself; a host that answers no requests needs none."""
    closed, open_at = ({"survey": {"front": front}} for front in (None, {"listen": WANTED.front, "pid": None}))
    reason = no_front(survey("web1", closed), WANTED)
    assert reason is not None
    assert "nginx" in reason.cure
    assert no_front(survey("web1", open_at), WANTED) is None
    assert no_front(survey("web1", closed), replace(WANTED, units=False)) is None
    assert no_front(survey("web1", closed), replace(WANTED, nginx=None)) is None
