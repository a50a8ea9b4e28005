"""A fleet goes over in portions, each host with what its roles choose; whatever fails, all of it goes back."""

from __future__ import annotations

import os
import signal

import pytest
from unit.ship.fleets import FRONT, Lab, lab, shipment

from tagship.config import App, Argv, Host, HostCommand, Portion, Rollout, Seconds, Service, Stage, Unit
from tagship.errors import Interrupted, Restored
from tagship.events import Event
from tagship.ship import changing
from tagship.ship.fleet import Pulse
from tagship.ship.shipment import Made
from tagship.ship.shipment import Stage as Facts
from tagship.ship.switch import portions

NAMES = ("a", "b", "c", "d", "e")


ALL_AT_ONCE = Rollout(canary=0)


def staged(*hosts: Host, rollout: Rollout = ALL_AT_ONCE) -> Stage:
    """A stage of plain processes."""
    return Stage(front=FRONT, hosts=hosts, rollout=rollout, service=Service(kind="process"))


def five(rollout: Rollout) -> Lab:
    made = lab(*NAMES)
    assert made.deploy("v0.1.0").outcome == "live"
    made.stage = staged(*(Host(host=name) for name in NAMES), rollout=rollout)
    made.events.clear()
    return made


@pytest.mark.parametrize(
    ("canary", "batch", "names", "sizes"),
    [
        (1, "100%", ["canary", "flip"], [1, 4]),
        (0, "100%", ["flip"], [5]),
        (1, "50%", ["canary", "flip 1/2", "flip 2/2"], [1, 2, 2]),
        (2, "2", ["canary", "flip 1/2", "flip 2/2"], [2, 2, 1]),
        (0, "1%", [f"flip {n}/5" for n in range(1, 6)], [1] * 5),
        (4, "9", ["canary", "flip"], [4, 1]),
        (5, "100%", ["flip"], [5]),
        (9, "3", ["flip 1/2", "flip 2/2"], [3, 2]),
    ],
)
def test_a_fleet_is_cut_into_a_canary_and_batches(
    canary: int, batch: str, names: list[str], sizes: list[int]
) -> None:
    """Every host is in one portion, in order; a canary of all would spare nobody, and is none."""
    stage = Facts("s", {}, 5, 30, rollout=Rollout(canary=canary, batch=Portion(batch)))
    cut = portions(NAMES, stage)
    assert [name for name, _hosts in cut] == names
    assert [len(hosts) for _name, hosts in cut] == sizes
    assert tuple(host for _name, hosts in cut for host in hosts) == NAMES


def test_everything_is_started_before_the_first_flip_and_portions_follow_one_another() -> None:
    """Phases are barriers: no host flips before all have started, no batch before the one before it is proven."""
    made = five(Rollout(canary=1, batch=Portion("2")))
    assert made.deploy("v0.2.0").outcome == "live"
    order = [(e.host, e.data["step"].split()[0]) for e in made.told("step") if e.data["state"] == "begin"]
    flips = [order.index((host, "flip")) for host in NAMES]
    probes = [order.index((host, "probe")) for host in NAMES]
    assert max(order.index((host, "start")) for host in NAMES) < min(flips)
    assert probes[0] < min(flips[1:3])
    assert max(probes[1:3]) < min(flips[3:5])


@pytest.mark.parametrize("host", ["a", "c", "e"])
def test_a_failure_in_any_portion_puts_the_earlier_ones_back(host: str) -> None:
    """The canary, the first batch, the last: afterwards every host has its old release, and only that."""
    made = five(Rollout(canary=1, batch=Portion("2")))
    before = made.picture()
    made.hosts[host].fail("probe", nth=2, what="it answers 500")
    outcome = made.deploy("v0.2.0")
    assert isinstance(outcome.error, Restored)
    assert made.picture() == before
    flipped = {e.host for e in made.told("step") if e.data["step"].startswith("flip") and e.data["state"] == "begin"}
    assert flipped == {"a": {"a"}, "c": {"a", "b", "c"}, "e": set(NAMES)}[host]


