"""`fab verify` on a host: each kind of drift is told by its path and by what it is, and nothing else is."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from unit.host.client import Agent, Host, blog, stage_until
from unit.host.conftest import free_address, fresh_host
from unit.host.test_host_live import put
from unit.host.test_host_venv import installer, make_wheel

from tagship.host import boot

Row = tuple[str, str, str]
Change = Callable[[Path, Path], object]
"""Given a path where nothing is, and what was there, which is put back afterwards."""

OLD, NEW = "0001-v1", "0002-v2"
MAKE = (
    "import os; os.umask(0o022); os.mkdir('made'); open('made/list.txt', 'w').write('made');"
    "os.symlink('list.txt', 'made/link'); os.mkdir('empty'); os.chmod('made', 0o775)"
)
CLOCK = "import time; time.sleep(600)"


def told(host: Host, front: str | None = None) -> list[Row]:
    """Every difference, of each release and of the host: release (or nothing), path, what it is.

    One agent for all tests: what it has hashed before must not hide what was done since.
    """
    agent = host.agents[-1]
    found: list[Row] = []
    for release in host.survey(agent)["releases"]:
        drift = agent.ask("verify", release=release["id"])["drift"]
        found += [(release["id"], path, what) for path, what in drift]
    return found + [("", path, what) for path, what in agent.ask("audit", front=front)["drift"]]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Host, str]]:
    """Two releases with all that a release can have, the newer one live behind a front door."""
    listen = free_address()
    more = {
        "wheels": [make_wheel(tmp_path_factory.mktemp("wheels"), "greet", "1.0", "def say():\n    print('hi')\n")],
        "installer": installer("uv"),
        "links": {"app/link": "text.txt"},
        "files": {"app/folder/same.py": b"X = 1\n", "app/tool": b"#!/bin/sh\n"},
        "executable": ["app/tool"],
        "shared": {"dirs": ["media"], "links": ["key.pem"], "served": []},
        "env": ".env",
        "units": {"clock": ["python", "-c", CLOCK]},
    }
    with fresh_host() as host:
        host.path("shared").mkdir(parents=True)
        host.path("shared", "key.pem").write_text("key")
        host.path("shared", ".env").write_text("TOKEN=sentinel\n")
        host.path("shared", ".env").chmod(0o600)
        host.more = (boot.FRONT, boot.LIVE)
        agent = host.locked()
        put(agent, 1, {"NAME": "value"})
        bring_up(agent, listen, more)
        agent.ask("unlock")
        agent.hang_up()
        host.more = (boot.FRONT, boot.VERIFY)
        host.connect()
        yield host, listen


def bring_up(agent: Agent, listen: str, more: dict[str, Any]) -> None:
    """Both releases, one after the other, with a `prepare` command each."""
    previous = None
    for serial in (1, 2):
        release = blog(serial, text="the same text", **more)
        stage_until(agent, release, "furnish", previous)
        agent.ask("command", release=release.id, argv=["python", "-c", MAKE], title="prepare")
        agent.ask("seal", release=release.id)
        agent.ask("start", release=release.id)
        agent.ask("front", listen=listen)
        agent.ask("flip", to=release.id, **{"from": previous.id if previous else None})
        if previous:
            agent.ask("halt", release=previous.id, drain=5)
        agent.ask("mark", release=release.id, state="good")
        previous = release


@contextlib.contextmanager
def replaced(host: Host, path: Path, change: Change) -> Iterator[None]:
    """Move what is at `path` aside, change the path, and put the very same inode back afterwards."""
    aside = host.root.parent / "aside"
    was_there = os.path.lexists(path)
    if was_there:
        path.rename(aside)
    try:
        change(path, aside)
        yield
    finally:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        if was_there:
            aside.rename(path)


# --- what is done to a path


def nothing(_path: Path, _old: Path) -> None:
    """It is missing."""


def write(content: str, mode: int = 0o444) -> Change:
    def change(path: Path, _old: Path) -> None:
        path.write_text(content)
        path.chmod(mode)

    return change


def mode(bits: int) -> Change:
    """The same content with another mode; a folder with all that is in it."""

    def change(path: Path, old: Path) -> None:
        if old.is_dir():
            shutil.copytree(old, path, symlinks=True, copy_function=os.link)
        else:
            shutil.copy2(old, path)
        path.chmod(bits)

    return change


def link(target: str) -> Change:
    return lambda path, _old: path.symlink_to(target)


def folder(path: Path, _old: Path) -> None:
    path.mkdir()


def filled_folder(path: Path, _old: Path) -> None:
    path.mkdir()
    (path / "evil.py").write_text("evil")


def fifo(path: Path, _old: Path) -> None:
    os.mkfifo(path)


def aimed(path: Path, old: Path) -> None:
    """A link to what was there, instead of it."""
    path.symlink_to(old)


def flipped(path: Path, old: Path) -> None:
    """One byte of the same number of bytes, at the same time and with the same mode."""
    content = bytearray(old.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    path.chmod(old.stat().st_mode & 0o7777)
    os.utime(path, ns=(old.stat().st_atime_ns, old.stat().st_mtime_ns))


def another_size(path: Path, old: Path) -> None:
    """A RECORD that says another number of bytes of a file, which nobody looks at."""
    path.write_text(old.read_text().replace("RECORD,,", "RECORD,,1"))
    path.chmod(old.stat().st_mode & 0o7777)


def edited(edit: Callable[[Any], object]) -> Change:
    """The JSON of a file, changed."""

    def change(path: Path, old: Path) -> None:
        value = json.loads(old.read_text())
        edit(value)
        path.write_text(json.dumps(value, separators=(",", ":")) + "\n")
        path.chmod(0o444)

    return change


def without_lines(*events: str) -> Change:
    """A journal that never had those rows of the newer release."""

    def change(path: Path, old: Path) -> None:
        rows = [json.loads(line) for line in old.read_text().splitlines()]
        kept = [row for row in rows if row["release"] != NEW or row["event"] not in events]
        path.write_text("".join(json.dumps(row) + "\n" for row in kept))

    return change


def with_line(**row: Any) -> Change:
    def change(path: Path, old: Path) -> None:
        path.write_text(old.read_text() + json.dumps({"at": "", **row}) + "\n")

    return change


APP = f"releases/{NEW}/app"
SITE = f"releases/{NEW}/{{site}}"
"""`{site}` stands for where the packages of a virtualenv lie in a release, the rest below for names of objects."""


@dataclass(frozen=True)
class Case:
    path: str
    change: Change
    rows: list[Row]


def of_new(path: str, what: str) -> list[Row]:
    return [(NEW, path, what)]


def of_host(path: str, what: str) -> list[Row]:
    return [("", path, what)]


NOT_OURS = "not in the release"
CASES = {
    # the tag's files
    "a byte at equal size and time": Case(f"{APP}/text.txt", flipped, of_new("app/text.txt", "changed")),
    "of an older release": Case(f"releases/{OLD}/app/text.txt", flipped, [(OLD, "app/text.txt", "changed")]),
    "a file is gone": Case(f"{APP}/text.txt", nothing, of_new("app/text.txt", "missing")),
    "a file more": Case(f"{APP}/evil.py", write("evil"), of_new("app/evil.py", NOT_OURS)),
    "a folder with a file more": Case(f"{APP}/new", filled_folder, of_new("app/new/evil.py", NOT_OURS)),
    "an empty folder more": Case(f"{APP}/new", folder, of_new("app/new", NOT_OURS)),
    "a file of the site": Case(f"releases/{NEW}/public/index.html", flipped, of_new("public/index.html", "changed")),
    "writable": Case(f"{APP}/text.txt", mode(0o646), of_new("app/text.txt", "mode 0646")),
    "executable": Case(f"{APP}/text.txt", mode(0o555), of_new("app/text.txt", "mode 0555")),
    "not executable": Case(f"{APP}/tool", mode(0o444), of_new("app/tool", "mode 0444")),
    "setuid": Case(f"{APP}/tool", mode(0o4555), of_new("app/tool", "mode 4555")),
    "a fifo instead": Case(f"{APP}/text.txt", fifo, of_new("app/text.txt", "not a regular file")),
    "a link instead": Case(f"{APP}/text.txt", aimed, of_new("app/text.txt", "not a regular file")),
    "another link": Case(f"{APP}/link", link("/etc/passwd"), of_new("app/link", "points to /etc/passwd")),
    "a file instead of a link": Case(f"{APP}/link", write("x"), of_new("app/link", "not a link")),
    "a folder that all may write": Case(f"{APP}/folder", mode(0o777), of_new("app/folder", "mode 0777")),
    "a room that all may write": Case(f"releases/{NEW}/redirects", mode(0o777), of_new("redirects", "mode 0777")),
    "a room that is gone": Case(f"releases/{NEW}/redirects", nothing, of_new("redirects", "missing")),
    # what commands made
    "a made file": Case(f"{APP}/made/list.txt", flipped, of_new("app/made/list.txt", "changed")),
    "a made file is gone": Case(f"{APP}/made/list.txt", nothing, of_new("app/made/list.txt", "missing")),
    "a made file that all may write": Case(
        f"{APP}/made/list.txt", mode(0o666),
        of_new("app/made/list.txt", "mode 0666"),
    ),
    "a made file, setgid": Case(f"{APP}/made/list.txt", mode(0o2644), of_new("app/made/list.txt", "mode 2644")),
    "a made link": Case(f"{APP}/made/link", link("../tool"), of_new("app/made/link", "points to ../tool")),
    "a made folder's mode": Case(f"{APP}/made", mode(0o755), of_new("app/made", "mode 0755")),
    "an empty folder is gone": Case(f"{APP}/empty", nothing, of_new("app/empty", "missing")),
    "a shared link": Case(f"{APP}/media", link("/var"), of_new("app/media", "points to /var")),
    # the virtualenv
    "a module": Case(f"{SITE}/greet.py", flipped, of_new("{site}/greet.py", "changed")),
    "what RECORD has no SHA-256 of": Case(
        f"{SITE}/greet-1.0.dist-info/METADATA", flipped, of_new("{site}/greet-1.0.dist-info/METADATA", "changed")
    ),
    "a module is gone": Case(f"{SITE}/greet.py", nothing, of_new("{site}/greet.py", "missing")),
    "a module more": Case(f"{SITE}/evil.pth", write("import os"), of_new("{site}/evil.pth", NOT_OURS)),
    "a module that all may write": Case(f"{SITE}/greet.py", mode(0o666), of_new("{site}/greet.py", "mode 0666")),
    "bytecode": Case(f"{SITE}/{{pyc}}", flipped, of_new("{site}/{pyc}", "changed")),
    "bytecode more": Case(
        f"{SITE}/__pycache__/evil.pyc", write("x"),
        of_new("{site}/__pycache__/evil.pyc", NOT_OURS),
    ),
    "RECORD itself": Case(f"{SITE}/{{record}}", another_size, of_new("{site}/{record}", "changed")),
    "pyvenv.cfg": Case(f"releases/{NEW}/venv/pyvenv.cfg", flipped, of_new("venv/pyvenv.cfg", "changed")),
    "a program more": Case(f"releases/{NEW}/venv/bin/ls", write("x", 0o555), of_new("venv/bin/ls", NOT_OURS)),
    "a program of a wheel": Case(
        f"releases/{NEW}/venv/bin/greet-say", flipped,
        of_new("venv/bin/greet-say", "changed"),
    ),
    "a program of a wheel that can't be run": Case(
        f"releases/{NEW}/venv/bin/greet-say", mode(0o644),
        of_new("venv/bin/greet-say", "mode 0644"),
    ),
    "a module that only its owner may read": Case(
        f"{SITE}/greet.py", mode(0o600),
        of_new("{site}/greet.py", "mode 0600"),
    ),
    "a closed folder of packages": Case(SITE, mode(0o700), of_new("{site}", "mode 0700")),
    "a made file that only its owner may read": Case(
        f"{APP}/made/list.txt", mode(0o600),
        of_new("app/made/list.txt", "mode 0600"),
    ),
    "the interpreter": Case(
        f"releases/{NEW}/venv/bin/python", link("/bin/sh"), of_new("venv/bin/python", "points to /bin/sh")
    ),
    "a folder of packages": Case(SITE, mode(0o777), of_new("{site}", "mode 0777")),
    # its own papers, scripts and links
    "the start script": Case(f"releases/{NEW}/start", flipped, of_new("start", "changed")),
    "a unit's script": Case(f"releases/{NEW}/units/clock/start", flipped, of_new("units/clock/start", "changed")),
    "a unit more": Case(f"releases/{NEW}/units/evil", write("x", 0o555), of_new("units/evil", NOT_OURS)),
    "within is gone": Case(f"releases/{NEW}/within", nothing, of_new("within", "missing")),
    "a script that all may write": Case(f"releases/{NEW}/within", mode(0o777), of_new("within", "mode 0777")),
    "its id": Case(f"releases/{NEW}/id", write("0001-v1\n"), of_new("id", "changed")),
    "its record": Case(
        f"releases/{NEW}/release.json", edited(lambda one: one.update(by="eve")), of_new("release.json", "changed")
    ),
    "its declaration": Case(
        f"releases/{NEW}/manifest.json",
        edited(lambda one: one["wheels"].pop()),
        of_new("manifest.json", "changed"),
    ),
    "its manifest's rows": Case(
        f"releases/{NEW}/manifest.json",
        edited(lambda one: one["rows"].pop()),
        of_new("manifest.json", f"the manifest of {NEW} is damaged"),
    ),
    "its seal": Case(
        f"releases/{NEW}/sealed.json", edited(lambda one: one.update(more=1)), of_new("sealed.json", "changed")
    ),
    "a file beside the rooms": Case(f"releases/{NEW}/evil", write("x"), of_new("evil", NOT_OURS)),
    "its run link": Case(f"releases/{OLD}/run", link("/run"), [(OLD, "run", "doesn't point to {run}")]),
    "its environment": Case(
        f"releases/{NEW}/env", link("../../env/0009"), of_new("env", "isn't the link to ../../env/0001")
    ),
    # what is shared, and secrets
    "a shared file": Case(
        "shared/key.pem", nothing,
        [(OLD, "shared/key.pem", "missing"), (NEW, "shared/key.pem", "missing")],
    ),
    "the env file": Case("shared/.env", mode(0o644), of_host("shared/.env", "mode 0644")),
    "a version of the environment": Case("env/0001", mode(0o640), of_host("env/0001", "mode 0640")),
    # the store
    "an object": Case("objects/{text}", flipped, of_host("objects/{text}", "isn't what its name says")),
    "an object's mode": Case("objects/{text}", mode(0o644), of_host("objects/{text}", "mode 0644")),
    "an object is gone": Case("objects/{text}", nothing, of_host("objects/{text}", f"missing: {NEW} has it")),
    "no object": Case("objects/evil", write("x"), of_host("objects/evil", "not an object")),
    "half an object": Case("objects/.new-{text}", write("x"), of_host("objects/.new-{text}", "not an object")),
    "an asset": Case("assets/site.2.css", flipped, of_host("assets/site.2.css", "changed")),
    "an asset is gone": Case("assets/site.1.css", nothing, of_host("assets/site.1.css", "missing")),
    "an asset more": Case("assets/evil.js", write("x"), of_host("assets/evil.js", "of no release")),
    "an installer": Case("state/tools/{tool}/uv", mode(0o777), of_host("state/tools/{tool}/uv", "mode 0777")),
    "an installer's bytes": Case(
        "state/tools/{tool}/uv", write("#!/bin/sh\n", 0o555),
        of_host("state/tools/{tool}/uv", "changed"),
    ),
    "a wheel": Case("state/wheels/{wheel}", flipped, of_host("state/wheels/{wheel}", "changed")),
    "a folder of the root": Case("objects", mode(0o777), of_host("objects", "mode 0777")),
    # journal against disk
    "a release is gone": Case(
        f"releases/{OLD}", nothing,
        [("", "assets/site.1.css", "of no release"),
         ("", f"releases/{OLD}", "missing: the journal tells of no removal")],
    ),
    "the journal never knew it": Case(
        "state/journal.jsonl",
        without_lines("staging", "staged", "good", "flip", "flipped"),
        [
            ("", "current", f"names {NEW}; the journal's last flip was to {OLD}"),
            ("", f"releases/{NEW}", "isn't in the journal"),
        ],
    ),
    "the journal tells of its removal": Case(
        "state/journal.jsonl",
        with_line(event="removed", release=OLD),
        of_host(f"releases/{OLD}", "is there; the journal tells of its removal"),
    ),
    "the journal has another manifest": Case(
        "state/journal.jsonl",
        with_line(event="staging", release=NEW, manifest="0" * 64),
        of_new("manifest.json", "isn't what was declared, as the journal tells"),
    ),
    "the compiled agent all may write": Case("state/agent", write("x", 0o666), of_host("state/agent", "mode 0666")),
    "the journal all may write": Case(
        "state/journal.jsonl", mode(0o666),
        of_host("state/journal.jsonl", "mode 0666"),
    ),
    # what is public
    "another release is current": Case("current", link(f"releases/{OLD}"), [
        ("", "current", f"names {OLD}; the journal's last flip was to {NEW}"),
        ("", "current/run/web.sock", "answered by nobody"),
        ("", f"releases/{NEW}", "isn't current and still runs: clock (pid {clock}), web (pid {web})"),
    ]),
    "nothing is current": Case("current", nothing, [
        ("", "current", f"is missing; the journal's last flip was to {NEW}"),
        ("", f"releases/{NEW}", "isn't current and still runs: clock (pid {clock}), web (pid {web})"),
    ]),
    "current is a folder": Case("current", folder, [
        ("", "current", "is a folder"),
        ("", f"releases/{NEW}", "isn't current and still runs: clock (pid {clock}), web (pid {web})"),
    ]),
}  # fmt: skip


def names_of(host: Host) -> dict[str, str]:
    """What the placeholders of the table stand for."""
    release = host.path("releases", NEW)
    site = next((release / "venv" / "lib").glob("python*")) / "site-packages"
    rows = json.loads((release / "manifest.json").read_text())["rows"]
    survey = host.survey(host.agents[-1])
    running = {pid: (Path("/proc") / str(pid) / "cmdline").read_bytes() for pid in pids_of(release)}
    return {
        "site": str(site.relative_to(release)),
        "pyc": str(next(site.glob("__pycache__/greet.*.pyc")).relative_to(site)),
        "record": "greet-1.0.dist-info/RECORD",
        "text": next(row[2] for row in rows if row[0] == "app/text.txt"),
        "tool": survey["installer"],
        "wheel": str(next(host.path("state", "wheels").glob("*/*.whl")).relative_to(host.path("state", "wheels"))),
        "run": str(host.path("releases", OLD, "run").readlink()),
        "clock": str(next(pid for pid, line in running.items() if CLOCK.encode() in line)),
        "web": str(next(pid for pid, line in running.items() if b"server.py" in line)),
    }


def pids_of(release: Path) -> list[int]:
    """Processes that work in its tree."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if entry.joinpath("cwd").readlink() == release / "app":
                found.append(int(entry.name))
    return found


def test_a_host_as_it_was_left_has_no_drift(live: tuple[Host, str]) -> None:
    """Two releases with everything in them, through the front door too; and nothing was touched by looking."""
    host, listen = live

    def seen() -> list[tuple[Any, ...]]:
        found = [(str(path), os.lstat(path)) for path in sorted(host.root.rglob("*")) if path.suffix != ".log"]
        return [(path, one.st_ino, one.st_mode, one.st_size, one.st_mtime_ns, one.st_ctime_ns) for path, one in found]

    before = seen()
    assert told(host, listen) == []
    assert seen() == before


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_each_kind_of_drift_is_told_and_nothing_else(live: tuple[Host, str], case: Case) -> None:
    """One row for one thing that was done, by its path and in words; and none that is left of the test before."""
    host, _listen = live
    names = names_of(host)

    def filled(text: str) -> str:
        for name, value in names.items():
            text = text.replace("{" + name + "}", value)
        return text

    with replaced(host, host.path(*filled(case.path).split("/")), case.change):
        assert told(host) == [(release, filled(path), filled(what)) for release, path, what in case.rows]


def test_afterwards_there_is_none(live: tuple[Host, str]) -> None:
    """What was put back is as it was, whatever had been looked at in between."""
    assert told(live[0]) == []
