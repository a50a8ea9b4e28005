"""The journal of a host: what it survives, what is made of what is left of it, and what may be pruned by it."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unit.host.client import AgentError, Host, blog, go_live, names, stage_until, until

from tagship.host.journal import Journal, last_change

LIVE = ["begun", "staging", "staged", "flip", "flipped", "good"]


def journal(host: Host) -> Path:
    return host.path("state", "journal.jsonl")


def rows(host: Host) -> list[dict[str, Any]]:
    return [json.loads(line) for line in journal(host).read_text().splitlines()]


def at_two(host: Host) -> None:
    """Two good releases, the second of them current and running."""
    agent = host.locked()
    go_live(agent, blog(1), None)
    go_live(agent, blog(2), blog(1))
    agent.ask("unlock", outcome="live")
    agent.hang_up()


def states(host: Host) -> dict[str, tuple[str, bool]]:
    return {row["id"]: (row["state"], row["staged"]) for row in host.look()["releases"]}


def test_a_change_says_what_it_is_about_before_it_begins_and_how_it_ended(host: Host) -> None:
    """`begun` is on disk with the first row: verb, release, and what was current; `ended` before the lock is free."""
    agent = host.connect()
    host.survey(agent)
    agent.ask("lock", owner="bob", release="0001-v1", verb="deploy", change=7)
    assert host.rows() == []
    go_live(agent, blog(1), None)
    agent.ask("unlock", outcome="live")
    agent.ask("lock", owner="bob", release="0002-v2", verb="deploy", change=8)
    stage_until(agent, blog(2), "declare")
    agent.ask("unstage", release="0002-v2")
    agent.ask("unlock", outcome="restored", why="web1, smoke: no")
    found = rows(host)
    assert [row["event"] for row in found] == [*LIVE, "ended", "begun", "staging", "removed", "ended"]
    assert {(row["by"], row["change"]) for row in found} == {("bob", 7), ("bob", 8)}
    begun, ended = found[7], found[-1]
    assert (begun["verb"], begun["release"], begun["origin"]) == ("deploy", "0002-v2", "0001-v1")
    assert (ended["verb"], ended["outcome"], ended["why"]) == ("deploy", "restored", "web1, smoke: no")
    assert host.survey(agent)["change"] == 8


def test_the_lock_alone_is_no_change(host: Host) -> None:
    """Who takes it and finds nothing to do, or is refused, leaves no row."""
    agent = host.locked()
    with pytest.raises(AgentError):
        agent.ask("declare", **{**blog(1).declaration(), "manifest": "0" * 64})
    agent.ask("unlock", outcome="refused")
    assert host.rows() == []


@pytest.mark.parametrize("verb", ["halt", "start", "unstage", "prune"])
def test_what_has_no_intent_of_its_own_is_announced_first(host: Host, verb: str) -> None:
    """A stop journals nothing else; that it began is on disk before a process ends."""
    at_two(host)
    agent = host.locked()
    args = {"halt": {"drain": 1}, "prune": {"keep": 5}}.get(verb, {})
    agent.ask(verb, **args, **({} if verb == "prune" else {"release": "0001-v1"}))
    assert rows(host)[len(LIVE) * 2]["event"] == "begun"


def test_a_client_that_goes_is_journaled_as_lost_and_a_killed_agent_leaves_no_end(host: Host) -> None:
    """The next change has the next number either way."""
    for number, ending in enumerate(("hang up", "kill"), 1):
        agent = host.locked()
        stage_until(agent, blog(number), "declare")
        if ending == "kill":
            agent.process.send_signal(signal.SIGKILL)
            agent.process.wait()
        else:
            agent.hang_up()
    heir = host.locked()
    heir.ask("unstage", release="0002-v2")
    found = [(row["change"], row["event"], row.get("outcome")) for row in rows(host)]
    assert [row for row in found if row[1] in ("begun", "ended")] == [
        (1, "begun", None),
        (1, "ended", "lost"),
        (2, "begun", None),
        (3, "begun", None),
    ]
    assert heir.ask("history", changes=1)["rows"] == [row for row in rows(host) if row["change"] == 3][:1]
    assert len(heir.ask("history", changes=2)["rows"]) == 2


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b'{"at":"2026-01-02T03:04:05Z","event":"le')


def nuls(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0" * 4096)


def garbage(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\n[1]\nnull\n{}\n" + b"[" * 100_000 + b"\n" + path.read_bytes())


@pytest.mark.parametrize("harm", [torn, nuls, garbage])
def test_what_can_not_be_read_says_nothing_and_the_next_row_stands_by_itself(
    host: Host, harm: Callable[[Path], None]
) -> None:
    """A torn last line, the NULs of a power cut, foreign lines: every whole row counts, before and after them."""
    at_two(host)
    harm(journal(host))
    assert states(host) == {"0001-v1": ("good", True), "0002-v2": ("good", True)}
    agent = host.locked()
    agent.ask("mark", release="0002-v2", state="left")
    agent.ask("unlock", outcome="live")
    assert states(host)["0002-v2"] == ("left", True)
    found = host.look()
    assert (found["highest"], found["change"]) == (2, 2)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def zeroed(path: Path) -> None:
    path.write_bytes(b"\0" * 999)


@pytest.mark.parametrize("loss", [Path.unlink, emptied, zeroed])
def test_a_lost_journal_costs_no_release(host: Host, loss: Callable[[Path], Any]) -> None:
    """Each release tells of itself what it is. Whether it was good nobody knows: it counts as left, and stays.

    `current` serves on and can be proven and marked again, the serials go on, and a rollback may name the others.
    """
    at_two(host)
    before = host.look()
    loss(journal(host))
    after = host.look()
    assert states(host) == {"0001-v1": ("left", True), "0002-v2": ("left", True)}
    unchanged = ("tag", "commit", "digest", "manifest", "roles", "runs", "pid")
    pairs = zip(before["releases"], after["releases"], strict=True)
    assert all({key: old[key] for key in unchanged} == {key: new[key] for key in unchanged} for old, new in pairs)
    assert (after["highest"], after["serving"], after["change"]) == (2, "0002-v2", 0)
    agent = host.locked()
    agent.ask("mark", release="0002-v2", state="good")
    agent.ask("start", release="0001-v1")
    agent.ask("flip", to="0001-v1", **{"from": "0002-v2"})
    agent.ask("flip", to="0002-v2", **{"from": "0001-v1"})
    agent.ask("halt", release="0001-v1", drain=1)
    with pytest.raises(AgentError, match="the serial 2 was given before"):
        agent.ask("declare", **blog(2, tag="v9").declaration())
    go_live(agent, blog(3), blog(2))
    assert agent.ask("prune", keep=5)["removed"] == []
    agent.ask("unlock")
    assert states(host) == {"0001-v1": ("left", True), "0002-v2": ("good", True), "0003-v3": ("good", True)}


def test_what_a_lost_journal_leaves_half_staged_is_unfinished(host: Host) -> None:
    """Only what was sealed counts as whole; the rest is removed by the next who settles."""
    agent = host.locked()
    stage_until(agent, blog(1), "furnish")
    agent.process.kill()
    agent.process.wait()
    journal(host).unlink()
    assert states(host) == {"0001-v1": ("unfinished", False)}
    heir = host.locked()
    heir.ask("unstage", release="0001-v1")
    assert states(host) == {}


def test_serials_go_on_from_however_far_ahead_the_journal_is(host: Host) -> None:
    """The highest that was ever given counts, not how many there are; ids grow as they must."""
    agent = host.locked()
    go_live(agent, blog(7_654_321), None)
    with pytest.raises(AgentError, match="the serial 7654320 was given before; the highest is 7654321"):
        agent.ask("declare", **blog(7_654_320).declaration())
    go_live(agent, blog(7_654_322), blog(7_654_321))
    assert host.survey(agent)["highest"] == 7_654_322
    assert agent.ask("verify", release="7654322-v7654322")["drift"] == []


def test_clocks_mtimes_and_names_decide_nothing(host: Host) -> None:
    """Every time in the journal and on disk scrambled, a year off: the same survey, the same releases pruned."""
    agent = host.locked()
    old = None
    for serial in range(1, 6):
        go_live(agent, blog(serial), old)
        old = blog(serial)
    agent.ask("unlock")
    before = host.look()
    dice = random.Random(1)
    scrambled = [{**row, "at": f"{dice.randrange(1990, 2100)}-01-01T00:00:00Z"} for row in rows(host)]
    journal(host).write_text("".join(json.dumps(row) + "\n" for row in scrambled))
    for path in host.path("releases").iterdir():
        os.utime(path, (dice.randrange(1, 4_000_000_000),) * 2, follow_symlinks=False)
    after = host.look()
    assert after["releases"] == before["releases"]
    agent = host.locked()
    assert agent.ask("prune", keep=2)["removed"] == ["0001-v1", "0002-v2"]


def test_rows_are_read_once_and_as_they_come(tmp_path: Path) -> None:
    """What others append meanwhile is seen; a row that is being written is waited for; a gone file is none."""
    path = tmp_path / "journal.jsonl"
    reader, writer = Journal(str(path)), Journal(str(path))
    assert reader.rows() == []
    writer.append({"event": "begun", "release": None, "change": 4}, {"event": "staging", "release": "0001-v1"})
    assert [row["event"] for row in reader.rows()] == ["begun", "staging"]
    with path.open("ab") as file:
        file.write(b'{"event":"sta')
        file.flush()
        assert len(reader.rows()) == 2
        file.write(b'ged","release":"0001-v1"}')
        file.flush()
        assert [row["event"] for row in reader.rows()] == ["begun", "staging", "staged"]
    writer.append({"event": "good", "release": "0001-v1", "change": 5})
    assert [row["event"] for row in reader.rows()] == ["begun", "staging", "staged", "good"]
    assert last_change(reader.rows()) == 5
    assert reader.standings()["0001-v1"].marked == [5, 1]
    path.unlink()
    assert reader.rows() == []


def test_5000_old_releases_are_pruned_and_foreign_folders_are_not(host: Host) -> None:
    """What is current, the last good ones and what runs stay; what tagship didn't make is nobody's business."""
    agent = host.locked("600")
    go_live(agent, blog(1), None)
    with journal(host).open("a") as file:
        for serial in range(2, 5002):
            release = f"{serial:04d}-v{serial}"
            host.path("releases", release).mkdir()
            for event in ("staging", "staged", "good" if serial % 3 else "left"):
                row = {"at": "", "event": event, "release": release, "tag": release, "by": "ann", "change": serial}
                file.write(json.dumps(row) + "\n")
    foreign = ("backup", "0001", "2024-01-01", "20240101120000", "0009-not-ours")
    for name in foreign:
        host.path("releases", name).mkdir()
    host.path("releases", "0010-v10").rename(host.path("elsewhere"))
    host.path("releases", "0010-v10").symlink_to(host.path("elsewhere"))
    stage_until(agent, blog(6000), base=blog(1))
    agent.ask("flip", to="6000-v6000", **{"from": "0001-v1"})
    agent.ask("mark", release="6000-v6000", state="good")
    removed = agent.ask("prune", keep=4)["removed"]
    good = {f"{serial:04d}-v{serial}" for serial in (4997, 4999, 5000)} | {"4996-v4996"}
    assert len(removed) == 5000 - len(good) - 1
    kept = {"6000-v6000", "0001-v1", *good}
    assert names(host.path("releases")) == {*kept, *foreign, "0010-v10"}
    assert host.path("elsewhere").is_dir()
    assert {row["event"] for row in rows(host) if row["release"] == "0002-v2"} == {
        "staging",
        "staged",
        "good",
        "removed",
    }


def test_many_failed_deploys_evict_nothing_good(host: Host) -> None:
    """Taken back, abandoned, killed, left: current and the previous good release outlive them all."""
    at_two(host)
    for serial in range(3, 9):
        agent = host.locked()
        stage_until(agent, blog(serial), "seal" if serial % 2 else "furnish")
        if serial % 3 == 0:
            agent.ask("unstage", release=f"{serial:04d}-v{serial}")
        elif serial % 3 == 1:
            agent.process.kill()
        agent.hang_up()
        until(lambda: host.look()["lock"] is None)
    agent = host.locked()
    assert set(states(host)) >= {"0001-v1", "0002-v2", "0004-v4", "0007-v7"}
    go_live(agent, blog(9), blog(2))
    assert agent.ask("prune", keep=1)["removed"] == ["0001-v1", "0004-v4", "0007-v7"]
    assert states(host) == {"0002-v2": ("good", True), "0009-v9": ("good", True)}
    assert agent.ask("prune", keep=0)["removed"] == [], "the previous good one stays in any case"
