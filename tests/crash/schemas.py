"""O4, and where it is looked at: an application with two PostgreSQL databases, whose releases change both.

The schema of each release is known from a fresh install by psql; nothing of tagship is imported here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from crash.matrix import Violated
from crash.oracles import current, tag_of
from crash.worlds import World, embedded
from postgres import Postgres, programs, server
from schema import small
from schema.story import columns_sorted

DATABASES = ("main", "audit")
SLEEP = 0.4
"""Seconds that a step takes, in the middle of its transaction: long enough to be killed in."""
UP = {
    "v1": {
        "main": "CREATE TABLE note (id bigserial PRIMARY KEY, text text NOT NULL);",
        "audit": "CREATE TABLE entry (id bigserial PRIMARY KEY, what text);",
    },
    "v2": {
        "main": f"ALTER TABLE note ADD COLUMN author text;\nSELECT pg_sleep({SLEEP});\nCREATE TABLE tag (name text);",
        "audit": f"SELECT pg_sleep({SLEEP});\nALTER TABLE entry ADD COLUMN who text;",
    },
}
DOWN = {
    "v1": {"main": "DROP TABLE note;", "audit": "DROP TABLE entry;"},
    "v2": {
        "main": f"DROP TABLE tag;\nSELECT pg_sleep({SLEEP});\nALTER TABLE note DROP COLUMN author;",
        "audit": f"SELECT pg_sleep({SLEEP});\nALTER TABLE entry DROP COLUMN who;",
    },
}
OWN = ("_yoyo_log", "_yoyo_migration", "_yoyo_version", "yoyo_lock")
"""Where the tool keeps what is applied."""


def missing() -> str:
    """Why a row that needs PostgreSQL can't run here; empty if it can."""
    return "" if programs() else "PostgreSQL isn't installed"


def steps(tag: str, up: Mapping[str, str], down: Mapping[str, str], head: str = "") -> dict[str, str]:
    """The files of one step in each of these databases; without a way back where `down` has none."""
    found = {}
    for name, text in up.items():
        found[f"{name}/{tag}.sql"] = head + text
        if name in down:
            found[f"{name}/{tag}.rollback.sql"] = down[name]
    return found


@dataclass
class Shop:
    """The application on its stage, with v1 and v2 tagged, and what each of them wants of the databases."""

    world: World
    postgres: Postgres
    wanted: Mapping[str, Mapping[str, str]]
    """Tag to database to its schema when newly installed."""

    def schemas(self) -> dict[str, str]:
        """What each database is like now."""
        return {name: dumped(self.postgres, name) for name in DATABASES}

    def o4(self, *allowed: str) -> None:
        """Each database is that of one of these tags, nobody works on it, and what runs has all that it needs."""
        (host,) = self.world.hosts
        found = self.schemas()
        for name, text in found.items():
            if text not in [self.wanted[tag][name] for tag in allowed]:
                raise Violated(f"O4: {name} is that of none of {allowed}:\n{text}")
        busy = self.postgres.query("postgres", BUSY)
        if busy:
            raise Violated(f"O4: somebody migrates still: {busy}")
        live = tag_of(current(host))
        if live in self.wanted and live != "v1" and found != self.wanted[live]:
            raise Violated(f"O4: {live} is current, and a database lacks what it needs:\n{found}")

    def reset(self) -> None:
        """v1 live, and the schema its."""
        live = tag_of(current(self.world.hosts[0]))
        if live == "v2":
            self.world.must("rollback", "--yes-drop-data")
        elif live != "v1" or self.schemas() != self.wanted["v1"]:
            self.world.must("deploy", "--tag", "v1")
        self.o4("v1")


BUSY = "SELECT pid, application_name, state FROM pg_stat_activity WHERE application_name LIKE 'tagship-%'"


def dumped(postgres: Postgres, name: str) -> str:
    """The normalised schema, without the tool's own memory."""
    without = [f"--exclude-table={own}" for own in OWN]
    text = postgres.run("pg_dump", "--schema-only", "--no-owner", *without, name)
    rows = (line for line in text.splitlines() if line and not line.startswith(("--", "\\", "SET ", "SELECT pg_")))
    return columns_sorted("\n".join(rows))


@contextmanager
def shop(folder: Path) -> Iterator[Shop]:
    """Such an application in `folder`, with v1 live; what runs is ended afterwards."""
    with server() as postgres, embedded(folder) as world:
        wanted: dict[str, dict[str, str]] = {}
        for tag in UP:
            wanted[tag] = {}
            for name in DATABASES:
                postgres.create("fresh")
                for each in UP:
                    postgres.query("fresh", UP[each][name])
                    if each == tag:
                        break
                wanted[tag][name] = dumped(postgres, "fresh")
        _furnish(world, {name: postgres.create(name) for name in DATABASES})
        made = Shop(world, postgres, wanted)
        for tag, up in UP.items():
            world.tag(tag, **steps(tag, up, DOWN[tag]))
        world.must("deploy", "--tag", "v1")
        made.o4("v1")
        yield made


def _furnish(world: World, urls: Mapping[str, str]) -> None:
    project = world.project
    document = yaml.safe_load((project.folder / "tagship.yml").read_text())
    document["app"]["schema"] = [
        {"kind": "sql", "name": name, "folder": name, "url": f"{name.upper()}_URL"} for name in DATABASES
    ]
    document["app"]["env"] = ".env"
    (project.folder / "tagship.yml").write_text(yaml.safe_dump(document))
    project.write({"requirements.lock": small.lock(small.KINDS["sql"])})
    shared = project.root / "shared"
    shared.mkdir(parents=True)
    (shared / ".env").write_text("".join(f"{name.upper()}_URL={url}\n" for name, url in urls.items()))
    (shared / ".env").chmod(0o600)
