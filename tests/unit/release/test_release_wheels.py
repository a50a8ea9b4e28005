"""Wheels: chosen for the host's own Python, fetched by hash, kept, and checked whatever pip gives back."""

from __future__ import annotations

import contextlib
import copy
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging import tags as pep425
from packaging.markers import default_environment
from unit.release.release_case import MakeWheel

from tagship.config import Target
from tagship.errors import BundleRefused
from tagship.events import Event
from tagship.release import lockfile, wheels
from tagship.release.hostpython import HostPython
from tagship.release.lockfile import Lock
from tagship.release.wheelcache import WheelCache, default_folder


def lock_of(*lines: str) -> Lock:
    return lockfile.parse("\n".join(lines), "requirements.lock")


def pinned(name: str, digest: str, *, version: str = "1.0", marker: str = "") -> str:
    return f"{name}=={version}{f' ; {marker}' if marker else ''} --hash=sha256:{digest}"


@pytest.fixture
def host(facts: dict[str, Any]) -> HostPython:
    return HostPython.from_facts(facts)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that pip finds packages in; emptied, it is an index that is gone."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def names(found: tuple[wheels.Wheel, ...]) -> list[str]:
    return [wheel.filename for wheel in found]


# What a host's Python takes


def test_tags_of_this_machine_are_what_packaging_says_of_it() -> None:
    """Generated from facts, they must equal what `packaging` finds out by asking the machine."""
    libc = os.confstr("CS_GNU_LIBC_VERSION") if sys.platform == "linux" else None
    if libc is None:
        pytest.skip("needs Linux with glibc")
    facts = {
        "markers": default_environment(),
        "libc": libc.split(),
        "abi_flags": sys.abiflags,
        "soabi": "",
        "bits": 64,
    }
    assert list(HostPython.from_facts(facts).tags) == list(pep425.sys_tags())


@pytest.mark.parametrize(
    ("change", "takes", "refuses"),
    [
        ({}, ["cp311-cp311-manylinux_2_36_x86_64", "cp311-abi3-manylinux2014_x86_64", "cp39-abi3-manylinux1_x86_64",
              "py3-none-any", "py2.py3-none-any", "cp311-cp311-linux_x86_64"],
         ["cp311-cp311-manylinux_2_37_x86_64", "cp312-cp312-manylinux2014_x86_64", "cp311-cp311-musllinux_1_2_x86_64",
          "cp311-cp311-manylinux2014_aarch64", "cp312-abi3-manylinux2014_x86_64", "py2-none-any"]),
        ({"libc": ["musl", "1.2"]}, ["cp311-cp311-musllinux_1_1_x86_64"],
         ["cp311-cp311-musllinux_1_3_x86_64", "cp311-cp311-manylinux2014_x86_64"]),
        ({"libc": None}, ["cp311-cp311-linux_x86_64", "py3-none-any"], ["cp311-cp311-manylinux2014_x86_64"]),
        ({"bits": 32}, ["cp311-cp311-manylinux2010_i686"], ["cp311-cp311-manylinux2014_x86_64"]),
        ({"platform_machine": "aarch64"}, ["cp311-cp311-manylinux2014_aarch64"],
         ["cp311-cp311-manylinux2010_aarch64", "cp311-cp311-manylinux_2_16_aarch64"]),
        ({"python_version": "3.13", "free_threaded": True}, ["cp313-cp313t-manylinux2014_x86_64", "py3-none-any"],
         ["cp313-cp313-manylinux2014_x86_64", "cp311-abi3-manylinux2014_x86_64"]),
        ({"implementation_name": "pypy", "soabi": "pypy311-pp73-x86_64-linux-gnu"},
         ["pp311-pypy311_pp73-manylinux2014_x86_64", "py3-none-any"], ["cp311-cp311-manylinux2014_x86_64"]),
        ({"sys_platform": "darwin", "platform_release": "23.4.0", "platform_machine": "arm64", "libc": None},
         ["cp311-cp311-macosx_14_0_arm64", "cp311-cp311-macosx_11_0_universal2"], ["cp311-cp311-macosx_15_0_arm64"]),
        ({"sys_platform": "darwin", "platform_release": "25.1.0", "platform_machine": "arm64", "libc": None},
         ["cp311-cp311-macosx_26_0_arm64"], ["cp311-cp311-macosx_27_0_arm64"]),
    ],
)  # fmt: skip
def test_survey_decides_which_tags_a_host_takes(
    facts: dict[str, Any], change: dict[str, Any], takes: list[str], refuses: list[str]
) -> None:
    """glibc, musl, 32 bits, free-threaded, PyPy, macOS: each has its own list."""
    facts = copy.deepcopy(facts)
    for name, value in change.items():
        (facts["markers"] if name in facts["markers"] else facts)[name] = value
    host = HostPython.from_facts(facts)
    for text in takes:
        assert pep425.parse_tag(text) & set(host.tags), text
    for text in refuses:
        assert not pep425.parse_tag(text) & set(host.tags), text


