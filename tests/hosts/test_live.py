"""Logs, commands and the environment on real hosts: units, the journal, a service user, and a helper between."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest
from verbs.conftest import Make, make
from verbs.project import PATIENCE, Project, Ran, eventually, sha256, told

from lab.host import Host

__all__ = ["make"]
pytestmark = pytest.mark.lab

SECRET = "s3cr3t/sentinel+value ="
HASH = "import os, hashlib; print(hashlib.sha256(os.environ.get('TOKEN', '').encode()).hexdigest())"
SETUP = "fab setup"
PYTHON = "/srv/live/releases/0001-v1.0.0/venv/bin/python"
CONFIG = "/srv/live/releases/0001-v1.0.0/venv/pyvenv.cfg"
WORKER = '''\
"""Works, and says so; the second line has its time, the secret that it was given, and a byte that is no text."""

import os
import sys
import time

print("working", os.environ.get("TOKEN"), flush=True)
sys.stdout.buffer.write(b"no text: \\xff\\n")
sys.stdout.flush()
time.sleep(600)
'''


class Fleet:
    """A light project whose stage `lab` is two hosts, the second one a worker too."""

    def __init__(self, project: Project, hosts: list[Host]) -> None:
        self.project = project
        self.hosts = hosts
        entries = "".join(
            f"      - {{name: web{number}, host: {host.address}, identity: {host.identity}, "
            f"known_hosts: {host.known_hosts}, roles: {['web', 'worker'][:number]}}}\n"
            for number, host in enumerate(hosts, 1)
        )
        project.edit("tagship.yml", r"(?m)^stages:\n", f"stages:\n  lab:\n    hosts:\n{entries}")
        units = "  units:\n    worker: {start: python3 worker.py}\n"
        project.edit("tagship.yml", r"(?m)^  prepare:\n.*\n", units)
        project.write({"worker.py": WORKER})
        serve = (
            "server = Server(sys.argv[1], Handler)\npathlib.Path(sys.argv[1]).chmod(0o666)\nserver.serve_forever()"
        )
        project.edit("serve.py", r"(?m)^Server\(.*", serve)
        project.stages = []

    def fab(self, verb: str, *words: str, stdin: str = "") -> Ran:
        """A verb on the stage; what it reads is `stdin`."""
        done = subprocess.run(
            ["fab", verb, "--stage", "lab", *words],
            cwd=self.project.folder,
            env=self.project.env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    def well(self, verb: str, *words: str, stdin: str = "") -> str:
        """What a verb that succeeds says."""
        done = self.fab(verb, *words, stdin=stdin)
        assert done.exit == 0, done.said
        return done.out


@pytest.fixture
def fleet(hosts: Callable[[int], list[Host]], make: Make) -> Iterator[Fleet]:
    """Two hosts made ready, with v1.0.0 live on both."""
    project = make("live")
    made = Fleet(project, hosts(2))
    project.tag("v1.0.0")
    made.well("setup")
    made.well("deploy")
    yield made


def test_what_is_live_can_be_heard_and_spoken_to(fleet: Fleet) -> None:
    """A command runs as the service user, on all hosts or on those named; it goes when we do, with all it began."""
    everywhere = fleet.well("run", "--", "sh", "-c", "id -un; echo $TAGSHIP_RELEASE; pwd")
    app = "/srv/live/releases/0001-v1.0.0/app"
    assert sorted(everywhere.splitlines()) == sorted(
        f"{host} | {words}" for host in ("web1", "web2") for words in ("live-lab", "0001-v1.0.0", app)
    )
    lines = "".join(f"{number} {'x' * 80}\n" for number in range(5000))
    assert fleet.well("run", "--limit", "web1", "--", "cat", stdin=lines) == lines
    assert fleet.well("run", "--role", "worker", "--", "echo", "one  word") == "one  word\n"
    failed = fleet.fab("run", "--json", "--", "sh", "-c", "test $(hostname) = lab1")
    assert (failed.exit, told(4, failed.out).result["outcome"]) == (4, "failed")
    assert {(end["host"], end["status"]) for end in told(4, failed.out).of("ended")} == {("web1", 0), ("web2", 1)}
    with running(fleet, "run", "--", "sh", "-c", "sleep 6543 & sleep 6543") as verb:
        eventually(lambda: all(sleepers(host) == 2 for host in fleet.hosts), "it never ran")
        verb.send_signal(signal.SIGINT)
        verb.communicate(timeout=PATIENCE)
    assert verb.returncode == 130
    eventually(lambda: not any(map(sleepers, fleet.hosts)), "it lives on")


def test_the_environment_and_what_is_said_in_it(fleet: Fleet) -> None:
    """A value is the service's alone and goes live with a deploy; logs of all units come in order, without it."""
    fleet.hosts[1].run("mkdir", "/srv/live/env", user="root")
    failed = fleet.fab("env", "set", "TOKEN", stdin=SECRET)
    assert (failed.exit, "web2" in failed.err, SECRET in failed.said) == (4, True, False), failed.said
    assert fleet.hosts[0].run("ls", "/srv/live/env").stdout == "", "all hosts or none"
    fleet.hosts[1].run("rmdir", "/srv/live/env", user="root")
    fleet.well("env", "set", "TOKEN", stdin=SECRET)
    for host in fleet.hosts:
        modes = host.run("stat", "-c", "%a %U:%G", "/srv/live/env", "/srv/live/env/0001").stdout
        assert modes == "711 deploy:deploy\n640 deploy:live-lab\n"
        assert host.run("cat", "/srv/live/env/0001", user="nobody", check=False).returncode != 0
    with running(fleet, "logs", "--follow", "--json", "--lines", "50") as verb:
        assert verb.stdout
        heard = [json.loads(verb.stdout.readline())]
        fleet.well("deploy")
        while not (
            heard[-1]["event"] == "line" and heard[-1]["unit"] == "0002.worker" and "no text" in heard[-1]["text"]
        ):
            heard.append(json.loads(verb.stdout.readline()))
        verb.send_signal(signal.SIGINT)
        rest, _ = verb.communicate(timeout=PATIENCE)
    assert told(verb.returncode, rest).exit == 0
    assert {(line["host"], line["unit"]) for line in heard} >= {
        ("web1", "0001"),
        ("web2", "0001"),
        ("web2", "0001.worker"),
    }
    assert [line["text"] for line in heard if line["unit"] == "0001.worker"].count("working None") == 1
    worker = [line["text"] for line in heard if line["unit"] == "0002.worker"]
    assert [words for words in worker if "working" in words] == ["working •••"]
    assert "no text: \N{REPLACEMENT CHARACTER}" in worker

    backlog = told(0, fleet.well("logs", "--json")).of("line")
    times = [line["at"] for line in backlog]
    assert times == sorted(times)
    assert {(line["host"], line["unit"]) for line in backlog} == {
        ("web1", "0002"),
        ("web2", "0002"),
        ("web2", "0002.worker"),
    }
    assert SECRET not in json.dumps([heard, backlog])
    token = {line.partition(" | ")[2] for line in fleet.well("run", "--", "python", "-c", HASH).splitlines()}
    assert token == {sha256(SECRET.encode())}
    unsaid = fleet.hosts[0].run("journalctl", "--output=cat", user="root").stdout
    assert SECRET not in unsaid.replace("working " + SECRET, "")

    fleet.hosts[1].run("rm", "-r", "/srv/live/env", user="root")
    refused = fleet.fab("deploy")
    assert (refused.exit, "fab env copy --stage lab" in refused.err) == (3, True), refused.said
    assert "web2" in fleet.well("env", "copy")
    assert told(0, fleet.well("deploy", "--json")).result["outcome"] == "unchanged"
    fleet.well("rollback")
    assert {line.partition(" | ")[2] for line in fleet.well("run", "--", "python", "-c", HASH).splitlines()} == {
        sha256(b"")
    }


