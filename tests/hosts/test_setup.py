"""`fab setup` on real hosts: bare to ready, again and unchanged, refused, and put back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hosts.outfit import DEPLOY, HELPER, ROOT, USER, Stage, ask_all, put, snapshot, stage_by_hand, until

from lab.host import Host

pytestmark = pytest.mark.lab

Hosts = Callable[[int], list[Host]]
SITE = f"/etc/nginx/sites-available/{USER}.conf"

SERVE = """#!/usr/bin/python3 -IS
# Tries what it must not and what it may, then answers every request with what came of it.
import http.server, json, os, socketserver

def attempt(path):
    try:
        with open(path, "a"):
            return "yes"
    except OSError as error:
        return error.strerror

tried = {path: attempt(path) for path in (
    "/etc/mine", "/srv/mine", "/srv/blog/mine", "/srv/blog/shared/mine", "/srv/blog/releases/mine",
    "/srv/blog/state/mine", "/srv/blog/current/public/index.html", "/home/mine", "/root/mine", "/run/mine",
    "/run/blog-lab/mine", "/usr/mine",
    "/srv/blog/shared/data/mine", "/srv/blog/shared/media/mine", "/run/blog-lab/0001/mine", "/tmp/mine",
)}
tried["homes"] = os.path.exists("/home/ship")
tried["code"] = open("/srv/blog/current/app/code.py").read()
status = open("/proc/self/status").read().split()
tried["no new privileges"] = status[status.index("NoNewPrivs:") + 1]
tried["capabilities"] = status[status.index("CapBnd:") + 1]

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(tried).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def address_string(self):
        return "nginx"

