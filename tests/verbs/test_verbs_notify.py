"""Webhooks hear how a deploy or rollback ended, from a real server's view; what they answer changes nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from verbs.project import Project

from tagship.app import notify
from tagship.config import Notify
from tagship.errors import Interrupted, Locked, Refused, Restored
from tagship.events import Event
from tagship.manifest import UrlChanges
from tagship.ship.outcome import HostOutcome, Outcome, outcome_of

PATH = "/services/T00000000/B00000000/s3cr3t-sentinel-of-a-webhook"


class Ear(ThreadingHTTPServer):
    """Keeps what is posted; `/status/N` answers N, `/to` redirects to another host's name, `/slow` drips."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.closing = threading.Event()

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    server: Ear

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["Content-Type"].startswith("application/json")
        self.server.heard.append((self.path, json.loads(body)))
        if self.path == "/slow":
            self.server.closing.wait(60)
            return
        status = int(self.path.rpartition("/")[2]) if self.path.startswith("/status/") else 200
        self.send_response(302 if self.path == "/to" else status)
        if self.path == "/to":
            self.send_header("Location", f"http://localhost:{self.server.server_port}/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST

    def log_message(self, *_words: object) -> None:
        pass


@pytest.fixture
def ear() -> Iterator[Ear]:
    server = Ear()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.closing.set()
    server.shutdown()
    thread.join()
    server.server_close()


def listen(project: Project, *hooks: str) -> None:
    text = (project.folder / "tagship.yml").read_text()
    project.write({"tagship.yml": text + "\nnotify:\n" + "".join(f"  - {hook}\n" for hook in hooks)})


def test_a_webhook_hears_of_each_change_and_of_nothing_else(project: Project, ear: Ear) -> None:
    """Live, restored, rolled back; not of plans, of a deploy with nothing to do, or of one that was refused."""
    listen(project, f"{{url: {ear.url()}}}")
    assert project.run("fab", "plan").exit == 0
    assert project.run("fab", "--dry", "deploy").exit == 0
    assert ear.heard == []
    assert project.run("fab", "deploy").exit == 0
    (_, first), *more = ear.heard
    assert more == []
    assert first["outcome"] == "live"
    assert first["exit"] == 0
    assert (first["app"], first["stage"], first["verb"]) == ("blog", "local", "deploy")
    assert (first["tag"], first["release"], first["previous"]) == ("v1.0.0", "0001-v1.0.0", None)
    assert "@" in first["who"]
    assert first["hosts"] == [{"host": "local", "release": "0001-v1.0.0", "ok": True}]
    assert first["seconds"] > 0
    assert first["urls"]["added"]["count"] >= len(first["urls"]["added"]["urls"]) > 0
    assert "/" in first["urls"]["added"]["urls"]
    assert first["error"] is None
    assert project.run("fab", "deploy").exit == 0
    assert project.run("fab", "deploy", "--tag", "v9").exit == 3
    assert project.run("fab", "start").exit == 0
    assert len(ear.heard) == 1
    project.tag(
        "v1.1.0", {"posts/new.md": "---\ntitle: New\ndate: 2026-01-02\n---\nWell.\n", "behaviour.txt": "exits"}
    )
    assert project.run("fab", "deploy").exit == 4
    restored = ear.heard[-1][1]
    assert (restored["outcome"], restored["exit"], restored["tag"]) == ("restored", 4, "v1.1.0")
    assert "no such table: visitors" in restored["error"]["tail"]
    assert any("new" in url for url in restored["urls"]["added"]["urls"])
    project.tag("v1.2.0", {"behaviour.txt": "well"})
    assert project.run("fab", "deploy").exit == 0
    assert project.run("fab", "rollback").exit == 0
    went, down = (body for _path, body in ear.heard[-2:])
    assert (down["verb"], down["outcome"], down["tag"], down["previous"]) == (
        "rollback",
        "live",
        "v1.0.0",
        went["release"],
    )
    assert down["urls"]["gone"] == went["urls"]["added"]


def test_an_address_of_the_environment_is_a_secret(live: Project, ear: Ear) -> None:
    """Neither it nor its path shows in any output, also where telling it fails and a hook prints it."""
    live.env["DEPLOY_WEBHOOK"] = ear.url(PATH)
    listen(live, "{env: DEPLOY_WEBHOOK, form: slack}", "{env: NOT_SET}")
    live.write({"print.py": "import os; print(os.environ['DEPLOY_WEBHOOK'])"})
    text = (live.folder / "tagship.yml").read_text()
    live.write({"tagship.yml": f"{text}\nhooks:\n  - {{run: python print.py, before: flip}}\n"})
    tag = live.tag_next({"version.txt": "a secret"})
    told = live.told("fab", "deploy")
    assert told.exit == 0
    ((path, body),) = ear.heard
    assert path == PATH
    assert body["text"].startswith(f"blog: {tag} is live on local (deploy by ")
    assert "s3cr3t-sentinel" not in json.dumps(told.events)
    notes = [note["text"] for note in told.of("note")]
    assert "| [hidden]" in notes
    assert "webhook 2 ($NOT_SET) was not told: that variable isn't set" in notes
    live.env["DEPLOY_WEBHOOK"] = f"http://127.0.0.1:9{PATH}"
    live.tag_next({"version.txt": "another"})
    deaf = live.run("fab", "deploy")
    assert deaf.exit == 0
    assert "warning: webhook 1 ($DEPLOY_WEBHOOK) was not told: " in deaf.out
    assert "s3cr3t-sentinel" not in deaf.said
    del live.env["DEPLOY_WEBHOOK"]  # the module's project lives on


# --- what is told, without a deploy -----------------------------------------------------------------------------

LIVE = Outcome("live", 0, "0002-v1", "0001-v0", (HostOutcome("web1", "0002-v1", True),), 1.25)


def news(outcome: Outcome = LIVE, urls: UrlChanges | None = None) -> notify.News:
    return notify.News("blog", "production", "deploy", "ann@laptop", outcome, "v1", urls)


def told(settings: Notify, about: notify.News) -> list[str]:
    events: list[Event] = []
    notify.announce((settings,), about, events.append)
    return [event.data["text"] for event in events]


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("/status/500", "it answered 500"),
        ("/status/404", "it answered 404"),
        ("/to", "it answered 302; redirects aren't followed"),
    ],
)
def test_a_webhook_that_does_not_take_it_is_a_warning(ear: Ear, path: str, what: str) -> None:
    """Asked once; a redirect isn't followed, to whatever host it leads."""
    (warning,) = told(Notify(url=ear.url(path)), news())
    assert warning == f"webhook 1 (127.0.0.1:{ear.server_port}) was not told: {what}"
    assert [heard for heard, _body in ear.heard] == [path]


