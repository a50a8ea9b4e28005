"""docs/agent.md, case by case: the fake, the agent over pipes and the agent over SSH must all keep it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import urllib.request

import pytest
from contract.projects import APP, SERVER, shipment
from contract.ways import OWNER, Way

from tagship.config import App, Argv, HostCommand, Probe, Seconds, Stage
from tagship.errors import Degraded, HostFailed, HostRefused, Locked, Restored
from tagship.manifest import Delta, Manifest
from tagship.ship import looking
from tagship.ship.fleet import Fleet
from tagship.ship.shipment import Shipment

LOCK = {"owner": OWNER, "release": "0001-v1", "verb": "deploy"}


def declaration(fleet: Fleet, tag: str, serial: int = 1) -> dict[str, object]:
    """The arguments of `declare` for a first release."""
    load = shipment(tag)
    delta = Delta.between(Manifest(()), load.manifest)
    record = {
        "id": f"{serial:04d}-{tag}",
        "serial": serial,
        "tag": tag,
        "commit": load.commit,
        "digest": load.digest,
        "lock": load.lock,
        "app": "app",
        "stage": "production",
        "by": OWNER,
        "at": "2026-01-02T03:04:05Z",
        "roles": ["web"],
        "settings": {
            "start": list(APP.start),
            "units": {},
            "generated": [],
            "python": "python3",
            "env": None,
            "shared": {"dirs": [], "links": [], "served": []},
            "probe": {"path": "/", "status": 200, "timeout": 20, "passes": 1, "host": "localhost"},
        },
    }
    return {
        "release": record,
        "base": None,
        "put": [entry.row() for entry in delta.put],
        "drop": [],
        "manifest": load.manifest.digest,
        "wheels": [],
        "installer": None,
    }


def read(way: Way, name: str = "web1") -> tuple[str, str | None]:
    """What the front door answers: the body, and the release that it says answered."""
    with urllib.request.urlopen(f"http://{way.front(name)}/", timeout=10) as answer:
        return answer.read().decode(), answer.headers["Tagship-Release"]


def test_a_survey_creates_nothing(way: Way) -> None:
    """An empty host has no current, no releases, serial 0; and looking leaves it empty."""
    with way.fleet() as fleet:
        survey = fleet.surveys["web1"]
    assert (survey.current, survey.current_kind, survey.releases, survey.highest) == (None, "none", (), 0)
    assert (survey.serving, survey.front, survey.lock) == (None, None, None)
    assert not way.root().exists()


def test_two_surveys_of_one_host_have_one_fingerprint(way: Way) -> None:
    """What changes while nothing of a plan does is not in the fingerprint."""
    way.deploy("v1")
    with way.fleet() as fleet:
        assert fleet.survey("web1").fingerprint == fleet.surveys["web1"].fingerprint


def test_one_of_two_gets_the_lock_and_the_other_hears_who(way: Way) -> None:
    """A second lock is refused with its holder; unlocking, or the end of a connection, frees it."""
    with way.fleet() as one, way.fleet() as two:
        one.link("web1").call("lock", LOCK)
        with pytest.raises(Locked) as caught:
            two.link("web1").call("lock", {**LOCK, "owner": "other"})
        assert caught.value.holder["owner"] == OWNER
        assert {"release", "verb", "since"} <= caught.value.holder.keys()
        one.link("web1").call("unlock")
        two.link("web1").call("lock", {**LOCK, "owner": "other"})
    with way.fleet() as three:
        three.link("web1").call("lock", LOCK)


def test_an_unknown_verb_is_our_bug(way: Way) -> None:
    """`usage` is the kind of error that only a bug of ours can cause; the link lives on."""
    with way.fleet() as fleet:
        with pytest.raises(HostFailed) as caught:
            fleet.link("web1").call("dance")
        assert caught.value.kind == "usage"
        assert fleet.survey("web1").highest == 0


def test_nothing_is_changed_without_the_lock(way: Way) -> None:
    """Every verb that changes a host wants the lock first."""
    with way.fleet() as fleet:
        for verb, args in (
            ("declare", declaration(fleet, "v1")),
            ("unstage", {"release": "0001-v1"}),
            ("unfront", {}),
        ):
            with pytest.raises((HostFailed, HostRefused)):
                fleet.link("web1").call(verb, args)
        assert fleet.survey("web1").highest == 0


def test_every_undo_is_safe_where_nothing_was_done(way: Way) -> None:
    """Undoing what never ran is no error: unstage, halt, unfront."""
    with way.fleet() as fleet:
        link = fleet.link("web1")
        link.call("lock", LOCK)
        link.call("unstage", {"release": "0001-v1"})
        link.call("halt", {"release": "0001-v1", "drain": 0})
        link.call("unfront")
        link.call("flip", {"to": None, "from": "0001-v1"})


def test_declare_names_what_is_missing_and_unstage_forgets_it(way: Way) -> None:
    """All objects are missing at first; the serial stays given, even once the release is gone."""
    with way.fleet() as fleet:
        link = fleet.link("web1")
        link.call("lock", LOCK)
        answer = link.call("declare", declaration(fleet, "v1"))
        wanted = {file.key: file.size for file in shipment("v1").manifest.files()}
        assert dict(map(tuple, answer["missing"])) == wanted
        assert [release.state for release in fleet.survey("web1").releases] == ["unfinished"]
        link.call("unstage", {"release": "0001-v1"})
        assert fleet.survey("web1").releases == ()
        assert fleet.survey("web1").highest == 1
        with pytest.raises(HostRefused):
            link.call("declare", declaration(fleet, "v1"))


def test_a_manifest_that_does_not_come_out_is_refused(way: Way) -> None:
    """What was sent must hash to what was announced, or nothing of it is taken."""
    with way.fleet() as fleet:
        link = fleet.link("web1")
        link.call("lock", LOCK)
        with pytest.raises(HostRefused):
            link.call("declare", {**declaration(fleet, "v1"), "manifest": "0" * 64})
        assert fleet.survey("web1").releases == ()


def test_the_end_of_the_connection_removes_what_was_only_declared(way: Way) -> None:
    """A client that goes away midway leaves no release, and its serial is not given again."""
    with way.fleet() as fleet:
        fleet.link("web1").call("lock", LOCK)
        fleet.link("web1").call("declare", declaration(fleet, "v1"))
    with way.fleet() as fleet:
        fleet.link("web1").call("lock", LOCK)  # got only once the old agent has tidied up
        survey = fleet.survey("web1")
        assert (survey.releases, survey.highest) == ((), 1)
        rows = looking.history(fleet)["web1"]
    assert any(row["event"] == "abandoned" and row["release"] == "0001-v1" for row in rows)


def test_a_flip_from_something_else_is_refused(way: Way) -> None:
    """`flip` says what it expects to find; anything else means that somebody else was here."""
    way.deploy("v1")
    with way.fleet() as fleet:
        fleet.link("web1").call("lock", LOCK)
        with pytest.raises(HostRefused):
            fleet.link("web1").call("flip", {"to": "0001-v1", "from": "0009-other"} | {"to": None})
        assert fleet.survey("web1").current == "0001-v1"


def test_deploy_redeploy_and_rollback(way: Way) -> None:
    """The main job: two releases, the second again, and down to the first; each time the right one answers."""
    assert way.deploy("v1").outcome == "live"
    assert way.deploy("v2").row() | {"seconds": 0, "bytes_sent": 0} == {
        "outcome": "live",
        "exit": 0,
        "release": "0002-v2",
        "previous": "0001-v1",
        "hosts": [{"host": "web1", "release": "0002-v2", "ok": True}],
        "seconds": 0,
        "bytes_sent": 0,
    }
    if way.real:
        assert read(way) == ("v2", "0002-v2")
    assert way.deploy("v2").outcome == "unchanged"
    assert way.rollback().release == "0001-v1"
    if way.real:
        assert read(way) == ("v1", "0001-v1")
    with way.fleet() as fleet:
        assert {r.id: (r.state, r.pid is not None) for r in looking.releases(fleet)["web1"]} == {
            "0001-v1": ("good", True),
            "0002-v2": ("left", False),
        }
        (status,) = looking.status(fleet)
        assert status.well
        assert looking.verify(fleet) == ()


def test_a_second_release_sends_only_what_changed(way: Way) -> None:
    """The base's manifest is asked of the host, and the same files are not sent again."""
    first = way.deploy("v1").bytes_sent
    second = way.deploy("v2").bytes_sent
    stream = [event for event in way.events if event.name == "progress" and event.data["unit"] == "bytes"]
    assert stream[-1].data["total"] == len(b"v2")
    assert second < first + 500


