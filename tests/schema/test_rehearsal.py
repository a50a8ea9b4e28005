"""What a rehearsal does in the release's own Python, on a real PostgreSQL and on SQLite: nothing to what is live."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
from postgres import Postgres
from schema import small
from schema.fresh import install, unpack
from schema.story import ALIASES, EXAMPLE, environment, make_releases

from tagship.host.rehearsal import program_text
from tagship.host.schema_program import BOOT
from tagship.host.schema_talk import text_of

POLLS = {"kind": "django", "databases": list(ALIASES), "settings": "pollsite.settings"}
LIMITS = {"lock_timeout": 5, "statement_timeout": 60, "deadline": 600}
Answer = dict[str, Any]


def rehearse(
    tree: Path, item: Mapping[str, Any], urls: Mapping[str, str], *, copy: bool = True, dump: str | None = None
) -> Answer:
    """What the program answers in `tree`."""
    text = program_text().encode()
    begin = {"item": item, "text": text_of(f"schema_{item['kind']}"), "session": "tagship look 1", "limits": LIMITS}
    lines = [begin, {"ask": "rehearse", "copy": copy, "dump": dump}]
    asked = b"%d\n%s" % (len(text), text) + b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    env = {**os.environ, "SECRET_KEY": "only-for-tests", **urls}
    done = subprocess.run(
        [sys.executable, "-c", BOOT], cwd=tree, env=env, input=asked, capture_output=True, check=True
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert answers[0] == {"ok": {}}, done.stderr.decode()
    found: Answer = answers[1]
    print(done.stderr.decode(), found.get("error"))
    return found


@pytest.fixture(scope="module")
def polls(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Trees of the ten releases."""
    folder = tmp_path_factory.mktemp("polls")
    shutil.copytree(EXAMPLE, folder / "repository")
    make_releases(folder / "repository", environment(folder))

    def tree(tag: str) -> Path:
        return folder / tag if (folder / tag).exists() else unpack(folder / "repository", tag, folder)

    return tree


@pytest.fixture
def live(postgres: Postgres) -> Iterator[dict[str, str]]:
    """Two databases: alias to URL."""
    names = {alias: f"live_{alias}" for alias in ALIASES}
    yield {alias: postgres.create(name) for alias, name in names.items()}
    for name in names.values():
        postgres.drop(name)


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """A folder of SQL up to its second release, beside an empty SQLite file."""
    for tag in small.TAGS[:2]:
        for name, text in small.files("sql", tag).items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text.replace("bigserial", "integer"))
    return tmp_path


def variables(urls: Mapping[str, str]) -> dict[str, str]:
    return {ALIASES[alias]: url for alias, url in urls.items()}


def databases_of(postgres: Postgres) -> set[str]:
    return {row[0] for row in postgres.query("postgres", "SELECT datname FROM pg_database")}


def contents(postgres: Postgres) -> list[list[str]]:
    """Schema and rows; a newer pg_dump begins with a word of chance, in a line that psql reads."""
    dumps = [postgres.run("pg_dump", f"live_{alias}") for alias in ALIASES]
    return [[line for line in dump.splitlines() if not line.startswith("\\")] for dump in dumps]


def test_what_is_pending_goes_up_down_and_up_on_copies(
    postgres: Postgres, polls: Callable[[str], Path], live: dict[str, str]
) -> None:
    """Of both databases, with their rows, timed each way; what is live is as it was, and no copy stays."""
    install(polls("v3"), live)
    postgres.query("live_default", "INSERT INTO polls_question (text, asked, author) VALUES ('Tea?', now(), 'ada')")
    postgres.query("live_default", "INSERT INTO polls_choice (text, votes, question_id) VALUES ('yes', 3, 1)")
    before = contents(postgres), databases_of(postgres)
    answer = rehearse(polls("v6"), POLLS, variables(live))
    default, audit = answer["ok"]["databases"]
    assert [step["id"] for step in default["steps"]] == [
        "polls.0004_vote",
        "polls.0005_count_rows",
        "polls.0006_forget_counter",
    ]
    assert all(len(step["seconds"]) == 3 for step in default["steps"])
    assert (default["left"], default["again"]) == ([], [])
    assert default["copy"]["of"] == "what is there now"
    assert audit["steps"] == [{**step, "seconds": ANY} for step in default["steps"]]  # Django counts them there too
    assert (contents(postgres), databases_of(postgres)) == before


def test_a_step_without_a_way_back_is_told_and_those_above_it_are_tried(
    polls: Callable[[str], Path], live: dict[str, str]
) -> None:
    """It goes up once, and nothing goes down below it."""
    install(polls("v10"), live)
    _default, audit = rehearse(polls("v11"), POLLS, variables(live))["ok"]["databases"]
    (step,) = audit["steps"]
    assert (step["id"], step["seconds"]) == ("audit.0006_forget_subjects", [])
    assert "reverse_code" in step["why"]


