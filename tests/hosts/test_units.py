"""Releases as units of another user behind nginx: up and down, bad ones put back, walls between users, reboots."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hosts.site import ROOT, USER, Reader, Site

from lab.fleet import Lab
from lab.host import Host
from tagship.errors import HostRefused, Restored, TagshipError
from tagship.events import Event

pytestmark = pytest.mark.lab

Hosts = Callable[[int], list[Host]]
UP = "active running"


def units(host: Host) -> dict[str, str]:
    """The instances that systemd knows, by name, with their state."""
    lines = host.run("systemctl", "list-units", "--all", "--plain", "--no-legend", f"{USER}@*").stdout.splitlines()
    rows = [line.split() for line in lines]
    return {row[0].partition("@")[2].removesuffix(".service"): f"{row[2]} {row[3]}" for row in rows}


def helped(host: Host) -> list[str]:
    """What the helper was asked for since the host was booted, a line each, as sudo wrote it down."""
    said = host.run("journalctl", "--quiet", "--output=cat", "_COMM=sudo", user="root").stdout
    return [line.split("tagship-helper ", 1)[1] for line in said.splitlines() if "COMMAND=" in line]


def as_service(host: Host, serial: str, script: str) -> tuple[int, str]:
    """Run a shell script as the service does: its status, and what it said."""
    argv = ["sudo", "-n", "/usr/local/sbin/tagship-helper", USER, "run", serial, "--", "sh", "-c", script]
    done = host.run(*argv, check=False)
    return done.returncode, done.stdout + done.stderr


def test_up_up_down_stopped_and_started(hosts: Hosts, tmp_path: Path) -> None:
    """Each host runs what its roles choose, as the service user alone; a deploy becomes root once."""
    site = Site(tmp_path, hosts(2), roles={"web1": ["web", "worker"], "web2": ["worker"]})
    web, worker = site.hosts.values()
    site.write(app={"units": {"worker": {"start": "python3 worker.py"}}, "smoke": "python3 -c pass"})
    site.setup()
    assert site.deploy("v1").outcome == "live"
    with Reader(site) as reader:
        before = len(helped(web))
        assert site.deploy("v2").outcome == "live"
        asked = helped(web)[before:]
        assert site.deploy("v2").outcome == "unchanged"
        assert len(helped(web)) == before + len(asked)
        assert site.rollback().release == "0001-v1"
    assert (reader.tags, reader.failures) == (["v1", "v2", "v1"], [])
    assert [line.split()[1] for line in asked] == ["serve"]
    assert units(web) == {"0001": UP, "0001.worker": UP}
    assert units(worker) == {"0001.worker": UP}
    assert site.read()["user"] == int(web.run("id", "-u", USER).stdout)
    for host in (web, worker):
        owners = host.run("sh", "-c", "ps -eo user:32,args | grep -E '[s]erve.py|[w]orker.py'").stdout
        assert {line.split()[0] for line in owners.splitlines()} == {USER}
    one, two = site.status()
    assert (one.words, two.words) == ("well", "well")
    assert one.process is not None
    assert (one.process.pid, one.drift) == (site.read()["pid"], 0)
    assert 0 <= one.process.age < 600
    assert one.process.memory > 1 << 20
    web.run("sh", "-c", f"rm -f {ROOT}/current/public/page.html && echo more >{ROOT}/current/public/more.html")
    assert site.status()[0].drift == 2
    assert site.stop().outcome == "stopped"
    assert (units(web), units(worker)) == ({}, {})
    assert [status.words for status in site.status()] == ["not running", "not well: the unit `worker` doesn't run"]
    site.start()
    assert site.read()["tag"] == "v1"


def test_a_bad_release_is_put_back_and_was_never_public(hosts: Hosts, tmp_path: Path) -> None:
    """Whatever its fault, the old one answers all the while; the error holds the last words, without the secrets."""
    site = Site(tmp_path, hosts(1))
    (host,) = site.hosts.values()
    site.write(
        app={"env": ".env", "units": {"worker": {"start": "python3 worker.py", "roles": ["web"]}}},
        service={"memory": "400M"},
    )
    site.setup()
    env = f"{ROOT}/shared/.env"
    host.run("sh", "-c", f"umask 077; echo SECRET=hunter2000 >{env}; chgrp {USER} {env}; chmod 0640 {env}")
    site.deploy("v1")
    faults = {
        "exits": ("the process ended with exit status 3 before it answered", "it is exits and knows •••"),
        "raises": ("the process ended with exit status 1 before it answered", "No module named 'no_such_module'"),
        "eats": ("the process ended with exit status 1 before it answered", "MemoryError"),
        "500": ("not well within 3 s: GET / answered 500, not 200", "it is 500"),
        "slow": ("not well within 3 s: no answer in time", "it is slow"),
        "private": ("not well within 3 s: no right to connect to its socket", "it is private"),
        "worker ends": ("the unit `worker` ended with exit status 5", "the worker begins"),
    }
    with Reader(site) as reader:
        for number, (how, (what, said)) in enumerate(faults.items(), 2):
            outcome = site.deploy(f"v{number}", how)
            assert isinstance(outcome.error, Restored), how
            assert what in outcome.error.what, how
            assert any(said in line for line in outcome.error.tail), outcome.error.tail
            assert "hunter2000" not in str(outcome.error.tail)
            assert units(host) == {"0001": UP, "0001.worker": UP}
    assert (reader.tags, reader.failures) == (["v1"], [])
    assert host.run("systemctl", "--failed", "--no-legend").stdout == ""
    assert host.run("ls", f"{ROOT}/releases", f"{ROOT}/releases/by-serial").stdout.split() == [
        f"{ROOT}/releases:",
        "0001-v1",
        "by-serial",
        f"{ROOT}/releases/by-serial:",
        "0001",
        "0001.worker",
    ]
    assert site.deploy("v20").outcome == "live"


def test_the_service_writes_nothing_but_what_is_its_own(hosts: Hosts, tmp_path: Path) -> None:
    """Its code, its environment, other releases and objects are out of its reach; what it generated is taken over."""
    site = Site(tmp_path, hosts(1))
    (host,) = site.hosts.values()
    site.write(
        app={
            "prepare": ["sh make.sh"],
            "generated": ["public/made", "app/made"],
            "shared": {"dirs": ["data", "media"], "served": ["media"]},
        }
    )
    site.setup()
    make = """
        cd ../public/made
        mkdir -p a/b && echo x >a/b/c && ln -s a/b/c link && echo y >>../../app/made/z
        for folder in ../../app .. ../../venv ../..; do touch $folder/new && exit 9; done
        echo z >a/run && chmod 755 a/run a
    """
    outcome = site.deploy("v1", **{"make.sh": make})
    assert outcome.outcome == "live", outcome.error
    listed = host.run(
        "sh", "-c", f"cd {ROOT}/current && find public/made app/made -printf '%p %M %u %n %l\\n' | sort"
    ).stdout
    assert listed.splitlines() == [
        "app/made drwxr-xr-x deploy 2 ",
        "app/made/z -r--r--r-- deploy 1 ",
        "public/made drwxr-xr-x deploy 3 ",
        "public/made/a drwxr-xr-x deploy 3 ",
        "public/made/a/b drwxr-xr-x deploy 2 ",
        "public/made/a/b/c -r--r--r-- deploy 1 ",
        "public/made/a/run -r-xr-xr-x deploy 1 ",
        "public/made/link lrwxrwxrwx deploy 1 a/b/c",
    ]
    reached = ("current/app/made", "current/public", "current/venv", "current", "state", "objects", "releases")
    others = ("releases/by-serial", "assets", "shared", ".")
    tries = "".join(f"touch {ROOT}/{path}/no && echo {path};" for path in (*reached, *others))
    status, said = as_service(host, "0001", f"{tries} echo no >>{ROOT}/current/within || exit 7")
    assert (status, said.count("Permission denied")) == (7, len(reached) + len(others) + 1), said
    assert as_service(host, "0001", "echo mine >data/mine && cat data/mine && id -un") == (0, f"mine\n{USER}\n")
    assert as_service(host, "0001", f"cat {ROOT}/state/journal.jsonl")[0] != 0
    # nginx serves what a command left in a served folder, but no file of others that a link there names.
    host.run("sh", "-c", "echo secret >/srv/w && chown www-data /srv/w && chmod 0400 /srv/w", user="root")
    leave = "mkdir media/sub && echo seen >media/sub/x && ln -s /srv/w media/w && ln -s sub/x media/y"
    assert as_service(host, "0001", leave)[0] == 0
    asked = [
        host.run("curl", "-s", "-w", "%{http_code}", f"http://127.0.0.1/media/{name}").stdout
        for name in ("sub/x", "y", "w")
    ]
    assert [answer[-9:] for answer in asked[:2]] == ["seen\n200", "seen\n200"]
    assert asked[2][-3:] == "403"
    for number, script in enumerate(
        (
            "ln -s /etc/passwd ../public/made/x",
            "mkfifo made/x",
            "mkdir made/d; ln -s ../../.. made/d/x",
            "mkdir -m 0700 made/d; echo x >made/d/x",
        ),
        2,
    ):
        outcome = site.deploy(f"v{number}", **{"make.sh": script})
        assert isinstance(outcome.error, Restored), script
        assert "made/" in outcome.error.what
        assert host.run("ls", f"{ROOT}/releases").stdout.split() == ["0001-v1", "by-serial"]


def test_a_command_ends_with_its_agent(hosts: Hosts, tmp_path: Path) -> None:
    """Nobody who deploys can signal it: it goes once nobody reads it, and all is put back over a new connection."""
    site = Site(tmp_path, hosts(1))
    (host,) = site.hosts.values()
    site.write(app={"prepare": ["sh make.sh"], "generated": ["app/made"]})
    site.setup()

    def kill(event: Event) -> None:
        if event.data.get("step", "").startswith("prepare") and event.data["state"] == "begin":
            timers.append(threading.Timer(1, site.kill_agent))
            timers[-1].start()

    timers: list[threading.Timer] = []
    outcome = site.deploy("v1", listener=kill, **{"make.sh": "sleep 3000 & mkdir -m 0700 made/mine; sleep 4000"})
    timers[0].join()
    assert isinstance(outcome.error, Restored)
    assert host.run("pgrep", "-x", "sleep", check=False).stdout == ""
    assert host.run("ls", f"{ROOT}/releases").stdout.split() == ["by-serial"]


def test_it_comes_back_on_what_is_current(hosts: Hosts, lab: Lab, tmp_path: Path) -> None:
    """After a reboot, or a power cut before or after the flip: what is current serves, and a deploy goes on."""
    site = Site(tmp_path, hosts(1))
    (host,) = site.hosts.values()
    site.setup()
    site.deploy("v1")
    host.reboot()
    assert site.comes_back()["tag"] == "v1"
    for tag, step, after in (("v2", "start 0002-v2", "v1"), ("v3", "probe 0003-v3 through nginx", "v3")):

        def cut(event: Event, step: str = step) -> None:
            if event.data.get("step", "").startswith(step) and event.data["state"] == "begin":
                host.kill()

        outcome = site.deploy(tag, listener=cut)
        assert isinstance(outcome.error, TagshipError)
        lab.boot(1)
        assert site.comes_back()["tag"] == after
    assert site.deploy("v9").outcome == "live"
    assert site.read()["tag"] == "v9"
    host.reboot()
    assert site.comes_back()["tag"] == "v9"
    assert site.status()[0].words == "well"


def test_a_host_that_is_not_ready_is_refused(hosts: Hosts, tmp_path: Path) -> None:
    """Nothing is begun where it isn't made ready, or for other settings, or nginx doesn't run; TLS is spoken too."""
    site = Site(tmp_path, hosts(1))
    (host,) = site.hosts.values()
    with pytest.raises(HostRefused, match="isn't made ready for the stage lab") as refused:
        site.deploy("v1")
    assert refused.value.cure == "fab setup --stage lab"
    site.setup()
    for settings, words in (
        ({"service": {"kind": "process"}}, "made ready for systemd"),
        ({"root": "/srv/other"}, "made ready at /srv/blog, not at /srv/other"),
        ({"host": {"user": "root"}}, "root logged in"),
        ({"service": {"user": "somebody"}}, "for the service user blog-lab, not somebody"),
        ({"nginx": {"listen": ["8080"]}}, "nothing listens at 127.0.0.1:8080"),
    ):
        site.write(**settings)
        with pytest.raises(HostRefused, match=words):
            site.deploy("v1")
    assert host.run("ls", f"{ROOT}/releases").stdout == ""
    pair = "-keyout /etc/ssl/private/blog.key -out /etc/ssl/certs/blog.pem"
    host.run("sh", "-c", f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=blog.test {pair}", user="root")
    tls = {"certificate": "/etc/ssl/certs/blog.pem", "key": "/etc/ssl/private/blog.key"}
    site.write(nginx={"names": ["blog.test"], "tls": tls})
    site.setup()
    assert site.deploy("v1").outcome == "live"
