"""Hosts that are new, missing or left alone: all know who missed what, and one command brings them together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from contract.fake import AT
from unit.ship.fleets import Lab, lab, shipment
from unit.ship.test_plans import survey

from tagship.app.notify import News
from tagship.errors import Refused, TagshipError
from tagship.events import ignore
from tagship.ship import changing, connecting, roster
from tagship.ship.roster import Known, known_of
from tagship.ship.shipment import Made
from tagship.ship.survey import Front, HostSurvey, Roster

HOSTS = ("web1", "web2", "web3")


def three_at_v1() -> Lab:
    made = lab(*HOSTS)
    assert made.deploy("v1").outcome == "live"
    made.events.clear()
    return made


def dead(made: Lab, name: str) -> None:
    made.hosts[name].reachable = False


def back(made: Lab, name: str) -> None:
    made.hosts[name].reachable = True


def seen(made: Lab) -> dict[str, Known]:
    """What anybody who looks now hears of those that missed something."""
    with made.places().look() as fleet:
        return {known.host: known for known in roster.behind(HOSTS, fleet.surveys)}


def currents(made: Lab) -> list[str | None]:
    return [host.current for host in made.hosts.values()]


# --- skipped


def test_a_skipped_host_is_shown_until_a_deploy_takes_it_along() -> None:
    """Who skipped it, at which release, where it stood: told by those that went along, also to another operator."""
    made = three_at_v1()
    dead(made, "web3")
    outcome = made.deploy("v2", skip=["web3"])
    assert (outcome.outcome, outcome.exit, len(outcome.hosts)) == ("live", 0, 2)
    told = {"host": "web3", "reached": False, "stands": "0001-v1", "missed": "0002-v2", "by": "me@here"}
    (away,) = outcome.row()["away"]
    assert away.items() >= {**told, "flag": "--skip"}.items()
    assert seen(made)["web3"].row().items() >= {**told, "at": AT, "flag": ""}.items()
    assert seen(made)["web3"].words == f"missed 0002-v2 (me@here, {AT}); stood at 0001-v1 when last seen"

    back(made, "web3")
    assert seen(made)["web3"].words == f"missed 0002-v2 (me@here, {AT}); 0001-v1 is current"
    made.events.clear()
    joined = made.deploy("v2")
    assert [event.host for event in made.told("note") if "missed 0002-v2" in event.data["text"]] == ["web3"]
    assert (joined.outcome, joined.away) == ("live", ())
    assert currents(made) == ["0003-v2"] * 3
    assert seen(made) == {}

    dead(made, "web3")
    with made.places().look() as fleet:
        assert known_of("web3", fleet.surveys) == Known("web3", reached=False, stands="0003-v2")


def test_a_plan_tells_who_is_left_alone_and_who_joins() -> None:
    """A dry run says the same as the deploy: the skipped host, where it stood, and the host that comes back."""
    made = three_at_v1()
    dead(made, "web3")
    made.deploy("v2", skip=["web3"])
    back(made, "web3")
    dead(made, "web2")
    made.events.clear()
    planned = made.deploy("v2", skip=["web2"], dry=True)
    notes = {event.host: event for event in made.told("note")}
    assert notes["web2"].data["text"] == "left alone (--skip); stood at 0002-v2 when last seen"
    assert (notes["web2"].data["level"], notes["web2"].data["stands"]) == ("warning", "0002-v2")
    assert notes["web3"].data["missed"] == "0002-v2"
    assert [known.missed for known in planned.away] == [None]
    assert made.events.index(notes["web2"]) < made.events.index(made.told("plan")[0])


def test_a_host_comes_back_after_several_deploys_without_it() -> None:
    """Its serials end below the others': the next is above all of them, and the newest miss is what is shown."""
    made = three_at_v1()
    dead(made, "web2")
    for tag in ("v2", "v3", "v4"):
        made.deploy(tag, skip=["web2"])
    assert (seen(made)["web2"].missed, seen(made)["web2"].stands) == ("0004-v4", "0001-v1")
    back(made, "web2")
    assert made.deploy("v4").release == "0005-v4"
    assert currents(made) == ["0005-v4"] * 3
    assert made.deploy("v4").outcome == "unchanged"