def test_after_a_pause_the_canary_is_asked_again() -> None:
    """One that has died meanwhile stops the rollout, and its old release comes back."""
    made = five(Rollout(canary=1, pause=Seconds(0.05)))
    before = made.picture()
    made.hosts["a"].fail("probe", nth=3, what="it has died")
    outcome = made.deploy("v0.2.0")
    assert isinstance(outcome.error, Restored)
    assert "it has died" in outcome.error.what
    assert made.picture() == before
    assert made.began("") == ["wait 0.05 s"]
    assert not any(step.startswith("flip") for step in made.began("b"))


def test_links_and_locks_outlive_a_pause_that_is_longer_than_their_silence() -> None:
    """Heartbeats go on while everything waits, so nobody takes anybody for dead."""
    made = five(Rollout(canary=1, pause=Seconds(1.5)))
    made.pulse = Pulse(beat=0.05, silence=0.5)
    seen = []

    def listen(event: Event) -> None:
        if event.name == "progress" and event.data["unit"] == "s":
            seen.append([host.holder is not None for host in made.hosts.values()])

    with made.fleet() as fleet:
        outcome = changing.deploy(fleet, made.stage, shipment("v0.2.0"), listen, made=Made("me", "now"))
    assert outcome.outcome == "live"
    assert len(seen) > 1
    assert all(all(held) for held in seen)


def test_what_died_in_a_pause_is_never_public() -> None:
    """What flips next is asked again on its own socket: it is started once more, or the rollout ends."""
    made = five(Rollout(canary=1, pause=Seconds(0.05)))
    public: list[bool] = []

    def listen(event: Event) -> None:
        if event.name == "step" and event.data["state"] == "begin" and event.data["step"] == "wait 0.05 s":
            made.hosts["e"].running.discard("0002-v0.2.0")
        if event.name == "step" and event.host == "e" and event.data["step"].startswith("flip"):
            public.append("0002-v0.2.0" in made.hosts["e"].running)

    with made.fleet() as fleet:
        outcome = changing.deploy(fleet, made.stage, shipment("v0.2.0"), listen, made=Made("me", "now"))
    assert outcome.outcome == "live"
    assert public == [True, True]


@pytest.mark.parametrize("lost", ["a", "e"])
def test_a_link_that_is_lost_in_a_pause_ends_it_and_puts_everything_back(lost: str) -> None:
    """Whether its host has flipped or not: a host that can't be asked can't be waited for."""
    made = five(Rollout(canary=1, pause=Seconds(3600)))
    before = made.picture()
    with made.fleet() as fleet:

        def cut(event: Event) -> None:
            if event.name == "progress" and event.data["unit"] == "s" and not event.data["done"]:
                fleet.link(lost).cut()

        outcome = changing.deploy(fleet, made.stage, shipment("v0.2.0"), cut, made=Made("me", "now"))
    assert isinstance(outcome.error, Restored)
    assert (outcome.error.where, outcome.error.what) == (lost, "the connection was lost during the pause")
    assert made.picture() == before


def test_ctrl_c_ends_a_pause_and_puts_everything_back() -> None:
    """Nobody waits for the rest of an hour."""
    made = five(Rollout(canary=1, pause=Seconds(3600)))
    before = made.picture()

    def listen(event: Event) -> None:
        if event.name == "progress" and event.data["unit"] == "s":
            os.kill(os.getpid(), signal.SIGINT)

    with made.fleet() as fleet:
        outcome = changing.deploy(fleet, made.stage, shipment("v0.2.0"), listen, made=Made("me", "now"))
    assert isinstance(outcome.error, Interrupted)
    assert made.picture() == before


APP = App(
    name="app",
    start=Argv(("serve", "{socket}")),
    units={"worker": Unit(start=Argv(("work",))), "clock": Unit(start=Argv(("tick",)), roles=("web", "cron"))},
    prepare=(HostCommand(("collect",), ("web",)), HostCommand(("everywhere",))),
)


def roles(**of: tuple[str, ...]) -> Lab:
    made = lab(*of)
    made.stage = staged(*(Host(host=name, roles=has) for name, has in of.items()))
    made.app = APP
    return made


