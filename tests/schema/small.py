"""Two smaller stories, three releases each: the same tables by Alembic's revisions and by files of SQL.

A book has a title; then an author, whose books are counted; then the title is called a name, and the counter goes.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from postgres import Postgres
from schema.story import schemas

LOCK = Path(__file__).parents[2] / "requirements" / "dev.lock"
DRIVER = ("psycopg", "psycopg-binary", "typing-extensions")
KINDS: Mapping[str, tuple[str, ...]] = {
    "alembic": ("alembic", "mako", "markupsafe", "sqlalchemy", *DRIVER),
    "sql": ("yoyo-migrations", "importlib-metadata", "lazy-importer", "zipp", "sqlparse", "tabulate", *DRIVER),
}
"""What a release needs in its virtualenv."""
TAGS = ("v1", "v2", "v3")
URL = "BOOKS_URL"
"""The variable that holds the database's URL."""

_SQL_UP = {
    "0001.books": "CREATE TABLE book (id bigserial PRIMARY KEY, title text NOT NULL);",
    "0002.authors": (
        "CREATE TABLE author (name text PRIMARY KEY, books integer DEFAULT 0 NOT NULL);\n"
        "ALTER TABLE book ADD COLUMN author text;"
    ),
    "0003.names": (
        "ALTER TABLE book RENAME COLUMN title TO name;\n"
        "CREATE INDEX book_author ON book (author);\n"
        "ALTER TABLE author DROP COLUMN books;"
    ),
}
_SQL_DOWN = {
    "0001.books": "DROP TABLE book;",
    "0002.authors": "ALTER TABLE book DROP COLUMN author;\nDROP TABLE author;",
    "0003.names": (
        "ALTER TABLE author ADD COLUMN books integer DEFAULT 0 NOT NULL;\n"
        "UPDATE author SET books = (SELECT count(*) FROM book WHERE author = author.name);\n"
        "DROP INDEX book_author;\n"
        "ALTER TABLE book RENAME COLUMN name TO title;"
    ),
}
_ALEMBIC_UP = {
    "0001": (
        'op.create_table("book", sa.Column("id", sa.BigInteger, primary_key=True),'
        ' sa.Column("title", sa.Text, nullable=False))'
    ),
    "0002": (
        'op.create_table("author", sa.Column("name", sa.Text, primary_key=True),'
        ' sa.Column("books", sa.Integer, server_default="0", nullable=False))\n'
        '    op.add_column("book", sa.Column("author", sa.Text))'
    ),
    "0003": (
        'op.alter_column("book", "title", new_column_name="name")\n'
        '    op.create_index("book_author", "book", ["author"])\n'
        '    op.drop_column("author", "books")'
    ),
}
_ALEMBIC_DOWN = {
    "0001": 'op.drop_table("book")',
    "0002": 'op.drop_column("book", "author")\n    op.drop_table("author")',
    "0003": (
        'op.add_column("author", sa.Column("books", sa.Integer, server_default="0", nullable=False))\n'
        '    op.execute("UPDATE author SET books = (SELECT count(*) FROM book WHERE author = author.name)")\n'
        '    op.drop_index("book_author")\n'
        '    op.alter_column("book", "name", new_column_name="title")'
    ),
}
_REVISION = '''\
"""One revision."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = {before}


def upgrade():
    {up}


def downgrade():
    {down}
'''
_ENV = '''\
"""Where the database is."""

import os

import sqlalchemy as sa
from alembic import context

engine = sa.create_engine(os.environ["BOOKS_URL"].replace("postgresql://", "postgresql+psycopg://"))
if context.is_offline_mode():
    context.configure(dialect_name="postgresql", literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    with engine.connect() as connection:
        context.configure(connection=connection, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()
'''
_BOOKS = {"v1": "title", "v2": "title, author", "v3": "name, author"}
"""What each release's code asks of a book."""


def lock(names: tuple[str, ...]) -> str:
    """The entries of the development lock for these packages, hash by hash."""
    entries = re.split(r"(?m)^(?=[a-z0-9])", LOCK.read_text())
    by_name = {entry.partition("==")[0]: entry for entry in entries if "==" in entry}
    return "".join(by_name[name] for name in sorted(names))


def settings(kind: str) -> dict[str, str]:
    """The entry of `app.schema`."""
    more = {"config": "alembic.ini"} if kind == "alembic" else {"folder": "migrations"}
    return {"kind": kind, "name": "books", "url": URL, **more}


def files(kind: str, tag: str) -> dict[str, str]:
    """What the release `tag` adds to the tree of the one before."""
    number = TAGS.index(tag)
    if kind == "sql":
        name = list(_SQL_UP)[number]
        return {f"migrations/{name}.sql": _SQL_UP[name], f"migrations/{name}.rollback.sql": _SQL_DOWN[name]}
    revision = list(_ALEMBIC_UP)[number]
    before = repr(list(_ALEMBIC_UP)[number - 1]) if number else "None"
    text = _REVISION.format(revision=revision, before=before, up=_ALEMBIC_UP[revision], down=_ALEMBIC_DOWN[revision])
    first = {"alembic.ini": "[alembic]\nscript_location = %(here)s/books\n", "books/env.py": _ENV}
    return {**({} if number else first), f"books/versions/{revision}.py": text}


def fresh(postgres: Postgres, kind: str) -> dict[str, dict[str, str]]:
    """The normalised schema of each release, newly installed by Alembic's own command, or by yoyo's."""
    found = {}
    for tag in TAGS:
        url = postgres.create("fresh_books")
        with tempfile.TemporaryDirectory() as folder:
            for earlier in TAGS[: TAGS.index(tag) + 1]:
                for name, text in files(kind, earlier).items():
                    path = Path(folder, name)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(text)
            driven = url.replace("postgresql:", "postgresql+psycopg:")
            ways = {
                "alembic": ["alembic", "upgrade", "head"],
                "sql": ["yoyo", "apply", "--batch", "--no-config-file", "--database", driven, "migrations"],
            }
            argv, env = [sys.executable, "-m", *ways[kind]], {**os.environ, URL: url}
            subprocess.run(argv, cwd=folder, env=env, check=True, capture_output=True)
        found[tag] = schemas(postgres, {"books": "fresh_books"})
    postgres.drop("fresh_books")
    return found


def question(tag: str) -> str:
    """What the code of `tag` asks the database, which fails where the schema doesn't fit."""
    return f"SELECT {_BOOKS[tag]} FROM book"
