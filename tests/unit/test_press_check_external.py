"""Links that leave the site, against a server on this machine: who is asked, how often, and what is said of it."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from unit.press_project import CLOCK, SITE, write

from tagship.press.build import build
from tagship.press.checks import external, placing, sources
from tagship.press.checks.external import Manners
from tagship.press.checks.findings import Finding
from tagship.press.checks.site import Site

MANNERS = Manners(timeout=5, pause=0)
NOW = 1_795_176_000.0


class World(http.server.ThreadingHTTPServer):
    """A host that answers by the path asked for, and remembers who asked for what."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.busy = 0
        self.most_busy = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: World

    def do_HEAD(self) -> None:
        with self.server.lock:
            self.server.asked.append(f"{self.command} {self.path}")
            self.server.busy += 1
            self.server.most_busy = max(self.server.most_busy, self.server.busy)
        name = self.path.strip("/").partition("-")[0]
        status = int(name) if name.isdigit() else 200
        if name == "nohead":
            status = 405 if self.command == "HEAD" else 200
        with self.server.lock:
            self.server.busy -= 1
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", "/200-there" if "loop" not in self.path else self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD

    def log_message(self, *_words: object) -> None:
        """Nothing."""


@pytest.fixture
def world() -> Iterator[World]:
    """The host, listening."""
    with World() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(folder: Path, body: str, *, now: float = NOW, manners: Manners = MANNERS) -> list[Finding]:
    """What is said of the links of one post."""
    project = write(folder / "project", {"posts/2026-11-01-hello.md": f"---\ntitle: Hello\n---\n{body}\n"})
    out = folder / f"out{len(list(folder.iterdir()))}"
    build(project, out, SITE, clock=CLOCK)
    written = sources.read(project, SITE)
    site = Site(out, SITE, written.by_url, {})
    remarks = list(external.check(site, folder / "kept.json", manners=manners, now=now, tell=lambda *_: None))
    return placing.place(remarks, placing.Written(written.by_url, {}, "site"))


def test_only_a_clear_no_is_an_error(tmp_path: Path, world: World) -> None:
    """Gone, moved for good, in trouble, unreachable and well: each placed where the link is written."""
    paths = ["404", "410", "503", "301-away", "302-away", "308-loop", "200", "nohead", "200#part"]
    links = " ".join(f"[x]({world.url}/{path})" for path in paths)
    found = ask(tmp_path, f"{links}\n[y](http://127.0.0.1:1/)")
    said = {finding.message.partition(" ")[0].removeprefix(world.url): finding.code for finding in found}
    assert said == {
        "/404": "external-link",
        "/410": "external-link",
        "/503": "external-unknown",
        "/301-away": "external-moved",
        "/308-loop": "external-unknown",
        "http://127.0.0.1:1/": "external-unknown",
    }
    assert {(finding.path, finding.line) for finding in found} == {
        ("posts/2026-11-01-hello.md", 4),
        ("posts/2026-11-01-hello.md", 5),
    }
    assert (
        next(finding for finding in found if finding.code == "external-moved").cure == f"write {world.url}/200-there"
    )
    assert {request for request in world.asked if "nohead" in request} == {"HEAD /nohead", "GET /nohead"}
    assert world.asked.count("HEAD /200") == 1


def test_a_host_hears_one_request_at_a_time(tmp_path: Path, world: World) -> None:
    """However many links lead to it."""
    ask(tmp_path, " ".join(f"[x]({world.url}/200-{number})" for number in range(20)))
    assert len(world.asked) == 20
    assert world.most_busy == 1


def test_good_answers_are_believed_for_a_while(tmp_path: Path, world: World) -> None:
    """Bad ones are asked again each time; a cache that was damaged is forgotten."""
    body = f"[x]({world.url}/200) [y]({world.url}/404)"
    ask(tmp_path, body)
    world.asked.clear()
    assert [finding.code for finding in ask(tmp_path, body, now=NOW + 3600)] == ["external-link"]
    assert world.asked == ["HEAD /404", "GET /404"]
    world.asked.clear()
    ask(tmp_path, body, now=NOW + MANNERS.age + 1)
    assert "HEAD /200" in world.asked
    assert list(json.loads((tmp_path / "kept.json").read_text())) == [f"{world.url}/200"]
    (tmp_path / "kept.json").write_text("[1")
    world.asked.clear()
    ask(tmp_path, body)
    assert "HEAD /200" in world.asked


def test_what_is_no_page_of_the_web_is_not_asked(tmp_path: Path, world: World) -> None:
    """Mail, the site itself, its canonical links, and addresses that are none."""
    ask(
        tmp_path, f"<mailto:a@b.example> [a](https://example.org/x/) [b](/x/) [c](http://[x/) [d]({world.url[:-1]}x/)"
    )
    assert world.asked == []
