"""Whatever fails on a fleet of three: each host is back on its own release, or one command brings them together."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from contract.fake import FakeHost
from unit.ship.fleets import MADE, Lab, lab, shipment

from tagship.errors import Degraded, Restored, StalePlan
from tagship.events import Event, ignore
from tagship.ship import changing
from tagship.ship.outcome import Outcome

HOSTS = ("web1", "web2", "web3")
DEPLOY = ("declare", "put", "tree", "venv", "furnish", "command", "seal", "start", "flip", "probe", "halt", "mark")
ROLLBACK = ("start", "flip", "probe", "halt", "mark")
PUBLIC = ("flip", "probe", "halt", "mark")
"""Steps at which the world has seen, or may have, the release that is taken back."""


def mixed() -> Lab:
    """Three hosts that stand on three releases, each well, with v1 on all of them."""
    made = lab(*HOSTS)
    made.deploy("v1")
    made.deploy("v2", limit=["web2"])
    made.deploy("v3", limit=["web3"])
    made.deploy("v4", limit=["web3"])
    made.events.clear()
    return made


def fail_next(host: FakeHost, verb: str, nth: int = 1, what: str = "it broke") -> None:
    """The nth time from now that `verb` is asked of `host`."""
    host.fail(verb, nth=host._counts.get(verb, 0) + nth, what=what)


def die_next(host: FakeHost, verb: str, nth: int = 1, *, after: bool = False) -> None:
    host.die(verb, nth=host._counts.get(verb, 0) + nth, after=after)


def unplugged(made: Lab, name: str, when: Callable[[Event], bool]) -> Callable[[Event], None]:
    """A listener that takes the host off the net at an event: its link goes by itself, and there is no new one."""

    def listen(event: Event) -> None:
        made.events.append(event)
        if event.host == name and when(event):
            made.hosts[name].reachable = False

    return listen


def begins(title: str) -> Callable[[Event], bool]:
    return lambda event: event.data.get("state") == "begin" and event.data["step"].startswith(title)


def undoes(title: str) -> Callable[[Event], bool]:
    return lambda event: event.data.get("state") == "undo" and event.data["step"].startswith(title)


def deploy(made: Lab, tag: str, listener: Callable[[Event], None]) -> Outcome:
    with made.fleet() as fleet:
        return changing.deploy(fleet, made.stage, shipment(tag), listener, made=MADE)


def converged(made: Lab, outcome: Outcome, *left: str) -> None:
    """What is told to be typed brings every host that can be reached, but for `left`, to one release, unlocked."""
    assert outcome.error is not None
    command = outcome.error.cure.partition(": fab ")[2]
    assert command, outcome.error.cure
    again = made.typed(f"fab {command}")
    assert again.exit == 0, again.error
    living = [host for name, host in made.hosts.items() if host.reachable and name not in left]
    assert len({host.current for host in living}) == 1, made.picture()
    assert all(host.running == {host.current} and host.holder is None for host in living)


@pytest.mark.parametrize("down", [False, True], ids=["deploy", "rollback"])
def test_nothing_public_changes_before_every_host_is_ready(*, down: bool) -> None:
    """Each phase is a barrier: the first flip begins once the last host has sealed, smoked and started; and so on."""
    made = lab(*HOSTS)
    made.deploy("v1")
    if down:
        made.deploy("v2")
    made.events.clear()
    assert (made.rollback() if down else made.deploy("v2")).outcome == "live"
    steps = [event for event in made.told("step") if event.host]

    def last_done(*titles: str) -> int:
        return max(i for i, e in enumerate(steps) if e.data["state"] == "done" and e.data["step"].startswith(titles))

    def first_begun(*titles: str) -> int:
        return min(i for i, e in enumerate(steps) if e.data["state"] == "begin" and e.data["step"].startswith(titles))

    if not down:
        assert last_done("seal", "smoke") < first_begun("start")
    assert last_done("start") < first_begun("flip")
    assert last_done("flip") < first_begun("drain")
    assert last_done("drain") < first_begun("mark")
    assert {event.host for event in steps if event.data["step"].startswith("flip")} == set(HOSTS)


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("verb", DEPLOY)
def test_a_mixed_fleet_goes_back_host_by_host_to_what_its_own_survey_said(verb: str, host: str) -> None:
    """A step fails on one of three hosts: each is on the release that it had before, and the cure names all three."""
    made = mixed()
    before = made.picture()
    fail_next(made.hosts[host], verb)
    outcome = made.deploy("v5")
    assert isinstance(outcome.error, Restored)
    assert made.picture() == before
    assert "web1 is on 0001-v1, web2 is on 0002-v2, web3 is on 0003-v4, as before" in outcome.error.cure
    assert [found.release for found in outcome.hosts] == ["0001-v1", "0002-v2", "0003-v4"]
    again = made.deploy("v5")
    assert again.outcome == "live"
    assert {fake.current for fake in made.hosts.values()} == {again.release}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("verb", ROLLBACK)
def test_a_mixed_fleet_that_fails_to_go_down_stays_as_mixed_as_it_was(verb: str, host: str) -> None:
    """A rollback is unwound like a deploy; where the step isn't taken on that host, it goes down."""
    made = mixed()
    before = made.picture()
    fail_next(made.hosts[host], verb)
    outcome = made.rollback()
    if host == "web1" and verb in ("flip", "halt"):  # it stands on the target already
        assert outcome.outcome == "live"
        assert {fake.current for fake in made.hosts.values()} == {"0001-v1"}
        return
    assert isinstance(outcome.error, Restored)
    assert made.picture() == before


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("verb", [verb for verb in DEPLOY if verb != "halt"])
def test_a_first_deploy_that_fails_ends_on_nothing_and_says_so(verb: str, host: str) -> None:
    """No release on any of three hosts, nothing current, no process, no front; the cure says that nothing is live."""
    made = lab(*HOSTS)
    fail_next(made.hosts[host], verb)
    outcome = made.deploy("v1")
    assert isinstance(outcome.error, Restored)
    assert "everything was put back: nothing is live" in outcome.error.cure
    assert made.picture() == dict.fromkeys(HOSTS, (None, [], None, {}))
    assert [found.release for found in outcome.hosts] == [None] * 3


