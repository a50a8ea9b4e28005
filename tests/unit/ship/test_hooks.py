"""Hooks are steps: shown, run in order, told what is going on, and failing the change that they belong to."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from invoke.exceptions import Exit
from unit.ship.fleets import FRONT, MADE, Lab, lab, shipment

import tagship
from tagship import hooking
from tagship.config import Argv, Hook, Host, Service, Stage
from tagship.config.schema import Phase
from tagship.errors import Interrupted, Restored
from tagship.events import Event
from tagship.hooking import Function, Occasion
from tagship.ship import changing, deadlines
from tagship.ship.deadlines import Deadline
from tagship.ship.fleet import Pulse
from tagship.ship.hooks import Hooks

PHASES = ("stage", "start", "flip", "drain", "commit")


def python(code: str) -> Argv:
    return Argv(("python", "-c", code))


def function(when: str, phase: str, call: Callable[[Occasion], object]) -> Function:
    return Function(when, phase, call.__name__, f"fabfile.py:{call.__code__.co_firstlineno}", call)


def live(*names: str) -> Lab:
    """v0.1.0 is live; what hooks a test adds are for what comes."""
    made = lab(*names)
    made.deploy("v0.1.0")
    made.events.clear()
    for host in made.hosts.values():
        host.asked.clear()
    return made


def test_hooks_stand_before_and_after_every_phase_in_order(tmp_path: Path) -> None:
    """Those of tagship.yml come first, then functions, each in the order of its definition."""
    made = live("web1")
    calls: list[str] = []

    def note(occasion: Occasion) -> None:
        calls.append(f"{occasion.when} {occasion.phase}")

    commands = [Hook(run=Argv(("true", when, phase)), **{when: phase}) for phase in PHASES for when in WHENS]
    functions = [function(when, phase, note) for phase in PHASES for when in WHENS]
    made.hooks = Hooks((*functions[:3], *commands, *functions[3:]), tmp_path)
    assert made.deploy("v0.2.0").outcome == "live"
    assert calls == [f"{when} {phase}" for phase in PHASES for when in WHENS]
    firsts = {"declare": "stage", "start": "start", "flip": "flip", "drain": "drain", "mark": "commit"}
    order = [step.removeprefix("run true ") for step in made.began() if step.split()[0] in ("run", *firsts)]
    wanted = [word for phase in PHASES for word in (f"before {phase}", phase, f"after {phase}")]
    assert [firsts.get(step.split()[0], step) for step in order] == wanted


WHENS = ("before", "after")


def test_a_command_here_finds_out_what_is_going_on(tmp_path: Path) -> None:
    """It runs once, in the project's folder, with the facts in its environment; what it says is told."""
    made = live("web1", "web2")
    names = ["VERB", "STAGE", "TAG", "RELEASE", "PREVIOUS", "HOSTS"]
    code = f"import os; print(*(os.environ['TAGSHIP_' + name] for name in {names})); print(os.getcwd())"
    made.hooks = Hooks((Hook(run=python(code), before="flip"),), tmp_path)
    made.deploy("v0.2.0")
    made.rollback()
    said = [event.data["text"] for event in made.told("note") if event.data["text"].startswith("| ")]
    assert said == [
        "| deploy production v0.2.0 0002-v0.2.0 0001-v0.1.0 web1,web2",
        f"| {tmp_path}",
        "| rollback production v0.1.0 0001-v0.1.0 0002-v0.2.0 web1,web2",
        f"| {tmp_path}",
    ]


