"""What `fab doctor` makes of a host: data files in, findings out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from unit.ship import test_plans as plans

from tagship.errors import HostRefused
from tagship.ship.doctor import Asked, Finding, Seen, grouped, judge, refused
from tagship.ship.readiness import Wanted

CASES = yaml.safe_load((Path(__file__).parents[2] / "findings" / "hosts.yml").read_text())
USER = "app-production"
ROW = {"helper": 1, "app": "app", "stage": "production", "root": "/srv/app", "deploy": "deploy", "user": USER}
SERVICE = {
    "name": USER,
    "row": {**ROW, "nginx": "www-data"},
    "helper": {"status": 0, "said": "1"},
    "boot": "enabled",
    "nginx": "active",
    "site": "root /srv/app/current/public;",
    "run": {"owner": "root", "group": USER, "mode": "0750"},
    "journal": True,
}
FACTS: dict[str, Any] = {
    "umask": "0022",
    "groups": ["deploy", USER],
    "folders": {f"/srv/app/{name}": {"owner": "deploy", "group": "deploy", "mode": "0755"} for name in ("objects",)},
    "filesystems": {"objects": 1, "releases": 1, "state": 1, "assets": 1},
    "disk": {"free": 9 * 10**9, "size": 20 * 10**9, "inodes_free": 900_000, "inodes": 1_000_000},
    "listeners": [],
    "links": {"media": "ok"},
    "venvs": [
        {
            "release": "0001-v1",
            "there": True,
            "python": "/usr/bin/python3",
            "fault": "",
            "says": "3.11",
            "noted": "3.11",
        }
    ],
    "lost": [],
    "service": SERVICE,
}


def overridden(value: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy with other values; a dot leads into a mapping."""
    made = dict(value)
    for name, change in changes.items():
        outer, dot, inner = name.partition(".")
        made[outer] = overridden(made[outer], {inner: change}) if dot and outer in made else change
    return made


def host(case: dict[str, Any], name: str = "web1") -> Seen:
    """A host as the case has it."""
    units = not case.get("process")
    short = dict(case.get("survey", {}))
    releases = short.pop("releases", ["0001-v1 good running"])
    survey = plans.survey(
        name,
        {
            "current": "0001-v1" if releases else None,
            "releases": releases,
            "survey": {"service": SERVICE["row"] if units else None, **short},
        },
        plans.APP,
    )
    facts = overridden({**FACTS, "service": SERVICE if units else None}, case.get("facts", {}))
    return Seen(name, survey=survey, facts=facts, **{"seconds": 0.2, **case.get("seen", {})})


def asked(case: dict[str, Any]) -> Asked:
    units, web = not case.get("process"), case.get("web", True)
    wanted = Wanted("production", units, USER, "www-data" if web else None, plans.FRONT)
    return Asked(wanted, ".env", "python3", web)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"].replace(" ", "-"))
def test_every_finding_of_a_case_is_told_and_no_other(case: dict[str, Any]) -> None:
    """What the data file says of a host is all that is wrong with it; every finding has a cure."""
    found = judge([host(case)], {"web1": asked(case)}, "production")
    told = [f"{one.level} {one.check}: {one.text} | {one.cure}" for one in found if one.level != "ok"]
    assert told == case["says"]
    assert all(one.cure for one in found if one.level != "ok")
    assert (refused(found, "production") is not None) == any(words.startswith("bad") for words in told)


def test_a_host_that_does_not_answer_stops_no_other() -> None:
    """It is one finding with its own cure; the others are judged, and what they share is said once."""
    down = Seen("web2", error=HostRefused("it does not answer at web2:22", host="web2", cure="plug it in"))
    wants = dict.fromkeys(("web1", "web2", "web3"), asked({}))
    found = judge([host({}), down, host({}, "web3")], wants, "production")
    assert Finding("reach", "bad", "it does not answer at web2:22", "plug it in", ("web2",)) in found
    assert {one.hosts for one in found} == {("web1", "web3"), ("web2",)}
    error = refused(found, "production")
    assert error is not None
    assert (error.where, error.exit_code) == ("web2", 3)


def test_what_only_shows_between_hosts_is_told() -> None:
    """Hosts on two releases, or one without the environment of the other, are each fit by themselves."""
    other = host({"survey": {"current": "0002-v2", "releases": ["0002-v2 good running"]}}, "web2")
    with_env = host({"survey": {"versions": {"newest": 3, "used": {}}}}, "web3")
    found = judge([host({}), other, with_env], dict.fromkeys(("web1", "web2", "web3"), asked({})), "production")
    told = [(one.level, one.check, one.hosts, one.cure) for one in found if one.level != "ok"]
    assert ("warn", "live", ("web1", "web2", "web3"), "fab deploy --stage production") in told
    assert ("bad", "environment", ("web1", "web2"), "fab env copy --stage production") in [
        (level, check, tuple(hosts), cure) for level, check, hosts, cure in told
    ]


def test_findings_that_are_alike_are_one() -> None:
    """The order of checks stays; hosts are named once each."""
    rows = [
        Finding("b", "ok", "x", hosts=("h1",)),
        Finding("a", "ok", "y"),
        Finding("b", "ok", "x", hosts=("h2", "h1")),
    ]
    assert grouped(rows) == (Finding("b", "ok", "x", hosts=("h1", "h2")), Finding("a", "ok", "y"))