def test_what_is_live_after_a_failure_is_named() -> None:
    """A fleet that was on one release is told which."""
    made = lab(*HOSTS)
    made.deploy("v1")
    fail_next(made.hosts["web2"], "probe", what="500 at /")
    error = made.deploy("v2").error
    assert error is not None
    assert error.cure == "everything was put back: 0001-v1 is live; mend it and try again"


def test_each_host_undoes_its_newest_step_first() -> None:
    """On every one of the hosts, the undos come in the reverse order of the steps that they reverse."""
    made = mixed()
    fail_next(made.hosts["web3"], "mark")
    made.deploy("v5")
    for host in HOSTS:
        begun = made.began(host)
        undone = [e.data["step"] for e in made.told("step") if e.host == host and e.data["state"] == "undo"]
        assert undone[-1].startswith("declare")
        assert [begun.index(title) for title in undone] == sorted((begun.index(t) for t in undone), reverse=True)


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("undo", ["flip", "start", "halt", "unstage"])
def test_where_undoing_fails_the_command_that_is_told_converges(undo: str, host: str) -> None:
    """A step fails, and one undo fails too: degraded, every host is told of, one command mends it."""
    made = lab(*HOSTS)
    made.deploy("v1")
    fail_next(made.hosts["web3"], "mark", what="no room for a line")  # the last vital step: all has to go back
    nth = 2 if undo in ("flip", "halt", "start") else 1  # the first is the deploy's own
    fail_next(made.hosts[host], undo, nth=nth, what="and it will not go back")
    outcome = made.deploy("v2")
    assert isinstance(outcome.error, Degraded)
    assert (outcome.outcome, outcome.exit) == ("degraded", 5)
    assert set(outcome.error.hosts) == set(HOSTS)
    assert "and it will not go back" in outcome.error.hosts[host]
    assert outcome.error.cure == "this brings them to one release: fab deploy --stage production --tag v1"
    assert [found.ok for found in outcome.hosts] == [name != host for name in HOSTS]
    converged(made, outcome)


