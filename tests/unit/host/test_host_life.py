"""A release's whole life on one host, and a second one's after it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import socket
import stat
import sys
import threading
import urllib.request
from pathlib import Path

import pytest
from unit.host.client import PROBE, STAGING, AgentError, Host, Release, blog, go_live, names, stage_until, tree, until


def get(listen: str, path: str = "/") -> tuple[str, str | None]:
    with urllib.request.urlopen(f"http://{listen}{path}", timeout=20) as answer:
        return answer.read().decode(), answer.headers["Tagship-Release"]


@pytest.mark.parametrize("python", [sys.executable, "/usr/bin/python3"])
def test_a_release_goes_live_a_second_follows_and_the_first_comes_back(host: Host, listen: str, python: str) -> None:
    """Declare to mark, flip with traffic following, down again: the journal tells it in order."""
    if not Path(python).exists():
        pytest.skip(f"there is no {python}")
    host.python = python
    agent = host.locked()
    one, two = blog(1), blog(2)
    go_live(agent, one, None, listen)
    assert get(listen) == (one.id, one.id)
    go_live(agent, two, one, listen)
    assert get(listen) == (two.id, two.id)
    survey = host.survey(agent)
    assert (survey["current"], survey["serving"], survey["highest"]) == (two.id, two.id, 2)
    assert [row["pid"] is not None for row in survey["releases"]] == [False, True]

    agent.ask("start", release=one.id)
    agent.ask("flip", to=one.id, **{"from": two.id})
    agent.ask("probe", release=one.id, front=listen)
    assert agent.ask("halt", release=two.id, drain=10)["cut"] is False
    agent.ask("mark", release=two.id, state="left")
    assert get(listen) == (one.id, one.id)
    states = {row["id"]: row["state"] for row in host.survey(agent)["releases"]}
    assert states == {one.id: "good", two.id: "left"}
    agent.ask("unlock")
    events = ["staging", "staged", "flip", "flipped", "good"]
    assert host.journal() == [
        *((event, one.id) for event in events),
        *((event, two.id) for event in events),
        ("flip", one.id),
        ("flipped", one.id),
        ("left", two.id),
    ]
    assert [row["event"] for row in agent.ask("history", limit=2)["rows"]] == ["left", "ended"]
    agent.hang_up()
    assert get(listen) == (one.id, one.id)
    assert agent.errors() == ""


def test_the_tree_is_what_was_declared_read_only_and_shared_between_releases(host: Host) -> None:
    """Hard links of one inode, 0444 or 0555, mtime from the digest; folders 0755; links as they were; no more."""
    agent = host.locked()
    files = {"app/run.sh": b"#!/bin/sh\n", "app/deep/er/same.txt": b"same", "app/empty": b""}
    links = {"app/deep/up": "../run.sh", "public/latest": "index.html"}
    one = blog(1, files=files, executable=["app/run.sh"], links=links)
    two = blog(2, files=files, executable=["app/run.sh"], links=links)
    stage_until(agent, one, "tree")
    first = host.path("releases", one.id)
    assert {path for path in tree(first) if path.startswith(("app", "public"))} == {
        *("app", "app/deep", "app/deep/er", "public", "public/assets"),
        *(row[0] for row in one.rows),
    }
    for verb in STAGING[3:]:
        agent.ask(verb, release=one.id)
    stage_until(agent, two, base=one)
    second = host.path("releases", two.id)
    same = (first / "app/deep/er/same.txt").stat()
    assert same.st_ino == (second / "app/deep/er/same.txt").stat().st_ino
    assert stat.S_IMODE(same.st_mode) == 0o444
    assert stat.S_IMODE((first / "app/run.sh").stat().st_mode) == 0o555
    assert stat.S_IMODE((first / "app/deep").stat().st_mode) == 0o755
    assert (first / "app/deep/up").readlink() == Path("../run.sh")
    times = {(first / row[0]).stat().st_mtime for row in one.rows if row[1] != "l"}
    assert len(times) == len({row[2] for row in one.rows if row[1] != "l"})
    assert all(946_684_800 <= time < 1_577_836_800 for time in times)  # between 2000 and 2020


def test_only_what_is_missing_is_asked_for(host: Host) -> None:
    """A second release with one changed file asks for that file's object; put again, for none."""
    agent = host.locked()
    one = Release(1, "v1", {"app/a": b"a", "app/b": b"b"})
    two = Release(2, "v2", {"app/a": b"a", "app/b": b"changed", "app/c": b"a"})
    stage_until(agent, one)
    answer = agent.ask("declare", **two.declaration(one))
    changed = next(row[2] for row in two.rows if row[0] == "app/b")
    assert answer == {"missing": [[changed, 7]], "tampered": []}
    stored = agent.ask("manifest", release=two.id)
    assert stored == {"rows": two.rows, "manifest": two.manifest}