def test_a_command_of_hosts_runs_in_the_new_release_where_its_roles_say(tmp_path: Path) -> None:
    """The agent runs it as it runs `prepare`; the facts come with it."""
    made = live("web1", "work1")
    made.stage = Stage(
        front=FRONT, hosts=(Host(host="web1"), Host(host="work1", roles=("worker",))), service=Service(kind="process")
    )
    made.hooks = Hooks((Hook(run=Argv(("purge", "all")), after="start", on="hosts", roles=("web",)),), tmp_path)
    assert made.deploy("v0.2.0").outcome == "live"
    ran = {n: [a for v, a in h.asked if v == "command" and "purge" in a["argv"]] for n, h in made.hosts.items()}
    assert ran["work1"] == []
    (args,) = ran["web1"]
    assert args["release"] == "0002-v0.2.0"
    assert args["argv"][0] == "env"
    assert args["argv"][-2:] == ["purge", "all"]
    assert {"TAGSHIP_VERB=deploy", "TAGSHIP_TAG=v0.2.0", "TAGSHIP_HOSTS=web1,work1"} <= set(args["argv"])


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("when", WHENS)
def test_a_failing_command_puts_everything_back_until_commit(tmp_path: Path, when: str, phase: str) -> None:
    """Its last words are in the error; after `commit` there is nothing left to put back, so it is a warning."""
    made = live("web1", "web2")
    before = made.picture()
    run = python("print('the CDN says no'); raise SystemExit(3)")
    made.hooks = Hooks((Hook(run=run, **{when: phase}),), tmp_path)
    outcome = made.deploy("v0.2.0")
    if (when, phase) == ("after", "commit"):
        assert outcome.outcome == "live"
        assert any("exit status 3" in text and "the CDN says no" in text for text in made.warnings())
        return
    assert isinstance(outcome.error, Restored)
    assert (outcome.exit, outcome.error.what) == (4, "failed: exit status 3")
    assert outcome.error.where.startswith("here, run python -c")
    assert outcome.error.tail == ("the CDN says no",)
    assert made.picture() == before


def test_a_command_that_is_not_there_is_one_clear_message(tmp_path: Path) -> None:
    """No traceback, and the fleet as before."""
    made = live("web1")
    made.hooks = Hooks((Hook(run=Argv(("no-such-program",)), before="flip"),), tmp_path)
    outcome = made.deploy("v0.2.0")
    assert isinstance(outcome.error, Restored)
    assert "No such file" in outcome.error.what


def test_a_function_learns_all_and_acts_through_its_occasion(tmp_path: Path) -> None:
    """It can speak, run commands here, and run them on all hosts or on some."""
    made = live("web1", "web2")
    seen = []

    def look(occasion: Occasion) -> None:
        seen.append(occasion)
        occasion.say(f"{occasion.tag} is next")
        occasion.here(["python", "-c", "import os; print(os.environ['TAGSHIP_TAG'])"])
        occasion.on_hosts(["warm", "up"])
        occasion.on_hosts(["only", "one"], "web2")

    made.hooks = Hooks((function("after", "start", look),), tmp_path)
    assert made.deploy("v0.2.0").outcome == "live"
    (told,) = seen
    assert (told.verb, told.when, told.phase, told.stage) == ("deploy", "after", "start", "production")
    assert (told.release, told.tag, told.previous) == ("0002-v0.2.0", "v0.2.0", "0001-v0.1.0")
    assert told.hosts == ("web1", "web2")
    assert [e.data["text"] for e in made.told("note")] == ["v0.2.0 is next", "| v0.2.0"]
    ran = {n: [a["argv"][-2:] for v, a in h.asked if v == "command"][1:] for n, h in made.hosts.items()}
    assert ran == {"web1": [["warm", "up"]], "web2": [["warm", "up"], ["only", "one"]]}


def raises(_occasion: Occasion) -> None:
    raise ValueError("no channel is called #deploys")


def leaves(_occasion: Occasion) -> None:
    sys.exit("enough")


async def waits(_occasion: Occasion) -> None:
    return


def strays(occasion: Occasion) -> None:
    occasion.on_hosts(["true"], "web9")


def shouts(occasion: Occasion) -> None:
    occasion.here("rm -r everything")


def halves(occasion: Occasion) -> None:
    occasion.here(["echo", "a\0b"])


