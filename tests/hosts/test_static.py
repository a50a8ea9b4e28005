"""A site alone: from the README of examples/static-blog to a host, and by the same rules with nginx and without."""

from __future__ import annotations

import gzip
import itertools
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from contract.projects import free_port
from hosts.examples import Copy, Example
from hosts.visitor import Visitor

from lab.host import Host

pytestmark = pytest.mark.lab

STARTER = "/2026/10/feeding-a-starter/"
TOLD = ("Location", "Cache-Control", "Content-Type", "Content-Encoding", "ETag", "Vary", "X-Content-Type-Options")


@pytest.fixture
def host(hosts: Callable[[int], list[Host]]) -> Host:
    """One host, freshly installed."""
    return hosts(1)[0]


@pytest.fixture
def home() -> Iterator[Path]:
    """A user's home, of a short name: a socket's path must be."""
    with tempfile.TemporaryDirectory(prefix="ts") as folder:
        yield Path(folder)


@pytest.fixture
def blog(host: Host, home: Path) -> Copy:
    """What somebody has who followed the README to its first deploy."""
    copy = Copy(Example("static-blog"), home)
    first, *others = copy.example.commands("Deploy it")
    assert len(others) < 6
    copy.type(first)
    copy.fill_in(host, host.address)
    for command in others:
        copy.type(command)
    return copy


def test_the_readme_leads_to_a_served_blog(blog: Copy, host: Host) -> None:
    """In five commands; nothing runs for it; a new tag and a rollback are seen at once, redirects included."""
    visitor = Visitor(host, host.address)
    page = visitor.get(STARTER)
    assert "A starter is flour and water" in page.text
    assert visitor.get("/starter").headers["Location"] == STARTER
    assert host.run("pgrep", "-u", "static-blog-production", check=False).stdout == ""
    id_file = "http://127.0.0.1/.well-known/tagship-release"
    assert host.run("curl", "--silent", "--fail", id_file).stdout == "0001-v0.1.0\n"

    blog.replace("posts/2026-10-04-feeding-a-starter.md", {"A starter is flour": "A STARTER is flour"})
    blog.replace("tagship.yml", {"/starter/: ": "/jar/: "})
    *commands, down = blog.example.commands("Change it")
    for command in commands:
        said = blog.type(command)
    assert not re.search("virtualenv|drain|: start ", said)
    changed = visitor.ask("GET", STARTER, headers={"If-None-Match": page.headers["ETag"]})
    assert (changed.status, len(changed.body)) == (200, len(page.body))
    assert [visitor.get(path).status for path in ("/starter", "/jar")] == [404, 301]
    blog.type(down)
    assert [visitor.get(path).status for path in ("/starter", "/jar")] == [301, 404]
    assert visitor.ask("GET", STARTER, headers={"If-None-Match": page.headers["ETag"]}).status == 304
    assert host.run("curl", "--silent", "--fail", id_file).stdout == "0001-v0.1.0\n"


def test_nginx_and_the_front_door_answer_alike(blog: Copy, host: Host) -> None:
    """Status, target, freshness, kind, coding and content: who reads can't tell which of them it was."""
    extra = {
        "site/static/.htaccess": "deny from all",
        "site/static/.well-known/security.txt": "Contact: mailto:ada@example.org\n",
        "site/static/data.json": '{"a": 1}',
        "site/static/notes.txt": "caf\u00e9\n" * 400,
        "site/static/deep/er/file.bin": "\x01\x02",
    }
    for name, text in extra.items():
        path = blog.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    local = f"127.0.0.1:{free_port()}"
    blog.replace("tagship.yml", {"stages:\n": f"stages:\n  local:\n    front: {local}\n"})
    for command in blog.example.commands("Change it")[:-1]:
        blog.type(command)
    blog.type("fab deploy")
    try:
        compare(f"{host.address}:80", local)
    finally:
        blog.type("fab stop")


def compare(nginx: str, door: str) -> None:
    """Ask both the same; what they say must be alike."""
    home = ask(nginx, "/").body.decode()
    (style,) = set(re.findall(r"/assets/style\.[0-9a-f]+\.css", home))
    paths = [
        *("/", "/index.html", "/about/", "/about", "/about?q=1", "//about/", "/about/../about/", "/about/."),
        *("/feed.xml", "/data.json", "/notes.txt", "/robots.txt", "/deep/er/file.bin", "/2026/", "/2026", "/deep"),
        *(
            "/nowhere",
            "/nowhere/",
            "/404.html",
            "/index.html/",
            "/.htaccess",
            "/.well-known/security.txt",
            "/%2ehtaccess",
        ),
        *("/starter", "/starter/", "/starter?x=1", "/ovens.html", "/ovens.html/", "/redirects/", "/notes.txt.gz"),
        *(style, style.replace(".css", ".js"), "/assets/style.css", "/../etc/passwd", "/%2e%2e/id", "/caf%C3%A9"),
    ]
    codings = [{"Accept-Encoding": coding} for coding in ("identity", "gzip")]
    different = [
        (method, path, one, other)
        for path, fields, method in itertools.product(paths, codings, ("GET", "HEAD"))
        if (one := told(nginx, path, method, fields)) != (other := told(door, path, method, fields))
    ]
    assert different == []
    for path in ("/", "/nowhere"):
        assert told(nginx, path, "POST", {}).pop("status") == told(door, path, "POST", {}).pop("status") == 405
    for path in ("/", style, "/notes.txt"):
        known = {"If-None-Match": str(ask(nginx, path).headers["ETag"])}
        assert told(nginx, path, "GET", known) == told(door, path, "GET", known)
        assert told(nginx, path, "GET", known)["status"] == 304
    assert (
        gzip.decompress(ask(nginx, "/notes.txt", "GET", {"Accept-Encoding": "gzip"}).body).decode()
        == "caf\u00e9\n" * 400
    )


class Answer:
    """What a server said."""

    def __init__(self, connection: HTTPConnection) -> None:
        response = connection.getresponse()
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()


def ask(listen: str, path: str, method: str = "GET", fields: Mapping[str, str] | None = None) -> Answer:
    """One request to `listen`, the path as it stands."""
    connection = HTTPConnection(listen, timeout=30)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in (fields or {}).items():
            connection.putheader(name, value)
        connection.endheaders()
        return Answer(connection)
    finally:
        connection.close()


def told(listen: str, path: str, method: str, fields: Mapping[str, str]) -> dict[str, Any]:
    """What of an answer must not depend on who gave it; pages of their own (a redirect's, an error's) may."""
    answer = ask(listen, path, method, fields)
    own = answer.status in (301, 400, 405)
    headers = {name: answer.headers[name] for name in TOLD if not (own and name in ("Content-Type", "Cache-Control"))}
    return {"status": answer.status, "body": None if own else answer.body, **headers}