@pytest.mark.parametrize(
    "url",
    [
        "http://[s3cr3t-sentinel/",
        "http://ann:s3cr3t-sentinel@127.0.0.1:9/hook",
        "http://127.0.0.1:s3cr3t-sentinel/",
        "http://127.0.0.1:9/s3cr3t-sentinel or so",
        "s3cr3t-sentinel",
    ],
)
def test_what_is_no_address_is_a_warning_that_tells_nothing_of_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that was pasted wrongly is one still; and the deploy that it was to be told of is done."""
    monkeypatch.setenv("HOOK", url)
    assert notify.secret_urls((Notify(env="HOOK"),)) == [url]
    (warning,) = told(Notify(env="HOOK"), news())
    assert warning.startswith("webhook 1 ($HOOK) was not told: it is no http or https URL")
    assert "s3cr3t" not in warning


def test_blanks_around_a_secret_are_no_part_of_it(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files, and the fields that they are pasted into, bring line ends along."""
    monkeypatch.setenv("HOOK", f" {ear.url(PATH)}\n")
    assert told(Notify(env="HOOK"), news()) == []
    assert [path for path, _body in ear.heard] == [PATH]
    assert PATH.strip("/") in notify.secret_urls((Notify(env="HOOK"),))


def test_a_webhook_that_never_answers_is_given_up(ear: Ear) -> None:
    """After the patience that all of them share; the others have heard of it."""
    events: list[Event] = []
    settings = (Notify(url=ear.url("/slow")), Notify(url=ear.url()))
    notify.announce(settings, news(), events.append, patience=0.5)
    (warning,) = events
    assert warning.data["text"].startswith("webhook 1 (")
    assert warning.data["text"].endswith(" was not told: it didn't answer within 0.5 s")
    assert {path for path, _body in ear.heard} == {"/slow", "/hook"}


