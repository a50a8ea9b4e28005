"""The schema goes up with a deploy and down with a rollback, on fakes: what is asked of which host, and when."""

from __future__ import annotations

import socket
from typing import Any

import msgspec
import pytest
from contract.fake import FakeSession
from contract.fake_schema import Databases, chain, step
from unit.ship.fleets import APP, MADE, Lab, lab, shipment

from tagship.config import Argv, Schema
from tagship.errors import Degraded, Locked, Refused, Restored
from tagship.events import Event
from tagship.ship import changing
from tagship.ship.migrations.descent import Wish
from tagship.ship.outcome import Outcome

Row = dict[str, Any]

KEEP, DROP = Wish(keep=True), Wish(drop=True)
MIGRATED = msgspec.structs.replace(APP, schema=(Schema(kind="django", databases=("default", "audit")),))

FIRST = step("0001", adds=[["poll", None]])
SECOND = step("0002", adds=[["vote", None]])
THIRD = step("0003", adds=[["poll", "closed"]])
LOG = step("0001_log", adds=[["log", None]])


def code(*steps: Row, log: tuple[Row, ...] = (LOG,)) -> dict[str, list[Row]]:
    return {"default": chain(*steps), "audit": chain(*log)}


def fleet(*names: str, **code_of: dict[str, list[Row]]) -> Lab:
    """Hosts that share two databases; `code_of` has the steps of each tag: `v1`, `v2`, ..."""
    made = lab(*(names or ("web1", "web2")))
    base = Databases(code={"v1": code(FIRST), "v2": code(FIRST, SECOND), "v3": code(FIRST, SECOND, THIRD), **code_of})
    for host in made.hosts.values():
        host.databases = base
    made.app = MIGRATED
    return made


def base(made: Lab) -> Databases:
    return next(iter(made.hosts.values())).databases


def up_to(made: Lab, *tags: str) -> Lab:
    for tag in tags:
        assert made.deploy(tag).outcome == "live"
    forget(made)
    return made


def forget(made: Lab) -> None:
    made.events.clear()
    base(made).log.clear()
    for host in made.hosts.values():
        host.asked.clear()


def error(outcome: Outcome) -> Any:
    assert outcome.error is not None
    return outcome.error


# --- up


def test_a_deploy_goes_up_once_per_database_before_anything_starts() -> None:
    """On one host, in the order of the code; nothing new runs before the last step is done."""
    made = fleet()
    outcome = made.deploy("v2")
    assert outcome.outcome == "live"
    assert base(made).state() == {"default": ["0001", "0002"], "audit": ["0001_log"]}
    verbs = made.hosts["web1"].verbs()
    assert verbs.index("up") < verbs.index("start")
    assert "up" not in made.hosts["web2"].verbs()
    assert outcome.row()["schema"] == {
        "state": "fits",
        "applied": [["default", "0001", 0.25], ["default", "0002", 0.25], ["audit", "0001_log", 0.25]],
        "reversed": [],
        "kept": [],
        "partly": None,
        "backup": None,
        "words": "schema fits: up default/0001 (0.25 s), default/0002 (0.25 s), audit/0001_log (0.25 s)",
    }


def test_the_heads_are_noted_on_every_host_before_the_seal() -> None:
    """Any host may be the one that is asked later."""
    made = fleet()
    made.deploy("v1")
    for host in made.hosts.values():
        asked = [verb for verb, _args in host.asked]
        assert asked.index("heads") < asked.index("seal")


def test_an_application_without_a_schema_is_asked_nothing_more() -> None:
    """Nor has its plan a phase more."""
    made = lab("web1")
    made.deploy("v1")
    assert not {"heads", "schema", "up", "settled"} & {verb for verb, _args in made.hosts["web1"].asked}
    assert len(made.told("plan")) == 1