def test_a_host_that_holds_a_higher_serial_than_all_others_sets_the_next() -> None:
    """What was deployed to it alone counts: no serial is given twice on any host."""
    made = three_at_v1()
    made.deploy("v2", limit=["web3"])
    made.deploy("v3", limit=["web3"])
    made.deploy("v4", skip=["web3"])
    assert currents(made) == ["0002-v4", "0002-v4", "0003-v3"]
    assert made.deploy("v4").release == "0004-v4"
    assert currents(made) == ["0004-v4"] * 3


def test_hosts_that_came_to_one_release_apart_are_brought_together_by_a_mark() -> None:
    """The same id, the same digest: nothing is staged again, and from then on they know of one another."""
    made = three_at_v1()
    made.deploy("v2", limit=["web3"])
    made.deploy("v2", skip=["web3"])
    assert currents(made) == ["0002-v2"] * 3
    assert seen(made) == {}
    made.events.clear()
    assert made.deploy("v2").outcome == "live"
    assert set(made.began()) == {"mark 0002-v2 good"}
    assert made.deploy("v2").outcome == "unchanged"
    dead(made, "web3")
    assert seen(made) == {}


def test_one_id_of_two_contents_is_two_releases() -> None:
    """Hosts that were changed apart may give one id to different things: neither is rolled back to, nor healed."""
    made = three_at_v1()
    made.deploy("v2", limit=["web3"])
    for host in (made.hosts["web1"], made.hosts["web2"]):
        with made.fleet(limit=["web1", "web2"]) as fleet:
            other = replace(shipment("v2"), digest="e" * 64)
            changing.deploy(fleet, made.stage, other, ignore, made=Made("me@here", AT))
        assert host.current == "0002-v2"
    made.deploy("v3")
    assert currents(made) == ["0003-v3"] * 3
    assert made.rollback().release == "0001-v1"


def test_a_deploy_that_is_put_back_leaves_nobody_behind() -> None:
    """Only what went live was missed."""
    made = three_at_v1()
    dead(made, "web3")
    made.hosts["web2"].fail("mark", nth=2)
    assert made.deploy("v2", skip=["web3"]).outcome == "restored"
    assert made.deploy("v1", skip=["web3"]).outcome == "unchanged"
    assert seen(made) == {}


def test_a_mark_that_was_taken_back_tells_of_nobody() -> None:
    """web1 had journaled that web3 went along when web2 failed: web3 went back too, and that is where it stood."""
    made = three_at_v1()
    made.deploy("v2", skip=["web3"])
    made.hosts["web2"].fail("mark", nth=3)
    assert made.deploy("v3").outcome == "restored"
    dead(made, "web3")
    assert (seen(made)["web3"].missed, seen(made)["web3"].stands) == ("0002-v2", "0001-v1")


def test_a_rollback_without_a_host_is_missed_too_and_either_way_brings_it_back() -> None:
    """It stood on what was fled from: the same rollback takes it along, and so would any deploy."""
    made = three_at_v1()
    made.deploy("v2")
    dead(made, "web3")
    assert made.rollback(skip=["web3"]).release == "0001-v1"
    assert (seen(made)["web3"].missed, seen(made)["web3"].stands) == ("0001-v1", "0002-v2")
    back(made, "web3")
    assert made.rollback().release == "0001-v1"
    assert currents(made) == ["0001-v1"] * 3
    assert made.hosts["web3"].releases["0002-v2"]["state"] == "left"
    assert seen(made) == {}
    dead(made, "web3")
    assert seen(made) == {}


def test_up_and_down_again_without_a_host_leaves_it_where_the_others_are() -> None:
    """It never moved, and they came back to it: there is nothing to show."""
    made = three_at_v1()
    dead(made, "web3")
    made.deploy("v2", skip=["web3"])
    made.rollback(skip=["web3"])
    assert currents(made) == ["0001-v1"] * 3
    assert seen(made) == {}