def test_target_takes_what_such_a_host_takes(facts: dict[str, Any]) -> None:
    """`targets:` in tagship.yml stands for a survey; an old platform name means its glibc."""
    target = HostPython.from_target(Target(python="3.11", platform="manylinux_2_36_x86_64"))
    assert target.tags == HostPython.from_facts(facts).tags
    assert target.markers["sys_platform"] == "linux"
    old = HostPython.from_target(Target(python="3.12", platform="manylinux2014_x86_64"))
    assert old.platforms[:2] == ("linux_x86_64", "manylinux_2_17_x86_64")
    assert HostPython.from_target(Target(python="3.13t", platform="musllinux_1_2_aarch64")).abis == ("cp313t",)


@pytest.mark.parametrize(
    ("python", "platform"), [("3", "manylinux_2_36_x86_64"), ("3.11", "linux"), ("3.8", "manylinux_2_36_x86_64")]
)
def test_nonsense_target_is_refused(python: str, platform: str) -> None:
    """A target that no wheel could be chosen for says so, with an example."""
    with pytest.raises(BundleRefused):
        HostPython.from_target(Target(python=python, platform=platform))


@pytest.mark.parametrize(
    "change",
    [{"markers": {}}, {"markers": None}, {"libc": ["glibc", "?"]}, {"libc": ["glibc"]}, {"bits": "many"}],
)
def test_facts_that_make_no_sense_are_refused(facts: dict[str, Any], change: dict[str, Any]) -> None:
    """A missing marker must not be filled in from the machine we run on."""
    with pytest.raises(BundleRefused, match="makes no sense"):
        HostPython.from_facts(facts | change)


# What a lock becomes


def test_markers_are_judged_for_the_host_not_for_us(
    host: HostPython, facts: dict[str, Any], index: Path, cache: Path, make_wheel: MakeWheel
) -> None:
    """pip would drop what our own Python doesn't need; each host gets what it needs itself."""
    linux, mac, old = (make_wheel(name)[1] for name in ("linux_only", "mac_only", "backport"))
    lock = lock_of(
        pinned("linux-only", linux, marker="sys_platform == 'linux' and platform_machine == 'x86_64'"),
        pinned("mac-only", mac, marker="sys_platform == 'darwin'"),
        pinned("backport", old, marker="python_full_version < '3.11.3'"),
    )
    assert names(wheels.select_and_fetch(lock, host, cache)) == [
        "backport-1.0-py3-none-any.whl",
        "linux_only-1.0-py3-none-any.whl",
    ]
    facts["markers"] |= {"sys_platform": "darwin", "platform_release": "23.0.0", "python_full_version": "3.11.9"}
    other = HostPython.from_facts(facts | {"libc": None})
    assert names(wheels.select_and_fetch(lock, other, cache)) == ["mac_only-1.0-py3-none-any.whl"]


def test_wheel_for_another_python_and_platform_is_fetched(
    facts: dict[str, Any], index: Path, cache: Path, make_wheel: MakeWheel
) -> None:
    """The machine we run on has no say: an arm64 Python 3.13 gets its own file, the best one."""
    digests = [
        make_wheel("fast", tags=f"{python}-{python}-{platform}")[1]
        for python in ("cp311", "cp313")
        for platform in ("manylinux2014_x86_64", "manylinux2014_aarch64", "manylinux_2_28_aarch64")
    ]
    facts["markers"] |= {"python_version": "3.13", "python_full_version": "3.13.1", "platform_machine": "aarch64"}
    lock = lock_of(f"fast==1.0 {' '.join(f'--hash=sha256:{digest}' for digest in digests)}")
    found = wheels.select_and_fetch(lock, HostPython.from_facts(facts), cache)
    assert names(found) == ["fast-1.0-cp313-cp313-manylinux_2_28_aarch64.whl"]
    assert (found[0].name, found[0].version, found[0].size) == ("fast", "1.0", found[0].path.stat().st_size)


