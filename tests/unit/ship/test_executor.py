"""A plan is carried out wholly, or every host goes back to what its survey said, or it is told how not."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from contract.fake import FakeTransport
from unit.ship.fleets import MADE, STAGE, Lab, lab, shipment

from tagship.errors import (
    Degraded,
    HostRefused,
    Interrupted,
    Locked,
    Refused,
    Restored,
    StalePlan,
)
from tagship.events import Event, ignore
from tagship.ship import changing
from tagship.ship.fleet import Pulse
from tagship.ship.outcome import outcome_of

STEPS = ("declare", "put", "tree", "venv", "furnish", "command", "seal", "start", "flip", "probe", "halt", "mark")


def two_hosts_at_v1() -> Lab:
    made = lab("web1", "web2")
    assert made.deploy("v0.1.0").outcome == "live"
    for host in made.hosts.values():
        host.asked.clear()
    made.events.clear()
    return made


def test_a_deploy_makes_the_release_live_on_every_host() -> None:
    """current, process, front and mark are there on each host, and the outcome says so."""
    made = lab("web1", "web2")
    outcome = made.deploy("v0.1.0")
    assert outcome.row() | {"seconds": 0, "bytes_sent": 0} == {
        "outcome": "live",
        "exit": 0,
        "release": "0001-v0.1.0",
        "previous": None,
        "hosts": [{"host": h, "release": "0001-v0.1.0", "ok": True} for h in ("web1", "web2")],
        "seconds": 0,
        "bytes_sent": 0,
    }
    alike = ("0001-v0.1.0", ["0001-v0.1.0"], "127.0.0.1:8000", {"0001-v0.1.0": "good"})
    assert made.picture() == {"web1": alike, "web2": alike}
    assert all(host.holder is None for host in made.hosts.values())


def test_a_second_deploy_sends_only_the_difference() -> None:
    """What the current release's manifest has is neither declared nor sent again."""
    made = two_hosts_at_v1()
    made.deploy("v0.2.0")
    for host in made.hosts.values():
        asked = dict(host.asked)
        assert asked["declare"]["base"] == "0001-v0.1.0"
        assert [row[0] for row in asked["declare"]["put"]] == ["app/version.txt"]
        assert len(asked["put"]["objects"]) == 1
        assert "0001-v0.1.0" not in host.running


def test_an_identical_deploy_changes_nothing() -> None:
    """The same digest, live and well everywhere, is `unchanged`, and no host is asked for more than a survey."""
    made = two_hosts_at_v1()
    assert made.deploy("v0.1.0").outcome == "unchanged"
    assert [verb for host in made.hosts.values() for verb, _args in host.asked] == ["survey", "survey"]


def test_a_dry_run_tells_the_plan_that_would_be_carried_out() -> None:
    """`dry` and the deploy itself tell the same plan, and the dry one asks nothing of any host but to look."""
    made = two_hosts_at_v1()
    assert made.deploy("v0.2.0", dry=True).outcome == "planned"
    assert all(host.verbs() == [] for host in made.hosts.values())
    made.deploy("v0.2.0")
    dry, real = made.told("plan")
    assert dry.data == real.data


@pytest.mark.parametrize("host", ["web1", "web2"])
@pytest.mark.parametrize("verb", STEPS)
def test_a_failure_at_any_step_puts_every_host_back(verb: str, host: str) -> None:
    """Whichever step fails on whichever host: afterwards both look as before, and both locks are free."""
    made = two_hosts_at_v1()
    before = made.picture()
    made.hosts[host].fail(verb, nth=made.hosts[host]._counts.get(verb, 0) + 1, what="the disk is on fire")
    outcome = made.deploy("v0.2.0")
    assert isinstance(outcome.error, Restored)
    assert (outcome.outcome, outcome.exit) == ("restored", 4)
    assert "the disk is on fire" in outcome.error.what
    assert outcome.error.where.startswith(f"{host}, ")
    assert made.picture() == before
    assert all(h.ok and h.release == "0001-v0.1.0" for h in outcome.hosts)
    assert all(fake.holder is None for fake in made.hosts.values())


@pytest.mark.parametrize("verb", [step for step in STEPS if step not in ("halt", "mark")])
def test_a_first_deploy_that_fails_leaves_nothing_current(verb: str) -> None:
    """Without an earlier release, putting back means: nothing current, no process, no front, no release."""
    made = lab("web1")
    made.hosts["web1"].fail(verb)
    assert isinstance(made.deploy("v0.1.0").error, Restored)
    assert made.picture() == {"web1": (None, [], None, {})}


