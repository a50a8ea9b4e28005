"""Undos that are safe anywhere, and what a session leaves when its client goes away at any point."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from unit.host.client import STAGING, Agent, AgentError, Host, Release, blog, go_live, names, stage_until, tree, until

from tagship.host import frames, hashes
from tagship.host.context import Context
from tagship.host.declare import open_objects
from tagship.host.faults import Gone
from tagship.host.lifeline import Lifeline

CLEAN = {"assets", "objects", "releases", "shared", "state"}


def leftovers(host: Host) -> list[str]:
    """What is below the root beside its folders, its journal and its logs."""
    return [
        path
        for path in tree(host.root)
        if path not in CLEAN
        and not path.startswith(("state/log", "state/uv-cache", "state/tools", "state/reserve"))
        and path not in {"state/journal.jsonl", "state/lock", "state/owner.json", "run"}
    ]


def but_objects(host: Host) -> list[str]:
    """What of that is neither an object nor a wheel: what a client sent stays for the next one."""
    return [path for path in leftovers(host) if not path.startswith(("objects/", "state/wheels"))]


def test_every_undo_is_safe_where_its_do_never_ran(host: Host) -> None:
    """Nothing is there to undo: nothing is done, nothing journaled."""
    agent = host.locked()
    for _ in range(2):
        agent.ask("unstage", release="0001-v1")
        agent.ask("halt", release="0001-v1", drain=1)
        agent.ask("unfront")
        agent.ask("flip", to=None, **{"from": "0001-v1"})
    agent.ask("unlock")
    agent.ask("unlock")
    assert host.journal() == []
    assert leftovers(host) == []


@pytest.mark.parametrize("last", STAGING)
def test_unstage_takes_back_staging_from_any_point_and_twice(host: Host, last: str) -> None:
    """Folder, objects, assets, wheels, run folder: all gone, journaled once."""
    agent = host.locked()
    one = blog(1)
    stage_until(agent, one, last)
    agent.ask("unstage", release=one.id)
    agent.ask("unstage", release=one.id)
    assert leftovers(host) == []
    assert list(tree(host.path("run"))) == []
    assert [event for event, _ in host.journal() if event != "staged"] == ["staging", "removed"]


def test_what_a_client_that_went_has_staged_is_not_read_again(host: Host) -> None:
    """Nothing of it ran, so it has damaged nothing; to read all of it would keep the lock from others."""
    one, two = blog(1, "the same"), blog(2, "the same")
    before = host.locked()
    go_live(before, one, None)
    before.ask("unlock")
    before.hang_up()
    agent = host.locked()
    agent.ask("manifest", release=one.id)  # as a deploy does
    stage_until(agent, two, "tree", one)
    shared = host.path("releases", two.id, "app", "text.txt")
    shared.chmod(0o644)
    shared.write_text("written by nobody who is ours")
    agent.hang_up()
    assert host.journal()[-1] == ("abandoned", two.id)
    assert "damaged" not in {event for event, _ in host.journal()}


def test_nothing_more_is_hashed_once_the_client_is_gone(host: Host) -> None:
    """Neither objects nor files of releases: a large release would hold the lock for minutes."""
    host.locked().hang_up()
    content = b"something"
    key = hashlib.sha256(content).hexdigest()
    file = host.path("objects", key)
    file.write_bytes(content)
    lifeline = Lifeline()
    context = Context(lifeline, lambda: iter(()), lambda *_: None, lambda _: None)
    context.open(str(host.root), "blog", "local")
    objects, hashed = open_objects(context), hashes.of(context)
    lifeline.cut()
    with pytest.raises(Gone):
        objects.sound(key, len(content))
    with pytest.raises(Gone):
        hashed.of(str(file), file.lstat())
    context.lifeline = Lifeline()  # as what is put back then has
    assert objects.sound(key, len(content))
    assert hashed.of(str(file), file.lstat()) == key
    objects.close()


@pytest.mark.parametrize("last", STAGING)
def test_a_client_that_goes_while_staging_leaves_only_objects(host: Host, last: str) -> None:
    """EOF after each verb of staging: the release is removed and journaled `abandoned`, the lock is free.

    What was sent is there for the next release of the same tag; once that is pruned or undone, it is gone.
    """
    agent = host.locked()
    one = blog(1)
    stage_until(agent, one, last)
    agent.hang_up()
    assert agent.errors() == ""
    assert but_objects(host) == []
    assert host.journal()[-1] == ("abandoned", one.id)
    survey = host.look()
    assert (survey["lock"], survey["highest"], survey["releases"]) == (None, 1, [])
    assert host.journal()[-1] == ("abandoned", one.id)
    survey = host.look()
    assert (survey["lock"], survey["highest"], survey["releases"]) == (None, 1, [])
    heir, again = host.locked(), blog(2, "release 1", tag="v1")
    again.record["digest"] = one.record["digest"]
    missing = heir.ask("declare", **again.declaration())["missing"]
    sent = STAGING.index(last) >= STAGING.index("put")
    assert {key for key, _size in missing} == again.contents.keys() - (one.contents.keys() if sent else set())
    heir.ask("unstage", release=again.id)
    assert leftovers(host) == []


def test_a_client_that_goes_after_the_start_leaves_no_process(host: Host) -> None:
    """Not flipped yet: stopped and removed."""
    agent = host.locked()
    one = blog(1)
    stage_until(agent, one)
    pid = agent.ask("start", release=one.id)["pid"]
    agent.hang_up()
    assert not Path(f"/proc/{pid}/exe").exists()
    assert but_objects(host) == []
    assert host.journal()[-1] == ("abandoned", one.id)


def test_a_client_that_goes_after_the_flip_leaves_the_release_live_and_unfinished(host: Host) -> None:
    """What is public stays public; the next deploy settles it."""
    agent = host.locked()
    one = blog(1)
    stage_until(agent, one)
    pid = agent.ask("start", release=one.id)["pid"]
    agent.ask("flip", to=one.id, **{"from": None})
    agent.hang_up()
    survey = host.look()
    assert (survey["current"], survey["serving"], survey["lock"]) == (one.id, one.id, None)
    assert [(row["state"], row["staged"], row["pid"]) for row in survey["releases"]] == [("unfinished", True, pid)]


def test_a_client_that_goes_while_rolling_back_leaves_no_second_process(host: Host) -> None:
    """A process that the session started for a release that isn't current is stopped; its release stays."""
    agent = host.locked()
    one, two = blog(1), blog(2)
    go_live(agent, one, None)
    go_live(agent, two, one)
    agent.ask("unlock")
    agent.ask("lock", owner="ann", release=one.id, verb="rollback")
    pid = agent.ask("start", release=one.id)["pid"]
    agent.hang_up()
    assert not Path(f"/proc/{pid}/exe").exists()
    survey = host.look()
    assert survey["serving"] == two.id
    assert [row["id"] for row in survey["releases"]] == [one.id, two.id]