def test_what_is_pending_is_planned_and_told_before_it_is_done() -> None:
    """The second leg is a plan like the first, told when the first has looked."""
    made = fleet()
    made.deploy("v2")
    first, second = made.told("plan")
    unknown = "up: what is pending is known once the release is staged (fab plan --staged)"
    assert f"  {unknown} [web1]" in first.data["plan"]
    assert second.data["leg"] == 2
    assert second.data["plan"][1:] == ["migrate", "  up default: 0001, 0002; audit: 0001_log [web1] · undo: down"]
    assert [phase["phase"] for phase in second.data["steps"]][:2] == ["migrate", "start"]


def test_a_backup_is_made_once_before_anything_goes_up() -> None:
    """Its file is part of the result."""
    made = fleet()
    made.app = msgspec.structs.replace(MIGRATED, before_up=Argv(("dump", "{backup}")))
    outcome = made.deploy("v2")
    ups = [args["before"] for verb, args in made.hosts["web1"].asked if verb == "up"]
    assert ups == [["dump", "{backup}"]]
    assert outcome.row()["schema"]["backup"] == "/srv/app/shared/backups/0001.dump"


@pytest.mark.parametrize("tag", ["v2", "v3"])
def test_an_up_that_fails_leaves_the_old_schema_and_the_old_code(tag: str) -> None:
    """In a transaction: what went up before it, in either database, is reversed, and the staging is gone."""
    made = up_to(fleet(), "v1")
    before = made.picture()
    base(made).code[tag]["audit"].append(step("0002_log", "0001_log"))
    base(made).breaks["0002_log"] = "whole"
    outcome = made.deploy(tag)
    assert isinstance(error(outcome), Restored)
    assert made.picture() == before
    assert base(made).state() == {"default": ["0001"], "audit": ["0001_log"]}
    assert outcome.row()["schema"]["state"] == "fits"


def test_an_up_that_fails_outside_a_transaction_says_what_was_done_and_how_to_go_on() -> None:
    """What is partly done is nobody's to take back; the rest is reversed, and a person must look."""
    made = up_to(fleet(), "v1")
    base(made).breaks["0003"] = "partly"
    outcome = made.deploy("v3")
    assert outcome.exit == 5
    assert outcome.row()["schema"]["partly"] == ["default", "0003"]
    assert "a part of default/0003 is done, and is in no transaction" in error(outcome).hosts["web1"]
    assert base(made).state()["default"] == ["0001"]


@pytest.mark.parametrize("verb", ["start", "flip", "probe", "mark"])
@pytest.mark.parametrize("host", ["web1", "web2"])
def test_a_failure_after_the_up_reverses_it(verb: str, host: str) -> None:
    """Of whatever host and step: the unwind of the second leg goes on into the first."""
    made = up_to(fleet(), "v1")
    before = made.picture()
    count = {"start": 2, "flip": 2, "probe": 2, "mark": 2}[verb]
    made.hosts[host].fail(verb, count)
    assert made.deploy("v2").outcome == "restored"
    assert made.picture() == before
    assert base(made).state() == {"default": ["0001"], "audit": ["0001_log"]}


def test_an_unwind_leaves_up_what_would_lose_rows_and_keeps_its_code() -> None:
    """It is recorded, and shown as degraded; the release stays staged, for only it can go down later."""
    made = up_to(fleet(), "v1")
    base(made).rows["vote"] = 3
    made.hosts["web1"].fail("start", 2)
    outcome = made.deploy("v2")
    assert outcome.exit == 5
    assert outcome.row()["schema"]["state"] == "ahead"
    assert outcome.row()["schema"]["kept"] == [["default", "0002", "loses 3 rows"]]
    assert "default/0002 stays up: loses 3 rows" in error(outcome).hosts["web1"]
    assert "0002-v2" in made.hosts["web1"].releases
    assert "0002-v2" not in made.hosts["web2"].releases
    assert made.hosts["web1"].current == "0001-v1"


