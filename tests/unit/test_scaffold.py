"""`tagship init` writes a small complete project, and never over anything."""

from __future__ import annotations

import ast
import datetime as dt
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tagship import config
from tagship.errors import UsageError
from tagship.press import build
from tagship.scaffold import init

ROOT = Path(__file__).parents[2]
TODAY = dt.date(2026, 3, 4)
FILES = {
    ".github/workflows/ci.yml",
    ".github/workflows/publish.yml",
    ".gitignore",
    "fabfile.py",
    "posts/2026-03-04-hello.md",
    "requirements.in",
    "requirements.lock",
    "site/assets/favicon.svg",
    "site/gunicorn.conf.py",
    "site/pages/about.md",
    "site/templates/404.html",
    "site/wsgi.py",
    "tagship.yml",
    "tasks.py",
}


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_project_is_complete(tmp_path: Path) -> None:
    """All its files, named as they are returned; nothing of the templates' marks is left."""
    written = init.write(tmp_path / "my-site", today=TODAY)
    assert set(files(tmp_path / "my-site")) == FILES
    assert {path.relative_to(tmp_path / "my-site").as_posix() for path in written} == FILES
    assert not [name for name, content in files(tmp_path / "my-site").items() if b"%%" in content]


def test_the_same_input_writes_the_same_project(tmp_path: Path) -> None:
    """The day is an input: no clock is read."""
    init.write(tmp_path / "a" / "site", today=TODAY)
    init.write(tmp_path / "b" / "site", today=TODAY)
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_a_project_builds(tmp_path: Path) -> None:
    """Its configuration loads and the press makes its site of it, without a warning."""
    project = tmp_path / "yes"
    init.write(project, today=TODAY)
    loaded = config.load(project / "tagship.yml")
    assert loaded.app.name == "yes"
    assert loaded.site is not None
    clock = dt.datetime(2026, 3, 5, tzinfo=dt.UTC)
    report = build.build(project, tmp_path / "out", loaded.site, clock=clock, workers=1)
    assert {"/", "/2026/03/hello/", "/about/", "/404.html"} <= set(report.urls)
    assert report.warnings == ()
    assert "Nothing here" in (tmp_path / "out" / "404.html").read_text()


@pytest.mark.parametrize("name", ["wsgi.py", "gunicorn.conf.py"])
def test_we_run_what_we_write(name: str) -> None:
    """Our own site and a new project's are served by the same files."""
    assert (ROOT / "site" / name).read_bytes() == (init.FILES / "site" / name).read_bytes()


def test_we_lock_what_we_write() -> None:
    """`inv lock` renews both at once."""
    assert (ROOT / "requirements.lock").read_bytes() == (init.FILES / "requirements.lock").read_bytes()
    assert (ROOT / "fabfile.py").read_bytes() == (init.FILES / "fabfile.py").read_bytes()


def test_the_lock_pins_every_file_by_hash() -> None:
    """gunicorn and WhiteNoise, and all that they need."""
    text = (init.FILES / "requirements.lock").read_text()
    entries = text.replace("\\\n", " ").splitlines()
    assert {"gunicorn", "whitenoise"} <= {entry.partition("==")[0] for entry in entries}
    assert all("--hash=sha256:" in entry for entry in entries)


def test_the_verbs_are_all_there(tmp_path: Path) -> None:
    """`fab --list` and `inv --list` in a new project offer what the README promises."""
    init.write(tmp_path / "p", today=TODAY)
    offered = {}
    for tool in ("fab", "inv"):
        argv = [str(Path(sys.executable).with_name(tool)), "--list"]
        listed = subprocess.run(argv, cwd=tmp_path / "p", capture_output=True, text=True, check=True).stdout
        offered[tool] = set(re.findall(r"(?m)^  ([a-z]+)", listed))
    assert {"deploy", "rollback", "plan", "status", "releases", "history", "verify", "stop"} <= offered["fab"]
    assert {"build", "serve", "new", "clean"} <= offered["inv"]


# --- never over anything -----------------------------------------------------------------------------------------


def test_existing_files_are_all_named_and_nothing_is_written(tmp_path: Path) -> None:
    """Exit 2; what was there stays as it was, and nothing else appears."""
    (tmp_path / "posts").mkdir()
    (tmp_path / "posts/2026-03-04-hello.md").write_text("mine")
    (tmp_path / "tagship.yml").symlink_to("nowhere")
    with pytest.raises(UsageError) as caught:
        init.write(tmp_path, today=TODAY)
    assert caught.value.what == "already there: posts/2026-03-04-hello.md, tagship.yml"
    assert caught.value.exit_code == 2
    assert files(tmp_path) == {"posts/2026-03-04-hello.md": b"mine"}
    assert (tmp_path / "tagship.yml").readlink() == Path("nowhere")


