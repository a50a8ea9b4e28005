"""The examples, taken to a bare host by the commands of their READMEs, side by side."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hosts.examples import Copy, Example
from hosts.visitor import Visitor

from lab.host import Host

pytestmark = pytest.mark.lab

NAMES = ("flask-hello", "fastapi-hello", "django-notes")
FIRST, SECOND = "0001-v0.1.0", "0002-v0.2.0"
PICTURE = b"\x89PNG\r\n\x1a\n, or so"


class Site:
    """One example in a user's hands, and at the other end whoever visits it."""

    def __init__(self, name: str, host: Host, home: Path) -> None:
        self.copy = Copy(Example(name), home)
        self.host = host
        self.visitor = Visitor(host, f"{name}.test")

    def bring_up(self) -> None:
        """The commands of its README, and between the first and the second what it has one edit."""
        copy_it, *others = self.copy.example.commands("Deploy it")
        self.copy.type(copy_it)
        self.copy.fill_in(self.host, self.visitor.domain)
        for command in others:
            self.copy.type(command)

    def change(self, name: str, old: str, new: str) -> None:
        """Edit a file, then what its README says: commit, tag, deploy."""
        self.copy.replace(name, {old: new})
        for command in self.copy.example.commands("Change it")[:-1]:
            self.copy.type(command)

    def roll_back(self) -> None:
        self.copy.type(self.copy.example.commands("Change it")[-1])

    def shows(self, *words: str) -> bool:
        """Whether a visitor gets its page, with all of these words in it."""
        answer = self.visitor.get()
        return answer.status == 200 and all(word in answer.text for word in words)


@pytest.fixture
def host(hosts: Callable[[int], list[Host]]) -> Host:
    """One host, freshly installed."""
    return hosts(1)[0]


def test_the_readmes_lead_to_served_sites(host: Host, tmp_path: Path) -> None:
    """Each comes up, changes, goes down again, and never meets the others; what users left stays."""
    flask, fastapi, django = (Site(name, host, tmp_path) for name in NAMES)
    for site in (flask, fastapi, django):
        site.bring_up()
    assert all(site.shows(FIRST) for site in (flask, fastapi, django))

    try_flask(flask)
    assert django.shows(FIRST)
    assert fastapi.shows(FIRST)
    try_fastapi(fastapi)
    assert django.shows(FIRST)
    try_django(django)
    assert all(site.shows(FIRST) for site in (flask, fastapi, django))


def try_flask(site: Site) -> None:
    """The form is answered by the release that is live."""
    assert "Hello, Ada!" in site.visitor.post({"name": "Ada"}).text
    site.change("templates/page.html", "Greet me", "Say hello to me")
    assert site.shows(SECOND, "Say hello to me", "over http,")
    assert site.visitor.post({"name": ""}).status == 422
    site.roll_back()
    assert site.shows(FIRST, "Greet me")


def try_fastapi(site: Site) -> None:
    """A stream that was open when the next release came is answered to its end by the one that it began with."""
    seen: list[str] = []
    stream = threading.Thread(target=lambda: seen.extend(releases_of(site.visitor)))
    stream.start()
    site.change("page.html", "<h1>Hello!</h1>", "<h1>Hello again!</h1>")
    stream.join()
    assert seen == [FIRST] * 10
    assert site.shows(SECOND, "Hello again!")
    assert json.loads(site.visitor.get("/api/hello").text)["release"] == SECOND
    site.roll_back()
    assert site.shows(FIRST, "Hello!")


def releases_of(visitor: Visitor) -> list[str]:
    """The release that each event of one whole stream tells."""
    lines = visitor.get("/ticks").text.splitlines()
    return [json.loads(line.removeprefix("data: "))["release"] for line in lines if line.startswith("data: ")]


def try_django(site: Site) -> None:
    """Notes and pictures outlive a deploy and a rollback; a stylesheet its page, and each release shows its own."""
    visitor = site.visitor
    assert visitor.post({"text": "before"}, {"picture": ("dot.png", PICTURE)}).status == 302
    assert visitor.post({"text": "evil"}, {"picture": ("page.html", b"<script>")}).status == 422
    first_link = link_of(visitor, "/assets/")
    first_style = style_of(visitor, first_link)
    site.change("notes/static/notes.css", "opacity: .75", "opacity: .9")
    assert site.shows(SECOND, "before")
    assert ".9" in style_of(visitor, link_of(visitor, "/assets/"))
    assert style_of(visitor, first_link) == first_style
    assert visitor.post({"text": "between"}).status == 302
    site.roll_back()
    assert site.shows(FIRST, "before", "between")
    assert link_of(visitor, "/assets/") == first_link
    picture = visitor.get(link_of(visitor, "/media/"))
    assert (picture.status, picture.body) == (200, PICTURE)
    assert picture.headers["Content-Type"] == "image/png"
    assert picture.headers["X-Content-Type-Options"] == "nosniff"


def style_of(visitor: Visitor, link: str) -> str:
    """A stylesheet, as nginx serves it."""
    answer = visitor.get(link)
    assert answer.status == 200
    assert answer.headers["Server"] == "nginx"
    assert answer.headers["Content-Type"] == "text/css; charset=utf-8"
    assert "immutable" in answer.headers["Cache-Control"]
    assert "Last-Modified" not in answer.headers
    return answer.text


def link_of(visitor: Visitor, below: str) -> str:
    """The one address on the page that begins with `below`."""
    (found,) = {word for word in visitor.get().text.split('"') if word.startswith(below)}
    return found
