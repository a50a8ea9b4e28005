"""What each release must look like: installed into empty databases by Django's own `migrate`, and nothing of ours."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from postgres import Postgres
from schema.story import ALIASES, NEWEST, NO_WAY_BACK, schemas

TAGS = tuple(f"v{number}" for number in range(1, NO_WAY_BACK + 1))
DOWN_TO = TAGS[:NEWEST]
"""Those that one can be on and go back from."""

_INSTALL = """
import os, sys
import django
from django.core.management import call_command
os.environ["DJANGO_SETTINGS_MODULE"] = "pollsite.settings"
sys.path.insert(0, os.getcwd())
django.setup()
for database in sys.argv[1:]:
    call_command("migrate", database=database, verbosity=0, interactive=False)
"""


def unpack(repository: Path, tag: str, folder: Path) -> Path:
    """The tree of a tag, in a folder of its own below `folder`."""
    tree = folder / tag
    archive = subprocess.run(["git", "archive", tag], cwd=repository, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        opened.extractall(tree, filter="data")
    (tree / "data").mkdir()
    return tree


def install(tree: Path, urls: Mapping[str, str]) -> None:
    """`migrate` of every database, with the Python of the tests."""
    env = {**os.environ, "SECRET_KEY": "only-for-tests", **{ALIASES[alias]: url for alias, url in urls.items()}}
    argv = [sys.executable, "-c", _INSTALL, *ALIASES]
    done = subprocess.run(argv, cwd=tree, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def fresh(
    postgres: Postgres, repository: Path, folder: Path, tags: Sequence[str] = TAGS
) -> dict[str, dict[str, str]]:
    """The normalised schemas of each release, newly installed: tag to database to text."""
    found = {}
    names = {alias: f"fresh_{alias}" for alias in ALIASES}
    for tag in tags:
        tree = unpack(repository, tag, folder)
        install(tree, {alias: postgres.create(name) for alias, name in names.items()})
        found[tag] = schemas(postgres, names)
    for name in names.values():
        postgres.drop(name)
    return found