def test_what_is_shared_is_linked_and_outlives_releases(host: Host) -> None:
    """Folders are made on the host, files must be there; both are links in the tree, and survive its removal."""
    host.path("shared").mkdir(parents=True)
    host.path("shared", "local.conf").write_text("mine")
    shared = {"dirs": ["media/photos"], "links": ["conf/local.conf"], "served": []}
    agent = host.connect()
    host.path("shared", "conf").mkdir()
    assert host.survey(agent, links=["conf/local.conf"])["missing"] == ["conf/local.conf"]
    host.path("shared", "local.conf").rename(host.path("shared", "conf", "local.conf"))
    assert host.survey(agent, links=["conf/local.conf"])["missing"] == []
    agent.ask("lock", owner="ann", release=None, verb="deploy")
    one = blog(1, shared=shared)
    stage_until(agent, one)
    app = host.path("releases", one.id, "app")
    (app / "media/photos/cat.jpg").write_bytes(b"cat")
    assert (app / "conf/local.conf").read_text() == "mine"
    assert agent.ask("verify", release=one.id)["drift"] == []
    agent.ask("unstage", release=one.id)
    assert host.path("shared", "media/photos/cat.jpg").read_bytes() == b"cat"
    assert host.path("shared", "conf/local.conf").read_text() == "mine"


def test_the_env_file_reaches_service_and_commands_and_its_values_no_error(host: Host, listen: str) -> None:
    """Read anew at each start, by the script and by commands alike; what they print comes back masked."""
    env = host.path("shared", "site.env")
    env.parent.mkdir(parents=True)
    tricky = "s3cret'$(touch /nope)\" `x` \\ # end"
    env.write_text(f"# comment\n\nSECRET={tricky}\nQUOTED=\" in 'quotes' \"\nSHORT=ab")
    env.chmod(0o600)
    agent = host.locked()
    one = blog(1, env="site.env")
    go_live(agent, one, None, listen)
    assert get(listen, "/env/SECRET")[0] == tricky
    assert get(listen, "/env/QUOTED")[0] == " in 'quotes' "
    assert get(listen, "/env/SHORT")[0] == "ab"
    quoted = "import os; assert os.environ['QUOTED'] == ' in \\'quotes\\' '"
    agent.ask("command", release=one.id, argv=["python", "-c", quoted], title="smoke")
    code = "import os, sys; print(os.environ['SECRET'], os.environ['QUOTED'], os.environ['SHORT']); sys.exit(3)"
    with pytest.raises(AgentError) as failed:
        agent.ask("command", release=one.id, argv=["python", "-c", code], title="smoke")
    assert failed.value.kind == "failed"
    assert failed.value.what == "smoke failed: exit status 3"
    assert failed.value.tail == ["••• ••• ab"]
    assert "s3cret" not in host.path("releases", one.id, "start").read_text()
    agent.ask("halt", release=one.id, drain=0)
    env.write_text("SECRET=changed\n")
    agent.ask("start", release=one.id)
    assert get(listen, "/env/SECRET")[0] == "changed"


