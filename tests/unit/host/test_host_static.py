"""A release that is only a site: nothing runs for it, and the front door answers from its files by nginx's rules."""

from __future__ import annotations

import gzip
import os
import socket
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from unit.host.client import Agent, Host, Release, blog, go_live, names
from unit.host.conftest import free_address, fresh_host

LONG = b"<p>" + b"words " * 400
ASSET = "style.0123456789ab.css"


def site(serial: int, text: bytes = b"home", **files: bytes) -> Release:
    """A site with a page, a text that has a compressed form, a fingerprinted file and two redirects."""
    pages = {
        "public/index.html": text,
        "public/404.html": b"nothing here",
        "public/about/index.html": b"about",
        "public/caf\u00e9/index.html": b"coffee",
        "public/long.html": LONG,
        "public/long.html.gz": gzip.compress(LONG, mtime=0),
        "public/data.json": b"{}",
        "public/.htaccess": b"secret",
        "public/.well-known/security.txt": b"call us",
        "public/assets/style.0123456789ab.css": b"p{}",
        "public/empty/deeper/x.txt": b"x",
        "redirects/to/path/about/^": b"",
        "redirects/to/https/example.org/a?b=c^": b"",
    }
    links = {
        "redirects/from/old/.to": "../../to/path/about/^",
        "redirects/from/old/far.html/.to": "../../../to/https/example.org/a?b=c^",
        "public/out": "../app/secret",
    }
    return Release(
        serial, f"v{serial}", {**pages, "app/secret": b"secret", **files}, links=links, start=[], python="python3"
    )


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def ask(listen: str, path: str, *fields: str, method: str = "GET") -> Answer:
    """One request as it stands, and all of the answer."""
    host, _, port = listen.rpartition(":")
    with socket.create_connection((host, int(port)), 30) as client:
        client.sendall("\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *fields, "", ""]).encode())
        pieces = []
        while piece := client.recv(1 << 16):
            pieces.append(piece)
    head, _, body = b"".join(pieces).partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return Answer(int(first.split()[1]), dict(line.split(": ", 1) for line in lines), body)


def publish(agent: Agent, release: Release, previous: Release | None, listen: str) -> None:
    """What a plan does for a site: no virtualenv, nothing started, nothing drained."""
    missing = agent.ask("declare", **release.declaration(previous))["missing"]
    agent.put(missing, release.packed([key for key, _ in missing]))
    for verb in ("tree", "furnish", "seal"):
        agent.ask(verb, release=release.id)
    agent.ask("front", listen=listen)
    agent.ask("flip", to=release.id, **{"from": previous.id if previous else None})
    agent.ask("probe", release=release.id, front=listen)
    agent.ask("mark", release=release.id, state="good")


@pytest.fixture(scope="module")
def door() -> Iterator[str]:
    """A front door that serves a site, for tests that only look."""
    listen = free_address()
    with fresh_host() as host:
        publish(host.locked(), site(1), None, listen)
        yield listen


def test_a_site_is_live_with_nothing_running_for_it(host: Host, listen: str) -> None:
    """No process, no virtualenv, no start script; it is well and whole, and goes up and down by the flip alone."""
    live = host.locked()
    publish(live, site(1), None, listen)
    assert ask(listen, "/").body == b"home"
    found = host.survey(live, front=listen)
    (release,) = found["releases"]
    assert (found["well"], found["serving"], release["pid"], release["runs"]) == (True, None, None, [])
    assert not {"venv", "start"} & names(host.path("releases", "0001-v1"))
    assert live.ask("verify", release="0001-v1")["drift"] == []
    assert live.ask("audit", front=None)["drift"] == []
    publish(live, site(2, b"new"), site(1), listen)
    assert (ask(listen, "/").body, ask(listen, "/").headers["Tagship-Release"]) == (b"new", "0002-v2")
    live.ask("flip", to="0001-v1", **{"from": "0002-v2"})
    assert live.ask("probe", release="0001-v1", front=listen)["pid"] is None
    assert ask(listen, "/").body == b"home"


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/", 200, b"home"),
        ("/index.html", 200, b"home"),
        ("/about/", 200, b"about"),
        ("/about/?q=1", 200, b"about"),
        ("/caf%C3%A9/", 200, b"coffee"),
        ("/data.json", 200, b"{}"),
        ("/.well-known/security.txt", 200, b"call us"),
        (f"/assets/{ASSET}", 200, b"p{}"),
        ("/nowhere", 404, b"nothing here"),
        ("/nowhere/", 404, b"nothing here"),
        ("/404.html", 404, b"nothing here"),
        ("/empty/", 404, b"nothing here"),
        ("/empty", 404, b"nothing here"),
        ("/index.html/", 404, b"nothing here"),
        ("/.htaccess", 404, b"nothing here"),
        ("/about/../.htaccess", 404, b"nothing here"),
        ("/out", 404, b"nothing here"),
        ("/assets/nope.0123456789ab.css", 404, b"nothing here"),
        ("/../app/secret", 400, b"The address leads out of the site.\n"),
        ("/%2e%2e/app/secret", 400, b"The address leads out of the site.\n"),
        ("/a%00b", 400, b"The address is malformed.\n"),
    ],
)
def test_addresses(door: str, path: str, status: int, body: bytes) -> None:
    """A folder is its index.html, a wrong address the 404 page, a dotfile and the way out nobody's."""
    found = ask(door, path)
    assert (found.status, found.body) == (status, body)
    assert int(found.headers["Content-Length"]) == len(body)


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/about", "/about/"),
        ("/about?q=1", "/about/?q=1"),
        ("/caf%C3%A9", "/caf%C3%A9/"),
        ("//about", "/about/"),
        ("/old", "/about/"),
        ("/old/", "/about/"),
        ("/old/far.html?x=1", "https://example.org/a?b=c"),
    ],
)
def test_other_ways(door: str, path: str, location: str) -> None:
    """A folder without its slash, and the site's own redirects: 301, and never kept without asking."""
    found = ask(door, path)
    assert (found.status, found.headers["Location"], found.body) == (301, location, b"")
    assert found.headers["Cache-Control"] == "no-cache"


