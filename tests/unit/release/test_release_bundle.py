"""Packing: what a bundle holds, that it is the same anywhere, and what refuses it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from unit.release.release_case import CONFIG, MakeWheel, Repo

from tagship.config import Config
from tagship.errors import BundleRefused, CommandFailed, ConfigError, ContentError, TagRefused
from tagship.manifest import File, Link
from tagship.release import bundle, packed, tagbook, tags
from tagship.release.bundle import Bundle, Press
from tagship.release.hostpython import HostPython
from tagship.release.store import ObjectStore

SITE = CONFIG + "site: {title: Demo, url: 'https://example.org'}\n"


def pack(repo: Repo, *, press: Press | None = None, tag: str | None = None, path: Path | None = None) -> Bundle:
    path = path or repo.path
    found = tags.resolve(path, tag)
    config = bundle.read_config(path, found)
    return bundle.pack(path, found, config, press=press, store=ObjectStore.of(path), cache=repo.path.parent / "cache")


def text_of(repo: Repo, packed_: Bundle, path: str) -> str:
    entry = packed_.manifest.by_path[path]
    assert isinstance(entry, File)
    return ObjectStore.of(repo.path).read(entry.key).decode()


@pytest.fixture(autouse=True)
def scratch_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Scratch copies get a folder of their own, which is empty after every test, also those that fail to pack."""
    place = tmp_path / "scratch"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    yield
    assert list(place.iterdir()) == []


# What is in it


def test_bundle_is_the_commit_and_the_built_site(repo: Repo) -> None:
    """`app/` as committed, `public/` as pressed from the scratch copy, at the commit's time; nothing uncommitted."""
    repo.write({"tagship.yml": SITE, "requirements.lock": "", "run": "#!/bin/sh\n", "posts/a.md": "hello\n"})
    (repo.path / "run").chmod(0o755)
    (repo.path / "posts/latest").symlink_to("a.md")
    repo.commit()
    repo.tag("v1.0.0")
    repo.write({"posts/a.md": "changed\n", "posts/new.md": "x", "secret": "x"})
    asked: list[datetime] = []

    def press(tree: Path, out: Path, config: Config, clock: datetime) -> None:
        assert not out.exists()
        assert config.site is not None
        asked.append(clock)
        out.mkdir()
        (out / "index.html").write_text(f"{config.site.title}: {(tree / 'posts/latest').read_text()}")

    made = pack(repo, press=press)
    assert [entry.path for entry in made.manifest.entries] == [
        "app/posts/a.md",
        "app/posts/latest",
        "app/requirements.lock",
        "app/run",
        "app/tagship.yml",
        "public/index.html",
    ]
    assert text_of(repo, made, "public/index.html") == "Demo: hello\n"
    assert made.manifest.by_path["app/posts/latest"] == Link("app/posts/latest", "a.md")
    run = made.manifest.by_path["app/run"]
    assert isinstance(run, File)
    assert run.executable
    assert asked == [datetime.fromtimestamp(1_700_000_060, UTC)]


def test_site_without_settings_is_not_pressed(project: Repo) -> None:
    """No `site:` in the tag, no public files; the press isn't called."""

    def press(*_words: object) -> None:
        raise AssertionError

    assert all(entry.path.startswith("app/") for entry in pack(project, press=press).manifest.entries)