def test_an_env_file_that_others_can_read_is_refused_by_survey_and_furnish(host: Host) -> None:
    """0600 or stricter, a regular file, ours; the survey says which it is not."""
    env = host.path("shared", ".env")
    env.parent.mkdir(parents=True)
    agent = host.connect()
    assert host.survey(agent, env=".env")["env"] == "missing"
    env.write_text("A=b\n")
    env.chmod(0o644)
    assert host.survey(agent, env=".env")["env"] == "mode 0644"
    agent.ask("lock", owner="ann", release=None, verb="deploy")
    one = blog(1, env=".env")
    stage_until(agent, one, "venv")
    with pytest.raises(AgentError, match="mode 0644"):
        agent.ask("furnish", release=one.id)
    env.chmod(0o400)
    assert host.survey(agent, env=".env")["env"] == "ok"
    agent.ask("furnish", release=one.id)
    env.chmod(0o600)
    env.write_text("A=b\n not a line with s3cret\n")
    with pytest.raises(AgentError) as failed:
        agent.ask("furnish", release=one.id)
    assert ".env:2 is not NAME=value" in failed.value.what
    assert "s3cret" not in str(failed.value)


def test_commands_run_in_the_release_before_it_is_public(host: Host) -> None:
    """In app/, with the release's environment and virtualenv; what they make is sealed with it."""
    agent = host.locked()
    one = blog(1)
    stage_until(agent, one, "furnish")
    code = "import os, sys; open('made.txt', 'w').write(' '.join([os.environ['TAGSHIP_RELEASE'], sys.prefix]))"
    assert agent.ask("command", release=one.id, argv=["python", "-c", code], title="prepare")["seconds"] > 0
    agent.ask("seal", release=one.id)
    made = host.path("releases", one.id, "app/made.txt")
    assert made.read_text() == f"{one.id} {host.path('releases', one.id, 'venv')}"
    assert agent.ask("verify", release=one.id)["drift"] == []
    made.write_text("other")
    assert ["app/made.txt", "changed"] in agent.ask("verify", release=one.id)["drift"]


def test_a_command_that_changes_the_tag_s_files_is_caught_at_the_seal(host: Host) -> None:
    """Objects are shared between releases, so nothing may write through them."""
    agent = host.locked()
    one = blog(1)
    stage_until(agent, one, "furnish")
    code = "import os; os.chmod('text.txt', 0o644); open('text.txt', 'a').write('!'); os.chmod('text.txt', 0o444)"
    agent.ask("command", release=one.id, argv=["python", "-c", code], title="prepare")
    with pytest.raises(AgentError, match=r"app/text\.txt isn't as it was tagged: changed") as tampered:
        agent.ask("seal", release=one.id)
    assert tampered.value.kind == "tampered"
    agent.ask("unstage", release=one.id)
    assert host.journal() == [("staging", one.id), ("removed", one.id)]


def test_verify_names_every_difference(host: Host, listen: str) -> None:
    """Nothing for a release as it was sealed; a row for each thing that is not."""
    agent = host.locked()
    one = blog(1, links={"app/link": "text.txt"})
    go_live(agent, one, None, listen)
    assert agent.ask("verify", release=one.id)["drift"] == []
    folder = host.path("releases", one.id)
    (folder / "app/extra.py").write_text("evil()")
    (folder / "app/text.txt").unlink()
    (folder / "app/link").unlink()
    (folder / "app/link").symlink_to("/etc/passwd")
    (folder / "app/server.py").chmod(0o666)
    (folder / "start").chmod(0o755)
    (folder / "start").write_text("#!/bin/sh\n")
    assert sorted(agent.ask("verify", release=one.id)["drift"]) == [
        ["app/extra.py", "not in the release"],
        ["app/link", "points to /etc/passwd"],
        ["app/server.py", "mode 0666"],
        ["app/text.txt", "missing"],
        ["start", "changed"],
    ]
    agent.ask("halt", release=one.id, drain=0)
    assert ["current/run/web.sock", "answered by nobody"] in agent.ask("audit", front=None)["drift"]


def test_prune_keeps_current_the_last_good_ones_and_whatever_lives(host: Host) -> None:
    """Order comes from serials; what failed goes, objects that nobody uses go, foreign folders stay."""
    agent = host.locked()
    releases = [blog(serial, files={"app/same": b"same"}) for serial in range(1, 7)]
    previous = None
    for release in releases[:5]:
        if release is releases[2]:  # it never becomes good
            stage_until(agent, release)
            agent.ask("start", release=release.id)
            continue
        go_live(agent, release, previous)
        previous = release
    host.path("releases", "mine").mkdir()
    host.path("releases", "0001-not-ours").mkdir()
    os.utime(host.path("releases", releases[0].id), (4e9, 4e9))
    one, two, three, four, five, six = releases
    assert agent.ask("prune", keep=1)["removed"] == [one.id, two.id]
    agent.ask("halt", release=three.id, drain=0)
    stage_until(agent, six, base=five)
    assert agent.ask("prune", keep=1)["removed"] == [three.id, six.id]
    assert names(host.path("releases")) == {"mine", "0001-not-ours", four.id, five.id}
    used = {key for release in (four, five) for key in release.contents}
    assert names(host.path("objects")) == used
    assert names(host.path("assets")) == {"site.4.css", "site.5.css"}
    assert agent.ask("prune", keep=1)["removed"] == []
    assert host.survey(agent)["highest"] == 6


