"""Locks of a whole fleet: one of two wins, the loser leaves no trace, and who waits plans on what is there then."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest
from unit.ship.fleets import MADE, Lab, lab, shipment

from tagship.errors import HostRefused, Interrupted, Locked, StalePlan
from tagship.events import Event
from tagship.ship import changing
from tagship.ship.fleet import Fleet, Pulse
from tagship.ship.interrupts import Interrupts
from tagship.ship.locks import Claim, give_back, take_all
from tagship.ship.outcome import Outcome
from tagship.ship.waiting import in_turn

ADA, BOB = Claim("ada@ci", "0001-v1", "deploy"), Claim("bob@home", "0000-v0", "rollback")


def ignore(_event: Event) -> None:
    return


def deploy(made: Lab, fleet: Fleet, tag: str) -> Outcome:
    return changing.deploy(fleet, made.stage, shipment(tag), made.events.append, made=MADE)


def test_the_loser_frees_what_it_took_and_disturbs_nobody() -> None:
    """Of overlapping fleets, too: the hosts before the one that is held are free again, those after it untouched."""
    made = lab("a", "b", "c")
    with made.fleet() as ours, Lab({"b": made.hosts["b"]}).fleet() as theirs:
        take_all(theirs, BOB, ignore)
        with pytest.raises(Locked) as caught:
            take_all(ours, ADA, ignore)
        assert (caught.value.host, caught.value.holder["owner"]) == ("b", "bob@home")
        assert made.hosts["a"].holder is made.hosts["c"].holder is None
        assert ours.holder("b") is not None
        give_back(theirs, ["b"], ignore)
        take_all(ours, ADA, ignore)
        assert [host.holder is not None for host in made.hosts.values()] == [True] * 3


def test_locks_are_held_on_every_host_from_before_the_first_step_to_the_end() -> None:
    """And on every one of them the same is told: by whom, for what, since when."""
    made = lab("a", "b")
    seen: list[Any] = []

    def listen(event: Event) -> None:
        if event.name == "step":
            seen.append([host.holder and dict(host.holder[1]) for host in made.hosts.values()])

    with made.fleet() as fleet:
        changing.deploy(fleet, made.stage, shipment("v1"), listen, made=MADE)
    assert seen
    for both in seen:
        assert [note["owner"] for note in both] == ["me@here"] * 2
        assert all(note.keys() == {"owner", "release", "verb", "since"} for note in both)
    assert [host.holder for host in made.hosts.values()] == [None, None]


def test_a_host_that_goes_silent_keeps_no_other_from_being_unlocked() -> None:
    """Hosts are unlocked side by side, so that many silent ones don't take the time of each."""
    made = lab("a", "b", "c")
    made.pulse = Pulse(beat=0.2, silence=1.0)
    said: list[Event] = []
    with made.fleet() as fleet:
        take_all(fleet, ADA, ignore)
        for name in ("a", "b"):
            made.hosts[name].hang("unlock")
        give_back(fleet, list(fleet.hosts), said.append)
    assert made.hosts["c"].holder is None
    assert sorted(event.host for event in said) == ["a", "b"]
    assert all("the lock stays until its agent ends: nothing came from it" in event.data["text"] for event in said)


def waiting_for(made: Lab, fleet: Fleet, wait: float, tag: str, meanwhile: Callable[[], object]) -> list[str]:
    """Deploy `tag` in turn; `meanwhile` is called when it says that it waits. What it said of that."""
    said: list[str] = []
    others: list[threading.Thread] = []

    def tell(event: Event) -> None:
        said.append(event.data["text"])
        others.append(threading.Thread(target=meanwhile, daemon=True))
        others[-1].start()

    in_turn(fleet, wait, tell, lambda: deploy(made, fleet, tag))
    for other in others:
        other.join(60)
    return said


def test_who_waited_plans_on_what_the_other_has_left() -> None:
    """The release that was made meanwhile counts: the serial after it, and it is what is gone back to."""
    made = lab("a", "b")
    made.deploy("v1")
    with made.fleet() as ours, made.fleet() as theirs:
        take_all(theirs, ADA, ignore)
        goes_on: list[Callable[[], object]] = [lambda: deploy(made, theirs, "v2")]
        said = waiting_for(made, ours, 600, "v3", lambda: goes_on and goes_on.pop()())
    assert said[0].startswith("locked by ada@ci (deploy 0001-v1) since 2")
    assert said[0].endswith("; waiting, 10 min at most")
    assert [host.current for host in made.hosts.values()] == ["0003-v3"] * 2
    assert list(made.hosts["a"].releases) == ["0001-v1", "0002-v2", "0003-v3"]


def test_another_holder_is_told_too_and_the_same_only_once() -> None:
    """Whoever waits knows for whom."""
    made = lab("a")
    turns: list[Callable[[], None]] = []
    with made.fleet() as ours, made.fleet() as first, made.fleet() as second:

        def hand_over() -> None:
            give_back(first, ["a"], ignore)
            take_all(second, BOB, ignore)

        turns += [hand_over, lambda: give_back(second, ["a"], ignore)]
        take_all(first, ADA, ignore)
        said = waiting_for(made, ours, 600, "v1", lambda: turns and turns.pop(0)())
    owners = [text.split()[2] for text in said]
    assert owners in (["ada@ci", "bob@home"], ["ada@ci"])  # it may have been quicker than Bob
    assert len(set(said)) == len(said)
    assert made.hosts["a"].current == "0001-v1"


def test_a_stale_plan_is_made_anew_only_by_who_queued() -> None:
    """Who didn't wait has been shown a plan, and is told that it isn't true any more."""
    made = lab("a")
    with made.fleet() as fleet:
        made.deploy("v1")
        with pytest.raises(StalePlan):
            in_turn(fleet, 600, ignore, lambda: deploy(made, fleet, "v2"))


def test_a_host_that_is_lost_ends_the_wait() -> None:
    """Nobody waits for minutes for a host that isn't there any more."""
    made = lab("a")
    made.pulse = Pulse(beat=0.2, silence=1.0)
    with made.fleet() as ours, made.fleet() as theirs:
        take_all(theirs, ADA, ignore)
        made.hosts["a"].hang("holder")
        with pytest.raises(HostRefused, match="nothing came from it"):
            in_turn(ours, 600, ignore, lambda: deploy(made, ours, "v2"))


def test_an_interrupt_while_locks_are_taken_frees_them() -> None:
    """Before the first step nothing has to be put back: it ends at once, with nothing changed."""
    made = lab("a", "b")
    before = made.picture()
    began = made.hosts["b"].slow("lock")
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        began.wait(60)
        signal.pthread_kill(main, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(Interrupted, match="nothing was changed"):
        made.deploy("v1")
    assert made.picture() == before
    assert made.hosts["a"].holder is None


@pytest.mark.parametrize(
    ("numbers", "raised"),
    [
        ([signal.SIGINT], 0),
        ([signal.SIGHUP, signal.SIGHUP], 0),
        ([signal.SIGTERM, signal.SIGHUP], 0),
        ([signal.SIGHUP, signal.SIGINT], 1),
        ([signal.SIGINT, signal.SIGTERM, signal.SIGINT, signal.SIGINT], 1),
    ],
)
def test_the_first_signal_is_a_wish_the_second_an_order(numbers: list[signal.Signals], raised: int) -> None:
    """A closed terminal sends two that mean one; what comes after an order says nothing new."""
    orders = 0
    with Interrupts() as interrupts:
        for number in numbers:
            try:
                signal.raise_signal(number)
            except KeyboardInterrupt:
                orders += 1
            assert interrupts.wished
    assert orders == raised