def test_after_unlock_a_session_takes_nothing_back(host: Host) -> None:
    """What was declared and unlocked belongs to everybody."""
    agent = host.locked()
    one = blog(1)
    stage_until(agent, one)
    agent.ask("unlock")
    agent.hang_up()
    assert [row["staged"] for row in host.look()["releases"]] == [True]


def test_a_running_command_dies_with_its_client(host: Host) -> None:
    """Its whole process group, at once; nothing else starts."""
    agent = host.locked()
    one = blog(1)
    stage_until(agent, one, "furnish")
    code = "import os, time; os.fork(); open(f'pid{os.getpid()}', 'w'); time.sleep(600)"
    agent.begin("command", release=one.id, argv=["python", "-c", code], title="prepare")
    app = host.path("releases", one.id, "app")
    until(lambda: len(list(app.glob("pid*"))) == 2)
    pids = [int(path.name[3:]) for path in app.glob("pid*")]
    agent.hang_up()
    until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in pids))
    assert but_objects(host) == []


def test_silence_counts_as_the_client_s_end(host: Host) -> None:
    """No frame for as long as the session allows: everything is as after EOF."""
    agent = host.locked("3")
    one = blog(1)
    agent.ask("declare", **one.declaration())
    agent.process.wait(30)
    assert leftovers(host) == []
    assert host.journal()[-1] == ("abandoned", one.id)