def test_prune_keeps_what_was_left_last_for_the_pages_that_were_loaded_from_it(host: Host) -> None:
    """A page of a release that was rolled back from still finds its assets while the next one goes live."""
    agent = host.locked()
    one, two, three, four = (blog(serial) for serial in range(1, 5))
    go_live(agent, one, None)
    for other in (two, three):
        go_live(agent, other, one)
        assert other.id not in agent.ask("prune", keep=1)["removed"]
        agent.ask("start", release=one.id)
        agent.ask("flip", to=one.id, **{"from": other.id})
        agent.ask("halt", release=other.id, drain=0)
        agent.ask("mark", release=other.id, state="left")
        assert names(host.path("assets")) >= {"site.1.css", f"site.{other.record['serial']}.css"}
    go_live(agent, four, one)
    assert agent.ask("prune", keep=1)["removed"] == [two.id]
    assert names(host.path("assets")) == {"site.1.css", "site.3.css", "site.4.css"}


def test_assets_hold_those_of_all_releases_and_take_back_what_a_removed_one_replaced(host: Host) -> None:
    """A page loaded before a flip finds its own; without fingerprints the newest release's content is there."""
    agent = host.locked()
    one = blog(1, files={"public/assets/deep/logo.svg": b"one"})
    two = blog(2, files={"public/assets/deep/logo.svg": b"two"})
    stage_until(agent, one)
    stage_until(agent, two, base=one)
    assets = host.path("assets")
    assert set(tree(assets)) == {"deep", "deep/logo.svg", "site.1.css", "site.2.css"}
    assert (assets / "deep/logo.svg").read_bytes() == b"two"
    agent.ask("unstage", release=two.id)
    assert (assets / "deep/logo.svg").read_bytes() == b"one"
    agent.ask("unstage", release=one.id)
    assert list(tree(assets)) == []


def test_assets_that_a_command_made_stay_as_long_as_their_release(host: Host) -> None:
    """A page loaded before a flip finds them too; they are copies, which who wrote the first can't change."""
    agent = host.locked()
    for release, base in ((one := blog(1), None), (two := blog(2), one)):
        stage_until(agent, release, "furnish", base=base)
        text = f"import os; os.makedirs('a', exist_ok=True); open('a/style.{release.id[:4]}.css', 'w').write('x')"
        code = f"import os; os.chdir('../public/assets'); {text}"
        agent.ask("command", release=release.id, argv=["python", "-c", code], title="prepare")
        agent.ask("seal", release=release.id)
    assets = host.path("assets")
    mine = {"a/style.0001.css", "a/style.0002.css"}
    assert {name for name in tree(assets) if name.startswith("a/")} == mine
    made = host.path("releases", one.id, "public/assets/a/style.0001.css")
    made.write_text("other")
    assert (assets / "a/style.0001.css").read_text() == "x"
    agent.ask("unstage", release=one.id)
    assert {name for name in tree(assets) if name.startswith("a/")} == {"a/style.0002.css"}
    assert names(host.path("objects")) == {*two.contents, hashlib.sha256(b"x").hexdigest()}
    agent.ask("unstage", release=two.id)
    assert names(host.path("objects")) == set()
    assert list(tree(assets)) == []