socket = "/run/blog-lab/0001/web.sock"
server = socketserver.UnixStreamServer(socket, Answer)
os.chmod(socket, 0o666)
server.serve_forever()
"""


@pytest.fixture
def host(hosts: Hosts) -> Host:
    """One host, freshly installed."""
    return hosts(1)[0]


@pytest.fixture
def stage(host: Host, tmp_path: Path) -> Stage:
    """A stage of that host."""
    return Stage(tmp_path, [host])


def test_a_bare_host_becomes_ready_once(host: Host, stage: Stage) -> None:
    """A dry run tells and changes nothing; the first run makes what was told; the second touches nothing at all."""
    bare = snapshot(host)
    dry = stage.setup(dry=True)
    assert (dry.exit, dry.result["outcome"]) == (0, "planned")
    assert snapshot(host) == bare
    first = stage.made_ready()
    assert first.result["outcome"] == "ready"
    assert first.plan == dry.plan
    assert {
        ("user", USER),
        ("user", DEPLOY),
        ("keys", DEPLOY),
        ("folder", ROOT),
        ("file", HELPER),
        ("file", SITE),
    } <= (first.changes())
    ready = snapshot(host)
    again = stage.setup()
    assert (again.exit, again.result["outcome"], again.changes()) == (0, "unchanged", set())
    assert snapshot(host) == ready
    note = json.loads(host.run("cat", f"/etc/tagship/{USER}.json").stdout)
    assert note == {
        "helper": 1,
        "app": "blog",
        "stage": "lab",
        "root": ROOT,
        "deploy": DEPLOY,
        "user": USER,
        "nginx": "www-data",
    }
    assert host.run("sudo", "-n", HELPER, USER, "version", user=DEPLOY).stdout == "1\n"
    said = host.run("systemd-analyze", "verify", f"/etc/systemd/system/{USER}@.service", user="root", check=False)
    assert said.stderr.splitlines() == [
        line for line in said.stderr.splitlines() if "/start is not executable" in line
    ]


def test_who_may_what_on_a_host_that_is_ready(host: Host, stage: Stage) -> None:
    """Three users, each with what the table of docs/adr/0009 gives it, and nothing more; also after a reboot."""
    stage.made_ready()
    stage_by_hand(host, "0001", SERVE)
    host.run("sudo", "-n", HELPER, USER, "start", "0001", user=DEPLOY)

    code, data = f"{ROOT}/releases/0001-v1/app/code.py", f"{ROOT}/shared/data"
    table = {
        f"cat {code}": {DEPLOY, USER},
        f"cat {ROOT}/releases/0001-v1/public/index.html": {DEPLOY, USER, "www-data", "nobody"},
        f"ls {ROOT}/objects": {DEPLOY},
        f"ls {ROOT}/state": {DEPLOY},
        f"ls {ROOT}/shared": {DEPLOY},
        f"touch {ROOT}/mine": {DEPLOY},
        f"touch {ROOT}/releases/0001-v1/public/index.html": {DEPLOY},
        f"touch {data}/new && rm {data}/new": {DEPLOY, USER},
        f"ls {data}": {DEPLOY, USER},
        f"ls {ROOT}/shared/media": {DEPLOY, USER, "www-data", "nobody"},
        f"touch {ROOT}/shared/media/new && rm {ROOT}/shared/media/new": {DEPLOY, USER},
        f"ls /run/{USER}": {DEPLOY, USER},
        f"ls /run/{USER}/0001": {DEPLOY, USER, "www-data"},
        f"touch /run/{USER}/0001/new": {USER},
        f"touch /run/{USER}/new": set(),
        f"test -w /etc/tagship/{USER}.json || test -w {HELPER} || test -w {SITE}": set(),
        f"cat /etc/sudoers.d/tagship-{USER}": set(),
        f"sudo -n {HELPER} {USER} version": {DEPLOY},
    }
    tries = [(script, user) for script in table for user in (DEPLOY, USER, "www-data", "nobody")]
    said = ask_all(host, [["runuser", "-u", user, "--", "sh", "-c", script] for script, user in tries], user="root")
    could: dict[str, set[str]] = {script: set() for script in table}
    for (script, user), (status, _out, _err) in zip(tries, said, strict=True):
        could[script] |= {user} if status == 0 else set()
    assert could == table

    tried = json.loads(host.run("curl", "-sf", "http://127.0.0.1/what").stdout)
    writable = {path for path, how in tried.items() if how == "yes"}
    assert writable == {f"{data}/mine", f"{ROOT}/shared/media/mine", f"/run/{USER}/0001/mine", "/tmp/mine"}
    assert (tried["homes"], tried["no new privileges"], int(tried["capabilities"], 16)) == (False, "1", 0)
    assert tried["code"] == "secret = 1\n"
    assert host.run("test", "-e", "/tmp/mine", check=False).returncode == 1  # its /tmp is its own
    assert host.run("curl", "-sf", "http://127.0.0.1/.well-known/tagship-release").stdout == "0001-v1"
    assert host.run("curl", "-sf", "http://127.0.0.1/").stdout == "<p>a page</p>"

    host.reboot()
    assert host.run("curl", "-sf", "--retry", "9", "--retry-all-errors", "http://127.0.0.1/what").stdout
    again = stage.setup()
    assert (again.result["outcome"], again.changes()) == ("unchanged", set())


def test_a_failure_puts_the_files_back(hosts: Hosts, tmp_path: Path) -> None:
    """Where nginx isn't content with a site, the old one serves on, and the other host is ready nevertheless."""
    good, bad = hosts(2)
    stage = Stage(tmp_path, [good, bad])
    stage.made_ready()
    # Fine by itself, and where it stands with nothing else of that name.
    put(bad, "/etc/nginx/conf.d/zone.conf", "limit_req_zone $uri zone=mine:1m rate=1r/s;\n", user="root")
    (tmp_path / "own.j2").write_text(
        "limit_req_zone $remote_addr zone=mine:1m rate=1r/s;\nserver { listen 80 default_server; root {{ root }}; }\n"
    )
    stage.write(nginx={"template": "own.j2", "max_body": "20m"}, service={"memory": "300m"})
    before = {host: snapshot(host) for host in (good, bad)}
    texts = bad.run("cat", SITE, f"/etc/systemd/system/{USER}@.service").stdout
    said = stage.setup()
    assert (said.exit, said.result["outcome"]) == (4, "restored")
    assert [(row["host"], row["ok"]) for row in said.result["hosts"]] == [(good.name, True), (bad.name, False)]
    assert said.error["where"] == bad.name
    assert "nginx -t" in said.error["what"]
    assert any("mine" in line for line in said.error["tail"])
    assert f"{good.name}: ready" in said.error["tail"]
    assert bad.run("cat", SITE, f"/etc/systemd/system/{USER}@.service").stdout == texts
    assert "LimitDATA" not in bad.run("systemctl", "cat", f"{USER}@0001").stdout
    assert set(snapshot(bad)) == set(before[bad])
    bad.run("nginx", "-t", user="root")
    assert "rate=1r/s" in good.run("cat", SITE).stdout
    assert "MemoryMax=300M" in good.run("systemctl", "cat", f"{USER}@0001").stdout

    bad.run("rm", "/etc/nginx/conf.d/zone.conf", user="root")
    assert stage.made_ready().changes(0) == set()
    assert "LimitDATA=300M" in bad.run("systemctl", "cat", f"{USER}@0001").stdout