def test_build_commands_make_part_of_the_app(repo: Repo) -> None:
    """What they create, change and remove in the scratch copy ships, ignored files too, and the press sees it."""
    make = """
import os, pathlib
pathlib.Path("out").mkdir()
pathlib.Path("out/a.css").write_text(os.environ["SOURCE_DATE_EPOCH"])
pathlib.Path("keep").write_text("changed")
pathlib.Path("keep").chmod(0o755)
pathlib.Path("drop").unlink()
pathlib.Path("link").symlink_to("keep")
pathlib.Path("__pycache__").mkdir()
pathlib.Path("__pycache__/x.pyc").touch()
"""
    repo.commit(
        {
            "tagship.yml": SITE + "build:\n  - [python, make.py]\n  - [python, -c, \"open('b', 'w')\"]\n",
            "make.py": make,
            "requirements.lock": "",
            ".gitignore": "out/\n",
            "keep": "as it was",
            "drop": "x",
        }
    )
    repo.tag("v1.0.0")

    def press(tree: Path, out: Path, _config: Config, _clock: datetime) -> None:
        out.mkdir()
        (out / "a.css").write_bytes((tree / "out/a.css").read_bytes())

    made = pack(repo, press=press)
    assert text_of(repo, made, "app/out/a.css") == text_of(repo, made, "public/a.css") == "1700000060"
    assert text_of(repo, made, "app/keep") == "changed"
    assert {"app/b", "app/link"} <= set(made.manifest.by_path)
    assert not {"app/drop", "app/__pycache__/x.pyc"} & set(made.manifest.by_path)
    keep = made.manifest.by_path["app/keep"]
    assert isinstance(keep, File)
    assert keep.executable
    assert (repo.path / "keep").read_text() == "as it was"