def test_a_service_that_fails_says_why(host: Host) -> None:
    """An end before the first good answer, and answers that aren't good, come back with the log's last lines."""
    agent = host.locked()
    broken = blog(1, start=["python", "-c", "import sys; print('no database'); sys.exit(1)"])
    stage_until(agent, broken)
    with pytest.raises(AgentError, match="ended before it answered") as failed:
        agent.ask("start", release=broken.id)
    assert failed.value.tail == ["no database"]
    agent.ask("halt", release=broken.id, drain=0)
    wrong = blog(2, probe={**PROBE, "path": "/status/500", "timeout": 1})
    stage_until(agent, wrong)
    with pytest.raises(AgentError, match="GET /status/500 answered 500, not 200") as failed:
        agent.ask("start", release=wrong.id)
    assert "served /status/500" in failed.value.tail
    agent.ask("halt", release=wrong.id, drain=0)
    assert host.survey(agent)["releases"][1]["pid"] is None
    missing = blog(3, start=["no-such-program"])
    stage_until(agent, missing)
    with pytest.raises(AgentError, match="ended before it answered") as failed:
        agent.ask("start", release=missing.id)
    assert "no-such-program" in failed.value.tail[-1]


def test_answers_of_another_release_s_process_prove_nothing(host: Host) -> None:
    """A release is well when its own process answers, not when somebody does on its socket."""
    agent = host.locked()
    one = blog(1)
    go_live(agent, one, None)
    other = host.path("run", "0001", "web.sock")
    two = blog(
        2, start=["sh", "-c", f'ln -s {other} "$TAGSHIP_SOCKET"; exec sleep 600'], probe={**PROBE, "timeout": 1}
    )
    stage_until(agent, two)
    with pytest.raises(AgentError, match=f"the process behind its socket is of {one.id}"):
        agent.ask("start", release=two.id)


def test_flip_refuses_what_it_was_not_planned_for(host: Host) -> None:
    """Another `from`, a release that isn't staged, a `current` that isn't our link: nothing changes."""
    agent = host.locked()
    one, two = blog(1), blog(2)
    stage_until(agent, one)
    stage_until(agent, two, "furnish", base=one)
    for to, origin, what in ((one.id, two.id, "is missing, not"), (two.id, None, "isn't staged")):
        with pytest.raises(AgentError, match=what) as refused:
            agent.ask("flip", to=to, **{"from": origin})
        assert refused.value.kind == "refused"
    assert not host.path("current").exists()
    agent.ask("flip", to=one.id, **{"from": None})
    agent.ask("flip", to=one.id, **{"from": None})
    with pytest.raises(AgentError, match="is current"):
        agent.ask("unstage", release=one.id)
    agent.ask("flip", to=None, **{"from": one.id})
    agent.ask("flip", to=None, **{"from": one.id})
    host.path("current").mkdir()
    with pytest.raises(AgentError, match="not a link that tagship made"):
        agent.ask("flip", to=one.id, **{"from": None})
    assert host.survey(agent)["current_kind"] == "directory"
    host.path("current").rmdir()
    host.path("current").symlink_to("/etc")
    with pytest.raises(AgentError, match="not a link that tagship made"):
        agent.ask("flip", to=one.id, **{"from": None})
    assert host.survey(agent)["current_kind"] == "foreign"
    assert host.journal()[-1] == ("flipped", None)


def test_a_reader_never_finds_current_missing_between_flips(host: Host) -> None:
    """One rename, whatever it replaces: two hundred flips, and a reader that looks all the while."""
    agent = host.locked()
    one, two = blog(1), blog(2)
    stage_until(agent, one)
    stage_until(agent, two, base=one)
    agent.ask("flip", to=one.id, **{"from": None})
    done = threading.Event()
    seen: set[str] = set()

    def look() -> None:
        while not done.is_set():
            try:
                seen.add(os.readlink(host.path("current")))  # noqa: PTH115
            except OSError as error:
                seen.add(str(error))

    reader = threading.Thread(target=look)
    reader.start()
    old, new = one.id, two.id
    for _ in range(200):
        agent.ask("flip", to=new, **{"from": old})
        old, new = new, old
    done.set()
    reader.join()
    assert seen == {f"releases/{one.id}", f"releases/{two.id}"}