def test_a_copy_is_made_of_the_newest_dump(
    postgres: Postgres, polls: Callable[[str], Path], live: dict[str, str], tmp_path: Path
) -> None:
    """Plain ones and `pg_dump -Fc`; an older dump is passed over, and one that isn't there is said."""
    install(polls("v1"), live)
    for alias in ALIASES:
        postgres.run("pg_dump", "-Fc", "-f", str(tmp_path / f"{alias}-2.dump"), f"live_{alias}")
        (tmp_path / f"{alias}-1.dump").write_text("no dump at all")
        os.utime(tmp_path / f"{alias}-1.dump", (1, 1))
    postgres.run("pg_dump", "-f", str(tmp_path / "default-3.dump"), "live_default")
    install(polls("v2"), live)  # the dumps are of before
    answer = rehearse(polls("v2"), POLLS, variables(live), dump=f"{tmp_path}/{{database}}-*.dump")
    default, _audit = answer["ok"]["databases"]
    assert [step["id"] for step in default["steps"]] == ["polls.0002_question_author"]
    assert default["copy"]["of"] == str(tmp_path / "default-3.dump")
    answer = rehearse(polls("v2"), POLLS, variables(live), dump=f"{tmp_path}/no-*.dump")
    assert "there is no dump" in answer["error"]["what"]


def test_what_a_down_leaves_is_told(books: Path) -> None:
    """A table that it forgets is found; up again isn't tried, for it would stand in the way."""
    (books / "migrations" / "0002.authors.rollback.sql").write_text("ALTER TABLE book DROP COLUMN author;")
    item, url = small.settings("sql"), f"sqlite:///{books}/books.db"
    with closing(sqlite3.connect(books / "books.db")):
        pass
    (found,) = rehearse(books, item, {small.URL: url})["ok"]["databases"]
    assert "+ author table_xinfo: name TEXT 0 None 1 0" in found["left"]
    assert found["again"] == []
    assert [len(step["seconds"]) for step in found["steps"]] == [2, 2]


def test_sqlite_is_copied_with_its_rows(books: Path) -> None:
    """Up, down and up on a copy beside it; the live file isn't touched, and the copy is gone."""
    item, url = small.settings("sql"), f"sqlite:///{books}/books.db"
    with closing(sqlite3.connect(books / "books.db")) as connection:
        connection.execute("CREATE TABLE other (x)")
        connection.commit()
    before = (books / "books.db").read_bytes()
    (found,) = rehearse(books, item, {small.URL: url})["ok"]["databases"]
    assert [step["id"] for step in found["steps"]] == ["0001.books", "0002.authors"]
    assert (found["left"], found["again"]) == ([], [])
    assert (books / "books.db").read_bytes() == before
    assert sorted(path.name for path in books.iterdir()) == ["books.db", "migrations"]


def test_without_a_copy_the_database_must_be_empty(books: Path) -> None:
    """`inv check-migrations` works on what it is given, and never on what somebody uses."""
    item, url = small.settings("sql"), f"sqlite:///{books}/books.db"
    with closing(sqlite3.connect(books / "books.db")) as connection:
        connection.execute("CREATE TABLE other (x)")
    answer = rehearse(books, item, {small.URL: url}, copy=False)
    assert answer["error"]["what"] == "the database books isn't empty: it has other"
    (books / "books.db").unlink()
    (found,) = rehearse(books, item, {small.URL: url}, copy=False)["ok"]["databases"]
    assert (found["left"], found["again"], found["copy"]) == ([], [], None)


def test_a_step_that_fails_is_named_with_its_way(books: Path) -> None:
    """Up or down, and what the database said."""
    (books / "migrations" / "0002.authors.rollback.sql").write_text("DROP TABLE missing;")
    answer = rehearse(books, small.settings("sql"), {small.URL: f"sqlite:///{books}/books.db"}, copy=False)
    assert answer["error"]["what"] == "books/0002.authors fails on its way down: no such table: missing"


def test_alembic_is_turned_to_the_copy(postgres: Postgres, tmp_path: Path) -> None:
    """Also where `env.py` reads the variable itself: it finds the copy's URL in it."""
    for tag in small.TAGS:
        for name, text in small.files("alembic", tag).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
    url = postgres.create("books")
    try:
        (found,) = rehearse(tmp_path, small.settings("alembic"), {small.URL: url})["ok"]["databases"]
        assert [step["id"] for step in found["steps"]] == ["0001", "0002", "0003"]
        assert (found["left"], found["again"]) == ([], [])
        assert postgres.dump("books") == postgres.dump("template1")
    finally:
        postgres.drop("books")
