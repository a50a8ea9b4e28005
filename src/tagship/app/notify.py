"""Webhooks that are told how a deploy or rollback ended; whether they listen changes nothing of it."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tagship import __version__
from tagship.amounts import URLS_SHOWN, counted
from tagship.config import Notify, webhooks
from tagship.errors import Interrupted
from tagship.events import Listener, note
from tagship.manifest import UrlChanges
from tagship.masks import Mask, secrets_of
from tagship.ship.crew import Crew
from tagship.ship.outcome import Outcome

PATIENCE = 10.0
"""Seconds that all webhooks together may take, name resolution and slow answers included."""
_LINES_SHOWN = 10
_SECRET_PART = 16  # characters of a URL's path or query; a shorter one guards nothing, and may be a plain word
_WORDS = {"live": "is live", "restored": "didn't go live, and everything was put back", "degraded": "needs a person"}


@dataclass(frozen=True)
class News:
    """How a change ended, with all that webhooks are told of it."""

    app: str
    stage: str
    verb: str
    """`deploy` or `rollback`."""
    who: str
    outcome: Outcome
    tag: str | None = None
    """What was to go live; `None` where it ended before that was known."""
    urls: UrlChanges | None = None

    @property
    def word(self) -> str:
        """What `on:` of a webhook chooses by: the outcome, but `interrupted` where that is what put it back."""
        return "interrupted" if isinstance(self.outcome.error, Interrupted) else self.outcome.outcome

    def row(self) -> dict[str, Any]:
        """The JSON form."""
        row, error = self.outcome.row(), self.outcome.error
        return {
            "outcome": row["outcome"],
            "exit": row["exit"],
            "app": self.app,
            "stage": self.stage,
            "verb": self.verb,
            "tag": self.tag,
            "release": row["release"],
            "previous": row["previous"],
            "who": self.who,
            "hosts": row["hosts"],
            **({"away": row["away"]} if "away" in row else {}),
            "seconds": row["seconds"],
            "urls": {kind: {"count": len(urls), "urls": urls[:URLS_SHOWN]} for kind, urls in self._changes()},
            "error": error and {"where": error.where, "what": error.what, "cure": error.cure, "tail": error.tail},
        }

    def text(self) -> str:
        """The same for people, in the few marks that Slack and Mattermost share."""
        outcome, what = self.outcome, self.tag or "a release"
        lines = [
            f"{self.app}: {what} {_WORDS.get(self.word, f'was {self.word}')} on {self.stage} "
            f"({self.verb} by {self.who}, {counted(len(outcome.hosts), 'host')}, {outcome.seconds:.1f} s)"
        ]
        if outcome.release:
            lines.append(f"release: {outcome.release}, before: {outcome.previous or 'none'}")
        if outcome.error is not None:
            lines += [f"`{host.host}`: {host.release or 'no release'}" for host in outcome.hosts if not host.ok]
            lines += ["```", *self._said(), "```"]
        lines += [f"`{known.host}`: {known.words}" for known in outcome.away]
        for kind, urls in self._changes():
            if urls:
                more = f" and {len(urls) - URLS_SHOWN} more" if len(urls) > URLS_SHOWN else ""
                lines.append(f"{len(urls)} {kind}: {', '.join(urls[:URLS_SHOWN])}{more}")
        return "\n".join(lines)

    def _said(self) -> Iterator[str]:
        """The error; inside a block of code, which it must not end, nobody is mentioned by it."""
        if self.outcome.error is not None:
            tail = self.outcome.error.tail[-_LINES_SHOWN:]
            yield from (line.replace("```", "'''") for line in (*str(self.outcome.error).splitlines(), *tail))

    def _changes(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        urls = self.urls or UrlChanges((), (), ())
        return ("added", urls.added), ("changed", urls.changed), ("gone", urls.gone)


@dataclass(frozen=True)
class Webhook:
    """One that can be reached: how it is called in messages, and its whole URL, which may be a secret."""

    name: str
    url: str
    settings: Notify


def secret_urls(settings: tuple[Notify, ...]) -> list[str]:
    """What no output may hold: URLs of the environment, whole and without their hosts."""
    urls = [url for notify in settings if notify.env is not None and (url := _given(notify.env))]
    split = [urlsplit(url) for url in urls if webhooks.is_address(url)]
    parts = [part for url in split for part in (url.path.strip("/"), url.query)]
    return [*urls, *(part for part in parts if len(part) >= _SECRET_PART)]


def _given(variable: str) -> str:
    """Its value, without the line end that a secret's file often brings along."""
    return os.environ.get(variable, "").strip()


