"""The parts of a release: told by control groups where units serve it, by environments where plain processes do."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from unit.host.client import AgentError, Host, blog, stage_until, until

from tagship.host import generated
from tagship.host.faults import Problem
from tagship.host.ready import Ready
from tagship.host.units import Groups

GROUPS = Groups(Ready("blog-lab", "/srv/blog", "blog-lab", 990, {}))
SLICE = r"/system.slice/system-blog\x2dlab.slice"
WORKER = ["python", "-c", "import time; print('at work', flush=True); time.sleep(600)"]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (f"0::{SLICE}/blog-lab@0007.service\n", ("0007", "web")),
        (f"0::{SLICE}/blog-lab@0007.worker.service\n", ("0007", "worker")),
        (f"9:name=systemd:{SLICE}/blog-lab@12345.a-b.service\n8:pids:/\n", ("12345", "a-b")),
        (f"0::/machine.slice/one.scope{SLICE}/blog-lab@0007.service/inner\n", ("0007", "web")),
        (f"0::{SLICE}/blog-lab@0007.servicex\n", None),
        ("0::/system.slice/blog-lab.service\n", None),
        ("0::/system.slice/system-other.slice/other-blog-lab@0007.service\n", None),
        (f"0::/user.slice/user-1000.slice/user@1000.service{SLICE}/blog-lab@0007.service\n", None),
        ("", None),
    ],
)
def test_a_control_group_tells_part_and_serial(text: str, part: tuple[str, str] | None) -> None:
    """Only groups that root made count: whoever logs in may make some of any name below their own."""
    assert GROUPS.told(text.encode()) == part


def test_what_the_service_made_is_never_looked_up_through_a_link(tmp_path: Path) -> None:
    """It may still write there while that is read: a folder of its own could become a way to what is ours."""
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours/key").write_text("secret")
    (tmp_path / "made/inner").mkdir(parents=True)
    (tmp_path / "made/inner/key").write_text("theirs")
    entries = generated.walk(str(tmp_path / "made"), "app/made")
    assert next(entries)[0] == "app/made/inner"
    (tmp_path / "made/inner").rename(tmp_path / "made/was")
    (tmp_path / "made/inner").symlink_to(tmp_path / "ours")
    with pytest.raises(Problem, match=r"app/made/inner changed while it was read"):
        next(entries)
    entries = generated.walk(str(tmp_path / "made/was"), "app/made/was")
    path, _, folder = next(entries)
    assert (path, os.fstat(folder).st_ino) == ("app/made/was/key", (tmp_path / "made/was").stat().st_ino)


def test_units_run_beside_what_answers_and_end_with_it(host: Host) -> None:
    """A release is up when all its parts are; one that is missing is started beside those that run."""
    agent = host.locked()
    one = blog(1, units={"worker": WORKER})
    stage_until(agent, one)
    pid = agent.ask("start", release=one.id)["pid"]
    agent.ask("flip", to=one.id, **{"from": None})
    survey = host.survey(agent)
    assert (survey["releases"][0]["runs"], survey["well"], survey["process"]["pid"]) == (["web", "worker"], True, pid)
    log = host.path("state", "log", "0001.unit-worker.log")
    until(lambda: log.read_text() == "at work\n")
    (worker,) = [int(path.parent.name) for path in _environs() if b"TAGSHIP_UNIT=worker" in _read(path)]
    os.kill(worker, signal.SIGKILL)
    until(lambda: not host.survey(agent)["well"])
    assert host.survey(agent)["fault"] == "the unit `worker` doesn't run"
    with pytest.raises(AgentError, match="its `worker` doesn't run"):
        agent.ask("probe", release=one.id, front=None)
    assert agent.ask("start", release=one.id)["pid"] == pid
    assert host.survey(agent)["well"]
    agent.ask("halt", release=one.id, drain=1)
    assert not [path for path in _environs() if os.fsencode(host.root) in _read(path)]


def test_a_unit_that_ends_fails_the_start_with_its_last_words(host: Host) -> None:
    """What answers nobody is well if it lives; a release may have nothing else, or nothing at all."""
    agent = host.locked()
    code = "raise SystemExit('no queue')"
    one = blog(1, start=[], units={"idle": WORKER, "worker": ["python", "-c", code]})
    stage_until(agent, one)
    with pytest.raises(AgentError, match="the unit `worker` ended") as failed:
        agent.ask("start", release=one.id)
    assert failed.value.tail == ["no queue"]
    agent.ask("unstage", release=one.id)
    two = blog(2, start=[], units={"idle": WORKER})
    stage_until(agent, two)
    assert agent.ask("start", release=two.id)["pid"]
    three = blog(3, start=[])
    stage_until(agent, three)
    assert agent.ask("start", release=three.id)["pid"] is None
    agent.ask("halt", release=two.id, drain=0)


def test_drift_is_seen_without_reading(host: Host) -> None:
    """A file that was written to, one more and one less are told; content at equal size and time is for `verify`."""
    agent = host.locked()
    one = blog(1)
    stage_until(agent, one)
    assert agent.ask("drift", release=one.id) == {"drift": [], "count": 0}
    folder = host.path("releases", one.id)
    (folder / "public" / "index.html").unlink()
    (folder / "public" / "more.html").write_text("more")
    text = folder / "app" / "text.txt"
    before = text.stat()
    text.chmod(0o644)
    text.write_text("x" * before.st_size)
    os.utime(text, (before.st_mtime, before.st_mtime))
    text.chmod(0o444)
    expected = [["public/more.html", "not in the release"], ["public/index.html", "missing"]]
    assert agent.ask("drift", release=one.id) == {"drift": expected, "count": 2}
    assert ["app/text.txt", "changed"] in agent.ask("verify", release=one.id)["drift"]
    os.utime(text)
    assert agent.ask("drift", release=one.id)["count"] == 3


def _environs() -> list[Path]:
    return list(Path("/proc").glob("[0-9]*/environ"))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