def test_a_serial_is_given_once_even_where_its_release_failed(host: Host) -> None:
    """The journal remembers the highest; a lower or equal one is refused before anything changes."""
    agent = host.locked()
    stage_until(agent, blog(5), "declare")
    agent.ask("unstage", release="0005-v5")
    for serial in (4, 5):
        with pytest.raises(AgentError, match="was given before"):
            agent.ask("declare", **blog(serial).declaration())
    assert host.survey(agent)["highest"] == 5
    assert host.journal() == [("staging", "0005-v5"), ("removed", "0005-v5")]


def test_verbs_that_change_need_the_lock_and_all_need_a_survey(host: Host) -> None:
    """A question that the contract doesn't allow is `usage`, and answered; the session goes on."""
    agent = host.connect()
    for verb in (*STAGING[2:], "lock", "history"):
        with pytest.raises(AgentError) as early:
            agent.ask(verb, release="0001-v1")
        assert early.value.kind == "usage"
    host.survey(agent)
    for verb in ("declare", "tree", "start", "flip", "prune", "unstage", "halt", "front", "mark"):
        with pytest.raises(AgentError, match="needs the lock"):
            agent.ask(verb, release="0001-v1")
    with pytest.raises(AgentError, match="no verb `format`"):
        agent.ask("format")
    with pytest.raises(AgentError, match="not a release id"):
        agent.ask("manifest", release="../../etc")
    assert not host.root.exists()
    assert agent.ask("history", limit=5) == {"rows": []}


def test_a_survey_tells_what_the_interpreter_is(host: Host) -> None:
    """Markers and ABI agree with that interpreter's own words; one that isn't there is null, not an error."""
    agent = host.connect()
    found = host.survey(agent, python=sys.executable)["python"]
    assert found["executable"] == sys.executable
    assert found["markers"]["python_full_version"] == ".".join(map(str, sys.version_info[:3]))
    assert found["markers"]["platform_machine"] == os.uname().machine
    assert found["bits"] == 64
    assert host.survey(agent, python="python9.9")["python"] is None
    host.python = sys.executable
    other = host.survey(agent, python="/usr/bin/python3")["python"] if Path("/usr/bin/python3").exists() else found
    assert other["soabi"].startswith("cpython-")
    assert other["libc"] == found["libc"]
    assert json.dumps(other)


def test_a_service_that_is_running_is_only_probed(host: Host) -> None:
    """`start` again gives the same process; one whose note was lost is found by its environment."""
    agent = host.locked()
    one = blog(1, probe={**PROBE, "passes": 3})
    stage_until(agent, one)
    pid = agent.ask("start", release=one.id)["pid"]
    assert agent.ask("start", release=one.id)["pid"] == pid
    note = host.path("run", "0001", "pid.json")
    note.unlink()
    assert agent.ask("start", release=one.id)["pid"] == pid
    agent.ask("halt", release=one.id, drain=5)
    until(lambda: not Path(f"/proc/{pid}/exe").exists())
    assert agent.ask("halt", release=one.id, drain=5) == {
        "seconds": pytest.approx(0, abs=60),
        "cut": False,
        "killed": False,
    }


@pytest.mark.parametrize("depth", [0, 90])
def test_another_home_sees_the_same_service(host: Host, listen: str, depth: int) -> None:
    """Where the socket lies follows from the release: a second HOME neither misses the service nor doubles it."""
    if depth:
        host.root = host.root / ("r" * depth)
    agent = host.locked()
    one = blog(1)
    go_live(agent, one, None, listen)
    agent.hang_up()
    host.home = host.home / "other"
    host.home.mkdir()
    seen = host.look()
    assert seen["serving"] == one.id
    again = host.locked()
    pid = again.ask("start", release=one.id)["pid"]
    assert pid == seen["releases"][0]["pid"]


def test_a_root_with_a_short_path_keeps_its_sockets_to_itself(host: Host) -> None:
    """Emptying a cache, or a home, takes nothing down."""
    agent = host.locked()
    one = blog(1)
    stage_until(agent, one)
    assert host.path("releases", one.id, "run").readlink() == host.path("run", "0001")
    assert list(tree(host.home)) == []