def test_two_errors_in_one_unwind_are_both_told() -> None:
    """On one host two undos fail, on another a third: all three are told, and the rest was put back nevertheless."""
    made = lab(*HOSTS)
    made.deploy("v1")
    web1, web2, _web3 = made.hosts.values()
    fail_next(made.hosts["web3"], "mark")
    fail_next(web1, "flip", 2, "no flipping back")
    fail_next(web1, "halt", 2, "it will not stop")
    fail_next(web2, "unstage", 1, "it will not go")
    outcome = made.deploy("v2")
    assert isinstance(outcome.error, Degraded)
    assert "no flipping back" in outcome.error.hosts["web1"]
    assert "it will not stop" in outcome.error.hosts["web1"]
    assert outcome.error.hosts["web1"].startswith("0002-v2 is current")
    assert "it will not go" in outcome.error.hosts["web2"]
    assert outcome.error.hosts["web3"] == "0001-v1 is current"
    assert web2.current == "0001-v1"
    converged(made, outcome)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("verb", PUBLIC)
def test_a_host_that_dies_once_it_may_be_public_degrades_and_the_others_converge(
    verb: str, host: str, after: bool
) -> None:
    """Told is where it stood and what may be current; the command skips it, a plain deploy takes it along later."""
    made = lab(*HOSTS)
    made.deploy("v1")
    fake = made.hosts[host]
    titles = {"flip": "flip", "probe": "probe 0002-v2 through", "halt": "drain", "mark": "mark"}
    die_next(fake, verb, after=after)
    outcome = deploy(made, "v2", unplugged(made, host, begins(titles[verb])))
    assert isinstance(outcome.error, Degraded)
    assert outcome.error.hosts[host].startswith("out of reach; 0001-v1 was current, and 0002-v2 may be")
    assert all(outcome.error.hosts[other] == "0001-v1 is current" for other in HOSTS if other != host)
    assert outcome.error.cure.endswith(f"fab deploy --stage production --tag v2 --skip {host}")
    converged(made, outcome)
    fake.reachable = True
    assert made.deploy("v2").outcome == "live"
    assert len({other.current for other in made.hosts.values()}) == 1


def test_a_host_that_dies_before_anything_is_public_is_skipped_by_name() -> None:
    """All others are put back, it was never touched: restored, and the way on without it is told."""
    made = lab(*HOSTS)
    made.deploy("v1")
    die_next(made.hosts["web2"], "seal")
    outcome = deploy(made, "v2", unplugged(made, "web2", begins("seal")))
    assert isinstance(outcome.error, Restored)
    assert "everything was put back: 0001-v1 is live" in outcome.error.cure
    assert outcome.error.cure.endswith(
        "without web2, which can't be reached: fab deploy --stage production --tag v2 --skip web2"
    )
    assert made.typed(outcome.error.cure.partition("reached: ")[2]).outcome == "live"


@pytest.mark.parametrize(
    ("undo", "ends"),
    [("drain", Degraded), ("flip", Degraded), ("start", Restored), ("declare", Restored)],
)
def test_a_host_that_dies_during_the_unwind_counts_as_what_is_certain(undo: str, ends: type) -> None:
    """Before it flipped back: degraded. Once it has, only what nobody sees is left on it: the fleet is on one."""
    made = lab(*HOSTS)
    made.deploy("v1")
    web2 = made.hosts["web2"]
    fail_next(made.hosts["web3"], "mark", what="no room for a line")
    verb, nth = {"drain": ("start", 2), "flip": ("flip", 2), "start": ("halt", 2), "declare": ("unstage", 1)}[undo]
    die_next(web2, verb, nth)
    outcome = deploy(made, "v2", unplugged(made, "web2", undoes(undo)))
    assert isinstance(outcome.error, ends), outcome.error
    assert "no room for a line" in outcome.error.what
    assert [found.ok for found in outcome.hosts] == [True, False, True]
    assert {made.hosts[name].current for name in ("web1", "web3")} == {"0001-v1"}
    if isinstance(outcome.error, Degraded):
        assert "out of reach" in outcome.error.hosts["web2"]
        converged(made, outcome)
    else:
        assert web2.current == "0001-v1"
        assert any(
            line.startswith("web2: out of reach; 0001-v1 is current, as before") for line in outcome.error.tail
        )


