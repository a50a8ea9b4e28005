"""Virtualenvs of a release: built offline by uv or by pip, each its own, bytecode ready, checked by RECORD."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from unit.host.client import AgentError, Host, Release, blog, go_live, names, stage_until

CACHE = Path("~/.cache/tagship-test").expanduser()


def installer(name: str) -> Path:
    """The wheel of uv or pip, kept between runs; skips where it isn't there and can't be had."""
    if not (found := sorted(CACHE.glob(f"{name}-*.whl"))):
        CACHE.mkdir(parents=True, exist_ok=True)
        argv = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "--only-binary",
            ":all:",
            "-d",
            str(CACHE),
        ]
        done = subprocess.run([*argv, name], capture_output=True, text=True, check=False)
        found = sorted(CACHE.glob(f"{name}-*.whl"))
        if not found:
            pytest.skip(f"no wheel of {name} here, and none to be had: {done.stderr.strip().splitlines()[-1]}")
    return found[-1]


def make_wheel(folder: Path, name: str, version: str, code: str) -> Path:
    """A small real wheel with one module, a console script and a RECORD in which one hash is of another kind."""
    info = f"{name}-{version}.dist-info"
    members = {
        f"{name}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name}-say = {name}:say\n",
    }
    record = ""
    for path, text in members.items():
        kind = "sha512" if path.endswith("METADATA") else "sha256"
        found = base64.urlsafe_b64encode(hashlib.new(kind, text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},{kind}={found},{len(text.encode())}\n"
    members[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in members.items():
            archive.writestr(zipfile.ZipInfo(member, (2020, 1, 1, 0, 0, 0)), text)
    return path


def site_packages(host: Host, release: str) -> Path:
    return next(host.path("releases", release, "venv", "lib").glob("python3*/site-packages"))


@pytest.mark.parametrize("tool", ["uv", "pip"])
def test_wheels_are_installed_offline_in_the_final_place(host: Host, tmp_path: Path, listen: str, tool: str) -> None:
    """Importable by service and commands, scripts run, bytecode is there; the second release needs no upload."""
    wheel = make_wheel(tmp_path, "greet", "1.0", "def say():\n    print('hello')\n")
    agent = host.locked()
    one = blog(1, wheels=[wheel], installer=installer(tool), files={"app/mod.py": b"X = 1\n"})
    stage_until(agent, one, "tree")
    answer = agent.ask("venv", release=one.id)
    assert answer["installer"] == " ".join(installer(tool).name.split("-")[:2])
    assert names(host.path("state", "tools")) == {one.installer[1]}
    agent.ask("furnish", release=one.id)
    agent.ask("command", release=one.id, argv=["greet-say"], title="smoke")
    log = host.path("state", "log", "0001.stage.log").read_text()
    assert log.endswith("hello\n")
    agent.ask("seal", release=one.id)
    packages = site_packages(host, one.id)
    if tool == "uv":
        assert (packages / "greet.py").stat().st_nlink > 1  # a hard link of uv's cache, unpacked once
    for source, compiled in (
        (packages / "greet.py", packages / "__pycache__"),
        (host.path("releases", one.id, "app/mod.py"), host.path("releases", one.id, "app/__pycache__")),
    ):
        (code,) = compiled.glob(f"{source.stem}.*.pyc")
        assert int.from_bytes(code.read_bytes()[4:8], "little") == 1  # hash-based, never checked (PEP 552)
    two = blog(2, wheels=[wheel], installer=installer(tool), files={"app/mod.py": b"X = 1\n"})
    missing = agent.ask("declare", **two.declaration(one))["missing"]
    assert not {wheel[1] for wheel in [*two.wheels, two.installer]} & {key for key, _ in missing}
    agent.ask("unstage", release=two.id)
    assert host.survey(agent)["installer"] == one.installer[1]
    go_live(agent, blog(3, wheels=[wheel], installer=installer(tool)), None, listen)
    assert agent.ask("verify", release="0003-v3")["drift"] == []
    agent.ask("unstage", release=one.id)
    assert names(host.path("state", "wheels")) == {one.wheels[0][1]}
    agent.ask("command", release="0003-v3", argv=["greet-say"], title="smoke")


@pytest.mark.parametrize("tool", ["uv", None])
def test_a_release_without_wheels_gets_an_empty_virtualenv(host: Host, tool: str | None) -> None:
    """Its own, in its final place; the host's own packages stay out."""
    agent = host.locked()
    one = blog(1, installer=installer(tool) if tool else None)
    stage_until(agent, one)
    code = "import sys, os; assert sys.prefix == os.environ['VIRTUAL_ENV'] != sys.base_prefix; import pip"
    with pytest.raises(AgentError) as failed:
        agent.ask("command", release=one.id, argv=["python", "-c", code], title="smoke")
    assert failed.value.tail[-1] == "ModuleNotFoundError: No module named 'pip'"