def test_a_host_that_can_be_reached_may_be_skipped_and_is_not_even_asked() -> None:
    """Somebody repairs it: nobody connects to it."""
    made = three_at_v1()
    asked = len(made.hosts["web2"].asked)
    made.deploy("v2", skip=["web2"])
    assert len(made.hosts["web2"].asked) == asked
    assert currents(made) == ["0002-v2", "0001-v1", "0002-v2"]


# --- limited, new


def test_a_limited_deploy_says_where_the_others_stand_and_a_plain_one_brings_them_along() -> None:
    """The outcome names each host that was left alone; whoever looks sees two releases."""
    made = three_at_v1()
    outcome = made.deploy("v2", limit=["web1"])
    assert [(known.host, known.flag, known.stands) for known in outcome.away] == [
        ("web2", "--limit", "0001-v1"),
        ("web3", "--limit", "0001-v1"),
    ]
    with made.places().look() as fleet:
        assert roster.stands(fleet.surveys) == {"0002-v2": ["web1"], "0001-v1": ["web2", "web3"]}
        assert [known.words for known in roster.behind(HOSTS, fleet.surveys)] == [
            f"missed 0002-v2 (me@here, {AT}); 0001-v1 is current"
        ] * 2
    made.deploy("v2")
    assert currents(made) == ["0003-v2"] * 3
    assert seen(made) == {}


def test_an_empty_host_joins_by_the_next_deploy() -> None:
    """The same tag as the others have: a new release for all of them, so that there is one id."""
    made = lab("web1", "web2")
    made.deploy("v1")
    made.hosts["web3"] = lab("web3").hosts["web3"]
    assert seen(made)["web3"].words == f"missed 0001-v1 (me@here, {AT}); nothing is live there"
    assert made.deploy("v1").release == "0002-v1"
    assert currents(made) == ["0002-v1"] * 3


def test_webhooks_hear_who_was_left_alone() -> None:
    """In the JSON as in the words for people; where nobody was, nothing of it."""
    made = three_at_v1()
    outcome = made.deploy("v2", skip=["web3"])
    told = News("blog", "production", "deploy", "me@here", outcome, "v2")
    assert [away["host"] for away in told.row()["away"]] == ["web3"]
    assert "`web3`: left alone (--skip); missed 0002-v2 (me@here); stood at 0001-v1 when last seen" in told.text()
    assert "away" not in News("blog", "production", "deploy", "me@here", made.deploy("v3"), "v3").row()


# --- out of reach


def test_a_host_out_of_reach_stops_the_plan_and_says_what_to_type() -> None:
    """One refusal for all of them, each with its reason, and the command that goes on without them."""
    made = three_at_v1()

    def refusal(*names: str) -> TagshipError:
        fleet = made.places()
        lost = fleet.reach()
        assert tuple(lost) == names
        fleet.close()
        return connecting.unreached(lost, fleet, lambda hosts: f"fab deploy --skip {','.join(hosts)}")

    dead(made, "web2")
    one = refusal("web2")
    assert (one.exit_code, one.where, one.what) == (3, "web2", "it does not answer")
    assert one.cure == "plug it in; or go on without it: fab deploy --skip web2"
    dead(made, "web3")
    two = refusal("web2", "web3")
    assert (type(two), two.where, two.what) == (Refused, "web2, web3", "2 of 3 hosts can't be reached")
    assert two.cure.endswith("or go on without them: fab deploy --skip web2,web3")
    assert sum("it does not answer" in line for line in two.tail) == 2
    assert all(host.verbs()[-1] in ("prune", "mark") for host in made.hosts.values())


def test_who_looks_sees_the_hosts_that_can_be_reached() -> None:
    """The others are named with their reasons; where none can be reached, there is nothing to look at."""
    made = three_at_v1()
    dead(made, "web1")
    with made.places().look() as fleet:
        assert (tuple(fleet.surveys), tuple(fleet.lost), fleet.hosts) == (
            ("web2", "web3"),
            ("web1",),
            ("web2", "web3"),
        )
    dead(made, "web2")
    dead(made, "web3")
    with pytest.raises(Refused, match="3 reasons"):
        made.places().look()


# --- what is known, where hosts disagree