def fails(occasion: Occasion) -> None:
    occasion.here(["false"])


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (raises, "the hook `raises` raised ValueError: no channel is called #deploys"),
        (leaves, "the hook `leaves` raised SystemExit: enough"),
        (waits, "the hook `waits` is `async`, and nothing awaits it"),
        (strays, "no host of this change is called web9"),
        (shouts, "'rm -r everything' is no list of words"),
        (halves, "['echo', 'a\\x00b'] is no list of words"),
        (fails, "run false failed: exit status 1"),
    ],
)
def test_whatever_a_function_does_wrong_is_one_message_that_names_its_line(
    tmp_path: Path, call: Callable[[Occasion], object], what: str
) -> None:
    """Where, what and its own lines; nothing of ours, and the fleet as before."""
    made = live("web1")
    before = made.picture()
    made.hooks = Hooks((function("before", "flip", call),), tmp_path)
    outcome = made.deploy("v0.2.0")
    assert isinstance(outcome.error, Restored)
    assert outcome.error.what == what
    assert "fabfile.py:" in outcome.error.where
    assert not any("here.py" in line for line in outcome.error.tail)
    assert made.picture() == before
    if call in (raises, leaves):
        assert outcome.error.where == f"fabfile.py:{call.__code__.co_firstlineno + 1}"
        assert outcome.error.tail[0].startswith(f"{__file__}:{call.__code__.co_firstlineno + 1} in {call.__name__}: ")


def test_a_command_of_a_function_that_fails_on_a_host_fails_the_change(tmp_path: Path) -> None:
    """What the host said is in the error, and the release goes."""
    made = live("web1", "web2")
    before = made.picture()
    web2 = made.hosts["web2"]

    def warm(occasion: Occasion) -> None:
        web2.fail("command", nth=web2._counts["command"] + 1, what="run warm failed: exit status 2")
        occasion.on_hosts(["warm"])

    made.hooks = Hooks((function("after", "start", warm),), tmp_path)
    outcome = made.deploy("v0.2.0")
    assert isinstance(outcome.error, Restored)
    assert "run warm failed: exit status 2" in outcome.error.what
    assert made.picture() == before


@pytest.mark.parametrize("deaf", [False, True])
def test_ctrl_c_ends_a_command_with_all_that_it_started(tmp_path: Path, deaf: bool) -> None:
    """The whole process group goes, by SIGKILL where it doesn't hear SIGTERM, and everything is put back."""
    made = live("web1")
    made.grace = 1.0 if deaf else 60.0
    before = made.picture()
    pids: list[int] = []
    code = (
        "import subprocess, sys, os, signal\n"
        f"if {deaf}: signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(os.getpid(), child.pid)\n"
        "child.wait()"
    )
    made.hooks = Hooks((Hook(run=python(code), before="drain"),), tmp_path)

    def listen(event: Event) -> None:
        if event.name == "note" and event.data["text"].startswith("| ") and not pids:
            pids.extend(int(word) for word in event.data["text"].split()[1:])
            os.kill(os.getpid(), signal.SIGINT)

    with made.fleet() as fleet:
        options = {"made": MADE, "hooks": made.hooks, "grace": made.grace}
        outcome = changing.deploy(fleet, made.stage, shipment("v0.2.0"), listen, **options)
    assert isinstance(outcome.error, Interrupted)
    assert made.picture() == before
    assert len(pids) == 2
    assert not any(lives(pid) for pid in pids)


