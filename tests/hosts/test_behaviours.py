"""What every release must keep showing, each behaviour by its number: what other tools' users missed, and ours.

On real hosts, by the commands that users type. One lab serves all: each test begins with hosts that are ready, and on
which nothing was ever deployed.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import random
import subprocess
import time
import urllib.parse
from collections.abc import Iterator

import pytest
from crash.attempts import moments, one_of_each
from crash.fleets import over
from crash.machines import Machine
from crash.oracles import Visitors
from crash.running import Running
from crash.waiting import PARTS
from crash.worlds import light_project
from hosts import steps
from hosts.ground import (
    HOSTS,
    MANY,
    READ,
    ROOT,
    SCRAMBLE,
    Ground,
    Lines,
    error,
    everything,
    logins,
    refused,
    releases,
    stands,
    strange,
    until_in,
)
from verbs.project import SERVER

from lab.fleet import Lab

pytestmark = pytest.mark.lab
APPLIED = """
import sqlite3, sys
print(sqlite3.connect(sys.argv[1]).execute("SELECT step FROM moved ORDER BY rowid").fetchall())
"""


@pytest.fixture(scope="module")
def ground(lab: Lab, used: set[int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Five hosts, each made ready by `fab setup`."""
    for number in used.intersection(range(1, HOSTS + 1)):
        lab.reset(number)
    machines = [Machine(lab, host) for host in lab.up(HOSTS)]
    used.update(range(1, HOSTS + 1))
    project = light_project(tmp_path_factory.mktemp("behaviours"))
    try:
        ended = over(project, machines).fab("setup", "--admin", "root")
        assert ended.exit == 0, ended.words
        yield Ground(project, machines)
    finally:
        project.end()


def waits_for(part: str, behaviour: str) -> None:
    """Fails once `part` of tagship is here, and nothing shows the behaviour."""
    assert not PARTS[part](), f"{part} is here: show that {behaviour}"


def test_01_a_missing_linked_file_fails_before_any_change(ground: Ground) -> None:
    """A file that must be on the hosts already isn't on one of two: neither is touched."""
    world = ground.world(2, app={"shared": {"links": ["settings.local.py"]}})
    tag = ground.tag()
    one, two = ground.machines[:2]
    write = f"echo x >{ROOT}/shared/settings.local.py && chown deploy: {ROOT}/shared/settings.local.py"
    one.host.run("sh", "-c", write, user="root")
    before = [everything(machine) for machine in (one, two)]
    found = refused(world.fab("deploy", "--tag", tag))
    assert [everything(machine) for machine in (one, two)] == before
    assert found["where"] == "web2"
    assert "settings.local.py" in found["what"] + found["cure"]
    two.host.run("sh", "-c", write, user="root")
    world.converges(tag)


def test_02_so_many_releases_are_kept_and_foreign_folders_are_nobodys_business(ground: Ground) -> None:
    """`keep: 2` is the current one and two more; what isn't ours in releases/ stays, whatever it is called."""
    world = ground.world(1)
    (machine,) = ground.machines[:1]
    tags = ground.up(world, 2)
    foreign = ["notes", "0000-mine", "9999-later", "20261122101112"]
    make = f"cd {ROOT}/releases && mkdir {' '.join(foreign)} && touch 0000-mine/file 9999-later/file"
    machine.host.run("sh", "-c", make)
    tags += ground.up(world, 3)
    assert releases(machine) == sorted([*foreign, *(f"000{n}-{tag}" for n, tag in enumerate(tags, 1) if n > 2)])
    world.whole([tags[-1]])


def test_02_five_thousand_old_releases_are_pruned_at_once(ground: Ground) -> None:
    """No argument list overflows, and no deploy waits for ever: their number is only a number."""
    world = ground.world(1)
    (machine,) = ground.machines[:1]
    first = ground.up(world, 1)[0]
    machine.host.run("python3", "-c", MANY, f"0001-{first}", "5000", timeout=300)
    assert len(releases(machine)) == 5000
    last = ground.tag()
    world.converges(last)
    assert releases(machine) == [f"4999-{first}", f"5000-{first}", f"5001-{last}"]


def test_03_failed_releases_evict_no_good_one(ground: Ground) -> None:
    """After more failures than releases are kept, what is live and the good one before it are still there."""
    world = ground.world(1, keep=1)
    (machine,) = ground.machines[:1]
    good = ground.up(world, 2)
    for _ in range(4):
        assert world.fab("deploy", "--tag", ground.tag("exits")).exit == 4
    assert releases(machine) == [f"0001-{good[0]}", f"0002-{good[1]}"]
    assert stands(world) == {good[1]}
    world.must("rollback")
    world.whole([good[0]])


