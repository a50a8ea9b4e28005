"""Links that leave the site: asked politely, once each, and remembered for some days.

One request at a time to each host, with a pause between two; HEAD first, GET where that is refused; short timeouts,
no body read, a name that says who asks. Only a clear answer that nothing is there (404, 410) is an error: a host that
is down, slow or shy says nothing of the page. What was answered well is kept in a file of the project's `build/` and
not asked again while it is young.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urldefrag, urljoin, urlsplit

from tagship.press.checks.page import Link, Page, place_of
from tagship.press.checks.site import Remark, Site

AGENT = "tagship-check/1 (a site's own check of its links)"
_NOT_THERE = frozenset({404, 410})
_NO_HEAD = frozenset({400, 403, 404, 405, 406, 410, 429, 500, 501, 503})
"""Answers to HEAD after which GET is asked: many servers have never heard of it."""
_MOVED = frozenset({301, 308})
_MOST_HOPS = 5


@dataclass(frozen=True)
class Manners:
    """How the world is asked; times in seconds."""

    timeout: float = 10.0
    pause: float = 1.0
    """Between two requests to one host."""
    hosts_at_once: int = 8
    age: float = 7 * 86_400.0
    """How long a good answer is believed."""


@dataclass(frozen=True)
class Answered:
    """What became of an address: the last status (0 for none), where it moved to for good, and why there is none."""

    status: int
    moved: str = ""
    problem: str = ""

    @property
    def good(self) -> bool:
        """Whether something is there."""
        return 200 <= self.status < 300


def check(
    site: Site, cache: Path, *, manners: Manners, now: float, tell: Callable[[int, int], None]
) -> Iterator[Remark]:
    """Ask for every address outside the site, and say which are gone.

    `cache` is the file that remembers; `now` the seconds since 1970; `tell` hears how many of the hosts are done.
    """
    wanted = _wanted(site)
    known = _read(cache, now - manners.age)
    asked = _ask_all([url for url in wanted if url not in known], manners, tell)
    _write(cache, {**known, **{url: (now, answer) for url, answer in asked.items() if answer.good}})
    for url, places in wanted.items():
        answer = known[url][1] if url in known else asked[url]
        found = _judged(url, answer)
        if found is not None:
            turns: dict[tuple[str, str], int] = {}
            for page, link in places:
                turn = turns[page.file, link.target] = turns.get((page.file, link.target), 0) + 1
                yield Remark(page, place_of(link.element), *found, (link.target,), turn)


def _wanted(site: Site) -> dict[str, list[tuple[Page, Link]]]:
    """Each address without its fragment, sorted, and the links that name it."""
    found: dict[str, list[tuple[Page, Link]]] = {}
    for page in site.pages:
        for link in page.links:
            parts = urlsplit(link.target) if _may_be_asked(link.target) else None
            if parts is None or not parts.hostname or link.element.tag == "form":
                continue
            if site.inside(page, link.target) is None:
                found.setdefault(urldefrag(link.target)[0], []).append((page, link))
    return dict(sorted(found.items()))


def _may_be_asked(target: str) -> bool:
    if not target.startswith(("http://", "https://")):
        return False
    try:
        return urlsplit(target).port != 0
    except ValueError:
        return False


def _judged(url: str, answer: Answered) -> tuple[str, str, str] | None:
    if answer.status in _NOT_THERE:
        return "external-link", f"{url} answers {answer.status}", "find where it went, or say that it is gone"
    if answer.problem:
        return "external-unknown", f"{url} could not be asked: {answer.problem}", ""
    if not answer.good:
        return "external-unknown", f"{url} answers {answer.status}", ""
    if answer.moved:
        return "external-moved", f"{url} has moved for good", f"write {answer.moved}"
    return None


def _ask_all(urls: Sequence[str], manners: Manners, tell: Callable[[int, int], None]) -> dict[str, Answered]:
    by_host: dict[str, list[str]] = {}
    for url in urls:
        by_host.setdefault(urlsplit(url).netloc.lower(), []).append(url)
    answers: dict[str, Answered] = {}
    with ThreadPoolExecutor(max_workers=manners.hosts_at_once) as pool:
        for done, found in enumerate(pool.map(lambda urls: _ask_host(urls, manners), by_host.values()), 1):
            answers.update(found)
            tell(done, len(by_host))
    return answers


def _ask_host(urls: Sequence[str], manners: Manners) -> dict[str, Answered]:
    """The addresses of one host, one after another."""
    answers = {}
    for number, url in enumerate(urls):
        if number:
            time.sleep(manners.pause)
        answers[url] = _ask(url, manners)
    return answers


def _ask(url: str, manners: Manners) -> Answered:
    first = _follow(url, "HEAD", manners)
    if first.problem or first.status in _NO_HEAD:
        time.sleep(manners.pause)
        return _follow(url, "GET", manners)
    return first


def _follow(url: str, method: str, manners: Manners) -> Answered:
    """Ask, and go where it leads; `moved` is set only where every step was for good."""
    at, for_good = url, True
    for _ in range(_MOST_HOPS):
        status, location, problem = _request(at, method, manners.timeout)
        if problem or not (300 <= status < 400 and location):
            return Answered(status, at if for_good and at != url else "", problem)
        for_good = for_good and status in _MOVED
        at = urljoin(at, location)
        if not at.startswith(("http://", "https://")):
            return Answered(status, "", f"it leads to {at[:60]}")
    return Answered(0, "", f"more than {_MOST_HOPS} redirects")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_words: Any, **_named: Any) -> None:
        """Every step is looked at."""


_OPENER = urllib.request.build_opener(_NoRedirects)


def _request(url: str, method: str, timeout: float) -> tuple[int, str, str]:
    """Status, Location, and what went wrong instead."""
    address = quote(url, safe="%/:=&?~#+!$,;'@()*[]")
    request = urllib.request.Request(address, method=method, headers={"User-Agent": AGENT, "Accept": "*/*"})  # noqa: S310
    try:
        with _OPENER.open(request, timeout=timeout) as answer:
            return answer.status, "", ""
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers.get("Location") or "", ""
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        return 0, "", str(reason) or type(error).__name__


def _read(cache: Path, since: float) -> dict[str, tuple[float, Answered]]:
    """The answers of the cache that are young enough; none where there is no cache, or one that can't be read."""
    try:
        rows: Mapping[str, Any] = json.loads(cache.read_text(encoding="utf-8"))
        found = {
            url: (float(row["at"]), Answered(int(row["status"]), str(row["moved"]))) for url, row in rows.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
    return {url: entry for url, entry in found.items() if entry[0] >= since}


def _write(cache: Path, entries: Mapping[str, tuple[float, Answered]]) -> None:
    rows = {url: {"at": at, "status": a.status, "moved": a.moved} for url, (at, a) in sorted(entries.items())}
    cache.parent.mkdir(parents=True, exist_ok=True)
    fresh = cache.with_name(f".{cache.name}.new")
    fresh.write_text(json.dumps(rows, indent=0) + "\n", encoding="utf-8")
    fresh.replace(cache)