@pytest.mark.parametrize("verb", ["start", "flip", "probe", "halt", "mark"])
def test_a_rollback_that_fails_stays_where_it_was(verb: str) -> None:
    """The mirror of a deploy is unwound like one: the newer release is live and good as before."""
    made = two_hosts_at_v1()
    made.deploy("v0.2.0")
    before = made.picture()
    web2 = made.hosts["web2"]
    web2.fail(verb, nth=web2._counts.get(verb, 0) + 1)
    assert isinstance(made.rollback().error, Restored)
    assert made.picture() == before


def test_undoing_goes_newest_first_and_each_act_once() -> None:
    """After a failed probe: flip back, stop the new process, remove its staging, in that order, once each."""
    made = two_hosts_at_v1()
    web1 = made.hosts["web1"]
    web1.fail("probe", nth=2)
    made.deploy("v0.2.0")
    after = web1.verbs()[web1.verbs().index("flip") + 1 :]
    assert after == ["probe", "flip", "halt", "unstage"]


@pytest.mark.parametrize("after", [False, True])
def test_when_the_second_host_dies_at_the_flip_the_first_goes_back(after: bool) -> None:
    """The first host is put back; the second, which can't be reached again, is told as it is: degraded, exit 5."""
    made = two_hosts_at_v1()
    web2 = made.hosts["web2"]
    web2.die("flip", nth=2, after=after)

    def listen(event: Event) -> None:
        if event.host == "web2" and event.data.get("step", "").startswith("flip") and event.data["state"] == "begin":
            web2.reachable = False

    with made.fleet() as fleet:
        outcome = changing.deploy(fleet, STAGE, shipment("v0.2.0"), listen, made=MADE)
    assert isinstance(outcome.error, Degraded)
    assert outcome.exit == 5
    assert made.picture()["web1"] == ("0001-v0.1.0", ["0001-v0.1.0"], "127.0.0.1:8000", {"0001-v0.1.0": "good"})
    assert "out of reach" in outcome.error.hosts["web2"]
    assert [h.ok for h in outcome.hosts] == [True, False]
    web2.reachable = True
    assert made.deploy("v0.2.0").outcome == "live"
    assert {picture[0] for picture in made.picture().values()} == {"0003-v0.2.0"}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("verb", [*STEPS, "prune"])
def test_a_link_lost_at_any_step_is_taken_up_again_to_put_back(verb: str, after: bool) -> None:
    """An agent that dies is replaced by a new one on the same host, and the undoing goes through that."""
    made = two_hosts_at_v1()
    before = made.picture()
    web2 = made.hosts["web2"]
    web2.die(verb, nth=web2._counts.get(verb, 0) + 1, after=after)
    outcome = made.deploy("v0.2.0")
    if verb == "prune":
        assert outcome.outcome == "live"
    else:
        assert isinstance(outcome.error, Restored)
        assert made.picture() == before
    assert made.deploy("v0.2.0").exit == 0


def test_a_host_that_dies_before_anything_public_changed_does_not_degrade() -> None:
    """Its current was never touched: the deploy is restored, and the host is reported as not reached."""
    made = two_hosts_at_v1()
    web2 = made.hosts["web2"]
    web2.die("venv", nth=2)

    def listen(event: Event) -> None:
        if event.host == "web2" and event.data.get("step", "").startswith("build"):
            web2.reachable = False

    with made.fleet() as fleet:
        outcome = changing.deploy(fleet, STAGE, shipment("v0.2.0"), listen, made=MADE)
    assert isinstance(outcome.error, Restored)
    assert [(h.release, h.ok) for h in outcome.hosts] == [("0001-v0.1.0", True), ("0001-v0.1.0", False)]
    assert any("out of reach" in line for line in outcome.error.tail)


def test_undoing_goes_on_past_errors_and_tells_them_all() -> None:
    """A flip that can't be undone on one host, and a halt on the other: both are named, the rest is put back."""
    made = two_hosts_at_v1()
    made.hosts["web2"].fail("probe", nth=2)
    made.hosts["web1"].fail("flip", nth=3, what="no flipping back")
    made.hosts["web2"].fail("halt", nth=1, what="it will not stop")
    outcome = made.deploy("v0.2.0")
    assert isinstance(outcome.error, Degraded)
    assert "no flipping back" in outcome.error.hosts["web1"]
    assert "0002-v0.2.0 is current" in outcome.error.hosts["web1"]
    assert "it will not stop" in outcome.error.hosts["web2"]
    assert made.picture()["web2"][0] == "0001-v0.1.0"