def test_a_stop_ends_everything_and_a_deploy_heals_it(way: Way) -> None:
    """After a stop nothing answers and current stays; the same deploy again starts the same release."""
    way.deploy("v1")
    assert way.stop().outcome == "stopped"
    with way.fleet() as fleet:
        survey = fleet.surveys["web1"]
        assert (survey.current, survey.serving, survey.front) == ("0001-v1", None, None)
    healed = way.deploy("v1")
    assert (healed.outcome, healed.release) == ("live", "0001-v1")


def test_only_so_many_good_releases_are_kept(way: Way) -> None:
    """`keep` good ones beside the current one; older ones go once the new one is proven."""
    way.stage = Stage(keep=1, drain=Seconds(5))
    for tag in ("v1", "v2", "v3"):
        assert way.deploy(tag).outcome == "live"
    with way.fleet() as fleet:
        assert [release.id for release in fleet.surveys["web1"].releases] == ["0002-v2", "0003-v3"]


def test_two_hosts_end_on_one_release(way: Way) -> None:
    """A second host joins a fleet of one: the same digest gets a new serial, and both hosts serve it."""
    way.deploy("v1")
    way.names = ["web1", "web2"]
    outcome = way.deploy("v1")
    assert [(host.release, host.ok) for host in outcome.hosts] == [("0002-v1", True), ("0002-v1", True)]