def test_verify_checks_the_virtualenv_by_its_records_and_its_bytecode_by_the_seal(host: Host, tmp_path: Path) -> None:
    """A changed module, a missing one, one more, and bytecode that was swapped."""
    wheels = [make_wheel(tmp_path, name, "1", f"NAME = '{name}'\n") for name in ("one", "two", "three")]
    agent = host.locked()
    release = blog(1, wheels=wheels, installer=installer("uv"))
    stage_until(agent, release)
    packages = site_packages(host, release.id)
    for name in ("one.py", "two.py"):
        (packages / name).unlink()
    (packages / "one.py").write_text("NAME = 'eno'\n")
    (packages / "evil.pth").write_text("import os")
    (code,) = packages.glob("__pycache__/three.*.pyc")
    code.unlink()
    code.write_bytes(b"evil")
    drift = dict(agent.ask("verify", release=release.id)["drift"])
    prefix = packages.relative_to(host.path("releases", release.id))
    assert drift == {
        f"{prefix}/one.py": "changed",
        f"{prefix}/two.py": "missing",
        f"{prefix}/evil.pth": "not in the release",
        f"{prefix}/__pycache__/{code.name}": "changed",
    }


def test_a_wheel_that_is_none_fails_with_the_installer_s_words(host: Host, tmp_path: Path) -> None:
    """And is taken back like anything else."""
    wheel = tmp_path / "broken-1.0-py3-none-any.whl"
    wheel.write_bytes(b"not a zip file")
    agent = host.locked()
    one = blog(1, wheels=[wheel], installer=installer("uv"))
    stage_until(agent, one, "tree")
    with pytest.raises(AgentError, match="installing the wheels failed: exit status") as failed:
        agent.ask("venv", release=one.id)
    assert any("broken" in line for line in failed.value.tail)
    agent.ask("unstage", release=one.id)
    assert names(host.path("objects")) == set()
    other = tmp_path / "uv-1.0-py3-none-any.whl"
    other.write_bytes(b"not a zip file either")
    two = blog(2, installer=other)
    stage_until(agent, two, "tree")
    with pytest.raises(AgentError, match="no wheel of uv"):
        agent.ask("venv", release=two.id)
    assert host.survey(agent)["installer"] == one.installer[1]


def test_an_installer_that_was_tampered_with_is_refused_and_sent_afresh(host: Host, tmp_path: Path) -> None:
    """It is hashed again wherever its inode isn't as it was noted."""
    agent = host.locked()
    one = blog(1, installer=installer("uv"))
    stage_until(agent, one)
    program = host.path("state", "tools", one.installer[1], "uv")
    program.chmod(0o755)
    program.write_bytes(b"#!/bin/sh\ntouch pwned\n")
    wheels = [make_wheel(tmp_path, "greet", "1.0", "def say():\n    print('hello')\n")]  # else it isn't needed
    two = blog(2, wheels=wheels, installer=installer("uv"))
    stage_until(agent, two, "tree", base=one)
    with pytest.raises(AgentError) as tampered:
        agent.ask("venv", release=two.id)
    assert tampered.value.kind == "tampered"
    agent.ask("unstage", release=two.id)
    assert not list(host.root.rglob("pwned"))
    stage_until(agent, blog(3, wheels=wheels, installer=installer("uv")), base=one)
    assert os.access(program, os.X_OK)


def test_a_write_into_a_shared_virtualenv_is_told_and_does_not_spread(host: Host, tmp_path: Path) -> None:
    """uv links from its cache: a command that writes into a package in place reaches the live release's too."""
    wheel = make_wheel(tmp_path, "greet", "1.0", "def say():\n    print('hello')\n")
    more = {"wheels": [wheel], "installer": installer("uv")}
    agent = host.locked()
    one, two, three = blog(1, **more), blog(2, **more), blog(3, **more)
    go_live(agent, one, None)
    stage_until(agent, two, "furnish", base=one)
    code = "import greet, os; os.chmod(greet.__file__, 0o644); open(greet.__file__, 'a').write('#')"
    agent.ask("command", release=two.id, argv=["python", "-c", code], title="prepare")
    shared = f"venv/{site_packages(host, one.id).relative_to(host.path('releases', one.id, 'venv'))}/greet.py"
    assert agent.ask("unstage", release=two.id) == {"damaged": {one.id: [shared]}}
    assert host.journal()[-2:] == [("damaged", one.id), ("removed", two.id)]
    go_live(agent, three, one)
    assert agent.ask("verify", release=three.id)["drift"] == []


@pytest.mark.parametrize("damage", ["write", "remove"])
def test_a_new_release_gets_sound_files_where_the_old_ones_virtualenv_drifted(
    host: Host, tmp_path: Path, damage: str
) -> None:
    """Somebody wrote into a package of the live release, which is uv's cached file too: the next has its own."""
    wheel = make_wheel(tmp_path, "greet", "1.0", "def say():\n    print('hello')\n")
    more = {"wheels": [wheel], "installer": installer("uv")}
    agent = host.locked()
    one, two = blog(1, **more), blog(2, **more)
    go_live(agent, one, None)
    module = site_packages(host, one.id) / "greet.py"
    assert module.stat().st_nlink > 1
    if damage == "write":
        module.chmod(0o644)
        module.write_text("raise SystemExit('evil')\n")
    else:
        module.unlink()
    drift = agent.ask("verify", release=one.id)["drift"]
    assert [what for path, what in drift if path.endswith("greet.py")] == [
        "changed" if damage == "write" else "missing"
    ]
    go_live(agent, two, one)
    assert agent.ask("verify", release=two.id)["drift"] == []


