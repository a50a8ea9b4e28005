"""`inv serve`: the site on this machine, built again at every change and shown again by the browser.

Builds take turns in a private folder, and one becomes what is served only when it has succeeded. While one fails, the
last good pages go on being served with the error laid over them. The page of a text that was saved is shown at
once, from memory (`glance`); the build that follows makes all that depends on it. The script that does this is put
into pages on their way out; what is on disk is what `inv build` would write.
"""

from __future__ import annotations

import html
import json
import mimetypes
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from tagship.errors import TagshipError, UsageError
from tagship.press.build import Ask, BuildReport, Done
from tagship.press.clock import clock_of
from tagship.press.glance import Glance
from tagship.press.share import Order
from tagship.press.turns import Turns
from tagship.press.watching import SiteLoader, changes

EVENTS_PATH = "/.tagship/events"
_PING_SECONDS = 15.0
_SCRIPT = """<script>
(() => {
  const overlay = text => {
    document.getElementById("tagship-error")?.remove();
    if (!text) return;
    const box = document.createElement("pre");
    box.id = "tagship-error";
    box.setAttribute("role", "alert");
    box.style.cssText = "position:fixed;inset:auto 0 0 0;z-index:9999;margin:0;padding:1rem 1.25rem;" +
      "max-height:60vh;overflow:auto;white-space:pre-wrap;background:#3b0d0d;color:#ffe9e3;" +
      "font:14px/1.5 ui-monospace,monospace;border-top:4px solid #ff7a5c";
    box.textContent = text;
    document.body.append(box);
  };
  let seen = null;
  new EventSource("PATH").onmessage = event => {
    const {version, error} = JSON.parse(event.data);
    if (seen !== null && version !== seen) return location.reload();
    seen = version;
    overlay(error);
  };
})();
</script>""".replace("PATH", EVENTS_PATH)


@dataclass(frozen=True)
class Serving:
    """The server answers at `url`."""

    url: str


@dataclass(frozen=True)
class Built:
    """A build succeeded after `seconds`, because of `changed` (paths; empty for the first)."""

    report: BuildReport
    seconds: float
    changed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failed:
    """A build failed; the last good one, if there is any, goes on being served."""

    error: TagshipError
    changed: tuple[str, ...] = ()


Event = Serving | Built | Failed


def serve(
    project: Path,
    site_loader: SiteLoader,
    *,
    port: int,
    host: str = "127.0.0.1",
    on_event: Callable[[Event], None],
    drafts: bool = False,
    future: bool = False,
    stop: threading.Event | None = None,
) -> None:
    """Serve the site at `host:port` (0: any free port) until Ctrl-C, or until `stop` is set.

    `site_loader` is asked again before every build, so that a change of tagship.yml counts. `on_event` is told
    what happens, from one thread. Raises `UsageError` when the port is taken.
    """
    ended = stop or threading.Event()
    with tempfile.TemporaryDirectory(prefix="tagship-serve-") as folder:
        stand = _Stand(project, site_loader, Path(folder), on_event, drafts=drafts, future=future)
        server = _open(host, port, stand)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            on_event(Serving(f"http://{host}:{server.server_port}/"))
            for changed in changes(project.resolve(), site_loader, ended):
                stand.build(changed)
        except KeyboardInterrupt:
            pass  # this is how it is meant to end
        finally:
            stand.close()
            server.shutdown()
            server.server_close()
            thread.join()