BROKEN = {
    "smoke": (shipment("v2", app=App(name="app", start=APP.start, smoke=Argv(("false",)))), "false"),
    "prepare": (
        shipment(
            "v2",
            app=App(
                name="app",
                start=APP.start,
                prepare=(HostCommand(("python3", "-c", "import sys; print('no such table'); sys.exit(3)")),),
            ),
        ),
        "no such table",
    ),
    "start": (
        shipment("v2", server="raise SystemExit('a typo in the settings')", app=APP),
        "a typo in the settings",
    ),
    "probe": (
        shipment(
            "v2",
            server=SERVER.replace("send_response(200)", "send_response(500)"),
            app=App(name="app", start=APP.start, probe=Probe(timeout=Seconds(1))),
        ),
        "500",
    ),
}


@pytest.mark.parametrize("way", ["local", pytest.param("ssh", marks=pytest.mark.lab)], indirect=True)
@pytest.mark.parametrize("what", BROKEN)
def test_a_release_that_does_not_work_never_becomes_public(way: Way, what: str) -> None:
    """Its own words are shown, the old release serves on, and nothing of the new one stays."""
    broken, words = BROKEN[what]
    way.deploy("v1")
    outcome = way.deploy(broken)
    assert isinstance(outcome.error, Restored)
    assert words in f"{outcome.error} {outcome.error.tail}"
    assert read(way) == ("v1", "0001-v1")
    with way.fleet() as fleet:
        assert [release.id for release in fleet.surveys["web1"].releases] == ["0001-v1"]


@pytest.mark.parametrize("way", ["local", pytest.param("ssh", marks=pytest.mark.lab)], indirect=True)
def test_each_release_is_asked_as_its_own_tag_said(way: Way) -> None:
    """A rollback probes the old release by the old release's path, whatever the newer tag made of it."""

    def only(path: str, tag: str) -> Shipment:
        server = SERVER.replace("send_response(200)", f"send_response(200 if self.path == '{path}' else 404)")
        return shipment(tag, server=server, app=App(name="app", start=APP.start, probe=Probe(path=path)))

    assert way.deploy(only("/old-health", "v1")).outcome == "live"
    assert way.deploy(only("/new-health", "v2")).outcome == "live"
    back = way.rollback()
    assert (back.outcome, back.release) == ("live", "0001-v1")


def fall_sick(way: Way) -> None:
    """Hang the process that serves web1: its socket still takes connections, and nothing answers."""
    if not way.real:
        way.hang()
        return
    with way.fleet() as fleet:
        live = fleet.surveys["web1"].live
    assert live is not None
    assert live.pid is not None
    os.kill(live.pid, signal.SIGSTOP)


def test_a_release_that_hangs_is_not_well_and_a_deploy_heals_it(way: Way) -> None:
    """Something listens, nothing answers: status says so, the same deploy again ends it and starts it anew."""
    way.deploy("v1")
    with way.fleet() as fleet:
        assert [(status.well, status.words) for status in looking.status(fleet)] == [(True, "well")]
        before = fleet.surveys["web1"]
    fall_sick(way)
    with way.fleet() as fleet:
        (status,) = looking.status(fleet)
        assert (status.well, status.serving) == (False, "0001-v1")
        assert status.words.startswith("not well: GET / had no answer")
        assert fleet.surveys["web1"].fingerprint == before.fingerprint, "a plan must not go stale by one slow answer"
    healed = way.deploy("v1")
    assert (healed.outcome, healed.release) == ("live", "0001-v1")
    if way.real:
        assert read(way) == ("v1", "0001-v1")
    with way.fleet() as fleet:
        assert [status.words for status in looking.status(fleet)] == ["well"]


@pytest.mark.parametrize("way", ["local", pytest.param("ssh", marks=pytest.mark.lab)], indirect=True)
def test_a_release_that_answers_wrongly_is_not_well_and_a_deploy_heals_it(way: Way) -> None:
    """It fell ill after it was proven: 404 on its own probe path, until it is started anew."""
    ill = way.folder / "ill"
    sick = f"global ill; ill = globals().get('ill') or os.path.exists({str(ill)!r})"
    server = SERVER.replace("def do_GET(self):", f"def do_GET(self):\n        {sick}").replace(
        "send_response(200)", "send_response(404 if ill else 200)"
    )
    load = shipment("v1", server=server, app=App(name="app", start=APP.start, probe=Probe(timeout=Seconds(2))))
    assert way.deploy(load).outcome == "live"
    assert way.deploy(load).outcome == "unchanged"
    ill.touch()
    with way.fleet() as fleet:
        assert [status.words for status in looking.status(fleet)] == ["not well: GET / answered 404, not 200"]
    hopeless = way.deploy(load)
    assert isinstance(hopeless.error, Degraded), "what is live isn't well, and starting it anew didn't help"
    assert "answered 404" in hopeless.error.hosts["web1"]
    ill.unlink()
    assert way.deploy(load).outcome == "live"
    with way.fleet() as fleet:
        assert [status.well for status in looking.status(fleet)] == [True]


