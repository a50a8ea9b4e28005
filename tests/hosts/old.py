"""Services as they are found: an application with a database and uploads, run by a unit, behind a site of nginx's.

And clients that never rest: each request, of a connection of its own, is counted, and each note that was accepted.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hosts.outfit import put
from verbs.project import Project

from lab.host import Host

NAME, DOMAIN, ROOT, USER = "notes", "notes.example.org", "/srv/notes", "notes"
PORT = 8001

SERVER = '''\
"""Notes in SQLite: GET / counts them, GET /who says who answers, POST adds one. serve.py WHERE VERSION DATABASE"""

import http.server
import os
import socketserver
import sqlite3
import sys

WHERE, VERSION, DATABASE = sys.argv[1:]


def database():
    found = sqlite3.connect(DATABASE, timeout=30)
    found.execute("pragma journal_mode=wal")
    found.execute("create table if not exists notes (text unique)")
    return found


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        with database() as db:
            count = db.execute("select count(*) from notes").fetchone()[0]
        self.answer(200, VERSION if self.path == "/who" else str(count))

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with database() as db:
            db.execute("insert into notes values (?)", (text,))
        self.answer(201, "noted")

    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "nginx"

    def log_message(self, *words):
        pass


class Tcp(socketserver.ThreadingTCPServer):
    daemon_threads, request_queue_size, allow_reuse_address = True, 256, True


class Unix(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads, request_queue_size = True, 256


database().close()
if WHERE.startswith("/"):
    server = Unix(WHERE, Handler)
    os.chmod(WHERE, 0o666)
else:
    server = Tcp(("127.0.0.1", int(WHERE)), Handler)
server.serve_forever()
'''

UNIT = """\
[Service]
User={user}
WorkingDirectory={folder}
ExecStart=/usr/bin/python3 serve.py {where} old {database}
UMask=0022

