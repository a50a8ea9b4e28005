"""A conversation ends: whatever hangs, stops, or goes silent on the other side, the caller gets a typed error."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from contract.test_contract import LOCK

from tagship.errors import HostRefused, LinkLost, Overdue
from tagship.host import verbs
from tagship.ship import deadlines
from tagship.ship.deadlines import Deadline
from tagship.ship.link import AgentLink
from tagship.ship.transport import LocalTransport

Begin = Callable[..., AgentLink]

AGENT = """
import json, os, struct, sys, time
def say(message):
    data = json.dumps(message).encode()
    os.write(1, struct.pack("!IB", len(data), 1) + data)
def hear():
    head = os.read(0, 5)
    if len(head) < 5:
        sys.exit()
    size, kind = struct.unpack("!IB", head)
    data = b""
    while len(data) < size:
        data += os.read(0, size - len(data))
    return json.loads(data) if kind == 1 else data
say({"hello": {"protocol": 1, "python": "3", "pid": os.getpid()}})
"""
"""Begins as an agent does; what it does then is the test's."""

BEATS = "while True:\n    say({'beat': 1})\n    time.sleep(0.05)\n"


@pytest.fixture
def begin() -> Iterator[Begin]:
    """`begin(script, seconds, by_progress=...)` is a link to an agent that does as `script` says."""
    made: list[AgentLink] = []

    def new(script: str, seconds: float, *, silence: float = 30.0, by_progress: bool = False) -> AgentLink:
        channel = LocalTransport().connect(["python3", "-c", AGENT + script])
        limit = Deadline(seconds, by_progress)
        link = AgentLink("web1", channel, beat=silence / 6, silence=silence, limits=lambda _verb, _args: limit)
        made.append(link)
        link.open(b"", 30)
        return link

    yield new
    for link in made:
        pid = link.agent_pid
        link.close()
        if pid is not None:
            gone(pid, signal.SIGKILL)


def gone(pid: int, number: int = 0) -> bool:
    """Whether a process of ours has ended; else it gets the signal `number`."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return True
    return False


def in_a_thread(work: Callable[[], Any]) -> Callable[[], BaseException | None]:
    """Begin `work`; what is returned waits for its end, and gives its error."""
    raised: list[BaseException | None] = []

    def run() -> None:
        try:
            work()
            raised.append(None)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def end() -> BaseException | None:
        thread.join(60)
        assert raised, "it hangs"
        return raised[0]

    return end


def test_every_verb_has_a_deadline() -> None:
    """Whatever the agent can be asked; every time is one that somebody can outlive."""
    assert verbs.VERBS.keys() <= deadlines.VERBS.keys()
    assert all(0 < deadline.seconds <= deadlines.COMMAND for deadline in deadlines.VERBS.values())


@pytest.mark.parametrize(
    ("verb", "args", "more"),
    [("halt", {"release": "0001-v1", "drain": 600}, 1200), ("logs", {"wait": 2.0}, 2), ("flip", {"to": None}, 0)],
)
def test_what_a_verb_was_asked_to_wait_for_is_added(verb: str, args: Mapping[str, Any], more: float) -> None:
    """A drain of ten minutes isn't cut off, nor the ten that its unit then has to end (its TimeoutStopSec)."""
    assert deadlines.of(verb, args).seconds == deadlines.VERBS[verb].seconds + more


def test_no_beat_comes_before_the_greeting() -> None:
    """However long a busy machine takes to send its code: a beat in front of it would be taken for its length."""
    hear_first = "first = os.read(0, 5).decode()\nsay({'hello': {'protocol': 1, 'pid': os.getpid(), 'first': first}})"
    channel = LocalTransport().connect(["python3", "-c", AGENT.rpartition("say(")[0] + hear_first])
    link = AgentLink("web1", channel, beat=0.01)
    try:
        time.sleep(0.1)
        assert link.open(b"greet", 30)["first"] == "greet"
    finally:
        link.cut()


