"""A deploy that is interrupted, killed or met by another one: put back, settled by the next, or refused."""

from __future__ import annotations

import getpass
import os
import pty
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from verbs.project import Begun, Project, eventually

from tagship.app.stage import open_stage
from tagship.events import Event
from tagship.scaffold.reader import get


@contextmanager
def slow_client(project: Project) -> Iterator[None]:
    """A client whose answer takes seconds, so that the release it asked has to be drained."""
    address, _, port = project.front.rpartition(":")
    with socket.create_connection((address, int(port))) as client:
        client.sendall(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
        yield


@contextmanager
def deploy_at(project: Project, point: str) -> Iterator[Begun]:
    """v1.1.0 on its way over a live v1.0.0, stopped in the middle of `point`."""
    project.run("fab", "deploy")
    behaviour = "silent" if point == "start" else "well"
    project.tag("v1.1.0", {"version.txt": "two", "behaviour.txt": behaviour})
    if point == "prepare":
        (project.root / "hold").touch()
    with slow_client(project), project.begun("fab", "deploy") as deploy:
        deploy.until("drain and stop 0001" if point == "drain" else f"{point}")
        if point == "start":
            eventually(lambda: len(project.services()) == 2, "the new release never starts")
        yield deploy


@pytest.mark.parametrize(
    ("point", "number", "group"),
    [
        ("prepare", signal.SIGINT, True),
        ("start", signal.SIGINT, False),
        ("drain", signal.SIGINT, True),
        ("prepare", signal.SIGTERM, False),
        ("drain", signal.SIGHUP, True),
    ],
)
def test_an_interrupted_deploy_puts_everything_back(
    project: Project, point: str, number: signal.Signals, group: bool
) -> None:
    """Ctrl-C (which reaches the whole group) or a signal to `fab` alone: exit 130, and as if nothing had been."""
    with deploy_at(project, point) as deploy:
        deploy.signal(number, group=group)
        told = deploy.ended()
    assert (told.exit, told.result["outcome"]) == (130, "restored")
    assert told.error["kind"] == "Interrupted"
    assert told.result["hosts"] == [{"host": "local", "release": "0001-v1.0.0", "ok": True}]
    check_only(project, "0001-v1.0.0", b"one")


FABFILE = """
import os, signal, sys, time
from tagship.verbs.hosts import deploy
{after}
from fabric import task

@task
def mine(context):
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
    except KeyboardInterrupt:
        sys.exit(7)
"""
CTRL_C = "os.kill(os.getpid(), signal.SIGINT); time.sleep(60)"


def test_an_interrupt_before_a_verb_begins_is_one_too(live: Project) -> None:
    """While fabfile.py is read: exit 130 and a word, not Invoke's 1; the project's own tasks end as they did."""
    before = live.snapshot()
    live.write({"fabfile.py": FABFILE.format(after=CTRL_C)})
    ran = live.run("fab", "deploy")
    assert (ran.exit, ran.out, ran.err) == (130, "", "interrupted: nothing was begun\n")
    live.write({"fabfile.py": FABFILE.format(after="")})
    assert live.run("fab", "mine").exit == 7
    assert live.snapshot() == before


def test_a_closed_terminal_puts_everything_back(project: Project) -> None:
    """SIGHUP from the kernel and once more from the shell, and nobody to write to: it unwinds as after Ctrl-C."""
    project.run("fab", "deploy")
    project.tag("v1.1.0", {"version.txt": "two"})
    (project.root / "hold").touch()
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(project.folder)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.execvpe("fab", ["fab", "deploy"], project.env)
    try:
        eventually((project.root / "releases" / "0002-v1.1.0" / "within").exists, "it is never furnished")
        eventually(lambda: "hold.py" in " ".join(project.processes().values()), "prepare never runs")
        os.close(terminal)
        os.kill(pid, signal.SIGHUP)
        _, status = os.waitpid(pid, 0)
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    assert os.waitstatus_to_exitcode(status) == 130
    check_only(project, "0001-v1.0.0", b"one")


def test_a_second_interrupt_says_what_is_left(project: Project) -> None:
    """It ends at once, exit 5, and tells what stands and what brings the host back; that does."""
    with deploy_at(project, "drain") as deploy:
        deploy.signal(signal.SIGINT, group=True)
        deploy.noted("interrupted")
        deploy.signal(signal.SIGINT, group=True)
        told = deploy.ended()
    assert (told.exit, told.result["outcome"], told.error["kind"]) == (5, "degraded", "Degraded")
    assert told.error["what"] == "interrupted again while putting back"
    assert "its unwinding was interrupted" in told.error["hosts"]["local"]
    assert told.result["hosts"][0]["ok"] is False
    assert "fab deploy" in told.error["cure"]
    project.tag("v1.2.0", {"version.txt": "three"})
    after = project.told("fab", "deploy", "--wait", "2m")
    assert (after.exit, after.result["outcome"]) == (0, "live"), after.events
    assert get(project.front, "/").body == b"three"
    eventually(lambda: len(project.services()) == 1, "more than one release runs")


@pytest.mark.parametrize("point", ["prepare", "start", "drain"])
def test_after_a_killed_deploy_the_next_one_settles(project: Project, point: str) -> None:
    """SIGKILL leaves no time for anything; the agent clears up, and a plain `fab deploy` succeeds without a trace."""
    with deploy_at(project, point) as deploy:
        deploy.signal(signal.SIGKILL)
        deploy.process.wait()
    (project.root / "hold").unlink(missing_ok=True)
    project.tag("v1.2.0", {"version.txt": "three", "behaviour.txt": "well"})
    told = project.told("fab", "deploy")
    assert (told.exit, told.result["outcome"]) == (0, "live"), told.events
    check_only(project, told.result["release"], b"three", others={"0001-v1.0.0"})


def check_only(project: Project, release: str, body: bytes, *, others: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    """`release` is live, its process the only one of the application, and no trace of another is left."""
    (project.root / "hold").unlink(missing_ok=True)
    eventually(lambda: len(project.processes()) == 2, f"more than a service and a front door: {project.processes()}")
    assert project.current == release
    assert get(project.front, "/").body == body
    assert {path.name for path in (project.root / "releases").iterdir()} == {release, *others}
    assert release[:4] in project.sockets()
    assert set(project.sockets()) <= {name[:4] for name in {release, *others}}
    assert project.told("fab", "status").of("row")[0]["health"] == "well"
    assert project.run("fab", "verify").exit == 0


def test_of_two_deploys_one_goes_on(project: Project) -> None:
    """The second exits 6 and names who deploys what; the first is not disturbed."""
    project.run("fab", "deploy")
    project.tag("v1.1.0", {"version.txt": "two"})
    hold = project.root / "hold"
    hold.touch()
    with project.begun("fab", "deploy") as first:
        first.until("prepare")
        second = project.told("fab", "deploy")
        said = project.run("fab", "plan", "--tag", "v1.0.0")
        status = project.told("fab", "status")
        hold.unlink()
        told = first.ended()
    assert (second.exit, second.result["outcome"]) == (6, "locked")
    owner = f"{getpass.getuser()}@{socket.gethostname()}"
    assert second.error["holder"].items() >= {"owner": owner, "release": "0002-v1.1.0", "verb": "deploy"}.items()
    assert owner in second.error["what"]
    assert "0002-v1.1.0" in second.error["what"]
    assert said.exit == 6
    assert said.err.startswith(f"locked: local: locked by {owner} (deploy 0002-v1.1.0) since ")
    assert "remove" not in said.out, "the other's half-made release is no leftover"
    since = second.error["holder"]["since"]
    assert status.of("row")[0]["health"] == f"well; {owner} is at work: deploy 0002-v1.1.0, since {since}"
    assert (told.exit, told.result["outcome"]) == (0, "live")
    assert get(project.front, "/").body == b"two"


def test_an_interrupt_while_packing_changes_nothing(project: Project) -> None:
    """Ctrl-C during a build command on this machine: exit 130, no scratch folder left, the host untouched."""
    project.run("fab", "deploy")
    flag = project.home / "building"
    command = f"python3 -c \"import pathlib, time; pathlib.Path('{flag}').touch(); time.sleep(60)\""
    project.edit("tagship.yml", r"\Z", f"\nbuild:\n  - {command}\n")
    project.tag("v1.1.0")
    before, scratch = project.snapshot(), folders(project)
    with project.begun("fab", "deploy") as deploy:
        eventually(flag.exists, "the build command never runs")
        deploy.signal(signal.SIGINT, group=True)
        told = deploy.ended()
    assert (told.exit, told.result["outcome"], told.error["kind"]) == (130, "restored", "Interrupted")
    assert project.snapshot() == before
    assert folders(project) == scratch
    assert len(project.processes()) == 2


def folders(project: Project) -> set[Path]:
    """What we keep in the project and in the cache; the build's virtualenv (`tools`) is there to be used again."""
    places = (project.folder / ".tagship", project.home / ".cache" / "tagship")
    return {path for place in places for path in place.glob("*") if path.is_dir() and path.name != "tools"}


def test_ctrl_c_after_the_last_change_is_told_as_what_it_is(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The release is live by then; "nothing was changed" would be wrong."""
    for name, value in project.env.items():
        monkeypatch.setenv(name, value)

    def late(event: Event) -> None:
        if "answers from" in event.data.get("text", ""):
            raise KeyboardInterrupt

    outcome = open_stage(project.folder, "local", limit=(), listener=late).deploy(None)
    assert (outcome.outcome, outcome.release) == ("live", "0001-v1.0.0")
    assert project.told("fab", "deploy").result["outcome"] == "unchanged"