def lives(pid: int) -> bool:
    """Whether it runs; what has ended and waits to be heard of doesn't."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return False
        if state == "Z":
            return False
        time.sleep(0.01)
    return True


def hang_in_python(_occasion: Occasion) -> None:
    threading.Event().wait()


def hang_on_a_host(occasion: Occasion) -> None:
    occasion.on_hosts(["sleep"], "web1")


def hang_here(occasion: Occasion) -> None:
    occasion.here(["python", "-c", "import time; time.sleep(600)"])


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("hang", [hang_in_python, hang_on_a_host, hang_here, None])
def test_a_hook_that_never_ends_is_given_up(
    tmp_path: Path, hang: Callable[[Occasion], object] | None, when: str
) -> None:
    """No hook holds a fleet's locks for ever: before the commit all is put back, after it that is a warning."""
    made = live("web1")
    before = made.picture()
    web1 = made.hosts["web1"]
    web1.slow("command", nth=web1._counts["command"] + 2)  # the first is the smoke test
    made.pulse = Pulse(limits=lambda verb, args: Deadline(1.0) if verb == "command" else deadlines.of(verb, args))
    if hang is None:
        hook: Hook | Function = Hook(run=python("import time; time.sleep(600)"), **{when: "commit"})
    else:
        hook = function(when, "commit", hang)
    made.hooks = Hooks((hook,), tmp_path)
    outcome = made.deploy("v0.2.0")
    told = [event.data["text"] for event in made.events if event.name == "note"]
    if when == "after":
        assert outcome.outcome == "live"
        assert any("did not end" in text for text in told)
        return
    assert isinstance(outcome.error, Restored)
    assert "did not end" in outcome.error.what
    assert made.picture() == before


def test_ctrl_c_cuts_what_a_function_has_hosts_do(tmp_path: Path) -> None:
    """A command of hosts that never ends is given up with its link, once its grace is over."""
    made = live("web1", "web2")
    made.grace = 0.2
    before = made.picture()
    web2 = made.hosts["web2"]
    ended = []

    def hang(occasion: Occasion) -> None:
        began = web2.slow("command", nth=web2._counts["command"] + 1)
        try:
            occasion.on_hosts(["sleep"], "web2")
        finally:
            ended.append(began.is_set())

    made.hooks = Hooks((function("after", "start", hang),), tmp_path)

    def listen(event: Event) -> None:
        if event.name == "step" and event.data["step"].startswith("call hang") and event.data["state"] == "begin":
            os.kill(os.getpid(), signal.SIGINT)

    with made.fleet() as fleet:
        options = {"made": MADE, "hooks": made.hooks, "grace": made.grace}
        outcome = changing.deploy(fleet, made.stage, shipment("v0.2.0"), listen, **options)
    assert isinstance(outcome.error, Interrupted)
    assert made.picture() == before
    assert len(ended) == 1


def test_a_warning_after_commit_keeps_no_other_hook_from_running(tmp_path: Path) -> None:
    """Whatever side they run on, one after another."""
    made = live("web1")
    web1 = made.hosts["web1"]
    web1.fail("command", nth=web1._counts["command"] + 2, what="the first says no")
    here = (Hook(run=Argv(("false",)), after="commit"), Hook(run=python("print('second here')"), after="commit"))
    hosts = tuple(Hook(run=Argv((word,)), after="commit", on="hosts") for word in ("first", "second"))
    made.hooks = Hooks((*here, *hosts), tmp_path)
    assert made.deploy("v0.2.0").outcome == "live"
    assert made.warnings() == ["run false: failed: exit status 1", "run first: the first says no"]
    assert "| second here" in [event.data["text"] for event in made.told("note")]
    assert [args["argv"][-1] for verb, args in web1.asked if verb == "command"][-1] == "second"


def test_ctrl_c_after_commit_ends_what_runs_and_begins_nothing_more(tmp_path: Path) -> None:
    """The release stays live: the command goes, and neither the next hook nor `prune` is begun."""
    made = live("web1")
    made.grace = 60.0
    called: list[str] = []

    def late(occasion: Occasion) -> None:
        called.append(occasion.tag)

    hang = Hook(run=python("import time; print('up', flush=True); time.sleep(600)"), after="commit")
    made.hooks = Hooks(
        (hang, Hook(run=Argv(("purge",)), after="commit", on="hosts"), function("after", "commit", late))
    )

    def listen(event: Event) -> None:
        made.events.append(event)
        if event.name == "note" and event.data["text"] == "| up":
            os.kill(os.getpid(), signal.SIGINT)

    with made.fleet() as fleet:
        options = {"made": MADE, "hooks": made.hooks, "grace": made.grace}
        assert changing.deploy(fleet, made.stage, shipment("v0.2.0"), listen, **options).outcome == "live"
    assert called == []
    assert made.hosts["web1"].verbs()[-1] == "mark"
    assert [text for text in made.warnings() if text.startswith("interrupted")] == [
        "interrupted during `after commit`; the release is live",
        "interrupted before `after commit`; the release is live",
    ]


