"""A headless Chromium, spoken to in its DevTools protocol over a pipe: no port, no driver, no package."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-extensions",
    "--disable-background-networking",
    "--force-color-profile=srgb",
    "--font-render-hinting=none",
)
_READ, _WRITE = 3, 4
"""The descriptors that Chromium reads orders from and writes answers to."""


class BrowserError(Exception):
    """Chromium isn't there, has ended, or refuses an order."""


class Chromium:
    """One browser with one page; leaving the block ends it."""

    def __enter__(self) -> Chromium:
        program = next(filter(None, map(shutil.which, PROGRAMS)), None)
        if program is None:
            raise BrowserError("there is no chromium: apt-get install chromium")
        self.home = tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True)
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        # A shell puts the pipes where Chromium looks for them: `preexec_fn` isn't safe beside threads.
        argv = [
            "sh",
            "-c",
            f'exec "$@" {_READ}<&{theirs_in} {_WRITE}>&{theirs_out}',
            "sh",
            program,
            *_FLAGS,
            *sandbox,
        ]
        self.process = subprocess.Popen(
            [*argv, f"--user-data-dir={self.home.name}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(theirs_in, theirs_out),
            start_new_session=True,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.orders = os.fdopen(ours_out, "wb", buffering=0)
        self.answers = os.fdopen(ours_in, "rb")
        self.number = 0
        self.waiting = b""
        self.session = ""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.ask("Page.enable")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.orders.close()
        self.answers.close()
        self.home.cleanup()

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Give an order and return its result. Raises `BrowserError`."""
        self.number += 1
        order: dict[str, Any] = {"id": self.number, "method": method, "params": params}
        if self.session:
            order["sessionId"] = self.session
        self.orders.write(json.dumps(order).encode() + b"\0")
        while True:
            message = self.next()
            if message.get("id") == self.number:
                if "error" in message:
                    raise BrowserError(f"{method}: {message['error'].get('message')}")
                return dict(message["result"])

    def next(self) -> dict[str, Any]:
        """The next message, an answer or an event."""
        while b"\0" not in self.waiting:
            more = self.answers.read1(1 << 16)
            if not more:
                raise BrowserError("chromium has ended")
            self.waiting += more
        message, _, self.waiting = self.waiting.partition(b"\0")
        return dict(json.loads(message))

    def open(self, url: str) -> None:
        """Load a page, and wait until it is there with all that it shows."""
        self.ask("Page.navigate", url=url)
        while self.next().get("method") != "Page.loadEventFired":
            continue

    def evaluate(self, expression: str) -> Any:
        """The value of some JavaScript; a promise is waited for. Raises `BrowserError`."""
        told = self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in told:
            details = told["exceptionDetails"]
            raise BrowserError(str(details.get("exception", {}).get("description") or details["text"]))
        return told["result"].get("value")

    def show_as(self, *, width: int, height: int, media: str, scheme: str) -> None:
        """Pretend to be a screen or a sheet of that many pixels, light or dark."""
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.ask("Emulation.setEmulatedMedia", media=media, features=features)

    def picture(self, path: Path) -> None:
        """Write what is seen now as a PNG."""
        import base64

        told = self.ask("Page.captureScreenshot", format="png", optimizeForSpeed=False)
        path.write_bytes(base64.b64decode(told["data"]))