def test_what_stays_up_is_reversed_by_a_rollback_to_what_is_live() -> None:
    """With the code of the release that never went live; then its staging may go."""
    made = up_to(fleet(), "v1")
    base(made).rows["vote"] = 3
    made.hosts["web1"].fail("start", 2)
    made.deploy("v2")
    with pytest.raises(Refused, match="drop data"):
        made.rollback("v1")
    outcome = made.rollback("v1", wish=DROP)
    assert outcome.outcome == "live"
    assert base(made).state()["default"] == ["0001"]
    assert made.deploy("v3").outcome == "live"
    assert list(made.hosts["web1"].releases) == ["0001-v1", "0003-v3"]


def test_a_host_that_goes_after_the_up_leaves_it_up_and_that_is_said() -> None:
    """What can't be reversed for want of a way to it counts as it stands, not as put back."""
    made = up_to(fleet(), "v1")
    host = made.hosts["web1"]

    def cut(event: Event) -> None:
        made.events.append(event)
        if event.data.get("state") == "done" and event.data["step"].startswith("up "):
            host.reachable = False

    host.die("start", 2)
    with made.fleet() as links:
        load = shipment("v2", app=made.app)
        outcome = changing.deploy(links, made.stage, load, cut, made=MADE, hooks=made.hooks)
    assert outcome.exit == 5
    assert outcome.row()["schema"]["state"] == "ahead"
    assert base(made).state()["default"] == ["0001", "0002"]
    host.reachable = True
    assert made.deploy("v2").outcome == "live"
    assert made.deploy("v2").outcome == "unchanged"


# --- guards


def refused(made: Lab, tag: str) -> Refused:
    """The refusal of the second leg: nothing is staged any more, nothing was moved."""
    before, state = made.picture(), base(made).state()
    outcome = made.deploy(tag)
    assert outcome.exit == 3
    assert made.picture() == before
    assert base(made).state() == state
    found = error(outcome)
    assert isinstance(found, Refused)
    assert found.where and found.cure
    return found


def test_two_heads_are_refused() -> None:
    made = up_to(fleet(v4={"default": [FIRST, step("a", "0001"), step("b", "0001")], "audit": [LOG]}), "v1")
    assert "two heads: a, b" in refused(made, "v4").what


def test_a_step_that_was_edited_after_it_was_applied_is_refused() -> None:
    made = up_to(fleet(v4=code({**FIRST, "digest": "another"}, SECOND)), "v1")
    found = refused(made, "v4")
    assert found.where == "web1, default/0001"
    assert "by 0001-v1" in found.what


def test_a_step_that_somebody_else_applied_is_refused() -> None:
    """The database is ahead of the tag, and nobody said that it should be."""
    made = up_to(fleet(), "v1")
    base(made).applied["default"]["0009_theirs"] = {"digest": None, "by": None, "kept": None}
    assert "not by tagship" in refused(made, "v2").what


def test_an_older_tag_is_refused_while_the_schema_is_newer() -> None:
    """Going back is a rollback's work; a deploy never goes down."""
    made = up_to(fleet(), "v1", "v2")
    assert "fab rollback" in refused(made, "v1").cure


def test_steps_that_the_tag_does_not_have_stay_where_that_was_said() -> None:
    """An app that was taken out leaves its steps behind: said once, and neither deploys nor rollbacks mind it."""
    made = up_to(fleet(), "v1", "v2")
    base(made).code["v2.1"] = code(FIRST)
    assert "--keep-schema leaves it up on purpose" in refused(made, "v2.1").cure
    outcome = made.deploy("v2.1", wish=KEEP)
    assert (outcome.outcome, outcome.row()["schema"]["kept"]) == ("live", [["default", "0002", "--keep-schema"]])
    base(made).code["v2.2"] = code(FIRST, THIRD)
    assert made.deploy("v2.2").outcome == "live"
    assert made.rollback().outcome == "live"
    assert base(made).state()["default"] == ["0001", "0002"]