def test_04_a_rollback_goes_to_the_previous_one_or_to_one_that_is_named(ground: Ground) -> None:
    """With only one release it is refused, and nothing is changed."""
    world = ground.world(1, keep=5)
    (machine,) = ground.machines[:1]
    tags = ground.up(world, 1)
    before = everything(machine)
    refused(world.fab("rollback"))
    assert everything(machine) == before
    tags += ground.up(world, 2)
    for words, tag in (((), tags[1]), (("--to", tags[2]), tags[2]), (("--to", f"0001-{tags[0]}"), tags[0])):
        world.must("rollback", *words)
        world.whole([tag])
    refused(world.fab("rollback", "--to", "v0"))


def test_05_known_bad_releases_are_skipped_and_nothing_is_lost_on_the_way(ground: Ground) -> None:
    """What was rolled back from isn't gone to by itself again; going to the newest of all deletes nothing."""
    world = ground.world(1, keep=5)
    (machine,) = ground.machines[:1]
    tags = ground.up(world, 3)
    for tag in (tags[1], tags[0]):
        world.must("rollback")
        world.whole([tag])
    tags += ground.up(world, 1)
    world.must("rollback")
    world.whole([tags[0]])
    before = releases(machine)
    world.must("rollback", "--to", tags[3])
    world.whole([tags[3]])
    assert releases(machine) == before


def test_06_a_lock_names_its_owner_and_no_loser_frees_it(ground: Ground) -> None:
    """Who comes second hears who deploys what since when, changes nothing, and leaves the lock where it is."""
    world = ground.world(2)
    (first,) = ground.up(world, 1)
    second = ground.tag()
    machine, _ = ground.machines[:2]
    machine.host.run("touch", f"{ROOT}/hold")
    holder = Running(
        ("fab", "deploy", "--tag", second, "--stage", "lab"),
        ground.project.folder,
        {**ground.project.env, "TAGSHIP_OWNER": "ann@laptop"},
    )
    while (event := holder.next()) is not None and not (event["event"] == "step" and "prepare" in event["step"]):
        continue
    for words in (("deploy", "--tag", first), ("rollback",), ("stop",)):
        ended = world.fab(*words)
        assert ended.exit == 6, ended.words
        told = error(ended)["holder"]
        assert (told["owner"], told["verb"], told["release"]) == ("ann@laptop", "deploy", f"0002-{second}")
        since = dt.datetime.fromisoformat(told["since"].replace("Z", "+00:00"))
        assert abs(dt.datetime.now(dt.UTC) - since) < dt.timedelta(minutes=5)
        assert not machine.lock_is_free()
    machine.host.run("rm", f"{ROOT}/hold")
    assert holder.ended().exit == 0
    world.whole([second])


def test_07_a_broken_application_never_serves_and_its_log_is_shown(ground: Ground) -> None:
    """One that doesn't start and one that answers wrongly: the old one serves on every host, all the while."""
    world = ground.world(2)
    (good,) = ground.up(world, 1)
    with world.visited():
        for behaviour, said in (("exits", "no such table: visitors"), ("broken", "answering broken")):
            ended = world.fab("deploy", "--tag", ground.tag(behaviour))
            assert ended.exit == 4, ended.words
            assert any(said in line for line in error(ended)["tail"])
            world.whole([good])
            world.clean()


def test_08_two_stages_of_one_host_never_touch_each_other(ground: Ground) -> None:
    """Units, files and locks are each one's own; a root that is another's is refused."""
    world = ground.world(1)
    (machine,) = ground.machines[:1]
    beside = Machine(machine.lab, machine.host, "/srv/other")
    other = over(ground.project, [beside], stage="other", nginx={"listen": ["8080"]})
    other.hosts = [type(host)(host.name, host.root, f"{host.url}:8080", host.path) for host in other.hosts]
    assert other.fab("setup", "--admin", "root").exit == 0
    (first,) = ground.up(other, 1)
    before = everything(beside)
    with Visitors(other.hosts[0], every=0.01) as visitors:
        tags = ground.up(world, 2)
        world.must("rollback")
        world.must("stop")
        assert everything(beside) == before
        world.must("start")
    visitors.o6_none_failed()
    assert visitors.seen == {first}
    world.whole([tags[0]])
    other.only_current_runs()
    over(ground.project, [machine], stage="other")
    refused(other.fab("deploy", "--tag", first))
    assert everything(beside) == before


