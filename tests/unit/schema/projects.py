"""Small applications whose schema moves, as files of a tag: the same three steps in each kind.

`1` makes a table of polls, `2` adds votes to it, `3` is what the test says.
"""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import dedent

SETTINGS = """\
import os

SECRET_KEY = "x"
INSTALLED_APPS = ["polls", "audit"]
DATABASE_ROUTERS = ["router.Router"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {name: database(os.environ[url]) for name, url in URLS.items()}
"""
_DATABASE = """\
def database(url):
    if url.startswith("sqlite"):
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": url.removeprefix("sqlite:///")}
    name, _, folder = url.partition("@/")[2].partition("?host=")
    return {"ENGINE": "django.db.backends.postgresql", "NAME": name, "HOST": folder, "USER": "tester"}


URLS = {"default": "MAIN_URL", "audit": "AUDIT_URL"}
"""
_ROUTER = """\
class Router:
    def allow_migrate(self, db, app_label, **hints):
        return (db == "audit") == (app_label == "audit")
"""

POLLS = {
    "0001_polls": """\
        operations = [
            migrations.CreateModel(
                name="Poll",
                fields=[("id", models.BigAutoField(primary_key=True)), ("title", models.CharField(max_length=80))],
            )
        ]
        """,
    "0002_votes": """\
        dependencies = [("polls", "0001_polls")]
        operations = [migrations.AddField("poll", "votes", models.IntegerField(default=0))]
        """,
}
AUDIT = {
    "0001_entries": """\
        operations = [
            migrations.CreateModel(
                name="Entry", fields=[("id", models.BigAutoField(primary_key=True)), ("text", models.TextField())]
            )
        ]
        """,
}


def migration(body: str) -> str:
    """A migration's source: `body` is what its class holds."""
    inner = "".join(f"    {line}\n" if line else "\n" for line in dedent(body).splitlines())
    return f"from django.db import migrations, models\n\n\nclass Migration(migrations.Migration):\n{inner}"


def django(polls: Mapping[str, str] = POLLS, audit: Mapping[str, str] = AUDIT) -> dict[str, str]:
    """A project with two applications, each in a database of its own (`MAIN_URL`, `AUDIT_URL`)."""
    files = {"settings.py": _DATABASE + SETTINGS, "router.py": _ROUTER}
    for app, found in (("polls", polls), ("audit", audit)):
        files |= {f"{app}/__init__.py": "", f"{app}/migrations/__init__.py": ""}
        files |= {f"{app}/migrations/{name}.py": migration(body) for name, body in found.items()}
    return files


DJANGO = {"kind": "django", "name": "default", "databases": ["default", "audit"], "settings": "settings"}

_ENV = """\
from alembic import context
from sqlalchemy import create_engine, pool

if context.is_offline_mode():
    context.configure(url=context.config.get_main_option("sqlalchemy.url"), literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    engine = create_engine(context.config.get_main_option("sqlalchemy.url"), poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
"""
REVISIONS = {
    "aaa1": """\
        def upgrade():
            op.create_table("polls", sa.Column("id", sa.Integer, primary_key=True), sa.Column("title", sa.String(80)))

        def downgrade():
            op.drop_table("polls")
        """,
    "bbb2": """\
        def upgrade():
            op.add_column("polls", sa.Column("votes", sa.Integer, server_default="0"))

        def downgrade():
            op.drop_column("polls", "votes")
        """,
}


def alembic(revisions: Mapping[str, str] = REVISIONS) -> dict[str, str]:
    """An environment whose revisions follow one another; its database is `MAIN_URL`."""
    files = {"alembic.ini": "[alembic]\nscript_location = %(here)s/alembic\n", "alembic/env.py": _ENV}
    below: str | None = None
    for name, body in revisions.items():
        head = (
            f'import sqlalchemy as sa\nfrom alembic import op\n\nrevision = "{name}"\ndown_revision = {below!r}\n\n\n'
        )
        files[f"alembic/versions/{name}_.py"] = head + dedent(body)
        below = name
    return files


ALEMBIC = {"kind": "alembic", "name": "default", "config": "alembic.ini", "url": "MAIN_URL"}

FILES = {
    "0001.polls.sql": "CREATE TABLE polls (id integer PRIMARY KEY, title varchar(80) NOT NULL);",
    "0001.polls.rollback.sql": "DROP TABLE polls;",
    "0002.votes.sql": "ALTER TABLE polls ADD COLUMN votes integer NOT NULL DEFAULT 0;",
    "0002.votes.rollback.sql": "ALTER TABLE polls DROP COLUMN votes;",
}


def sql(files: Mapping[str, str] = FILES) -> dict[str, str]:
    """A folder of files; its database is `MAIN_URL`."""
    return {f"migrations/{name}": text + "\n" for name, text in files.items()}


SQL = {"kind": "sql", "name": "default", "folder": "migrations", "url": "MAIN_URL"}

_PROGRAM = """\
import json, os, sqlite3, sys

STEPS = {
    "1": ("CREATE TABLE polls (id integer PRIMARY KEY, title text)", "DROP TABLE polls"),
    "2": ("ALTER TABLE polls ADD COLUMN votes integer NOT NULL DEFAULT 0", "ALTER TABLE polls DROP COLUMN votes"),
}
db = sqlite3.connect(os.environ["MAIN_URL"].removeprefix("sqlite:///"), isolation_level=None)
db.execute("CREATE TABLE IF NOT EXISTS done (id text)") if sys.argv[1] in ("up", "down") else None
word, *rest = sys.argv[1:]
if word == "heads":
    print("1")
    print(json.dumps({"id": "2", "adds": []}))
elif word == "applied":
    known = db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'done'").fetchone()[0]
    print("\\n".join(row[0] for row in (db.execute("SELECT id FROM done ORDER BY id") if known else ())))
elif word == "sql":
    print(STEPS[rest[0]][rest[1] == "down"])
else:
    db.execute("BEGIN")
    db.execute(STEPS[rest[0]][word == "down"])
    db.execute("INSERT INTO done VALUES (?)" if word == "up" else "DELETE FROM done WHERE id = ?", rest)
    db.execute("COMMIT")
"""


def command() -> dict[str, str]:
    """A program of the project's own, for SQLite."""
    return {"move.py": _PROGRAM}


COMMAND = {"kind": "command", "name": "default", "run": ["python", "move.py"]}
