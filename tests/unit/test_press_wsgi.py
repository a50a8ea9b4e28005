"""site/wsgi.py: the built site over HTTP, as it runs on a host."""

from __future__ import annotations

import importlib.util
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from types import ModuleType
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from unit.press_project import CLOCK, HELLO, SITE, write

from tagship.press.build import build

WSGI = Path(__file__).parents[2] / "site/wsgi.py"


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def release(folder: Path, words: str = "The first words.") -> Path:
    """A release as it lies on a host: app/ with the tag's tree, public/ with the built site."""
    app = write(folder / "app", {"posts/2026-11-01-hello.md": f"---\ntitle: Hello\n---\n{words}\n"})
    (app / "site").mkdir()
    shutil.copy(WSGI, app / "site/wsgi.py")
    build(app, folder / "public", SITE, clock=CLOCK)
    return folder


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("wsgi_under_test", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def running(folder: Path) -> Iterator[int]:
    application = load(folder / "app/site/wsgi.py").application
    with make_server("127.0.0.1", 0, application, handler_class=_Silent) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def ask(port: int, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer, body


def test_pages_assets_and_wrong_addresses(tmp_path: Path) -> None:
    """Folders answer with their index, wrong addresses with the 404 page and its status."""
    with running(release(tmp_path)) as port:
        answer, body = ask(port, "/2026/11/hello/")
        assert (answer.status, "The first words." in body) == (200, True)
        assert answer.headers["Cache-Control"] == "max-age=0, public"
        assert ask(port, "/2026/11/hello")[0].status == 302
        answer, body = ask(port, "/nowhere/")
        assert (answer.status, "There is nothing at this address" in body) == (404, True)
        answer, body = ask(port, "/nowhere/", "HEAD")
        assert (answer.status, body) == (404, "")
        assert ask(port, "/../app/site/wsgi.py")[0].status == 404
        asset = next((tmp_path / "public/assets").glob("style.*.css")).name
        assert "immutable" in ask(port, f"/assets/{asset}")[0].headers["Cache-Control"]


def test_the_same_content_is_not_sent_twice(tmp_path: Path) -> None:
    """By its ETag; a page that hasn't changed costs a few bytes."""
    with running(release(tmp_path)) as port:
        tag = ask(port, "/")[0].headers["ETag"]
        answer, body = ask(port, "/", If_None_Match=tag)
        assert (answer.status, body) == (304, "")


def test_equal_time_and_size_never_keep_an_old_page(tmp_path: Path) -> None:
    """Files of two releases may share both; whoever asks by either gets the new page."""
    old, new = release(tmp_path / "1", "Words: old."), release(tmp_path / "2", "Words: new.")
    for folder in (old, new):
        for path in folder.rglob("*"):
            os.utime(path, (1_000_000_000, 1_000_000_000))
    with running(old) as port:
        before, _ = ask(port, "/2026/11/hello/")
    assert before.headers["Last-Modified"] is None
    with running(new) as port:
        for asked in (
            {"If_None_Match": before.headers["ETag"]},
            {"If_Modified_Since": "Sun, 09 Sep 2001 01:46:40 GMT"},
            {"If_Modified_Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
        ):
            answer, body = ask(port, "/2026/11/hello/", **asked)
            assert (answer.status, "Words: new." in body) == (200, True)


def test_a_page_loaded_before_a_flip_finds_its_assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that the host keeps for all releases, and that may come later than the process; nothing else there."""
    kept = write(tmp_path / "kept", {"other/secret": "x"})
    monkeypatch.setenv("TAGSHIP_ASSETS", str(kept / "assets"))
    with running(release(tmp_path / "1")) as port:
        assert ask(port, "/assets/style.0123456789ab.css")[0].status == 404
        write(kept, {"assets/style.0123456789ab.css": "p {}"})
        answer, body = ask(port, "/assets/style.0123456789ab.css")
        assert (answer.status, body) == (200, "p {}")
        assert "immutable" in answer.headers["Cache-Control"]
        assert ask(port, "/assets/../other/secret")[0].status == 404


def test_a_read_only_release_is_served(tmp_path: Path) -> None:
    """Nothing is written beside the code."""
    folder = release(tmp_path)
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        with running(folder) as port:
            assert ask(port, "/")[0].status == 200
    finally:
        for path in [folder, *folder.rglob("*")]:
            if path.is_dir():
                path.chmod(0o755)


def test_a_checkout_serves_what_inv_build_made(tmp_path: Path) -> None:
    """And says what to do when nothing was built yet; a `public` beside a checkout is somebody else's."""
    write(tmp_path, {"public/index.html": "somebody else's"})
    checkout = write(tmp_path / "checkout", HELLO)
    (checkout / "site").mkdir()
    shutil.copy(WSGI, checkout / "site/wsgi.py")
    with pytest.raises(FileNotFoundError, match="run inv build"):
        load(checkout / "site/wsgi.py")
    build(checkout, checkout / "build/site", SITE, clock=CLOCK)
    assert checkout / "build/site" == load(checkout / "site/wsgi.py").PUBLIC
