"""A filesystem that is full, out of inodes or read-only: a clear error, and nothing half named."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from unit.host.client import AgentError, Host, Release, blog, names, stage_until, tree

WHOLE = "size=100m,nr_inodes=10000"


def mount(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["mount", *argv], capture_output=True, text=True, check=False)


@pytest.fixture
def small(host: Host) -> Iterator[Host]:
    """A host whose root is a filesystem of its own, made smaller and larger by `resize`."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small filesystem needs root")
    host.root.mkdir()
    done = mount("-t", "tmpfs", "-o", WHOLE, "tmpfs", str(host.root))
    if done.returncode:
        pytest.skip(f"a small filesystem can't be mounted here: {done.stderr.strip()}")
    try:
        yield host
    finally:
        for agent in host.agents:
            agent.close()
        subprocess.run(["umount", "-l", str(host.root)], check=True)


def resize(host: Host, options: str) -> None:
    done = mount("-o", f"remount,rw,{options}", str(host.root))
    assert done.returncode == 0, done.stderr


def used(host: Host) -> tuple[int, int]:
    """Bytes and inodes in use."""
    found = os.statvfs(host.root)
    return (found.f_blocks - found.f_bfree) * found.f_frsize, found.f_files - found.f_ffree


def check_objects(host: Host, release: Release) -> None:
    """Whatever has an object's name has its content."""
    for name in names(host.path("objects")):
        if name in release.contents:
            assert host.path("objects", name).read_bytes() == release.contents[name]
        else:
            assert not len(name) >= 64


@pytest.mark.parametrize("unit", ["size={}", "nr_inodes={}"])
def test_room_that_ends_at_any_point_of_staging_is_said_and_taken_back(small: Host, unit: str) -> None:
    """From no room at all to just enough: each failure is `failed` with a cure, and the next deploy goes through."""
    agent = small.locked()
    files = {f"app/{n}/{m}": os.urandom(3000) for n in range(4) for m in range(4)}
    step = 40 << 10 if unit.startswith("size") else 12
    failures: list[str] = []
    for serial in range(1, 40):
        before = used(small)
        release = blog(serial, files=files)
        resize(small, unit.format((before[0] if unit.startswith("size") else before[1]) + 1 + step * (serial - 1)))
        try:
            stage_until(agent, release)
            break
        except AgentError as error:
            assert error.kind == "failed", error
            assert error.cure
            assert "No space left on device" in error.what
            failures.append(error.what)
        check_objects(small, release)
        resize(small, WHOLE)
        agent.ask("unstage", release=release.id)
        assert names(small.path("objects")) == set()
        assert list(tree(small.path("releases"))) == []
    else:
        raise AssertionError("it never had room enough")
    assert len(failures) > 2
    resize(small, WHOLE)
    agent.ask("start", release=release.id)
    agent.ask("flip", to=release.id, **{"from": None})
    assert agent.ask("verify", release=release.id)["drift"] == []


def test_a_journal_that_can_t_grow_stays_as_it_was(small: Host) -> None:
    """The row is whole or not there, and `current` is what it was."""
    agent = small.locked()
    one = blog(1)
    stage_until(agent, one)
    journal = small.path("state", "journal.jsonl")
    with journal.open("ab") as file:
        left = -journal.stat().st_size % os.statvfs(small.root).f_frsize
        file.write(b" " * (left - 21) + b"\n")  # room for the first 20 bytes of a row
    before = journal.read_bytes()
    shutil.rmtree(small.path("state", "reserve"))
    resize(small, f"size={used(small)[0]}")
    with pytest.raises(AgentError, match="No space left on device") as failed:
        agent.ask("flip", to=one.id, **{"from": None})
    assert failed.value.kind == "failed"
    assert journal.read_bytes() == before
    assert not small.path("current").is_symlink()
    resize(small, WHOLE)
    agent.ask("flip", to=one.id, **{"from": None})
    assert small.path("current").readlink() == Path("releases", one.id)


@pytest.mark.parametrize("unit", ["size={}", "nr_inodes={}"])
def test_going_back_needs_no_room(small: Host, unit: str) -> None:
    """A deploy sets room aside; on a disk without any other, what a rollback does goes through by it, once."""
    agent = small.locked()
    one, two = blog(1), blog(2)
    for release, origin in ((one, None), (two, one.id)):
        stage_until(agent, release)
        agent.ask("start", release=release.id)
        agent.ask("flip", to=release.id, **{"from": origin})
        agent.ask("mark", release=release.id, state="good")
    agent.ask("halt", release=one.id, drain=1)
    agent.ask("unlock")
    agent.hang_up()
    assert sum(path.stat().st_size for path in small.path("state", "reserve").iterdir()) == 128 << 10
    resize(small, unit.format(used(small)[unit.startswith("nr_inodes")]))
    agent = small.connect()
    small.survey(agent)
    agent.ask("lock", owner="ann", release=one.id, verb="rollback")
    agent.ask("start", release=one.id)
    agent.ask("flip", to=one.id, **{"from": two.id})
    agent.ask("halt", release=two.id, drain=1)
    agent.ask("mark", release=two.id, state="left")
    agent.ask("unlock")
    assert not small.path("state", "reserve").exists()
    resize(small, WHOLE)
    small.locked()
    assert len(names(small.path("state", "reserve"))) == 16


def test_who_loses_the_lock_takes_no_room_of_the_holder_s(small: Host) -> None:
    """What was set aside is there for who goes back; somebody who may not even begin has no use for it."""
    holder = small.locked()
    resize(small, f"size={used(small)[0] + (64 << 10)}")
    loser = small.connect()
    small.survey(loser)
    with pytest.raises(AgentError, match="locked by ann"):
        loser.ask("lock", owner="bob", release=None, verb="rollback")
    assert len(names(small.path("state", "reserve"))) == 16
    holder.ask("unlock")
    loser.ask("lock", owner="bob", release=None, verb="rollback")
    assert not small.path("state", "reserve").exists()


def test_a_read_only_filesystem_is_named(small: Host) -> None:
    """Nothing can be changed; the message says why, and what to do."""
    small.locked().hang_up()
    assert mount("-o", "remount,ro", str(small.root)).returncode == 0
    agent = small.connect()
    assert small.survey(agent)["writable"] is False
    with pytest.raises(AgentError, match="Read-only file system") as failed:
        agent.ask("lock", owner="ann", release=None, verb="deploy")
    assert "remount" in failed.value.cure
    resize(small, WHOLE)
    agent.ask("lock", owner="ann", release=None, verb="deploy")


def test_a_filesystem_boundary_inside_the_root_is_crossed_by_copying(small: Host) -> None:
    """Hard links end at a filesystem; the tree is made all the same, with the same content, mode and time."""
    small.path("objects").mkdir()
    done = mount("-t", "tmpfs", "-o", "size=10m", "tmpfs", str(small.path("objects")))
    assert done.returncode == 0, done.stderr
    try:
        agent = small.locked()
        one = blog(1, files={"app/run": b"#!"}, executable=["app/run"])
        stage_until(agent, one)
        copied = small.path("releases", one.id, "app/run").stat()
        kept = small.path("objects", next(key for key in one.contents if key.endswith("x"))).stat()
        assert (copied.st_nlink, copied.st_mode, copied.st_mtime) == (1, kept.st_mode, kept.st_mtime)
        assert agent.ask("verify", release=one.id)["drift"] == []
        agent.ask("unlock")
        agent.hang_up()
    finally:
        for agent in small.agents:
            agent.close()
        subprocess.run(["umount", "-l", str(small.path("objects"))], check=True)
