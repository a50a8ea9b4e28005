"""`inv serve`, over real sockets."""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest
from unit.press_project import HELLO, SITE, site, snapshot, write

from tagship.errors import UsageError
from tagship.press import serve

LONG = 60
"""Seconds after which something that should have come never will."""


class Server:
    """A running `serve` and what it told."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.told: queue.Queue[serve.Event] = queue.Queue()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.loader: serve.SiteLoader = lambda: SITE

    def run(self) -> None:
        serve.serve(self.project, self.loader, port=0, on_event=self.told.put, drafts=True, stop=self.stop)

    def next(self) -> serve.Event:
        return self.told.get(timeout=LONG)

    def get(self, path: str, method: str = "GET") -> tuple[HTTPResponse, str]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=LONG)
        connection.request(method, path)
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer, body


@contextmanager
def serving_by(server: Server) -> Iterator[Server]:
    server.thread.start()
    try:
        first = server.next()
        assert isinstance(first, serve.Serving)
        server.port = int(first.url.rstrip("/").rpartition(":")[2])
        yield server
    finally:
        server.stop.set()
        server.thread.join(LONG)
    assert not server.thread.is_alive()


def serving(project: Path) -> AbstractContextManager[Server]:
    return serving_by(Server(project))


def test_pages_are_served_with_the_script_and_files_without(tmp_path: Path) -> None:
    """The script is in what is served, never in what is built; nothing is cached."""
    with serving(write(tmp_path, {**HELLO, "site/static/a.txt": "as it is"})) as server:
        assert isinstance(server.next(), serve.Built)
        answer, body = server.get("/2026/11/hello/?x#y")
        assert answer.status == 200
        assert "The <em>first</em> words." in body
        assert body.count(serve.EVENTS_PATH) == 1
        assert answer.headers["Cache-Control"] == "no-store"
        assert server.get("/a.txt")[1] == "as it is"
        assert server.get("/feed.xml")[0].headers["Content-Type"] == "application/xml; charset=utf-8"
        assert server.get("/2026/11/hello")[0].headers["Location"] == "/2026/11/hello/"
        assert server.get("/", "HEAD")[1] == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["posts", "site"]


def test_a_wrong_address_gets_the_404_page(tmp_path: Path) -> None:
    """With status 404, as it will be on a host."""
    with serving(write(tmp_path, HELLO)) as server:
        server.next()
        answer, body = server.get("/nowhere/")
        assert answer.status == 404
        assert "There is nothing at this address" in body


@pytest.mark.parametrize(
    "path",
    ["/../secret.txt", "/%2e%2e/secret.txt", "/a/..%2f..%2fsecret.txt", "//secret.txt", "/%00", "/..", "secret.txt"],
)
def test_no_path_leads_out_of_the_site(tmp_path: Path, path: str) -> None:
    """Encoded or not."""
    write(tmp_path, {"secret.txt": "secret"})
    with serving(write(tmp_path / "project", HELLO)) as server:
        server.next()
        with socket.create_connection(("127.0.0.1", server.port), timeout=LONG) as raw:
            raw.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            said = b"".join(iter(lambda: raw.recv(65536), b"")).decode()
        assert " 404 " in said.splitlines()[0]
        assert "secret\n" not in said
        assert not said.endswith("secret")


def test_a_change_is_built_and_browsers_are_told(tmp_path: Path) -> None:
    """Over one connection that stays open: the version goes up."""
    with serving(write(tmp_path, HELLO)) as server:
        server.next()
        stream = HTTPConnection("127.0.0.1", server.port, timeout=LONG)
        stream.request("GET", serve.EVENTS_PATH)
        answer = stream.getresponse()
        first = json.loads(answer.readline().removeprefix(b"data: "))
        answer.readline()
        write(tmp_path, {"posts/2026-11-01-hello.md": "---\ntitle: Hello\n---\nOther words.\n"})
        built = server.next()
        assert isinstance(built, serve.Built)
        assert "posts/2026-11-01-hello.md" in built.changed
        second = json.loads(answer.readline().removeprefix(b"data: "))
        assert second == {"version": first["version"] + 1, "error": ""}
        assert "Other words." in server.get("/2026/11/hello/")[1]
        stream.close()


def test_a_failing_build_keeps_the_last_good_pages(tmp_path: Path) -> None:
    """Browsers get file, line and cure; the next good build takes the error away."""
    with serving(write(tmp_path, HELLO)) as server:
        server.next()
        write(tmp_path, {"posts/2026-11-01-hello.md": "---\ntitle: Hello\nlayout: gone\n---\n"})
        failed = server.next()
        assert isinstance(failed, serve.Failed)
        assert "The <em>first</em> words." in server.get("/2026/11/hello/")[1]
        stream = HTTPConnection("127.0.0.1", server.port, timeout=LONG)
        stream.request("GET", serve.EVENTS_PATH)
        state = json.loads(stream.getresponse().readline().removeprefix(b"data: "))
        assert state["error"].startswith(
            "posts/2026-11-01-hello.md:3: `layout` names `gone`, and there is no such layout"
        )
        stream.close()
        write(tmp_path, {"posts/2026-11-01-hello.md": "---\ntitle: Hello\n---\nMended.\n"})
        assert isinstance(server.next(), serve.Built)
        assert "Mended." in server.get("/2026/11/hello/")[1]


def test_a_first_build_that_fails_is_a_readable_page(tmp_path: Path) -> None:
    """There is no good page yet, so the error is the page; it reloads once there is one."""
    with serving(write(tmp_path, {"posts/2026-11-01-a.md": "---\ntitle: <b>\nlayout: '<i>'\n---\n"})) as server:
        assert isinstance(server.next(), serve.Failed)
        answer, body = server.get("/")
        assert answer.status == 503
        assert "posts/2026-11-01-a.md:3: `layout` names `&lt;i&gt;`, and there is no such layout" in body
        assert serve.EVENTS_PATH in body


def test_other_files_start_no_build(tmp_path: Path) -> None:
    """`inv build` beside `inv serve`, a virtualenv and an editor's swap files are no change of the site."""
    with serving(write(tmp_path, {**HELLO, "tagship.yml": ""})) as server:
        server.next()
        write(tmp_path, {"build/x": "", ".venv/x": "", "README.md": "", "posts/.a.md.swp": "", "posts/a.md~": ""})
        write(tmp_path, {"posts/2026-11-02-b.md": "---\ntitle: B\n---\n"})
        built = server.next()
        assert isinstance(built, serve.Built)
        assert built.changed == ("posts/2026-11-02-b.md",)


