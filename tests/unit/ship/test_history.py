"""Several journals as one list of changes, and several hosts' words on a release as one."""

from __future__ import annotations

from typing import Any

import pytest
from unit.ship.fleets import MADE, lab, shipment
from unit.ship.test_plans import survey

from tagship.errors import Degraded, Interrupted, Locked, Restored, StalePlan
from tagship.ship import changing, looking
from tagship.ship.agreed import agreed
from tagship.ship.ending import LONGEST, Ending
from tagship.ship.history import Change, changes_of
from tagship.ship.outcome import Outcome
from tagship.ship.survey import HostSurvey

OLD, NEW = "0001-v1", "0002-v2"


def begun(number: int, by: str = "ann", *, release: str = NEW, origin: str | None = OLD, at: str = "") -> Any:
    about = {"release": release, "verb": "deploy", "origin": origin}
    return {"event": "begun", "change": number, "by": by, "at": at or f"2026-01-0{number}", **about}


def ended(number: int, outcome: str, by: str = "ann", *, release: str = NEW, why: str | None = None) -> Any:
    about = {"release": release, "verb": "deploy", "outcome": outcome, "why": why}
    return {"event": "ended", "change": number, "by": by, "at": "2026-01-09", **about}


def only(changes: tuple[Change, ...]) -> Change:
    (change,) = changes
    return change


def test_one_change_of_many_hosts_is_one_line() -> None:
    """When it began, who, from what to what, how it ended, where: what all hosts say is said once."""
    rows = [begun(3), ended(3, "live")]
    change = only(changes_of({"web1": rows, "web2": rows}, ()))
    assert (change.number, change.at, change.by, change.verb) == (3, "2026-01-03", "ann", "deploy")
    assert (change.origin, change.release, change.ended, change.why) == (OLD, NEW, "live", "")
    assert [*change.ends] == ["web1", "web2"]


def test_where_hosts_disagree_each_word_names_its_hosts() -> None:
    """Put back here, out of reach there: both are said."""
    why = "web2, probe: it doesn't answer"
    rows = {"web1": [begun(3), ended(3, "restored", why=why)], "web2": [begun(3, origin=None)]}
    change = only(changes_of(rows, ()))
    assert change.ended == "web1: restored; web2: cut off"
    assert change.why == f"web1: {why}; web2: the agent was killed, or the host went down"


def test_what_is_under_way_is_no_dead_change() -> None:
    """Where somebody is at work, the newest change without an end is theirs; older ones stay cut off."""
    rows = {"web1": [begun(3), begun(4, "bob", release="0003-v3")]}
    assert [change.ended for change in changes_of(rows, ("web1",))] == ["cut off", "under way"]
    assert [change.ended for change in changes_of(rows, ())] == ["cut off", "cut off"]


def test_a_link_that_was_taken_up_again_makes_no_second_change() -> None:
    """The old agent journals `lost`, the client's new one how it really ended: the last word counts."""
    rows = [begun(3), ended(3, "lost"), begun(3, origin=NEW), ended(3, "restored")]
    change = only(changes_of({"web1": rows}, ()))
    assert (change.origin, change.ended) == (OLD, "restored")


def test_the_order_is_that_of_the_journals_whatever_the_clocks_say() -> None:
    """A host whose clock is a year ahead, one that is a year behind, and a host that missed a change."""
    rows = {
        "web1": [begun(1, at="2027-01-01"), ended(1, "live"), begun(3, at="2027-01-03"), ended(3, "live")],
        "web2": [begun(2, at="2025-01-02"), ended(2, "live"), begun(3, at="2025-01-03"), ended(3, "live")],
    }
    assert [(change.number, [*change.ends]) for change in changes_of(rows, ())] == [
        (1, ["web1"]),
        (2, ["web2"]),
        (3, ["web1", "web2"]),
    ]


def test_two_changes_at_once_to_different_hosts_stay_two() -> None:
    """They may get one number, for neither's hosts knew of the other."""
    rows = {"web1": [begun(3, "ann"), ended(3, "live", "ann")], "web2": [begun(3, "bob"), ended(3, "live", "bob")]}
    assert [(change.by, [*change.ends]) for change in changes_of(rows, ())] == [("ann", ["web1"]), ("bob", ["web2"])]


def test_rows_that_are_damaged_or_older_than_changes_harm_nothing() -> None:
    """An end whose begin was torn away tells what it knows."""
    change = only(changes_of({"web1": [ended(3, "live")], "web2": []}, ()))
    assert (change.ended, change.origin, change.release) == ("live", None, NEW)