@contextlib.contextmanager
def beating(agent: Agent) -> Iterator[None]:
    """A client that says all the while that it lives."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(0.25):
            agent.write(frames.pack_json({"beat": 1}))

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    yield
    over.set()
    thread.join()


def test_a_client_that_beats_is_not_silent(host: Host) -> None:
    """A command may take longer than silence may; the agent beats too."""
    patient, one = host.locked(), blog(1)
    stage_until(patient, one, "furnish")  # by another session: only what is asked below has to be quick
    patient.ask("unlock")
    patient.hang_up()
    agent = host.connect("3")
    with beating(agent):
        host.survey(agent)
        agent.ask("lock", owner="ann", release=None, verb="deploy")
        agent.begin("command", release=one.id, argv=["sleep", "7"], title="smoke")
        assert agent.answer()["seconds"] >= 7
    assert agent.beats >= 5


def test_a_stream_cut_in_the_middle_leaves_nothing(host: Host) -> None:
    """Neither an object that is half there nor the release it was for."""
    agent = host.locked()
    one = Release(1, "v1", {"app/big": os.urandom(200_000)})
    missing = agent.ask("declare", **one.declaration())["missing"]
    agent.begin("put", objects=missing)
    agent.write(frames.pack_data(one.packed([missing[0][0]])[:100_000]))
    until(lambda: any(name.startswith(".new-") for name in names(host.path("objects"))))
    agent.hang_up()
    assert leftovers(host) == []


def test_what_a_killed_prune_left_is_seen_and_cleared(host: Host) -> None:
    """A survey counts what is half removed or half written, so that a plan takes the lock, which clears it."""
    host.locked().hang_up()
    (host.path("releases", ".gone-0001-v1") / "app").mkdir(parents=True)
    host.path("objects", ".new-" + "0" * 64).touch()
    host.path("current.new").symlink_to("releases/0001-v1")
    agent = host.connect()
    assert host.survey(agent)["litter"] == 3
    agent.ask("lock", owner="ann", release=None, verb="deploy")
    agent.ask("sweep")
    assert host.survey(agent)["litter"] == 0
    assert leftovers(host) == []


def test_sigterm_ends_an_agent_as_eof_does(host: Host) -> None:
    """It takes back what it must; Ctrl-C on the terminal of its client is not its business."""
    agent = host.locked()
    stage_until(agent, blog(1))
    agent.process.send_signal(signal.SIGINT)
    assert host.survey(agent)["lock"]["owner"] == "ann"
    agent.process.send_signal(signal.SIGTERM)
    agent.process.wait(30)
    assert but_objects(host) == []
    assert host.journal()[-1] == ("abandoned", "0001-v1")


def test_a_put_that_is_refused_leaves_the_session_in_step(host: Host) -> None:
    """The rest of a stream whose verb has failed is read and dropped; the next question gets its own answer."""
    agent = host.locked()
    one = blog(1)
    missing = agent.ask("declare", **one.declaration())["missing"]
    with pytest.raises(AgentError):
        agent.put(missing, b"\0" * 3_000_000)
    assert agent.ask("history", limit=1)["rows"][0]["event"] == "staging"


def test_an_agent_killed_at_any_point_is_healed_by_the_next_session(host: Host) -> None:
    """SIGKILL leaves what it must; the lock is free at once, and what is left can be unstaged."""
    for serial, last in enumerate((*STAGING, "start"), 1):
        agent = host.locked()
        release = blog(serial)
        stage_until(agent, release, "seal" if last == "start" else last)
        if last == "start":
            agent.ask("start", release=release.id)
        agent.process.send_signal(signal.SIGKILL)
        agent.process.wait()
        assert host.look()["lock"] is None
        healer = host.locked()
        (row,) = host.survey(healer)["releases"]
        assert (row["id"], row["state"]) == (release.id, "unfinished")
        healer.ask("unstage", release=release.id)
        healer.ask("unlock")
        healer.hang_up()
        assert leftovers(host) == []


def test_a_held_lock_names_its_holder_and_a_loser_changes_nothing(host: Host) -> None:
    """Owner, release, verb, since; the loser's end doesn't free it; the holder's end does."""
    holder, loser = host.connect(), host.connect()
    host.survey(holder)
    host.survey(loser)
    holder.ask("lock", owner="ann", release="0001-v1", verb="deploy")
    note = host.path("state", "lock").read_bytes()
    for _ in range(2):
        with pytest.raises(AgentError) as locked:
            loser.ask("lock", owner="bob", release="0002-v2", verb="rollback")
        assert locked.value.kind == "locked"
        assert {key: locked.value.data[key] for key in ("owner", "release", "verb")} == {
            "owner": "ann",
            "release": "0001-v1",
            "verb": "deploy",
        }
        assert locked.value.data["since"].endswith("Z")
    assert host.survey(loser)["lock"] == locked.value.data
    loser.ask("unlock")
    loser.hang_up()
    assert host.path("state", "lock").read_bytes() == note
    third = host.connect()
    host.survey(third)
    with pytest.raises(AgentError, match="locked by ann"):
        third.ask("lock", owner="eve", release=None, verb="deploy")
    holder.process.kill()
    holder.process.wait()
    third.ask("lock", owner="eve", release=None, verb="deploy")
    assert host.survey(third)["lock"]["owner"] == "eve"
    third.ask("unlock")
    assert host.survey(third)["lock"] is None


