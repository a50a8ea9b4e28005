"""The databases of an application: what moves their schema up and down with its releases (docs/adr/0013)."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from tagship.config.values import Argv, Seconds

Kind = Literal["django", "alembic", "sql", "command"]

KEYS = {
    "databases": ("django",),
    "settings": ("django",),
    "config": ("alembic",),
    "folder": ("sql",),
    "url": ("sql", "alembic"),
    "run": ("command",),
}
"""Settings that have a meaning for some kinds only."""


class Schema(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What migrates one database, or all databases of a Django project."""

    kind: Kind
    name: str = "default"
    """How plans and journals call the database."""
    databases: tuple[str, ...] = ()
    """django: the databases of `DATABASES` to migrate; its `name` alone when left out."""
    settings: str | None = None
    """django: the settings' module, where DJANGO_SETTINGS_MODULE isn't in the application's environment."""
    config: str = "alembic.ini"
    """alembic: the file in the tag's tree."""
    folder: str = "migrations"
    """sql: the folder in the tag's tree that holds the steps."""
    url: str | None = None
    """sql: the variable of the application's environment that holds the database's URL; alembic: likewise, if any."""
    run: Argv | None = None
    """command: the program that answers `heads`, `applied`, `up`, `down` and `sql`."""

    @property
    def names(self) -> tuple[str, ...]:
        """The databases that it is for."""
        return self.databases or (self.name,)

    def row(self) -> dict[str, Any]:
        """The JSON form, as a release's record has it."""
        words = {"databases": list(self.names), "run": list(self.run or ())}
        return {**{name: getattr(self, name) for name in self.__struct_fields__}, **words}


class Rehearse(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `fab rehearse` tries migrations on."""

    dump: str | None = None
    """Files on the host that migrates, as a shell's pattern; of each database, `{database}`, the newest is restored.
    None: a copy of what the database holds now."""


class SchemaLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long migrations may take."""

    lock_timeout: Seconds = Seconds(5)
    """For one lock of the database's; a step that doesn't get it fails, and what queued behind it goes on."""
    statement_timeout: Seconds = Seconds(900)
    """For one statement; 0: as long as it takes."""
    deadline: Seconds = Seconds(3600)
    """For a whole up or down; then its session in the database is cancelled."""

    def row(self) -> dict[str, float]:
        """The JSON form, in seconds."""
        return {name: float(getattr(self, name)) for name in self.__struct_fields__}