def test_build_commands_get_the_locked_tools_and_no_secrets(
    repo: Repo, make_wheel: MakeWheel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The tools of `build_lock` come first on PATH; tokens and the home of whoever deploys stay away."""
    path, digest = make_wheel(
        "sasstool", script="import os, json; json.dump(dict(os.environ), open('env.json', 'w'))"
    )
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    monkeypatch.setenv("DEPLOY_TOKEN", "sentinel-3b1f")
    repo.commit(
        {
            "tagship.yml": CONFIG + "build: [sasstool]\nbuild_lock: tools.lock\n",
            "requirements.lock": "",
            "tools.lock": f"sasstool==1.0 --hash=sha256:{digest}\n",
        }
    )
    repo.tag("v1.0.0")
    made = pack(repo)
    text = text_of(repo, made, "app/env.json")
    seen = json.loads(text)
    assert "sentinel-3b1f" not in text
    assert (seen["TZ"], seen["LANG"], seen["SOURCE_DATE_EPOCH"]) == ("UTC", "C.UTF-8", "1700000060")
    assert seen["HOME"] != os.environ["HOME"]
    assert Path(seen["PATH"].split(os.pathsep)[0]).is_relative_to(tmp_path / "cache")


def test_build_tools_are_made_once(repo: Repo, make_wheel: MakeWheel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The virtualenv is kept by the digest of its wheels; a half-made one is made again."""
    path, digest = make_wheel("tool", script="open('made', 'w')")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    repo.commit(
        {"tagship.yml": CONFIG + "build: [tool]\n", "requirements.lock": f"tool==1.0 --hash=sha256:{digest}\n"}
    )
    repo.tag("v1.0.0")
    pack(repo)
    (venv,) = (repo.path.parent / "cache" / "tools").glob("*[!k]")
    marker = venv / "tagship-ready"
    first = marker.stat().st_mtime_ns
    repo.commit({"a": "1"})
    repo.tag("v1.0.1")
    pack(repo)
    assert marker.stat().st_mtime_ns == first
    marker.unlink()
    (venv / "bin" / "tool").unlink()
    repo.commit({"a": "2"})
    repo.tag("v1.0.2")
    assert "app/made" in pack(repo).manifest.by_path


def test_own_package_is_built_from_the_tag(repo: Repo, tmp_path: Path) -> None:
    """`app.package`: the wheel comes from the scratch copy, by the locked backend, the same bytes each time."""
    backend = """
import os, zipfile
def get_requires_for_build_wheel(config_settings=None):
    return []
def build_wheel(folder, config_settings=None, metadata_directory=None):
    os.makedirs("build")
    info = "demo-1.0.dist-info/"
    files = {"demo.py": open("demo.py").read() + os.environ["SOURCE_DATE_EPOCH"], info + "METADATA":
        "Metadata-Version: 2.1\\nName: demo\\nVersion: 1.0\\n", info + "WHEEL": "Wheel-Version: 1.0\\nGenerator: x\\n"
        "Root-Is-Purelib: true\\nTag: py3-none-any\\n", info + "RECORD": ""}
    with zipfile.ZipFile(os.path.join(folder, "demo-1.0-py3-none-any.whl"), "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return "demo-1.0-py3-none-any.whl"
"""
    pyproject = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    pyproject += '[project]\nname = "demo"\nversion = "1.0"\n'
    repo.commit(
        {
            "tagship.yml": CONFIG.replace("  name: demo", "  name: demo\n  package: true"),
            "requirements.lock": "",
            "pyproject.toml": pyproject,
            "backend.py": backend,
            "demo.py": "x = 1 #",
        }
    )
    repo.tag("v1.0.0")
    first = pack(repo)
    assert first.project_wheel is not None
    assert (first.project_wheel.name, first.project_wheel.version) == ("demo", "1.0")
    assert not [path for path in first.manifest.by_path if path.startswith("app/build")]
    store = ObjectStore.of(repo.path)
    assert bundle.wheels_for(first, HostPython.here(), store, tmp_path / "cache") == (first.project_wheel,)
    assert pack(repo).project_wheel == first.project_wheel
    first.project_wheel.path.unlink()
    assert pack(repo).project_wheel == first.project_wheel


def test_wheels_that_the_tag_carries_go_to_hosts(repo: Repo, make_wheel: MakeWheel, tmp_path: Path) -> None:
    """What the tag carries in `wheels/` needs no index, whatever the working tree has."""
    path, digest = make_wheel("old", folder=tmp_path / "made")
    repo.commit(
        {
            "tagship.yml": CONFIG,
            "requirements.lock": f"old==1.0 --hash=sha256:{digest}\n",
            f"wheels/{path.name}": path.read_bytes(),
        }
    )
    repo.tag("v1.0.0")
    made = pack(repo)
    (wheel,) = bundle.wheels_for(made, HostPython.here(), ObjectStore.of(repo.path), tmp_path / "cache")
    assert (wheel.sha256, wheel.path.read_bytes()) == (digest, path.read_bytes())


# The same anywhere


SCRIPT = """
import os, sys
from pathlib import Path
os.umask(int(sys.argv[3], 8))
from tagship.release import bundle, tags
from tagship.release.store import ObjectStore
repo, cache = Path(sys.argv[1]), Path(sys.argv[2])
def press(tree, out, config, clock):
    for path in sorted(tree.rglob("*.md")):
        page = out / path.relative_to(tree).with_suffix(".html")
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_bytes(path.read_bytes() + clock.isoformat().encode())
tag = tags.resolve(repo)
made = bundle.pack(repo, tag, bundle.read_config(repo, tag), press=press, store=ObjectStore.of(repo), cache=cache)
print(made.digest, made.manifest.digest, made.lock_digest, len(made.manifest.entries))
"""


def test_digest_is_the_same_on_any_machine(repo: Repo, tmp_path: Path) -> None:
    """Path, umask, time zone, hash seed, line-end settings and attributes of a clone change nothing."""
    values = "time.tzname, sorted({'a', 'b', 'c'}), hash('x')"
    script = "import time, pathlib\nmade = pathlib.Path('made')\nmade.touch()\n"
    script += f"made.write_text(repr(({values}, made.stat().st_mode)))"
    repo.git("config", "core.autocrlf", "false")
    repo.write(
        {"make.py": f"#!/usr/bin/env python\n{script}\n", "posts/a.md": "a\nb\n", "posts/crlf.md": "a\r\nb\r\n"}
    )
    repo.write({"requirements.lock": f"a==1 --hash=sha256:{'0' * 64}\n"})
    repo.write({"build.lock": "", ".gitattributes": "*.md text eol=crlf export-subst\nposts/sub.md -text\n"})
    repo.write({"posts/sub.md": "$Format:%H %an$\n$Id$\n"})
    repo.write({"tagship.yml": SITE + "build: [[./make.py]]\nbuild_lock: build.lock\n"})
    (repo.path / "make.py").chmod(0o755)
    repo.commit()
    repo.tag("v1.0.0")
    found = set()
    for number, (settings, umask, zone, seed) in enumerate(
        [({}, "022", "UTC", "0"), ({"core.autocrlf": "true", "tar.umask": "0077"}, "077", "Asia/Kathmandu", "42")]
    ):
        clone = tmp_path / ("deep/er " * number) / f"clone{number}"
        clone.parent.mkdir(parents=True, exist_ok=True)
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        subprocess.run(["git", "clone", "-q", *words, str(repo.path), str(clone)], check=True)
        argv = [sys.executable, "-c", SCRIPT, str(clone), str(tmp_path / f"cache{number}"), umask]
        env = os.environ | {"TZ": zone, "PYTHONHASHSEED": seed, "TMPDIR": str(clone.parent), "LC_ALL": "C"}
        found.add(subprocess.run(argv, env=env, capture_output=True, check=True).stdout)
    assert len(found) == 1


def test_digest_covers_tree_site_and_lock(project: Repo) -> None:
    """A comment in the lock is a file of the tree; the lock's own digest stays."""
    first = pack(project)
    project.commit({"requirements.lock": "# nothing\n"})
    project.tag("v1.0.1")
    second = pack(project)
    assert first.digest != second.digest
    assert first.lock_digest == second.lock_digest
    project.commit({"requirements.lock": f"a==1 --hash=sha256:{'0' * 64}\n"})
    project.tag("v1.0.2")
    assert pack(project).lock_digest != first.lock_digest


# Packed before


def test_second_pack_reads_what_the_first_saved(repo: Repo) -> None:
    """The press isn't asked again, unless an object is gone or was touched."""
    repo.commit({"tagship.yml": SITE, "requirements.lock": "", "a": "1"})
    repo.tag("v1.0.0")
    calls: list[int] = []

    def press(_tree: Path, out: Path, _config: Config, _clock: datetime) -> None:
        calls.append(1)
        out.mkdir()
        (out / "index.html").write_text("x")

    first = pack(repo, press=press)
    assert pack(repo, press=press) == first
    assert len(calls) == 1
    store = ObjectStore.of(repo.path)
    for entry in first.manifest.files()[:2]:
        store.path(entry.key).unlink()
        assert pack(repo, press=press) == first
        assert store.missing(first.manifest.files()) == ()
    assert len(calls) == 3


@pytest.mark.parametrize("text", ["", "{}", '{"rows": [[1]], "digest": "", "wheel": null}', "[]"])
def test_damaged_record_of_a_bundle_is_packed_again(project: Repo, text: str) -> None:
    """A saved manifest whose digest doesn't fit is no manifest."""
    first = pack(project)
    (saved,) = (project.path / ".tagship" / "bundles").iterdir()
    saved.write_text(text)
    assert pack(project) == first


def test_record_that_names_other_files_is_not_believed(project: Repo) -> None:
    """Every row may be well-formed; the digest is over all of them."""
    first = pack(project)
    (saved,) = (project.path / ".tagship" / "bundles").iterdir()
    value = json.loads(saved.read_text())
    saved.write_text(json.dumps({**value, "rows": value["rows"][1:]}))
    assert pack(project) == first


def test_old_bundles_and_their_objects_go(project: Repo) -> None:
    """The disk of who deploys daily stays flat: the last twenty are kept, and what they name."""
    first = pack(project)
    store = ObjectStore.of(project.path)
    for number in range(packed.KEPT + 1):
        project.commit({"demo.py": f"app = {number}\n"})
        project.tag(f"v1.1.{number}")
        last = pack(project)
    assert len(list((project.path / ".tagship" / "bundles").iterdir())) == packed.KEPT
    packed.save(project.path, "one-more", packed.Packed(last.manifest, None))
    assert packed.prune(project.path, store, now=time.time() + 100_000) == 3
    assert store.missing(last.manifest.files()) == ()
    assert {file.path for file in store.missing(first.manifest.files())} == {"app/demo.py"}


def test_own_folder_is_never_committed(project: Repo) -> None:
    """`git add -A` in a project without a .gitignore must not take what we keep beside it."""
    pack(project)
    project.commit({"a": "1"})
    project.tag("v1.0.1")
    assert set(pack(project).manifest.by_path) == {"app/a", "app/demo.py", "app/requirements.lock", "app/tagship.yml"}


def test_two_packs_at_once_make_one_bundle(repo: Repo, tmp_path: Path) -> None:
    """Neither waits for nor spoils the other."""
    repo.commit(
        {"tagship.yml": SITE + 'build: [[python, -c, \'open("b", "w")\']]\n', "requirements.lock": "", "a.md": "a"}
    )
    repo.tag("v1.0.0")
    argv = [sys.executable, "-c", SCRIPT, str(repo.path), str(tmp_path / "cache"), "022"]
    running = [subprocess.Popen(argv, stdout=subprocess.PIPE) for _ in range(3)]
    said = {process.communicate()[0] for process in running}
    assert len(said) == 1
    assert said.pop()


# What refuses it


def test_configuration_comes_from_the_tag(project: Repo) -> None:
    """The working tree's file has no say, and errors name the tag's."""
    project.write({"tagship.yml": "broken: ["})
    assert bundle.read_config(project.path, tags.resolve(project.path)).app.name == "demo"
    project.commit({"tagship.yml": "app:\n  nam: demo\n"})
    project.tag("v1.0.1")
    with pytest.raises(ConfigError) as caught:
        bundle.read_config(project.path, tags.resolve(project.path))
    assert caught.value.where.startswith("v1.0.1:tagship.yml:")
    project.commit({"tagship.yml": b"\xff"})
    project.tag("v1.0.2")
    with pytest.raises(ConfigError, match="not UTF-8"):
        bundle.read_config(project.path, tags.resolve(project.path))


def test_tag_without_configuration_is_refused(repo: Repo) -> None:
    """A tag from before tagship came can't be shipped."""
    repo.commit({"a": "1"})
    repo.tag("v0.1.0")
    with pytest.raises(ConfigError) as caught:
        bundle.read_config(repo.path, tags.resolve(repo.path))
    assert caught.value.where == "v0.1.0:tagship.yml"


def test_missing_and_loose_locks_are_refused(repo: Repo) -> None:
    """Before anything is built: the message names tag, file and line."""
    build = "build: [[python, -c, 'raise SystemExit(9)']]\n"
    repo.commit({"tagship.yml": CONFIG + build})
    repo.tag("v1.0.0")
    with pytest.raises(BundleRefused, match="no such lock") as caught:
        pack(repo)
    assert caught.value.where == "v1.0.0:requirements.lock"
    repo.commit({"requirements.lock": "django==5.2\n"})
    repo.tag("v1.0.1")
    with pytest.raises(BundleRefused, match="no --hash") as caught:
        pack(repo)
    assert caught.value.where == "v1.0.1:requirements.lock:1"


def test_failing_build_command_shows_its_last_lines(repo: Repo) -> None:
    """Exit 3, the command, its status and the end of what it said; nothing is remembered of the tag."""
    code = "import sys; [print(f'line {n}') for n in range(100)]; sys.exit('no such font')"
    repo.commit({"tagship.yml": CONFIG + f'build: [[python, -c, "{code}"]]\n', "requirements.lock": ""})
    repo.tag("v1.0.0")
    with pytest.raises(CommandFailed) as caught:
        pack(repo)
    assert (caught.value.status, caught.value.exit_code, caught.value.argv[0]) == (1, 3, "python")
    assert caught.value.tail[-2:] == ("line 99", "no such font")
    assert len(caught.value.tail) == 20
    assert not (repo.path / ".tagship" / "tags.json").exists()
    assert not (repo.path / ".tagship" / "bundles").exists()


def test_build_command_that_isnt_there_is_named(repo: Repo) -> None:
    """No traceback for a missing program."""
    repo.commit({"tagship.yml": CONFIG + "build: [no-such-program]\n", "requirements.lock": ""})
    repo.tag("v1.0.0")
    with pytest.raises(CommandFailed, match="`no-such-program` can't be run"):
        pack(repo)


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("import os; os.mkfifo('pipe')", "pipe can't be in a release: neither a file nor a link"),
        ("import os; os.symlink('/etc/passwd', 'out')", "out can't be in a release: a link to an absolute path"),
        ("import os; os.symlink('../x', 'out')", "leaves the tree"),
    ],
)
def test_what_a_build_makes_is_checked_like_the_tree(repo: Repo, code: str, fault: str) -> None:
    """A build tool's link out of the scratch copy would be another file on every host."""
    repo.commit({"tagship.yml": CONFIG + f'build: [[python, -c, "{code}"]]\n', "requirements.lock": ""})
    repo.tag("v1.0.0")
    with pytest.raises(BundleRefused) as caught:
        pack(repo)
    assert fault in caught.value.what