def test_what_should_be_known_is_warned_about_with_its_size() -> None:
    """Long locks, no way back, no transaction, and what running code may still use."""
    fourth = step(
        "0004",
        drops=[["poll", "title"]],
        locks=[["vote", "an index that isn't concurrent"]],
        reversible=False,
        why="RunPython without a reverse",
        atomic=False,
    )
    made = up_to(fleet(v4=code(FIRST, SECOND, fourth)), "v2")
    base(made).rows["vote"] = 250_000
    assert made.deploy("v4").outcome == "live"
    said = "\n".join(made.warnings())
    assert "default/0004: locks vote (250,000 rows, 1 MiB): an index that isn't concurrent" in said
    assert "default/0004: drops poll.title, which the release that runs now may still use" in said
    assert said.startswith("default/0004: irreversible: RunPython without a reverse")
    assert "default/0004: not in one transaction" in said


def test_what_goes_is_held_against_what_the_running_models_read() -> None:
    """A column that the running release has forgotten may go without a word; one that it reads is named with it."""
    fourth = step("0004", drops=[["poll", "title"], ["vote", None]])
    made = up_to(fleet(v4=code(FIRST, SECOND, fourth)), "v2")
    base(made).uses["v2"] = {"default": [["poll", "id"], ["vote", "id"]]}
    assert made.deploy("v4").outcome == "live"
    said = "\n".join(made.warnings())
    assert "default/0004: drops table vote, which 0001-v2 reads until it is drained" in said
    assert "poll.title" not in said


def test_hosts_that_are_left_alone_are_named_where_the_schema_moves() -> None:
    """Their old code meets the new schema for longer than a drain."""
    made = up_to(fleet(), "v1")
    assert made.deploy("v2", skip=["web2"]).outcome == "live"
    assert any(text.startswith("web2, left alone, goes on with the code that it has") for text in made.warnings())


# --- down


def test_a_rollback_goes_down_after_the_new_code_is_gone() -> None:
    """The old starts, flips, drains the new; every host says that nothing newer lives; only then it is reversed."""
    made = up_to(fleet(), "v1", "v2")
    outcome = made.rollback()
    assert outcome.outcome == "live"
    assert base(made).state() == {"default": ["0001"], "audit": ["0001_log"]}
    assert base(made).log == [("down", "default", "0002")]
    verbs = made.hosts["web1"].verbs()
    assert verbs.index("down") > max(n for n, verb in enumerate(verbs) if verb in ("flip", "halt", "mark"))
    assert ("halt", {"release": "0002-v2", "drain": 0.0}) in made.hosts["web2"].asked
    assert outcome.row()["schema"]["reversed"] == [["default", "0002"]]


def test_several_releases_go_down_in_one_with_the_newest_code() -> None:
    """Newest first, and of databases the last first."""
    made = fleet(v3=code(FIRST, SECOND, THIRD, log=(LOG, step("0002_log"))))
    up_to(made, "v1", "v2", "v3")
    assert made.rollback("v1").outcome == "live"
    assert base(made).log == [("down", "audit", "0002_log"), ("down", "default", "0003"), ("down", "default", "0002")]
    assert {args["release"] for verb, args in made.hosts["web1"].asked if verb == "down"} == {"0003-v3"}


def untouched(made: Lab) -> None:
    """Neither hosts nor databases were changed, nor even locked."""
    asked = {verb for host in made.hosts.values() for verb, _args in host.asked}
    assert asked <= {"survey", "heads", "schema", "loss", "settled"}


def test_an_irreversible_step_is_refused_while_nothing_has_changed() -> None:
    made = up_to(fleet(v4=code(FIRST, step("0002", reversible=False, why="it deletes rows"))), "v1", "v4")
    with pytest.raises(Refused, match="irreversible") as caught:
        made.rollback()
    assert caught.value.tail == ("default/0002: it deletes rows",)
    untouched(made)


def test_a_target_whose_heads_are_unknown_is_refused() -> None:
    made = up_to(fleet(), "v1", "v2")
    made.hosts["web1"].releases["0001-v1"]["heads"] = None
    with pytest.raises(Refused, match="the heads of default, audit in 0001-v1 aren't known"):
        made.rollback()
    untouched(made)