class _Stand:
    """What is shown at the moment: the folder of the last good build, and the error of a newer one."""

    def __init__(
        self,
        project: Path,
        site_loader: SiteLoader,
        folder: Path,
        on_event: Callable[[Event], None],
        *,
        drafts: bool,
        future: bool,
    ) -> None:
        self.project = project
        self.site_loader = site_loader
        self.turns = Turns(folder, resident=True)
        self.glance: Glance | None = None
        self.shown: dict[str, bytes] = {}
        """Pages that are newer than those of `root`, by path."""
        self.on_event = on_event
        self.drafts = drafts
        self.future = future
        self.changed = threading.Condition()
        self.version = 0
        self.root: Path | None = None
        self.error = ""
        self.closed = False

    def build(self, changed: tuple[str, ...]) -> None:
        begun = time.monotonic()
        try:
            seen = self.look(changed)
            ask = Ask(self.project.resolve(), self.site_loader(), clock_of(self.project), self.drafts, self.future)
            done = self.turns.build(ask)
        except TagshipError as error:
            self.show(self.root, str(error))
            self.on_event(Failed(error, changed))
            return
        if self.root is None or done.written - seen or self.error:
            self.show((self.turns.folder / "site").resolve(), "")
        else:
            self.settle((self.turns.folder / "site").resolve())
        self.on_event(Built(done.report, time.monotonic() - begun, changed))
        self.prepare(ask, done)

    def look(self, changed: tuple[str, ...]) -> set[str]:
        """Show the pages of the texts that were saved, before all else; returns which."""
        pages = self.glance.pages(changed) if self.glance is not None and changed and not self.error else {}
        if pages:
            with self.changed:
                self.shown = pages
                self.version += 1
                self.changed.notify_all()
        return set(pages)

    def prepare(self, ask: Ask, done: Done) -> None:
        """Be ready for the next look."""
        if done.model is None:
            return
        if self.glance is not None:
            self.glance.close()
        self.glance = Glance(
            Order(ask.project, ask.site, self.turns.segments, done.templates, done.data), done, done.model
        )
        self.glance.warm()

    def settle(self, root: Path) -> None:
        """Serve `root`, which shows nothing that isn't seen already."""
        with self.changed:
            self.root, self.shown = root, {}

    def show(self, root: Path | None, error: str) -> None:
        with self.changed:
            # An error over pages that stay the same needs no reload, only to be shown.
            self.version += root != self.root or bool(self.shown)
            self.root, self.error, self.shown = root, error, {}
            self.changed.notify_all()

    def close(self) -> None:
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def wait(self, told: str) -> str | None:
        """The state as JSON, once it differs from `told` or some seconds have passed; None at the end."""
        with self.changed:
            self.changed.wait_for(lambda: self.closed or self.state() != told, timeout=_PING_SECONDS)
            return None if self.closed else self.state()

    def state(self) -> str:
        return json.dumps({"version": self.version, "error": self.error})


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], stand: _Stand) -> None:
        self.stand = stand
        super().__init__(address, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that goes away in the middle of an answer is nothing to report."""


def _open(host: str, port: int, stand: _Stand) -> _Server:
    try:
        return _Server((host, port), stand)
    except (OSError, OverflowError) as error:
        raise UsageError(f"can't listen there: {error}", where=f"{host}:{port}", cure="inv serve --port 0") from None


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "tagship"
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = unquote(self.path.partition("?")[0].partition("#")[0])
        if path == EVENTS_PATH:
            self.events()
            return
        found = self.find(path)
        if found == "folder":
            self.send_response(301)
            self.send_header("Location", self.path.partition("?")[0] + "/")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif isinstance(found, Path):
            self.answer(200, found)
        elif self.server.stand.root is None:
            self.send(503, "text/html; charset=utf-8", _error_page(self.server.stand.error))
        else:
            self.answer(404, self.server.stand.root / "404.html")

    do_HEAD = do_GET

    def find(self, path: str) -> Path | str | None:
        """The file that answers `path`, `folder` when a slash is missing, None when there is none."""
        root = self.server.stand.root
        parts = path.split("/")[1:]
        if root is None or not path.startswith("/") or "\0" in path or {".", ".."} & set(parts):
            return None
        target = root.joinpath(*(part for part in parts if part))
        if not path.endswith("/"):
            return target if target.is_file() else "folder" if (target / "index.html").is_file() else None
        index = target / "index.html"
        return index if index.is_file() else None

    def answer(self, status: int, path: Path) -> None:
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        stand = self.server.stand
        try:
            newer = stand.shown.get(path.relative_to(stand.root).as_posix()) if stand.root else None
            body = path.read_bytes() if newer is None else newer
        except (
            OSError,
            ValueError,
        ):  # the build was replaced between looking and reading; the browser is about to reload
            self.send(503, "text/plain; charset=utf-8", b"rebuilding")
            return
        if kind == "text/html":
            head, tag, tail = body.rpartition(b"</body>")
            body = head + _SCRIPT.encode() + tag + tail if tag else body + _SCRIPT.encode()
        if kind.startswith("text/") or kind in {"application/xml", "image/svg+xml"}:
            kind += "; charset=utf-8"
        self.send(status, kind, body)

    def send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def events(self) -> None:
        """Server-sent events: the state now, and at every change; a comment now and then finds closed tabs."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        told = ""
        while (state := self.server.stand.wait(told)) is not None:
            self.wfile.write(f"data: {state}\n\n".encode() if state != told else b": still here\n\n")
            self.wfile.flush()
            told = state

    def log_message(self, format: str, *args: object) -> None:
        """Every word is the callback's; single requests are not worth one."""


def _error_page(error: str) -> bytes:
    said = html.escape(error or "The first build is under way.")
    style = (
        "margin:3rem auto;max-width:50rem;padding:0 1rem;font:16px/1.6 ui-monospace,monospace;white-space:pre-wrap"
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
        '<meta name="viewport" content="width=device-width"><title>Not built yet</title>'
        f'<body><pre style="{style}">{said}</pre>{_SCRIPT}</body></html>'
    ).encode()