def test_package_without_its_backend_names_the_build_lock(repo: Repo) -> None:
    """The backend is one of the locked tools; nothing is fetched for it in passing."""
    pyproject = '[build-system]\nrequires = []\nbuild-backend = "nowhere"\n[project]\nname = "demo"\nversion = "1"\n'
    config = CONFIG.replace("  name: demo", "  name: demo\n  package: true")
    repo.commit({"tagship.yml": config, "requirements.lock": "", "pyproject.toml": pyproject})
    repo.tag("v1.0.0")
    with pytest.raises(CommandFailed) as caught:
        pack(repo)
    assert caught.value.where == "app.package"
    assert "build_lock" in caught.value.cure
    assert any("nowhere" in line for line in caught.value.tail)


def test_failing_press_leaves_nothing(repo: Repo) -> None:
    """Its own error comes through, the scratch copy goes, and no bundle is saved."""
    repo.commit({"tagship.yml": SITE, "requirements.lock": ""})
    repo.tag("v1.0.0")

    def press(_tree: Path, out: Path, _config: Config, _clock: datetime) -> None:
        out.mkdir()
        (out / "half.html").write_text("x")
        raise ContentError("unknown layout", path="posts/a.md", line=3)

    with pytest.raises(ContentError):
        pack(repo, press=press)
    assert not (repo.path / ".tagship" / "bundles").exists()