def test_unchanged_lock_needs_no_index(host: HostPython, index: Path, cache: Path, make_wheel: MakeWheel) -> None:
    """What was fetched once is found by pin and kind of host, also when the index is gone."""
    (path, digest), (other, other_digest) = make_wheel("one"), make_wheel("two")
    lock = lock_of(pinned("one", digest), pinned("two", other_digest))
    seen: list[Event] = []
    first = wheels.select_and_fetch(lock, host, cache, progress=seen.append)
    assert [(event.data["done"], event.data["total"]) for event in seen] == [(0, 2), (1, 2), (2, 2)]
    path.unlink()
    other.unlink()
    assert wheels.select_and_fetch(lock, host, cache) == first
    assert sorted(entry.name for entry in (cache / "wheels").iterdir()) == sorted([digest, other_digest, "picks"])


def test_damaged_cache_is_noticed_and_fetched_again(
    host: HostPython, index: Path, cache: Path, make_wheel: MakeWheel
) -> None:
    """Every file is hashed before it is handed out."""
    _path, digest = make_wheel("one")
    lock = lock_of(pinned("one", digest))
    (wheel,) = wheels.select_and_fetch(lock, host, cache)
    good = wheel.path.read_bytes()
    wheel.path.write_bytes(good[:-1] + b"?")
    (again,) = wheels.select_and_fetch(lock, host, cache)
    assert again.path.read_bytes() == good


def test_damaged_record_is_not_believed(host: HostPython, index: Path, cache: Path, make_wheel: MakeWheel) -> None:
    """A record that names a file outside the lock, or outside the cache, is as good as none."""
    _path, digest = make_wheel("one")
    lock = lock_of(pinned("one", digest))
    (wheel,) = wheels.select_and_fetch(lock, host, cache)
    (record,) = (cache / "wheels" / "picks").iterdir()
    other = WheelCache(cache).take(*make_wheel("other"))
    exchanged = json.dumps({"sha256": other.sha256, "filename": other.filename})
    for text in (exchanged, "{", '{"sha256": "' + "0" * 64 + '", "filename": "x.whl"}',
                 f'{{"sha256": "{digest}", "filename": "../x"}}'):  # fmt: skip
        record.write_text(text)
        assert wheels.select_and_fetch(lock, host, cache) == (wheel,)


def test_missing_wheel_names_package_host_and_cure(
    host: HostPython, index: Path, cache: Path, make_wheel: MakeWheel
) -> None:
    """Of three pins the one without a wheel for this host is named, and the others are kept."""
    good, bad = make_wheel("good")[1], make_wheel("bad", tags="cp312-cp312-manylinux2014_x86_64")[1]
    lock = lock_of(pinned("good", good), pinned("bad", bad))
    with pytest.raises(BundleRefused) as caught:
        wheels.select_and_fetch(lock, host, cache)
    assert caught.value.what == "bad==1.0 has no wheel in the lock for CPython 3.11 on linux x86_64 (glibc 2.36)"
    assert "pin a version that has one" in caught.value.cure
    assert caught.value.exit_code == 3
    assert WheelCache(cache).recall(lock.pins[0], host) is not None


def test_package_that_exists_only_as_source_tells_how_to_build_it(host: HostPython, index: Path, cache: Path) -> None:
    """Nothing is built on hosts, nor here behind the user's back: setup.py is not run."""
    (index / "old-1.0.tar.gz").write_bytes(b"not even an archive")
    lock = lock_of(pinned("old", "0" * 64))
    with pytest.raises(BundleRefused, match="exists only as source") as caught:
        wheels.select_and_fetch(lock, host, cache)
    assert "pip wheel --no-deps --no-binary old old==1.0 -w wheels/" in caught.value.cure


def test_package_for_a_newer_python_says_which(
    host: HostPython, index: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, page_index: str
) -> None:
    """A package that dropped the host's Python needs another pin, not a build."""
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", page_index)
    with pytest.raises(BundleRefused, match=r"needs Python >=3\.12") as caught:
        wheels.select_and_fetch(lock_of(pinned("modern", "0" * 64)), host, cache)
    assert "pip wheel" not in caught.value.cure


