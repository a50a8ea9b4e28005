"""A stage of lab hosts with units and nginx, and a small WSGI application that behaves as its tag says."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from contract.projects import shipment_of

from lab.host import Host
from tagship.app.project import open_project
from tagship.app.setup import Setup
from tagship.config import App, Stage
from tagship.events import Event, ignore
from tagship.ship import changing, connecting, looking
from tagship.ship.fleet import Fleet
from tagship.ship.outcome import Outcome
from tagship.ship.shipment import Made, Shipment
from tagship.ship.status import HostStatus

NAME, ROOT, USER = "lab", "/srv/blog", "blog-lab"
SETTLED = 15.0
"""Seconds after a boot for what is current to answer."""

SERVER = """
import json, os, socket, socketserver, sys, time
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

how, answered = open("how.txt").read(), []
print("it is", how, "and knows", os.environ.get("SECRET"), flush=True)
if how == "exits":
    sys.exit(3)
if how == "raises":
    import no_such_module
if how == "eats":
    eaten = [bytearray(1 << 20) for _ in range(1 << 12)]

def application(environ, start_response):
    answered.append(1)
    if how == "slow":
        time.sleep(30)
    if how == "dies" and environ["HTTP_HOST"] != "localhost":
        os._exit(4)
    body = json.dumps({"tag": open("version.txt").read(), "user": os.getuid(), "pid": os.getpid()}).encode()
    status = "500 Oh no" if how == "500" else "200 OK"
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]

class Server(socketserver.ThreadingMixIn, WSGIServer):
    address_family, daemon_threads, request_queue_size = socket.AF_UNIX, True, 64
    def server_bind(self):
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "app", 80
        self.setup_environ()
    def get_request(self):
        return self.socket.accept()[0], ("nginx", 0)

class Handler(WSGIRequestHandler):
    def log_message(self, *words):
        pass

if how != "private":
    os.umask(0)
server = Server(sys.argv[1], Handler)
server.set_app(application)
server.serve_forever()
"""
WORKER = """
import sys, time
how = open("how.txt").read()
print("the worker begins", flush=True)
if how == "worker ends":
    time.sleep(0.3)
    sys.exit(5)
time.sleep(3600)
"""


class Site:
    """The project in `folder` whose stage is `hosts`, named web1, web2, ...; `roles` of those that have others."""

    def __init__(self, folder: Path, hosts: Sequence[Host], *, roles: Mapping[str, Sequence[str]] | None = None):
        self.folder = folder
        self.hosts = {f"web{number}": host for number, host in enumerate(hosts, 1)}
        self.roles = dict(roles or {})
        self.events: list[Event] = []
        self.write()

    def write(self, *, app: Mapping[str, Any] | None = None, **stage: Any) -> None:
        """Write tagship.yml and read it; what isn't given is as usual."""
        entries = [
            {
                "host": host.address,
                "name": name,
                "identity": str(host.identity),
                "known_hosts": str(host.known_hosts),
                "roles": list(self.roles.get(name, ["web"])),
                **stage.get("host", {}),
            }
            for name, host in self.hosts.items()
        ]
        settings = {"name": "blog", "start": "python3 serve.py {socket}", "probe": {"timeout": "3s"}, **(app or {})}
        rest = {key: value for key, value in stage.items() if key != "host"}
        document = {"app": settings, "stages": {NAME: {"hosts": entries, "drain": "5s", **rest}}}
        (self.folder / "tagship.yml").write_text(yaml.safe_dump(document))
        self.project = open_project(self.folder)

    @property
    def app(self) -> App:
        return self.project.config.app

    @property
    def stage(self) -> Stage:
        return self.project.config.stage(NAME)

    def setup(self) -> None:
        """`fab setup`."""
        made = Setup(self.project, NAME, self.stage, ignore).run(admin="root", key=None, dry=False, owner="me@here")
        assert made.exit == 0, made

    def fleet(self) -> Fleet:
        return connecting.connect(NAME, self.stage, self.app, self.folder)

    def deploy(self, tag: str, how: str = "well", listener: Any = None, **files: str) -> Outcome:
        """Deploy an application that behaves as `how` says."""
        self.events.clear()
        made = Made("me@here", "2026-01-02T03:04:05Z")
        load = shipment(tag, self.app, how, files)
        with self.fleet() as self.linked:
            return changing.deploy(self.linked, self.stage, load, listener or self.events.append, made=made)

    def kill_agent(self, name: str = "web1") -> None:
        """SIGKILL to the agent of the deploy that is under way."""
        self.hosts[name].run("kill", "-KILL", str(self.linked.link(name).agent_pid))

    def rollback(self) -> Outcome:
        with self.fleet() as fleet:
            return changing.rollback(fleet, self.stage, self.events.append, owner="me@here")

    def stop(self) -> Outcome:
        with self.fleet() as fleet:
            return changing.stop(fleet, self.stage, self.events.append, owner="me@here")

    def start(self) -> Outcome:
        with self.fleet() as fleet:
            return changing.start(fleet, self.stage, self.events.append, owner="me@here")

    def status(self) -> tuple[HostStatus, ...]:
        with self.fleet() as fleet:
            return looking.status(fleet)

    def read(self, name: str = "web1") -> dict[str, Any]:
        """What a visitor gets from outside; raises `OSError`."""
        with urllib.request.urlopen(f"http://{self.hosts[name].address}/who", timeout=20) as answer:
            found: dict[str, Any] = json.loads(answer.read())
        return found

    def comes_back(self, name: str = "web1") -> dict[str, Any]:
        """`read`, once the host answers after it was booted."""
        deadline = time.monotonic() + SETTLED
        while True:
            try:
                return self.read(name)
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)


class Reader(threading.Thread):
    """Somebody who reads without an end: the tags that answered, in order, and what failed."""

    def __init__(self, site: Site):
        super().__init__(daemon=True)
        self.site = site
        self.tags: list[str] = []
        self.failures: list[str] = []
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.is_set():
            try:
                tag = self.site.read()["tag"]
                if self.tags[-1:] != [tag]:
                    self.tags.append(tag)
            except (OSError, ValueError) as error:
                self.failures.append(repr(error))

    def __enter__(self) -> Reader:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join(30)


def shipment(tag: str, app: App, how: str, files: Mapping[str, str]) -> Shipment:
    """The application at `tag`; `files` are others of its tree, by path below `app/`."""
    texts = {"serve.py": SERVER, "worker.py": WORKER, "how.txt": how, "version.txt": tag, **files}
    contents = {f"app/{name}": text.encode() for name, text in texts.items()}
    contents["public/page.html"] = tag.encode()
    return shipment_of(tag, contents, app)