def test_what_stands_in_the_way_is_refused_before_anything_is_changed(host: Host, stage: Stage) -> None:
    """A name, a folder, a file, a port or a certificate that isn't ours, or isn't there: all are told at once."""
    for command in (
        "useradd --create-home --shell /bin/bash person",
        "mkdir -p /srv/theirs /srv/roots/full /srv/linked && chown person /srv/theirs && ln -s /etc /srv/link",
        f"echo '[Unit]' >/etc/systemd/system/{USER}.service",
        "mkdir -p /etc/tagship",
        """echo '{"app": "other", "stage": "lab", "root": "/srv/other", "user": "theirs", "deploy": "person"}' """
        ">/etc/tagship/other-lab.json",
        "useradd --system theirs",
        "systemd-run --unit=squatter python3 -m http.server 8099",
    ):
        host.run("sh", "-c", command, user="root")
    before = snapshot(host)

    def refused(exit: int = 3, **settings: object) -> str:
        stage.write(**settings)  # type: ignore[arg-type]
        said = stage.setup()
        assert said.exit == exit, (settings, said.events)
        return json.dumps(said.error)

    assert "not of tagship's making" in refused()
    assert snapshot(host) == before
    host.run("rm", f"/etc/systemd/system/{USER}.service", user="root")
    before = snapshot(host)
    assert "is root, and must not be the deploy user" in refused(host={"user": "root"})
    assert "is root, and must not be the service user" in refused(service={"user": "root"})
    assert "deploy is there already, and can log in" in refused(service={"user": "deploy"})
    assert "theirs is the service user of other-lab" in refused(service={"user": "theirs"})
    assert "person is the deploy user of other-lab" in refused(service={"user": "person"})
    assert "theirs is the service user of other-lab" in refused(host={"user": "theirs"})
    assert "/srv/theirs belongs to person" in refused(root="/srv/theirs")
    assert "/srv/theirs, above /srv/theirs/blog, belongs to person" in refused(root="/srv/theirs/blog")
    assert "/srv/roots is root's, and there is something in it" in refused(root="/srv/roots")
    assert "/srv/link is not a folder" in refused(root="/srv/link")
    assert "/home/person, above /home/person/blog, belongs to person" in refused(root="/home/person/blog")
    tls = {"certificate": "/etc/letsencrypt/live/x/fullchain.pem", "key": "/etc/letsencrypt/live/x/privkey.pem"}
    both = refused(nginx={"tls": tls})
    assert tls["certificate"] in both
    assert tls["key"] in both
    assert "port 8099 is taken by python3" in refused(nginx={"listen": ["8099"]})
    assert snapshot(host) == before
    stage.write()
    stage.made_ready()
    before = snapshot(host)
    assert f"/etc/tagship/{USER}.json belongs to the root {ROOT}, not /srv/elsewhere" in refused(
        root="/srv/elsewhere"
    )
    assert snapshot(host) == before


def test_a_project_brings_its_own_site(host: Host, stage: Stage) -> None:
    """Its template is filled in with the same values; a mistake in it is told with file and line."""
    template = stage.folder / "own.j2"
    template.write_text("server {\n    listen {{ nginx.listen[0] }} default_server;\n    return 200 {{ naem }};\n}\n")
    stage.write(nginx={"template": "own.j2", "listen": ["8088"]})
    said = stage.setup()
    assert (said.exit, said.error["where"]) == (2, "own.j2:3")
    assert "naem" in said.error["what"]
    template.write_text(
        'server {\n    listen {{ nginx.listen[0] }} default_server;\n    return 200 "{{ name }}";\n}\n'
    )
    stage.made_ready()
    assert host.run("curl", "-sf", "http://127.0.0.1:8088/").stdout == USER
    # Nobody stands in the way of Debian's own default site on port 80, so it stays.
    assert host.run("readlink", "/etc/nginx/sites-enabled/default").stdout == "/etc/nginx/sites-available/default\n"


def test_an_admin_who_is_not_root(host: Host, stage: Stage) -> None:
    """Goes through sudo; where that asks for a password, it is said so, with the way out."""
    host.run("useradd", "--create-home", "--shell", "/bin/bash", "ada", user="root")
    host.run("sh", "-c", "cp -r /root/.ssh /home/ada/ && chown -R ada /home/ada/.ssh", user="root")
    said = stage.setup("--admin", "ada")
    assert (said.exit, said.result["outcome"]) == (3, "refused")
    assert "may not become root" in said.error["what"]
    assert "--admin" in said.error["cure"]
    put(host, "/etc/sudoers.d/ada", "ada ALL=(ALL) NOPASSWD: ALL\n", "0440", user="root")
    stage.made_ready("--admin", "ada")
    assert stage.setup("--admin", "ada").result["outcome"] == "unchanged"