def test_a_folder_with_other_files_is_fine(tmp_path: Path) -> None:
    """A repository with a LICENSE and posts of its own becomes a project."""
    (tmp_path / "posts").mkdir()
    (tmp_path / "posts/2020-01-01-old.md").write_text("old")
    (tmp_path / "LICENSE").write_text("MIT")
    init.write(tmp_path, today=TODAY)
    assert set(files(tmp_path)) == FILES | {"posts/2020-01-01-old.md", "LICENSE"}


def test_a_file_or_a_link_in_place_of_a_folder_is_named(tmp_path: Path) -> None:
    """A link named `posts` would lead what we write out of the project."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    project = tmp_path / "project"
    project.mkdir()
    (project / "posts").symlink_to(elsewhere)
    (project / "site").write_text("a file")
    with pytest.raises(UsageError, match=r"already there: posts, site\n"):
        init.write(project, today=TODAY)
    assert files(elsewhere) == {}
    with pytest.raises(UsageError):
        init.write(project / "site" / "deeper", today=TODAY)


# --- names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("blog", "blog"),
        ("My Site 2", "my-site-2"),
        ("Käse & Brot", "kase-brot"),
        ("1st", "site-1st"),
        ("日本", "site"),
        ("__x__", "x"),
        ("a" * 40, "a" * 31),
        ("a" * 30 + "-b", "a" * 30),
    ],
)
def test_the_name_comes_from_the_folder(tmp_path: Path, folder: str, name: str) -> None:
    """Made valid, whatever the folder is called."""
    assert init.name_from(tmp_path / folder) == name
    init.write(tmp_path / folder, today=TODAY)
    assert config.load(tmp_path / folder / "tagship.yml").app.name == name


@pytest.mark.parametrize("folder", ["on", "null", "true", "12", "a: b", '"', "#x"])
def test_no_folder_name_breaks_the_configuration(tmp_path: Path, folder: str) -> None:
    """YAML takes many words for something else than text."""
    init.write(tmp_path / folder, today=TODAY)
    site = config.load(tmp_path / folder / "tagship.yml").site
    assert site is not None
    assert site.title


@pytest.mark.parametrize("name", ["", "A", "1a", "a_b", "a" * 32, "-a", "a\n"])
def test_a_given_name_is_not_bent(tmp_path: Path, name: str) -> None:
    """A name that can't be is an error, not another name."""
    with pytest.raises(UsageError, match="can't be an app's name"):
        init.write(tmp_path / "p", today=TODAY, name=name)
    assert not (tmp_path / "p").exists()
    init.write(tmp_path / "p", today=TODAY, name="good-1")
    assert config.load(tmp_path / "p" / "tagship.yml").app.name == "good-1"


# --- the command and the package ---------------------------------------------------------------------------------


def tagship(*argv: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("tagship")), *argv]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_the_command_names_what_it_wrote_and_what_comes_next(tmp_path: Path) -> None:
    """`tagship init DIR`: exit 0; a second time exit 2 and the files by name."""
    first = tagship("init", "blog", cwd=tmp_path)
    assert first.returncode == 0
    assert "blog/tagship.yml" in first.stdout
    assert "cd blog" in first.stdout
    before = files(tmp_path)
    second = tagship("init", "blog", cwd=tmp_path)
    assert second.returncode == 2
    assert "already there: .github/workflows/ci.yml, .github/workflows/publish.yml, .gitignore" in second.stderr
    assert files(tmp_path) == before


def test_the_templates_are_in_the_package(tmp_path: Path) -> None:
    """A wheel of tagship holds every template: `tagship init` works where no checkout is."""
    argv = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(argv, cwd=ROOT, capture_output=True, check=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    templates = {path.relative_to(ROOT / "src").as_posix() for path in init.FILES.rglob("*") if path.is_file()}
    assert {name for name in templates if "__pycache__" not in name} <= names


def test_the_python_files_are_python() -> None:
    """They are linted as templates; here they are parsed as what they become."""
    for path in init.FILES.rglob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"))


def test_hosts_make_the_stage_production(tmp_path: Path) -> None:
    """What `--host` names needs no editor: users and hosts, in order, and the site's URL is the first one's."""
    init.write(tmp_path / "a", today=TODAY, hosts=("deploy@web1.example.org", "10.0.0.2"))
    made = config.load(tmp_path / "a" / "tagship.yml")
    hosts = [(host.user, host.host) for host in made.stage("production").hosts]
    assert hosts == [("deploy", "web1.example.org"), (None, "10.0.0.2")]
    assert made.site is not None
    assert made.site.url == "http://web1.example.org"
    for bad in ("", "@h", "a b", "root@", "x@y@z", "-h", "Big@h"):
        with pytest.raises(UsageError, match="is no HOST"):
            init.write(tmp_path / "b", today=TODAY, hosts=(bad,))
    assert not (tmp_path / "b").exists()