def test_data_goes_only_if_that_was_said() -> None:
    """What would be lost is told table by table, with its rows."""
    made = up_to(fleet(), "v1", "v2")
    base(made).rows["vote"] = 12
    with pytest.raises(Refused, match="drop data") as caught:
        made.rollback()
    assert caught.value.tail == ("default: table vote, 12 rows (0002)",)
    assert "--yes-drop-data" in caught.value.cure
    untouched(made)
    assert made.rollback(wish=DROP).outcome == "live"
    assert base(made).state()["default"] == ["0001"]


def test_the_schema_stays_where_that_was_said() -> None:
    """For teams that only expand and contract; it is journaled, and the next deploy from there is allowed."""
    made = up_to(fleet(), "v1", "v2")
    outcome = made.rollback(wish=KEEP)
    assert (outcome.outcome, outcome.exit) == ("live", 0)
    assert outcome.row()["schema"]["kept"] == [["default", "0002", "--keep-schema"]]
    assert base(made).state()["default"] == ["0001", "0002"]
    assert [row["why"] for row in made.hosts["web1"].journal if row["event"] == "kept"] == ["--keep-schema"]
    base(made).code["v1.1"] = code(FIRST)
    assert made.deploy("v1.1").outcome == "live"
    assert any("it stays up" in text for text in made.warnings())


def test_a_host_that_is_left_alone_keeps_the_schema_up() -> None:
    """Its processes may still use it: degraded, and the command that goes on with it."""
    made = up_to(fleet(), "v1", "v2")
    outcome = made.rollback("v1", skip=["web2"])
    assert (outcome.outcome, outcome.exit) == ("degraded", 5)
    assert outcome.row()["schema"]["state"] == "ahead"
    assert made.hosts["web1"].current == "0001-v1"
    assert base(made).state()["default"] == ["0001", "0002"]
    assert made.typed(error(outcome).cure).outcome == "live"
    assert base(made).state()["default"] == ["0001"]


def test_a_host_that_dies_before_it_confirms_keeps_the_schema_up() -> None:
    """Nobody can say what still runs there."""
    made = up_to(fleet(), "v1", "v2")
    made.hosts["web2"].die("halt", 3)
    outcome = made.rollback()
    assert (outcome.outcome, outcome.exit) == ("degraded", 5)
    assert "0001-v1 is live, and the schema isn't down" in error(outcome).what
    assert outcome.row()["schema"]["state"] == "ahead"
    assert base(made).state()["default"] == ["0001", "0002"]
    assert {host.current for host in made.hosts.values()} == {"0001-v1"}


def test_a_down_that_fails_halfway_stops_and_says_where_it_stands() -> None:
    """The old code stays live; what is reversed and what isn't is told, and the same again goes on."""
    made = up_to(fleet(), "v1", "v2", "v3")
    base(made).clings.add("0002")
    outcome = made.rollback("v1")
    assert isinstance(error(outcome), Degraded)
    assert outcome.exit == 5
    assert outcome.row()["schema"]["reversed"] == [["default", "0003"]]
    assert outcome.row()["schema"]["state"] == "ahead"
    assert base(made).state()["default"] == ["0001", "0002"]
    base(made).clings.clear()
    for host in made.hosts.values():
        host.releases.pop("0002-v2")  # its heads were what is applied now; the newer code knows all of that too
    assert "fab rollback --stage production --to 0001-v1" in error(outcome).cure
    assert made.rollback("0001-v1").outcome == "live"
    assert base(made).state()["default"] == ["0001"]


def test_a_rollback_to_a_newer_release_never_lacks_its_steps() -> None:
    """It goes down only: what has to go up is a deploy's work."""
    made = up_to(fleet(), "v1", "v2")
    made.rollback()
    forget(made)
    with pytest.raises(Refused, match="needs steps that aren't applied") as caught:
        made.rollback("v2")
    assert caught.value.tail == ("default/0002",)
    untouched(made)