ROOT = "/srv/live"
BREAKS = [
    ("systemctl stop nginx", "systemctl start nginx", "front", "nginx is inactive"),
    ("rm /etc/nginx/sites-enabled/live-lab.conf", SETUP, "front", "not enabled"),
    ("rm /etc/sudoers.d/tagship-live-lab", SETUP, "setup", "the helper can't be asked"),
    ("systemctl disable live-lab.service", SETUP, "setup", "after a reboot nothing runs"),
    ("echo '# mine' >>/etc/systemd/system/live-lab@.service", SETUP, "setup", "live-lab@.service"),
    ("mv /etc/tagship/live-lab.json /etc/kept", "mv /etc/kept /etc/tagship/live-lab.json", "setup", "made ready"),
    (f"chown root {ROOT}/objects", f"chown deploy {ROOT}/objects", "folders", "belongs to root"),
    (f"ln -s /nowhere {ROOT}/shared/media", f"rm {ROOT}/shared/media", "shared", "leads nowhere"),
    (
        f"mkdir {ROOT}/disk && mount -t tmpfs none {ROOT}/objects",
        f"umount {ROOT}/objects",
        "filesystems",
        "not on one",
    ),
    (f"ln -sfn /usr/bin/gone {PYTHON}", f"ln -sfn /usr/bin/python3 {PYTHON}", "virtualenvs", "0001-v1.0.0 is broken"),
    (f"sed -i s/3.11/3.9/ {CONFIG}", f"sed -i s/3.9/3.11/ {CONFIG}", "virtualenvs", "made for Python 3.9"),
    ("systemctl stop live-lab@0001", "systemctl start live-lab@0001", "live", "isn't well"),
]
"""What breaks a host that is well, what mends it, and what is said of it."""