def test_a_host_that_goes_silent_is_a_typed_error() -> None:
    """No frame for the time of silence is the same as a connection that ended."""
    made = two_hosts_at_v1()
    made.pulse = Pulse(beat=0.05, silence=0.5)
    web2 = made.hosts["web2"]
    web2.hang("tree", nth=2)
    outcome = made.deploy("v0.2.0")
    assert isinstance(outcome.error, Restored)
    assert "nothing came from it for 0.5 s" in outcome.error.what


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", ["link the tree", "flip", "mark"])
def test_ctrl_c_and_sigterm_put_everything_back(number: signal.Signals, step: str) -> None:
    """Whenever the signal comes, the fleet is as before, and the outcome is `restored`, exit 130."""
    made = two_hosts_at_v1()
    before = made.picture()
    sent = threading.Event()

    def listen(event: Event) -> None:
        begins = event.data.get("state") == "begin" and event.data.get("step", "").startswith(step)
        if begins and event.host == "web2" and not sent.is_set():
            sent.set()
            os.kill(os.getpid(), number)

    with made.fleet() as fleet:
        outcome = changing.deploy(fleet, STAGE, shipment("v0.2.0"), listen, made=MADE)
    assert isinstance(outcome.error, Interrupted)
    assert (outcome.outcome, outcome.exit) == ("restored", 130)
    assert made.picture() == before


def test_a_second_ctrl_c_says_what_is_left() -> None:
    """Whoever can't wait for the undoing hears where each host stands, and the next deploy settles it."""
    made = two_hosts_at_v1()
    released = threading.Event()

    def listen(event: Event) -> None:
        state, step = event.data.get("state"), event.data.get("step", "")
        if event.host != "web2" or not step.startswith("flip"):
            return
        if state == "begin":
            os.kill(os.getpid(), signal.SIGINT)
        elif state == "undo":
            os.kill(os.getpid(), signal.SIGINT)
            released.wait(10)  # the undoing can't end before the signal is heeded

    with made.fleet() as fleet:
        outcome = changing.deploy(fleet, STAGE, shipment("v0.2.0"), listen, made=MADE)
    released.set()
    assert isinstance(outcome.error, Degraded)
    assert "interrupted again" in outcome.error.what
    assert set(outcome.error.hosts) == {"web1", "web2"}
    assert made.deploy("v0.3.0").outcome == "live"


def test_ctrl_c_while_locks_are_given_back_takes_nothing_back() -> None:
    """What is live by then stays so and is told so; a lock that nobody gave back goes with its agent."""
    made = two_hosts_at_v1()
    began = made.hosts["web1"].slow("unlock", nth=2)

    def listen(event: Event) -> None:
        made.events.append(event)
        if event.host == "web1" and event.data.get("state") == "done" and event.data["step"].startswith("prune"):
            os.kill(os.getpid(), signal.SIGINT)  # the first is only a wish, and comes too late for anything

    def interrupt() -> None:
        if began.wait(10):
            os.kill(os.getpid(), signal.SIGINT)

    helper = threading.Thread(target=interrupt)
    helper.start()
    with made.fleet() as fleet:
        outcome = changing.deploy(fleet, STAGE, shipment("v0.2.0"), listen, made=MADE)
    helper.join()
    assert outcome.outcome == "live"
    assert any(text.startswith("interrupted while locks") for text in made.warnings())


def test_a_step_that_takes_too_long_after_a_failure_is_cut_off() -> None:
    """Once one host has failed, the others get `grace` seconds; then they are stopped, and all is put back."""
    made = two_hosts_at_v1()
    before = made.picture()
    made.hosts["web1"].fail("tree", nth=2)
    made.hosts["web1"].fails_after = made.hosts["web2"].slow("tree", nth=2)
    with made.fleet() as fleet:
        outcome = changing.deploy(fleet, STAGE, shipment("v0.2.0"), ignore, made=MADE, grace=0.1)
    assert isinstance(outcome.error, Restored)
    assert made.picture() == before


def test_a_lock_taken_meanwhile_names_its_holder_and_frees_the_others() -> None:
    """Between survey and lock somebody else began: it ends with who that is, and frees only what it took itself."""
    made = two_hosts_at_v1()
    with made.fleet() as ours, made.fleet() as other:
        other.link("web2").call("lock", {"owner": "ann@desk", "release": "0002-v9", "verb": "deploy"})
        with pytest.raises(Locked) as caught:
            changing.deploy(ours, STAGE, shipment("v0.2.0"), ignore, made=MADE)
        assert caught.value.holder["owner"] == "ann@desk"
        assert caught.value.exit_code == 6
        assert made.hosts["web1"].holder is None
        assert made.hosts["web2"].holder is not None
    assert all(host.verbs() == [] for host in made.hosts.values())