@pytest.mark.parametrize(
    ("mine", "theirs", "word"),
    [
        (("unfinished", 0, 0), ("good", 2, 1), "good"),
        (("unfinished", 0, 0), ("left", 2, 1), "left"),
        (("good", 2, 1), ("left", 3, 1), "left"),
        (("left", 3, 1), ("good", 4, 1), "good"),
        (("left", 3, 1), ("good", 3, 2), "good"),  # marked by a rollback that was then put back
        (("good", 3, 1), ("left", 3, 1), "left"),
        (("unfinished", 0, 0), ("unfinished", 0, 0), "unfinished"),
    ],
)
def test_of_two_hosts_words_the_later_counts(
    mine: tuple[str, int, int], theirs: tuple[str, int, int], word: str
) -> None:
    """By the number of the change and the place of the mark in it; whichever host is asked first."""
    for words in ((mine, theirs), (theirs, mine)):
        surveys = {host: told(host, *said) for host, said in zip(("web1", "web2"), words, strict=True)}
        merged = agreed(surveys)
        for host, (state, *_marked) in zip(merged, words, strict=True):
            (release,) = merged[host].releases
            assert (release.state, release.own) == (word, "" if word == state else state)
            assert merged[host].fingerprint == surveys[host].fingerprint
        assert agreed(merged) == merged


def test_a_guess_for_want_of_a_journal_is_no_witness() -> None:
    """A release of which a lost journal tells nothing counts as left there, and as nothing anywhere else."""
    merged = agreed({"web1": told("web1", "left", 0, 0), "web2": told("web2", "unfinished", 0, 0)})
    assert [survey.releases[0].state for survey in merged.values()] == ["left", "unfinished"]


def told(host: str, state: str, change: int, nth: int) -> HostSurvey:
    """A host with one release in that state, marked so in that change."""
    row = {
        "id": NEW,
        "serial": 2,
        "tag": "v2",
        "commit": "c",
        "digest": "d",
        "manifest": "m",
        "roles": [],
        "runs": [],
    }
    release = {**row, "state": state, "marked": [change, nth], "staged": True, "pid": None}
    return survey(host, {"survey": {"releases": [release]}})


def test_what_a_host_has_not_whole_is_no_business_of_the_others() -> None:
    """Half staged is half staged, whoever else calls that release good."""
    whole = survey("web1", {"current": None, "releases": [f"{NEW} good change=2"]})
    half = survey("web2", {"current": None, "releases": [f"{NEW} unfinished unsealed"]})
    assert [one.releases[0].state for one in agreed({"web1": whole, "web2": half}).values()] == ["good", "unfinished"]


def test_an_end_is_one_short_line_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal outlives the terminal: what is masked there is masked here."""
    monkeypatch.setenv("DEPLOY_TOKEN", "hunter2hunter2")
    error = Restored("it said hunter2hunter2\nand more " + "x" * 500, where="web1, smoke: ./check")
    assert Ending.of(Outcome("restored", 4, error=error)) == Ending(
        "restored", "web1, smoke: ./check: it said [hidden]"
    )
    assert len(Ending.failed(Restored("x" * 500)).why) == LONGEST
    assert Ending.failed(Interrupted("interrupted during `flip`")).outcome == "interrupted"
    assert Ending.failed(Degraded("web2 is lost", hosts={})).outcome == "degraded"
    assert Ending.of(Outcome("live")).args() == {"outcome": "live"}


def test_what_changes_nothing_leaves_no_trace() -> None:
    """A deploy with nothing to do, one that loses the lock, one whose plan is stale: none is history."""
    made = lab("web1", "web2")
    made.deploy("v1")
    made.deploy("v1")
    with made.fleet() as slow, made.fleet() as quick:
        load, stage, heard = shipment("v2"), made.stage, made.events.append
        quick.link("web2").call("lock", {"owner": "bob", "release": "0002-v2", "verb": "deploy", "change": 2})
        with pytest.raises(Locked):
            changing.deploy(slow, stage, load, heard, made=MADE)
        quick.link("web2").call("unlock", {})
        made.hosts["web1"].running.clear()
        with pytest.raises(StalePlan):
            changing.deploy(slow, stage, load, heard, made=MADE)
        assert [(change.number, change.ended) for change in looking.changes(quick, 9)] == [(1, "live")]
