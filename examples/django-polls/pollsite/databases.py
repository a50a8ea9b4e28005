"""Which database holds what: two, by URLs in the environment, or two SQLite files where there are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.db.models import Model

AUDIT = "audit"
"""The app, and the database that is its own."""


def database(url: str, file: Path) -> dict[str, Any]:
    """The entry of DATABASES for `postgresql://USER:PASSWORD@HOST:PORT/NAME?OPTION=VALUE`; `file` without one."""
    if not url:
        # Readers don't wait for a writer, writers wait for one another: two workers, and two releases for a moment.
        options = {
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
        }
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": file, "OPTIONS": options}
    parts = urlsplit(url)
    if parts.scheme not in ("postgres", "postgresql"):
        raise ImproperlyConfigured("A database's URL must begin with postgresql://")  # its text may be a secret
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path[1:]),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": parts.port or "",
        "OPTIONS": dict(parse_qsl(parts.query)),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }


class Router:
    """Whatever is of the app `audit` lies in the database `audit`, all the rest in `default`."""

    def db_for_read(self, model: type[Model], **_hints: object) -> str:
        return self._of(model._meta.app_label)

    def db_for_write(self, model: type[Model], **_hints: object) -> str:
        return self._of(model._meta.app_label)

    def allow_relation(self, one: Model, other: Model, **_hints: object) -> bool:
        return self._of(one._meta.app_label) == self._of(other._meta.app_label)

    def allow_migrate(self, db: str, app_label: str, **_hints: object) -> bool:
        return db == self._of(app_label)

    def _of(self, app: str) -> str:
        return AUDIT if app == AUDIT else "default"