@pytest.mark.parametrize("wishes", [1, 2])
def test_ctrl_c_cuts_what_hosts_do_after_commit(tmp_path: Path, wishes: int) -> None:
    """A command that never ends is given up once its grace is over, or at a second Ctrl-C; the release stays live."""
    made = live("web1")
    made.grace = 0.2 if wishes == 1 else 60.0
    web1 = made.hosts["web1"]
    began = web1.slow("command", nth=web1._counts["command"] + 2)
    made.hooks = Hooks((Hook(run=Argv(("purge",)), after="commit", on="hosts"),), tmp_path)

    def interrupt() -> None:
        began.wait(10)
        for _ in range(wishes):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)

    helper = threading.Thread(target=interrupt)
    helper.start()
    outcome = made.deploy("v0.2.0", grace=made.grace)
    helper.join()
    assert (outcome.outcome, outcome.exit) == ("live", 0)
    assert made.hosts["web1"].current == "0002-v0.2.0"


def test_a_plan_that_only_heals_has_no_hooks(tmp_path: Path) -> None:
    """Nothing new goes live, so there is nothing to announce; the same holds where there is nothing to do."""
    made = live("web1")
    made.hooks = Hooks((Hook(run=Argv(("false",)), before="commit"),), tmp_path)
    assert made.deploy("v0.1.0").outcome == "unchanged"
    made.hosts["web1"].running.clear()
    assert made.deploy("v0.1.0").outcome == "live"


def test_a_dry_run_shows_hooks_and_runs_none(tmp_path: Path) -> None:
    """Here and on hosts alike."""
    made = live("web1")
    touch = Hook(run=Argv(("touch", "touched")), before="stage")
    made.hooks = Hooks((touch, Hook(run=Argv(("touch",)), after="stage", on="hosts")), tmp_path)
    assert made.deploy("v0.2.0", dry=True).outcome == "planned"
    (plan,) = made.told("plan")
    assert plan.data["plan"][1:3] == ["before stage", "  run touch touched [here]"]
    assert plan.data["steps"][0]["steps"][0]["host"] is None
    assert not (tmp_path / "touched").exists()
    assert made.hosts["web1"].verbs() == []


def test_decorated_functions_are_noted_in_order_and_stay_functions() -> None:
    """The decorator takes note of name, file and line, and gives the function back."""
    known = len(hooking.noted())

    @tagship.before("flip")
    def one(occasion: Occasion) -> str:
        return occasion.tag

    @tagship.after("commit")
    def two(_occasion: Occasion) -> None:
        return

    noted = hooking.noted()[known:]
    assert [(f.when, f.phase, f.name) for f in noted] == [("before", "flip", "one"), ("after", "commit", "two")]
    assert noted[0].call is one
    assert noted[0].at == f"{os.path.relpath(__file__)}:{one.__code__.co_firstlineno}"
    del hooking._noted[known:]


def test_commands_and_functions_stand_at_the_same_phases() -> None:
    """What tagship.yml takes and what the decorators take is one list, and the one that is tried above."""
    assert get_args(Phase) == hooking.PHASES == PHASES


@pytest.mark.parametrize("phase", ["canary", "prune", "", None, raises])
def test_an_unknown_phase_is_refused_where_it_stands(phase: object) -> None:
    """While fabfile.py is read, in the way that Fabric turns into a message: file, line, and the phases there are."""
    with pytest.raises(Exit) as caught:
        tagship.before(phase)  # type: ignore[arg-type]
    assert caught.value.code == 2
    assert f"{Path(__file__).name}:" in caught.value.message
    assert all(name in caught.value.message for name in PHASES)