def test_09_deploys_and_rollbacks_leave_an_ordered_history(ground: Ground) -> None:
    """Who did what, in which order, and how it ended, whatever happened in between."""
    world = ground.world(1)
    one, two = ground.up(world, 2)
    bad = ground.tag("exits")
    world.fab("deploy", "--tag", bad)
    world.must("rollback")
    world.must("deploy", "--tag", two)
    rows = [event for event in world.must("history").events if event["event"] == "row"]
    told = [(row["verb"], row["to"], row["ended"]) for row in rows]
    assert told == [
        ("deploy", f"0001-{one}", "live"),
        ("deploy", f"0002-{two}", "live"),
        ("deploy", f"0003-{bad}", "restored"),
        ("rollback", f"0001-{one}", "live"),
        ("deploy", f"0004-{two}", "live"),
    ]
    assert all("@" in row["by"] for row in rows)


def test_10_a_second_identical_deploy_changes_nothing_and_says_so(ground: Ground) -> None:
    """Not a byte, not a time, not a process on any host."""
    world = ground.world(2)
    (tag,) = ground.up(world, 1)
    machines = ground.machines[:2]
    before = [everything(machine) for machine in machines]
    ended = world.must("deploy", "--tag", tag)
    assert ended.result is not None
    assert ended.result["outcome"] == "unchanged"
    assert [everything(machine) for machine in machines] == before


def test_11_a_folder_named_current_is_refused(ground: Ground) -> None:
    """It is somebody's, and stays as it is; nothing is staged beside it."""
    world = ground.world(1)
    (machine,) = ground.machines[:1]
    machine.host.run("sh", "-c", f"mkdir {ROOT}/current && echo mine >{ROOT}/current/file")
    before = everything(machine)
    found = refused(world.fab("deploy", "--tag", ground.tag()))
    assert "current" in found["what"]
    assert everything(machine) == before


