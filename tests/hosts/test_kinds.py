"""The three kinds of application, behind nginx: deployed, changed, rolled back, while somebody keeps reading."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hosts.examples import Copy, Example
from hosts.visitor import Answer, Visitor
from hosts.web_socket import WebSocket

from lab.host import Host

pytestmark = pytest.mark.lab

PARTS = Path(__file__).with_name("kinds")
STARTS = {
    "static": None,
    "wsgi": "gunicorn --bind unix:{socket} --workers 2 web:application",
    "asgi": "uvicorn --uds {socket} --ws wsproto --no-access-log live:application",
}
SETTINGS = """\
app:
  name: {kind}
{app}site:
  title: Kinds
  url: http://{kind}.test
{redirects}stages:
  lab:
    hosts: [{{host: {host.address}, identity: {host.identity}, known_hosts: {host.known_hosts}}}]
    drain: 20s
    nginx: {{names: [{kind}.test]}}
"""
PAGE = "/2026/11/page/"
SAME = "/same.txt"
STYLE = re.compile(r"/assets/style\.[0-9a-f]{12}\.css")


class Kind:
    """A project of one kind, in a user's hands."""

    def __init__(self, name: str, host: Host, home: Path) -> None:
        home.mkdir()
        self.name = name
        self.host = host
        self.visitor = Visitor(host, f"{name}.test")
        self.copy = Copy(Example(name), home)
        self.copy.folder = home / "project"
        shutil.copytree(PARTS, self.copy.folder)
        self.write(
            "fabfile.py", "from tagship.verbs.hosts import deploy, rollback\nfrom tagship.verbs.setup import setup\n"
        )
        self.write("site/static/same.txt", "These words stay.\n")
        self.copy.type("git init --quiet")

    def write(self, name: str, text: str) -> None:
        path = self.copy.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def tag(self, tag: str, word: str, redirects: str = "") -> None:
        """A commit and its tag: a page with `word`, and a stylesheet of its own."""
        start = STARTS[self.name]
        app = f"  start: {start}\n  probe: {{path: /app/probe}}\n" if start else ""
        self.write("tagship.yml", SETTINGS.format(kind=self.name, app=app, redirects=redirects, host=self.host))
        self.write("posts/2026-11-01-page.md", f"---\ntitle: Page\n---\nIt says {word}.\n")
        self.write("site/assets/style.css", f"/* {word} */")
        self.copy.type(
            f"git add --all && git commit --quiet --message {tag} && git tag --annotate {tag} --message {tag}"
        )

    def type(self, verb: str) -> str:
        return self.copy.type(f"fab {verb} --stage lab")


class Reader(threading.Thread):
    """Loads the page and then its stylesheet, over and over, until it is told to stop; keeps what went wrong."""

    def __init__(self, visitor: Visitor) -> None:
        super().__init__()
        self.visitor = visitor
        self.ended = threading.Event()
        self.words: list[str] = []
        self.failures: list[str] = []

    def run(self) -> None:
        while not self.ended.is_set():
            page = self._load(PAGE)
            style = STYLE.search(page.text) if page else None
            word = re.search(r"It says (\w+)\.", page.text) if page else None
            if style and word:
                self.words.append(word[1])
                asset = self._load(style[0])
                if asset and asset.text != f"/* {word[1]} */":
                    self.failures.append(f"{style[0]} is {asset.text!r}")

    def _load(self, path: str) -> Answer | None:
        try:
            answer = self.visitor.get(path)
        except OSError as error:
            self.failures.append(f"{path}: {error!r}")
            return None
        if answer.status != 200:
            self.failures.append(f"{path}: {answer.status}")
            return None
        return answer

    def __enter__(self) -> Reader:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.join()


@pytest.fixture
def host(hosts: Callable[[int], list[Host]]) -> Host:
    """One host, freshly installed."""
    return hosts(1)[0]


def test_nobody_notices_a_deploy_or_a_rollback(host: Host, tmp_path: Path) -> None:
    """No request fails, every page finds its own stylesheet, and what is fresh is told by content alone."""
    for name in STARTS:
        kind = Kind(name, host, tmp_path / name)
        kind.tag("v1", "old")
        kind.type("setup")
        kind.type("deploy")
        go_up_and_down(kind)