def test_a_rollback_that_degrades_goes_on_without_the_host_that_died() -> None:
    """The very command: the same rollback, to the release that it was about."""
    made = lab(*HOSTS)
    made.deploy("v1")
    made.deploy("v2")
    die_next(made.hosts["web3"], "flip")
    with made.fleet() as fleet:
        listen = unplugged(made, "web3", begins("flip"))
        outcome = changing.rollback(fleet, made.stage, listen, owner="me@here")
    assert isinstance(outcome.error, Degraded)
    assert outcome.error.cure.endswith("fab rollback --stage production --to 0001-v1 --skip web3")
    converged(made, outcome)
    assert made.hosts["web1"].current == "0001-v1"


def test_the_command_leaves_out_what_the_verb_left_out() -> None:
    """A skipped host is skipped again beside the one that died; of a limited fleet the rest is named."""
    made = lab("web1", "web2", "web3", "web4")
    made.deploy("v1")

    def ends(*left: str, **chosen: list[str]) -> str:
        made.hosts["web2"].reachable = True
        die_next(made.hosts["web2"], "flip")
        with made.fleet(**chosen) as fleet:
            listen = unplugged(made, "web2", begins("flip"))
            outcome = changing.deploy(fleet, made.stage, shipment("v2"), listen, made=MADE)
        assert isinstance(outcome.error, Degraded)
        converged(made, outcome, *left)
        return outcome.error.cure.partition("--tag v2 ")[2]

    assert ends("web4", skip=["web4"]) == "--skip web4,web2"
    made.hosts["web2"].reachable = True
    made.deploy("v1")
    assert ends("web3", "web4", limit=["web1", "web2"]) == "--limit web1"


def test_where_all_hosts_are_lost_the_command_waits_for_them() -> None:
    """Nobody is left to go on without."""
    made = lab("web1")
    made.deploy("v1")
    die_next(made.hosts["web1"], "flip")
    outcome = deploy(made, "v2", unplugged(made, "web1", begins("flip")))
    assert outcome.error is not None
    assert outcome.error.cure == "once they can be reached: fab deploy --stage production --tag v2"
    made.hosts["web1"].reachable = True
    converged(made, outcome)


@pytest.mark.parametrize("host", HOSTS)
def test_one_host_of_three_that_changed_since_the_plan_stops_it_everywhere(host: str) -> None:
    """Both surveys of all hosts are compared: nothing but looks and locks was asked, and every lock is free."""
    made = lab(*HOSTS)
    made.deploy("v1")
    with made.fleet() as fleet:
        made.deploy("v2", limit=[host])
        for fake in made.hosts.values():
            fake.asked.clear()
        with pytest.raises(StalePlan) as caught:
            changing.deploy(fleet, made.stage, shipment("v3"), ignore, made=MADE)
    assert (caught.value.exit_code, caught.value.where) == (3, host)
    assert all(fake.verbs() == [] and fake.holder is None for fake in made.hosts.values())


def test_a_host_that_was_reinstalled_since_the_plan_stops_it() -> None:
    """It is empty now, where the plan flips from a release: a stranger under a known name."""
    made = lab(*HOSTS)
    made.deploy("v1")
    with made.fleet() as fleet:
        made.hosts["web2"].releases.clear()
        made.hosts["web2"].current = None
        made.hosts["web2"].running.clear()
        with pytest.raises(StalePlan) as caught:
            changing.deploy(fleet, made.stage, shipment("v2"), ignore, made=MADE)
    assert caught.value.where == "web2"