def test_a_verb_that_hangs_is_given_up_though_its_agent_beats(begin: Begin) -> None:
    """The error names verb, host and seconds; an agent that doesn't hear that it is over is ended."""
    link = begin(BEATS, 1.0, silence=2.0)
    agent = link.agent_pid
    assert agent is not None
    with pytest.raises(Overdue) as caught:
        link.call("survey")
    error = caught.value
    assert (error.verb, error.host, error.seconds, error.kind) == ("survey", "web1", 1.0, "lost")
    assert error.what == "`survey` did not end: no answer for 1 s, though its agent beats"
    assert not link.alive
    with pytest.raises(Overdue):
        link.call("holder")
    until = time.monotonic() + 60
    while not gone(agent):
        assert time.monotonic() < until, "it lives on"
        time.sleep(0.01)


def test_a_verb_that_gets_on_may_take_its_time(begin: Begin) -> None:
    """With a deadline by progress the whole may take longer than it; without progress it may not."""
    steps = "hear()\n" + (
        "for n in range({count}):\n    say({{'id': 1, 'progress': {{'done': n, 'total': 9, 'unit': 'x'}}}})\n"
        "    time.sleep(0.2)\n"
    )
    told: list[int] = []
    link = begin(steps.format(count=10) + "say({'id': 1, 'ok': {'a': 1}})\n" + BEATS, 1.0, by_progress=True)
    assert link.call("put", on_progress=lambda done, _total, _unit: told.append(done)) == {"a": 1}
    assert told == list(range(10))
    link = begin(steps.format(count=2) + BEATS, 1.0, by_progress=True)
    with pytest.raises(Overdue, match="`put` did not end: nothing got on for 1 s"):
        link.call("put")


def test_an_agent_may_grant_more_by_its_releases_own_settings(begin: Begin) -> None:
    """A probe of ten minutes is in the release's record, which only the host has."""
    answers = "hear()\nsay({'id': 1, 'takes': 30.0})\ntime.sleep(1)\nsay({'id': 1, 'ok': {}})\n" + BEATS
    assert begin(answers, 0.5).call("start") == {}


@pytest.mark.parametrize("end", ["overdue", "silent", "cut"])
def test_who_sends_to_an_agent_that_reads_nothing_is_woken(begin: Begin, end: str) -> None:
    """A full pipe blocks the sender in the kernel: also from there it gets its error, and others aren't kept."""
    link = begin(BEATS if end != "silent" else "time.sleep(600)\n", 1.0 if end == "overdue" else 600, silence=1.5)
    wait = in_a_thread(lambda: link.call("put", data=iter(lambda: bytes(1 << 20), b"")))
    if end == "cut":
        time.sleep(0.3)
        link.cut()
    error = wait()
    assert isinstance(error, LinkLost)
    assert isinstance(error, Overdue) == (end == "overdue")
    assert {"overdue": "did not end", "silent": "nothing came from it", "cut": "cut from this side"}[
        end
    ] in error.what


def test_a_stopped_agent_is_lost_also_for_those_who_wait_their_turn(begin: Begin) -> None:
    """Two verbs at a time: one waits for an answer, the other for its turn; both are told."""
    link = begin("time.sleep(600)\n", 600, silence=1.0)
    assert link.agent_pid is not None
    os.kill(link.agent_pid, signal.SIGSTOP)
    waits = [in_a_thread(lambda: link.call("lock", LOCK)) for _ in range(2)]
    for wait in waits:
        error = wait()
        assert isinstance(error, LinkLost)
        assert error.what == "nothing came from it for 1 s"


def test_a_hello_that_never_comes_ends_the_agent_too() -> None:
    """Also one that was stopped before it could speak leaves no process behind."""
    channel = LocalTransport().connect(["sleep", "600"])
    link = AgentLink("web1", channel)
    with pytest.raises(HostRefused, match=r"no hello came from its agent within 0\.5 s"):
        link.open(b"", 0.5)
    assert channel.status() == -signal.SIGKILL
