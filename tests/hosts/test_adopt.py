"""`fab adopt` on a real host: taken over, deployed to, rolled back, given back, and no request that noticed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hosts.old import DOMAIN, PORT, ROOT, Clients, Old, noted, state, successor
from hosts.outfit import put
from verbs.conftest import Make, make
from verbs.project import Project, Ran, eventually

from lab.host import Host

__all__ = ["make"]
pytestmark = pytest.mark.lab

CLOSED = """
import http.server, os, socketserver, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204)
        self.end_headers()
    def address_string(self):
        return "nobody"
server = socketserver.UnixStreamServer(sys.argv[1], Answer)
os.chmod(sys.argv[1], 0o600)
server.serve_forever()
"""
"""Answers who may connect to its socket: root alone."""
UPSTREAM = ("--upstream", f"127.0.0.1:{PORT}")


@pytest.fixture
def host(hosts: Callable[[int], list[Host]]) -> Host:
    """One host, freshly installed."""
    return hosts(1)[0]


@pytest.fixture
def project(make: Make, host: Host) -> Project:
    """The application that is to replace the old one."""
    made = make("notes")
    successor(made, host)
    made.tag("v1.0.0")
    return made


def fab(project: Project, verb: str, *words: str, exit: int = 0) -> Ran:
    """A verb on the stage, which has to end so."""
    flags = ["--dry"] if "--dry" in words else []
    done = project.run("fab", *flags, verb, "--stage", "lab", *(word for word in words if word != "--dry"))
    assert done.exit == exit, done.said
    return done


def capistrano(host: Host) -> Old:
    """releases/ and current, the data in shared/, all below the root that is to be ours."""
    tree = f"{ROOT}/releases/20260101120000"
    old = Old(f"{ROOT}/current", f"{ROOT}/shared/data", f"{ROOT}/shared/media", f"{ROOT}/current/public")
    old.install(host, tree)
    script = (
        f"ln -s {tree} {ROOT}/current && chown deploy: {ROOT} {ROOT}/releases &&"
        f"chown deploy:www-data {ROOT}/shared && chmod 2775 {ROOT}/shared"
    )
    host.run("sh", "-c", script, user="root")
    old.serve(host)
    return old


def plain(host: Host) -> Old:
    """A real folder called `current`, with the database and the uploads in it."""
    old = Old(f"{ROOT}/current", f"{ROOT}/current/db", f"{ROOT}/current/uploads", f"{ROOT}/current/public")
    old.install(host, f"{ROOT}/current")
    old.serve(host)
    return old


def test_a_capistrano_tree_is_taken_over_and_given_back(host: Host, project: Project) -> None:
    """Adopt, deploy, deploy, roll back, back to the old one, undo: no request fails, no accepted note is lost."""
    old = capistrano(host)
    before = state(host, "/etc/nginx/sites-enabled", f"{ROOT}/releases", f"{ROOT}/current")
    clients = Clients(host)
    with clients.at_work():
        dry = fab(project, "adopt", *UPSTREAM, "--dry").out
        assert "notes-old.service" in dry
        assert "sites-enabled/old" in dry
        assert state(host, "/etc/nginx/sites-enabled", f"{ROOT}/releases", f"{ROOT}/current") == before
        adopted = fab(project, "adopt", *UPSTREAM).out
        assert "systemctl disable --now notes-old.service" in adopted
        assert host.run("readlink", f"{ROOT}/current").stdout == "releases/0001-adopted\n"
        assert clients.get("/who") == "old"
        assert clients.get("/static/style.css") == "style\n"
        assert "nothing to adopt" in fab(project, "adopt", *UPSTREAM).out
        assert "nothing was changed" in fab(project, "setup").out
        assert clients.get("/who") == "old"
        fab(project, "deploy")
        assert clients.get("/who") == "new"
        project.tag("v1.1.0")
        project.write({"version.txt": "two"})
        project.tag("v1.2.0")
        fab(project, "deploy")
        fab(project, "rollback")
        fab(project, "rollback", "--to", "0001-adopted")
        assert clients.get("/who") == "old"
        assert "verify" not in fab(project, "verify").out
        fab(project, "rollback", "--to", "v1.2.0")
        fab(project, "adopt", "--undo")
        assert clients.get("/who") == "old"
    assert clients.failed == []
    assert clients.accepted
    assert host.run("stat", "-c", "%U:%G %a", f"{ROOT}/shared").stdout == "deploy:www-data 2775\n"
    assert noted(host, f"{old.data}/notes.db") >= clients.accepted
    assert host.run("readlink", f"{ROOT}/current").stdout == f"{ROOT}/releases/20260101120000\n"
    after = state(host, "/etc/nginx/sites-enabled", f"{ROOT}/releases", f"{ROOT}/current")
    assert {path: after[path] for path in before} == before
    assert (
        after.keys() - before.keys()
        == {path for path in after if path.startswith(f"{ROOT}/releases/")} - before.keys()
    )
    assert host.run("systemctl", "is-active", "notes-lab@0001", check=False).stdout.strip() == "inactive"
    host.run("systemctl", "restart", "notes-old", user="root")


def test_a_folder_called_current_is_taken_over_where_it_lies(host: Host, project: Project) -> None:
    """A deploy refuses it and names the way; its live database and its uploads stay one set of files throughout."""
    old = plain(host)
    host.run("chown", "deploy:", ROOT, user="root")
    shares = ("--share", f"data={old.data}", "--share", f"media={old.media}")
    clients = Clients(host)
    with clients.at_work():
        fab(project, "adopt", *UPSTREAM, *shares)
        assert clients.get("/who") == "old"
        fab(project, "deploy")
        assert clients.get("/who") == "new"
        fab(project, "rollback")
        assert clients.get("/who") == "old"
        fab(project, "deploy")
        fab(project, "rollback", "--to", "0001-adopted")
        host.run("systemctl", "is-active", "notes-old")
        fab(project, "adopt", "--undo")
        assert clients.get("/who") == "old"
    assert clients.failed == []
    assert noted(host, f"{old.data}/notes.db") >= clients.accepted
    assert "directory" in host.run("stat", "-c", "%F", f"{ROOT}/current").stdout


def test_what_fails_midway_leaves_everything_as_it_was(host: Host, project: Project) -> None:
    """A site that nginx chokes on, a service that the relay can't reach, data that the service can't write."""
    old = capistrano(host)
    tops = ("/etc/nginx", f"{ROOT}/releases/20260101120000", f"{ROOT}/shared", f"{ROOT}/current")
    before = state(host, *tops)
    clients = Clients(host)
    with clients.at_work():
        put(host, "/etc/nginx/conf.d/broken.conf", "limit_req zone=nowhere;\n", user="root")
        said = fab(project, "adopt", *UPSTREAM, exit=4).said
        assert "nginx -t" in said
        host.run("rm", "/etc/nginx/conf.d/broken.conf", user="root")
        assert state(host, *tops) == before
        nobody = fab(project, "adopt", "--upstream", "127.0.0.1:8009", exit=3).said
        assert "Connection refused" in nobody
        unreachable = f"unix:{ROOT}/shared/closed.sock"
        host.run("systemd-run", "--unit=closed", "--uid=root", "python3", "-c", CLOSED, unreachable[5:], user="root")
        said = fab(project, "adopt", "--upstream", unreachable, "--site", "old", exit=4).said
        assert "502" in said
        assert "Permission denied" in said
        host.run("sh", "-c", f"systemctl stop closed; rm -f {ROOT}/shared/closed.sock", user="root")
        assert state(host, *tops) == before
    assert clients.failed == []
    host.run("chown", "-R", "root:", old.data, user="root")
    refused = fab(project, "adopt", *UPSTREAM, "--share", f"data={old.data}", exit=3).said
    assert "couldn't write" in refused
    assert "service.user: root" not in refused


def test_a_client_that_dies_midway_leaves_everything_as_it_was(host: Host, project: Project) -> None:
    """The agents put it back by themselves, whatever was under way; the next adoption clears up after them."""
    capistrano(host)
    tops = ("/etc/nginx", f"{ROOT}/releases/20260101120000", f"{ROOT}/shared", f"{ROOT}/current")
    before = state(host, *tops)
    clients = Clients(host)

    def as_before() -> bool:
        over = host.run("test", "-e", "/etc/tagship/.notes-lab.unfinished", check=False).returncode != 0
        running = host.run("pgrep", "-f", "relay.py", check=False).stdout
        return over and not running and state(host, *tops) == before

    with clients.at_work():
        for phase in ("start", "switch", "prove"):
            with project.begun("fab", "adopt", "--stage", "lab", *UPSTREAM) as begun:
                assert begun.process.stdout
                told = iter(begun.process.stdout)
                assert any(f'"phase": "{phase}"' in line or f'"phase":"{phase}"' in line for line in told), phase
                begun.process.kill()
            eventually(as_before, f"killed during `{phase}`, it isn't as it was")
        fab(project, "adopt", *UPSTREAM)
        assert clients.get("/who") == "old"
    assert clients.failed == []
    host.reboot()
    curl = "curl -sf --retry 10 --retry-delay 1 --retry-max-time 20 --retry-all-errors"
    who = host.run("sh", "-c", f"{curl} -H 'Host: {DOMAIN}' http://127.0.0.1/who").stdout
    assert who == "old"