def test_tag_moved_after_it_shipped_is_refused(project: Repo) -> None:
    """Also when the caller resolved it before; a tag that was only packed, for a look at the plan, may still move."""
    first = pack(project)
    project.commit({"a": "1"})
    project.git("tag", "-f", "-a", "v1.0.0", "-m", "moved")
    second = pack(project)
    assert first.tag.commit != second.tag.commit
    tagbook.remember(project.path, second.tag.name, second.tag.commit)
    project.commit({"a": "2"})
    project.git("tag", "-f", "-a", "v1.0.0", "-m", "moved again")
    with pytest.raises(TagRefused, match="has moved"):
        pack(project)


def test_ctrl_c_during_a_build_ends_all_it_started(repo: Repo, tmp_path: Path) -> None:
    """The command runs in its own group: its children end too, and the scratch copy goes."""
    pid_file = tmp_path / "pid"
    code = "import os, sys, time\n"
    code += f"open('{pid_file}.part', 'w').write(str(os.getpid()))\n"
    code += f"os.rename('{pid_file}.part', '{pid_file}')\ntime.sleep(600)\n"
    repo.commit(
        {"tagship.yml": CONFIG + "build:\n  - [sh, -c, 'python \"$0\"; true', wait.py]\n", "requirements.lock": ""}
    )
    repo.commit({"wait.py": code})
    repo.tag("v1.0.0")
    place = tmp_path / "their-scratch"
    place.mkdir()
    argv = [sys.executable, "-c", SCRIPT, str(repo.path), str(tmp_path / "cache"), "022"]
    with subprocess.Popen(argv, env=os.environ | {"TMPDIR": str(place)}, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while not pid_file.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    assert b"KeyboardInterrupt" in said
    assert list(place.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        for _attempt in range(500):
            os.kill(int(pid_file.read_text()), 0)
            time.sleep(0.01)


def test_paths_that_are_one_name_here_are_refused(project: Repo, tmp_path: Path) -> None:
    """A tree may hold one path twice; git itself doesn't check what is pushed."""
    lock = project.git("rev-parse", "HEAD:requirements.lock")
    config = project.git("rev-parse", "HEAD:tagship.yml")
    commit = project.commit_rows(
        ("100644", b"requirements.lock", lock),
        ("100644", b"tagship.yml", config),
        ("100644", b"twice", b"1"),
        ("100644", b"twice", b"2"),
    )
    project.git("tag", "-a", "v2.0.0", "-m", "x", commit)
    with pytest.raises(BundleRefused, match="twice is there twice"):
        pack(project, tag="v2.0.0")