def announce(settings: tuple[Notify, ...], news: News, listener: Listener, *, patience: float = PATIENCE) -> None:
    """Tell every webhook that wants to hear of it, in `patience` seconds; one that can't be told is a warning.

    What the secrets of the environment hide from our own output is hidden from webhooks too.
    """
    hooks = {hook.name: hook for hook in _reachable(settings, news, listener)}
    if not hooks or news.word in ("planned", "unchanged"):
        return
    mask = Mask((*secrets_of(os.environ), *secret_urls(settings)))
    crew = Crew(lambda name: _post(hooks[name], _body(hooks[name].settings.form, news, mask)), hooks, len(hooks))
    try:
        crew.wait(patience)
    except KeyboardInterrupt:  # what was to be done is done: only telling it is cut short
        note(listener, "interrupted while webhooks were told", level="warning")
        return
    for name in hooks:
        if name in crew.busy:
            _warn(listener, name, f"it didn't answer within {patience:g} s")
        elif name in crew.errors:
            _warn(listener, name, _fault(crew.errors[name]))


def _reachable(settings: tuple[Notify, ...], news: News, listener: Listener) -> Iterator[Webhook]:
    for number, notify in enumerate(settings, 1):
        if news.word not in notify.on:
            continue
        url = notify.url or _given(notify.env or "")
        good = webhooks.is_address(url)
        name = f"${notify.env}" if notify.env else (urlsplit(url).netloc if good else "url")
        if good:
            yield Webhook(f"webhook {number} ({name})", url, notify)
        else:
            fault = "it is no http or https URL, or there is a blank, a user or a password in it"
            what = fault if url else "that variable isn't set"
            _warn(listener, f"webhook {number} ({name})", what)


def _warn(listener: Listener, name: str, what: str) -> None:
    note(listener, f"{name} was not told: {what}", level="warning")


def _body(form: str, news: News, mask: Mask) -> Mapping[str, Any]:
    if form == "json":
        masked: Mapping[str, Any] = mask.tree(news.row())
        return masked
    text = mask.text(news.text())
    return {"text": _escaped(text) if form == "slack" else text}


def _escaped(text: str) -> str:
    """Slack's own three; all else is text to it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would ask for another page, maybe of another host, instead of telling anything."""

    def redirect_request(self, *_args: Any) -> None:
        return None


def _post(hook: Webhook, body: Mapping[str, Any]) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": f"tagship/{__version__}"}
    request = urllib.request.Request(hook.url, json.dumps(body).encode(), headers, method="POST")  # noqa: S310 - http(s), as `_reachable` saw to
    with urllib.request.build_opener(_NoRedirects).open(request, timeout=PATIENCE):
        pass  # 2xx: anything else is an error


def _fault(error: BaseException) -> str:
    """Why a webhook can't be told, without its URL."""
    if isinstance(error, urllib.error.HTTPError):
        redirects = "; redirects aren't followed" if 300 <= error.code < 400 else ""
        return f"it answered {error.code}{redirects}"
    if isinstance(error, urllib.error.URLError):
        return str(getattr(error.reason, "strerror", None) or error.reason)
    return f"{type(error).__name__}: {error}"