def at(host: str, current: str, change: int, **stood: str) -> HostSurvey:
    """A host on `current`, marked good there by that change, which has seen others where `stood` says."""
    found = survey(host, {"releases": [f"{current} good running"], "current": current})
    return replace(found, roster=Roster(current, f"by {change}", AT, change, stood))


def test_of_two_witnesses_the_one_of_the_newer_change_counts() -> None:
    """After a rollback the lower serial is the newer word; without numbers the serial decides."""
    down = at("web1", "0004-v4", 7, web3="0004-v4")
    up = at("web2", "0005-v5", 6, web3="0005-v5")
    assert known_of("web3", {"web1": down, "web2": up}).stands == "0004-v4"
    up, down = (replace(s, roster=replace(s.roster, change=0)) for s in (up, down) if s.roster)
    assert known_of("web3", {"web1": down, "web2": up}).stands == "0005-v5"


def test_a_host_that_has_what_is_current_unmarked_is_no_witness() -> None:
    """A client died in the middle of it: who went along isn't known there."""
    cut = at("web1", "0005-v5", 6, web2="0004-v4")
    assert known_of("web2", {"web1": cut}).missed == "0005-v5"
    cut = replace(cut, roster=Roster(None, "", "", 0, {"web2": "0004-v4"}))
    assert known_of("web2", {"web1": cut}) == Known("web2", reached=False, stands=None)


def test_a_host_of_which_nobody_knows_was_never_seen() -> None:
    """It is new, and down."""
    known = known_of("web9", {"web1": at("web1", "0001-v1", 1, web1="0001-v1")})
    assert known.words == f"missed 0001-v1 (by 1, {AT}); never seen with the others"


# --- what makes a plan stale

SURVEY = at("web1", "0002-v2", 2, web1="0002-v2", web2="0001-v1")
CHANGED: dict[str, Callable[[HostSurvey], HostSurvey]] = {
    "current": lambda s: replace(s, current="0001-v1"),
    "a release more": lambda s: replace(s, releases=(*s.releases, replace(s.releases[0], id="0003-v3", serial=3))),
    "a mark": lambda s: replace(s, releases=(replace(s.releases[0], state="left"),)),
    "a process that ended": lambda s: replace(s, releases=(replace(s.releases[0], pid=None),)),
    "a serial that was given": lambda s: replace(s, highest=3),
    "what listens": lambda s: replace(s, serving=None),
    "the front": lambda s: replace(s, front=None),
    "a shared file": lambda s: replace(s, missing=("media",)),
    "the env file": lambda s: replace(s, env="missing"),
    "the environment": lambda s: replace(s, env_newest=1),
    "the interpreter": lambda s: replace(s, python=None),
    "what fab setup made": lambda s: replace(s, service={"user": "app"}),
    "who went along": lambda s: replace(s, roster=replace(s.roster or _none(), stood={"web2": "0002-v2"})),
    "reinstalled": lambda s: survey("web1", {}),
}
ALIKE: dict[str, Callable[[HostSurvey], HostSurvey]] = {
    "a worker's new pid": lambda s: replace(s, releases=(replace(s.releases[0], pid=4711),)),
    "the front's new pid": lambda s: replace(s, front=Front(s.front.listen, 4711) if s.front else None),
    "room": lambda s: replace(s, disk_free=1, inodes_free=1),
    "the lock": lambda s: replace(s, lock={"owner": "me"}),
    "one answer": lambda s: replace(s, well=False, fault="too late"),
}


def _none() -> Roster:
    return Roster(None, "", "", 0, {})


@pytest.mark.parametrize("name", CHANGED)
def test_what_a_plan_depends_on_is_in_the_fingerprint(name: str) -> None:
    """Between the plan and the lock, any of these is a change."""
    assert CHANGED[name](SURVEY).fingerprint != SURVEY.fingerprint


@pytest.mark.parametrize("name", ALIKE)
def test_what_changes_by_itself_is_not_in_the_fingerprint(name: str) -> None:
    """A slow moment, a log that grew, our own lock: none of them makes a plan stale."""
    assert ALIKE[name](SURVEY).fingerprint == SURVEY.fingerprint