@pytest.mark.parametrize(
    ("spelling", "told"),
    [
        ("s", "•••"),
        ("repr(s)", "'•••'"),
        ("urllib.parse.quote(s, safe='')", "•••"),
        ("re.sub('%..', lambda m: m[0].lower(), urllib.parse.quote_plus(s))", "•••"),
        ("'postgres://app:' + urllib.parse.quote(s) + '@db/app'", "postgres://app:•••@db/app"),
        ("base64.b64encode(s.encode()).decode()", "•••.="),
        ("base64.b64encode(b'u:' + s.encode()).decode()", "dT.•••.=="),
        ("base64.urlsafe_b64encode(b'user:' + s.encode() + b':end').decode()", "dXNlcj.•••.{6}="),
        ("base64.encodebytes(b'x' * 50 + s.encode()).decode().strip()", "(eHh4){16}eH.•••\n.=="),
    ],
)
def test_a_secret_is_masked_in_whatever_spelling_a_command_prints_it(host: Host, spelling: str, told: str) -> None:
    """Raw, URL-encoded, in base64 at any offset and folded over lines; at most a partial character is left."""
    env = host.path("shared", "site.env")
    env.parent.mkdir(parents=True)
    env.write_text("SECRET=Zq~7/kÜ+w=?Yx>83\n")
    env.chmod(0o600)
    agent = host.locked()
    one = blog(1, env="site.env")
    stage_until(agent, one, "furnish")
    code = f"import base64, os, re, urllib.parse; s = os.environ['SECRET']; raise SystemExit('got ' + {spelling})"
    with pytest.raises(AgentError) as failed:
        agent.ask("command", release=one.id, argv=["python", "-c", code], title="smoke")
    assert re.fullmatch(f"got {told}", "\n".join(failed.value.tail))


def test_a_survey_asks_what_is_current_whether_it_is_well(host: Host) -> None:
    """A process that is stopped still has its connections taken by the kernel: it serves, and isn't well."""
    agent = host.locked()
    one = blog(1)
    go_live(agent, one, None)
    survey = host.survey(agent)
    assert (survey["serving"], survey["well"], survey["fault"]) == (one.id, True, "")
    pid = survey["releases"][0]["pid"]
    os.kill(pid, signal.SIGSTOP)
    survey = host.survey(agent)
    assert (survey["serving"], survey["well"]) == (one.id, False)
    assert survey["fault"] == "GET / had no answer within 2 s"
    assert ["current/run/web.sock", survey["fault"]] in agent.ask("audit", front=None)["drift"]
    assert agent.ask("halt", release=one.id, drain=0)["killed"] is False, "a stopped process hears of SIGTERM too"
    survey = host.survey(agent)
    assert (survey["serving"], survey["well"], survey["fault"]) == (None, False, "")


def test_a_survey_asks_as_the_current_releases_own_record_says(host: Host) -> None:
    """Proven by the record it had then, and by the one it has now it answers wrongly."""
    agent = host.locked()
    one = blog(1, probe={**PROBE, "path": "/status/404", "status": 404})
    go_live(agent, one, None)
    assert host.survey(agent)["well"] is True
    declared = host.path("releases", one.id, "manifest.json")
    record = json.loads(declared.read_text())
    record["record"]["settings"]["probe"]["status"] = 200
    declared.chmod(0o644)
    declared.write_text(json.dumps(record))
    assert host.survey(agent)["fault"] == "GET /status/404 answered 404, not 200"
    record["rows"] = []
    declared.write_text(json.dumps(record))
    survey = host.survey(agent)
    assert survey["fault"] == "its record on disk is damaged"
    assert survey["releases"][0]["staged"] is False, "what can't be started again must not be halted to heal it"
    (drift,) = agent.ask("verify", release=one.id)["drift"]
    assert drift == ["manifest.json", f"the manifest of {one.id} is damaged"]


def test_a_full_queue_is_somebody_who_listens(host: Host) -> None:
    """Whether a hung process still has room for one connection more must not make two surveys differ."""
    agent = host.locked()
    one = blog(1)
    go_live(agent, one, None)
    survey = host.survey(agent)
    os.kill(survey["releases"][0]["pid"], signal.SIGSTOP)
    waiting = []
    try:
        while True:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            waiting.append(connection)
            connection.connect(os.fspath(host.path("releases", one.id, "run").readlink() / "web.sock"))
    except BlockingIOError:
        survey = host.survey(agent)
    finally:
        for connection in waiting:
            connection.close()
    assert (survey["serving"], survey["well"]) == (one.id, False)
