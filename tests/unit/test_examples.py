"""The projects of examples/ are whole, and are taken to a host by what their READMEs say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hosts.examples import PLACEHOLDER, ROOT, Example
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tagship import config
from tagship.release import lockfile

APPLICATIONS = ("django-notes", "django-polls", "fastapi-hello", "flask-hello")
"""Examples with a virtualenv of their own."""
EXAMPLES = (*APPLICATIONS, "static-blog")
COMMANDS = 6
OLDEST = {"python_full_version": "3.10.0", "python_version": "3.10", "sys_platform": "linux", "os_name": "posix"}


@pytest.fixture(params=EXAMPLES)
def example(request: pytest.FixtureRequest) -> Example:
    """Each of them."""
    return Example(request.param)


@pytest.fixture(params=APPLICATIONS)
def application(request: pytest.FixtureRequest) -> Example:
    """Each of those that aren't only a site."""
    return Example(request.param)


def test_its_settings_load(example: Example) -> None:
    """It is named as its folder is, and has a stage that is served by units and nginx."""
    read = config.load(example.folder / "tagship.yml")
    assert read.app.name == example.name
    production = read.stage("production")
    assert production.runs_units
    assert production.nginx.names == ((example.domain,) if read.app.start else ())


def test_what_a_user_fills_in_stands_once(example: Example) -> None:
    """One host, and the name that visitors type, in the files that the README tells of."""
    settings = (example.folder / "tagship.yml").read_text(encoding="utf-8")
    readme = (example.folder / "README.md").read_text(encoding="utf-8")
    assert settings.count(PLACEHOLDER) == 1
    assert "`web1.example.org`" in readme
    found = [path for path in files_of(example) if example.domain in path.read_text(encoding="utf-8")]
    for path in found:
        told = path.relative_to(example.folder).as_posix()
        assert path.name == "README.md" or f"`{told}`" in readme.partition("## Change it")[0]
        assert path.name == "README.md" or path.read_text(encoding="utf-8").count(example.domain) == 1


def test_six_commands_are_enough(example: Example) -> None:
    """From a clone of tagship to a served site; the last one of them is the deploy."""
    commands = example.commands("Deploy it")
    assert len(commands) <= COMMANDS
    assert commands[0] == f"cp -r examples/{example.name} ~/{example.name} && cd ~/{example.name}"
    assert commands[-1] == "fab deploy --stage production"


def test_its_lock_is_whole(application: Example) -> None:
    """Every package is pinned and hashed, also for the oldest Python of hosts, and none says where it comes from."""
    text = (application.folder / "requirements.lock").read_text(encoding="utf-8")
    lock = lockfile.parse(text, "requirements.lock")
    assert "://" not in text
    for line in (application.folder / "requirements.in").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            wanted = Requirement(line)
            pins = [pin for pin in lock.pins if pin.name == canonicalize_name(wanted.name)]
            assert pins, line
            assert all(wanted.specifier.contains(pin.version) for pin in pins)
            assert any(pin.wanted(OLDEST) for pin in pins)


def test_it_offers_every_verb(example: Example) -> None:
    """Its fabfile is what `tagship init` writes."""
    ours = ROOT / "src" / "tagship" / "scaffold" / "files" / "fabfile.py"
    assert (example.folder / "fabfile.py").read_bytes() == ours.read_bytes()


def test_what_it_names_is_there(example: Example) -> None:
    """Files in the README's table, and verbs in its text, exist."""
    readme = (example.folder / "README.md").read_text(encoding="utf-8")
    table = readme.partition("## What is in it")[2]
    names = re.findall(r"(?m)^\| (.+?) \|", table)
    named = [name for cell in names for name in re.findall(r"`([\w./-]+\.\w+|[\w-]+/)`", cell)]
    assert named
    assert [name for name in named if not (example.folder / name).exists()] == []


def files_of(example: Example) -> list[Path]:
    """Those of its files that may hold what a user fills in."""
    return sorted(path for path in example.folder.rglob("*") if path.suffix in {".html", ".md", ".py", ".yml"})