@pytest.mark.parametrize("dry", [True, False])
def test_nothing_is_planned_on_a_host_that_somebody_changes(dry: bool) -> None:
    """Their half-made release would look like a dead one to be removed: refused before a plan is told."""
    made = two_hosts_at_v1()
    told: list[Event] = []
    with made.fleet() as other:
        other.link("web2").call("lock", {"owner": "ann@desk", "release": "0002-v9", "verb": "deploy"})
        with made.fleet() as ours, pytest.raises(Locked, match=r"ann@desk \(deploy 0002-v9\)"):
            changing.deploy(ours, STAGE, shipment("v0.2.0"), told.append, made=MADE, dry=dry)
    assert told == []


def test_a_host_that_changed_since_the_plan_makes_it_stale() -> None:
    """Between survey and lock somebody else deployed: nothing is done, and both locks are free again."""
    made = two_hosts_at_v1()
    with made.fleet() as fleet:
        made.deploy("v0.2.0")
        with pytest.raises(StalePlan):
            changing.deploy(fleet, STAGE, shipment("v0.3.0"), ignore, made=MADE)
        assert all(host.holder is None for host in made.hosts.values())
    assert {picture[0] for picture in made.picture().values()} == {"0002-v0.2.0"}


def test_two_rollbacks_in_a_row_pass_over_what_was_left() -> None:
    """v3 -> v2 -> v1, and back up to the newest by name; nothing is deleted on the way."""
    made = lab("web1", "web2")
    for tag in ("v1", "v2", "v3"):
        made.deploy(tag)
    assert made.rollback().release == "0002-v2"
    assert made.hosts["web1"].releases["0003-v3"]["state"] == "left"
    assert made.rollback().release == "0001-v1"
    with pytest.raises(Refused, match="no earlier release"):
        made.rollback()
    assert made.rollback("v3").release == "0003-v3"
    assert set(made.hosts["web2"].releases) == {"0001-v1", "0002-v2", "0003-v3"}
    assert made.hosts["web2"].running == {"0003-v3"}


def test_a_stopped_stage_is_healed_by_the_next_deploy() -> None:
    """Stop ends processes and fronts, current stays; deploying the same tag starts them again under the same id."""
    made = two_hosts_at_v1()
    assert made.stop().outcome == "stopped"
    assert made.picture()["web1"][:3] == ("0001-v0.1.0", [], None)
    assert made.stop().outcome == "unchanged"
    outcome = made.deploy("v0.1.0")
    assert (outcome.outcome, outcome.release) == ("live", "0001-v0.1.0")
    assert made.hosts["web1"].running == {"0001-v0.1.0"}


def test_one_host_that_can_not_be_reached_leaks_no_link_to_the_others() -> None:
    """A fleet is connected whole or not at all."""
    made = two_hosts_at_v1()
    made.hosts["web2"].reachable = False
    with pytest.raises(HostRefused) as caught:
        made.fleet()
    assert outcome_of(caught.value).row()["outcome"] == "refused"
    assert made.hosts["web1"].verbs() == []


def test_objects_that_change_while_they_are_sent_are_not_shipped() -> None:
    """An object shorter than its manifest says ends the deploy, and the link stays of use for the undoing."""
    made = two_hosts_at_v1()
    before = made.picture()
    good = shipment("v0.2.0")
    broken = type(good)(**{**good.__dict__, "open_object": lambda key: __import__("io").BytesIO(b"")})
    with made.fleet() as fleet:
        outcome = changing.deploy(fleet, STAGE, broken, ignore, made=MADE)
    assert isinstance(outcome.error, Restored)
    assert "changed while it was sent" in outcome.error.what
    assert made.picture() == before


def test_events_tell_phases_steps_and_progress_in_order() -> None:
    """Each step begins and ends once on each host, with the seconds it took."""
    made = two_hosts_at_v1()
    made.deploy("v0.2.0")
    phases = [event.data["phase"] for event in made.told("phase")]
    assert phases == ["stage", "start", "canary", "flip", "drain", "commit", "prune"]
    for host in made.hosts:
        states = [event.data["state"] for event in made.told("step") if event.host == host]
        assert states == ["begin", "done"] * (len(states) // 2)
    assert FakeTransport(made.hosts["web1"]).level == 1
