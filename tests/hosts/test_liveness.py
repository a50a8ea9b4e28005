"""Nobody waits for ever on real hosts: for one that is silent, a release that won't end, another's setup."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from crash.machines import Machine
from hosts.outfit import Stage, put, until
from hosts.site import USER, Reader, Site
from hosts.test_units import UP, units

from lab.fleet import Lab
from lab.host import Host
from tagship.errors import LinkLost, Restored
from tagship.events import Event

pytestmark = pytest.mark.lab

Hosts = Callable[[int], list[Host]]

DEAF = """
import signal, time
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
print("it hears nothing", flush=True)
time.sleep(3600)
"""


def test_a_release_that_hangs_and_hears_nothing_is_put_back_without_its_drain(hosts: Hosts, tmp_path: Path) -> None:
    """It never was public, so nobody is waited for; the old one is still drained as long as the stage says."""
    site = Site(tmp_path, hosts(1))
    (host,) = site.hosts.values()
    site.write(drain="5m")
    site.setup()
    site.deploy("v1")
    with Reader(site) as reader:
        outcome = site.deploy("v2", **{"serve.py": DEAF})
        assert isinstance(outcome.error, Restored), outcome
        assert "not well within 3 s" in outcome.error.what
        assert units(host) == {"0001": UP}
        assert (
            "stop-sigterm' timed out" not in host.run("journalctl", "--quiet", user="root").stdout
        )  # it wasn't asked
        assert site.deploy("v3").outcome == "live"
    assert (reader.tags, reader.failures) == (["v1", "v3"], [])
    said = [event.data["text"] for event in site.events if event.name == "note"]
    assert not any("SIGKILL" in text for text in said), said
    notes = host.run("cat", "/srv/blog/state/journal.jsonl").stdout.splitlines()
    halted = [row for row in map(json.loads, notes) if row["event"] == "halted"]
    assert [(row["release"], row["killed"], row["cut"]) for row in halted] == [("0002-v2", True, False)]


def test_a_host_that_goes_silent_midway_is_lost_and_the_others_go_back(
    lab: Lab, hosts: Hosts, tmp_path: Path
) -> None:
    """Its cable is pulled and stays so: the error names host and seconds; its agent frees its lock by itself."""
    site = Site(tmp_path, hosts(2))
    site.setup()
    site.deploy("v1")
    far = Machine(lab, site.hosts["web2"])

    def listen(event: Event) -> None:
        if event.host == "web2" and event.data.get("step", "").startswith("start") and event.data["state"] == "begin":
            far.pull()

    try:
        outcome = site.deploy("v2", listener=listen)
        assert isinstance(outcome.error, Restored), outcome.error
        assert isinstance(outcome.error.__cause__, LinkLost)
        assert "nothing came from it for 30 s" in outcome.error.what
        assert "web2" in outcome.error.where
        assert [(host.host, host.ok) for host in outcome.hosts] == [("web1", True), ("web2", False)]
        until(far.lock_is_free, "web2's agent frees its lock")
    finally:
        far.plug()
    assert site.deploy("v3").outcome == "live"
    assert [site.read(name)["tag"] for name in site.hosts] == ["v3", "v3"]


def test_a_setup_that_waits_goes_on_when_the_other_has_ended(hosts: Hosts, tmp_path: Path) -> None:
    """It is told who is at work, and makes what is left to make; without `--wait` it would be turned away."""
    (host,) = hosts(1)
    stage = Stage(tmp_path, [host])
    stage.made_ready()
    put(host, "/usr/local/sbin/nginx", "#!/bin/sh\nexec sleep 300\n", "0755", user="root")
    stage.write(nginx={"max_body": "20m"})
    fab = str(Path(sys.executable).with_name("fab"))
    queued = [fab, "setup", "--stage", "lab", "--json", "--wait", "10m"]
    with stage.begun() as first:
        until(lambda: "sleep" in host.run("ps", "-eo", "comm").stdout.split(), "it is testing nginx's configuration")
        turned_away = stage.setup()
        with subprocess.Popen(queued, cwd=stage.folder, stdout=subprocess.PIPE, text=True) as second:
            assert second.stdout
            said = next(event for event in map(json.loads, second.stdout) if "waiting" in event.get("text", ""))
            host.run("sh", "-c", "rm /usr/local/sbin/nginx && pkill -x sleep", user="root")
            ended = json.loads(second.stdout.readlines()[-1])
        first.wait(120)
    assert (turned_away.exit, turned_away.error["holder"]["verb"]) == (6, "setup")
    assert turned_away.error["holder"]["release"] == USER
    assert turned_away.error["what"] in said["text"]
    assert (ended["exit"], ended["outcome"]) in [(0, "ready"), (0, "unchanged")]
    assert stage.setup().result["outcome"] == "unchanged"
    assert "20m" in host.run("cat", f"/etc/nginx/sites-available/{USER}.conf").stdout
