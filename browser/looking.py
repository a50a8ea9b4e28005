"""Every page of a site in a browser, in every shape: what axe-core says of it, and what sticks out."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from browser.chromium import Chromium


@dataclass(frozen=True)
class Shape:
    """How a page is shown; sizes in CSS pixels."""

    name: str
    width: int
    height: int
    media: str
    scheme: str


SHAPES = tuple(
    Shape(f"{name}-{scheme}", width, height, media, scheme)
    for name, width, height, media in (
        ("desktop", 1280, 900, "screen"),
        ("narrow", 360, 740, "screen"),
        ("print", 794, 1123, "print"),
    )
    for scheme in ("light", "dark")
)
"""Wide, a small telephone, and A4 at 96 pixels an inch; each light and dark."""


@dataclass(frozen=True)
class Violation:
    """Something wrong with a page in one shape: axe-core's rule or `overflow`, and the elements it is about."""

    url: str
    shape: str
    rule: str
    text: str
    elements: tuple[str, ...]


@dataclass(frozen=True)
class Looked:
    """What a run saw: pages in shapes, rules that were passed, what axe-core could not decide, and what is wrong."""

    views: int
    passes: int
    undecided: tuple[tuple[str, int], ...]
    violations: tuple[Violation, ...]


_OVERFLOW = """
(() => {
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= wide) return [];
  return [...document.querySelectorAll('body *')]
    .filter(e => e.getBoundingClientRect().right > wide + 1).slice(0, 5).map(e => e.outerHTML.slice(0, 120));
})()
"""
_AXE = "axe.run(document, {resultTypes: ['violations', 'incomplete', 'passes']})"


def look(browser: Chromium, root: str, urls: list[str], axe: str) -> Looked:
    """Open each of `urls` below the address `root` in every shape, and run the script `axe` on it."""
    violations: list[Violation] = []
    undecided: dict[str, int] = {}
    passes = 0
    for url in urls:
        for shape in SHAPES:
            browser.show_as(width=shape.width, height=shape.height, media=shape.media, scheme=shape.scheme)
            browser.open(f"{root}{url}")
            browser.evaluate(axe)
            told = json.loads(browser.evaluate(f"{_AXE}.then(told => JSON.stringify(told))"))
            violations += _violations(url, shape, told)
            passes += len(told["passes"])
            for open_rule in told["incomplete"]:
                undecided[open_rule["id"]] = undecided.get(open_rule["id"], 0) + 1
            sticking = browser.evaluate(_OVERFLOW)
            if sticking:
                violations.append(Violation(url, shape.name, "overflow", "wider than the page", tuple(sticking)))
    return Looked(len(urls) * len(SHAPES), passes, tuple(sorted(undecided.items())), tuple(violations))


def _violations(url: str, shape: Shape, told: dict[str, Any]) -> Iterator[Violation]:
    for found in told["violations"]:
        elements = tuple(
            f"{node['html'][:160]} ({' '.join(node['failureSummary'].split())})" for node in found["nodes"]
        )
        yield Violation(url, shape.name, found["id"], found["help"], elements[:5])


def photograph(browser: Chromium, root: str, wanted: dict[str, tuple[str, Shape]], folder: Path) -> None:
    """Write a picture a name: of a URL in a shape."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (url, shape) in wanted.items():
        browser.show_as(width=shape.width, height=shape.height, media=shape.media, scheme=shape.scheme)
        browser.open(f"{root}{url}")
        browser.picture(folder / f"{name}.png")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_words: Any) -> None:
        """Nothing: who looks at pages wants no log of them."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The files of `folder` at an address of this machine."""
    handler = functools.partial(_Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
