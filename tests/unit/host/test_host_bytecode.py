"""Bytecode is linked from the release before where the source is the same file, and compiled where it isn't."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from unit.host.client import Host, blog, stage_until
from unit.host.test_host_venv import installer, make_wheel, site_packages


def compiled(host: Host, release: str, source: str) -> Path:
    """The bytecode of a source given by its path in the release."""
    path = host.path("releases", release, source)
    found = sorted((path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"))
    assert len(found) == 1, found
    return found[0]


def package(host: Host, release: str) -> str:
    """Where the small wheel's module lies in a release."""
    return str((site_packages(host, release) / "greet.py").relative_to(host.path("releases", release)))


def run(host: Host, release: str, code: str) -> str:
    python = host.path("releases", release, "venv", "bin", "python")
    app = host.path("releases", release, "app")
    return subprocess.run([python, "-c", code], cwd=app, check=True, capture_output=True, text=True).stdout.strip()


def test_a_second_release_compiles_only_what_changed(host: Host, tmp_path: Path) -> None:
    """Unchanged sources of wheels and tree share their bytecode's inode; a changed one has its own."""
    wheel = make_wheel(tmp_path, "greet", "1.0", "def say():\n    print('hello')\n")
    agent = host.locked()
    files = {"app/same.py": b"X = 'same'\n", "app/other.py": b"X = 'old'\n"}
    one = blog(1, wheels=[wheel], installer=installer("uv"), files=files)
    stage_until(agent, one)
    two = blog(2, wheels=[wheel], installer=installer("uv"), files={**files, "app/other.py": b"X = 'new'\n"})
    stage_until(agent, two)
    for source in ("app/same.py", package(host, one.id)):
        assert compiled(host, one.id, source).samefile(compiled(host, two.id, source))
    assert not compiled(host, one.id, "app/other.py").samefile(compiled(host, two.id, "app/other.py"))
    assert run(host, two.id, "import same, other, greet; print(same.X, other.X, greet.__file__)") == (
        f"same new {host.path('releases', two.id, package(host, two.id))}"
    )
    assert run(host, one.id, "import other; print(other.X)") == "old"


def test_the_older_release_can_go_and_the_newer_one_keeps_its_bytecode(host: Host, tmp_path: Path) -> None:
    """A link is a file of its own right: removing the release it came from takes nothing away."""
    wheel = make_wheel(tmp_path, "greet", "1.0", "def say():\n    print('hello')\n")
    agent = host.locked()
    one, two = (blog(n, wheels=[wheel], installer=installer("uv"), files={"app/m.py": b"X = 1\n"}) for n in (1, 2))
    stage_until(agent, one)
    stage_until(agent, two)
    agent.ask("unstage", release=one.id)
    assert compiled(host, two.id, "app/m.py").stat().st_nlink == 1
    assert agent.ask("verify", release=two.id)["drift"] == []


@pytest.mark.parametrize("where", ["app/m.py", "package"])
def test_bytecode_that_was_changed_does_not_spread(host: Host, tmp_path: Path, where: str) -> None:
    """What isn't as the older release's seal recorded it is compiled anew."""
    wheel = make_wheel(tmp_path, "greet", "1.0", "def say():\n    print('hello')\n")
    agent = host.locked()
    one, two = (blog(n, wheels=[wheel], installer=installer("uv"), files={"app/m.py": b"X = 1\n"}) for n in (1, 2))
    stage_until(agent, one)
    source = package(host, one.id) if where == "package" else where
    evil = compiled(host, one.id, source)
    evil.write_bytes(evil.read_bytes() + b"evil")
    stage_until(agent, two)
    assert not compiled(host, two.id, source).samefile(evil)
    assert not compiled(host, two.id, source).read_bytes().endswith(b"evil")


def test_a_file_that_is_no_python_of_this_version_stops_nothing(host: Host) -> None:
    """Templates of Python code ship too; they have no bytecode, and everything beside them has."""
    agent = host.locked()
    one = blog(1, files={"app/template.py": b"class {{ name }}:\n", "app/good.py": b"X = 1\n"})
    stage_until(agent, one)
    assert compiled(host, one.id, "app/good.py")
    assert not list(host.path("releases", one.id, "app", "__pycache__").glob("template.*"))