def test_a_host_that_answers_no_requests_gets_no_nginx(host: Host, stage: Stage) -> None:
    """A worker's host has users, units and the helper; nginx stays as it was, and needs not even be installed."""
    host.run("sh", "-c", "dpkg --purge --force-depends nginx-light nginx-common nginx", user="root")
    stage.write(host={"roles": ["worker"]})
    stage.made_ready()
    assert json.loads(host.run("cat", f"/etc/tagship/{USER}.json").stdout)["nginx"] == ""
    assert host.run("ls", "/etc/nginx", check=False).returncode != 0
    # And on one that needs it, without a way to a mirror, it is clear what is missing.
    stage.write()
    said = stage.setup()
    assert (said.exit, said.result["outcome"]) == (4, "restored")
    assert said.error["what"].startswith("nginx-light can't be installed")
    assert "mirror" in said.error["cure"]


def test_a_setup_that_was_cut_off_is_finished_by_the_next(host: Host, stage: Stage) -> None:
    """Whatever the cut left as it should be already: the last acts are done again, and then it is over."""
    stage.made_ready()
    put(host, f"/etc/tagship/.{USER}.unfinished", "", user="root")
    host.run("sh", "-c", f"rmdir /run/{USER} && systemctl stop nginx", user="root")
    said = stage.made_ready()
    assert said.plan[0]["unfinished"] is True
    assert said.plan[0]["acts"]
    host.run("test", "-d", f"/run/{USER}")
    host.run("systemctl", "is-active", "nginx")
    assert stage.setup().result["outcome"] == "unchanged"


def test_a_client_that_dies_midway_leaves_the_host_as_it_was(host: Host, stage: Stage) -> None:
    """The agent puts the files back by itself, and meanwhile lets no second setup in."""
    stage.made_ready()
    before, texts = snapshot(host), host.run("cat", SITE, f"/etc/systemd/system/{USER}@.service").stdout
    put(host, "/usr/local/sbin/nginx", "#!/bin/sh\nexec sleep 300\n", "0755", user="root")
    stage.write(nginx={"max_body": "20m"}, service={"memory": "300m"})
    with stage.begun() as dying:
        until(lambda: "sleep" in host.run("ps", "-eo", "comm").stdout.split(), "it is testing nginx's configuration")
        host.run("test", "-e", f"/etc/tagship/.{USER}.unfinished")
        second = stage.setup()
        assert (second.exit, second.result["outcome"]) == (6, "locked"), second.events
        assert second.error["holder"].items() >= {"release": USER, "verb": "setup"}.items()
        dying.kill()
    until(
        lambda: host.run("test", "-e", f"/etc/tagship/.{USER}.unfinished", check=False).returncode != 0,
        "it puts back and says so",
    )
    assert host.run("cat", SITE, f"/etc/systemd/system/{USER}@.service").stdout == texts
    host.run("rm", "/usr/local/sbin/nginx", user="root")
    assert set(snapshot(host)) == set(before)
    stage.made_ready()


def test_keys_are_added_and_no_link_is_followed(host: Host, stage: Stage) -> None:
    """Who deploys owns their home: what they put into root's way there is refused, and their own lines stay."""
    stage.made_ready()
    authorized = f"/home/{DEPLOY}/.ssh/authorized_keys"
    host.run("sh", "-c", f"echo '# mine' >>{authorized}", user=DEPLOY)
    key = stage.folder / "more.pub"
    public = host.identity.with_suffix(".pub").read_text().split()[1]
    other = public[:-4] + ("AAAA" if not public.endswith("AAAA") else "BBBB")
    key.write_text(f"ssh-ed25519 {other} ada@ci\n")
    assert stage.made_ready("--key", str(key)).changes() == {("keys", DEPLOY)}
    lines = host.run("cat", authorized, user=DEPLOY).stdout.splitlines()
    assert lines[1:] == ["# mine", f"ssh-ed25519 {other} ada@ci"]
    assert host.run("stat", "-c", "%U %a", authorized, user=DEPLOY).stdout == f"{DEPLOY} 600\n"
    host.run("sh", "-c", f"mv {authorized} /home/{DEPLOY}/kept && ln -s /etc/shadow {authorized}", user=DEPLOY)
    shadow = host.run("cat", "/etc/shadow", user="root").stdout
    said = stage.setup()
    assert said.exit == 3, said.events
    assert "authorized_keys" in said.error["what"]
    assert host.run("cat", "/etc/shadow", user="root").stdout == shadow