def test_other_bytes_than_the_lock_names_are_refused(
    host: HostPython, index: Path, cache: Path, make_wheel: MakeWheel
) -> None:
    """A file that was exchanged on the index never comes in."""
    make_wheel("one")
    with pytest.raises(BundleRefused, match=r"other files for one==1\.0 than the lock"):
        wheels.select_and_fetch(lock_of(pinned("one", "0" * 64)), host, cache)
    assert [entry.name for entry in (cache / "wheels").iterdir()] == []


def test_unreachable_index_says_so(
    host: HostPython, cache: Path, monkeypatch: pytest.MonkeyPatch, make_wheel: MakeWheel
) -> None:
    """No network is not a missing wheel, and its cure is another."""
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:9/simple")
    with pytest.raises(BundleRefused, match="index can't be reached") as caught:
        wheels.select_and_fetch(lock_of(pinned("one", "0" * 64)), host, cache)
    assert "secret" not in f"{caught.value} {caught.value.tail}"


def test_two_versions_wanted_at_once_are_refused(host: HostPython, cache: Path) -> None:
    """A lock whose markers overlap is two answers."""
    lock = lock_of(pinned("a", "0" * 64), pinned("a", "1" * 64, version="2.0", marker="python_version >= '3.10'"))
    with pytest.raises(BundleRefused, match=r"a==1\.0 \(line 1\) and a==2\.0 are both wanted"):
        wheels.select_and_fetch(lock, host, cache)


def test_pip_settings_of_the_user_dont_change_what_comes(
    host: HostPython, index: Path, cache: Path, make_wheel: MakeWheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where packages come from is the user's; what comes is the lock's."""
    constraint = tmp_path / "constraint.txt"
    constraint.write_text("one==2.0\n")
    for name, value in {
        "CONSTRAINT": constraint,
        "NO_BINARY": ":all:",
        "DEST": tmp_path / "d",
        "PLATFORM": "win32",
    }.items():
        monkeypatch.setenv(f"PIP_{name}", str(value))
    _path, digest = make_wheel("one")
    assert len(wheels.select_and_fetch(lock_of(pinned("one", digest)), host, cache)) == 1


# The tag's own wheels


def test_wheels_of_the_tag_are_used_when_the_lock_has_their_hash(
    host: HostPython, cache: Path, make_wheel: MakeWheel, tmp_path: Path
) -> None:
    """What exists only as source comes from the tag's own folder, without an index."""
    folder = tmp_path / "own" / "wheels"
    _path, digest = make_wheel("old", tags="cp311-cp311-linux_x86_64", folder=folder)
    make_wheel("old", tags="cp312-cp312-linux_x86_64", folder=folder)
    make_wheel("unrelated", folder=folder)
    (found,) = wheels.select_and_fetch(lock_of(pinned("old", digest)), host, cache, extra_dir=folder)
    assert found.filename == "old-1.0-cp311-cp311-linux_x86_64.whl"
    assert found.path.is_relative_to(cache)


def test_wheel_of_the_tag_that_the_lock_doesnt_have_is_refused(
    host: HostPython, cache: Path, make_wheel: MakeWheel, tmp_path: Path
) -> None:
    """The cure is the very hash to add."""
    _path, digest = make_wheel("old", folder=tmp_path / "wheels")
    with pytest.raises(BundleRefused, match="hash is not in the lock") as caught:
        wheels.select_and_fetch(lock_of(pinned("old", "0" * 64)), host, cache, extra_dir=tmp_path / "wheels")
    assert caught.value.where == "wheels/old-1.0-py3-none-any.whl"
    assert f"--hash=sha256:{digest}" in caught.value.cure


def test_misnamed_wheel_is_refused(host: HostPython, cache: Path, tmp_path: Path) -> None:
    """A wheel's name is all that tells what it is for."""
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "old.whl").write_bytes(b"")
    with pytest.raises(BundleRefused, match="not a wheel's file name"):
        wheels.select_and_fetch(lock_of(pinned("old", "0" * 64)), host, cache, extra_dir=tmp_path / "wheels")


# What builds virtualenvs on hosts