def test_of_many_who_ask_at_once_one_gets_the_lock(host: Host) -> None:
    """However the race goes, every loser is told a holder that did win."""
    agents = [host.connect() for _ in range(6)]
    for number, agent in enumerate(agents):
        host.survey(agent)
        agent.begin("lock", owner=f"owner {number}", release=None, verb="deploy")
    winners, told = [], []
    for number, agent in enumerate(agents):
        try:
            agent.answer()
            winners.append(f"owner {number}")
        except AgentError as error:
            told.append(error.data["owner"])
    assert len(winners) == 1
    assert set(told) == set(winners)


def test_neither_the_service_nor_the_front_door_keeps_the_lock(host: Host, listen: str) -> None:
    """They outlive the session that started them, and its lock doesn't."""
    agent = host.locked()
    go_live(agent, blog(1), None, listen)
    agent.process.kill()
    agent.process.wait()
    survey = host.look()
    assert (survey["lock"], survey["serving"], survey["front"]["listen"]) == (None, "0001-v1", listen)
    host.locked()


@pytest.mark.parametrize("torn", [b'{"at":"2026-01-02T03:04:05Z","event":"goo', b"\0\0\0\0", b"[1]\nnull\n{}\n\xff"])
def test_a_torn_last_line_of_the_journal_is_passed_over(host: Host, torn: bytes) -> None:
    """What a crash left unreadable says nothing; the next row begins a line of its own."""
    agent = host.locked()
    one = blog(1)
    go_live(agent, one, None)
    with host.path("state", "journal.jsonl").open("ab") as file:
        file.write(torn)
    (row,) = host.survey(agent)["releases"]
    assert (row["state"], row["tag"]) == ("good", "v1")
    agent.ask("mark", release=one.id, state="left")
    assert host.survey(agent)["releases"][0]["state"] == "left"
    assert [row["event"] for row in agent.ask("history", limit=2)["rows"]] == ["good", "left"]
    agent.ask("mark", release=one.id, state="good")
    agent.ask("mark", release=one.id, state="good")
    assert [row["event"] for row in agent.ask("history", limit=2)["rows"]] == ["left", "good"]


def test_order_comes_from_the_journal_never_from_clocks(host: Host) -> None:
    """Scrambled mtimes and times a year off change nothing."""
    agent = host.locked()
    one, two = blog(1), blog(2)
    go_live(agent, one, None)
    go_live(agent, two, one)
    journal = host.path("state", "journal.jsonl")
    text = journal.read_text().splitlines()
    year = time.strftime("%Y-")
    journal.write_text("".join(line.replace(year, f"{2100 - n}-") + "\n" for n, line in enumerate(text)))
    for path in (one.id, two.id):
        os.utime(host.path("releases", path), (0, 0))
    survey = host.survey(agent)
    assert [(row["id"], row["state"]) for row in survey["releases"]] == [(one.id, "good"), (two.id, "good")]
    assert survey["highest"] == 2


def test_every_row_of_the_journal_says_who_did_it(host: Host, listen: str) -> None:
    """Whoever holds the lock: at staging, flip, mark and removal, and also where the client just went away."""
    agent = host.connect()
    host.survey(agent)
    agent.ask("lock", owner="bob@desk", release=None, verb="deploy")
    one, two, three = blog(1), blog(2), blog(3)
    go_live(agent, one, None, listen)
    go_live(agent, two, one, listen)
    agent.ask("mark", release=one.id, state="left")
    agent.ask("unstage", release=one.id)
    stage_until(agent, three, "declare")
    agent.hang_up()
    rows = host.connect()
    host.survey(rows)
    written = rows.ask("history", limit=100)["rows"]
    assert {"begun", "staging", "staged", "flip", "flipped", "good", "left", "removed", "abandoned", "ended"} == {
        row["event"] for row in written
    }
    assert {(row["by"], row["change"]) for row in written} == {("bob@desk", 1)}