def go_up_and_down(kind: Kind) -> None:
    visitor = kind.visitor
    page, same = visitor.get(PAGE), visitor.get(SAME)
    assert "It says old." in page.text
    kind.tag("v2", "new", "  redirects: {/app/moved/: /archive/, /away: 'https://example.com/?a=b'}\n")
    with Reader(visitor) as reader:
        watch = CHECKS[kind.name](kind)
        kind.type("deploy")
        watch()
        assert "It says new." in visitor.get(PAGE).text
        assert_fresh(visitor, page, same, "It says new.")
        assert_moved(visitor, alone=kind.name == "static")
        changed = visitor.get(PAGE)
        kind.type("rollback")
        assert_fresh(visitor, changed, same, "It says old.")
        assert visitor.get("/app/moved/").headers["Location"] is None
    assert reader.failures == []
    assert reader.words[0] == reader.words[-1] == "old"
    assert "new" in reader.words
    for loaded in (page, changed):
        style = STYLE.search(loaded.text)
        assert style
        assert visitor.get(style[0]).status == 200


def assert_fresh(visitor: Visitor, known: Answer, same: Answer, words: str) -> None:
    """A page that changed is sent again, at equal size too; one that is the same isn't."""
    for name in ("If-None-Match", "If-Modified-Since"):
        value = known.headers["ETag"] if name == "If-None-Match" else "Fri, 01 Jan 2100 00:00:00 GMT"
        again = visitor.ask("GET", PAGE, headers={name: value})
        assert (again.status, len(again.body)) == (200, len(known.body))
        assert words in again.text
    assert visitor.ask("GET", SAME, headers={"If-None-Match": same.headers["ETag"]}).status == 304


def assert_moved(visitor: Visitor, *, alone: bool) -> None:
    """A redirect stands before what the application would have said."""
    moved, away = visitor.get("/app/moved/"), visitor.get("/away")
    assert (moved.status, moved.headers["Location"]) == (301, "/archive/")
    assert (away.status, away.headers["Location"]) == (301, "https://example.com/?a=b")
    lost = visitor.get("/app-less")
    assert lost.status == 404
    assert lost.text != "" if alone else lost.text == "the application knows no such address"


def check_static(kind: Kind) -> Callable[[], None]:
    """Nothing runs for it, before or after."""

    def see() -> None:
        running = kind.host.run("pgrep", "-c", "-u", "static-lab", check=False).stdout
        assert running == "0\n"
        assert kind.host.run("ls", "/srv/static/current/", user="root").stdout.split().count("venv") == 0
        assert kind.visitor.get("/.well-known/tagship-release").status == 404

    see()
    return see


def check_wsgi(kind: Kind) -> Callable[[], None]:
    """The application's own addresses are answered by the release that is live."""
    assert kind.visitor.get("/app/id").text == "0001-v1"

    def see() -> None:
        assert kind.visitor.get("/app/id").text == "0002-v2"

    return see


def check_asgi(kind: Kind) -> Callable[[], None]:
    """A stream and a WebSocket that were open at the flip go on with whom they began."""
    streamed: list[str] = []
    said: list[str] = []

    def talk() -> None:
        with WebSocket(kind.host.address, kind.visitor.domain, "/app/talk") as socket:
            said.append(socket.say("hello"))
            while kind.visitor.get("/app/id").text == "0001-v1":
                said.append(socket.say("still"))
            said.append(socket.say("after"))
            socket.close()

    def stream() -> None:
        while kind.visitor.get("/app/id").text == "0001-v1":
            streamed.append(kind.visitor.get("/app/stream").text)

    threads = [threading.Thread(target=work) for work in (talk, stream)]
    for thread in threads:
        thread.start()

    def see() -> None:
        for thread in threads:
            thread.join()
        assert (said[0], said[-1]) == ("hello 0001-v1", "after 0001-v1")
        assert set(streamed) <= {"0001-v1\n" * 30 + "end\n", "0002-v2\n" * 30 + "end\n"}
        assert streamed[0].startswith("0001-v1\n")
        assert kind.visitor.get("/app/id").text == "0002-v2"

    return see


CHECKS = {"static": check_static, "wsgi": check_wsgi, "asgi": check_asgi}
