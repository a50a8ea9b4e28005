"""A client killed between two hosts, or with its agents: what one journal tells counts for all, and all goes on."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from unit.ship.killed import Hosts, failing

from tagship.events import Event
from tagship.ship import looking

T = TypeVar("T")

ONE, TWO, THREE, FOUR = "0001-v1", "0002-v2", "0003-v3", "0004-v4"


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    """Two empty hosts with short paths; what runs there is stopped at the end."""
    place = Path(tempfile.mkdtemp(prefix="ts"))
    monkeypatch.setenv("HOME", str(place))
    made = Hosts.below(place)
    yield made
    made.stop()
    shutil.rmtree(place)


def both(states: T) -> dict[str, T]:
    return {"web1": states, "web2": states}


def ends(hosts: Hosts, last: int = 100) -> list[tuple[int, str, str | None, str]]:
    with hosts.fleet() as fleet:
        return [(c.number, c.verb, c.release, c.ended) for c in looking.changes(fleet, last)]


def test_a_release_marked_on_one_host_only_is_good_on_both(hosts: Hosts) -> None:
    """Killed between two hosts' marks: a deploy of the same tag only writes the mark that is missing."""
    hosts.deploy("v1")
    hosts.kill("deploy", "v2", at=("web1", f"mark {TWO} good", "done"))
    assert hosts.states() == both({ONE: "good", TWO: "good"})
    assert (hosts.own("web1").get(TWO), hosts.own("web2").get(TWO)) == ("good", None)
    hosts.events.clear()
    healed = hosts.deploy("v2")
    assert (healed.outcome, healed.release) == ("live", TWO)
    assert hosts.began() == [("web2", f"mark {TWO} good")]
    assert hosts.own("web1") == hosts.own("web2") == {ONE: "good", TWO: "good"}
    assert hosts.deploy("v2").outcome == "unchanged"
    assert ends(hosts) == [
        (1, "deploy", ONE, "live"),
        (2, "deploy", TWO, "lost"),
        (3, "deploy", TWO, "live"),
    ]


def test_such_a_release_is_no_leftover_and_stays_a_target_of_rollbacks(hosts: Hosts) -> None:
    """Neither does settle remove it on the host whose journal lacks the mark, nor prune; a rollback goes there."""
    hosts.deploy("v1")
    hosts.kill("deploy", "v2", at=("web1", f"mark {TWO} good", "done"))
    assert hosts.deploy("v3").outcome == "live"
    assert not any("remove" in title for _host, title in hosts.began())
    assert hosts.own("web2")[TWO] == "good"
    gone_back = hosts.rollback()
    assert (gone_back.outcome, gone_back.release) == ("live", TWO)


def test_a_release_left_on_one_host_only_is_left_on_both(hosts: Hosts) -> None:
    """Killed between the marks of a rollback: the later change counts, so the next rollback passes it over."""
    for tag in ("v1", "v2", "v3"):
        hosts.deploy(tag)
    hosts.kill("rollback", at=("web1", f"mark {THREE} left", "done"))
    assert (hosts.own("web1")[THREE], hosts.own("web2")[THREE]) == ("left", "good")
    assert hosts.states() == both({ONE: "good", TWO: "good", THREE: "left"})
    assert hosts.deploy("v4").release == FOUR
    assert hosts.own("web2")[THREE] == "left"
    assert hosts.rollback().release == TWO


def test_going_up_again_makes_good_what_was_left_by_the_word_of_one_host(hosts: Hosts) -> None:
    """Left in one change, marked good on one host in a later one: good it is."""
    hosts.deploy("v1")
    hosts.deploy("v2")
    assert hosts.rollback().release == ONE
    hosts.kill("rollback", "v2", at=("web1", f"mark {TWO} good", "done"))
    assert (hosts.own("web1")[TWO], hosts.own("web2")[TWO]) == ("good", "left")
    assert hosts.states() == both({ONE: "good", TWO: "good"})