def test_uv_s_cache_is_kept_while_nobody_wrote_into_it(host: Host, tmp_path: Path) -> None:
    """Unpacking nine wheels anew would double the time of a deploy."""
    wheel = make_wheel(tmp_path, "greet", "1.0", "def say():\n    print('hello')\n")
    more = {"wheels": [wheel], "installer": installer("uv")}
    agent = host.locked()
    one, two = blog(1, **more), blog(2, **more)
    go_live(agent, one, None)
    go_live(agent, two, one)
    modules = [(site_packages(host, release.id) / "greet.py").stat().st_ino for release in (one, two)]
    assert modules[0] == modules[1]


def test_the_first_release_with_a_virtualenv_follows_one_that_was_only_a_site(host: Host, tmp_path: Path) -> None:
    """What was sealed before need not have a virtualenv: neither a site has one, nor what was adopted."""
    agent = host.locked()
    site = Release(1, "v1", {"public/index.html": b"home"}, start=[], python="python3")
    missing = agent.ask("declare", **site.declaration(None))["missing"]
    agent.put(missing, site.packed([key for key, _ in missing]))
    for verb in ("tree", "furnish", "seal"):
        agent.ask(verb, release=site.id)
    wheel = make_wheel(tmp_path, "greet", "1.0", "def say():\n    print('hello')\n")
    app = blog(2, wheels=[wheel], installer=installer("uv"))
    stage_until(agent, app, base=site)
    assert (site_packages(host, app.id) / "greet.py").is_file()


@pytest.mark.parametrize("tool", ["uv", "pip"])
def test_an_unchanged_lock_is_linked_and_not_installed(host: Host, tmp_path: Path, tool: str) -> None:
    """Files are those of the release before; scripts and RECORD are its own, and nothing names the old place."""
    wheel = make_wheel(tmp_path, "greet", "1.0", "def say():\n    print('hello')\n")
    more = {"wheels": [wheel], "installer": installer(tool)}
    agent = host.locked()
    one, two = blog(1, **more), blog(2, **more)
    go_live(agent, one, None)
    go_live(agent, two, one)
    assert not host.path("state", "log", "0002.stage.log").exists()  # nothing had to run
    for name in ("greet.py", "greet-1.0.dist-info/METADATA"):
        old, new = (site_packages(host, release.id) / name for release in (one, two))
        assert old.samefile(new)
    agent.ask("unstage", release=one.id)
    venv = host.path("releases", two.id, "venv")
    files = [path for path in (*venv.glob("bin/*"), venv / "pyvenv.cfg") if not path.is_symlink()]
    assert files
    assert not [path for path in files if one.id.encode() in path.read_bytes()]
    agent.ask("command", release=two.id, argv=["greet-say"], title="smoke")
    assert agent.ask("verify", release=two.id)["drift"] == []


@pytest.mark.parametrize("what", ["script", "more", "hidden", "interpreter", "seal"])
def test_a_virtualenv_that_isn_t_as_it_was_installed_is_not_linked(host: Host, tmp_path: Path, what: str) -> None:
    """Changed, with a file that no wheel brought, of another Python, or with a seal that nobody vouches for."""
    wheel = make_wheel(tmp_path, "greet", "1.0", "def say():\n    print('hello')\n")
    more = {"wheels": [wheel], "installer": installer("uv")}
    agent = host.locked()
    one, two = blog(1, **more), blog(2, **more)
    if what == "more":
        stage_until(agent, one, "furnish")
        code = "import greet; open(greet.__file__[:-8] + 'more.py', 'w').write('X = 1')"
        agent.ask("command", release=one.id, argv=["python", "-c", code], title="prepare")
        agent.ask("seal", release=one.id)
    else:
        stage_until(agent, one)
    venv = host.path("releases", one.id, "venv")
    if what == "script":
        (venv / "bin" / "greet-say").write_text(f"#!{venv}/bin/python\nprint('evil')\n")
    elif what == "hidden":
        (site_packages(host, one.id) / "evil.pth").write_text("import evil\n")
    elif what == "interpreter":
        config = venv / "pyvenv.cfg"
        config.write_text(config.read_text().replace("version_info = 3", "version_info = 2"))
    elif what == "seal":
        seal = host.path("releases", one.id, "sealed.json")
        seal.chmod(0o644)
        seal.write_text(seal.read_text().replace("greet", "great"))
    stage_until(agent, two, base=one)
    assert "Installed 1 package" in host.path("state", "log", "0002.stage.log").read_text()
    names = {path.name for path in site_packages(host, two.id).iterdir()}
    assert names.isdisjoint({"more.py", "evil.pth"})
    agent.ask("command", release=two.id, argv=["greet-say"], title="smoke")
    assert host.path("state", "log", "0002.stage.log").read_text().endswith("hello\n")
    assert agent.ask("verify", release=two.id)["drift"] == []
