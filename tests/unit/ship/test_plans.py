"""Surveys in, rendered plan out: tests/plans/*.yml against *.txt; run this file to write the latter anew."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from tagship.config import App, Argv, Hook, HostCommand, Rollout
from tagship.config.values import decode
from tagship.errors import TagshipError
from tagship.hooking import Function
from tagship.manifest import Delta, File, Manifest
from tagship.ship.agreed import agreed
from tagship.ship.deploy import plan_deploy
from tagship.ship.fleet import raise_all
from tagship.ship.hooks import Hooks
from tagship.ship.parts import part_of
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


def settings_of(case: dict[str, Any], key: str, kind: Any, default: Any) -> Any:
    """Part of a case that is written as in tagship.yml."""
    return msgspec.convert(case[key], kind, dec_hook=decode) if key in case else default


def survey(host: str, short: dict[str, Any], app: App = APP) -> HostSurvey:
    """A host of a data file, written out as the agent's answer."""
    rows, used = [], {}
    for line in short.get("releases", []):
        release, state, *words = line.split()
        used.update((release, int(word[4:])) for word in words if word.startswith("env="))
        was = next((word.removeprefix("was=").split(",") for word in words if word.startswith("was=")), None)
        roles = was or short.get("roles", ["web"])
        runs = part_of(app, roles).runs
        serial, _dash, tag = release.partition("-")
        rows.append(
            {
                "id": release,
                "serial": int(serial),
                "tag": tag,
                "commit": "f" * 40,
                "digest": next((word[7:] for word in words if word.startswith("digest=")), tag),
                "manifest": manifest(tag).digest,
                "state": state,
                "marked": next(([int(word[7:]), 1] for word in words if word.startswith("change=")), [0, 0]),
                "staged": "unsealed" not in words,
                "pid": 100 + int(serial) if "running" in words else None,
                "roles": roles,
                "runs": list(runs),
            }
        )
    current = short.get("current")
    live = next((row for row in rows if row["id"] == current), None)
    up = live is not None and (not live["runs"] or live["pid"] is not None)
    serving = current if live is not None and live["pid"] and "web" in live["runs"] else None
    sick = any(line.split()[0] == current and "sick" in line.split() for line in short.get("releases", []))
    answer = {
        "root": "/srv/app",
        "writable": True,
        "current": current,
        "current_kind": "link" if current else "none",
        "releases": rows,
        "highest": max((row["serial"] for row in rows), default=0),
        "serving": serving,
        "well": up and not sick,
        "fault": "GET / had no answer within 2 s" if sick else "",
        "front": None
        if short.get("front") == "closed" or "web" not in short.get("roles", ["web"])
        else {"listen": FRONT, "pid": 99},
        "lock": None,
        "missing": [],
        "env": "ok",
        "installer": None,
        "versions": {"newest": short.get("env", 0), "used": used},
        "disk_free": 10**12,
        "inodes_free": 10**9,
        "user": "deploy",
        "python": {"markers": {"python_version": "3.11"}},
    }
    return HostSurvey.from_json(host, {**answer, **short.get("survey", {})})


def cargo(surveyed: HostSurvey, tag: str, wheels: tuple[Wheel, ...] = (WHEEL,)) -> Cargo:
    live = surveyed.live
    base = manifest(live.tag) if live else Manifest(())
    delta = Delta.between(base, manifest(tag))
    return Cargo(wheels, WHEEL if wheels else None, surveyed.current if live else None, delta)


def shipment(tag: str, digest: str, app: App = APP) -> Shipment:
    return Shipment(
        tag=tag,
        commit="f" * 40,
        digest=digest,
        lock="b" * 64,
        manifest=manifest(tag),
        app=app,
        open_object=lambda key: io.BytesIO(key.encode()),
        wheels=lambda python: (WHEEL,),
        installer=lambda python: WHEEL,
        known=lambda digest: None,
    )


def fleet_of(hosts: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each host; one with a `count` stands for so many, numbered."""
    for host, short in hosts.items():
        names = [f"{host}{number}" for number in range(1, short["count"] + 1)] if "count" in short else [host]
        yield from ((name, short) for name in names)


def plan_of(case: dict[str, Any]) -> Plan:
    """What the case asks for; raises what it is refused with."""
    app = settings_of(case, "app", App, APP)
    hosts = dict(fleet_of(case["hosts"]))
    surveys = agreed({host: survey(host, short, app) for host, short in hosts.items()})
    functions = [Function(*line.split(), call=lambda occasion: occasion) for line in case.get("functions", [])]
    stage = Stage(
        "production",
        dict.fromkeys(surveys, FRONT),
        keep=5,
        drain=30,
        roles={host: tuple(short.get("roles", ["web"])) for host, short in hosts.items()},
        rollout=settings_of(case, "rollout", Rollout, Rollout()),
        hooks=Hooks((*settings_of(case, "hooks", tuple[Hook, ...], ()), *functions)),
    )
    service = ProcessService(stage)
    if "start" in case:
        return plan_bring_up(surveys, stage, service)
    if "stop" in case:
        return plan_stop(surveys, stage, service)
    if "rollback" in case:
        return plan_rollback(surveys, stage, service, case["rollback"])
    tag = case["deploy"]
    venvs = {host: (WHEEL,) if stage.part_of(app, host).needs_venv else () for host in surveys}
    loads = {host: cargo(surveyed, tag, venvs[host]) for host, surveyed in surveys.items()}
    for host, surveyed in surveys.items():
        raise_all(list(refusals(surveyed, env=app.env, python=app.python, need=loads[host].need)))
    return plan_deploy(
        surveys,
        shipment(tag, case.get("digest", tag), app),
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