def test_installer_lock_pins_uv_and_pip() -> None:
    """One file for each platform uv has, and pip for all others."""
    text = (Path(wheels.__file__).parent / "installer.lock").read_text()
    pins = {pin.name: pin for pin in lockfile.parse(text, "installer.lock").pins}
    assert set(pins) == {"uv", "pip"}
    assert len(pins["uv"].hashes) >= 15


def test_unfit_project_wheel_is_refused(host: HostPython, cache: Path, make_wheel: MakeWheel, tmp_path: Path) -> None:
    """A wheel built here with compiled code is for this machine's kind only."""
    built = tmp_path / "built"
    make_wheel("mine", tags="cp311-cp311-macosx_14_0_arm64", folder=built)
    wheel = wheels.take_built(built, cache)
    with pytest.raises(BundleRefused, match=r"does not run on CPython 3\.11 on linux"):
        wheels.refuse_unfit(wheel, host)
    make_wheel("mine", folder=built)
    with pytest.raises(BundleRefused, match="2 wheels, not one"):
        wheels.take_built(built, cache)


def test_cache_lies_where_xdg_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """XDG_CACHE_HOME counts when it is absolute, as its specification says."""
    assert default_folder() == tmp_path / "home" / "cache" / "tagship"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_folder() == tmp_path / "home" / ".cache" / "tagship"


# Interrupted and crowded

Stalling = tuple[str, str, threading.Event]


@pytest.fixture
def page_index() -> Iterator[str]:
    """An index on loopback whose one package, in wheel and source, asks for Python 3.12."""
    files = ("modern-1.0-py3-none-any.whl", "modern-1.0.tar.gz", "modern-0.9-py3-none-any.whl")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            links = [f'<a href="/{name}" data-requires-python="&gt;=3.12">{name}</a>' for name in files]
            page = "\n".join(links).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_words: object) -> None:
            pass

    with served(Handler) as address:
        yield address


@contextlib.contextmanager
def served(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """An index on loopback, by its address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/simple"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def stalling_index(make_wheel: MakeWheel) -> Iterator[Stalling]:
    """An index on loopback that sends half a wheel and then nothing: its address, the hash, and when it stalled."""
    path, digest = make_wheel("slow", script="'" + "x" * 200_000 + "'")
    data = path.read_bytes()
    stalled, over = threading.Event(), threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            if self.path.endswith(".whl"):
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[: len(data) // 2])
                self.wfile.flush()
                stalled.set()
                over.wait(60)
                return
            page = f'<a href="/files/{path.name}#sha256={digest}">{path.name}</a>'.encode()
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_words: object) -> None:
            pass

    with served(Handler) as address:
        yield address, digest, stalled
        over.set()


FETCH = """
import json, sys
from pathlib import Path
from tagship.release import lockfile, wheels
from tagship.release.hostpython import HostPython
lock = lockfile.parse(sys.argv[1], "lock")
wheels.select_and_fetch(lock, HostPython.from_facts(json.loads(sys.argv[2])), Path(sys.argv[3]))
"""


def fetching(lock: str, facts: dict[str, Any], cache: Path) -> subprocess.Popen[bytes]:

    return subprocess.Popen(
        [sys.executable, "-c", FETCH, lock, json.dumps(facts), str(cache)], stderr=subprocess.PIPE
    )


def test_ctrl_c_in_the_middle_of_a_download_leaves_no_half_file(
    facts: dict[str, Any],
    cache: Path,
    stalling_index: tuple[str, str, threading.Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """pip ends with us, and the cache holds nothing of what was being fetched."""
    address, digest, stalled = stalling_index
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", address)
    with fetching(pinned("slow", digest), facts, cache) as process:
        assert stalled.wait(60)
        process.send_signal(signal.SIGINT)
        _out, said = process.communicate(timeout=60)
    assert b"KeyboardInterrupt" in said
    assert list((cache / "wheels").iterdir()) == []


def test_two_fetches_at_once_both_succeed(
    facts: dict[str, Any], index: Path, cache: Path, make_wheel: MakeWheel
) -> None:
    """Two deploys share a cache without waiting for one another."""
    lock = "\n".join(pinned(name, make_wheel(name)[1]) for name in ("one", "two", "three"))
    running = [fetching(lock, facts, cache) for _ in range(2)]
    assert [process.communicate()[1] for process in running] == [b"", b""]
    assert len(list((cache / "wheels").glob("*/*.whl"))) == 3