def test_nothing_is_reversed_that_nobody_here_has_code_for() -> None:
    made = up_to(fleet(), "v1", "v2")
    base(made).applied["default"]["0009_theirs"] = {"digest": None, "by": None, "kept": None}
    with pytest.raises(Refused, match="no release on the host can reverse"):
        made.rollback()
    untouched(made)


# --- dead clients


def test_what_a_dead_client_left_is_reversed_by_the_next_deploy() -> None:
    """Its release stays on disk until then, because it alone has the code; its data isn't dropped."""
    made = up_to(fleet("web1"), "v1")
    host = made.hosts["web1"]
    host.die("up", 1, after=True)
    host.reachable = True
    with made.fleet() as links:
        # A client that is killed: its link goes, and nobody unwinds.
        links.link("web1").call("lock", {"owner": "dead", "release": "0002-v2", "verb": "deploy"})
    base(made).applied["default"]["0002"] = {"digest": SECOND["digest"], "by": "0002-v2", "kept": None}
    host.releases["0002-v2"] = {
        "record": {**host.releases["0001-v1"]["record"], "id": "0002-v2", "serial": 2, "tag": "v2"},
        "manifest": host.releases["0001-v1"]["manifest"],
        "state": "unfinished",
        "staged": True,
        "heads": {"default": ["0002"], "audit": ["0001_log"]},
    }
    host.highest = 2
    host._faults.clear()
    base(made).code["v1.1"] = code(FIRST)
    forget(made)
    assert made.deploy("v1.1").outcome == "live"
    assert base(made).log == [("down", "default", "0002")]


def test_what_a_dead_rollback_left_is_reversed_by_the_next_deploy() -> None:
    """Its client was gone when the old code was live and the schema not yet down: nobody wished that it stays."""
    made = up_to(fleet("web1"), "v1", "v2")
    made.hosts["web1"].die("down", 1)
    assert made.rollback().exit == 5
    base(made).code["v1.1"] = code(FIRST)
    forget(made)
    assert made.deploy("v1.1").outcome == "live"
    assert base(made).log == [("down", "default", "0002")]


@pytest.mark.parametrize("locked", [True, False])
def test_a_migration_that_still_runs_is_waited_for(locked: bool) -> None:
    """Nobody begins beside it; it is said that somebody waits, and for what. It may have outlived its lock too."""
    made = up_to(fleet("web1"), "v1")
    host = made.hosts["web1"]
    host.midway = not locked
    base(made).running = 2
    if locked:
        note = {"owner": "dead", "release": "0002-v2", "verb": "deploy", "since": "long ago", "client": "gone"}
        host.holder = (FakeSession(host, socket.socket()), note)
    assert made.deploy("v2").outcome == "live"
    assert any("a migration of a session that died still runs" in text for text in made.warnings())
    asked = [verb for verb, _args in host.asked]
    assert asked.index("settled") < asked.index("lock")


def test_who_is_alive_and_migrates_is_not_waited_for() -> None:
    """Without --wait that is exit 6, as of any work under way."""
    made = up_to(fleet("web1"), "v1")
    host = made.hosts["web1"]
    host.midway = True
    base(made).running = 2
    note = {"owner": "ann", "release": "0002-v2", "verb": "deploy", "since": "just now"}
    host.holder = (FakeSession(host, socket.socket()), note)
    with pytest.raises(Locked):
        made.deploy("v2")
    assert "settled" not in [verb for verb, _args in host.asked]


def test_a_stage_without_the_host_that_migrates_is_refused() -> None:
    """It alone knows which steps were applied by whom."""
    made = up_to(fleet(), "v1")
    made.stage = msgspec.structs.replace(made.stage, migrate_on="web2")
    assert made.deploy("v2").outcome == "live"
    assert "up" in made.hosts["web2"].verbs()
    with pytest.raises(Refused, match="web2, from which the schema is migrated, is left out"):
        made.deploy("v3", skip=["web2"])