def test_what_may_be_kept(door: str) -> None:
    """A fingerprinted file for ever; a page must be asked for each time, which costs nothing while it is the same."""
    page, asset = ask(door, "/"), ask(door, f"/assets/{ASSET}")
    assert page.headers["Cache-Control"] == "no-cache"
    assert asset.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert "Last-Modified" not in page.headers
    for known in (page.headers["ETag"], f'"x", W/{page.headers["ETag"]}', "*"):
        again = ask(door, "/", f"If-None-Match: {known}")
        assert (again.status, again.body, "Content-Length" in again.headers) == (304, b"", False)
    assert ask(door, "/", 'If-None-Match: "x"').status == 200
    assert ask(door, "/nowhere", f"If-None-Match: {ask(door, '/nowhere').headers['ETag']}").status == 404


@pytest.mark.parametrize(
    ("accepts", "packed"),
    [("gzip, br", True), ("br;q=1.0, gzip;q=0.8", True), ("gzip;q=0", False), ("identity", False), ("x-gzip", False)],
)
def test_the_compressed_form_is_for_who_takes_it(door: str, accepts: str, packed: bool) -> None:
    """It has a tag of its own, and caches are told that there are two."""
    found = ask(door, "/long.html", f"Accept-Encoding: {accepts}")
    assert ("Content-Encoding" in found.headers, found.headers["Vary"]) == (packed, "Accept-Encoding")
    assert (gzip.decompress(found.body) if packed else found.body) == LONG
    assert found.headers["Content-Type"] == "text/html; charset=utf-8"
    other = ask(door, "/long.html", f"Accept-Encoding: {'identity' if packed else 'gzip'}")
    assert other.headers["ETag"] != found.headers["ETag"]


def test_methods(door: str) -> None:
    """HEAD is GET without the body; nobody here takes anything else."""
    head = ask(door, "/long.html", method="HEAD")
    assert (head.status, head.headers["Content-Length"], head.body) == (200, str(len(LONG)), b"")
    assert ask(door, "/nowhere", method="HEAD").status == 404
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert ask(door, "/", "Content-Length: 0", method=method).status == 405


def test_a_flip_is_seen_at_once_and_takes_nothing_away(host: Host, listen: str) -> None:
    """A changed page of equal size is sent, an unchanged one isn't, and the old one's fingerprinted file is there."""
    live = host.locked()
    publish(live, site(1), None, listen)
    home, about = ask(listen, "/").headers["ETag"], ask(listen, "/about/").headers["ETag"]
    pages = {"public/index.html": b"HOME", "public/about/index.html": b"about"}
    publish(live, Release(2, "v2", pages, start=[]), site(1), listen)
    assert ask(listen, "/", f"If-None-Match: {home}").body == b"HOME"
    assert ask(listen, "/about/", f"If-None-Match: {about}").status == 304
    assert ask(listen, f"/assets/{ASSET}").body == b"p{}"
    assert ask(listen, "/old").body == b"There is nothing at this address.\n"


def test_a_redirect_stands_before_an_application(host: Host, listen: str) -> None:
    """Whatever the application would say there; all else is its own. It comes and goes with the flip."""
    agent = host.locked()
    moved = blog(
        1, files={"redirects/to/path/text^": b""}, links={"redirects/from/status/500/.to": "../../../to/path/text^"}
    )
    go_live(agent, moved, None, listen)
    assert ask(listen, "/status/500").headers["Location"] == "/text"
    assert ask(listen, "/status/404").status == 404
    go_live(agent, blog(2), moved, listen)
    assert ask(listen, "/status/500").status == 500


def test_a_link_for_a_redirect_that_leads_elsewhere_is_none(host: Host, listen: str) -> None:
    """Only what stands below redirects/to/ is an address."""
    agent = host.locked()
    files = {"public/index.html": b"home", "app/to/path/x^": b""}
    strange = Release(1, "v1", files, links={"redirects/from/old/.to": "../../../app/to/path/x^"}, start=[])
    publish(agent, strange, None, listen)
    assert ask(listen, "/old").status == 404
    assert os.path.islink(host.path("releases", strange.id, "redirects/from/old/.to"))  # noqa: PTH114