[Install]
WantedBy=multi-user.target
"""

SITE = """\
server {{
    listen 80;
    server_name {domain};
    location /media/ {{ alias {media}/; }}
    location /static/ {{ root {public}; }}
    location / {{ proxy_pass http://127.0.0.1:{port}; proxy_set_header Host $host; }}
}}
"""


@dataclass(frozen=True)
class Old:
    """Where the old service's parts lie on its host."""

    folder: str
    """What its unit and its site name."""
    data: str
    media: str
    public: str

    def install(self, host: Host, tree: str) -> None:
        """Lay it out in `tree`, and run it."""
        script = f"""
            set -e
            useradd --system --user-group --no-create-home --shell /usr/sbin/nologin {USER}
            mkdir -p {tree}/public/static {self.data} {self.media}
            echo picture >{self.media}/one.txt
            echo style >{tree}/public/static/style.css
            chown -R {USER}:{USER} {self.data} {self.media}
        """
        host.run("sh", "-c", script, user="root")
        put(host, f"{tree}/serve.py", SERVER, user="root")

    def serve(self, host: Host) -> None:
        """Enable its unit and its site."""
        unit = UNIT.format(user=USER, folder=self.folder, where=PORT, database=f"{self.data}/notes.db")
        put(host, "/etc/systemd/system/notes-old.service", unit, user="root")
        site = SITE.format(domain=DOMAIN, media=self.media, public=self.public, port=PORT)
        put(host, "/etc/nginx/sites-available/old", site, user="root")
        script = (
            "ln -s /etc/nginx/sites-available/old /etc/nginx/sites-enabled/old && systemctl daemon-reload &&"
            "systemctl enable --quiet --now notes-old nginx && systemctl reload nginx"
        )
        host.run("sh", "-c", script, user="root")
        curl = "curl -sf --retry 10 --retry-delay 1 --retry-max-time 10 --retry-all-errors"
        host.run("sh", "-c", f"{curl} http://127.0.0.1:{PORT}/")


@dataclass
class Clients:
    """What came of all requests so far."""

    host: Host
    failed: list[str] = field(default_factory=list)
    accepted: set[str] = field(default_factory=set)
    asked: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def ask(self, method: str, path: str, body: str | None = None) -> tuple[int, str]:
        """One request over a connection of its own."""
        connection = http.client.HTTPConnection(self.host.address, 80, timeout=30)
        try:
            connection.request(method, path, body, {"Host": DOMAIN, "Connection": "close"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def get(self, path: str) -> str:
        """What a good answer says."""
        status, text = self.ask("GET", path)
        assert status == 200, (path, status, text)
        return text

    def _read(self, path: str) -> None:
        while not self._stop.is_set():
            self._count(f"GET {path}", lambda: self.ask("GET", path)[0], 200)

    def _write(self, name: str) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            text = f"{name} {number}"
            if self._count(f"POST {text}", lambda text=text: self.ask("POST", "/notes", text)[0], 201):
                self.accepted.add(text)

    def _count(self, title: str, ask: object, wanted: int) -> bool:
        self.asked += 1
        try:
            status = ask()  # type: ignore[operator]
        except (OSError, http.client.HTTPException) as error:
            self.failed.append(f"{time.strftime('%T')} {title}: {error!r}")
            return False
        if status != wanted:
            self.failed.append(f"{time.strftime('%T')} {title}: {status}")
        time.sleep(0.002)  # so that they leave the machine some time for what they watch
        return bool(status == wanted)

    @contextmanager
    def at_work(self) -> Iterator[Clients]:
        """Ask without end meanwhile."""
        reads = [threading.Thread(target=self._read, args=(path,)) for path in ("/count", "/media/one.txt")]
        writes = [threading.Thread(target=self._write, args=(name,)) for name in ("ada", "bob")]
        for thread in (*reads, *writes):
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in (*reads, *writes):
                thread.join()


def noted(host: Host, path: str) -> set[str]:
    """What stands in a database there."""
    select = "sqlite3.connect(sys.argv[1]).execute('select text from notes')"
    script = f"import sqlite3, sys; print('\\n'.join(text for text, in {select}))"
    return set(host.run("python3", "-c", script, path, user="root").stdout.splitlines())


def successor(project: Project, host: Host) -> None:
    """The same application as a project of ours, whose stage `lab` is `host`."""
    project.write({"serve.py": SERVER})
    project.edit("tagship.yml", r"(?m)^  start: .*\n  prepare:\n.*\n", START)
    entry = f"{{name: web1, host: {host.address}, identity: {host.identity}, known_hosts: {host.known_hosts}}}"
    stage = f"  lab:\n    service: {{user: {USER}}}\n    nginx: {{names: [{DOMAIN}]}}\n    hosts:\n      - {entry}\n"
    project.edit("tagship.yml", r"(?m)^stages:\n", f"stages:\n{stage}")
    project.stages = []


START = """\
  start: python3 serve.py {socket} new data/notes.db
  probe: {path: /count}
  shared: {dirs: [data, media], served: [media]}
"""

FOUND = r"""
import hashlib, json, os, sys
found = {}
for top in sys.argv[1:]:
    for folder, folders, files in os.walk(top):
        for name in [".", *folders, *files]:
            path = os.path.normpath(os.path.join(folder, name))
            one = os.lstat(path)
            what = os.readlink(path) if os.path.islink(path) else ""
            if os.path.isfile(path) and not os.path.islink(path) and "notes.db" not in path:
                what = hashlib.sha256(open(path, "rb").read()).hexdigest()
            found[path] = [one.st_mode, one.st_uid, one.st_gid, what]
print(json.dumps(found))
"""


def state(host: Host, *tops: str) -> dict[str, Any]:
    """Everything below `tops`: kinds, modes, owners, contents, targets; but what the database is made of."""
    found: dict[str, Any] = json.loads(host.run("python3", "-c", FOUND, *tops, user="root").stdout)
    return found
