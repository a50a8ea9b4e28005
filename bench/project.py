"""A project of the size that peers are compared on: 300 modules, 30 images, nine wheels."""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

MODULES = 300
IMAGES = 30
IMAGE_BYTES = 20_000
_CONFIG = """\
app:
  name: bench
  start: gunicorn --bind unix:{socket} --workers 1 --keep-alive 0 web:app
  smoke: python -c "import web"
"""

_WEB = """\
from flask import Flask

from modules.m000 import VALUE

app = Flask(__name__)


@app.get("/")
def index():
    return f"value {VALUE}"
"""


def write(folder: Path, lock: str, stages: Sequence[Mapping[str, object]]) -> None:
    """Write the project into `folder` (made here), commit it, and tag it v1.0.0. A stage has its `name` in it too."""
    (folder / "modules").mkdir(parents=True)
    (folder / "images").mkdir()
    dice = random.Random(7)
    for number in range(MODULES):
        body = "\n".join(f"def f{i}(x):\n    return x * {dice.randrange(10**6)} + {number}\n" for i in range(25))
        (folder / "modules" / f"m{number:03}.py").write_text(f"VALUE = {number}\n\n\n{body}")
    (folder / "modules" / "__init__.py").write_text("")
    for number in range(IMAGES):
        (folder / "images" / f"{number:02}.png").write_bytes(dice.randbytes(IMAGE_BYTES))
    (folder / "web.py").write_text(_WEB)
    (folder / "requirements.lock").write_text(lock)
    (folder / "fabfile.py").write_text("from tagship.verbs.hosts import *\nfrom tagship.verbs.setup import setup\n")
    (folder / ".gitignore").write_text(".tagship/\n__pycache__/\n")
    named = {stage["name"]: {key: stage[key] for key in stage if key != "name"} for stage in stages}
    (folder / "tagship.yml").write_text(_CONFIG + yaml.safe_dump({"stages": named}))
    git(folder, "init", "--quiet", "--initial-branch=main")
    tag(folder, "v1.0.0")


def edit(folder: Path, number: int) -> None:
    """Make `number` the value of modules.m000, 0 before, and tag the result v1.NUMBER.0."""
    path = folder / "modules" / "m000.py"
    path.write_text(re.sub(r"^VALUE = \d+", f"VALUE = {number}", path.read_text()))
    tag(folder, f"v1.{number}.0")


def tag(folder: Path, name: str) -> None:
    """Commit everything and make an annotated tag."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", name)
    git(folder, "tag", "-a", name, "-m", name)


def git(folder: Path, *words: str) -> None:
    """Run git in `folder`, with an identity of its own; raises when it fails."""
    identity = ("-c", "user.name=bench", "-c", "user.email=bench@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, stdout=subprocess.DEVNULL)