@pytest.mark.parametrize(
    ("outcome", "heard"),
    [
        (LIVE, "live"),
        (outcome_of(Restored("it broke")), "restored"),
        (outcome_of(Interrupted("interrupted; everything was put back")), "interrupted"),
        (outcome_of(Refused("no")), "refused"),
        (outcome_of(Locked("busy", host="web1", holder={})), "locked"),
        (Outcome("unchanged"), None),
        (Outcome("planned"), None),
    ],
)
def test_each_outcome_has_one_word_that_a_webhook_chooses_by(ear: Ear, outcome: Outcome, heard: str | None) -> None:
    """By default only what changed hosts, or was to; nobody can ask to hear of nothing."""
    words = ("live", "restored", "degraded", "interrupted", "refused", "locked")
    for word in words:
        told(Notify(url=ear.url(f"/{word}"), on=(word,)), news(outcome))  # type: ignore[arg-type]
    assert [path for path, _body in ear.heard] == ([f"/{heard}"] if heard else [])
    ear.heard.clear()
    told(Notify(url=ear.url()), news(outcome))
    assert len(ear.heard) == (heard in ("live", "restored", "degraded"))


def test_a_chat_gets_one_text_with_the_same_facts(ear: Ear) -> None:
    """Twenty URLs of each kind at most, all of them counted."""
    urls = UrlChanges(tuple(f"/{n:02}/" for n in range(25)), ("/",), ())
    told(Notify(url=ear.url(), form="mattermost"), news(urls=urls))
    ((_, body),) = ear.heard
    assert body.keys() == {"text"}
    lines = body["text"].splitlines()
    assert lines[0] == "blog: v1 is live on production (deploy by ann@laptop, 1 host, 1.2 s)"
    assert lines[1] == "release: 0002-v1, before: 0001-v0"
    assert lines[2].startswith("25 added: /00/, /01/")
    assert lines[2].endswith("/19/ and 5 more")
    assert lines[3:] == ["1 changed: /"]


def test_what_a_failed_release_says_can_not_speak_to_a_channel(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slack's signs are escaped, the words stand in a block that they can't end, and secrets are hidden."""
    monkeypatch.setenv("APP_TOKEN", "s3cr3t-sentinel")
    tail = ["<!channel> & s3cr3t-sentinel", "``` @all"]
    failed = outcome_of(Restored("it broke", where="web1, start", cure="mend it", tail=tail))
    for form in ("slack", "mattermost", "json"):
        told(Notify(url=ear.url(), form=form), news(failed))  # type: ignore[arg-type]
    slack, mattermost, plain = (body for _path, body in ear.heard)
    assert "&lt;!channel&gt; &amp; [hidden]" in slack["text"]
    assert "<!channel> & [hidden]" in mattermost["text"]
    assert mattermost["text"].count("```") == 2
    assert plain["error"] == {"where": "web1, start", "what": "it broke", "cure": "mend it", "tail": [
        "<!channel> & [hidden]", "``` @all"]}  # fmt: skip