def test_a_change_of_tagship_yml_counts_also_when_it_is_replaced(tmp_path: Path) -> None:
    """Editors write a new file and rename it; the second time must be seen too, and the folders that it names."""
    write(tmp_path, {**HELLO, "tagship.yml": "1", "texts/2026-11-05-t.md": "---\ntitle: T\n---\n"})
    server = Server(tmp_path)
    folders = {"1": "posts", "2": "texts", "3": "posts"}
    server.loader = lambda: site(posts=folders[(tmp_path / "tagship.yml").read_text()])
    with serving_by(server):
        server.next()
        for number, url in (("2", "/2026/11/t/"), ("3", "/2026/11/hello/")):
            write(tmp_path, {"new.yml": number})
            (tmp_path / "new.yml").rename(tmp_path / "tagship.yml")
            built = server.next()
            assert isinstance(built, serve.Built)
            assert url in built.report.urls
        write(tmp_path, {"posts/2026-11-06-n.md": "---\ntitle: N\n---\n"})
        built = server.next()
        assert isinstance(built, serve.Built)
        assert "/2026/11/n/" in built.report.urls


def test_a_taken_port_is_one_clear_message(tmp_path: Path) -> None:
    """With a cure, and no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"127.0.0.1:{port}: can't listen there"):
            serve.serve(write(tmp_path, HELLO), lambda: SITE, port=port, on_event=print)


_SERVE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from unit.press_project import SITE
from tagship.press.serve import Built, serve
def told(event):
    print(type(event).__name__, flush=True)
serve(Path(sys.argv[1]), lambda: SITE, port=0, on_event=told)
print("ended", flush=True)
"""


def test_ctrl_c_ends_it_cleanly(tmp_path: Path) -> None:
    """No traceback, no folder left in the temporary directory, exit code 0."""
    write(tmp_path / "project", HELLO)
    (tmp_path / "tmp").mkdir()
    argv = [sys.executable, "-c", _SERVE, tmp_path / "project", Path(__file__).parents[1]]
    env = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["Serving\n", "Built\n"]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LONG)
    assert (out, err, process.returncode) == ("ended\n", "", 0)
    assert snapshot(tmp_path / "tmp") == {}
    assert list((tmp_path / "tmp").iterdir()) == []