def test_12_readers_never_see_a_missing_link(ground: Ground) -> None:
    """A thousand flips, by the agent itself, while somebody on the host reads through the link."""
    from tagship.app.project import open_project  # only this test speaks with an agent itself
    from tagship.ship import connecting

    world = ground.world(1)
    (machine,) = ground.machines[:1]
    one, two = (f"000{n}-{tag}" for n, tag in enumerate(ground.up(world, 2), 1))
    project = open_project(ground.project.folder)
    reader = subprocess.Popen(
        machine.host.ssh("python3", "-c", READ, user="root"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    stage, app = project.config.stage("lab"), project.config.app
    with connecting.connect("lab", stage, app, project.root) as fleet, world.visited(every=0.05):
        link = fleet.link("web1")
        link.call("lock", {"owner": "me@here", "release": one, "verb": "rollback"})
        link.call("start", {"release": one})
        for _ in range(500):
            link.call("flip", {"to": one, "from": two})
            link.call("flip", {"to": two, "from": one})
        link.call("halt", {"release": one, "drain": 3})
        link.call("unlock", {})
    said, _ = reader.communicate("\n", timeout=60)
    found = json.loads(said)
    assert found["failed"] == []
    assert found["seen"] == [one, two]
    assert found["reads"] > 1000


def test_13_the_death_of_either_side_is_nobodys_work(ground: Ground) -> None:
    """SIGKILL of the client or of the agent at each kind of step: the same tag goes on, another one starts afresh."""
    world = ground.world(1)
    (machine,) = ground.machines[:1]
    tags = ground.up(world, 2)
    each = one_of_each(moments("deploy", world.must("deploy", "--tag", tags[0])), "web1")
    assert len(each) > 8
    for number, moment in enumerate(each):
        (now,) = stands(world)
        other = tags[now == tags[0]]
        running = world.start("deploy", "--tag", other)
        running.until(moment.number)
        if number % 2:
            running.kill()
        else:
            machine.kill_agents()
        ended = running.ended()
        assert number % 2 or ended.exit in (0, 4), ended.words
        world.whole(tags)
        world.converges((other, now)[number // 2 % 2] or "")


def test_14_when_the_third_of_five_fails_all_end_on_one_version(ground: Ground) -> None:
    """At the first step of each phase its agent is killed: every host is back, and nobody noticed."""
    world = ground.world(5, rollout={"batch": "2"})
    old, new = ground.tag(), ground.tag()
    world.must("deploy", "--tag", old)
    third, last = ground.machines[2], ground.machines[4]
    phases = ("stage", "start", "flip", "drain", "commit")
    with world.visited(every=0.05):
        for phase in phases:
            running = world.start("deploy", "--tag", new)
            if phase == "commit":  # a matter of a millisecond: without this all might be done before it is killed
                until_in(running, "drain", "web5")
                last.hold_agents()
                until_in(running, "drain", "web3", "done")
                third.hold_agents()
                last.let_agents_go()
            until_in(running, phase, "web3")
            third.kill_agents()
            ended = running.ended()
            assert ended.exit == 4, (phase, ended.words)
            world.whole([old])
            assert world.one_version(list(world.machines)) == f"0001-{old}"
            assert ended.result is not None
            assert [host["release"] for host in ended.result["hosts"]] == [f"0001-{old}"] * HOSTS
        world.converges(new)


def test_15_of_two_deploys_at_once_one_wins(ground: Ground) -> None:
    """The other is told who did, and has touched nothing: the fleet ends on the winner's release, whole."""
    world = ground.world(2)
    tags = [ground.tag(), ground.tag()]
    for machine in ground.machines[:2]:
        machine.host.run("touch", f"{ROOT}/hold")
    racers = {tag: world.start("deploy", "--tag", tag) for tag in tags}
    while all(racer.process.poll() is None for racer in racers.values()):
        time.sleep(0.05)
    (loser,) = [tag for tag in tags if racers[tag].process.poll() is not None]
    for machine in ground.machines[:2]:
        machine.host.run("rm", f"{ROOT}/hold")
    (winner,) = [tag for tag in tags if tag != loser]
    lost = racers[loser].ended()
    assert lost.exit == 6, lost.words
    assert error(lost)["holder"]["release"] == f"0001-{winner}"
    won = racers[winner].ended()
    assert won.exit == 0, won.words
    world.whole([winner])
    world.clean()


def test_16_a_down_that_fails_halfway_stops_and_says_where_the_schema_stands(ground: Ground) -> None:
    """The old release serves on both hosts; it is told what is reversed and what isn't, and how to go on."""
    world = ground.world(2, app=steps.APP)
    old, new = ground.tag(**steps.files("one")), ground.tag(**steps.files("one", "two", "three"))
    for tag in (old, new):
        world.must("deploy", "--tag", tag)
    first = ground.machines[0]
    data = f"{ROOT}/shared/data"
    applied = ("python3", "-c", APPLIED, f"{data}/steps.db")
    first.host.run("sh", "-c", f"echo two >{data}/stuck", user="root")
    ended = world.fab("rollback")
    assert ended.exit == 5, ended.words
    assert "two can't go down" in "\n".join(error(ended)["tail"])
    assert ended.result is not None
    schema = ended.result["schema"]
    assert (schema["state"], schema["reversed"]) == ("ahead", [["main", "three"]])
    assert first.host.run(*applied, user="root").stdout.strip() == "[('one',), ('two',)]"
    world.whole([old])
    said = [event["text"] for event in world.fab("status").events if event["event"] == "note"]
    assert any("main/two stays up" in text for text in said), said
    first.host.run("rm", f"{data}/stuck", user="root")
    world.must("rollback", "--to", f"0001-{old}")
    assert f"fab rollback --stage lab --to 0001-{old}" in error(ended)["cure"]
    assert first.host.run(*applied, user="root").stdout.strip() == "[('one',)]"
    world.whole([old])
    world.clean()


def test_17_scrambled_times_change_nothing(ground: Ground) -> None:
    """Files' times, and what records and journal tell of clocks, years off: order is serial and journal."""
    world = ground.world(1)
    (machine,) = ground.machines[:1]
    tags = ground.up(world, 3)
    machine.host.run("python3", "-c", SCRAMBLE, str(random.Random(17).random()))
    world.must("rollback")
    world.whole([tags[1]])
    tags += ground.up(world, 2)
    assert releases(machine) == [f"0002-{tags[1]}", f"0004-{tags[3]}", f"0005-{tags[4]}"]  # 0003 is known to be bad
    world.must("rollback")
    world.whole([tags[3]])
    assert world.fab("verify").exit == 0


def test_18_a_changed_host_key_and_a_moved_tag_are_refused_before_anything_is_sent(ground: Ground) -> None:
    """sshd has nothing to tell: nobody came, or whoever came went before saying who they are."""
    world = ground.world(1)
    (machine,) = ground.machines[:1]
    (tag,) = ground.up(world, 1)
    before, came = everything(machine), logins(machine)
    path = ground.project.folder / "known"
    path.write_text(machine.host.known_hosts.read_text().replace(machine.host.known_key, strange(machine, path)))
    settings = (ground.project.folder / "tagship.yml").read_text()
    ground.project.write({"tagship.yml": settings.replace(str(machine.host.known_hosts), str(path))})
    found = refused(world.fab("deploy", "--tag", tag))
    assert "key has changed" in found["what"]
    ground.project.write({"tagship.yml": settings})
    ground.project.git("tag", "--force", "--annotate", tag, "--message", "moved", "HEAD~1")
    found = refused(world.fab("deploy", "--tag", tag))
    assert "moved" in found["what"]
    assert logins(machine) == came
    assert everything(machine) == before


def test_18_waits_for_signed_tags() -> None:
    """An unsigned tag, where signatures are required, is refused before anything is sent."""
    waits_for("signed tags", "an unsigned tag is refused where signatures are required")


def test_19_a_new_empty_host_joins_by_the_next_deploy(ground: Ground) -> None:
    """Of the same tag: both hosts end on one release, and the one that serves already never stops."""
    world = ground.world(2)
    alone = over(ground.project, ground.machines[:1])
    (tag,) = ground.up(alone, 1)
    over(ground.project, ground.machines[:2])
    with world.visited("web1"):
        world.converges(tag)
    world.must("deploy", "--tag", tag)
    assert world.one_version(["web1", "web2"]) == "0002-" + tag


SECRET = "s3ntinel/+% of=ours"
FORMS = (SECRET, base64.b64encode(SECRET.encode()).decode(), urllib.parse.quote(SECRET, safe=""))
TELLS = "import os; print('it is', os.environ['SECRET'], flush=True); raise SystemExit(os.environ['SECRET'])\n"


def test_20_a_secret_is_nowhere_to_be_seen(ground: Ground) -> None:
    """A command and the application itself say it aloud: no output, log, journal or process list of ours holds it."""
    world = ground.world(1, app={"env": ".env"})
    (machine,) = ground.machines[:1]
    write = f"cd {ROOT}/shared && umask 077 && cat >.env && chgrp blog-lab .env && chmod 640 .env"
    machine.host.run("sh", "-c", write, stdin=f"SECRET='{SECRET}'\n")
    (good,) = ground.up(world, 1)
    with Lines(machine) as lines:
        said = [world.fab("deploy", "--tag", ground.tag(**{"hold.py": TELLS}))]
        said += [world.fab("deploy", "--tag", ground.tag(**{"hold.py": "", "serve.py": TELLS}))]
    assert [ended.exit for ended in said] == [4, 4]
    assert all("it is •••" in str(error(ended)["tail"]) for ended in said)
    plain = ground.project.run("fab", "logs", "--stage", "lab", "--lines", "200")
    told = "\n".join([*(json.dumps(ended.events) + ended.stderr for ended in said), plain.said, *lines.seen])
    files = [path for path in machine.disk.rglob("*") if path.is_file() and path != machine.disk / "shared/.env"]
    told += "\n".join(path.read_bytes().decode(errors="replace") for path in files)
    assert [form for form in FORMS if form in told] == []
    assert len(lines.seen) > 10
    assert stands(world) == {good}


GIVE_WAY = """
def give_way():
    import os
    own = sys.argv[1]
    os.symlink("../0001/web.sock", own + ".old")
    os.rename(own + ".old", own)
"""
ANSWERED = "        self.wfile.write(VERSION)\n"
GIVES_WAY = SERVER.replace("class Handler", f"{GIVE_WAY}\n\nclass Handler", 1).replace(
    ANSWERED, f"{ANSWERED}        give_way()\n"
)


def test_21_an_old_process_that_answers_after_the_flip_fails_the_deploy(ground: Ground) -> None:
    """The new one answered its own probe, then handed its socket to the old one: found out, and put back."""
    world = ground.world(1)
    (old,) = ground.up(world, 1)
    new = ground.tag(**{"serve.py": GIVES_WAY.replace("Server(sys", "__import__('os').umask(0)\nServer(sys")})
    with world.visited():
        ended = world.fab("deploy", "--tag", new)
    assert ended.exit == 4, ended.words
    assert f"0001-{old}" in error(ended)["what"] + str(error(ended)["tail"])
    flipped = [event for event in ended.events if event["event"] == "step" and event["step"].startswith("flip")]
    assert [event["state"] for event in flipped] == ["begin", "done", "undo", "undone"]
    world.whole([old])
    world.clean()
