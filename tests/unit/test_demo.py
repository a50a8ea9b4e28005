"""The demo's client counts what fails, and the demo leaves nothing behind, however it ends."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tagship.scaffold.reader import Reader, get

ROOT = Path(__file__).parents[2]


class Site(BaseHTTPRequestHandler):
    """`/` answers for a release, `/broken` with 500, `/silent` not at all."""

    def do_GET(self) -> None:
        if self.path == "/silent":
            self.close_connection = True
            return
        self.send_response(500 if self.path == "/broken" else 200)
        self.send_header("Tagship-Release", "0001-v1")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_args: object) -> None:
        pass


@contextmanager
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def read(front: str, paths: list[str], at_least: int) -> Reader:
    with Reader(front, paths) as reader:
        while reader.reading.requests <= at_least:
            pass
    return reader


def test_the_client_counts_answers_by_release() -> None:
    """Every request is counted, and so is the release that answered it."""
    with site() as front:
        assert get(front, "/").body == b"hello"
        seen = read(front, ["/"], 5).reading
    assert seen.failed == 0
    assert seen.requests == seen.releases["0001-v1"] > 5


def test_the_client_sees_every_kind_of_failure() -> None:
    """A bad status and a connection that ends without an answer both count, and are told in words."""
    with site() as front:
        seen = read(front, ["/", "/broken", "/silent"], 6).reading
    assert 0 < seen.failed < seen.requests
    assert any(text == "/broken: status 500" for text in seen.failures)
    assert any(text.startswith("/silent: RemoteDisconnected") for text in seen.failures)


def test_nobody_at_the_door_is_a_failure() -> None:
    """A refused connection counts as a request that failed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        front = f"127.0.0.1:{server.getsockname()[1]}"
    seen = read(front, ["/"], 3).reading
    assert seen.failed == seen.requests > 3


def demo(folder: Path, **env: str) -> subprocess.Popen[str]:
    """The demo, with its scratch folder below `folder`."""
    argv = [str(Path(sys.executable).with_name("inv")), "demo"]
    extra = {"TMPDIR": str(folder), "HOME": str(folder), "KEEP": "", "PYTHONUNBUFFERED": "1", **env}
    return subprocess.Popen(
        argv,
        cwd=ROOT,
        env={**os.environ, **extra},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # A runner in the background may have it ignored, which children inherit.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_stopped_demo_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    """Whichever signal ends it: exit 130, and the scratch folder is gone."""
    with demo(tmp_path) as process:
        assert process.stdout
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("$ git init"):
                process.send_signal(number)
    assert process.returncode == 130, "".join(said)
    assert not list(tmp_path.glob("tagship-demo-*"))


def test_a_failed_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    """Without git there is no demo: it says so, and cleans up."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "sh").symlink_to(shutil.which("sh") or "/bin/sh")
    with demo(tmp_path, PATH=str(tools)) as process:
        said, _ = process.communicate()
    assert process.returncode == 2
    assert "git: there is no such program" in said
    assert not list(tmp_path.glob("tagship-demo-*"))


def test_a_demo_can_be_kept(tmp_path: Path) -> None:
    """KEEP=1: the folder stays, and the demo ends by saying how to look at it and how to stop it."""
    tools = tmp_path / "bin"
    tools.mkdir()
    with demo(tmp_path, PATH=str(tools), KEEP="1") as process:
        said, _ = process.communicate()
    kept = next(tmp_path.glob("tagship-demo-*")) / "demo"
    assert kept.joinpath("tagship.yml").exists()
    assert f"files  {kept}" in said
    assert "fab status" in said
    assert f"fab stop && cd / && rm -r {kept.parent}" in said