def test_each_host_gets_what_its_roles_choose() -> None:
    """What answers requests only on `web`, units and commands by their roles, and the record says all of it."""
    made = roles(web1=("web",), work1=("worker",), both=("worker", "web"))
    assert made.deploy("v0.1.0").outcome == "live"
    declared = {name: dict(host.asked)["declare"]["release"] for name, host in made.hosts.items()}
    assert {name: record["roles"] for name, record in declared.items()} == {
        "web1": ["web"],
        "work1": ["worker"],
        "both": ["worker", "web"],
    }
    settings = {name: record["settings"] for name, record in declared.items()}
    assert {name: bool(found["start"]) for name, found in settings.items()} == {
        "web1": True,
        "work1": False,
        "both": True,
    }
    assert settings["web1"]["units"] == {"clock": ["tick"]}
    assert settings["work1"]["units"] == {"worker": ["work"]}
    assert settings["both"]["units"] == {"clock": ["tick"], "worker": ["work"]}
    commands = {n: [a["argv"] for v, a in host.asked if v == "command"] for n, host in made.hosts.items()}
    assert commands == {"web1": [["collect"], ["everywhere"]], "work1": [["everywhere"]], "both": commands["web1"]}


def test_a_host_that_answers_no_requests_has_no_front_and_flips_all_the_same() -> None:
    """Its processes are proven by their host, its old ones are stopped in `drain`, and a rollback does the same."""
    made = roles(web1=("web",), work1=("worker",))
    made.deploy("v0.1.0")
    assert made.deploy("v0.2.0").outcome == "live"
    work1 = made.hosts["work1"]
    assert (work1.current, work1.running, work1.front) == ("0002-v0.2.0", {"0002-v0.2.0"}, None)
    assert [args["front"] for verb, args in work1.asked if verb == "probe"] == [None, None]
    assert made.rollback().outcome == "live"
    assert (work1.current, work1.running) == ("0001-v0.1.0", {"0001-v0.1.0"})
    assert made.deploy("v0.1.0").outcome == "unchanged"


def test_a_worker_that_ends_is_healed() -> None:
    """The same tag again starts what doesn't run, with no new serial and no front."""
    made = roles(web1=("web",), work1=("worker",))
    made.deploy("v0.1.0")
    made.hosts["work1"].running.clear()
    healed = made.deploy("v0.1.0")
    assert (healed.outcome, healed.release) == ("live", "0001-v0.1.0")
    assert made.hosts["work1"].running == {"0001-v0.1.0"}


def test_a_worker_that_fails_after_the_flip_puts_the_fleet_back() -> None:
    """Its proof counts as much as that of a page."""
    made = roles(web1=("web",), work1=("worker",))
    made.deploy("v0.1.0")
    before = made.picture()
    made.hosts["work1"].fail("probe", nth=2, what="worker has ended")
    assert isinstance(made.deploy("v0.2.0").error, Restored)
    assert made.picture() == before


def test_the_same_release_is_deployed_anew_to_a_host_with_another_role() -> None:
    """Equal digests aren't equal releases where a host should run something else; the next time they are."""
    made = roles(web1=("web",))
    made.deploy("v0.1.0")
    made.stage = staged(Host(host="web1", roles=("web", "worker")))
    again = made.deploy("v0.1.0")
    assert (again.outcome, again.release) == ("live", "0002-v0.1.0")
    assert made.hosts["web1"].releases["0002-v0.1.0"]["record"]["settings"]["units"].keys() == {"clock", "worker"}
    assert made.deploy("v0.1.0").outcome == "unchanged"


def test_a_host_that_answers_no_requests_any_more_closes_its_front() -> None:
    """What is behind it is only another release's end: nobody should knock there."""
    made = roles(web1=("web",), both=("web", "worker"))
    made.deploy("v0.1.0")
    made.stage = staged(Host(host="web1"), Host(host="both", roles=("worker",)))
    assert made.deploy("v0.1.0").release == "0002-v0.1.0"
    assert {name: host.front for name, host in made.hosts.items()} == {"web1": FRONT, "both": None}
    assert made.deploy("v0.1.0").outcome == "unchanged"


def test_a_host_without_processes_and_commands_gets_no_virtualenv() -> None:
    """Nothing there would use it; files and flip are the same."""
    made = roles(web1=("web",), store=("store",))
    made.app = App(name="app", start=Argv(("serve", "{socket}")))
    assert made.deploy("v0.1.0").outcome == "live"
    store = made.hosts["store"]
    assert store.current == "0001-v0.1.0"
    assert not {"venv", "start", "probe", "front"} & set(store.verbs())
    assert "venv" in made.hosts["web1"].verbs()
    assert made.deploy("v0.1.0").outcome == "unchanged"