WRITES = "import os; os.chmod('serve.py', 0o644); open('serve.py', 'a').write('#'); os.chmod('serve.py', 0o444)"


@pytest.mark.parametrize("way", ["local", pytest.param("ssh", marks=pytest.mark.lab)], indirect=True)
@pytest.mark.parametrize("status", [0, 1])
def test_a_command_that_writes_into_what_is_live_is_told_as_such(way: Way, status: int) -> None:
    """A file of the tag is one inode with the live release's: "everything was put back" would be a lie."""
    command = HostCommand(("python3", "-c", f"{WRITES}; raise SystemExit({status})"))
    way.deploy("v1")
    outcome = way.deploy(shipment("v2", app=App(name="app", start=APP.start, prepare=(command,))))
    assert isinstance(outcome.error, Degraded)
    assert outcome.exit == 5
    assert "0001-v1 is damaged" in outcome.error.hosts["web1"]
    assert "app/serve.py" in outcome.error.hosts["web1"]
    assert way.deploy("v3").outcome == "live"
    with way.fleet() as fleet:
        drifts = {(drift.release, drift.path) for drift in looking.verify(fleet)}
    assert drifts == {("0001-v1", "app/serve.py")}
    assert read(way) == ("v3", "0003-v3")


def cling(way: Way, stack: contextlib.ExitStack) -> None:
    """Have a connection to the release that web1 runs which doesn't end."""
    if not way.real:
        way.cling()
        return
    with way.fleet() as fleet:
        current = fleet.surveys["web1"].current
    client = stack.enter_context(socket.socket(socket.AF_UNIX))
    client.connect(str((way.root() / "releases" / str(current) / "run").readlink() / "web.sock"))


def test_connections_that_outlast_the_drain_are_told_and_journaled(way: Way) -> None:
    """They are cut, for the deploy must end; but never silently."""
    way.stage = Stage(drain=Seconds(1))
    way.deploy("v1")
    with contextlib.ExitStack() as stack:
        cling(way, stack)
        way.events.clear()
        assert way.deploy("v2").outcome == "live"
    told = [(event.host, event.data) for event in way.events if event.name == "note"]
    text = "1 s of drain were not enough: open connections of 0001-v1 were cut; raise `drain`"
    assert told == [("web1", {"text": text, "level": "warning"})]
    if way.real:
        with way.fleet() as fleet:
            (row,) = [row for row in looking.history(fleet)["web1"] if row["event"] == "halted"]
        assert (row["release"], row["cut"], row["killed"], row["by"]) == ("0001-v1", True, False, OWNER)


@pytest.mark.parametrize("way", ["local", pytest.param("ssh", marks=pytest.mark.lab)], indirect=True)
def test_a_new_tag_cures_a_damaged_release(way: Way) -> None:
    """Its manifest isn't what was declared: nothing of it can be asked, and a new release needs nothing of it."""
    way.deploy("v1")
    manifest = way.root() / "releases" / "0001-v1" / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_text(manifest.read_text().replace("version.txt", "version.TXT"))
    with way.fleet() as fleet:
        assert [status.words for status in looking.status(fleet)] == ["not well: its record on disk is damaged"]
    with way.fleet() as fleet:
        (drift,) = looking.verify(fleet)
        assert (drift.host, drift.release, drift.path) == ("web1", "0001-v1", "manifest.json")
    assert way.deploy("v2").outcome == "live"
    assert read(way) == ("v2", "0002-v2")
    with way.fleet() as fleet:
        assert {drift.release for drift in looking.verify(fleet)} == {"0001-v1"}


@pytest.mark.parametrize("way", ["local", pytest.param("ssh", marks=pytest.mark.lab)], indirect=True)
def test_what_can_not_be_started_again_is_replaced_and_never_halted_to_heal_it(way: Way) -> None:
    """Its process answers, its record is gone: the same digest is deployed as a new release, with no gap."""
    way.deploy("v1")
    (way.root() / "releases" / "0001-v1" / "manifest.json").unlink()
    again = way.deploy("v1")
    assert (again.outcome, again.release) == ("live", "0002-v1")
    assert read(way) == ("v1", "0002-v1")
