"""Hooks as a user writes them: commands in tagship.yml, functions in fabfile.py, on a stage that really runs."""

from __future__ import annotations

import json
import signal

import pytest
from verbs.project import Project, eventually

FABFILE = """\
import pathlib
import subprocess
import sys

import tagship
from tagship.verbs.hosts import deploy, plan, rollback, stop


def note(text):
    with pathlib.Path("notes.txt").open("a") as notes:
        notes.write(text + "\\n")


@tagship.before("flip")
def ask_first(occasion):
    note(f"{occasion.verb} {occasion.tag} before {occasion.phase}")
    if pathlib.Path("frozen").exists():
        raise RuntimeError("deploys are frozen: " + pathlib.Path("frozen").read_text())


@tagship.after("commit")
def tell(occasion):
    occasion.on_hosts(["sh", "-c", 'echo "$TAGSHIP_VERB $TAGSHIP_RELEASE $VIRTUAL_ENV" >> ../../../ran.txt'])
    note(f"{occasion.release} is live, before {occasion.previous}")
"""
NOTE = """python -c 'import os; open("notes.txt", "a").write("command of " + os.environ["TAGSHIP_TAG"] + chr(10))'"""
HOOKS = f"""
hooks:
  - run: {json.dumps(NOTE)}
    before: flip
"""


@pytest.fixture
def hooked(project: Project) -> Project:
    """v1.0.0 is live without hooks; then come those of tagship.yml and of fabfile.py."""
    assert project.run("fab", "deploy").exit == 0
    project.write({"fabfile.py": FABFILE, "tagship.yml": (project.folder / "tagship.yml").read_text() + HOOKS})
    project.tag("v1.1.0", {"version.txt": "two"})
    return project


def notes(project: Project) -> list[str]:
    path = project.folder / "notes.txt"
    return path.read_text().splitlines() if path.exists() else []


def test_hooks_run_in_order_for_deploy_and_rollback_and_only_then(hooked: Project) -> None:
    """The plan shows them and runs none; commands come before functions; hosts are reached through the occasion."""
    shown = hooked.run("fab", "plan")
    assert shown.exit == 0, shown.said
    assert "before flip\n  run python -c" in shown.out
    assert "  call ask_first (fabfile.py:14) [here]" in shown.out
    assert "after commit (a failure here is only a warning)\n  call tell (fabfile.py:21) [here]" in shown.out
    assert notes(hooked) == []
    assert hooked.run("fab", "deploy").exit == 0
    assert hooked.run("fab", "deploy").exit == 0  # nothing to do
    assert hooked.run("fab", "rollback").exit == 0
    assert notes(hooked) == [
        "command of v1.1.0",
        "deploy v1.1.0 before flip",
        "0002-v1.1.0 is live, before 0001-v1.0.0",
        "command of v1.0.0",
        "rollback v1.0.0 before flip",
        "0001-v1.0.0 is live, before 0002-v1.1.0",
    ]
    ran = [line.split() for line in (hooked.root / "ran.txt").read_text().splitlines()]
    assert [line[:2] for line in ran] == [["deploy", "0002-v1.1.0"], ["rollback", "0001-v1.0.0"]]
    assert all(line[2].endswith(f"releases/{line[1]}/venv") for line in ran)


def test_a_function_that_raises_is_one_message_and_everything_goes_back(hooked: Project) -> None:
    """Its name, its line and what it said; no traceback of ours; the old release serves on."""
    hooked.write({"frozen": "end of year"})
    failed = hooked.told("fab", "deploy")
    assert (failed.exit, failed.result["outcome"]) == (4, "restored")
    assert failed.error["what"] == "the hook `ask_first` raised RuntimeError: deploys are frozen: end of year"
    assert failed.error["where"] == "fabfile.py:18"
    assert failed.error["tail"][0].endswith('fabfile.py:18 in ask_first: raise RuntimeError("deploys are frozen: " '
                                            '+ pathlib.Path("frozen").read_text())')  # fmt: skip
    assert hooked.current == "0001-v1.0.0"
    assert sorted(path.name for path in (hooked.root / "releases").glob("0*")) == ["0001-v1.0.0"]


def test_secrets_that_a_hook_prints_are_hidden(hooked: Project) -> None:
    """What a command says is told, and shown when it fails, without the secrets of the environment."""
    hooked.env["DEPLOY_TOKEN"] = "s3cr3t-sentinel"
    talk = """python -c 'import os; print("with", os.environ["DEPLOY_TOKEN"]); raise SystemExit(1)'"""
    hooked.edit(
        "tagship.yml", r"(?m)^  - run: .*\n    before: flip", f"  - run: {json.dumps(talk)}\n    before: flip"
    )
    failed = hooked.told("fab", "deploy")
    assert failed.exit == 4
    assert failed.error["tail"] == ["with [hidden]"]
    assert "| with [hidden]" in [note["text"] for note in failed.of("note")]
    assert "s3cr3t-sentinel" not in json.dumps(failed.events)


def test_ctrl_c_ends_the_command_of_a_hook(hooked: Project) -> None:
    """It was at work with a child of its own; both are gone, exit 130, and everything is as before."""
    sleep = "sh -c 'sleep 611 & echo going; wait'"
    hooked.edit(
        "tagship.yml", r"(?m)^  - run: .*\n    before: flip", f"  - run: {json.dumps(sleep)}\n    before: drain"
    )
    with hooked.begun("fab", "deploy") as deploy:
        deploy.until("run sh -c")
        eventually(lambda: any("sleep 611" in line for line in hooked.processes().values()), "the hook never began")
        deploy.signal(signal.SIGINT)
        told = deploy.ended()
    assert (told.exit, told.result["outcome"]) == (130, "restored")
    assert hooked.current == "0001-v1.0.0"
    eventually(lambda: not any("611" in line for line in hooked.processes().values()), "the hook's child lives on")


def test_an_unknown_phase_is_refused_while_the_fabfile_is_read(live: Project) -> None:
    """File and line and the phases there are, exit 2, whatever verb was asked for."""
    live.write({"fabfile.py": FABFILE.replace('before("flip")', 'before("flop")')})
    for words in (["--list"], ["deploy"]):
        failed = live.run("fab", *words)
        assert (failed.exit, failed.out) == (2, "")
        assert failed.err == (
            "error: fabfile.py:14: no hook stands before `flop`\n"
            '  cure: `@tagship.before("flip")`, or stage, start, drain, commit\n'
        )


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        ("{run: 'true', before: stage, on: hosts}", "can't run on hosts before `stage`"),
        ("{run: 'true', before: canary}", "hooks[1]"),
        ("{run: 'true'}", "stands either `before` a phase or `after` one"),
        ("{run: 'true', after: flip, roles: [web]}", "are for hooks `on: hosts`"),
        ("{run: a | b, after: flip}", "no shell runs this"),
    ],
)
def test_a_hook_that_can_not_run_is_refused_with_its_line(live: Project, hook: str, message: str) -> None:
    """Before anything is asked of any host."""
    text = (live.folder / "tagship.yml").read_text() + HOOKS
    live.write({"tagship.yml": f"{text}  - {hook}\n"})
    line = text.count("\n") + 1
    failed = live.run("fab", "deploy")
    assert failed.exit == 2
    assert f"tagship.yml:{line}:" in failed.err
    assert message in failed.err
