"""Surveys in, rendered plan out: tests/plans/*.yml against *.txt; run this file to write the latter anew."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import yaml

from tagship.config import App, Argv, HostCommand
from tagship.errors import TagshipError
from tagship.manifest import Delta, File, Manifest
from tagship.ship.deploy import plan_deploy
from tagship.ship.fleet import raise_all
from tagship.ship.plan import Plan, render
from tagship.ship.rollback import plan_rollback
from tagship.ship.services.process import ProcessService
from tagship.ship.shipment import Cargo, Made, Shipment, Stage, Wheel
from tagship.ship.start import plan_bring_up
from tagship.ship.stop import plan_stop
from tagship.ship.survey import HostSurvey, Room, refusals

FOLDER = Path(__file__).parents[2] / "plans"
FRONT = "127.0.0.1:8000"
APP = App(
    name="app",
    start=Argv(("serve", "{socket}")),
    prepare=(HostCommand(("python", "manage.py", "collectstatic")),),
    smoke=Argv(("python", "-c", "import app")),
    env=".env",
)
WHEEL = Wheel("pkg-1-py3-none-any.whl", "c" * 64, 1000, Path("pkg.whl"), Room(4000, 10))


def manifest(tag: str) -> Manifest:
    """A tree of which one file of two differs by tag."""
    return Manifest.of(
        [File("app/same.py", "a" * 64, 10), File("app/version.py", tag.encode().hex().ljust(64, "0"), 5)]
    )


def survey(host: str, short: dict[str, Any]) -> HostSurvey:
    """A host of a data file, written out as the agent's answer."""
    rows = []
    for line in short.get("releases", []):
        release, state, *words = line.split()
        serial, _dash, tag = release.partition("-")
        rows.append(
            {
                "id": release,
                "serial": int(serial),
                "tag": tag,
                "commit": "f" * 40,
                "digest": tag,
                "manifest": manifest(tag).digest,
                "state": state,
                "staged": "unsealed" not in words,
                "pid": 100 + int(serial) if "running" in words else None,
                "roles": short.get("roles", ["web"]),
                "runs": ["web"],
            }
        )
    current = short.get("current")
    serving = current if any(row["id"] == current and row["pid"] for row in rows) else None
    sick = any(line.split()[0] == current and "sick" in line.split() for line in short.get("releases", []))
    answer = {
        "root": "/srv/app",
        "writable": True,
        "current": current,
        "current_kind": "link" if current else "none",
        "releases": rows,
        "highest": max((row["serial"] for row in rows), default=0),
        "serving": serving,
        "well": serving is not None and not sick,
        "fault": "GET / had no answer within 2 s" if sick else "",
        "front": None if short.get("front") == "closed" else {"listen": FRONT, "pid": 99},
        "lock": None,
        "missing": [],
        "env": "ok",
        "installer": None,
        "disk_free": 10**12,
        "inodes_free": 10**9,
        "user": "deploy",
        "python": {"markers": {"python_version": "3.11"}},
    }
    return HostSurvey.from_json(host, {**answer, **short.get("survey", {})})


def cargo(surveyed: HostSurvey, tag: str) -> Cargo:
    live = surveyed.live
    base = manifest(live.tag) if live else Manifest(())
    delta = Delta.between(base, manifest(tag))
    return Cargo((WHEEL,), WHEEL, surveyed.current if live else None, delta)


def shipment(tag: str, digest: str) -> Shipment:
    return Shipment(
        tag=tag,
        commit="f" * 40,
        digest=digest,
        lock="b" * 64,
        manifest=manifest(tag),
        app=APP,
        open_object=lambda key: io.BytesIO(key.encode()),
        wheels=lambda python: (WHEEL,),
        installer=lambda python: WHEEL,
        known=lambda digest: None,
    )


def plan_of(case: dict[str, Any]) -> Plan:
    """What the case asks for; raises what it is refused with."""
    surveys = {host: survey(host, short) for host, short in case["hosts"].items()}
    stage = Stage("production", dict.fromkeys(surveys, FRONT), keep=5, drain=30)
    service = ProcessService(stage)
    if "start" in case:
        return plan_bring_up(surveys, stage, service)
    if "stop" in case:
        return plan_stop(surveys, stage, service)
    if "rollback" in case:
        return plan_rollback(surveys, stage, service, case["rollback"])
    tag = case["deploy"]
    loads = {host: cargo(surveyed, tag) for host, surveyed in surveys.items()}
    for host, surveyed in surveys.items():
        raise_all(list(refusals(surveyed, env=APP.env, python=APP.python, need=loads[host].need)))
    return plan_deploy(
        surveys,
        shipment(tag, case.get("digest", tag)),
        loads,
        stage,
        service,
        Made("me@here", "2026-01-02T03:04:05Z"),
    )


def rendered(path: Path) -> str:
    case = yaml.safe_load(path.read_text())
    try:
        lines = render(plan_of(case))
    except TagshipError as error:
        lines = [f"refused ({error.exit_code})", *str(error).splitlines(), *(f"  | {line}" for line in error.tail)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yml")), ids=lambda path: path.stem)
def test_a_plan_is_what_its_data_file_says(path: Path) -> None:
    """The same surveys and the same order give the same plan, for ever."""
    assert rendered(path) == path.with_suffix(".txt").read_text()


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yml")), ids=lambda path: path.stem)
def test_a_plan_never_undoes_what_it_did_not_do(path: Path) -> None:
    """Each undo reverses its own step on its own host: a flip goes back where it came from, a start is halted."""
    try:
        plan = plan_of(yaml.safe_load(path.read_text()))
    except TagshipError:
        return
    for step in (step for phase in plan.phases for step in phase.steps):
        if step.verb == "flip":
            assert step.undo == ("flip", {"to": step.args["from"], "from": step.args["to"]})
        elif step.undo is not None:
            pairs = {"start": "halt", "halt": "start", "front": "unfront", "unfront": "front", "mark": "mark"}
            assert step.undo[0] == pairs.get(step.verb, "unstage")
            if step.verb in ("start", "halt", "mark", "tree", "seal"):
                assert step.undo[1]["release"] == step.args["release"]


if __name__ == "__main__":
    for case_file in sorted(FOLDER.glob("*.yml")):
        case_file.with_suffix(".txt").write_text(rendered(case_file))