@pytest.mark.parametrize("agents", [False, True], ids=["agents live", "agents die too"])
@pytest.mark.parametrize("step", ["seal it", "start 0002"])
def test_what_a_dead_client_has_staged_is_not_sent_again(hosts: Hosts, agents: bool, step: str) -> None:
    """The same tag goes on: nothing of it is sent a second time, and nothing of the dead release stays."""
    hosts.deploy("v1")
    hosts.kill("deploy", "v2", at=("web2", step, "done"), agents=agents)
    assert hosts.sent()
    hosts.events.clear()
    again = hosts.deploy("v2")
    assert (again.outcome, again.release) == ("live", "0003-v2")
    assert not hosts.sent()
    for host in hosts.fronts:
        assert {path.name for path in (hosts.folder / host / "releases").iterdir()} == {ONE, "0003-v2"}
    assert ends(hosts)[1:] == [(2, "deploy", TWO, "cut off" if agents else "lost"), (3, "deploy", "0003-v2", "live")]


@pytest.mark.parametrize("agents", [False, True], ids=["agents live", "agents die too"])
def test_after_a_client_that_died_between_two_flips_any_verb_goes_on(hosts: Hosts, agents: bool) -> None:
    """One host is on the new release, the other on the old: a rollback brings both down, another tag both up."""
    hosts.deploy("v1")
    hosts.kill("deploy", "v2", at=("web1", f"to {TWO}", "done"), agents=agents)
    with hosts.fleet() as fleet:
        assert [survey.current for survey in fleet.surveys.values()] == [TWO, ONE]
    down = hosts.rollback()
    assert (down.outcome, down.release) == ("live", ONE)
    assert hosts.deploy("v3").outcome == "live"
    with hosts.fleet() as fleet:
        assert {survey.current for survey in fleet.surveys.values()} == {THREE}


@pytest.mark.parametrize("agents", [False, True], ids=["agents live", "agents die too"])
def test_a_rollback_that_died_once_all_had_flipped_is_finished_by_the_next(hosts: Hosts, agents: bool) -> None:
    """It goes where the first one was going, and not one release further down; what both fled from is left."""
    for tag in ("v1", "v2", "v3"):
        hosts.deploy(tag)
    hosts.kill("rollback", at=("web2", f"probe {TWO} through", "done"), agents=agents)
    down = hosts.rollback()
    assert (down.outcome, down.release) == ("live", TWO)
    assert hosts.own("web1") == hosts.own("web2") == {ONE: "good", TWO: "good", THREE: "left"}
    assert hosts.running() == both([TWO])
    assert hosts.rollback().release == ONE


def test_a_rollback_that_was_put_back_is_not_taken_for_one_that_died(hosts: Hosts) -> None:
    """It had flipped, and flipped back: the next one goes down as if there had been none."""
    for tag in ("v1", "v2"):
        hosts.deploy(tag)

    def listener(event: Event) -> None:
        data = event.data
        if event.name == "step" and (event.host, data["state"]) == ("web2", "done") and f"to {ONE}" in data["step"]:
            os.kill(os.getpid(), signal.SIGINT)

    assert hosts.rollback(listener=listener).exit == 130
    with hosts.fleet() as fleet:
        assert [survey.current for survey in fleet.surveys.values()] == [TWO, TWO]
    down = hosts.rollback()
    assert (down.outcome, down.release) == ("live", ONE)


def test_what_a_rollback_that_died_fled_from_is_no_target_of_the_next(hosts: Hosts) -> None:
    """Another tag goes live in between: going back from that passes over what was fled from."""
    for tag in ("v1", "v2", "v3"):
        hosts.deploy(tag)
    hosts.kill("rollback", at=("web2", f"probe {TWO} through", "done"))
    assert hosts.deploy("v4").release == FOUR
    assert hosts.states()["web1"][THREE] == "left"
    assert hosts.rollback().release == TWO


def test_history_tells_how_each_change_ended(hosts: Hosts) -> None:
    """Live, put back and why, stopped; and what one host's agent couldn't tell is told as such."""
    hosts.deploy("v1")
    assert hosts.deploy("v2", app=failing()).outcome == "restored"
    hosts.stop()
    with hosts.fleet() as fleet:
        live, failed, stopped = looking.changes(fleet, 100)
    assert (live.origin, live.release, live.by, live.why) == (None, ONE, "me@here", "")
    assert (failed.origin, failed.release, failed.ended) == (ONE, TWO, "restored")
    assert failed.why.startswith("web1, smoke: ")
    assert (stopped.verb, stopped.origin, stopped.ended) == ("stop", None, "stopped")
    assert [*stopped.ends] == ["web1", "web2"]
    assert "\n" not in failed.why
