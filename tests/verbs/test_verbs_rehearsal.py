"""`fab rehearse` and `inv check-migrations`: migrations tried where nothing can be lost."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from schema import small
from verbs.conftest import Make
from verbs.project import Project

SCHEMA = """
  schema:
    - {kind: sql, name: books, folder: migrations, url: BOOKS_URL}
"""
FORGETS = "DROP TABLE author;"  # and leaves the column `author` of the table `book`


@pytest.fixture
def shop(make: Make) -> Project:
    """A project with books on SQLite: v1.0.0 and v2.0.0, each with a step of its own."""
    project = make("shop")
    project.edit("tagship.yml", r"(?m)^  start: .*", f"  start: python3 serve.py {{socket}}{SCHEMA.rstrip()}")
    project.edit("tagship.yml", r"(?m)^  prepare:", "  env: .env\n  prepare:")
    project.write({"requirements.lock": small.lock(small.KINDS["sql"])})
    project.env["BOOKS_URL"] = f"sqlite:///{books(project)}"
    shared = project.root / "shared"
    shared.mkdir(parents=True)
    (shared / ".env").write_text(f"BOOKS_URL={project.env['BOOKS_URL']}\n")
    (shared / ".env").chmod(0o600)
    for tag, version in (("v1", "v1.0.0"), ("v2", "v2.0.0")):
        files = small.files("sql", tag)
        project.tag(version, {name: text.replace("bigserial", "integer") for name, text in files.items()})
    return project


def books(project: Project) -> Path:
    return project.folder.parent / "books.db"


def test_a_rehearsal_tries_what_is_pending_and_changes_nothing(shop: Project) -> None:
    """Up, down and up on a copy of the live file, each timed; a way down that forgets something is exit 3."""
    deployed = shop.run("fab", "deploy", "--tag", "v1.0.0", "--stage", "local")
    assert deployed.exit == 0, deployed.said
    with closing(sqlite3.connect(books(shop))) as connection:
        connection.execute("INSERT INTO book (title) VALUES ('Ada')")
        connection.commit()
    before, live = books(shop).read_bytes(), shop.current
    done = shop.told("fab", "rehearse", "--tag", "v2.0.0", "--stage", "local")
    assert done.exit == 0, done.events
    (row,) = done.of("row")
    assert (row["database"], row["step"]) == ("books", "0002.authors")
    assert all(row[way].endswith(" s") for way in ("up", "down", "up_again"))
    assert row["remark"] == "on a copy of what is there now"
    assert (books(shop).read_bytes(), shop.current) == (before, live)
    assert sorted(path.name for path in books(shop).parent.glob("books.db*")) == ["books.db"]
    assert [path.name for path in (shop.root / "releases").iterdir()] == [live]

    shop.tag("v2.1.0", {"migrations/0002.authors.rollback.sql": FORGETS})
    forgot = shop.told("fab", "rehearse", "--tag", "v2.1.0")
    assert forgot.exit == 3
    assert "doesn't restore" in forgot.error["what"]
    assert any(line.startswith("books, down again: + book table_xinfo: author") for line in forgot.error["tail"])
    assert books(shop).read_bytes() == before
    nothing = shop.told("fab", "rehearse", "--tag", "v1.0.0")
    assert (nothing.exit, nothing.error["what"]) == (3, "nothing of it is pending: it is live")


def test_migrations_are_checked_on_an_empty_database(shop: Project) -> None:
    """Of a tag or of HEAD; not on one that holds anything, and not without the variables that are named."""
    checked = shop.told("inv", "check-migrations", "--env", "BOOKS_URL", "--tag", "v2.0.0")
    assert checked.exit == 0, checked.events
    assert [row["step"] for row in checked.of("row")] == ["0001.books", "0002.authors"]
    again = shop.told("inv", "check-migrations", "--env", "BOOKS_URL")
    assert (again.exit, again.error["what"]) == (3, "the database books isn't empty: it has author, book")
    books(shop).unlink()
    shop.tag("v3.0.0", {"migrations/0002.authors.rollback.sql": "DROP TABLE missing;"})
    broken = shop.told("inv", "check-migrations", "--env", "BOOKS_URL")
    assert broken.exit == 3
    assert broken.error["what"] == "books/0002.authors fails on its way down: no such table: missing"
    lacking = shop.told("inv", "check-migrations", "--env", "NO_SUCH")
    assert (lacking.exit, lacking.error["where"]) == (2, "--env")