def test_the_doctor_names_each_thing_that_breaks(fleet: Fleet) -> None:
    """Where all is well it says so; each fault is one finding with a cure, and none hides another host."""
    project = fleet.project
    well = told(0, fleet.well("doctor", "--json"))
    assert not [one for one in well.of("finding") if one["level"] == "bad"], well.events
    assert {one["check"] for one in well.of("finding")} >= {
        "tag",
        "ssh",
        "reach",
        "clock",
        "setup",
        "front",
        "virtualenvs",
    }
    host = fleet.hosts[0]
    for broken, mended, check, words in BREAKS:
        host.run("sh", "-c", broken, user="root")
        done = fleet.fab("doctor", "--json")
        found = [
            one
            for one in told(done.exit, done.out).of("finding")
            if one["level"] != "ok" and one["hosts"] == ["web1"]
        ]
        assert any((one["check"], words in one["text"]) == (check, True) for one in found), (broken, found)
        assert all(one["cure"] for one in found)
        fleet.well("setup") if mended == SETUP else host.run("sh", "-c", mended, user="root")
    (project.folder / "identity").write_bytes(host.identity.read_bytes())
    fleet.hosts[1].kill()
    project.edit("tagship.yml", re.escape(f"known_hosts: {host.known_hosts}"), "known_hosts: empty")
    project.edit("tagship.yml", re.escape(f"identity: {host.identity}"), "identity: identity")
    shut = fleet.fab("doctor")
    assert shut.exit == 3
    assert "bad   ssh: no host key of web1 is known [web1]" in shut.out
    assert "can be read by others" in shut.out
    assert "its host key is not known" in shut.out, "web1 answers, web2 doesn't"
    assert "does not answer" in shut.out


def running(fleet: Fleet, *argv: str) -> subprocess.Popen[str]:
    """A verb on the stage that goes on until it is interrupted."""
    verb, *words = argv
    return subprocess.Popen(
        ["fab", verb, "--stage", "lab", *words],
        cwd=fleet.project.folder,
        env=fleet.project.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )


def sleepers(host: Host) -> int:
    """How many of the processes that the test began live there."""
    return len(host.run("pgrep", "-f", "^sleep 6543", check=False).stdout.split())
